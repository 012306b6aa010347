//! Secrets planted where a deployment has its own: none of them comes up again in a log, at its most talkative level
//! as well, on a page, in an answer, in a span, in the store or on the disk, or in what an operator reads.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "fails its test on the spot")]

#[path = "secrets/deployment.rs"]
mod deployment;
#[path = "secrets/planted.rs"]
mod planted;

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};
use tonic::metadata::MetadataValue;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use trunkline_proto::inference::v1::inference_service_client::InferenceServiceClient;
use trunkline_proto::inference::v1::{ChatRequest, Message, Role, message};
use trunkline_store::keys::OBSERVATIONS;
use trunkline_store::{Listing, Store};
use trunkline_tests::authority::Authority;
use trunkline_tests::client::Client;
use trunkline_tests::cluster::until;
use trunkline_tests::guarded::Guarded;
use trunkline_tests::json::overlay;
use trunkline_tests::process::Process;
use trunkline_tests::provider::Provider;
use trunkline_tests::router::{self, Router, Setup};

use deployment::Deployment;
use planted::{CALL_KEY, PASTED, PEPPER, PROMPT, Planted, WRONG_KEY, files, hash};

/// Calls over gRPC, most of which fail.
async fn call_over_grpc(endpoint: Endpoint, planted: &Planted) {
    let mut client = InferenceServiceClient::new(endpoint.connect().await.unwrap());
    for (key, model) in
        [(CALL_KEY, "m"), (CALL_KEY, "echoed"), (CALL_KEY, "none"), (WRONG_KEY, "m")]
    {
        let text = Some(message::Body::Content(PROMPT.to_owned()));
        let said = Message { role: Role::User.into(), body: text, ..Message::default() };
        let chat =
            ChatRequest { model: model.to_owned(), messages: vec![said], ..ChatRequest::default() };
        let mut request = tonic::Request::new(chat);
        let bearer = MetadataValue::try_from(format!("Bearer {key}")).unwrap();
        request.metadata_mut().insert("authorization", bearer);
        let told = client.chat(request).await;
        assert_eq!(told.is_ok(), (key, model) == (CALL_KEY, "m"), "{told:?}");
        if let Err(status) = told {
            let told = format!("{status:?}{}", String::from_utf8_lossy(status.details()));
            planted.shown("a status", told.replace(PROMPT, "").as_bytes());
        }
    }
}

fn plain(address: SocketAddr) -> Endpoint {
    Endpoint::from_shared(format!("http://{address}")).unwrap()
}

/// Nothing that was planted came up again; the keys of certificates are in this folder, so many at least.
fn is_nowhere(planted: &Planted, kept: &Path, keys: &Path, least: usize) {
    let kept = files(kept);
    assert!(!kept.is_empty());
    for file in kept {
        planted.kept(&file.display().to_string(), &std::fs::read(&file).unwrap());
    }
    let known = planted.certificate_keys(keys);
    assert!(known >= least, "only {known} keys of certificates");
    let found = planted.found();
    assert!(found.is_empty(), "{} times: {:#?}", found.len(), &found[..found.len().min(20)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_comes_up_again_on_one_machine() {
    let (kept, authority, planted) =
        (tempfile::tempdir().unwrap(), Authority::new(), Planted::new());
    let store = json!({"store": {"embedded": {"dir": kept.path()}}});
    let deployment = Deployment::start(&authority, |setup| setup.config(store)).await;
    call_over_grpc(plain(deployment.router.public), &planted).await;
    deployment.call(&planted).await;
    deployment.operate(&planted);
    deployment.pages(&planted).await;
    deployment.end(&planted).await;
    is_nowhere(&planted, kept.path(), authority.ca().parent().unwrap(), 4);
}

/// A prober that shows a certificate to etcd and another to routers, at its most talkative, and its port.
async fn prober(etcd: &Guarded, providers: [&Provider; 2]) -> (Process, SocketAddr) {
    let (ca, [cert, key]) = (etcd.authority.ca(), etcd.authority.issue("evidence"));
    let [ca, cert, key] = [&ca, &cert, &key].map(|path| path.to_str().unwrap());
    let flags = ["--listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key];
    let flags = [&flags[..], &["--tls-client-ca", ca, "--log", "trace"]].concat();
    let mut prober = etcd.prober(("a", "a"), providers, &flags);
    let listening = |line: &str| {
        let line: Value = serde_json::from_str(line).ok()?;
        line.get("evidence")?;
        line.get("ops")?.as_str()?.parse().ok()
    };
    let operations = prober.told(listening).await;
    (prober, operations)
}

/// Another router of the cluster, whose callers come over TLS.
async fn behind_tls(etcd: &Guarded, deployment: &Deployment) -> Router {
    let [cert, key] = etcd.authority.issue("public");
    let config = json!({
        "node_id": "b", "log": {"level": "trace"}, "tls": {"cert": cert, "key": key},
        "key_pepper": {"file": deployment.pepper()},
    });
    let config = overlay(config, etcd.entry(&etcd.authority.issue("b-to-etcd")));
    let setup = Setup::new(&[&deployment.providers[0], &deployment.providers[1]]);
    setup.etcd(std::slice::from_ref(&etcd.url)).config(config).start().await
}

fn over_tls(router: &Router, authority: &Authority) -> Endpoint {
    let ca = Certificate::from_pem(std::fs::read(authority.ca()).unwrap());
    let endpoint = Endpoint::from_shared(format!("https://{}", router.public)).unwrap();
    endpoint.tls_config(ClientTlsConfig::new().ca_certificate(ca)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_comes_up_again_in_a_cluster_whose_every_part_has_a_certificate() {
    let (etcd, kept, planted) =
        (Guarded::start().await, tempfile::tempdir().unwrap(), Planted::new());
    let authority = &etcd.authority;
    let [cert, key] = authority.issue("to-probers");
    let config = json!({
        "node_id": "a", "store": {"etcd": {"snapshot_dir": kept.path()}},
        "evidence_tls": {"ca": authority.ca(), "cert": cert, "key": key},
    });
    let config = overlay(etcd.entry(&authority.issue("a-to-etcd")), config);
    let place = |setup: Setup| setup.etcd(std::slice::from_ref(&etcd.url)).config(config);
    let deployment = Deployment::start(authority, place).await;
    let [good, echoing] = &deployment.providers[..] else { unreachable!() };
    let (prober, operations) = prober(&etcd, [good, echoing]).await;
    let second = behind_tls(&etcd, &deployment).await;

    call_over_grpc(over_tls(&second, authority), &planted).await;
    deployment.call(&planted).await;
    let heard = async || router::metric(operations, "trunkline_prober_evidence_routers", "").await;
    until("the prober hears the router", async || heard().await >= 1.0).await;
    let store = etcd.store();
    let observed = async || store.list(OBSERVATIONS).await.unwrap().entries.len();
    until("both providers are observed", async || observed().await == 2).await;
    deployment.operate(&planted);
    deployment.pages(&planted).await;
    let metrics = Client { address: operations, key: String::new() }.get("/metrics").await;
    planted.shown("the prober's metrics", &metrics.body);
    let Listing { entries, .. } = store.list("").await.unwrap();
    assert!(entries.len() > 3, "{entries:?}");
    for entry in entries {
        planted.kept(&entry.key, &entry.value);
    }
    deployment.end(&planted).await;
    let logs = [prober.end().await, second.stop().await.0];
    for log in logs {
        assert!(log.iter().any(|line| line.contains("TRACE")), "{log:#?}");
        log.iter().for_each(|line| planted.shown("the log of another", line.as_bytes()));
    }
    is_nowhere(&planted, kept.path(), authority.ca().parent().unwrap(), 10);
}

#[test]
fn a_secret_that_comes_up_again_is_found() {
    let planted = Planted::new();
    let folder = tempfile::tempdir().unwrap();
    let key =
        "-----BEGIN PRIVATE KEY-----\nMIGHAgEA\nsecond00\npublic00\n-----END PRIVATE KEY-----\n";
    std::fs::write(folder.path().join("a.key"), key).unwrap();
    planted.key("tl_made0001_0123456789abcdef");
    planted.shown("nothing", b"all is well, public00");
    planted.kept("a document", hash(CALL_KEY).as_bytes());
    assert_eq!(planted.certificate_keys(folder.path()), 1);
    assert!(planted.found().is_empty());
    let secrets = [PROMPT, PEPPER, PASTED, "x MIGHAgEA x", "second00", "x0123456789abcdef"];
    for secret in secrets {
        planted.kept("something", secret.as_bytes());
    }
    planted.shown("a hash", hash(CALL_KEY).as_bytes());
    assert_eq!(planted.found().len(), secrets.len() + 1);
}
