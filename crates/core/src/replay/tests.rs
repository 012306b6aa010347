//! What was drawn once is drawn again, bit for bit.

use super::*;
use crate::breaker::Admission;
use crate::draw::Rng;
use crate::facts::{Preferences, Sort};
use crate::policy::Policy;
use crate::snapshot::{Verdict, Weight};
use crate::story::{Known, anyone, endpoint, snapshot};

/// Decisions that are drawn twice.
const DECISIONS: u64 = 10_000;
const MODELS: [&str; 5] = ["a", "b", "c", "d", "e"];

fn any<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.below(of.len() as u64) as usize]
}

fn any_snapshot(rng: &mut Rng) -> Snapshot {
    let verdicts = [Verdict::Up, Verdict::Up, Verdict::Degraded, Verdict::Down, Verdict::Unknown];
    let mut states = Vec::new();
    for model in MODELS {
        for at in 0..1 + rng.below(6) {
            let mut state = endpoint(&format!("p{at}"), model);
            state.verdict = any(rng, &verdicts);
            state.weight = Weight(rng.below(200 << 16) as u32);
            state.drained = rng.below(8) == 0;
            state.numbers.ttft_p50_ms = Some(rng.below(900) as u32);
            state.numbers.tokens_per_second = Some(rng.below(90) as u32);
            states.push(state);
        }
    }
    snapshot(states, Policy::default())
}

fn any_facts(rng: &mut Rng) -> Facts {
    let mut models: Vec<ModelId> = Vec::new();
    for _ in 0..1 + rng.below(3) {
        let model = ModelId::new(any(rng, &MODELS));
        if !models.contains(&model) {
            models.push(model);
        }
    }
    let sorts = [None, None, Some(Sort::Price), Some(Sort::Latency), Some(Sort::Throughput)];
    let wishes = Preferences {
        order: if rng.below(3) == 0 { vec!["p2".to_owned(), "p0".to_owned()] } else { Vec::new() },
        allow_fallbacks: rng.below(4) > 0,
        sort: any(rng, &sorts),
        max_latency_ms: (rng.below(3) == 0).then_some(400),
        ..Preferences::default()
    };
    Facts {
        models,
        input_tokens: rng.below(9_000),
        affinity: (rng.below(3) == 0).then(|| rng.next()),
        preferences: (rng.below(2) == 0).then(|| Box::new(wishes)),
        ..Facts::default()
    }
}

fn any_loads(rng: &mut Rng, endpoints: usize) -> Known {
    let words = [
        Admission::Admitted,
        Admission::Admitted,
        Admission::Trial,
        Admission::Ejected,
        Admission::Cooling,
    ];
    let load = |at| {
        let load = LocalLoad {
            in_flight: rng.below(50) as u32,
            ghost_milli: rng.below(5_000) as u32,
            admission: any(rng, &words),
            recently_good: rng.below(2) == 0,
            throttle_permille: rng.below(1_200) as u32,
        };
        (at, load)
    };
    Known((0..endpoints).map(load).collect())
}

#[test]
fn ten_thousand_decisions_replay_to_the_recorded_plan() {
    let mut rng = Rng::new(20);
    let (tenant, mut with_turns) = (anyone(), 0);
    for _ in 0..DECISIONS {
        let (view, facts, seed) = (any_snapshot(&mut rng), any_facts(&mut rng), rng.next());
        let loads = any_loads(&mut rng, view.endpoints.len());
        let excerpt = Excerpt::of(&view, &facts.models);
        let recorded = excerpt.placed(draw(&view, &tenant, &facts, &loads, seed));
        let again = replay(&excerpt.snapshot, &tenant, &facts, &recorded, seed);
        assert_eq!(again, recorded, "{facts:?}");
        with_turns += usize::from(!recorded.turns.is_empty());
    }
    assert!(with_turns > 5_000, "only {with_turns} went anywhere");
}

#[test]
fn another_seed_load_or_weight_shows() {
    let view = snapshot(["x", "y", "z"].map(|p| endpoint(p, "m")).into(), Policy::default());
    let (tenant, facts) = (anyone(), Facts { models: vec![ModelId::new("m")], ..Facts::default() });
    let excerpt = Excerpt::of(&view, &facts.models);
    let recorded = excerpt.placed(draw(&view, &tenant, &facts, &Known::default(), 1));
    let again = |snapshot: &Snapshot, recorded: &Plan, seed| {
        replay(snapshot, &tenant, &facts, recorded, seed) == *recorded
    };
    assert!(again(&excerpt.snapshot, &recorded, 1));
    assert!((2..20).any(|seed| !again(&excerpt.snapshot, &recorded, seed)));
    let mut busy = recorded.clone();
    busy.candidates[recorded.turns[0].endpoint].load.in_flight = 1_000;
    assert!(!again(&excerpt.snapshot, &busy, 1));
    let mut lighter = excerpt.snapshot.clone();
    lighter.endpoints[recorded.turns[0].endpoint].weight = Weight(1);
    assert!(!again(&lighter, &recorded, 1));
}

#[test]
fn an_excerpt_knows_where_its_endpoints_were() {
    let states = ["m", "n", "o"].iter().flat_map(|m| ["x", "y"].map(|p| endpoint(p, m)));
    let view = snapshot(states.collect(), Policy::default());
    let excerpt = Excerpt::of(&view, &[ModelId::new("o"), ModelId::new("m"), ModelId::new("gone")]);
    assert_eq!(excerpt.positions().collect::<Vec<_>>(), [0, 1, 4, 5]);
    for (place, whole) in excerpt.positions().enumerate() {
        assert_eq!(excerpt.place(whole), Some(place));
        assert_eq!(excerpt.snapshot.endpoints[place], view.endpoints[whole]);
    }
    assert_eq!(excerpt.place(2), None);
}
