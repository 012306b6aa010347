//! A prober that wants certificates hears routers that show one, and nobody else.

#![expect(clippy::expect_used, reason = "fails its test on the spot")]

#[path = "tls/authority.rs"]
mod authority;

use std::process::Command;

use authority::Authority;
use serde_json::{Value, json};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use trunkline_proto::health::v1::health_evidence_service_client::HealthEvidenceServiceClient;
use trunkline_tests::cluster::{Cluster, until};
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

fn listening(line: &str) -> Option<(std::net::SocketAddr, String)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let told = |name: &str| line.get(name).and_then(Value::as_str);
    Some((told("ops")?.parse().ok()?, told("evidence")?.to_owned()))
}
