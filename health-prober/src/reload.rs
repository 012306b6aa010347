//! Reads the prober's file again on SIGHUP. Either it is right, and all of it takes effect, or nothing changes and
//! every mistake is named. What it holds is in `tuning`.

use tokio::sync::watch;
use trunkline_runtime::hang_up::on_hang_up;
use trunkline_runtime::telemetry::{LogFilter, info_is_logged};
use trunkline_runtime::{BoxError, Shutdown};

use crate::config::Cli;
use crate::telemetry::{Reloaded, Telemetry};
use crate::tuning::Tuning;

/// Where the file is, and who goes by it.
pub struct Reload {
    cli: Cli,
    filter: LogFilter,
    tell: watch::Sender<Tuning>,
    telemetry: Telemetry,
}

impl Reload {
    /// For a prober that has just started with `tuning`. Whoever reads the other end hears of every change.
    pub fn new(
        cli: Cli,
        tuning: Tuning,
        filter: LogFilter,
        telemetry: Telemetry,
    ) -> (Self, watch::Receiver<Tuning>) {
        telemetry.configured();
        let (tell, told) = watch::channel(tuning);
        (Self { cli, filter, tell, telemetry }, told)
    }

    /// Reads it again at every SIGHUP until the shutdown.
    ///
    /// # Errors
    /// As for [`on_hang_up`].
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), BoxError> {
        on_hang_up(move || self.again(), shutdown).await
    }

    fn again(&mut self) {
        let outcome = match Tuning::read(&self.cli) {
            Ok(tuning) => self.take(tuning),
            Err(problems) => {
                for problem in &problems.0 {
                    tracing::error!(%problem, "configuration kept, the file has a mistake");
                }
                Reloaded::Refused
            }
        };
        self.telemetry.reloaded(outcome);
    }

    fn take(&self, tuning: Tuning) -> Reloaded {
        let changed = tuning.differs(&self.tell.borrow());
        let (outcome, words) = match changed.is_empty() {
            true => (Reloaded::Unchanged, String::new()),
            false => (Reloaded::Changed, changed.join(" ")),
        };
        let tell = || tracing::info!(changed = words, "configuration read again");
        // Whoever turns the log down should still read that it was, and whoever turns it up that it is.
        let before = info_is_logged();
        if before {
            tell();
        }
        if let Err(error) = self.filter.set(&tuning.log) {
            tracing::error!(%error, "the log goes on as before");
        }
        if !before {
            tell();
        }
        self.tell.send_replace(tuning);
        outcome
    }
}
