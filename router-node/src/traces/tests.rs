//! Stories about a call's place in a trace.

use super::*;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn followed(ratio: f64) -> Sampler {
    Sampler { ratio, callers: Callers::Followed }
}

fn headers(parent: &str) -> HeaderMap {
    HeaderMap::from_iter([(TRACEPARENT, parent.parse().unwrap())])
}

#[test]
fn a_trace_that_begins_here_has_the_id_of_its_generation() {
    let generation = Uuid::now_v7();
    let trace = Trace::begin(&followed(1.0), &HeaderMap::new(), generation);
    assert_eq!(trace.id(), generation.simple().to_string());
    assert_eq!((trace.caller, trace.sampled), (None, true));
}

#[test]
fn a_callers_decision_is_followed_unless_it_is_overruled() {
    let generation = Uuid::now_v7();
    let unsampled = PARENT.replace("-01", "-00");
    let begin = |sampler: &Sampler, parent: &str| {
        let trace = Trace::begin(sampler, &headers(parent), generation);
        assert_eq!(trace.id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(trace.caller.map(u64::from_be_bytes), Some(0x00f0_67aa_0ba9_02b7));
        trace.sampled
    };
    assert!(begin(&followed(0.0), PARENT));
    assert!(!begin(&followed(1.0), &unsampled));
    let overruled = |ratio| Sampler { ratio, callers: Callers::Overruled };
    assert!(!begin(&overruled(0.0), PARENT));
    assert!(begin(&overruled(1.0), &unsampled));
}

#[test]
fn a_broken_parent_begins_a_new_trace() {
    let generation = Uuid::now_v7();
    let trace = Trace::begin(&followed(1.0), &headers("00-nonsense"), generation);
    assert_eq!((trace.id(), trace.caller), (generation.simple().to_string(), None));
}

#[test]
fn a_share_of_the_traces_is_drawn_by_their_ids() {
    let sampler = followed(0.25);
    let mut rng = Rng::new(1);
    let drawn = (0..10_000).filter(|_| {
        let bytes = (u128::from(rng.next()) << 64 | u128::from(rng.next())).to_be_bytes();
        let id = uuid::Builder::from_random_bytes(bytes).into_uuid();
        Trace::begin(&sampler, &HeaderMap::new(), id).sampled
    });
    let drawn = drawn.count();
    assert!((2_300..2_700).contains(&drawn), "{drawn}");
}

#[test]
fn every_span_of_a_call_has_its_own_id_and_providers_are_told_that_of_their_try() {
    let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
    let mut ids: Vec<[u8; 8]> = [one, other]
        .into_iter()
        .flat_map(|g| (0..8).map(move |at| attempt_span(g, at)).chain([call_span(g)]))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 18);
    let trace = Trace::begin(&followed(1.0), &headers(PARENT), one);
    let told = trace.headers(one, 2).unwrap().parent;
    let span = hex(&attempt_span(one, 2));
    assert_eq!(told, format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{span}-01"));
}
