//! The line to a prober in this process, as `router-node dev` has them: the same batches, without a socket.

use std::sync::Arc;

use health_prober::evidence::{EvidenceSender, read};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};
use trunkline_runtime::{BoxError, Shutdown};

use super::board::Urgency;
use super::line::{Line, SIGN_EVERY};
use crate::pipeline::Router;
use crate::register::Identity;

/// Reports to one prober until the shutdown.
///
/// # Errors
/// When the prober is gone or refuses a batch, neither of which is expected inside one process.
pub async fn report(
    router: Arc<Router>,
    identity: Identity,
    to: EvidenceSender,
    shutdown: Shutdown,
) -> Result<(), BoxError> {
    let (board, mut interest) = (&router.evidence, to.interest());
    let (mut collected, mut line) = (board.read(), Line::new(identity));
    let _stream = board.telemetry.stream();
    let mut sign_at = Instant::now();
    loop {
        tokio::select! {
            told = collected.recv() => match told {
                Ok(told) => board.telemetry.dropped(line.add(told)),
                Err(RecvError::Lagged(missed)) => board.telemetry.dropped(missed),
                Err(RecvError::Closed) => return Ok(()),
            },
            changed = interest.changed() => {
                changed.map_err(|_| "the prober is gone")?;
                if let Some(endpoints) = interest.borrow_and_update().clone() {
                    line.want(endpoints);
                }
            }
            () = sleep_until(sign_at) => {}
            () = shutdown.wait() => return Ok(()),
        }
        if line.urgency().is_some() || Instant::now() >= sign_at {
            let urgency = line.urgency().unwrap_or(Urgency::Usual);
            let batch = read(line.batch(), None).map_err(|error| error.to_string())?;
            match to.put(batch) {
                Ok(()) => board.telemetry.sent(urgency),
                Err(_) => board.telemetry.dropped(1),
            }
            sign_at = Instant::now() + SIGN_EVERY;
        }
    }
}
