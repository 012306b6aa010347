//! After a failed try: which turn is next, or why there is none. The one place that decides it, for streamed
//! and whole answers, HTTP and gRPC alike.

use crate::catalog::MAX_CREDENTIALS;
use crate::draw::Rng;
use crate::failure::{Failure, FailureKind, NextTry};
use crate::plan::{Plan, Turn};
use crate::snapshot::Snapshot;

/// A short pause before the same endpoint is tried once more: at least this, at most three times this.
const AGAIN_PAUSE_MIN_MS: u64 = 50;
/// Waiting longer than this for a provider's Retry-After costs the caller more than leaving the model.
const AGAIN_RETRY_AFTER_MAX_MS: u64 = 2_000;

/// What the call has been through when a try has failed.
#[derive(Clone, Copy, Debug)]
pub struct Tried<'a> {
    /// The call's plan.
    pub plan: &'a Plan,
    /// The view it was drawn from.
    pub snapshot: &'a Snapshot,
    /// Position in the plan's turns of the try that failed.
    pub turn: usize,
    /// Credentials of that provider that were tried, the failed one included.
    pub credentials_tried: usize,
    /// Whether the model at hand already had its one more try.
    pub again_used: Again,
    /// Whether content has reached the caller.
    pub released: Released,
    /// Whether the model's retry budget has room.
    pub retry_budget: RetryBudget,
    /// Milliseconds left until the call's own deadline.
    pub remaining_ms: u64,
    /// The call's seed, for the pause's jitter.
    pub seed: u64,
}

/// Whether one more try at a model's only endpoint was used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Not yet.
    Unused,
    /// It was.
    Used,
}

/// Whether content has reached the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// Nothing yet: a further try stays invisible.
    Nothing,
    /// It has: no other endpoint may continue the answer.
    Content,
}

/// Whether the retry budget has room for one more try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryBudget {
    /// It has.
    Left,
    /// It is used up: a further try would only add to the trouble.
    Exhausted,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Try this turn, at once.
    Turn(usize),
    /// Try the same turn with this credential of its provider.
    Credential(usize),
    /// Try the same turn once more after a pause.
    Again {
        /// The pause.
        after_ms: u64,
    },
    /// Tell the caller.
    GiveUp(GiveUp),
}

/// Why there is no further try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GiveUp {
    /// No provider could do better.
    NotRetryable,
    /// Content has reached the caller.
    ContentReleased,
    /// Nothing is left to try.
    Exhausted,
    /// The retry budget has no room.
    RetryBudget,
    /// The call's deadline leaves no time.
    NoTime,
}

impl GiveUp {
    /// The name in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotRetryable => "not_retryable",
            Self::ContentReleased => "content_released",
            Self::Exhausted => "exhausted",
            Self::RetryBudget => "retry_budget",
            Self::NoTime => "no_time",
        }
    }
}

/// Decides what follows a failed try.
pub fn after(failure: &Failure, tried: &Tried<'_>) -> Step {
    if tried.released == Released::Content {
        return Step::GiveUp(GiveUp::ContentReleased);
    }
    let Some(step) = candidate(failure, tried) else {
        let why = match failure.kind.effect().next {
            NextTry::None => GiveUp::NotRetryable,
            _ => GiveUp::Exhausted,
        };
        return Step::GiveUp(why);
    };
    let pause = if let Step::Again { after_ms } = step { after_ms } else { 0 };
    if tried.remaining_ms <= pause {
        return Step::GiveUp(GiveUp::NoTime);
    }
    if tried.retry_budget == RetryBudget::Exhausted {
        return Step::GiveUp(GiveUp::RetryBudget);
    }
    step
}

fn candidate(failure: &Failure, tried: &Tried<'_>) -> Option<Step> {
    let at = tried.plan.turns.get(tried.turn)?;
    let later = || tried.plan.turns.iter().enumerate().skip(tried.turn + 1);
    let other_model = || later().find(|(_, t)| t.stage > at.stage).map(|(i, _)| Step::Turn(i));
    match failure.kind.effect().next {
        NextTry::None => None,
        NextTry::OtherModelIfAllowed => {
            tried.snapshot.policy.retry.content_filter_falls_back.then(other_model)?
        }
        NextTry::LargerWindow => {
            let window = window(tried.snapshot, at);
            later()
                .find(|(_, t)| self::window(tried.snapshot, t) > window)
                .map(|(i, _)| Step::Turn(i))
        }
        NextTry::OtherCredential => {
            other_credential(tried, at).or_else(|| other_endpoint(failure, tried, at))
        }
        NextTry::OtherEndpoint => other_endpoint(failure, tried, at),
    }
}

fn other_credential(tried: &Tried<'_>, at: &Turn) -> Option<Step> {
    let endpoint = &tried.snapshot.endpoints.get(at.endpoint)?.endpoint;
    let provider = tried.snapshot.providers.iter().find(|p| p.id == endpoint.provider)?;
    let next = tried.credentials_tried;
    (next < provider.credentials.len().min(MAX_CREDENTIALS)).then_some(Step::Credential(next))
}

fn other_endpoint(failure: &Failure, tried: &Tried<'_>, at: &Turn) -> Option<Step> {
    let next = tried.turn + 1;
    let next_turn = tried.plan.turns.get(next);
    if next_turn.is_some_and(|t| t.stage == at.stage) {
        return Some(Step::Turn(next));
    }
    // One turn of a policy that allows one try is no endpoint that stands alone.
    let alone = tried.snapshot.policy.retry.attempts > 1
        && tried.plan.turns.iter().filter(|t| t.stage == at.stage).count() == 1;
    let worth_it = alone && tried.again_used == Again::Unused && failure.kind.effect().passing;
    if let Some(after_ms) = worth_it.then(|| pause_before_again(failure, tried)).flatten() {
        return Some(Step::Again { after_ms });
    }
    next_turn.map(|_| Step::Turn(next))
}

/// A short jittered pause, or the provider's own Retry-After when that is short; `None` when it is long.
fn pause_before_again(failure: &Failure, tried: &Tried<'_>) -> Option<u64> {
    let jittered = AGAIN_PAUSE_MIN_MS + Rng::new(tried.seed).below(2 * AGAIN_PAUSE_MIN_MS);
    let asked = failure.retry_after_ms.unwrap_or(0);
    let unknown_limit =
        failure.kind == FailureKind::RateLimited && failure.retry_after_ms.is_none();
    let pause = if unknown_limit { jittered * 4 } else { jittered.max(asked) };
    (asked <= AGAIN_RETRY_AFTER_MAX_MS).then_some(pause)
}

fn window(snapshot: &Snapshot, turn: &Turn) -> u64 {
    snapshot.endpoints.get(turn.endpoint).map_or(0, |s| s.endpoint.context_tokens)
}

#[cfg(test)]
mod tests;
