//! The decision in a response's header, for callers over HTTP who ask for it. Over gRPC it is in the message.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use tokio::sync::oneshot;
use trunkline_wire::models::GenerationDecision;

use crate::generations;
use crate::ledger::Decision;

/// Asks for the decision; any value but `0`.
const EXPLAIN: HeaderName = HeaderName::from_static("x-trunkline-explain");
/// Has the decision as JSON, as `/v1/generation` has it.
const DECISION: HeaderName = HeaderName::from_static("x-trunkline-decision");
/// Clients and proxies take some 8 KiB of headers together; a longer decision is told without what was not
/// chosen.
const MAX_DECISION_BYTES: usize = 6 * 1024;

/// Where a decision arrives that was asked for.
pub struct Awaited(oneshot::Receiver<Decision>);

/// What a caller asked for: who is told of the decision, and where that arrives.
pub fn asked(headers: &HeaderMap) -> (Option<oneshot::Sender<Decision>>, Option<Awaited>) {
    if headers.get(EXPLAIN).is_none_or(|value| value == "0") {
        return (None, None);
    }
    let (tell, told) = oneshot::channel();
    (Some(tell), Some(Awaited(told)))
}

impl Awaited {
    /// Adds the header, unless the call was rejected before any decision.
    pub fn write(mut self, headers: &mut HeaderMap) {
        let decision = self.0.try_recv().ok().map(generations::decision_of);
        if let Some(value) = decision.and_then(value) {
            headers.insert(DECISION, value);
        }
    }
}

/// A decision, or its shortened form.
#[derive(Serialize)]
struct Told {
    #[serde(flatten)]
    decision: GenerationDecision,
    #[serde(skip_serializing_if = "Option::is_none")]
    candidates_left_out: Option<usize>,
}

fn value(decision: GenerationDecision) -> Option<HeaderValue> {
    let mut told = Told { decision, candidates_left_out: None };
    let mut json = serde_json::to_vec(&told).ok()?;
    if json.len() > MAX_DECISION_BYTES {
        let Told { decision, candidates_left_out } = &mut told;
        let (turns, before) = (&decision.turns, decision.candidates.len());
        let chosen = |id: &str| turns.iter().any(|turn| &*turn.endpoint_id == id);
        decision.candidates.retain(|candidate| chosen(&candidate.endpoint_id));
        *candidates_left_out = Some(before - decision.candidates.len());
        json = serde_json::to_vec(&told).ok()?;
    }
    HeaderValue::from_bytes(&json).ok()
}

#[cfg(test)]
mod tests {
    use trunkline_wire::models::{DecisionCandidate, DecisionTurn};

    use super::*;

    fn decision(candidates: usize) -> GenerationDecision {
        let candidate = |at: usize| DecisionCandidate {
            endpoint: format!("provider-{at}/model@region").into(),
            endpoint_id: format!("id{at:08}").into(),
            excluded: None,
            verdict: "up".into(),
            weight: 65_536,
            in_flight: 0,
            ghost_milli: 0,
            breaker: "admitted".into(),
            throttle_permille: 0,
        };
        let turn = DecisionTurn {
            endpoint: "provider-1/model@region".into(),
            endpoint_id: "id00000001".into(),
            reason: "drawn".into(),
        };
        GenerationDecision {
            revision: 7,
            policy: "v".into(),
            seed: "0".into(),
            candidates: (0..candidates).map(candidate).collect(),
            turns: vec![turn],
        }
    }

    fn read(value: &HeaderValue) -> serde_json::Value {
        serde_json::from_slice(value.as_bytes()).unwrap()
    }

    #[test]
    fn a_long_decision_keeps_what_was_chosen_and_counts_the_rest() {
        let short = read(&value(decision(3)).unwrap());
        assert_eq!(short["candidates"].as_array().unwrap().len(), 3);
        assert!(short.get("candidates_left_out").is_none());
        let long = value(decision(1_000)).unwrap();
        assert!(long.len() <= MAX_DECISION_BYTES);
        let long = read(&long);
        assert_eq!(long["candidates_left_out"], 999);
        assert_eq!(long["candidates"][0]["endpoint_id"], long["turns"][0]["endpoint_id"]);
    }

    #[test]
    fn nobody_is_told_who_did_not_ask() {
        let mut headers = HeaderMap::new();
        assert!(asked(&headers).1.is_none());
        headers.insert(EXPLAIN, HeaderValue::from_static("0"));
        assert!(asked(&headers).1.is_none());
        headers.insert(EXPLAIN, HeaderValue::from_static("1"));
        let (tell, awaited) = asked(&headers);
        drop(tell);
        let mut answer = HeaderMap::new();
        awaited.unwrap().write(&mut answer);
        assert!(answer.is_empty(), "a call without a decision");
    }
}
