//! SIGHUP, by which a process is asked to read again what it read at its start. What that is, is its caller's.

use tokio::signal::unix::{SignalKind, signal};

use crate::{BoxError, Shutdown};

/// Does `again` at every SIGHUP until the shutdown, one after the other. It may wait for the disk.
///
/// # Errors
/// When the system knows no signals, or `again` panics.
pub async fn on_hang_up(
    mut again: impl FnMut() + Send + 'static,
    shutdown: Shutdown,
) -> Result<(), BoxError> {
    let mut hang_ups = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = hang_ups.recv() => {}
            () = shutdown.wait() => return Ok(()),
        }
        let done = tokio::task::spawn_blocking(move || {
            again();
            again
        });
        again = done.await?;
    }
}
