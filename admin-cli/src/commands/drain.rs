//! `drain`: takes a target out, and waits for it to be empty if asked to.

use std::io::Write;
use std::time::Duration;

use tokio::time::Instant;
use trunkline_proto::admin::v1::{DrainEntry, DrainRequest, ListDrainsRequest};

use super::edited::Edited;
use crate::Failure;
use crate::cli::{DrainArgs, Format};
use crate::connect::Admin;

/// Between two looks at a drain; empty twice in a row is empty.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Drains the target.
///
/// # Errors
/// The router's answer; [`Failure::NotConverged`] when calls are still in flight after the wait.
pub async fn run(
    admin: &mut Admin,
    args: DrainArgs,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let DrainArgs { edit, wait } = args;
    let asked = DrainRequest {
        target: edit.target.clone(),
        reason: edit.reason,
        expected_revision: edit.expect_revision,
        dry_run: edit.dry_run,
        force: edit.force,
        ..DrainRequest::default()
    };
    let answer = admin.drain(asked).await?.into_inner();
    let edited = Edited {
        what: format!("drain of {}", edit.target),
        dry_run: edit.dry_run,
        revision: answer.revision,
        impact: answer.impact.as_ref(),
    };
    edited.write(format, out)?;
    match wait {
        None => Ok(()),
        Some(seconds) => {
            out.flush()?;
            let drain = Watched { target: edit.target, revision: answer.revision };
            drain.until_empty(admin, Duration::from_secs(seconds)).await
        }
    }
}

/// A drain that is waited for.
struct Watched {
    target: String,
    revision: i64,
}

impl Watched {
    async fn until_empty(&self, admin: &mut Admin, patience: Duration) -> Result<(), Failure> {
        let deadline = Instant::now() + patience;
        let mut seen_empty = 0;
        loop {
            let asked = ListDrainsRequest { target: self.target.clone(), ..Default::default() };
            let drains = admin.list_drains(asked).await?.into_inner().drains;
            let drain = drains.iter().find(|drain| drain.revision >= self.revision);
            let empty = drain.is_some_and(is_empty);
            seen_empty = if empty { seen_empty + 1 } else { 0 };
            if seen_empty == 2 {
                return Ok(());
            }
            if Instant::now() + LOOK_EVERY > deadline {
                let left: u64 = drain.map_or(0, |d| d.routers.iter().map(|r| r.in_flight).sum());
                return Err(Failure::NotConverged(format!(
                    "{} is drained, but not proven empty after {} s: {left} calls in flight",
                    self.target,
                    patience.as_secs()
                )));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Every router that reports has applied the drain, and has nothing in flight.
fn is_empty(drain: &DrainEntry) -> bool {
    let done = |r: &trunkline_proto::admin::v1::DrainReport| {
        r.applied_revision >= drain.revision && r.in_flight == 0 && !r.vanished
    };
    !drain.routers.is_empty() && drain.routers.iter().all(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_proto::admin::v1::DrainReport;

    #[test]
    fn a_drain_nobody_reports_on_is_not_empty() {
        let mut drain = DrainEntry { revision: 5, ..DrainEntry::default() };
        assert!(!is_empty(&drain));
        drain.routers = vec![DrainReport { applied_revision: 5, ..DrainReport::default() }];
        assert!(is_empty(&drain));
        drain.routers.push(DrainReport { applied_revision: 4, ..DrainReport::default() });
        assert!(!is_empty(&drain));
    }
}
