//! Who may do what on the admin API: by the role of a key, of a certificate, or not at all; and that whatever
//! was refused or changed is written down.

use serde_json::json;
use tokio::net::TcpStream;
use trunkline_tests::authority::Authority;
use trunkline_tests::client::Client;
use trunkline_tests::operator::Operator;
use trunkline_tests::provider::Provider;
use trunkline_tests::router::{KEY, Setup};

const VIEWER: &str = "tl_viewer00_sees-what-there-is";
const OPERATOR: &str = "tl_operator_moves-what-there-is";
const CALLER: &str = "tl_caller00_only-makes-calls";

const READS: [&[&str]; 5] = [
    &["status"],
    &["get", "providers"],
    &["get", "models"],
    &["get", "endpoints"],
    &["get", "drains"],
];
const MOVES: [&[&str]; 4] = [
    &["drain", "provider/a", "--reason", "x"],
    &["undrain", "provider/a", "--reason", "x"],
    &["weight", "set", "endpoint/a/m", "90", "--reason", "x"],
    &["weight", "reset", "endpoint/a/m", "--reason", "x"],
];
const CHANGES: [&[&str]; 3] = [
    &["get", "keys"],
    &["keys", "create", "--reason", "x", "--dry-run"],
    &["keys", "revoke", "caller00", "--reason", "x"],
];

async fn providers() -> Vec<Provider> {
    let mut providers = Vec::new();
    for id in ["a", "b", "c", "d"] {
        providers.push(Provider::start(id).await.serving("m"));
    }
    providers
}

fn setup(providers: &[Provider]) -> Setup {
    Setup::new(&providers.iter().collect::<Vec<_>>())
        .key(VIEWER, json!({"role": "viewer"}))
        .key(OPERATOR, json!({"role": "operator"}))
        .key(CALLER, json!({}))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_what_it_should_and_the_rest_is_refused_and_written_down() {
    let providers = providers().await;
    let router = setup(&providers).start().await;
    let all = Operator::at(&router);
    let refused = |operator: &Operator, verbs: &[&[&str]], why: &str| {
        for words in verbs {
            let told = operator.is_told(1, words);
            assert!(told.contains(why), "{words:?}: {told}");
        }
    };
    let viewer = all.with_key(VIEWER);
    READS.iter().for_each(|words| drop(viewer.sees(words)));
    refused(&viewer, &MOVES, "key/viewer00 has the role viewer");
    refused(&viewer, &CHANGES, "needs admin");
    let operator = all.with_key(OPERATOR);
    READS.iter().chain(&MOVES).for_each(|words| drop(operator.sees(words)));
    refused(&operator, &CHANGES, "key/operator has the role operator");
    refused(&all.with_key(CALLER), &READS, "key/caller00 has no role");
    refused(&all.with_key("tl_nobody00_guesses"), &READS, "not known");
    refused(&all.with_key(""), &READS, "no API key");
    READS.iter().chain(&MOVES).chain(&CHANGES).for_each(|words| drop(all.sees(words)));

    let counted = async |labels: &str| router.metric("trunkline_admin_calls_total", labels).await;
    assert_eq!(counted("outcome=\"denied\"").await, 15.0);
    assert_eq!(counted("outcome=\"unauthenticated\"").await, 10.0);
    assert_eq!(counted("rpc=\"Drain\"").await, 3.0);
    let log = router.stop().await;
    let audited = |needles: &[&str]| {
        let line = |line: &&String| needles.iter().all(|needle| line.contains(needle));
        log.0.iter().filter(|line| line.contains("\"audit\"")).filter(line).count()
    };
    assert_eq!(audited(&["denied", "SetWeight"]), 1);
    assert_eq!(audited(&["key/operator", "\"done\""]), 4);
    assert_eq!(audited(&["unauthenticated"]), 10);
    assert_eq!(audited(&["key/viewer00", "\"done\""]), 0, "a look changes nothing");
    assert!(!log.mentions("guesses") && !log.mentions("sees-what"), "no key is logged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_can_give_roles_to_keys_that_have_none_yet() {
    let providers = providers().await;
    let roles = json!({"admin_roles": {"key/caller00": "admin", "key/viewer00": "operator"}});
    let router = setup(&providers).config(roles).start().await;
    let all = Operator::at(&router);
    all.with_key(CALLER).sees(&["keys", "create", "--reason", "x"]);
    all.with_key(VIEWER).sees(MOVES[0]);
    let drains = all.reads(&["get", "drains"]);
    assert_eq!(drains.pointer("/items/0/by"), Some(&json!("key/viewer00")));
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_have_the_roles_that_the_router_names() {
    let (authority, strangers) = (Authority::new(), Authority::new());
    let [cert, key] = authority.issue("router");
    let config = json!({
        "admin_tls": {"cert": cert, "key": key, "client_ca": authority.ca()},
        "admin_roles": {"cert/alice": "admin", "cert/bob": "viewer"},
    });
    let providers = providers().await;
    let router = setup(&providers).config(config).start().await;
    let with = |from: &Authority, name: &str| {
        let [cert, key] = from.issue(name);
        let (ca, cert, key) = (authority.ca(), cert, key);
        let flags = ["--ca".as_ref(), ca.as_os_str(), "--cert".as_ref(), cert.as_os_str()];
        let flags = [&flags[..], &["--cert-key".as_ref(), key.as_os_str()]].concat();
        Operator::at(&router).with_key("").over_tls(&flags)
    };
    let alice = with(&authority, "alice");
    MOVES.iter().take(1).chain(&CHANGES).for_each(|words| drop(alice.sees(words)));
    let drains = alice.reads(&["get", "drains"]);
    assert_eq!(drains.pointer("/items/0/by"), Some(&json!("cert/alice")));
    let bob = with(&authority, "bob");
    READS.iter().for_each(|words| drop(bob.sees(words)));
    assert!(bob.is_told(1, MOVES[1]).contains("cert/bob has the role viewer"));
    let carol = with(&authority, "carol");
    assert!(carol.is_told(1, READS[0]).contains("cert/carol has no role"));
    assert!(carol.with_key("tl_nobody00_guesses").is_told(1, READS[0]).contains("not known"));
    carol.with_key(OPERATOR).sees(MOVES[1]);
    let _ = with(&strangers, "alice").is_told(1, READS[0]);
    let ca = authority.ca();
    let bare = Operator::at(&router).with_key(VIEWER).over_tls(&["--ca".as_ref(), ca.as_os_str()]);
    let _ = bare.is_told(1, READS[0]);
    // Nobody who only looks whether somebody listens.
    drop(TcpStream::connect(router.admin).await.unwrap());
    let log = router.stop().await;
    let written = |line: &&String| line.contains("\"connect\"") && line.contains("unauthenticated");
    let written: Vec<&String> = log.0.iter().filter(written).collect();
    assert!(written.iter().any(|line| line.contains("UnknownIssuer")), "{written:#?}");
    assert!(written.iter().any(|line| line.contains("no certificate")), "{written:#?}");
    assert!(written.iter().all(|line| line.contains("\"why\":\"")), "{written:#?}");
}

const DRAIN: &str = "/trunkline.admin.v1.AdminService/Drain";
/// More refusals than are written one by one in two minutes.
const FLOOD: usize = 300;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_call_or_comes_again_is_refused_and_written_down_with_who_what_and_why() {
    let providers = providers().await;
    let router = setup(&providers).start().await;
    let sends = async |key: &str, path: &str| {
        let admin = Client { address: router.admin, key: key.to_owned() };
        let reply = admin.post(path, &json!({"target": "provider/a"})).await;
        reply.head.header("grpc-status").unwrap_or_default().to_owned()
    };
    assert_eq!(sends(OPERATOR, DRAIN).await, "13", "no message of ours");
    assert_eq!(sends(KEY, "/trunkline.admin.v1.AdminService/Surprise").await, "12");
    assert_eq!(sends(KEY, "/nowhere").await, "12");
    let operator = Operator::at(&router).with_key(OPERATOR);
    let edit = ["weight", "set", "endpoint/a/m", "90", "--reason", "x", "--expect-revision"];
    let seen = operator.reads(&["status"])["revision"].to_string();
    let edit = [&edit[..], &[&seen]].concat();
    operator.sees(&edit);
    let told = operator.is_told(4, &edit);
    assert!(told.contains("was changed at revision"), "the same once more: {told}");
    assert_eq!(router.metric("trunkline_admin_calls_total", "malformed").await, 3.0);

    let log = router.stop().await;
    let audited = |needles: &[&str]| {
        let line = |line: &&String| needles.iter().all(|needle| line.contains(needle));
        log.0.iter().filter(|line| line.contains("\"audit\"")).filter(line).count()
    };
    assert_eq!(audited(&["key/operator", "AdminService/Drain", "malformed", "\"why\""]), 1);
    assert_eq!(audited(&["key/testkey1", "AdminService/Surprise", "malformed"]), 1);
    assert_eq!(audited(&["\"/nowhere\"", "malformed", "127.0.0.1", "no such call"]), 1);
    assert_eq!(audited(&["key/operator", "SetWeight", "refused", "was changed at revision"]), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_refusals_is_counted_and_does_not_fill_the_log() {
    let providers = providers().await;
    let router = setup(&providers).start().await;
    let stranger = Client { address: router.admin, key: "tl_nobody00_guesses".to_owned() };
    for _ in 0..FLOOD {
        let reply = stranger.post(DRAIN, &json!({})).await;
        assert_eq!(reply.head.header("grpc-status"), Some("16"));
    }
    let counted = router.metric("trunkline_admin_calls_total", "unauthenticated").await;
    assert_eq!(counted, FLOOD as f64);
    let log = router.stop().await;
    let written = log.0.iter().filter(|line| line.contains("unauthenticated")).count();
    assert!((100..FLOOD).contains(&written), "{written} of {FLOOD}");
}
