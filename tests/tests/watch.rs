//! Watching as operators do: what changes is shown without asking again, only for as long as whoever watches may
//! see it, and nobody who watches keeps a router from leaving.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "fails its test on the spot")]

use std::io::{BufReader, Read};
use std::process::{Child, Stdio};

use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;
use trunkline_tests::cluster::{Cluster, PATIENCE, Paths};
use trunkline_tests::operator::Operator;
use trunkline_tests::provider::Provider;
use trunkline_tests::router::Setup;

/// A command that shows one state after the other.
struct Watching {
    command: Child,
    shown: UnboundedReceiver<Value>,
}

impl Watching {
    fn start(operator: &Operator, words: &[&str]) -> Self {
        let mut command = operator.command(&[words, &["--watch", "-o", "json"]].concat());
        let mut command =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it was built");
        let (tell, shown) = unbounded_channel();
        let states = BufReader::new(command.stdout.take().expect("it is piped"));
        std::thread::spawn(move || {
            let states = serde_json::Deserializer::from_reader(states).into_iter::<Value>();
            states.map_while(Result::ok).try_for_each(|state| tell.send(state))
        });
        Self { command, shown }
    }

    /// Waits for a state that is as it should be.
    async fn until(&mut self, is_so: impl Fn(&Value) -> bool) -> Value {
        let looking = async {
            while let Some(state) = self.shown.recv().await {
                if is_so(&state) {
                    return Some(state);
                }
            }
            None
        };
        let found = timeout(PATIENCE, looking).await.expect("it is shown in time");
        found.expect("it is shown before the watch ends")
    }

    /// Waits until it ends by itself: its exit code, and why.
    async fn end(mut self) -> (i32, String) {
        let ended = timeout(PATIENCE, async { while self.shown.recv().await.is_some() {} }).await;
        ended.expect("it ends");
        let mut why = String::new();
        self.command.stderr.take().unwrap().read_to_string(&mut why).unwrap();
        (self.command.wait().unwrap().code().unwrap(), why)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing is left to do.
        let _ = self.command.kill();
        let _ = self.command.wait();
    }
}

fn drained(state: &Value, provider: &str) -> bool {
    let items = state["items"].as_array().unwrap();
    items.iter().any(|endpoint| endpoint["provider"] == provider && endpoint["drained"] == true)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_through_one_router_is_shown_by_another_and_ends_when_that_one_leaves() {
    let a = Provider::start("a").await.serving("m");
    let b = Provider::start("b").await.serving("m");
    let plan = Cluster::plan().routers(2).probers(0).providers(&[&a, &b]).paths(Paths::Direct);
    let mut cluster = plan.start_unmeasured().await;
    let [one, other] = [0, 1].map(|at: usize| Operator::at(&cluster.routers[at]));
    let mut states = Watching::start(&other, &["status"]);
    let mut of_b = Watching::start(&other, &["status", "provider/b"]);
    let mut drains = Watching::start(&other, &["get", "drains"]);
    states.until(|state| !drained(state, "a")).await;
    of_b.until(|state| !drained(state, "b")).await;
    drains.until(|listed| listed["items"] == Value::Array(Vec::new())).await;

    one.sees(&["drain", "provider/a", "--reason", "maintenance", "--force"]);
    states.until(|state| drained(state, "a")).await;
    let proven = |listed: &Value| listed["items"][0]["state"] == "proven";
    assert_eq!(drains.until(proven).await["items"][0]["id"], "provider/a");
    one.sees(&["undrain", "provider/a", "--reason", "done", "--force"]);
    states.until(|state| !drained(state, "a")).await;
    let others = of_b.until(|state| state["routers"].as_array().unwrap().len() == 2).await;
    assert_eq!(others["items"].as_array().unwrap().len(), 1, "only what was asked for");

    // It would wait for its callers, and these would never go by themselves.
    cluster.routers.pop().unwrap().stop().await;
    for watching in [states, of_b] {
        let (code, why) = watching.end().await;
        assert_eq!(code, 1, "{why}");
        assert!(why.contains("watch another one"), "{why}");
    }
    assert_eq!(drains.end().await.0, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_revoked_sees_nothing_more() {
    let a = Provider::start("a").await.serving("m");
    let router = Setup::new(&[&a]).start().await;
    let operator = Operator::at(&router);
    let made = operator.reads(&["keys", "create", "--role", "viewer", "--reason", "to look"]);
    let (key, id) = (made["key"].as_str().unwrap(), made["entry"]["id"].as_str().unwrap());
    let mut states = Watching::start(&operator.with_key(key), &["status"]);
    states.until(|state| !drained(state, "a")).await;
    operator.sees(&["keys", "revoke", id, "--reason", "left the team"]);
    let (code, why) = states.end().await;
    assert_eq!(code, 1, "{why}");
    assert!(why.contains("key"), "{why}");
    let log = router.stop().await;
    assert!(log.mentions("WatchStatus"), "the refusal is written down");
}
