//! What stands before the routers: like a Service of Kubernetes it knows which of them were ready when last asked,
//! and gives each call to the next of those.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use tokio::task::JoinSet;
use tokio::time::interval;

use super::wire::Http;
use crate::router::Router;

/// Between two questions to each router whether it is ready: the shortest period that Kubernetes knows.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// The routers that it knows.
#[derive(Clone, Default)]
pub(super) struct Balancer(Arc<State>);

/// Goes on asking them, until it is dropped.
pub(super) struct Asking(
    #[expect(dead_code, reason = "its end is what it is kept for")] JoinSet<()>,
);

#[derive(Default)]
struct State {
    backends: Mutex<Vec<Backend>>,
    turn: AtomicUsize,
}

#[derive(Clone, Copy)]
struct Backend {
    public: SocketAddr,
    ops: SocketAddr,
    ready: bool,
}

impl Balancer {
    /// Knows these routers, which are ready, and asks them while the other part lives.
    pub(super) fn before(routers: &[Router]) -> (Self, Asking) {
        let (balancer, mut asking) = (Self::default(), JoinSet::new());
        routers.iter().for_each(|router| balancer.add(router));
        asking.spawn(balancer.clone().keep_asking());
        (balancer, Asking(asking))
    }

    /// Knows one more router, which is ready.
    pub(super) fn add(&self, router: &Router) {
        self.backends().push(Backend { public: router.public, ops: router.ops, ready: true });
    }

    /// Forgets a router, which has ended.
    pub(super) fn forget(&self, public: SocketAddr) {
        self.backends().retain(|backend| backend.public != public);
    }

    /// Where the next call goes.
    ///
    /// # Panics
    /// When no router is ready.
    pub(super) fn pick(&self) -> SocketAddr {
        let backends = self.backends();
        let mut ready = backends.iter().filter(|backend| backend.ready);
        let turn = self.0.turn.fetch_add(1, Ordering::Relaxed) % ready.clone().count().max(1);
        ready.nth(turn).expect("a router that is ready").public
    }

    /// The operations ports of all that it knows.
    pub(super) fn operations(&self) -> Vec<SocketAddr> {
        self.backends().iter().map(|backend| backend.ops).collect()
    }

    async fn keep_asking(self) {
        let (http, mut rounds) = (Http::default(), interval(ASK_EVERY));
        loop {
            rounds.tick().await;
            for ops in self.operations() {
                let ready =
                    http.get(ops, "/readyz").await.is_ok_and(|r| r.status == StatusCode::OK);
                let mut backends = self.backends();
                backends.iter_mut().filter(|b| b.ops == ops).for_each(|b| b.ready = ready);
            }
        }
    }

    fn backends(&self) -> MutexGuard<'_, Vec<Backend>> {
        self.0.backends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
