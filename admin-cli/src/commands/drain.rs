//! `drain`: takes a target out, and waits for it to be empty if asked to.

use std::io::Write;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use trunkline_proto::admin::v1::{DrainEntry, DrainRequest, DrainState, ListDrainsRequest};

use super::edited::Edited;
use super::status::States;
use crate::Failure;
use crate::cli::{DrainArgs, Format};
use crate::connect::Admin;

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
    let DrainArgs { edit, wait, expires, deadline, rate } = args;
    let asked = DrainRequest {
        target: edit.target.clone(),
        reason: edit.how.reason,
        expected_revision: edit.how.expect_revision,
        dry_run: edit.how.dry_run,
        force: edit.how.force,
        // Its spans are within a century, which the message holds.
        expires_in: expires.and_then(|span| span.try_into().ok()),
        deadline: deadline.and_then(|span| span.try_into().ok()),
        rate_permille_per_minute: rate,
    };
    let answer = admin.drain(asked).await?.into_inner();
    let edited = Edited {
        what: format!("drain of {}", edit.target),
        dry_run: edit.how.dry_run,
        revision: answer.revision,
        impact: answer.impact.as_ref(),
    };
    edited.write(format, out)?;
    match wait {
        None => Ok(()),
        Some(patience) => {
            out.flush()?;
            let drain = Watched { target: edit.target, revision: answer.revision };
            drain.until_empty(admin, patience).await?;
            // The last of the progress says what was still to come.
            let _ = writeln!(std::io::stderr(), "proven: no router has a call there");
            Ok(())
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
        let (mut states, mut told) = (States::of_no_endpoint(admin).await?, String::new());
        loop {
            let Ok(next) = timeout_at(deadline, states.next()).await else {
                return Err(Failure::NotConverged(format!(
                    "{} is drained, but not proven empty after {} s: {told}",
                    self.target,
                    patience.as_secs()
                )));
            };
            next?;
            let Some(left) = self.left(admin).await? else { return Ok(()) };
            if left != told {
                // Progress is for whoever watches: with that stream gone, the wait goes on.
                let _ = writeln!(std::io::stderr(), "{left}");
                told = left;
            }
        }
    }

    /// What is still to come; `None` when nothing is.
    async fn left(&self, admin: &mut Admin) -> Result<Option<String>, Failure> {
        let asked = ListDrainsRequest { target: self.target.clone(), ..Default::default() };
        let drains = admin.list_drains(asked).await?.into_inner().drains;
        // A target with `*` is several drains.
        let drains: Vec<&DrainEntry> =
            drains.iter().filter(|drain| drain.revision >= self.revision).collect();
        if drains.is_empty() {
            return Ok(Some("no drain".to_owned()));
        }
        let unproven = drains.iter().find(|drain| drain.state() != DrainState::Proven);
        Ok(unproven.map(|drain| how_far(drain)))
    }
}

/// What is still to come.
fn how_far(drain: &DrainEntry) -> String {
    let left: u64 = drain.routers.iter().map(|r| r.in_flight).sum();
    let waiting = drain.routers.iter().filter(|r| r.applied_revision < drain.revision || !r.quiet);
    let (waiting, all) = (waiting.count(), drain.routers.len());
    let mut text =
        format!("{left} calls in flight, {waiting} of {all} routers not yet proven empty");
    if drain.taken_permille < 1_000 {
        let (percent, tenth) = (drain.taken_permille / 10, drain.taken_permille % 10);
        text.push_str(&format!(", {percent}.{tenth} % of the weight taken away"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_proto::admin::v1::DrainReport;

    #[test]
    fn what_is_still_to_come_is_told_in_one_line() {
        let report = |in_flight, applied_revision, quiet| DrainReport {
            in_flight,
            applied_revision,
            quiet,
            ..DrainReport::default()
        };
        let routers = vec![report(3, 5, false), report(0, 4, true), report(0, 5, true)];
        let mut drain =
            DrainEntry { revision: 5, routers, taken_permille: 1_000, ..DrainEntry::default() };
        assert_eq!(how_far(&drain), "3 calls in flight, 2 of 3 routers not yet proven empty");
        drain.taken_permille = 255;
        assert!(how_far(&drain).ends_with(", 25.5 % of the weight taken away"));
    }
}
