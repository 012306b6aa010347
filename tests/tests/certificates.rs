//! Certificates that are wrong are named, with the file to look at; certificates that are renewed are taken up by
//! everything that uses them, and no call, no watch and no stream of evidence is lost.
#![expect(clippy::unwrap_used, reason = "fails its test on the spot")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tempfile::TempDir;
use trunkline_store::keys::ROOT;
use trunkline_store::{Etcd, Store};
use trunkline_tests::authority::Authority;
use trunkline_tests::cluster::{Load, until};
use trunkline_tests::guarded::Guarded;
use trunkline_tests::json::overlay;
use trunkline_tests::operator::Operator;
use trunkline_tests::process::Process;
use trunkline_tests::provider::Provider;
use trunkline_tests::router::{self, Router, Setup};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_certificate_is_refused_and_why_is_told() {
    let (etcd, strangers) = (Guarded::start().await, Authority::new());
    let (ca, mine) = (etcd.authority.ca(), etcd.authority.issue("root"));
    let told = async |store: Etcd| store.list(ROOT).await.unwrap_err().to_string();
    let is_told = async |ca: &Path, identity: &[PathBuf; 2], problem: &str, file: &str| {
        let said = told(etcd.store_with(ca.to_owned(), identity.clone())).await;
        assert!(said.contains(problem) && said.contains(file), "{said}");
    };
    // Ours.
    let late = etcd.authority.issue_expired("late");
    is_told(&ca, &late, "our certificate has expired", "late.pem").await;
    is_told(&ca, &strangers.issue("odd"), "our certificate", "odd.pem").await;
    let own = etcd.authority.issue_self_signed("own");
    is_told(&ca, &own, "our certificate", "own.pem").await;
    // etcd's, which it reads for every handshake.
    let others = strangers.ca();
    is_told(&others, &mine, "an authority that is not in", others.to_str().unwrap()).await;
    let _ = etcd.authority.issue_self_signed("etcd");
    is_told(&ca, &mine, "an authority that is not in", ca.to_str().unwrap()).await;
    let _ = etcd.authority.issue_expired("etcd");
    is_told(&ca, &mine, "its certificate expired", &etcd.url).await;
    let _ = etcd.authority.issue_for_elsewhere("etcd");
    is_told(&ca, &mine, "not for the name 127.0.0.1", "elsewhere.test").await;
    let _ = etcd.authority.issue("etcd");
    assert!(etcd.store_with(ca, mine).list(ROOT).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_says_why_it_does_not_get_to_etcd_and_goes_on_when_it_does() {
    let etcd = Guarded::start().await;
    let alpha = Provider::start("alpha").await.serving("m");
    let identity = etcd.authority.issue("router-a");
    let _ = etcd.authority.issue_expired("etcd");
    let setup = Setup::new(&[&alpha]).etcd(std::slice::from_ref(&etcd.url));
    let mut router = setup.config(etcd.entry(&identity)).begin().await;
    let why = |line: &str| line.contains("its certificate expired").then_some(());
    router.process.told(why).await;
    let _ = etcd.authority.issue("etcd");
    router.wait_until_ready().await;
}

/// An operator with a certificate, who trusts this authority.
fn trusting(router: &Router, ca: &Path, [cert, key]: &[PathBuf; 2]) -> Operator {
    let flags = [("--ca", ca), ("--cert", cert), ("--cert-key", key)];
    let flags = flags.iter().flat_map(|(flag, file)| [flag.as_ref(), file.as_os_str()]);
    Operator::at(router).over_tls(&flags.collect::<Vec<_>>())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_learns_whose_certificate_is_wrong() {
    let (authority, strangers) = (Authority::new(), Authority::new());
    let files = authority.issue("router");
    let [cert, key] = &files;
    let tls = json!({"admin_tls": {"cert": cert, "key": key, "client_ca": authority.ca()}});
    let alpha = Provider::start("alpha").await.serving("m");
    let router = Setup::new(&[&alpha]).config(tls).start().await;
    let (ca, mine) = (authority.ca(), authority.issue("alice"));
    // The connection may end before the refusal is read; then it is only told that it ended.
    let is_told = async |operator: &Operator, needles: [&str; 2]| {
        let told = async || operator.is_told(1, &["status"]);
        let all = async || {
            let said = told().await;
            needles.iter().all(|needle| said.contains(needle))
        };
        until(needles[0], all).await;
    };
    let late = authority.issue_expired("late");
    is_told(&trusting(&router, &ca, &late), ["our certificate has expired", "late.pem"]).await;
    let odd = strangers.issue("odd");
    is_told(&trusting(&router, &ca, &odd), ["the authority of our certificate", "odd.pem"]).await;
    let others = strangers.ca();
    let wary = trusting(&router, &others, &mine);
    is_told(&wary, ["an authority that is not in", others.to_str().unwrap()]).await;
    trusting(&router, &ca, &mine).sees(&["status"]);
    // A port does not show a certificate that has ended while it has one that has not …
    let expired = authority.issue_expired("expired");
    replace(&files, &expired);
    router.process.hang_up();
    reloaded(&router, "admin", "refused").await;
    trusting(&router, &ca, &mine).sees(&["status"]);
    // … but one for another name, because it does not know by which name it is asked for.
    let elsewhere = authority.issue_for_elsewhere("elsewhere");
    replace(&files, &elsewhere);
    router.process.hang_up();
    reloaded(&router, "admin", "changed").await;
    is_told(&trusting(&router, &ca, &mine), ["not for the name 127.0.0.1", "elsewhere.test"]).await;
}

fn replace(files: &[PathBuf; 2], with: &[PathBuf; 2]) {
    for (to, from) in files.iter().zip(with) {
        std::fs::copy(from, to).unwrap();
    }
}

async fn reloaded(router: &Router, purpose: &str, outcome: &str) {
    let labels = [format!("purpose=\"{purpose}\""), format!("outcome=\"{outcome}\"")];
    let name = "trunkline_certificate_reloads_total";
    let counted = async || router.metric(name, &labels.join(",")).await;
    until(&format!("{purpose} {outcome}"), async || counted().await >= 1.0).await;
}

/// The operations port and the evidence's URL, as a prober logs them.
fn listening(line: &str) -> Option<(SocketAddr, String)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let told = |name: &str| line.get(name).and_then(Value::as_str);
    Some((told("ops")?.parse().ok()?, told("evidence")?.to_owned()))
}

/// A router and a prober that show certificates to everybody, and the files of those that will be renewed.
struct Pair {
    router: Router,
    prober: Process,
    /// The prober's operations port.
    operations: SocketAddr,
    to_etcd: [PathBuf; 2],
    admin: [PathBuf; 2],
    /// The authorities of operators.
    admins: PathBuf,
    _folder: TempDir,
}

impl Pair {
    /// The prober shows this certificate to the router.
    async fn start(etcd: &Guarded, providers: [&Provider; 2], shown: &[PathBuf; 2]) -> Self {
        let authority = &etcd.authority;
        let folder = tempfile::tempdir().unwrap();
        let admins = folder.path().join("admins.pem");
        std::fs::copy(authority.ca(), &admins).unwrap();
        let [to_etcd, to_probers, admin] =
            ["fleet-1", "reporter", "admin"].map(|name| authority.issue(name));
        let config = json!({
            "node_id": "router-a",
            "admin_tls": {"cert": admin[0], "key": admin[1], "client_ca": admins},
            "evidence_tls": {"ca": authority.ca(), "cert": to_probers[0], "key": to_probers[1]},
        });
        let setup = Setup::new(&providers).etcd(std::slice::from_ref(&etcd.url));
        let router = setup.config(overlay(config, etcd.entry(&to_etcd))).start().await;
        let (ca, [cert, key]) = (authority.ca(), shown);
        let [ca, cert, key] = [&ca, cert, key].map(|path| path.to_str().unwrap());
        let flags = ["--listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key];
        let flags = [&flags[..], &["--tls-client-ca", ca]].concat();
        let mut prober = etcd.prober(("a", "a"), providers, &flags);
        let (operations, _) = prober.told(listening).await;
        Self { router, prober, operations, to_etcd, admin, admins, _folder: folder }
    }

    async fn of_prober(&self, name: &str, labels: &str) -> f64 {
        router::metric(self.operations, name, labels).await
    }

    /// Whether the prober hears the router, as one witness.
    async fn is_heard(&self) -> bool {
        self.of_prober("trunkline_prober_evidence_routers", "").await == 1.0
    }

    fn logged(&self, words: &[&str]) -> usize {
        let lines = self.router.process.lines();
        lines.iter().filter(|line| words.iter().all(|word| line.contains(word))).count()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_renewed_under_traffic_and_nothing_is_lost() {
    let (etcd, next) = (Guarded::start().await, Authority::new());
    let authority = &etcd.authority;
    let fleet = ["--routers", "fleet-1", "--routers", "fleet-2", "--prober", "a"];
    etcd.confine(&[&fleet[..], &["--operator", "fleet-1", "--operator", "fleet-2"]].concat());
    let alpha = Provider::start("alpha").await.serving("m");
    let beta = Provider::start("beta").await.serving("m");
    let pair = Pair::start(&etcd, [&alpha, &beta], &authority.issue("evidence")).await;
    let router = &pair.router;
    until("the router reports", async || pair.is_heard().await).await;
    let before = trusting(router, &authority.ca(), &authority.issue("alice"));
    before.sees(&["status"]);
    let load = Load::start(vec![router.client()], "m", 4, Duration::from_millis(5));

    // Another user of etcd, another authority of the admin port, the same witness.
    authority.renew("fleet-2", &pair.to_etcd);
    let _ = authority.issue("reporter");
    next.renew("admin", &pair.admin);
    let both = [authority.ca(), next.ca()].map(|ca| std::fs::read_to_string(ca).unwrap());
    std::fs::write(&pair.admins, both.concat()).unwrap();
    router.process.hang_up();
    for purpose in ["etcd", "evidence", "admin"] {
        reloaded(router, purpose, "changed").await;
    }
    let reports = || pair.logged(&["reporting live traffic"]);
    until("the router reports anew", async || reports() == 2).await;
    let _ = authority.issue("evidence");
    pair.prober.hang_up();
    let reloads = "trunkline_prober_certificate_reloads_total";
    let changed = "purpose=\"evidence\",outcome=\"changed\"";
    let taken_up = async || pair.of_prober(reloads, changed).await == 1.0;
    until("the prober has taken it up", taken_up).await;

    // The user of before is gone: what works now works as the other.
    etcd.etcdctl(&["user", "delete", "fleet-1"]);
    let after = trusting(router, &next.ca(), &next.issue("alice"));
    let edited = after.reads(&["weight", "set", "endpoint/alpha/m", "50", "--reason", "x"]);
    after.sees(&["wait", "--revision", &edited["revision"].to_string()]);
    let told = before.is_told(1, &["status"]);
    assert!(told.contains("an authority that is not in"), "{told}");

    // Half of a pair, as when a file is being written.
    std::fs::write(&pair.to_etcd[0], "-----BEGIN CERTIFICATE-----\nMIIB").unwrap();
    router.process.hang_up();
    reloaded(router, "etcd", "refused").await;
    let kept = || pair.logged(&["certificates kept", "fleet-1.pem"]);
    until("the log names the file", async || kept() == 1).await;
    after.sees(&["weight", "reset", "endpoint/alpha/m", "--reason", "x"]);
    let own = "purpose=\"etcd\",part=\"certificate\"";
    let ends = router.metric("trunkline_certificate_expiry_timestamp_seconds", own).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    assert!(ends > now, "{ends}");
    assert!(pair.is_heard().await, "a renewed certificate is no second witness");
    load.stop_without_loss().await;
    assert_eq!(pair.logged(&["the store does not answer"]), 0, "a renewal is no silence");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prober_with_a_wrong_certificate_is_named_in_the_log_of_its_routers() {
    let (etcd, strangers) = (Guarded::start().await, Authority::new());
    let alpha = Provider::start("alpha").await.serving("m");
    let beta = Provider::start("beta").await.serving("m");
    let shown = etcd.authority.issue_expired("evidence");
    let mut pair = Pair::start(&etcd, [&alpha, &beta], &shown).await;
    let named = |line: &str| line.contains("the prober cannot be told").then(|| line.to_owned());
    let told = pair.router.process.told(named).await;
    assert!(
        told.contains("its certificate expired") && told.contains("\"prober\":\"a\""),
        "{told}"
    );
    let wrong = [
        (strangers.issue("evidence"), "an authority that is not in"),
        (etcd.authority.issue_for_elsewhere("elsewhere"), "not for the name 127.0.0.1"),
    ];
    for (files, problem) in &wrong {
        replace(&shown, files);
        pair.prober.hang_up();
        until(problem, async || pair.logged(&["the prober cannot be told", problem]) > 0).await;
    }
    let _ = etcd.authority.issue("evidence");
    pair.prober.hang_up();
    until("the router reports", async || pair.is_heard().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_script_for_a_private_authority_makes_what_routers_and_operators_take() {
    let folder = tempfile::tempdir().unwrap();
    let pki = folder.path().join("pki");
    let run = |words: &[&str]| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/tls/ca");
        let mut command = std::process::Command::new(script);
        let (verb, rest) = words.split_first().unwrap();
        command.arg(verb).arg(&pki).args(rest).output().unwrap()
    };
    let made = |words: &[&str]| {
        let output = run(words);
        assert!(output.status.success(), "{words:?}: {output:?}");
    };
    made(&["init"]);
    assert!(!run(&["init"]).status.success(), "an authority is not replaced by accident");
    made(&["issue", "router", "router.test", "IP:127.0.0.1"]);
    made(&["issue", "alice"]);
    let files = |name: &str| ["", "-key"].map(|kind| pki.join(format!("{name}{kind}.pem")));
    let [cert, key] = files("router");
    let admin = json!({"cert": cert, "key": key, "client_ca": pki.join("ca.pem")});
    let config = json!({"admin_tls": admin, "admin_roles": {"cert/alice": "viewer"}});
    let alpha = Provider::start("alpha").await.serving("m");
    let router = Setup::new(&[&alpha]).config(config).start().await;
    let alice = trusting(&router, &pki.join("ca.pem"), &files("alice")).with_key("");
    alice.sees(&["status"]);
    made(&["issue", "router", "IP:127.0.0.1"]);
    router.process.hang_up();
    reloaded(&router, "admin", "changed").await;
    alice.sees(&["status"]);
}
