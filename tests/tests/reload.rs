//! On SIGHUP router and prober read their configuration again: what can change while they run changes at once, what
//! cannot is named, and a file with a mistake changes nothing.
#![expect(clippy::unwrap_used, reason = "fails its test on the spot")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sim_provider::Fault;
use tempfile::TempDir;
use tonic::Code;
use tonic::transport::Endpoint;
use trunkline_proto::inference::v1::inference_service_client::InferenceServiceClient;
use trunkline_proto::inference::v1::{ChatRequest, Message, Role, message};
use trunkline_tests::client::{Client, Exchange, Line, Reply};
use trunkline_tests::cluster::{Cluster, until};
use trunkline_tests::json::{chat, overlay};
use trunkline_tests::operator::Operator;
use trunkline_tests::process::{Process, beside};
use trunkline_tests::provider::Provider;
use trunkline_tests::router::{self, KEY, Router, Setup};

const CALLER: &str = "tl_caller00_only-makes-calls";
/// Longer than any test waits for anything.
const FOR_EVER_MS: u64 = 600_000;
/// Whether a router's last file was right; a prober has the like.
const SUCCESSFUL: &str = "trunkline_config_last_reload_successful";

/// Waits until the router has read its configuration again so often with this outcome.
async fn reloaded(router: &Router, outcome: &str, times: f64) {
    let (name, labels) = ("trunkline_config_reloads_total", format!("outcome=\"{outcome}\""));
    let counted = async || router.metric(name, &labels).await;
    until(&format!("{times} {outcome}"), async || counted().await >= times).await;
    assert_eq!(counted().await, times);
}

/// Waits for a line of the log with all these words.
async fn logged(process: &Process, words: &[&str]) {
    let there = |line: &String| words.iter().all(|word| line.contains(word));
    until(&format!("the log says {words:?}"), async || process.lines().iter().any(there)).await;
}

/// A router before a provider whose answers stall and one that answers, with room for one call.
async fn narrow() -> (Router, [Provider; 2]) {
    let stalled = Provider::start("stalled").await.serving("m");
    let good = Provider::start("good").await.serving("m");
    stalled.fails_with(Fault::Stall { after: 1 });
    let config = json!({"limits": {"concurrency": 1}});
    let setup = Setup::new(&[&stalled, &good]).config(config).key(CALLER, json!({}));
    (setup.start().await, [stalled, good])
}

/// A call to one of its providers.
fn to(provider: &str) -> Value {
    overlay(chat("m"), json!({"provider": {"only": [provider]}}))
}

async fn asked(router: &Router) -> Reply {
    router.client().chat(&to("good")).await
}

/// How a call over gRPC with this prompt ends.
async fn asked_by_grpc(router: &Router, prompt: &str) -> Code {
    let address = Endpoint::from_shared(format!("http://{}", router.public)).unwrap();
    let body = Some(message::Body::Content(prompt.to_owned()));
    let message = Message { role: Role::User.into(), body, ..Message::default() };
    let chat = ChatRequest { model: "m".to_owned(), messages: vec![message], ..Default::default() };
    let mut request = tonic::Request::new(chat);
    let key = format!("Bearer {KEY}").parse().unwrap();
    request.metadata_mut().insert("authorization", key);
    let answer = InferenceServiceClient::new(address.connect_lazy()).chat(request).await;
    answer.map_or_else(|status| status.code(), |_| Code::Ok)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_change_changes_at_once_for_calls_that_come() {
    let (router, _providers) = narrow().await;
    let (client, before) = (router.client(), router.written());
    let held = client.stream(&overlay(to("stalled"), json!({"stream": true}))).await;
    assert_eq!(held.head.status, 200);
    assert_eq!(asked(&router).await.status(), 503);
    let caller = Operator::at(&router).with_key(CALLER);
    assert!(caller.is_told(1, &["status"]).contains("key/caller00 has no role"));

    router.reconfigure(json!({
        "limits": {"concurrency": 2, "body_bytes": 1_024},
        "admin_roles": {"key/caller00": "viewer"},
    }));
    reloaded(&router, "changed", 1.0).await;
    let said = ["configuration read again", "admin_roles limits.body_bytes limits.concurrency"];
    logged(&router.process, &said).await;
    assert_eq!(asked(&router).await.status(), 200);
    caller.sees(&["status"]);
    let long = overlay(to("good"), json!({"user": "x".repeat(2_000)}));
    assert_eq!(client.chat(&long).await.status(), 413);
    assert_eq!(asked_by_grpc(&router, &"x".repeat(2_000)).await, Code::ResourceExhausted);

    router.rewrite(&before);
    until("nobody has a role", async || caller.code(&["status"]) == 1).await;
    assert_eq!(asked(&router).await.status(), 503, "whoever has a place keeps it");
    drop(held);
    until("there is room again", async || asked(&router).await.status() == 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_gets_quieter_and_louder_lines_of_calls_included() {
    let provider = Provider::start("good").await.serving("m");
    let router = Setup::new(&[&provider]).start().await;
    // Records are told of in their order: once one can be asked for, its line was written or was not.
    let called = async || {
        let reply = asked(&router).await;
        router.client().record(&reply.head).await;
        reply.head.generation().to_owned()
    };
    router.reconfigure(json!({"log": {"level": "warn"}}));
    reloaded(&router, "changed", 1.0).await;
    logged(&router.process, &["configuration read again", "log.level"]).await;
    let quiet = called().await;
    router.reconfigure(json!({"log": {"level": "debug"}}));
    reloaded(&router, "changed", 2.0).await;
    let loud = called().await;
    logged(&router.process, &["\"call\"", &loud]).await;
    let mut nonsense = Line::connect(router.public).await;
    nonsense.send(b"this is no request\r\n\r\n").await;
    logged(&router.process, &["\"DEBUG\"", "connection ended"]).await;
    router.reconfigure(json!({"log": {"level": "debug"}}));
    reloaded(&router, "unchanged", 1.0).await;
    let log = router.stop().await;
    assert!(log.mentions(&loud) && !log.mentions(&quiet), "{:#?}", log.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_the_next_start_is_named_as_long_as_it_waits() {
    let (router, _providers) = narrow().await;
    let before = router.written();
    router.reconfigure(json!({
        "zone": "elsewhere",
        "limits": {"connections": 7, "concurrency": 3},
        "tracing": {"otlp": {"endpoint": "http://127.0.0.1:9"}},
    }));
    reloaded(&router, "waiting", 1.0).await;
    for key in ["zone", "limits.connections", "tracing.otlp"] {
        let key = format!("\"key\":\"{key}\"");
        logged(&router.process, &["\"WARN\"", "takes effect at the next start", &key]).await;
    }
    let zone = &Operator::at(&router).reads(&["status"])["routers"][0]["zone"];
    assert_eq!(zone, "default");
    assert_eq!(asked(&router).await.status(), 200);
    // Still not in force, so it is told again; and back as it was there is nothing to tell.
    router.process.hang_up();
    reloaded(&router, "waiting", 2.0).await;
    router.rewrite(&before);
    reloaded(&router, "changed", 1.0).await;
    let log = router.stop().await;
    let waits = |line: &&String| line.contains("takes effect at the next start");
    assert_eq!(log.0.iter().filter(waits).count(), 6, "{:#?}", log.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_with_a_mistake_changes_nothing_and_the_mistake_is_named() {
    let (router, _providers) = narrow().await;
    let right = router.written();
    let name = "trunkline_config_last_reload_success_timestamp_seconds";
    let succeeded = router.metric(name, "").await;
    assert!(succeeded > 1.7e9, "{succeeded}");
    assert_eq!(router.metric(SUCCESSFUL, "").await, 1.0);
    let client = router.client();
    let held = client.stream(&overlay(to("stalled"), json!({"stream": true}))).await;
    assert_eq!(asked(&router).await.status(), 503);
    for (at, text, words) in [
        (
            1.0,
            "limits:\n  concurrency: 9\n  connections: 0\n",
            "router.json:3:16: limits.connections: 0 is out of range",
        ),
        (2.0, "limits:\n  concurrency: 9\nlissten: x\n", "did you mean `listen`?"),
        (3.0, "limits: {concurrency: 9}\nadmin: 0.0.0.0:9091\n", "router.json:2:8: admin: "),
        (4.0, "limits: [", "router.json:"),
    ] {
        router.rewrite(text);
        reloaded(&router, "refused", at).await;
        logged(&router.process, &["\"ERROR\"", "configuration kept", words]).await;
        assert_eq!(asked(&router).await.status(), 503, "{text}");
        assert_eq!(router.metric(SUCCESSFUL, "").await, 0.0, "{text}");
    }
    assert_eq!(router.metric(name, "").await, succeeded);
    router.rewrite(&right);
    reloaded(&router, "unchanged", 1.0).await;
    assert!(router.metric(name, "").await > succeeded);
    assert_eq!(router.metric(SUCCESSFUL, "").await, 1.0);
    drop(held);
}

/// A router that leaves only when its last call has ended, that call, and the provider where it stalled.
async fn with_a_call_that_does_not_end() -> (Router, Exchange, Provider) {
    let stalled = Provider::start("stalled").await.serving("m");
    stalled.fails_with(Fault::Stall { after: 1 });
    let drain = json!({"drain": {"wait_ms": FOR_EVER_MS, "grace_ms": FOR_EVER_MS}});
    let router = Setup::new(&[&stalled]).config(drain).start().await;
    let held = router.client().stream(&to("stalled")).await;
    assert_eq!(held.head.status, 200);
    (router, held, stalled)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_leaves_as_the_file_says_when_it_is_told_to() {
    let (router, held, _provider) = with_a_call_that_does_not_end().await;
    router.reconfigure(json!({"drain": {"wait_ms": 0, "grace_ms": 100}}));
    reloaded(&router, "changed", 1.0).await;
    // It would take longer than anybody waits here, wait or grace as they were.
    let log = router.stop().await;
    assert!(log.mentions("grace period over"), "{:#?}", log.0);
    drop(held);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_that_leaves_counts_its_last_calls_to_the_end() {
    let (router, held, _provider) = with_a_call_that_does_not_end().await;
    router.process.terminate();
    let calls = async || router.metric("trunkline_calls_in_flight", "").await;
    until("it leaves", async || {
        Client { address: router.ops, key: String::new() }.get("/readyz").await.status() == 503
    })
    .await;
    until("its last call is counted", async || calls().await == 1.0).await;
    drop(held);
    until("it is gone", async || calls().await == 0.0).await;
}

/// The operations port, as a prober logs it.
fn operations(line: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    line.get("ops")?.as_str()?.parse().ok()
}

/// A prober with a file, before a provider and an etcd.
struct Prober {
    process: Process,
    ops: SocketAddr,
    file: PathBuf,
    _folder: TempDir,
    _cluster: Cluster,
}

impl Prober {
    async fn start(provider: &Provider, config: &str) -> Self {
        let cluster = Cluster::plan().probers(0).providers(&[provider]);
        let cluster = cluster.start_unmeasured().await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("prober.yaml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(beside("health-prober"));
        command.env_clear().args(["--id", "p", "--zone", "a", "--log-format", "json"]);
        command.args(["--etcd-endpoints", &cluster.etcd.urls().join(","), "--ops", "127.0.0.1:0"]);
        command.arg("--config").arg(&file);
        let mut process = Process::start("p", &mut command);
        let ops = process.told(operations).await;
        let prober = Self { process, ops, file, _folder: folder, _cluster: cluster };
        prober.counts("trunkline_prober_alive", "", 1.0).await;
        prober
    }

    /// Waits until a metric is no less than this.
    async fn counts(&self, name: &str, labels: &str, least: f64) {
        let counted = async || router::metric(self.ops, name, labels).await;
        until(&format!("{name} {labels} {least}"), async || counted().await >= least).await;
    }

    /// Gives it another file, and waits for what comes of it for the first time.
    async fn reconfigured(&self, config: &str, outcome: &str) {
        std::fs::write(&self.file, config).unwrap();
        self.process.hang_up();
        let labels = format!("outcome=\"{outcome}\"");
        self.counts("trunkline_prober_config_reloads_total", &labels, 1.0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prober_goes_by_what_its_file_says_now() {
    let provider = Provider::start("alpha").await.serving("m");
    let prober = Prober::start(&provider, "log: info\n").await;
    // Nobody is at that port, so the prober comes to doubt its own network.
    prober.reconfigured("log: debug\ncontrols: ['127.0.0.1:1']\n", "changed").await;
    logged(&prober.process, &["configuration read again", "log controls"]).await;
    logged(&prober.process, &["\"DEBUG\""]).await;
    let doubt = ["the prober's own network does not work", "\"reached\":false"];
    logged(&prober.process, &doubt).await;

    prober.reconfigured("log: error\nusd_per_dya: 1\n", "refused").await;
    let place = format!("{}:2:1: usd_per_dya", prober.file.display());
    let refused = ["\"ERROR\"", "configuration kept", &place, "did you mean `usd_per_day`?"];
    logged(&prober.process, &refused).await;
    assert_checked(&prober.file);
    let successful = "trunkline_prober_config_last_reload_successful";
    assert_eq!(router::metric(prober.ops, successful, "").await, 0.0);
    prober.reconfigured("log: debug\ncontrols: ['127.0.0.1:1']\n", "unchanged").await;
    assert_eq!(router::metric(prober.ops, successful, "").await, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_probes_may_cost_can_change_when_they_are_needed() {
    let provider = Provider::start("alpha").await.serving("m");
    provider.fails_with(Fault::status(500));
    let prober = Prober::start(&provider, "usd_per_endpoint_day: 0\n").await;
    prober.counts("trunkline_prober_purse_empty_total", "", 1.0).await;
    let asked = "level=\"generate\"";
    assert_eq!(router::metric(prober.ops, "trunkline_prober_probes_total", asked).await, 0.0);
    let rich = "usd_per_endpoint_day: 1000\nusd_per_day: 1000\n";
    prober.reconfigured(rich, "changed").await;
    prober.counts("trunkline_prober_probes_total", asked, 1.0).await;
}

/// `--check` says the same of the file.
fn assert_checked(file: &Path) {
    let mut command = Command::new(beside("health-prober"));
    command.env_clear().args(["--check", "--id", "p", "--zone", "a"]);
    command.args(["--etcd-endpoints", "http://127.0.0.1:1"]).arg("--config").arg(file);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("usd_per_dya"), "{said}");
}
