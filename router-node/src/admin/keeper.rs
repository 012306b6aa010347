//! Carries out what drains and canaries say about time: takes weight away step by step, and ends what is over.
//! Verdicts and weights never look at a clock, so somebody has to write; every router does, and of those that
//! try at once one is done, with its history entry.

use std::time::Duration;

use tonic::Status;
use trunkline_runtime::{BoxError, Shutdown};
use trunkline_spec::overrides::{Drain, DrainEntry as Record};

use super::edit::{self, Intent, Mode, Rules, Write};
use super::state::State;
use super::{Admin, canary, drains, refusal};
use crate::ledger::unix_ms;

/// How often both are looked at; nobody sees one end a second late.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A drain with a rate is written again once this much of the weight is due, in thousandths: at most twenty
/// writes a drain, and no step moves enough to be noticed.
const STEP_PERMILLE: u32 = 50;

/// Looks after drains and the canary until the shutdown.
///
/// # Errors
/// None: what fails is tried again at the next look.
pub async fn keep(admin: Admin, shutdown: Shutdown) -> Result<(), BoxError> {
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = shutdown.wait() => return Ok(()),
        }
        let view = admin.router.view.load_full();
        if let Some(running) = &view.canary
            && let Err(status) = canary::end_if_due(&admin, running).await
        {
            tracing::warn!(error = status.message(), "the canary could not be ended, trying again");
        }
        for drain in view.timed_drains.iter() {
            if let Some(step) = Step::due(drain, unix_ms())
                && let Err(status) = step.carry_out(&admin, drain).await
            {
                let (scope, error) = (drain.scope.to_string(), status.message());
                tracing::warn!(scope, error, "a drain could not be moved on, trying again");
            }
        }
    }
}

/// What a drain needs now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Its end.
    End,
    /// So much of the weight gone, in thousandths.
    Take(u32),
}

impl Step {
    fn due(drain: &Drain, now_ms: u64) -> Option<Self> {
        if drain.is_over(now_ms) {
            return Some(Self::End);
        }
        let due = drain.due_permille(now_ms);
        let enough = due >= drain.taken_permille.saturating_add(STEP_PERMILLE) || due == 1_000;
        (drain.left_permille() > 0 && enough).then_some(Self::Take(due))
    }

    async fn carry_out(self, admin: &Admin, seen: &Drain) -> Result<(), Status> {
        let key = drains::key(&seen.scope);
        let (verb, reason) = match self {
            Self::End => ("undrain", "the drain has expired".to_owned()),
            Self::Take(permille) => ("drain", format!("{permille} of 1000 at the drain's rate")),
        };
        let intent = Intent {
            verb,
            target: seen.scope.to_string(),
            reason,
            expected: None,
            mode: Mode::Write,
            rules: Rules::Overruled,
        };
        let plan = |state: &State| -> Result<Vec<Write>, Status> {
            let entry = state.entry(&key);
            if entry.and_then(drains::read).as_ref() != Some(seen) {
                return Err(refusal::no_override(&intent.target, "such drain any more"));
            }
            let value = match self {
                Self::End => None,
                Self::Take(permille) => Some(drains::written(&record(seen, permille))?),
            };
            Ok(vec![(key.clone(), value)])
        };
        let by = format!("router/{}", admin.identity.node);
        match edit::apply_as(admin, &by, &intent, plan).await {
            Ok(_) => Ok(()),
            // Another router was first, or an operator.
            Err(status) if status.code() == tonic::Code::NotFound => Ok(()),
            Err(status) => Err(status),
        }
    }
}

fn record(drain: &Drain, taken_permille: u32) -> Record {
    Record {
        scope: drain.scope.to_string(),
        reason: drain.reason.clone(),
        by: drain.by.clone(),
        at_ms: drain.at_ms,
        expires_at_ms: drain.expires_at_ms,
        deadline_at_ms: drain.deadline_at_ms,
        rate_permille: drain.rate_permille,
        taken_permille: Some(taken_permille),
        withdrawn: drain.withdrawn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_spec::overrides::parse_drain;

    fn drain(more: &str) -> Drain {
        let text = format!(r#"{{"scope": "provider/a", "reason": "x", "at_ms": 0{more}}}"#);
        parse_drain(&text).unwrap()
    }

    #[test]
    fn a_weight_goes_in_steps_and_then_stays_away() {
        let slow = drain(r#", "rate_permille": 100, "taken_permille": 0"#);
        assert_eq!(Step::due(&slow, 29_999), None);
        assert_eq!(Step::due(&slow, 30_000), Some(Step::Take(50)));
        assert_eq!(Step::due(&slow, 600_000), Some(Step::Take(1_000)));
        let nearly = drain(r#", "rate_permille": 100, "taken_permille": 990"#);
        assert_eq!(Step::due(&nearly, 599_000), None);
        assert_eq!(Step::due(&nearly, 600_000), Some(Step::Take(1_000)));
        let done = drain(r#", "rate_permille": 100, "taken_permille": 1000"#);
        assert_eq!(Step::due(&done, u64::MAX), None);
        assert_eq!(Step::due(&drain(""), u64::MAX), None);
    }

    #[test]
    fn a_drain_that_is_over_ends_whatever_is_left() {
        let slow = drain(r#", "rate_permille": 1, "taken_permille": 0, "expires_at_ms": 100000"#);
        assert_eq!(Step::due(&slow, 99_999), None);
        assert_eq!(Step::due(&slow, 100_000), Some(Step::End));
        assert_eq!(Step::due(&drain(r#", "expires_at_ms": 5"#), 5), Some(Step::End));
    }
}
