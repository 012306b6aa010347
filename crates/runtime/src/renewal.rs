//! Renewal of certificates without a restart: files are looked at every thirty seconds, and at once on SIGHUP.
//! What they hold and whether it will do is decided in `trunkline-tls`; it names no metric.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use trunkline_tls::{Look, Renew};

use crate::{BoxError, Shutdown, panics};

/// How often the files are looked at. Certificates are renewed days before they expire.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// What came of a look at the files of one identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing new, or the first look of all.
    Same,
    /// New contents are in force.
    Changed,
    /// New contents are of no use; the old ones stay in force.
    Refused,
}

/// Looks after identities until the shutdown, and tells what came of each look. A bad set of files (one half
/// replaced, for example) is logged and tried again; the last good one stays.
///
/// # Errors
/// When the runtime cannot run the blocking read, or the system knows no signals.
pub async fn watch(
    identities: Vec<Arc<dyn Renew>>,
    tell: impl Fn(&dyn Renew, Outcome) + Send,
    shutdown: Shutdown,
) -> Result<(), BoxError> {
    let mut hangups = signal(SignalKind::hangup())?;
    identities.iter().for_each(|identity| tell(identity.as_ref(), Outcome::Same));
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_AGAIN) => {}
            _ = hangups.recv() => {}
            () = shutdown.wait() => return Ok(()),
        }
        for identity in &identities {
            let looker = Arc::clone(identity);
            let looked = tokio::task::spawn_blocking(move || looker.look()).await;
            let looked = looked.map_err(|error| panics::of_task(&error))?;
            let purpose = identity.purpose();
            let outcome = match looked {
                Ok(Look::Unchanged) => Outcome::Same,
                Ok(Look::Changed) => {
                    tracing::info!(purpose, "certificates read again");
                    Outcome::Changed
                }
                Err(error) => {
                    tracing::warn!(purpose, %error, "certificates kept, the new ones are unusable");
                    Outcome::Refused
                }
            };
            tell(identity.as_ref(), outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use trunkline_tls::{Expiry, TlsError};

    use super::*;

    /// Changes at its first look, and is of no use at its second.
    #[derive(Default)]
    struct Changing(AtomicUsize);

    impl Renew for Changing {
        fn purpose(&self) -> &'static str {
            "test"
        }

        fn expiry(&self) -> Expiry {
            Expiry::default()
        }

        fn look(&self) -> Result<Look, TlsError> {
            match self.0.fetch_add(1, Ordering::Relaxed) {
                0 => Ok(Look::Changed),
                1 => Err(TlsError::NoCertificate { path: "ca.pem".into() }),
                _ => Ok(Look::Unchanged),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_look_is_told_until_the_end() {
        let (shutdown, seen) = (Shutdown::new(), Mutex::new(Vec::new()));
        let tell = |identity: &dyn Renew, outcome| {
            assert_eq!(identity.purpose(), "test");
            let mut seen = seen.lock().unwrap();
            seen.push(outcome);
            if seen.len() == 4 {
                shutdown.trigger();
            }
        };
        let identities: Vec<Arc<dyn Renew>> = vec![Arc::new(Changing::default())];
        watch(identities, tell, shutdown.clone()).await.unwrap();
        let all = [Outcome::Same, Outcome::Changed, Outcome::Refused, Outcome::Same];
        assert_eq!(*seen.lock().unwrap(), all);
    }
}
