//! The store on a real etcd keeps the contract, and what a watch promises when etcd fails.
#![expect(clippy::unwrap_used, reason = "what the tests share fails them by panicking")]

#[path = "support/etcd.rs"]
mod support;

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use support::Server;
use tokio::time::{Instant, timeout};
use trunkline_store::access::{Parts, Rights, Step};
use trunkline_store::contract::{play, run_all, steps};
use trunkline_store::keys::Segment;
use trunkline_store::port::{Access, Kind};
use trunkline_store::{
    Change, Embedded, Etcd, EtcdOptions, Expect, Limits, Listing, Revision, Store, StoreError,
    Watch,
};

#[tokio::test]
async fn it_keeps_the_contract() {
    let server = Server::start().await;
    run_all(Arc::new(server.store()), "/contract/").await;
}

#[test]
fn random_operations_look_the_same_on_etcd_and_embedded() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime.block_on(Server::start());
    let etcd = Arc::new(server.store());
    let dir = tempfile::tempdir().unwrap();
    let embedded = runtime.block_on(Embedded::open(dir.path(), Limits::default())).unwrap();
    let embedded = Arc::new(embedded);
    let config = Config { cases: 48, failure_persistence: None, ..Config::default() };
    let case = std::cell::Cell::new(0);
    let outcome = TestRunner::new(config).run(&steps(30), |steps| {
        case.set(case.get() + 1);
        let prefix = format!("/{}/", case.get());
        let seen = runtime.block_on(play(etcd.clone(), &prefix, &steps)).unwrap();
        let expected = runtime.block_on(play(embedded.clone(), &prefix, &steps)).unwrap();
        prop_assert_eq!(seen, expected);
        Ok(())
    });
    outcome.unwrap();
}

#[tokio::test]
async fn it_says_how_each_member_is_and_which_one_is_away() {
    let server = Server::start().await;
    let away = "http://127.0.0.1:1".to_owned();
    let members = vec![server.url().to_owned(), away.clone()];
    let about = Etcd::new(EtcdOptions { members, tls: None }).unwrap().about().await.unwrap();
    assert_eq!(about.kind, Kind::Etcd);
    let [here, gone] = about.members.try_into().unwrap();
    let told = here.told.unwrap();
    assert!(told.version.is_some_and(|version| version.starts_with("3.")));
    assert!(told.size_bytes.is_some() && !told.leaderless);
    assert_eq!((gone.address, gone.told.is_err()), (away, true));
}

#[tokio::test]
async fn an_idle_watch_stays_alive() {
    let server = Server::start().await;
    let store = server.store();
    store.put("/a", "1".into(), Expect::Any).await.unwrap();
    let mut watch = store.watch("/");
    assert!(matches!(watch.next().await, Change::Snapshot(_)));
    // Longer than any silence that would be taken for death.
    let end = Instant::now() + Duration::from_secs(20);
    let mut signs = 0;
    while Instant::now() < end {
        let change = watch.next().await;
        assert!(matches!(change, Change::Progress { .. }), "{change:?}");
        signs += 1;
    }
    assert!(signs >= 3, "{signs}");
}

#[tokio::test]
async fn a_killed_etcd_costs_no_event() {
    let mut server = Server::start().await;
    let store = server.store();
    let mut watch = store.watch("/");
    snapshot(&mut watch).await;
    for round in 0..3 {
        server.kill_and_restart().await;
        let revision = store_again(&server, &format!("/{round}")).await;
        let (seen, events) = batch(&mut watch).await;
        assert_eq!((seen, events), (revision, 1));
    }
}

#[tokio::test]
async fn a_frozen_etcd_is_noticed_and_costs_no_event() {
    let server = Server::start().await;
    let store = server.store();
    let mut watch = store.watch("/");
    snapshot(&mut watch).await;
    while !matches!(watch.next().await, Change::Progress { .. }) {}
    let frozen = Instant::now();
    server.freeze();
    while !matches!(watch.next().await, Change::Silent { .. }) {}
    assert!(frozen.elapsed() < Duration::from_secs(20), "{:?}", frozen.elapsed());
    let call = store.get("/a").await;
    assert!(matches!(call, Err(StoreError::Unavailable { .. })), "{call:?}");
    server.thaw();
    let revision = store_again(&server, "/a").await;
    assert_eq!(batch(&mut watch).await, (revision, 1));
}

#[tokio::test]
async fn compacted_history_is_listed_again() {
    let server = Server::start().await;
    let store = server.store();
    let mut watch = store.watch("/");
    snapshot(&mut watch).await;
    let mut last = Revision(0);
    for n in 0..10 {
        last = store.put("/a", n.to_string().into(), Expect::Any).await.unwrap();
    }
    let mut admin = server.admin().await;
    admin.compact(i64::try_from(last.0).unwrap(), None).await.unwrap();
    let listing = snapshot(&mut watch).await;
    assert_eq!(listing, store.list("/").await.unwrap());
    let next = store.put("/b", "1".into(), Expect::Any).await.unwrap();
    assert_eq!(batch(&mut watch).await, (next, 1));
}

#[tokio::test]
async fn a_store_that_went_back_in_time_is_listed_again() {
    let mut server = Server::start().await;
    let store = server.store();
    for n in 0..20 {
        store.put("/a", n.to_string().into(), Expect::Any).await.unwrap();
    }
    let mut watch = store.watch("/");
    let before = snapshot(&mut watch).await;
    server.lose_everything().await;
    let revision = store_again(&server, "/b").await;
    assert!(revision < before.revision);
    let after = snapshot(&mut watch).await;
    assert_eq!((after.revision, after.entries.len()), (revision, 1));
}

#[tokio::test]
async fn the_next_member_is_asked_when_one_is_not_there() {
    let server = Server::start().await;
    // A port that nobody listens on.
    let members = vec!["http://127.0.0.1:1".to_owned(), server.url().to_owned()];
    let options = trunkline_store::EtcdOptions { members, tls: None };
    let store = trunkline_store::Etcd::new(options).unwrap();
    let revision = store.put("/a", "1".into(), Expect::Absent).await.unwrap();
    let mut watch = store.watch("/");
    assert_eq!(snapshot(&mut watch).await.revision, revision);
}

#[tokio::test]
async fn a_certificate_is_an_identity_and_confines_its_user() {
    let server = Server::start_with_certificates().await;
    let mut admin = server.admin().await;
    let password = Some(etcd_client::UserAddOptions::new().with_no_pwd());
    for user in ["root", "p1"] {
        admin.user_add(user, "", password.clone()).await.unwrap();
        admin.role_add(user).await.unwrap();
        admin.user_grant_role(user, user).await.unwrap();
    }
    let own = etcd_client::Permission::read_write("/obs/p1/").with_prefix();
    admin.role_grant_permission("p1", own).await.unwrap();
    admin.auth_enable().await.unwrap();

    let (root, prober) = (server.store(), server.store_as("p1"));
    root.put("/obs/p2/a", "1".into(), Expect::Absent).await.unwrap();
    let mut watch = prober.watch("/obs/p1/");
    assert_eq!(snapshot(&mut watch).await.entries, []);
    let revision = prober.put("/obs/p1/a", "1".into(), Expect::Absent).await.unwrap();
    assert_eq!(batch(&mut watch).await, (revision, 1));
    assert!(matches!(watch.next().await, Change::Progress { .. }));
    for denied in [
        prober.put("/obs/p2/a", "2".into(), Expect::Any).await.err(),
        prober.list("/obs/").await.err(),
        server.store_as("stranger").list("/obs/p1/").await.err(),
    ] {
        assert!(matches!(denied, Some(StoreError::Denied { .. })), "{denied:?}");
    }
}

/// The users of a cluster: two probers, a router, and a router that operators use.
async fn confined() -> Server {
    let server = Server::start_with_certificates().await;
    let names = |names: [&str; 2]| names.map(|name| Segment::new(name).unwrap()).to_vec();
    let parts = Parts {
        routers: names(["r1", "r2"]),
        probers: names(["p1", "p2"]),
        operators: vec![Segment::new("r2").unwrap()],
        ..Parts::default()
    };
    let (root, wanted) = (server.administrator("root"), Rights::wanted(&parts));
    let steps = root.rights().await.unwrap().steps_to(&wanted);
    for step in &steps {
        // Twice is as good as once.
        root.take(step).await.unwrap();
        root.take(step).await.unwrap();
    }
    let rights = root.rights().await.unwrap();
    assert_eq!((rights.steps_to(&wanted), rights.flaws()), (vec![], vec![]));
    server
}

#[tokio::test]
async fn only_root_turns_access_control_on_and_looks_at_it() {
    let server = Server::start_with_certificates().await;
    let operator = server.administrator("alice");
    assert!(!operator.rights().await.unwrap().enforced, "anybody may look while it is off");
    let locked_out = operator.take(&Step::Enforce).await.unwrap_err();
    assert!(locked_out.to_string().contains("common name root"), "{locked_out}");
    let root = server.administrator("root");
    for step in root.rights().await.unwrap().steps_to(&Rights::wanted(&Parts::default())) {
        root.take(&step).await.unwrap();
    }
    assert!(root.rights().await.unwrap().enforced);
    denied(operator.rights().await, "somebody else's look");
}

#[tokio::test]
async fn whoever_is_confined_is_told_to_what() {
    let server = confined().await;
    let access = async |user: &str| server.store_as(user).about().await.unwrap().access;
    let confined = |user: &str, may_write: &[&str]| Access::Confined {
        user: user.to_owned(),
        may_write: may_write.iter().map(|range| (*range).to_owned()).collect(),
    };
    let spend = "/trunkline/v1/spend/*";
    assert_eq!(access("r1").await, confined("r1", &["/trunkline/v1/routers/r1", spend]));
    let operators =
        ["/trunkline/v1/cfg/*", "/trunkline/v1/hist/*", "/trunkline/v1/routers/r2", spend];
    assert_eq!(access("r2").await, confined("r2", &operators));
    assert_eq!(access("root").await, confined("root", &["everything"]));
    assert_eq!(access("stranger").await, Access::Untold);
    let open = Server::start().await;
    assert_eq!(open.store().about().await.unwrap().access, Access::Open);
}

fn denied<T: std::fmt::Debug>(answer: Result<T, StoreError>, what: &str) {
    assert!(matches!(answer, Err(StoreError::Denied { .. })), "{what}: {answer:?}");
}

/// Puts a sign of life under a lease, as probers and routers do.
async fn show(store: &trunkline_store::Etcd, key: &str) -> Result<Revision, StoreError> {
    let lease = store.grant_lease(Duration::from_secs(15)).await?.id;
    let txn = trunkline_store::Txn::new().put_leased(key, "{}", lease);
    Ok(store.commit(txn).await?.revision)
}

#[tokio::test]
async fn a_prober_writes_its_own_keys_and_no_others() {
    let server = confined().await;
    let (prober, other) = (server.store_as("p1"), server.store_as("p2"));
    show(&prober, "/trunkline/v1/probers/p1").await.unwrap();
    show(&other, "/trunkline/v1/probers/p2").await.unwrap();
    let seen = "/trunkline/v1/obs/p2/abcdefghij";
    other.put(seen, "up".into(), Expect::Any).await.unwrap();
    prober.put("/trunkline/v1/obs/p1/abcdefghij", "up".into(), Expect::Any).await.unwrap();
    for key in [
        seen,
        "/trunkline/v1/obs/p1",
        "/trunkline/v1/obs/p10/abcdefghij",
        "/trunkline/v1/probers/p2",
        "/trunkline/v1/probers/p10",
        "/trunkline/v1/routers/r1",
        "/trunkline/v1/cfg/catalog",
        "/trunkline/v1/cfg/keys/00000000",
        "/trunkline/v1/hist/00000000000000000001",
        "/elsewhere",
    ] {
        denied(prober.put(key, "x".into(), Expect::Any).await, key);
        denied(prober.delete(key, Expect::Any).await, key);
    }
    denied(show(&prober, "/trunkline/v1/probers/p2").await, "another's sign of life");
    let mut watch = prober.watch("/trunkline/v1/");
    assert_eq!(snapshot(&mut watch).await.entries.len(), 4, "it reads everything");
    let operators = server.store_as("r2");
    let written = operators.put("/trunkline/v1/cfg/policy", "p".into(), Expect::Any).await.unwrap();
    assert_eq!(batch(&mut watch).await, (written, 1));
}

#[tokio::test]
async fn a_router_writes_its_sign_of_life_and_an_operators_router_the_configuration() {
    let server = confined().await;
    let (router, operators) = (server.store_as("r1"), server.store_as("r2"));
    for store in [&router, &operators] {
        assert_eq!(store.list("/trunkline/v1/").await.unwrap().entries, []);
        denied(store.put("/trunkline/v1/probers/p1", "x".into(), Expect::Any).await, "a prober's");
        denied(store.put("/trunkline/v1/routers/r9", "x".into(), Expect::Any).await, "another's");
        denied(store.list("/").await, "what is not ours");
    }
    show(&router, "/trunkline/v1/routers/r1").await.unwrap();
    for key in ["/trunkline/v1/cfg/catalog", "/trunkline/v1/hist/00000000000000000001"] {
        denied(router.put(key, "x".into(), Expect::Any).await, key);
        operators.put(key, "x".into(), Expect::Absent).await.unwrap();
        assert!(router.get(key).await.unwrap().is_some(), "{key}");
    }
    denied(server.store_as("stranger").list("/trunkline/v1/").await, "a stranger");
}

/// Writes with a new connection, so that nothing is in doubt.
async fn store_again(server: &Server, key: &str) -> Revision {
    server.store().put(key, "1".into(), Expect::Any).await.unwrap()
}

async fn news(watch: &mut Watch) -> Change {
    let news = async {
        loop {
            match watch.next().await {
                Change::Progress { .. } | Change::Silent { .. } => {}
                news @ (Change::Snapshot(_) | Change::Batch { .. }) => return news,
            }
        }
    };
    timeout(Duration::from_secs(60), news).await.unwrap()
}

async fn snapshot(watch: &mut Watch) -> Listing {
    let Change::Snapshot(listing) = news(watch).await else { unreachable!("not a snapshot") };
    listing
}

/// The revision of the next batch and how many events it has.
async fn batch(watch: &mut Watch) -> (Revision, usize) {
    let Change::Batch { revision, events } = news(watch).await else { unreachable!("not a batch") };
    (revision, events.len())
}
