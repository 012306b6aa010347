//! Watches every router for judgements that take a provider's traffic away, as its metrics tell them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::interval;

use super::balancer::Balancer;
use super::wire::Http;

/// Between two looks at every router.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The judgements, and from which value on they take traffic away: `zone down` and what is worse of a verdict,
/// `ejected` of a breaker.
const JUDGEMENTS: [(&str, f64); 2] =
    [("trunkline_endpoint_verdict{", 4.0), ("trunkline_endpoint_breaker{", 3.0)];

/// One that watches.
pub(super) struct Watcher {
    stop: watch::Sender<bool>,
    watching: JoinSet<u64>,
}

impl Watcher {
    /// Watches the routers that the balancer knows.
    pub(super) fn of(balancer: &Balancer) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut watching = JoinSet::new();
        watching.spawn(watch_on(balancer.clone(), stopped));
        Self { stop, watching }
    }

    /// Ends; how often traffic was taken away.
    ///
    /// # Panics
    /// When watching did.
    pub(super) async fn stop(self) -> u64 {
        self.stop.send_replace(true);
        self.watching.join_all().await.into_iter().sum()
    }
}

async fn watch_on(balancer: Balancer, stopped: watch::Receiver<bool>) -> u64 {
    let (http, mut looks) = (Http::default(), interval(LOOK_EVERY));
    let (mut out, mut ejections) = (BTreeSet::new(), 0);
    while !*stopped.borrow() {
        looks.tick().await;
        let mut pages = JoinSet::new();
        for ops in balancer.operations() {
            let http = http.clone();
            pages.spawn(async move { (ops, http.get(ops, "/metrics").await) });
        }
        // All at once, so that one that is slow to answer does not hide the others.
        for (ops, page) in pages.join_all().await {
            // One that just ended has nothing to tell any more.
            let Ok(page) = page else { continue };
            let found = taken_away(ops, &String::from_utf8_lossy(&page.body));
            ejections += found.difference(&out).count() as u64;
            out.retain(|(router, _)| *router != ops);
            out.extend(found);
        }
    }
    ejections
}

/// The series of one router's metrics that say that an endpoint gets no traffic.
fn taken_away(ops: SocketAddr, page: &str) -> BTreeSet<(SocketAddr, String)> {
    let is_out = |line: &&str| {
        let told = line.rsplit_once(' ').and_then(|(_, value)| value.parse::<f64>().ok());
        JUDGEMENTS.iter().any(|(name, from)| line.starts_with(name) && told >= Some(*from))
    };
    page.lines().filter(is_out).map(|line| (ops, series(line))).collect()
}

fn series(line: &str) -> String {
    line.rsplit_once(' ').map_or(line, |(series, _)| series).to_owned()
}
