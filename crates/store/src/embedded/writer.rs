//! The one thread that changes an embedded store: it gathers what waits, plans it, makes it durable
//! with one fsync for all, and only then shows it and answers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::disk::Disk;
use crate::mvcc::{Delta, Limits, Outcome, Request, Shared, State, plan};
use crate::port::StoreError;

/// The most requests that share an fsync, so that the first of them does not wait for ever.
const GROUP_MAX: usize = 256;
/// The most bytes that share an fsync, for the same reason and to bound memory.
const GROUP_MAX_BYTES: usize = 8 << 20;

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Order {
    Job(Job),
    /// Answered when the directory is free.
    Close(oneshot::Sender<()>),
}

/// A request and who waits for its outcome.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) request: Request,
    /// When it was asked, by the clock of the caller's runtime.
    pub(super) now: Instant,
    pub(super) answer: oneshot::Sender<Outcome>,
}

/// Starts the thread and waits until it has read the disk. It ends when it is told to, or when
/// nobody is left who could ask for anything.
pub(super) async fn start(
    dir: &Path,
    limits: Limits,
    inbox: mpsc::Receiver<Order>,
) -> Result<Arc<Shared>, StoreError> {
    let (ready, is_ready) = oneshot::channel();
    let (dir, now): (PathBuf, Instant) = (dir.to_owned(), Instant::now());
    let thread = std::thread::Builder::new().name("store-writer".to_owned());
    let spawned = thread.spawn(move || match Writer::open(dir, limits, now) {
        // A failed send means that nobody waits any more; then the inbox is closed, too.
        Ok(writer) => {
            ready.send(Ok(Arc::clone(&writer.shared))).ok();
            writer.run(inbox);
        }
        Err(error) => drop(ready.send(Err(error))),
    });
    spawned.map_err(|error| StoreError::unavailable(format!("cannot start a thread: {error}")))?;
    is_ready.await.unwrap_or_else(|_| {
        Err(StoreError::Corrupt { reason: "the file could not be read".to_owned() })
    })
}

struct Writer {
    dir: PathBuf,
    limits: Limits,
    shared: Arc<Shared>,
    /// Nothing after a failed write: what is on disk is unknown until it has been read again.
    disk: Option<Disk>,
}

impl Writer {
    fn open(dir: PathBuf, limits: Limits, now: Instant) -> Result<Self, StoreError> {
        let disk = Disk::open(&dir)?;
        let shared = Arc::new(Shared::new(State::restored(limits, disk.load(now)?)));
        Ok(Self { dir, limits, shared, disk: Some(disk) })
    }

    fn run(mut self, mut inbox: mpsc::Receiver<Order>) {
        let mut closing = None;
        while closing.is_none() {
            let Some(first) = inbox.blocking_recv() else { break };
            closing = self.group(first, &mut inbox);
        }
        drop(self);
        refuse_the_rest(&mut inbox);
        if let Some(closed) = closing {
            // An error means that nobody waits to hear it.
            closed.send(()).ok();
        }
    }

    /// Serves one order and those that wait behind it; says whom to tell when one is to close.
    fn group(
        &mut self,
        first: Order,
        inbox: &mut mpsc::Receiver<Order>,
    ) -> Option<oneshot::Sender<()>> {
        let (mut answers, mut closing) = (Vec::new(), None);
        let mut next = Some(first);
        let mut delta = self.shared.read(Delta::new);
        while let Some(order) = next.take() {
            match order {
                Order::Close(closed) => closing = Some(closed),
                Order::Job(Job { request, now, answer }) => {
                    let outcome = self.ready(now, &mut delta).and_then(|()| {
                        self.shared.read(|state| plan(state, &mut delta, request, now))
                    });
                    answers.push((answer, outcome));
                    if answers.len() < GROUP_MAX && delta.written < GROUP_MAX_BYTES {
                        next = inbox.try_recv().ok();
                    }
                }
            }
        }
        let written = self.write(delta);
        for (answer, outcome) in answers {
            let outcome =
                written.as_ref().map_or_else(|reason| Err(in_doubt(reason)), |()| outcome);
            // An error means that the caller gave up waiting.
            answer.send(outcome).ok();
        }
        closing
    }

    /// Makes sure that the disk can be written to: after a failure, reads again what is there.
    fn ready(&mut self, now: Instant, delta: &mut Delta) -> Result<(), StoreError> {
        if self.disk.is_none() {
            let disk = Disk::open(&self.dir)?;
            self.shared.replace(State::restored(self.limits, disk.load(now)?));
            *delta = self.shared.read(Delta::new);
            self.disk = Some(disk);
            tracing::info!(dir = %self.dir.display(), "embedded store opened again");
        }
        Ok(())
    }

    fn write(&mut self, delta: Delta) -> Result<(), String> {
        if let (true, Some(disk)) = (delta.durable, &self.disk)
            && let Err(error) = disk.write(&delta)
        {
            self.disk = None;
            tracing::error!(dir = %self.dir.display(), %error, "embedded store cannot write");
            return Err(error.to_string());
        }
        self.shared.apply(delta);
        Ok(())
    }
}

impl Drop for Writer {
    /// However the thread ends, watches must not go on saying that all is well.
    fn drop(&mut self) {
        self.shared.close();
    }
}

fn in_doubt(reason: &str) -> StoreError {
    StoreError::InDoubt { reason: reason.to_owned() }
}

/// What waited behind the order to close was never begun, and is told so.
fn refuse_the_rest(inbox: &mut mpsc::Receiver<Order>) {
    inbox.close();
    while let Some(order) = inbox.blocking_recv() {
        match order {
            Order::Job(job) => drop(job.answer.send(Err(StoreError::unavailable("it is closed")))),
            Order::Close(closed) => drop(closed.send(())),
        }
    }
}

#[cfg(test)]
mod tests;
