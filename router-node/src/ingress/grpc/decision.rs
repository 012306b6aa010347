//! A decision as kept with a record → message. What a record does not keep stays unset.

use std::fmt::Write;

use trunkline_proto::inference::v1::{Candidate, Decision, Exclusion, Turn};
use trunkline_wire::models::{DecisionCandidate, DecisionTurn, GenerationDecision};

use super::catalog::{signed, verdict_of_name};

/// Reasons of a turn that only a last resort gives.
const LAST_RESORTS: [&str; 3] = ["trial", "locally_good", "last_ditch"];

/// The message of a recorded decision.
pub fn message(decision: &GenerationDecision) -> Decision {
    let first = decision.turns.first().map(|turn| &*turn.reason);
    Decision {
        revision: signed(decision.revision),
        policy_version: decision.policy.to_string(),
        seed: u64::from_str_radix(&decision.seed, 16).unwrap_or_default(),
        candidates: decision.candidates.iter().map(candidate).collect(),
        turns: decision.turns.iter().map(turn).collect(),
        fail_open: first.filter(|r| LAST_RESORTS.contains(r)).unwrap_or_default().to_owned(),
        ..Decision::default()
    }
}

fn candidate(candidate: &DecisionCandidate) -> Candidate {
    let (provider, model, region) = parts(&candidate.endpoint);
    let excluded = candidate.excluded.as_ref();
    Candidate {
        endpoint_id: candidate.endpoint_id.to_string(),
        provider: provider.to_owned(),
        model: model.to_owned(),
        region: region.to_owned(),
        exclusion: excluded
            .map(|reason| Exclusion { reason: reason.to_string(), ..Exclusion::default() }),
        verdict: verdict_of_name(&candidate.verdict).into(),
        weight_q16: candidate.weight.into(),
        load_milli: u64::from(candidate.in_flight) * 1000 + u64::from(candidate.ghost_milli),
        ..Candidate::default()
    }
}

fn turn(turn: &DecisionTurn) -> Turn {
    let (provider, model, _) = parts(&turn.endpoint);
    Turn {
        endpoint_id: turn.endpoint_id.to_string(),
        provider: provider.to_owned(),
        model: model.to_owned(),
        reason: turn.reason.to_string(),
    }
}

/// Takes `provider/model@region` apart; a model's name may hold slashes.
fn parts(endpoint: &str) -> (&str, &str, &str) {
    let (provider, rest) = endpoint.split_once('/').unwrap_or((endpoint, ""));
    let (model, region) = rest.rsplit_once('@').unwrap_or((rest, ""));
    (provider, model, region)
}

/// A digest as text.
pub fn hex(digest: &[u8; 32]) -> String {
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoints_name_comes_apart_whatever_the_model_is_called() {
        assert_eq!(parts("a/meta/llama@eu"), ("a", "meta/llama", "eu"));
        assert_eq!(parts("a/m@x@eu"), ("a", "m@x", "eu"));
    }

    #[test]
    fn a_decision_keeps_seed_exclusions_and_the_last_resort() {
        let kept = GenerationDecision {
            revision: 9,
            policy: "abc".into(),
            seed: format!("{:016x}", u64::MAX - 1),
            candidates: vec![DecisionCandidate {
                endpoint: "a/m@eu".into(),
                endpoint_id: "abcdefghij".into(),
                excluded: Some("drained".into()),
                verdict: "advisory_down".into(),
                weight: 65_536,
                in_flight: 2,
                ghost_milli: 500,
                breaker: "admitted".into(),
                throttle_permille: 0,
            }],
            turns: vec![DecisionTurn {
                endpoint: "b/m@us".into(),
                endpoint_id: "klmnopqrst".into(),
                reason: "last_ditch".into(),
            }],
        };
        let said = message(&kept);
        assert_eq!((said.revision, said.seed), (9, u64::MAX - 1));
        assert_eq!(said.fail_open, "last_ditch");
        assert_eq!(said.candidates[0].exclusion.as_ref().unwrap().reason, "drained");
        assert_eq!(said.candidates[0].load_milli, 2500);
        assert_eq!(said.candidates[0].verdict().as_str_name(), "VERDICT_ADVISORY_DOWN");
        assert_eq!(said.turns[0].provider, "b");
    }
}
