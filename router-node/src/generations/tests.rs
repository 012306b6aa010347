//! Stories about what is kept.

use trunkline_core::assess::Table;
use trunkline_core::breaker::Admission;
use trunkline_core::catalog::{Capabilities, Training};
use trunkline_core::facts::{Facts, MaxPrice, Preferences, Sort};
use trunkline_core::id::{KeyId, ModelId};
use trunkline_core::money::PicoUsd;
use trunkline_core::plan::{LocalLayer, LocalLoad, draw};
use trunkline_core::policy::{DataRules, Policy, Strategy, Tenant};
use trunkline_core::snapshot::{Snapshot, Verdict};
use trunkline_wire::models::Usd;

use super::kept::{Read, Story};
use super::scene::Scene;
use super::*;

/// A router that is busy, unevenly.
struct Busy;

impl LocalLayer for Busy {
    fn load(&self, endpoint: usize) -> LocalLoad {
        let words = [Admission::Admitted, Admission::Trial, Admission::Cooling];
        LocalLoad {
            in_flight: endpoint as u32 % 5,
            ghost_milli: 7,
            admission: words[endpoint % words.len()],
            recently_good: endpoint.is_multiple_of(2),
            throttle_permille: 30 * endpoint as u32,
        }
    }
}

/// One model at so many providers.
fn snapshot(providers: usize) -> Snapshot {
    let provider = |at: usize| {
        format!(
            "  - id: p{at}\n    base_url: https://p{at}.example/v1\n    endpoints:\n      \
             - model: m\n        price: {{input: 1, output: {at}}}\n        jurisdiction: eu\n        \
             retention: zero\n        parameters: [seed]\n"
        )
    };
    let providers: String = (0..providers).map(provider).collect();
    let catalog = trunkline_spec::catalog::parse(&format!("version: 1\nproviders:\n{providers}"));
    let mut states = Table::default().states(&catalog.unwrap());
    for (at, state) in states.iter_mut().enumerate() {
        state.verdict = Verdict::ALL[at % Verdict::ALL.len()];
        state.numbers.ttft_p50_ms = Some(at as u32);
        state.operator_weight = 50;
        state.endpoint.quantization = Some("fp8".to_owned());
        state.endpoint.training = Training::No;
    }
    let data = DataRules { no_training: true, ..DataRules::default() };
    let policy = Policy { strategy: Strategy::Latency, data, ..Policy::default() };
    Snapshot::new(7, policy, Vec::new(), states)
}

pub(super) fn tenant() -> Tenant {
    let models = Some(vec![ModelId::new("m")]);
    Tenant { models, ..Tenant::unrestricted(KeyId::new("k")) }
}

pub(super) fn scene(providers: usize, bytes: &Arc<AtomicUsize>) -> Arc<Scene> {
    Arc::new(Scene::read(snapshot(providers), bytes))
}

/// Every wish there is, and still somebody who meets them.
fn wishes() -> Preferences {
    let most = Some(PicoUsd::from_usd(1));
    Preferences {
        order: vec!["p1".to_owned()],
        only: Some(vec!["p0".to_owned(), "p1".to_owned(), "p2".to_owned()]),
        ignore: vec!["p2".to_owned()],
        allow_fallbacks: true,
        require_parameters: true,
        deny_data_collection: true,
        zero_retention: true,
        quantizations: vec!["fp8".to_owned()],
        sort: Some(Sort::Throughput),
        min_throughput: Some(3),
        max_latency_ms: Some(5),
        max_price: MaxPrice { input: most, output: most, request: most, image: most },
    }
}

/// A record whose decision was drawn with this seed.
pub(super) fn decided(seed: u64, scene: Arc<Scene>) -> Kept {
    let facts = Facts {
        models: vec![ModelId::new("m")],
        input_tokens: 100,
        max_output_tokens: Some(seed),
        needs: Capabilities { chat: true, ..Capabilities::default() },
        parameters: vec!["seed".to_owned()],
        affinity: seed.is_multiple_of(3).then_some(u64::MAX - seed),
        preferences: seed.is_multiple_of(2).then(|| Box::new(wishes())),
    };
    let plan = draw(&scene.excerpt.snapshot, &tenant(), &facts, &Busy, seed);
    let (policy, digest) = (Arc::from("v"), [7; 32]);
    let story = Story { revision: 7, policy, digest, scene, facts, seed, plan };
    let id = Uuid::from_u64_pair(seed, 1);
    let generation = generation(id);
    Kept::read(Read { id, generation, tenant: Some(tenant()) }, Some(story))
}

fn generation(id: Uuid) -> Generation {
    Generation {
        id: id.to_string(),
        request_id: "r".to_owned(),
        key: Some("k".into()),
        operation: "chat".into(),
        requested_model: "m".to_owned(),
        model: None,
        provider_name: None,
        created_ms: 1,
        transport: "http".into(),
        streamed: false,
        outcome: "completed".into(),
        error_type: None,
        user: None,
        tags: Vec::new(),
        tokens_prompt: 3,
        tokens_completion: 4,
        tokens_cached: 0,
        tokens_reasoning: 0,
        tokens_estimated: false,
        total_cost: Usd(5),
        latency_ms: None,
        generation_time_ms: 6,
        attempts: Vec::new(),
        decision: None,
    }
}

fn id(seed: u64) -> String {
    Uuid::from_u64_pair(seed, 1).to_string()
}

#[test]
fn the_oldest_go_when_there_are_too_many() {
    let kept = Generations::default();
    let scene = scene(1, &kept.scenes);
    let too_many = KEPT as u64 + 5;
    (0..too_many).for_each(|seed| kept.keep(decided(seed, Arc::clone(&scene))));
    assert_eq!(kept.newest(usize::MAX).len(), KEPT);
    assert!(kept.find(&id(4)).is_none() && kept.find(&id(5)).is_some());
    assert!(kept.explain(&id(too_many - 1)).unwrap().replayed.unwrap().identical);
    assert_eq!(kept.newest(3).len(), 3);
    assert!(kept.find("no id").is_none());
}

#[test]
fn large_scenes_count_and_leave_with_their_last_record() {
    let (kept, large) = (Generations::default(), snapshot(150));
    let another = || Arc::new(Scene::read(large.clone(), &kept.scenes));
    let one = {
        let _held = another();
        kept.scenes.load(Relaxed)
    };
    assert_eq!(kept.scenes.load(Relaxed), 0, "nobody needs it any more");
    let more = 2 * (KEPT_BYTES / one) as u64;
    for seed in 0..more {
        kept.keep(decided(seed, another()));
        let bytes = kept.recent().bytes + kept.scenes.load(Relaxed);
        assert!(bytes <= KEPT_BYTES, "{bytes}");
    }
    assert!(kept.find(&id(0)).is_none() && kept.find(&id(more - 1)).is_some());
}
