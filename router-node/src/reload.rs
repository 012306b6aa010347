//! Reads the configuration again on SIGHUP. Either the file is right, and all that can change while the router runs
//! changes at once, or nothing does. What waits for the next start is named, and so is every mistake. Which keys are
//! which is in `config`.

pub mod telemetry;

use std::sync::Arc;

use trunkline_runtime::drain::DrainTimes;
use trunkline_runtime::hang_up::on_hang_up;
use trunkline_runtime::telemetry::{LogFilter, info_is_logged};
use trunkline_runtime::{BoxError, Shutdown};

use crate::app::Running;
use crate::config::{Changes, Config, LogLevel, Source};
use crate::pipeline::Router;
use telemetry::{Outcome, Telemetry};

/// Where the configuration is read, and everything that goes by it and can change.
pub struct Reload {
    source: Source,
    router: Arc<Router>,
    drain: DrainTimes,
    filter: LogFilter,
    telemetry: Telemetry,
}

impl Reload {
    /// For a router that has just started with what `source` read.
    pub fn new(source: Source, running: &Running, filter: LogFilter) -> Self {
        let (router, drain) = (Arc::clone(&running.router), running.drain.clone());
        Self { source, router, drain, filter, telemetry: Telemetry::started() }
    }

    /// Reads it again at every SIGHUP until the shutdown.
    ///
    /// # Errors
    /// As for [`on_hang_up`].
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), BoxError> {
        on_hang_up(move || self.again(), shutdown).await
    }

    fn again(&mut self) {
        let outcome = match self.source.read_again() {
            Ok((config, changes)) => {
                // Whoever turns the log down should still read that it was.
                let quieter = info_is_logged() && config.log_level < LogLevel::Info;
                if quieter {
                    tell(&changes);
                }
                self.take(&config);
                if !quieter {
                    tell(&changes);
                }
                Outcome::of(&changes)
            }
            Err(problems) => {
                for problem in &problems.0 {
                    tracing::error!(%problem, "configuration kept, the file has a mistake");
                }
                Outcome::Refused
            }
        };
        self.telemetry.ended(outcome);
    }

    fn take(&self, config: &Config) {
        let settings = self.router.settings.load().again(config);
        self.router.settings.store(Arc::new(settings));
        self.drain.set(config.drain.into());
        if let Err(error) = self.filter.set(config.log_level.as_str()) {
            tracing::error!(%error, "the level of the log stays as it was");
        }
    }
}

fn tell(changes: &Changes) {
    for key in &changes.waiting {
        tracing::warn!(key, "changed, and takes effect at the next start");
    }
    let changed = changes.taken.join(" ");
    tracing::info!(changed, "configuration read again");
}
