//! Drives a watch: does what [`Machine`] wants and tells it what happened. No decision is made here.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;

use etcd_client::{WatchOptions, WatchResponse, WatchStream};
use tokio::time::{Instant, sleep_until};

use super::call::{Cluster, list_all};
use super::convert;
use super::link::Link;
use super::machine::{Effect, Input, Kind, Machine, Message, Want};
use super::version::Version;
use crate::port::{Change, Feed, Listing, Revision, StoreError};

/// The id that etcd puts on the answer to a request for progress, which is about the whole stream.
const WHOLE_STREAM: i64 = -1;

/// What a step in the background brings.
enum Brought {
    Listed(Link, u64, Listing),
    Opened(Link, WatchStream),
}

type Step = Pin<Box<dyn Future<Output = Result<Brought, StoreError>> + Send>>;

/// The feed of one watch, over a connection of its own.
pub(super) struct EtcdFeed {
    cluster: Arc<Cluster>,
    /// Which member, counted without end; see [`Cluster::member`].
    turn: usize,
    prefix: String,
    machine: Machine,
    link: Option<Link>,
    stream: Option<WatchStream>,
    /// A call under way. It is kept here so that it goes on when a wait is cancelled and repeated.
    step: Option<Step>,
    dice: RandomState,
}

impl EtcdFeed {
    pub(super) fn new(cluster: Arc<Cluster>, prefix: &str) -> Self {
        let dice = RandomState::new();
        let turn = usize::try_from(dice.hash_one(prefix) >> 1).unwrap_or(0);
        let machine = Machine::new(Instant::now());
        let prefix = prefix.to_owned();
        Self { cluster, turn, prefix, machine, link: None, stream: None, step: None, dice }
    }

    async fn follow(&mut self) -> Change {
        loop {
            let input = match self.machine.want() {
                Want::Tell(change) => return change,
                Want::Pause => self.pause().await,
                Want::List => self.finish(Self::list).await,
                Want::Open(from) => self.finish(move |feed| feed.open(from)).await,
                Want::Listen => self.listen().await,
            };
            self.take(input).await;
        }
    }

    async fn take(&mut self, input: Input) {
        let now = Instant::now();
        let dice = self.dice.hash_one(now);
        match self.machine.step(input, now, dice) {
            Effect::Nothing => {}
            Effect::AskProgress => {
                if let Some(stream) = &mut self.stream {
                    // If it cannot be sent, it is not answered, and that is noticed.
                    stream.request_progress().await.ok();
                }
            }
            Effect::CloseStream => self.stream = None,
            Effect::Reconnect => (self.stream, self.link, self.step) = (None, None, None),
            Effect::NextMember => {
                (self.stream, self.link, self.step) = (None, None, None);
                self.turn = self.turn.wrapping_add(1);
            }
        }
    }

    async fn pause(&mut self) -> Input {
        sleep_until(self.machine.deadline()).await;
        Input::DeadlinePassed
    }

    /// Goes on with the call under way, or begins one.
    async fn finish(&mut self, begin: impl FnOnce(&Self) -> Step) -> Input {
        if self.step.is_none() {
            self.step = Some(begin(self));
        }
        let deadline = self.machine.deadline();
        let Some(step) = &mut self.step else { return Input::DeadlinePassed };
        let brought = tokio::select! {
            brought = step => Some(brought),
            () = sleep_until(deadline) => None,
        };
        self.step = None;
        match brought {
            None => Input::DeadlinePassed,
            Some(Err(error)) => Input::Failed(error.to_string()),
            Some(Ok(Brought::Listed(link, cluster, listing))) => {
                self.link = Some(link);
                Input::Listed { cluster, listing }
            }
            Some(Ok(Brought::Opened(link, stream))) => {
                (self.link, self.stream) = (Some(link), Some(stream));
                Input::Opened
            }
        }
    }

    fn list(&self) -> Step {
        let (dialled, prefix) = (self.dial(), self.prefix.clone());
        Box::pin(async move {
            let link = dialled.await?;
            let (cluster, listing) = list_all(&link, &prefix).await.map_err(convert::failure)?;
            Ok(Brought::Listed(link, cluster, listing))
        })
    }

    fn open(&self, from: Revision) -> Step {
        let (dialled, prefix) = (self.dial(), self.prefix.clone());
        let options = WatchOptions::new()
            .with_prefix()
            .with_progress_notify()
            .with_start_revision(convert::signed(from.0));
        Box::pin(async move {
            let link = dialled.await?;
            let opened = link.watches().watch(prefix, Some(options)).await;
            let stream = opened.map_err(convert::failure)?;
            Ok(Brought::Opened(link, stream))
        })
    }

    /// The connection that is there, or a new one.
    fn dial(&self) -> impl Future<Output = Result<Link, StoreError>> + Send + use<> {
        let (link, cluster, turn) = (self.link.clone(), Arc::clone(&self.cluster), self.turn);
        async move {
            match link {
                Some(link) => Ok(link),
                None => cluster.dial(turn).await,
            }
        }
    }

    async fn listen(&mut self) -> Input {
        let deadline = self.machine.deadline();
        let (Some(link), Some(stream)) = (&self.link, &mut self.stream) else {
            return Input::Failed("the watch is gone".to_owned());
        };
        let heard = tokio::select! {
            heard = stream.message() => heard,
            () = self.cluster.outdated(link) => return Input::Renewed,
            () = sleep_until(deadline) => return Input::DeadlinePassed,
        };
        match heard {
            Ok(Some(response)) => self.understand(&response),
            Ok(None) => Input::Failed("the store ended the watch".to_owned()),
            Err(error) => Input::Failed(error.to_string()),
        }
    }

    fn understand(&self, response: &WatchResponse) -> Input {
        let Some(header) = response.header() else {
            return Input::Failed("a message has no header".to_owned());
        };
        Input::Heard(Message {
            cluster: header.cluster_id(),
            revision: Revision(convert::unsigned(header.revision())),
            kind: self.kind(response),
            events: response.events().iter().filter_map(convert::event).collect(),
        })
    }

    fn kind(&self, response: &WatchResponse) -> Kind {
        let version = self.link.as_ref().and_then(|link| link.version);
        let trusted = version.is_some_and(Version::answers_progress_truly);
        if response.compact_revision() > 0 {
            return Kind::Compacted;
        }
        match (response.canceled(), response.created(), response.cancel_reason()) {
            (true, _, "") => Kind::Compacted,
            (true, _, reason) => Kind::Canceled(reason.to_owned()),
            (false, true, _) => Kind::Created,
            (false, false, _) if response.watch_id() == WHOLE_STREAM && !trusted => Kind::Untrusted,
            (false, false, _) => Kind::News,
        }
    }
}

impl Feed for EtcdFeed {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Change> + Send + '_>> {
        Box::pin(self.follow())
    }
}
