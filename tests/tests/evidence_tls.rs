//! Where certificates are asked for, a router shows its own: probers hear it, other routers answer it, and
//! nobody without one gets anywhere.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "fails its test on the spot")]

use std::process::Command;

use serde_json::{Value, json};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};
use trunkline_proto::admin::v1::admin_service_client::AdminServiceClient;
use trunkline_proto::admin::v1::{ExplainRequest, ExplainResponse};
use trunkline_proto::health::v1::health_evidence_service_client::HealthEvidenceServiceClient;
use trunkline_tests::authority::Authority;
use trunkline_tests::cluster::{Cluster, until};
use trunkline_tests::json::chat;
use trunkline_tests::process::{Process, beside};
use trunkline_tests::provider::Provider;
use trunkline_tests::router;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prober_hears_routers_that_show_a_certificate_and_nobody_else() {
    let authority = Authority::new();
    let [cert, key] = authority.issue("router");
    let tls = json!({"evidence_tls": {"ca": authority.ca(), "cert": cert, "key": key}});
    let provider = Provider::start("alpha").await.serving("m");
    let cluster = Cluster::plan().probers(0).providers(&[&provider]).config(tls);
    let cluster = cluster.start_unmeasured().await;

    let [cert, key] = authority.issue("prober");
    let mut command = Command::new(beside("health-prober"));
    command.env_clear().args(["--id", "p", "--zone", "a", "--log-format", "json"]);
    command.args(["--etcd-endpoints", &cluster.etcd.urls().join(","), "--ops", "127.0.0.1:0"]);
    command.args(["--listen", "127.0.0.1:0"]);
    command.arg("--tls-cert").arg(cert).arg("--tls-key").arg(key);
    command.arg("--tls-client-ca").arg(authority.ca());
    let mut prober = Process::start("p", &mut command);
    let (operations, address) = prober.told(listening).await;

    let routers =
        async || router::metric(operations, "trunkline_prober_evidence_routers", "").await;
    until("the router reports", async || routers().await == 1.0).await;

    assert!(address.starts_with("https://"), "{address}");
    let ca = Certificate::from_pem(std::fs::read(authority.ca()).expect("a file"));
    let nameless = Endpoint::from_shared(address).expect("an address");
    let nameless = nameless.tls_config(ClientTlsConfig::new().ca_certificate(ca)).expect("TLS");
    let heard = match nameless.connect().await {
        Ok(channel) => {
            let mut client = HealthEvidenceServiceClient::new(channel);
            client.report_evidence(tokio_stream::empty()).await.is_ok()
        }
        Err(_) => false,
    };
    assert!(!heard, "somebody without a certificate was let in");
    assert_eq!(routers().await, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routers_that_want_certificates_find_each_others_records() {
    let authority = Authority::new();
    let [cert, key] = authority.issue("router");
    let tls = json!({"admin_tls": {"cert": cert, "key": key, "client_ca": authority.ca()}});
    let provider = Provider::start("alpha").await.serving("m");
    let cluster = Cluster::plan().routers(2).probers(0).providers(&[&provider]).config(tls);
    let cluster = cluster.start_unmeasured().await;
    let reply = cluster.routers[0].client().chat(&chat("m")).await;

    let url = format!("https://{}", cluster.routers[1].admin);
    let (nameless, named) = operators(&authority);
    let explain = async |tls: ClientTlsConfig| {
        let endpoint = Endpoint::from_shared(url.clone()).expect("an address");
        let channel = endpoint.tls_config(tls).expect("TLS").connect_lazy();
        explained(channel, reply.head.generation()).await
    };
    until("the other router's record is found", async || {
        let found = explain(named.clone()).await.ok();
        found.is_some_and(|f| {
            f.identical && f.generation.unwrap_or_default().router_id == "router-0"
        })
    })
    .await;
    assert!(explain(nameless).await.is_err(), "somebody without a certificate was let in");
}

/// How an operator without a certificate speaks to a router, and one with.
fn operators(authority: &Authority) -> (ClientTlsConfig, ClientTlsConfig) {
    let [cert, key] = authority.issue("operator").map(|path| std::fs::read(path).expect("a file"));
    let ca = Certificate::from_pem(std::fs::read(authority.ca()).expect("a file"));
    let nameless = ClientTlsConfig::new().ca_certificate(ca);
    (nameless.clone(), nameless.identity(Identity::from_pem(cert, key)))
}

/// What a router explains of a call.
async fn explained(channel: Channel, generation: &str) -> Result<ExplainResponse, Status> {
    let asked = ExplainRequest { generation_id: generation.to_owned(), only_here: false };
    let mut request = Request::new(asked);
    let bearer = format!("Bearer {}", router::KEY).parse().expect("a key is visible text");
    request.metadata_mut().insert("authorization", bearer);
    AdminServiceClient::new(channel).explain(request).await.map(|found| found.into_inner())
}

/// What an operator with a certificate is told of a call by another router than the one that served it, where all
/// show certificates for `HOST` alone and ask each other by this name.
async fn explained_where_peers_are_called(peer_name: &str) -> Result<String, String> {
    let authority = Authority::new();
    let [cert, key] = authority.issue_for("router", HOST);
    let tls = json!({"admin_tls": {
        "cert": cert, "key": key, "client_ca": authority.ca(), "peer_name": peer_name,
    }});
    let provider = Provider::start("alpha").await.serving("m");
    let cluster = Cluster::plan().routers(2).probers(0).providers(&[&provider]).config(tls);
    let cluster = cluster.start_unmeasured().await;
    let reply = cluster.routers[0].client().chat(&chat("m")).await;

    let tls = operators(&authority).1.domain_name(HOST);
    let endpoint = Endpoint::from_shared(format!("https://{}", cluster.routers[1].admin));
    let channel = endpoint.expect("an address").tls_config(tls).expect("TLS").connect_lazy();
    let explain = async || {
        let found = explained(channel.clone(), reply.head.generation()).await;
        let found = found.map(|found| found.generation.unwrap_or_default());
        found.map(|record| record.router_id).map_err(|status| status.message().to_owned())
    };
    // A router that does not know the other yet asks nobody.
    until("the other router is asked", async || {
        explain().await.map_or_else(|why| why.contains("could not ask"), |_| true)
    })
    .await;
    explain().await
}

/// What the certificates are for.
const HOST: &str = "admin.trunkline.test";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routers_find_each_other_by_the_name_that_all_their_certificates_hold() {
    assert_eq!(explained_where_peers_are_called(HOST).await.as_deref(), Ok("router-0"));
    let refused = explained_where_peers_are_called("other.trunkline.test").await.unwrap_err();
    assert!(refused.contains("could not ask router-0"), "{refused}");
}

fn listening(line: &str) -> Option<(std::net::SocketAddr, String)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let told = |name: &str| line.get(name).and_then(Value::as_str);
    Some((told("ops")?.parse().ok()?, told("evidence")?.to_owned()))
}
