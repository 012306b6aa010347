//! What an operator may rely on when policy and catalog change: what is planned is what is applied, rules
//! hold, of two edits one wins, and every version can come back.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "fails its test on the spot")]

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use trunkline_tests::cluster::{Cluster, Paths, until};
use trunkline_tests::json::{chat, overlay};
use trunkline_tests::operator::Operator;
use trunkline_tests::process::beside;
use trunkline_tests::provider::Provider;
use trunkline_tests::router::{Router, Setup};

/// A folder with documents, an operator, and what they work on.
struct Desk {
    folder: TempDir,
    operator: Operator,
    router: Router,
    _providers: Vec<Provider>,
}

impl Desk {
    /// Four providers of one model at one price, in Europe and keeping nothing; `x` is in the United States.
    async fn with(policy: Value) -> Self {
        let mut providers = Vec::new();
        for (id, jurisdiction) in [("a", "eu"), ("b", "eu"), ("c", "eu"), ("x", "us")] {
            let keys = json!({"jurisdiction": jurisdiction, "retention": "zero", "training": "no"});
            providers.push(Provider::start(id).await.serving_as("m", keys));
        }
        let all: Vec<&Provider> = providers.iter().collect();
        let router = Setup::new(&all).policy(policy).start().await;
        let folder = tempfile::tempdir().unwrap();
        Self { folder, operator: Operator::at(&router), router, _providers: providers }
    }

    /// Writes a document and says where it is.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The version in force.
    fn head(&self, kind: &str) -> String {
        let log = self.operator.reads(&[kind, "log"]);
        assert_eq!(log["items"][0]["in_force"], true);
        log["items"][0]["id"].as_str().unwrap().to_owned()
    }

    /// The catalog in force, with something changed in it.
    fn catalog(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut catalog = self.operator.reads(&["catalog", "show"]);
        change(&mut catalog);
        self.file("catalog.json", &catalog.to_string())
    }

    async fn status_of(&self, model: &str) -> u16 {
        self.router.client().chat(&chat(model)).await.status()
    }
}

/// Twelve digits of a version look the same in every run.
fn masked(text: &str, versions: &[&str]) -> String {
    versions.iter().enumerate().fold(text.to_owned(), |text, (at, version)| {
        text.replace(version.get(..12).unwrap(), &format!("<version {at}>"))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_planned_is_applied_seen_by_calls_and_rolled_back() {
    let desk = Desk::with(json!({})).await;
    let before = desk.head("policy");
    let file = desk.file("policy.yaml", "version: 1\naliases: {fast: m}\nretry: {attempts: 2}\n");
    assert_eq!(desk.status_of("fast").await, 404);
    let planned = desk.operator.reads(&["policy", "plan", "-f", &file]);
    let after = planned["version"].as_str().unwrap();
    assert_eq!(
        masked(&desk.operator.sees(&["policy", "plan", "-f", &file]), &[&before, after]),
        "\
policy <version 0> → <version 1>

CHANGED  BEFORE  AFTER
aliases  -       {\"fast\":\"m\"}
retry    -       {\"attempts\":2}

"
    );
    assert_eq!(desk.status_of("fast").await, 404, "a plan changes nothing");
    let apply = ["policy", "apply", "-f", &file, "--reason", "a short name"];
    desk.operator.sees(&[&apply[..], &["--dry-run"]].concat());
    assert_eq!(desk.head("policy"), before);
    let applied = desk.operator.sees(&apply);
    assert!(applied.contains("is in force from revision"), "{applied}");
    let reply = desk.router.client().chat(&chat("fast")).await;
    assert_eq!((reply.status(), reply.head.header("x-trunkline-policy")), (200, Some(after)));
    assert!(desk.operator.sees(&apply).contains("in force already"));
    assert!(desk.operator.reads(&["policy", "diff", "-f", &file])["items"] == json!([]));

    desk.operator.sees(&["policy", "rollback", "--reason", "not yet", "--force"]);
    assert_eq!(desk.head("policy"), before);
    assert_eq!(desk.status_of("fast").await, 404);
    let log = desk.operator.reads(&["policy", "log"]);
    let shown = |key: &str| -> Vec<Value> {
        log["items"].as_array().unwrap().iter().map(|item| item[key].clone()).collect()
    };
    assert_eq!(shown("id"), [json!(before), json!(after), json!(before)]);
    assert_eq!(shown("how"), [json!("policy rollback"), json!("policy apply"), json!("")]);
    assert_eq!(shown("reason"), [json!("not yet"), json!("a short name"), json!("")]);
    assert_eq!(log["items"][1]["by"], "key/testkey1");
    let table = masked(&desk.operator.sees(&["policy", "log"]), &[&before, after]);
    let words: Vec<&str> = table.lines().map(|line| line.split("  ").next().unwrap()).collect();
    assert_eq!(words, ["VERSION", "<version 0>", "<version 1>", "<version 0>"]);
    let shown = desk.operator.reads(&["policy", "show", &after[..8]]);
    assert_eq!(shown, json!({"version": 1, "aliases": {"fast": "m"}, "retry": {"attempts": 2}}));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reviewed_another_version_sees_both() {
    let desk = Desk::with(json!({})).await;
    let seen = desk.head("policy");
    let theirs = desk.file("theirs.yaml", "version: 1\ntags: [theirs]\n");
    let ours = desk.file("ours.yaml", "version: 1\ntags: [ours]\n");
    let apply = |file: &str| {
        let words = ["policy", "apply", "-f", file, "--reason", "r", "--expect-head", &seen[..8]];
        words.map(str::to_owned)
    };
    let words = apply(&theirs);
    desk.operator.sees(&words.each_ref().map(String::as_str));
    let words = apply(&ours);
    let told = desk.operator.is_told(4, &words.each_ref().map(String::as_str));
    assert!(told.contains(r#""tags":["theirs"]"#), "{told}");
    assert!(told.contains(r#""tags":["ours"]"#), "{told}");
    assert!(told.contains(&desk.head("policy")), "{told}");
    assert_eq!(desk.operator.reads(&["policy", "show"])["tags"], json!(["theirs"]));
}

/// Two operators apply different policies on the same version, at the same moment.
fn race(operators: [&Operator; 2], files: [&str; 2], seen: &str) -> [i32; 2] {
    std::thread::scope(|scope| {
        let runs = [0, 1].map(|at| {
            let (operator, file) = (operators[at], files[at]);
            scope.spawn(move || {
                operator.code(&[
                    "policy",
                    "apply",
                    "-f",
                    file,
                    "--reason",
                    "r",
                    "--expect-head",
                    seen,
                ])
            })
        });
        runs.map(|run| run.join().unwrap())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_apply_at_once_exactly_one_wins() {
    let desk = Desk::with(json!({})).await;
    for round in 0..5 {
        let seen = desk.head("policy");
        let [one, other] = ["one", "other"]
            .map(|who| desk.file(who, &format!("version: 1\ntags: [{who}-{round}]\n")));
        let mut codes = race([&desk.operator; 2], [&one, &other], &seen);
        codes.sort_unstable();
        assert_eq!(codes, [0, 4]);
    }
    let log = desk.operator.reads(&["policy", "log"]);
    assert_eq!(log["items"].as_array().unwrap().len(), 6, "five edits and what was there before");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_told_with_their_lines_and_nothing_is_written() {
    let desk = Desk::with(json!({})).await;
    let before = desk.head("policy");
    let file = desk.file("policy.yaml", "version: 1\nretry:\n  atempts: 2\n");
    let told = desk.operator.is_told(1, &["policy", "validate", "-f", &file]);
    assert!(told.contains("policy.yaml:3:3: retry.atempts"), "{told}");
    assert!(told.contains("did you mean `attempts`?"), "{told}");
    let nowhere = ["--endpoint", "http://127.0.0.1:1"];
    let file = desk.file("policy.yaml", "version: 1\naliases:\n  fast: mm\n");
    let validate = ["policy", "validate", "-f", &file];
    assert_eq!(desk.operator.code(&[&nowhere[..], &validate].concat()), 0, "needs no router");
    for verb in [
        &["policy", "validate", "-f", &file, "--remote"][..],
        &["policy", "plan", "-f", &file],
        &["policy", "apply", "-f", &file, "--reason", "r", "--force"],
    ] {
        let told = desk.operator.is_told(1, verb);
        assert!(told.contains("policy.yaml:3:9: aliases.fast"), "{told}");
        assert!(told.contains("did you mean `m`?"), "{told}");
    }
    assert_eq!(desk.head("policy"), before);
    desk.operator.is_told(2, &["policy", "apply", "-f", &file]);
    desk.operator.is_told(2, &["policy", "plan", "-f", "/nowhere"]);
    desk.operator.is_told(1, &["policy", "show", "0123456789ab"]);
    let schema: Value = serde_json::from_str(&desk.operator.sees(&["schema", "policy"])).unwrap();
    assert_eq!(schema["properties"]["aliases"]["type"], "object");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_lets_prompts_out_is_refused() {
    let desk = Desk::with(json!({"data": {"jurisdictions": ["eu"]}})).await;
    let before = desk.head("policy");
    let flows = desk.operator.reads(&["dataflow", "--for-key", "testkey1"]);
    let places = |flows: &Value| -> Vec<Value> {
        flows["items"].as_array().unwrap().iter().map(|flow| flow["id"].clone()).collect()
    };
    assert_eq!(places(&flows), ["a@global", "b@global", "c@global"]);
    let file = desk.file("policy.yaml", "version: 1\ndata: {jurisdictions: [eu, us]}\n");
    let plan = ["policy", "plan", "-f", &file];
    let output = desk.operator.says(&plan);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3));
    let (first, rest) = text.split_once('\n').unwrap();
    assert!(first.starts_with("policy ") && first.contains(&before[..12]), "{first}");
    assert_eq!(
        rest,
        "\n\
CHANGED             BEFORE  AFTER
data.jurisdictions  [\"eu\"]  [\"eu\",\"us\"]

traffic that moves:
MODEL  MOVED_PERMILLE  USABLE_BEFORE  USABLE_AFTER
m                 250              3             4

prompts could newly go to:
PROVIDER  REGION  JURISDICTION  RETENTION  TRAINING  KEYS
x         global  us            zero       no           1

against the rules: the data rules of the policy would let in x/m@global

"
    );
    let diff = desk.operator.sees(&["policy", "diff", "-f", &file]);
    assert_eq!(
        diff,
        rest.lines().skip(1).take(2).map(|line| format!("{line}\n")).collect::<String>()
    );
    let apply = ["policy", "apply", "-f", &file, "--reason", "more room"];
    let told = desk.operator.is_told(3, &[&apply[..], &["--force"]].concat());
    assert!(told.contains("x@global (us, kept not at all, not trained on)"), "{told}");
    assert!(told.contains("--accept-dataflow"), "{told}");
    let told = desk.operator.is_told(3, &[&apply[..], &["--accept-dataflow"]].concat());
    assert!(told.contains("would let in") && told.contains("--force"), "{told}");
    assert_eq!(desk.head("policy"), before);
    desk.operator.sees(&[&apply[..], &["--accept-dataflow", "--force"]].concat());
    assert_eq!(places(&desk.operator.reads(&["dataflow"])).len(), 4);
    desk.operator.is_told(1, &["dataflow", "--for-key", "nobodyxx"]);
    // Back to where prompts could go before: that narrows, and needs no word.
    desk.operator.sees(&["policy", "rollback", "--reason", "back", "--force"]);
    assert_eq!(desk.head("policy"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_is_held_to_the_same_rules() {
    let desk = Desk::with(json!({"aliases": {"fast": "m"}})).await;
    let file = desk.catalog(|catalog| {
        catalog["providers"].as_array_mut().unwrap().truncate(2);
    });
    let apply = ["catalog", "apply", "-f", &file, "--reason", "fewer"];
    let told = desk.operator.is_told(3, &apply);
    assert!(told.contains("2 of 4 endpoints would go at once"), "{told}");
    assert!(told.contains("% of the weight of m would move"), "{told}");
    desk.operator.sees(&[&apply[..], &["--force"]].concat());
    let endpoints = desk.operator.reads(&["get", "endpoints"]);
    assert_eq!(endpoints["items"].as_array().unwrap().len(), 2, "no router holds it back");

    let file = desk.catalog(|catalog| catalog["providers"] = json!([]));
    let told = desk.operator.is_told(3, &["catalog", "apply", "-f", &file, "--reason", "none"]);
    assert!(told.contains("m would have no usable endpoint left"), "{told}");
    assert!(told.contains("fast would have no usable endpoint left"), "{told}");
    assert!(told.contains("the policy names m, which would be gone"), "{told}");

    let file = desk.catalog(|catalog| {
        let mut next = catalog["providers"][0].clone();
        next["id"] = json!("d");
        next["endpoints"][0]["retention"] = json!({"days": 30});
        catalog["providers"].as_array_mut().unwrap().push(next);
    });
    let told =
        desk.operator.is_told(3, &["catalog", "apply", "-f", &file, "--reason", "more", "--force"]);
    assert!(told.contains("d@global (eu, kept 30 days, not trained on)"), "{told}");
    let words =
        ["catalog", "apply", "-f", &file, "--reason", "more", "--force", "--accept-dataflow"];
    desk.operator.sees(&words);
    assert_eq!(desk.operator.reads(&["get", "endpoints"])["items"].as_array().unwrap().len(), 3);
    let differences =
        desk.operator.reads(&["catalog", "rollback", "--reason", "r", "--dry-run", "--force"]);
    assert_eq!(differences["items"][0]["id"], "providers[d]");
    assert_eq!(differences["applied"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_tried_on_cases_without_a_router() {
    let desk = Desk::with(json!({})).await;
    desk.catalog(|catalog| catalog["providers"][0]["endpoints"][0]["price"]["input"] = json!(0.5));
    let policy =
        desk.file("policy.yaml", "version: 1\ndata: {jurisdictions: [eu]}\naliases: {fast: m}\n");
    let cases = |expect: &str| {
        let text = format!(
            "version: 1\ncatalog: catalog.json\ncases:\n\
             - {{name: the cheapest first, request: {{model: 'fast:floor'}}, \
               expect: {{first: [provider/a], never: [provider/x]}}}}\n\
             - name: the next stands in\n  request: {{model: fast, provider: {{order: [a, b]}}}}\n  \
               states: [{{target: provider/a, breaker: ejected}}, {{target: provider/c, drained: true}}]\n  \
               expect: {expect}\n"
        );
        desk.file("cases.yaml", &text)
    };
    let file = cases("{plan: [provider/b]}");
    let nowhere = ["--endpoint", "http://127.0.0.1:1", "policy", "test", "-f", &policy];
    let passed = desk.operator.sees(&[&nowhere[..], &[&file]].concat());
    assert_eq!(passed, "ok      the cheapest first\nok      the next stands in\n");
    let file = cases("{plan: [provider/a]}");
    let output = desk.operator.says(&[&nowhere[..], &[&file]].concat());
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("expected the plan provider/a, got b/m@global"), "{text}");
    let file = cases("{refused: not_allowed}");
    assert_eq!(desk.operator.code(&[&nowhere[..], &[&file]].concat()), 1);
    let file = cases("{never: [provider/z]}");
    let told = desk.operator.is_told(1, &[&nowhere[..], &[&file]].concat());
    assert!(told.contains("the catalog has no provider/z"), "{told}");
}

#[test]
fn the_examples_are_right_and_pass_their_cases() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/examples");
    let file = |name: &str| format!("{examples}/{name}.yaml");
    let passes = |words: &[&str]| {
        let output = Command::new(beside("admin-cli")).args(words).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    passes(&["policy", "test", "-f", &file("policy"), &file("cases")]);
    passes(&["policy", "validate", "-f", &file("policy")]);
    passes(&["catalog", "validate", "-f", &file("catalog")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_cluster_one_wins_and_a_rollback_reaches_every_router() {
    let mut providers = Vec::new();
    for id in ["a", "b"] {
        providers.push(Provider::start(id).await.serving("m"));
    }
    let all: Vec<&Provider> = providers.iter().collect();
    let cluster = Cluster::plan().routers(3).probers(1).etcd(3).providers(&all).start().await;
    let operators: Vec<Operator> = cluster.routers.iter().map(Operator::at).collect();
    let log = operators[0].reads(&["policy", "log"]);
    let before = log["items"][0]["id"].as_str().unwrap().to_owned();
    let folder = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|who| {
        let path = folder.path().join(who);
        let policy = overlay(json!({"version": 1}), json!({"aliases": {who: "m"}}));
        fs::write(&path, policy.to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    });
    let mut codes = race([&operators[1], &operators[2]], [&one, &other], &before);
    codes.sort_unstable();
    assert_eq!(codes, [0, 4]);
    let in_force = async |version: &str| {
        for router in &cluster.routers {
            let reply = router.client().chat(&chat("m")).await;
            if reply.head.header("x-trunkline-policy") != Some(version) {
                return false;
            }
        }
        true
    };
    let log = operators[0].reads(&["policy", "log"]);
    let after = log["items"][0]["id"].as_str().unwrap();
    until("every router has the policy", async || in_force(after).await).await;
    operators[0].sees(&["policy", "rollback", "--reason", "back", "--force"]);
    until("every router is back", async || in_force(&before).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_tells_what_would_have_become_of_recent_calls() {
    let desk = Desk::with(json!({})).await;
    for _ in 0..40 {
        assert_eq!(desk.status_of("m").await, 200);
    }
    let only_europe = "version: 1\ndata: {jurisdictions: [eu]}\n";
    let file = desk.file("policy.yaml", only_europe);
    let planned = desk.operator.reads(&["policy", "plan", "-f", &file]);
    let replay = &planned["replay"];
    assert_eq!(replay["calls"], 40);
    let row = |name: &str| {
        let items = replay["items"].as_array().unwrap();
        items.iter().find(|item| item["id"].as_str().unwrap().starts_with(name)).unwrap().clone()
    };
    assert!(row("x/m")["before"].as_f64().unwrap() > 0.0, "{replay}");
    assert_eq!(row("x/m")["after"], 0.0);
    assert!(row("against the other's data rules")["before"].as_u64() > Some(0), "{replay}");
    assert_eq!(row("against the other's data rules")["after"], 0);
    let served = replay["moved_calls"].as_u64().unwrap() as f64 / 40.0 * 100.0;
    assert!(served >= row("x/m")["before"].as_f64().unwrap(), "all of x's calls move: {replay}");
    let shown = desk.operator.sees(&["policy", "plan", "-f", &file]);
    assert!(shown.contains("of 40 recent calls of 1 router,"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_takes_in_the_calls_of_every_router_that_answers() {
    let a = Provider::start("a").await.serving("m");
    let b = Provider::start("b").await.serving("n");
    let plan = Cluster::plan().routers(2).probers(0).providers(&[&a, &b]).paths(Paths::Direct);
    let cluster = plan.policy(json!({"aliases": {"fast": "m"}})).start_unmeasured().await;
    let operator = Operator::at(&cluster.routers[0]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.yaml");
    fs::write(&path, "version: 1\naliases: {fast: n}\n").unwrap();
    for (router, calls) in cluster.routers.iter().zip([3, 7]) {
        for _ in 0..calls {
            assert_eq!(router.client().chat(&chat("fast")).await.status(), 200);
        }
    }
    let words = ["policy", "plan", "-f", path.to_str().unwrap(), "--force"];
    let replay = operator.reads(&words)["replay"].clone();
    assert_eq!(replay["routers"], json!(["router-0", "router-1"]), "{replay}");
    assert_eq!((&replay["calls"], &replay["moved_calls"]), (&json!(10), &json!(10)));
    let row = replay["items"].as_array().unwrap().iter().find(|row| row["id"] == "b/n@global, %");
    assert_eq!(row.unwrap()["after"], 100.0, "{replay}");
    let shown = operator.sees(&words);
    assert!(shown.contains("of 10 recent calls of 2 routers, 10 would go elsewhere"), "{shown}");

    cluster.routers[1].process.freeze();
    let replay = operator.reads(&words)["replay"].clone();
    assert_eq!(replay["silent_routers"], json!(["router-1"]), "{replay}");
    assert_eq!(replay["calls"], 3);
    cluster.routers[1].process.thaw();
}
