//! The status page is right in a real browser. What is looked at is in `tests/page/`; here the cluster that it
//! shows is started.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use trunkline_tests::cluster::Cluster;
use trunkline_tests::json::{chat, overlay};
use trunkline_tests::operator::Operator;
use trunkline_tests::process::beside;
use trunkline_tests::provider::Provider;
use trunkline_tests::router::KEY;

/// Between two calls of one caller.
const PAUSE: Duration = Duration::from_millis(50);

/// A program that a variable names, else the one that was provisioned.
#[expect(clippy::disallowed_methods, reason = "tests/run tells where it put the interpreters")]
fn provisioned(variable: &str, usual: &Path, by: &str) -> PathBuf {
    let program = std::env::var(variable).map_or_else(|_| usual.to_owned(), PathBuf::from);
    assert!(program.exists(), "{} is missing: run tests/provision/{by}", program.display());
    program
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_page_shows_the_cluster_in_a_browser() -> anyhow::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let chromium = provisioned("TRUNKLINE_CHROMIUM", Path::new("/usr/bin/chromium"), "system.sh");
    let node = provisioned("TRUNKLINE_NODE", &here.join("../target/venv/bin/node"), "python.sh");
    let alpha = Provider::start("alpha").await.serving("sim/chat").serving("sim/embed");
    let beta = Provider::start("beta").await.serving("sim/chat");
    let gamma = Provider::start("gamma").await.serving("sim/chat").serving("sim/embed");
    let plan = Cluster::plan().probers(3).zones(3).providers(&[&alpha, &beta, &gamma]);
    let cluster = plan.policy(json!({"tags": ["feature"]})).start().await;
    let router = &cluster.routers[0];
    let load = cluster.load("sim/chat", 2, PAUSE);
    for feature in ["search", "summaries", "<script>alert(1)</script>"] {
        let tagged = overlay(chat("sim/chat"), json!({"metadata": {"feature": feature}}));
        assert_eq!(router.client().chat(&tagged).await.status(), 200);
    }
    let reason = "<img src=x onerror=alert(1)>";
    let operator = Operator::at(router);
    operator.sees(&["drain", "endpoint/gamma/sim/embed", "--force", "--reason", reason]);

    let mut candidate = tempfile::NamedTempFile::new()?;
    let shorter =
        json!({"version": 1, "tags": ["feature"], "routes": {"short": {"models": ["sim/chat"]}}});
    candidate.write_all(shorter.to_string().as_bytes())?;
    let candidate = candidate.path().to_str().expect("a path that is text");
    let why = "<b>shorter</b> names";
    let how = ["--share", "50%", "--for", "30m", "--abort-on", "failed+1%", "--reason", why];
    operator.sees(&[&["policy", "canary", "-f", candidate][..], &how].concat());

    let mut looks = Command::new(node);
    looks.args(["--test", "status.test.mjs"]).current_dir(here.join("page"));
    looks.env("TRUNKLINE_OPS", format!("http://{}", router.ops));
    looks.env("TRUNKLINE_SIM", beta.sim.root_url());
    looks.env("TRUNKLINE_BROKEN", cluster.tables[0].row("beta").await.endpoint_id);
    looks.env("TRUNKLINE_ADMIN_CLI", beside("admin-cli"));
    looks.env("TRUNKLINE_ENDPOINT", format!("http://{}", router.admin));
    looks.env("TRUNKLINE_ADMIN_KEY", KEY);
    looks.env("TRUNKLINE_CHROMIUM", chromium).env("NO_PROXY", "127.0.0.1");
    let looked = tokio::task::spawn_blocking(move || looks.output()).await??;
    let told = String::from_utf8_lossy(&looked.stdout);
    assert!(looked.status.success(), "{told}{}", String::from_utf8_lossy(&looked.stderr));
    load.stop_without_loss().await;
    Ok(())
}
