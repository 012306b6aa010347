//! The tasks of a process, each with a name, an owner and an end. A task that ends before it was
//! asked to ends the process. It does not restart anything: the supervisor outside does.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};

use crate::live::Live;
use crate::{BoxError, Shutdown, panics};

/// The named tasks of one process.
#[derive(Debug)]
pub struct Tasks {
    running: JoinSet<Result<(), BoxError>>,
    names: HashMap<Id, Task>,
    spawner: Spawner,
    shutdown: Shutdown,
}

/// Why [`Tasks::join`] did not end well. The first failure is the one told.
#[derive(Debug, thiserror::Error)]
pub enum TaskFailure {
    /// A task returned before anybody asked the process to end.
    #[error("task {name} ended before it was asked to")]
    EndedEarly {
        /// The task's name.
        name: &'static str,
    },
    /// A task returned an error, before or during the drain.
    #[error("task {name} failed: {source}")]
    Failed {
        /// The task's name.
        name: &'static str,
        /// What it returned.
        source: BoxError,
    },
    /// A task panicked.
    #[error("task {name} panicked: {message}")]
    Panicked {
        /// The task's name.
        name: &'static str,
        /// The panic's own words, if they may be told.
        message: &'static str,
    },
    /// The grace period ended first.
    #[error("still running when the grace period ended: {}", names.join(", "))]
    Unfinished {
        /// The tasks that were cut; `connections` stands for those of the [`Spawner`].
        names: Vec<&'static str>,
    },
}

#[derive(Clone, Copy, Debug)]
struct Task {
    name: &'static str,
    role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// The drain waits for it.
    Worker,
    /// Runs while any worker does; the drain does not wait for it.
    Companion,
}

impl Tasks {
    /// No tasks yet. `shutdown` is thrown when one of them ends early.
    #[must_use]
    pub fn new(shutdown: Shutdown) -> Self {
        Self {
            running: JoinSet::new(),
            names: HashMap::new(),
            spawner: Spawner::default(),
            shutdown,
        }
    }

    /// Starts a task that ends by itself once the shutdown is thrown; [`Tasks::join`] waits for it.
    pub fn spawn<F>(&mut self, name: &'static str, future: F)
    where
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.start(Task { name, role: Role::Worker }, future);
    }

    /// Starts a task that serves for as long as any other does, the drain included (the operations
    /// port, for one), and is dropped after them. It need not watch the shutdown.
    pub fn spawn_companion<F>(&mut self, name: &'static str, future: F)
    where
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.start(Task { name, role: Role::Companion }, future);
    }

    /// A handle that starts connection tasks, which may end at any time.
    #[must_use]
    pub fn spawner(&self) -> Spawner {
        self.spawner.clone()
    }

    /// Runs until the shutdown is thrown, then waits for every task and every connection, but not
    /// longer than `grace` after the shutdown; what is left is dropped. It is asked for when the shutdown
    /// has come.
    ///
    /// # Errors
    /// The first task that ended early, failed, panicked or outlived the grace period.
    pub async fn join(mut self, grace: impl FnOnce() -> Duration) -> Result<(), TaskFailure> {
        let mut first_failure = tokio::select! {
            () = self.shutdown.wait() => None,
            failure = next_failure(&mut self.running, &mut self.names, &self.shutdown),
                if !self.running.is_empty() => failure,
        };
        self.shutdown.trigger();
        let drained = tokio::time::timeout(grace(), async {
            while self.names.values().any(|task| task.role == Role::Worker) {
                let failure =
                    next_failure(&mut self.running, &mut self.names, &self.shutdown).await;
                first_failure = first_failure.take().or(failure);
            }
            self.spawner.idle().await;
        })
        .await;
        match (first_failure, drained) {
            (Some(failure), _) => Err(failure),
            (None, Ok(())) => Ok(()),
            (None, Err(_)) => Err(TaskFailure::Unfinished { names: self.unfinished() }),
        }
    }

    fn start<F>(&mut self, task: Task, future: F)
    where
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        let id = self.running.spawn(future).id();
        self.names.insert(id, task);
    }

    fn unfinished(&self) -> Vec<&'static str> {
        let workers = self.names.values().filter(|task| task.role == Role::Worker);
        let mut names: Vec<_> = workers.map(|task| task.name).collect();
        if self.spawner.connections() > 0 {
            names.push("connections");
        }
        names.sort_unstable();
        names
    }
}

/// Waits for one task's end and judges it. `None` also when none is left.
async fn next_failure(
    running: &mut JoinSet<Result<(), BoxError>>,
    names: &mut HashMap<Id, Task>,
    shutdown: &Shutdown,
) -> Option<TaskFailure> {
    let ended = running.join_next_with_id().await?;
    let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
    let name = names.remove(&id).map_or("unnamed", |task| task.name);
    match ended {
        Ok((_, Ok(()))) if shutdown.is_triggered() => None,
        Ok((_, Ok(()))) => Some(TaskFailure::EndedEarly { name }),
        Ok((_, Err(source))) => Some(TaskFailure::Failed { name, source }),
        Err(error) => Some(TaskFailure::Panicked { name, message: panic_message(error) }),
    }
}

fn panic_message(error: JoinError) -> &'static str {
    match error.try_into_panic() {
        Ok(payload) => panics::words(payload.as_ref()),
        Err(cancelled) => panics::of_task(&cancelled),
    }
}

/// Starts tasks that may end at any time, and counts them so that a drain can wait for them.
/// Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Spawner {
    live: Live,
}

impl Spawner {
    /// A spawner of its own, which no [`Tasks`] waits for.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts `future`; it is counted until it ends. A panic inside ends it alone.
    pub fn spawn_connection<F>(&self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let alive = self.live.enter();
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that spawns uncollected tasks"
        )]
        tokio::spawn(async move {
            future.await;
            drop(alive);
        });
    }

    /// How many of the tasks are alive.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.live.count()
    }

    /// Returns as soon as none of the tasks is alive.
    pub async fn idle(&self) {
        self.live.none_left().await;
    }
}

/// Lets hyper start the streams of an HTTP/2 connection, so that they are counted too.
impl<F> hyper::rt::Executor<F> for Spawner
where
    F: Future + Send + 'static,
{
    fn execute(&self, future: F) {
        self.spawn_connection(async move {
            future.await;
        });
    }
}

#[cfg(test)]
mod tests;
