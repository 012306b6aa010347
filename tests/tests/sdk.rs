//! The official clients work with a router unchanged but for their base URL. Their own tests are in
//! `tests/sdk/`; here the router they talk to is started, and they are.

use std::process::Command;

use serde_json::json;
use sim_provider::{Profile, SimConfig};
use trunkline_tests::foreign::{folder, node, node_modules, python, run};
use trunkline_tests::provider::Provider;
use trunkline_tests::router::{KEY, Router, Setup, beside};

/// A key that may use one model only.
const NARROW_KEY: &str = "tl_narrowed_may-do-little";
/// The key that the gRPC client sends.
const GRPC_KEY: &str = "dev";

/// Faults that the clients meet, spelled as model names of the simulated provider.
const FAULTS: [&str; 21] = [
    "fault:status@400",
    "fault:context_length",
    "fault:content_policy",
    "fault:status@422",
    "fault:status@429@30",
    "fault:status@401",
    "fault:status@500",
    "fault:status@502",
    "fault:status@503",
    "fault:status@504",
    "fault:status@524",
    "fault:reset",
    "fault:cut@2",
    "fault:cut_reset@2",
    "fault:error_in_ok@2",
    "fault:early_eof@2",
    "fault:stall@2",
    "fault:stall@3",
    "fault:black_hole",
    "fault:slow_headers@600000",
    "acme/limited",
];

/// A router before a simulated provider that answers in eight words.
async fn router() -> (Provider, Router) {
    let config = SimConfig::with_profile(Profile::instant(8));
    let mut sim = Provider::with("sim", config).await;
    sim = sim.serving("acme/sim-small").serving("acme/sim-large");
    for fault in FAULTS {
        sim = sim.serving(fault);
    }
    let narrow = json!({"models": ["acme/sim-large"]});
    let setup = Setup::new(&[&sim]).key(NARROW_KEY, narrow).key(GRPC_KEY, json!({}));
    let router = setup.start().await;
    (sim, router)
}

fn with_addresses(mut command: Command, sim: &Provider, router: &Router) -> Command {
    command
        .env("TRUNKLINE_URL", format!("http://{}/v1", router.public))
        .env("TRUNKLINE_KEY", KEY)
        .env("TRUNKLINE_NARROW_KEY", NARROW_KEY)
        .env("TRUNKLINE_SIM", sim.sim.root_url())
        .env("TRUNKLINE_GRPC", router.public.to_string())
        .env("TRUNKLINE_MODEL", "acme/sim-small")
        .env("TRUNKLINE_EMBEDDING_MODEL", "acme/sim-small");
    command
}

fn pytest(target: &str) -> Command {
    let mut command = Command::new(python());
    command.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", target]);
    command.env("PYTHONDONTWRITEBYTECODE", "1").current_dir(folder("sdk"));
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openai_for_python() {
    let (sim, router) = router().await;
    run(with_addresses(pytest("test_openai.py"), &sim, &router)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openai_for_javascript() {
    let openai = node_modules("sdk").join("openai");
    assert!(openai.exists(), "{} is missing", openai.display());
    let (sim, router) = router().await;
    let mut command = Command::new(node());
    command.args(["--test", "openai.test.mjs"]).current_dir(folder("sdk"));
    run(with_addresses(command, &sim, &router)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpcio_for_python() {
    let (sim, router) = router().await;
    run(with_addresses(pytest("test_grpc.py"), &sim, &router)).await;
}

#[tokio::test]
async fn the_simulated_provider_is_a_fair_stand_in() {
    let mut command = pytest("sim");
    command.env("SIM_PROVIDER_BIN", beside("sim-provider"));
    run(command).await;
}
