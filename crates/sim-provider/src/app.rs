//! Starts and stops the provider: the only file that spawns tasks. What the tasks do is elsewhere.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::conn::{Switch, Wire};
use crate::fault::FaultRule;
use crate::line::Line;
use crate::log::{LogEntry, WaitTimeout};
use crate::profile::{Profile, SimConfig};
use crate::serve::{World, serve};

/// How long [`SimProvider::wait_for`] waits: far longer than any healthy test needs.
pub const WAIT_MAX: Duration = Duration::from_secs(30);
/// Pause after a failed accept, so that a lack of file descriptors does not burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// The provider could not be started or revived.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The address cannot be bound or listened on: choose another.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// A running provider. Dropping it stops it without waiting.
pub struct SimProvider {
    world: Arc<World>,
    /// Dropped to stop the tasks.
    stop: watch::Sender<()>,
    accepting: JoinHandle<()>,
}

impl SimProvider {
    /// Binds the address and serves on the caller's runtime.
    ///
    /// # Errors
    /// [`SimError::Listen`] when the address cannot be bound.
    #[expect(
        clippy::unused_async,
        reason = "must be called inside a runtime, which `async` ensures"
    )]
    #[expect(clippy::disallowed_methods, reason = "this file is where the tasks start")]
    pub async fn start(config: SimConfig) -> Result<Self, SimError> {
        let addr = config.listen;
        let line = Line::bind(addr).map_err(|source| SimError::Listen { addr, source })?;
        let world = Arc::new(World::new(line, config));
        let (stop, stopped) = watch::channel(());
        let accepting = tokio::spawn(accept_all(world.clone(), stopped));
        Ok(Self { world, stop, accepting })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.world.line.addr()
    }

    /// The base URL for OpenAI clients, `http://127.0.0.1:port/v1`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("{}/v1", self.root_url())
    }

    /// The base URL for Anthropic clients, which add `/v1` themselves.
    #[must_use]
    pub fn root_url(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// Adds a fault for the requests to come, or starts an outage; it goes before older ones.
    pub fn set_fault(&self, rule: FaultRule) {
        self.world.set_fault(rule);
    }

    /// Removes all faults and ends outages that faults began; a killed provider stays down.
    ///
    /// # Errors
    /// [`SimError::Listen`] when it cannot listen again.
    pub fn clear_faults(&self) -> Result<(), SimError> {
        self.world.rules.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.world.line.calm().map_err(|source| SimError::Listen { addr: self.addr(), source })
    }

    /// Changes speed, length and price from the next request on.
    pub fn set_profile(&self, profile: Profile) {
        *self.world.profile.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(profile);
    }

    /// All requests so far, oldest first, as far as the log goes back.
    #[must_use]
    pub fn log(&self) -> Vec<LogEntry> {
        self.world.log.since(0)
    }

    /// Forgets the logged requests.
    pub fn clear_log(&self) {
        self.world.log.clear();
    }

    /// Waits until the condition holds for the log, and returns the entries of that moment. It is asked
    /// at once and after every change, under the log's lock: it must not call back into the provider.
    ///
    /// # Errors
    /// [`WaitTimeout`] after [`WAIT_MAX`].
    pub async fn wait_for(
        &self,
        condition: impl FnMut(&[LogEntry]) -> bool,
    ) -> Result<Vec<LogEntry>, WaitTimeout> {
        self.world.log.wait_for(condition, WAIT_MAX).await
    }

    /// Hard down: connects are refused when this returns, and all connections are reset. The port stays
    /// reserved.
    pub fn kill(&self) {
        self.world.line.kill();
    }

    /// Up again on the same port.
    ///
    /// # Errors
    /// [`SimError::Listen`] when it cannot listen again.
    pub fn revive(&self) -> Result<(), SimError> {
        self.world.line.revive().map_err(|source| SimError::Listen { addr: self.addr(), source })
    }

    /// Stops: connections are reset, and all tasks have ended when this returns.
    pub async fn shutdown(self) {
        self.world.line.kill();
        drop(self.stop);
        // An error would mean that the task panicked, which its own message has told already.
        let _ended = self.accepting.await;
    }

    /// Serves until the process is told to stop with Ctrl-C, then shuts down.
    ///
    /// # Errors
    /// When the signal cannot be listened for.
    pub async fn run(self) -> io::Result<()> {
        tokio::signal::ctrl_c().await?;
        self.shutdown().await;
        Ok(())
    }
}

/// Accepts and serves connections until `stopped` closes, then resets and awaits the open ones.
async fn accept_all(world: Arc<World>, mut stopped: watch::Receiver<()>) {
    let mut connections = JoinSet::new();
    let plans = world.line.follow_plans();
    tokio::pin!(plans);
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            () = &mut plans => break,
            Some(_) = connections.join_next() => {}
            accepted = world.line.accept() => match accepted {
                Ok((socket, switch, number)) => {
                    connections.spawn(run_connection(world.clone(), socket, switch, number));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }
    world.line.kill();
    while connections.join_next().await.is_some() {}
}

/// Serves one connection until it ends by itself or its switch is thrown.
async fn run_connection(world: Arc<World>, socket: TcpStream, switch: Arc<Switch>, number: u64) {
    // Without it the system would hold small packets back; only a dead socket can refuse.
    let _dead = socket.set_nodelay(true);
    let io = TokioIo::new(Wire::new(socket, switch.clone()));
    let service = service_fn(|request| serve(request, world.clone(), switch.clone()));
    // No timer is given, so that hyper sets none: idle connections stay, and a benchmark pays nothing.
    let builder = auto::Builder::new(TokioExecutor::new());
    let connection = builder.serve_connection(io, service);
    tokio::select! {
        // How it ended is in the log; a connection's error concerns nobody else.
        _ended = connection => {}
        () = switch.thrown() => {}
    }
    world.line.forget(number);
}
