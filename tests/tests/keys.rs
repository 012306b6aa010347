//! API keys from the operator's side: shown once, held to what they may do, and gone everywhere when revoked;
//! and that edits which meet lose nothing.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "fails its test on the spot")]

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Value, json};
use tonic::Code;
use tonic::metadata::MetadataValue;
use tonic::transport::Endpoint;
use trunkline_proto::inference::v1::ListModelsRequest;
use trunkline_proto::inference::v1::inference_service_client::InferenceServiceClient;
use trunkline_store::keys::{CONFIG, HISTORY};
use trunkline_tests::client::Client;
use trunkline_tests::cluster::{Cluster, Paths, until};
use trunkline_tests::json::chat;
use trunkline_tests::operator::Operator;
use trunkline_tests::provider::Provider;
use trunkline_tests::router::{KEY, Router, Setup};

/// Edits that meet.
const AT_ONCE: usize = 50;

async fn two() -> [Provider; 2] {
    [Provider::start("a").await.serving("m").serving("n"), Provider::start("b").await.serving("m")]
}

/// Makes a key and returns it with its public part.
fn made(operator: &Operator, flags: &[&str]) -> (String, String) {
    let answer = operator.reads(&[&["keys", "create", "--reason", "a test"], flags].concat());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&answer["key"]), text(&answer["entry"]["id"]))
}

async fn status(router: &Router, key: &str, model: &str) -> u16 {
    router.client_with(key).chat(&chat(model)).await.status()
}

/// How a call over gRPC ends.
async fn code(router: &Router, key: &str) -> Code {
    let endpoint = Endpoint::from_shared(format!("http://{}", router.public)).unwrap();
    let mut client = InferenceServiceClient::new(endpoint.connect().await.unwrap());
    let mut request = tonic::Request::new(ListModelsRequest::default());
    let bearer = MetadataValue::try_from(format!("Bearer {key}")).unwrap();
    request.metadata_mut().insert("authorization", bearer);
    client.list_models(request).await.map_or_else(|status| status.code(), |_| Code::Ok)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_shown_once_and_opens_what_it_should_until_it_is_revoked() {
    let [a, b] = two().await;
    let router = Setup::new(&[&a, &b]).start().await;
    let operator = Operator::at(&router);
    let flags = ["--note", "the search team", "--model", "m", "--provider", "b"];
    let (key, id) = made(&operator, &flags);
    assert!(key.starts_with(&format!("tl_{id}_")) && key.len() == 64, "{key}");
    assert_eq!(status(&router, &key, "m").await, 200);
    assert!(a.saw("m").is_empty(), "a provider that the key may not reach");
    assert_ne!(status(&router, &key, "n").await, 200);
    assert_eq!(code(&router, &key).await, Code::Ok);
    assert!(operator.with_key(&key).is_told(1, &["status"]).contains("has no role"));

    let listed = operator.reads(&["get", "keys"]);
    let found = listed["items"].as_array().unwrap().iter().find(|k| k["id"] == json!(id)).unwrap();
    assert_eq!(found["note"], "the search team");
    assert_eq!(found["rules"]["models"], json!(["m"]));
    assert_eq!(found["rules"]["by"], "key/testkey1");
    let secret = key.rsplit('_').next().unwrap();
    assert!(!listed.to_string().contains(secret) && !listed.to_string().contains("hash"));

    operator.sees(&["keys", "revoke", &id, "--reason", "left the team"]);
    assert_eq!(status(&router, &key, "m").await, 401);
    assert_eq!(code(&router, &key).await, Code::Unauthenticated);
    assert!(operator.is_told(1, &["keys", "revoke", &id, "--reason", "x"]).contains("no key"));
    assert!(!router.stop().await.mentions(secret), "a key is never logged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_revoked_while_a_router_leaves_opens_nothing_there() {
    let [a, b] = two().await;
    let drain = json!({"drain": {"wait_ms": 600_000, "grace_ms": 1_000}});
    let router = Setup::new(&[&a, &b]).config(drain).start().await;
    let operator = Operator::at(&router);
    let (key, id) = made(&operator, &[]);
    router.process.terminate();
    let operations = Client { address: router.ops, key: String::new() };
    until("it leaves", async || operations.get("/readyz").await.status() == 503).await;
    assert_eq!(status(&router, &key, "m").await, 200, "calls are still taken");
    operator.sees(&["keys", "revoke", &id, "--reason", "lost"]);
    assert_eq!(status(&router, &key, "m").await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_ends_when_it_should_and_opens_only_where_it_should() {
    let [a, b] = two().await;
    let router = Setup::new(&[&a, &b]).start().await;
    let operator = Operator::at(&router);
    let (short, id) = made(&operator, &["--expires", "2s"]);
    until("it has ended", async || status(&router, &short, "m").await == 401).await;
    assert_eq!(code(&router, &short).await, Code::Unauthenticated);
    let refused = router.client_with(&short).chat(&chat("m")).await;
    assert!(refused.text().contains("has expired"), "{}", refused.text());
    assert_eq!(operator.reads(&["describe", "key", &id])["expired"], true);

    let (here, _) = made(&operator, &["--from", "10.0.0.0/8", "--from", "127.0.0.0/8"]);
    assert_eq!(status(&router, &here, "m").await, 200);
    assert_eq!(code(&router, &here).await, Code::Ok);
    let elsewhere = ["--from", "10.0.0.0/8", "--role", "admin"];
    let (elsewhere, _) = made(&operator, &elsewhere);
    assert_eq!(status(&router, &elsewhere, "m").await, 403);
    assert_eq!(code(&router, &elsewhere).await, Code::PermissionDenied);
    assert!(operator.with_key(&elsewhere).is_told(1, &["status"]).contains("may not be used from"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_is_refused_by_the_other_router_too() {
    let [a, b] = two().await;
    let plan = Cluster::plan().routers(2).probers(0).providers(&[&a, &b]).paths(Paths::Direct);
    let cluster = plan.start_unmeasured().await;
    let [one, other] = &cluster.routers[..] else { panic!("two routers") };
    let operator = Operator::at(one);
    let (key, id) = made(&operator, &[]);
    until("the other router knows it", async || status(other, &key, "m").await == 200).await;
    operator.sees(&["keys", "revoke", &id, "--reason", "lost"]);
    let answered = Instant::now();
    assert_eq!(status(one, &key, "m").await, 401, "the router that answered");
    until("the other router refuses it", async || status(other, &key, "m").await == 401).await;
    eprintln!("from the answer to the refusal at the other router: {:?}", answered.elapsed());
    assert_eq!(code(other, &key).await, Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_make_no_key_and_the_last_admin_stays() {
    let [a, b] = two().await;
    let router = Setup::new(&[&a, &b]).key("tl_caller00_x", json!({})).start().await;
    let operator = Operator::at(&router);
    let create = |flags: &[&str]| {
        operator.is_told(2, &[&["keys", "create", "--reason", "x"], flags].concat())
    };
    assert!(create(&["--from", "10.0.0.0/33"]).contains("networks[0]"));
    assert!(create(&["--model", "mm"]).contains("models[0]"));
    assert!(create(&["--rpm", "0"]).contains("requests_per_minute"));
    assert!(create(&["--expires", "soon"]).contains("15m"));
    operator.sees(&["keys", "create", "--reason", "x", "--dry-run", "--model", "m"]);
    assert_eq!(operator.reads(&["keys", "list"])["items"].as_array().unwrap().len(), 2);

    let revoke = ["keys", "revoke", "testkey1", "--reason", "x"];
    assert!(operator.is_told(3, &revoke).contains("last key with the role admin"));
    operator.sees(&["keys", "revoke", "caller00", "--reason", "x"]);
    assert_eq!(status(&router, "tl_caller00_x", "m").await, 401);
    let (next, _) = made(&operator, &["--role", "admin"]);
    operator.sees(&revoke);
    assert_eq!(status(&router, KEY, "m").await, 401);
    let listed = operator.with_key(&next).reads(&["keys", "list"]);
    assert_eq!(
        listed["items"].as_array().unwrap().iter().filter(|k| k["expired"] == true).count(),
        2
    );
}

/// The history's entries in the order of their writing.
async fn history(cluster: &Cluster) -> Vec<Value> {
    let mut entries = cluster.etcd.list(HISTORY).await.entries;
    entries.sort_by_key(|entry| entry.mod_revision);
    entries.iter().map(|entry| serde_json::from_slice(&entry.value).unwrap()).collect()
}

/// The history, replayed record by record, is what the store holds: each entry begins where the one before
/// ended, and the last is what is there.
async fn history_is_complete(cluster: &Cluster, below: &str) {
    let mut replayed: BTreeMap<String, Value> = BTreeMap::new();
    for entry in history(cluster).await {
        for change in entry["changes"].as_array().unwrap() {
            let key = change["key"].as_str().unwrap().to_owned();
            let before = replayed.remove(&key).unwrap_or(Value::Null);
            assert_eq!(before, change["before"], "an edit of {key} is missing");
            if !change["after"].is_null() {
                replayed.insert(key, change["after"].clone());
            }
        }
    }
    replayed.retain(|key, _| key.starts_with(below));
    let stored = cluster.etcd.list(below).await.entries.into_iter();
    let stored = stored.map(|e| (e.key, serde_json::from_slice(&e.value).unwrap()));
    assert_eq!(replayed, stored.collect());
}

async fn three_routers() -> Cluster {
    let [a, b] = two().await;
    let plan = Cluster::plan().routers(3).probers(0).providers(&[&a, &b]).paths(Paths::Direct);
    plan.start_unmeasured().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_made_and_revoked_at_once_are_all_there_and_all_gone_on_every_router() {
    let cluster = three_routers().await;
    let operators: Vec<Operator> = cluster.routers.iter().map(Operator::at).collect();
    let at = |number: usize| &operators[number % operators.len()];
    let keys: Vec<(String, String)> = std::thread::scope(|scope| {
        let made = |number| scope.spawn(move || made(at(number), &["--model", "m"]));
        let threads: Vec<_> = (0..AT_ONCE).map(made).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for router in &cluster.routers {
        for (key, _) in &keys {
            until("a new key opens", async || status(router, key, "m").await == 200).await;
        }
    }
    std::thread::scope(|scope| {
        for (number, (_, id)) in keys.iter().enumerate() {
            // Through another router than the one that made it.
            scope.spawn(move || at(number + 1).sees(&["keys", "revoke", id, "--reason", "x"]));
        }
    });
    for router in &cluster.routers {
        for (key, _) in &keys {
            until("a revoked key opens nothing", async || status(router, key, "m").await == 401)
                .await;
        }
    }
    assert_eq!(history(&cluster).await.len(), 2 * AT_ONCE);
    history_is_complete(&cluster, &format!("{CONFIG}keys/")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weights_set_at_once_lose_no_edit_and_a_killed_command_leaves_all_or_nothing() {
    let cluster = three_routers().await;
    let operators: Vec<Operator> = cluster.routers.iter().map(Operator::at).collect();
    let at = |number: usize| &operators[number % operators.len()];
    let words = |number: usize| {
        let target = ["endpoint/a/m", "endpoint/b/m"][number % 2];
        let weight = (100 + number).to_string();
        ["weight", "set", target, &weight, "--reason", "together", "--force"].map(str::to_owned)
    };
    std::thread::scope(|scope| {
        for number in 0..AT_ONCE {
            let (operator, words) = (at(number), words(number));
            scope.spawn(move || operator.sees(&words.each_ref().map(String::as_str)));
        }
    });
    let done = history(&cluster).await;
    assert_eq!(done.len(), AT_ONCE);
    let weights: std::collections::BTreeSet<u64> =
        done.iter().filter_map(|e| e["changes"][0]["after"]["weight"].as_u64()).collect();
    assert_eq!(weights.len(), AT_ONCE, "each edit is there once");
    history_is_complete(&cluster, &format!("{CONFIG}overrides/weights/")).await;

    for number in 0..AT_ONCE {
        let words = words(AT_ONCE + number);
        let mut command = at(number).command(&words.each_ref().map(String::as_str));
        let command = command.stdout(std::process::Stdio::null());
        let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
        // From before it connects to after it has its answer: where it is killed is the point.
        tokio::time::sleep(std::time::Duration::from_millis(number as u64)).await;
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // What was still on its way when its command was killed is done or dropped by then.
    at(0).sees(&["weight", "set", "endpoint/a/m", "7", "--reason", "the last", "--force"]);
    let killed = history(&cluster).await.len() - done.len() - 1;
    assert!(killed > 0 && killed < AT_ONCE, "{killed} of the killed commands were done");
    history_is_complete(&cluster, &format!("{CONFIG}overrides/weights/")).await;
}
