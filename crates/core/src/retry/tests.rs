//! Stories about what follows a failed try.

use std::sync::Arc;

use super::*;
use crate::catalog::SecretRef;
use crate::plan::Reason;
use crate::policy::Policy;
use crate::story::{endpoint, snapshot};

fn turn(endpoint: usize, stage: usize) -> Turn {
    Turn { endpoint, stage, reason: Reason::Drawn }
}

struct Story {
    view: Snapshot,
    plan: Plan,
}

impl Story {
    /// Model `m` at two providers, model `n` at a third.
    fn new() -> Self {
        let endpoints = vec![endpoint("a", "m"), endpoint("b", "m"), endpoint("c", "n")];
        let view = snapshot(endpoints, Policy::default());
        let plan = Plan { turns: vec![turn(0, 0), turn(1, 0), turn(2, 1)], candidates: Vec::new() };
        Self { view, plan }
    }

    /// Model `m` at one provider, model `n` at another.
    fn alone() -> Self {
        let mut story = Self::new();
        story.plan.turns = vec![turn(0, 0), turn(2, 1)];
        story
    }

    fn tried(&self) -> Tried<'_> {
        Tried {
            plan: &self.plan,
            snapshot: &self.view,
            turn: 0,
            credentials_tried: 1,
            again_used: Again::Unused,
            released: Released::Nothing,
            retry_budget: RetryBudget::Left,
            remaining_ms: 10_000,
            seed: 1,
        }
    }

    fn after(&self, kind: FailureKind) -> Step {
        after(&Failure::new(kind), &self.tried())
    }
}

#[test]
fn another_endpoint_of_the_model_comes_first_and_at_once() {
    for kind in [FailureKind::Connect, FailureKind::FirstContentTimeout, FailureKind::RateLimited] {
        assert_eq!(Story::new().after(kind), Step::Turn(1));
    }
}

#[test]
fn the_request_s_own_fault_is_not_tried_elsewhere() {
    assert_eq!(Story::new().after(FailureKind::BadRequest), Step::GiveUp(GiveUp::NotRetryable));
    assert_eq!(Story::new().after(FailureKind::CallerGone), Step::GiveUp(GiveUp::NotRetryable));
}

#[test]
fn nothing_follows_content_that_was_released() {
    let story = Story::new();
    let tried = Tried { released: Released::Content, ..story.tried() };
    let step = after(&Failure::new(FailureKind::Truncated), &tried);
    assert_eq!(step, Step::GiveUp(GiveUp::ContentReleased));
}

#[test]
fn a_model_s_only_endpoint_gets_one_more_try_before_the_call_leaves_the_model() {
    let story = Story::alone();
    let Step::Again { after_ms } = story.after(FailureKind::Reset) else { panic!("one more try") };
    assert!((AGAIN_PAUSE_MIN_MS..=3 * AGAIN_PAUSE_MIN_MS).contains(&after_ms));
    let tried = Tried { again_used: Again::Used, ..story.tried() };
    assert_eq!(after(&Failure::new(FailureKind::Reset), &tried), Step::Turn(1));
}

#[test]
fn a_silent_timeout_leaves_the_model_at_once() {
    assert_eq!(Story::alone().after(FailureKind::FirstContentTimeout), Step::Turn(1));
}

#[test]
fn a_short_retry_after_is_waited_for_and_a_long_one_is_not() {
    let story = Story::alone();
    let limited =
        |ms| Failure { retry_after_ms: Some(ms), ..Failure::new(FailureKind::RateLimited) };
    assert_eq!(after(&limited(1_500), &story.tried()), Step::Again { after_ms: 1_500 });
    assert_eq!(after(&limited(2_001), &story.tried()), Step::Turn(1));
}

#[test]
fn a_refused_credential_is_followed_by_the_next_one() {
    let mut story = Story::new();
    let secrets = vec![SecretRef::Env("A".to_owned()), SecretRef::Env("B".to_owned())];
    story.view.providers.iter_mut().for_each(|p| p.credentials.clone_from(&secrets));
    assert_eq!(story.after(FailureKind::CredentialRefused), Step::Credential(1));
    let tried = Tried { credentials_tried: 2, ..story.tried() };
    let refused = Failure::new(FailureKind::CredentialRefused);
    assert_eq!(after(&refused, &tried), Step::Turn(1));
}

#[test]
fn a_prompt_too_long_goes_only_where_the_window_is_larger() {
    let mut story = Story::new();
    assert_eq!(story.after(FailureKind::ContextLength), Step::GiveUp(GiveUp::Exhausted));
    let largest = story.view.endpoints.last_mut().expect("there are three");
    largest.endpoint.context_tokens = 100_000;
    assert_eq!(story.after(FailureKind::ContextLength), Step::Turn(2));
}

#[test]
fn refused_content_goes_to_another_model_only_where_the_policy_says_so() {
    let mut story = Story::new();
    assert_eq!(story.after(FailureKind::ContentFilter), Step::GiveUp(GiveUp::Exhausted));
    Arc::make_mut(&mut story.view.policy).retry.content_filter_falls_back = true;
    assert_eq!(story.after(FailureKind::ContentFilter), Step::Turn(2));
}

#[test]
fn without_budget_or_time_the_failure_stands() {
    let story = Story::new();
    let poor = Tried { retry_budget: RetryBudget::Exhausted, ..story.tried() };
    let reset = Failure::new(FailureKind::Reset);
    assert_eq!(after(&reset, &poor), Step::GiveUp(GiveUp::RetryBudget));
    let late = Tried { remaining_ms: 0, ..story.tried() };
    assert_eq!(after(&reset, &late), Step::GiveUp(GiveUp::NoTime));
}

#[test]
fn every_kind_of_failure_ends_in_finitely_many_steps() {
    let story = Story::new();
    for kind in FailureKind::ALL {
        let (mut turn, mut again, mut steps) = (0, Again::Unused, 0);
        loop {
            let tried = Tried { turn, again_used: again, ..story.tried() };
            match after(&Failure::new(kind), &tried) {
                Step::Turn(next) => {
                    assert!(next > turn, "{kind:?} goes back");
                    (turn, again) = (next, Again::Unused);
                }
                Step::Again { .. } => again = Again::Used,
                Step::Credential(_) => panic!("there is only one"),
                Step::GiveUp(_) => break,
            }
            steps += 1;
            assert!(steps <= 6, "{kind:?} does not end");
        }
    }
}
