//! A whole cluster restarted under load as Kubernetes restarts it, on real processes and a real etcd: a new router is
//! ready before an old one is asked to end, a prober comes back under its own name, one at a time. With `--from`, all
//! begin as programs of another commit, and it is an upgrade.

mod balancer;
mod callers;
mod release;
mod watcher;
mod wire;

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use clap::Parser;
use serde::Serialize;
use serde_json::{Value, json};
use sim_provider::{Profile, SimConfig};
use tokio::time::sleep;

use crate::cluster::{Cluster, Paths};
use crate::provider::Provider;
use balancer::Balancer;
use callers::Load;
use watcher::Watcher;

/// The model.
const MODEL: &str = "m";
/// Providers of it.
const PROVIDERS: usize = 3;
/// Members of etcd.
const ETCD: usize = 3;
/// Zones.
const ZONES: usize = 3;
/// How fast a provider speaks.
const TOKENS_PER_S: u32 = 40;
/// Tokens of a long stream.
const STREAM_TOKENS: u32 = 600;
/// How long one lasts: longer than a router waits before it tells its connections to finish, much shorter than the
/// grace that they have then.
const STREAM_LASTS: Duration = Duration::from_secs((STREAM_TOKENS / TOKENS_PER_S) as u64);

/// How long a router that leaves goes on accepting: what it is where nothing is set, as is the next one.
const WAIT_MS: u64 = 5_000;
/// How long calls and streams have from then on.
const GRACE_MS: u64 = 60_000;
/// How much longer than both an end may take on a loaded machine.
const SPARE_MS: u64 = 60_000;
/// How long a router may take to end before something is wrong with it.
const ENDS_WITHIN: Duration = Duration::from_millis(WAIT_MS + GRACE_MS + SPARE_MS);

/// Restarts a cluster, one process at a time, under load.
#[derive(Clone, Debug, Parser)]
#[command(name = "rolling-restart")]
pub struct Options {
    /// Print the result as one line of JSON alone; otherwise the first losses stand before it
    #[arg(long)]
    pub json: bool,
    /// Upgrade: begin with the programs of this commit (any name that git knows, such as HEAD~1)
    #[arg(long, value_name = "COMMIT")]
    pub from: Option<String>,
    /// Routers, each a process
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub routers: u32,
    /// Probers, each a process
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(3..=20))]
    pub probers: u32,
    /// Short calls a second
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    pub calls_per_s: u32,
    /// Long streams that are always open
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub streams: u32,
}

/// What was seen.
#[derive(Clone, Debug, Serialize)]
struct Report {
    /// Short calls.
    calls: u64,
    /// Without a right and whole answer.
    failed_calls: u64,
    /// Long streams.
    streams: u64,
    /// That did not come to their end.
    cut_streams: u64,
    /// Changes of any router's verdict on any provider, all of which are well all the time, to one that takes its
    /// traffic away.
    ejections: u64,
    p50_ms: f64,
    p99_ms: f64,
    routers_restarted: u32,
    probers_restarted: u32,
    /// The commit that was upgraded from.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
}

/// Restarts, and prints.
///
/// # Errors
/// When the programs of the other commit cannot be built, or nothing can be printed.
///
/// # Panics
/// When the cluster does not start, or a process does not end as asked.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    let mut cluster = start(options).await?;
    let (balancer, _asking) = Balancer::before(&cluster.routers);
    let watcher = Watcher::of(&balancer);
    let load = Load::start(&balancer, options.calls_per_s, options.streams);
    // Until streams of every age are open.
    sleep(STREAM_LASTS).await;
    restart_routers(&mut cluster, &balancer).await;
    restart_probers(&mut cluster).await;
    let tally = load.stop().await;
    let report = Report {
        calls: tally.calls,
        failed_calls: tally.failed,
        streams: tally.streams,
        cut_streams: tally.cut,
        ejections: watcher.stop().await,
        p50_ms: tally.times.p50_ms(),
        p99_ms: tally.times.p99_ms(),
        routers_restarted: options.routers,
        probers_restarted: options.probers,
        from: options.from.clone(),
    };
    let mut out = std::io::stdout().lock();
    if !options.json {
        for reason in &tally.reasons {
            writeln!(out, "lost: {reason}")?;
        }
    }
    writeln!(out, "{}", serde_json::to_string(&report)?)?;
    Ok(())
}

async fn start(options: &Options) -> anyhow::Result<Cluster> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let old = options.from.as_ref().map(|commit| release::build(project, commit)).transpose()?;
    let mut providers = Vec::new();
    for number in 0..PROVIDERS {
        let profile = Profile {
            tokens_per_second: f64::from(TOKENS_PER_S),
            tokens: STREAM_TOKENS,
            ..Profile::default()
        };
        let (id, config) = (format!("provider-{number}"), SimConfig::with_profile(profile));
        providers.push(Provider::with(&id, config).await.serving(MODEL));
    }
    let all: Vec<&Provider> = providers.iter().collect();
    let plan = Cluster::plan().routers(options.routers as usize).probers(options.probers as usize);
    let plan = plan.zones(ZONES).etcd(ETCD).providers(&all).paths(Paths::Direct);
    let plan = plan.config(as_in_production());
    let plan = match old {
        Some(old) => plan.programs(&old),
        None => plan,
    };
    Ok(plan.start().await)
}

/// The harness hurries; here a router leaves as it does where nothing is set.
fn as_in_production() -> Value {
    json!({"drain": {"wait_ms": WAIT_MS, "grace_ms": GRACE_MS}, "worker_threads": 1})
}

async fn restart_routers(cluster: &mut Cluster, balancer: &Balancer) {
    for number in 0..cluster.routers.len() {
        let new = cluster.another_router(number).await;
        balancer.add(&new);
        let old = std::mem::replace(&mut cluster.routers[number], new);
        let public = old.public;
        old.stop_within(ENDS_WITHIN).await;
        balancer.forget(public);
    }
}

async fn restart_probers(cluster: &mut Cluster) {
    for number in 0..cluster.probers.len() {
        cluster.restart_prober(number).await;
    }
}
