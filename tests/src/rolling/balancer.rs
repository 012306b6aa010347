//! What stands before the routers: like a Service of Kubernetes it knows which of them were ready when last asked,
//! and gives each call to the next of those.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use http::StatusCode;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::wire::{Answer, Http};
use crate::router::Router;

/// Between two questions to each router whether it is ready: the shortest period that Kubernetes knows.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How long a router has to answer; it is asked again then, so that a busy machine delays no question.
const ANSWERS_WITHIN: Duration = ASK_EVERY;
/// Questions in a row without an answer after which a router counts as not ready, as in the chart. One that says that
/// it is not ready is so at once: Kubernetes takes a pod out when it asks it to end.
const UNANSWERED_MAX: u32 = 2;

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
    unanswered: u32,
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
        self.know(router.public, router.ops);
    }

    fn know(&self, public: SocketAddr, ops: SocketAddr) {
        self.backends().push(Backend { public, ops, ready: true, unanswered: 0 });
    }

    /// Forgets a router, which has ended.
    pub(super) fn forget(&self, public: SocketAddr) {
        self.backends().retain(|backend| backend.public != public);
    }

    /// Where the next call goes.
    ///
    /// # Errors
    /// When no router is ready.
    pub(super) fn pick(&self) -> anyhow::Result<SocketAddr> {
        let backends = self.backends();
        let mut ready = backends.iter().filter(|backend| backend.ready);
        let turn = self.0.turn.fetch_add(1, Ordering::Relaxed) % ready.clone().count().max(1);
        Ok(ready.nth(turn).context("no router is ready")?.public)
    }

    /// The operations ports of all that it knows.
    pub(super) fn operations(&self) -> Vec<SocketAddr> {
        self.backends().iter().map(|backend| backend.ops).collect()
    }

    async fn keep_asking(self) {
        let (http, mut rounds) = (Http::default(), interval(ASK_EVERY));
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            self.ask_all(&http).await;
        }
    }

    /// Asks all at once: one that is slow to answer keeps nobody from hearing of the others.
    async fn ask_all(&self, http: &Http) {
        let mut questions = JoinSet::new();
        for ops in self.operations() {
            let http = http.clone();
            questions.spawn(async move {
                let answer = timeout(ANSWERS_WITHIN, http.get(ops, "/readyz")).await;
                (ops, answer.ok().and_then(Result::ok))
            });
        }
        while let Some(answered) = questions.join_next().await {
            let (ops, answer) = answered.expect("a question that did not panic");
            let mut backends = self.backends();
            backends.iter_mut().filter(|b| b.ops == ops).for_each(|b| b.answered(answer.as_ref()));
        }
    }

    fn backends(&self) -> MutexGuard<'_, Vec<Backend>> {
        self.0.backends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend {
    /// It was asked whether it is ready.
    fn answered(&mut self, answer: Option<&Answer>) {
        match answer {
            Some(answer) => {
                (self.ready, self.unanswered) = (answer.status == StatusCode::OK, 0);
            }
            None => {
                self.unanswered += 1;
                self.ready &= self.unanswered < UNANSWERED_MAX;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bytes::Bytes;
    use tokio::net::TcpListener;

    use super::*;
    use crate::cluster::until;
    use crate::puppet::Puppet;

    fn picked(balancer: &Balancer) -> BTreeSet<SocketAddr> {
        (0..10).flat_map(|_| balancer.pick()).collect()
    }

    #[tokio::test]
    async fn one_that_is_silent_keeps_nobody_from_hearing_of_the_others() {
        let answer = |status| format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
        // Whoever connects waits: nobody accepts.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let silent = listener.local_addr().unwrap();
        let puppets =
            (Puppet::answering(&answer(503)).await, Puppet::answering(&answer(200)).await);
        let (leaving, ready) = (puppets.0.address, puppets.1.address);
        let (balancer, http) = (Balancer::default(), Http::default());
        [silent, leaving, ready].into_iter().for_each(|router| balancer.know(router, router));
        assert_eq!(picked(&balancer).len(), 3);
        until("the one that is ready is picked, and no other", async || {
            balancer.ask_all(&http).await;
            picked(&balancer) == BTreeSet::from([ready])
        })
        .await;
        balancer.forget(ready);
        assert!(balancer.pick().is_err());
    }

    #[test]
    fn a_router_is_out_when_it_says_so_or_says_nothing_twice() {
        let says = |status| Answer { status, body: Bytes::new() };
        let (yes, no) = (says(StatusCode::OK), says(StatusCode::SERVICE_UNAVAILABLE));
        let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
        let mut router = Backend { public: nobody, ops: nobody, ready: true, unanswered: 0 };
        for (answer, ready) in [
            (None, true),
            (Some(&yes), true),
            (None, true),
            (None, false),
            (Some(&yes), true),
            (Some(&no), false),
            (None, false),
            (Some(&yes), true),
        ] {
            router.answered(answer);
            assert_eq!(router.ready, ready);
        }
    }
}
