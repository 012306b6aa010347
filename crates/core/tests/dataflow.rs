//! The closed set holds: whatever policy, key, wish, health and local knowledge chance draws up, no plan has a
//! turn outside of what the dataflow of the key says; and nothing is in the set that no call could reach.
//!
//! A debug build tries 20,000 worlds in a few seconds. A million of them:
//! `PROPTEST_CASES=1000000 cargo test --release -p trunkline-core --test dataflow`
#![expect(
    clippy::indexing_slicing,
    reason = "clippy exempts test functions only; a missing name is a failed test here"
)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use trunkline_core::breaker::Admission;
use trunkline_core::catalog::{Capabilities, Endpoint, Price, ProbeMode, Retention, Training};
use trunkline_core::dataflow::{Dataflow, Flow};
use trunkline_core::draw::Rng;
use trunkline_core::facts::{Facts, Preferences, Sort};
use trunkline_core::id::{EndpointId, KeyId, ModelId, ProviderId, Region};
use trunkline_core::money::PicoUsd;
use trunkline_core::names;
use trunkline_core::plan::{LocalLayer, LocalLoad, draw};
use trunkline_core::policy::{DataRules, Policy, Route, Tenant};
use trunkline_core::snapshot::{EndpointState, Numbers, Snapshot, Verdict, Weight};

/// Worlds unless `PROPTEST_CASES` names another number.
const WORLDS: u32 = 20_000;
/// Calls in each world.
const CALLS: usize = 8;
const PROVIDERS: [&str; 4] = ["a", "b", "c", "d"];
const MODELS: [&str; 4] = ["m", "n", "o", "p"];
const REGIONS: [&str; 2] = ["r", "s"];
const JURISDICTIONS: [&str; 2] = ["eu", "us"];
/// Names that policies may give to routes: some new, some those of models.
const ROUTES: [&str; 4] = ["fast", "smart", "m", "n"];

/// Draws everything of a world from one number, so that a failure is one number.
struct Chance(Rng);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0.below(bound as u64) as usize
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn some<'a>(&mut self, of: &[&'a str]) -> Vec<&'a str> {
        of.iter().copied().filter(|_| !self.once_in(3)).collect()
    }

    fn endpoint(&mut self, provider: &str, model: &str, region: &str) -> EndpointState {
        let (provider, model) = (ProviderId::new(provider), ModelId::new(model));
        let region = Region::new(region);
        let endpoint = Endpoint {
            id: EndpointId::of(&provider, &model, &region),
            upstream_model: String::new(),
            provider,
            model,
            region,
            price: Price { input: PicoUsd(self.below(9) as u64), ..Price::default() },
            context_tokens: 1_000,
            max_output_tokens: 1_000,
            capabilities: Capabilities { chat: true, tools: self.once_in(2), ..Default::default() },
            parameters: Vec::new(),
            quantization: None,
            jurisdiction: (!self.once_in(4)).then(|| self.one(&JURISDICTIONS).to_owned()),
            retention: self.one(&[Retention::Zero, Retention::Days(7), Retention::Unknown]),
            training: self.one(&[Training::No, Training::No, Training::Yes, Training::Unknown]),
            probe: ProbeMode::Generate,
            weight: 100,
        };
        EndpointState {
            endpoint,
            verdict: self.one(&[
                Verdict::Up,
                Verdict::Unknown,
                Verdict::Degraded,
                Verdict::Down,
                Verdict::ConfigError,
            ]),
            weight: Weight(self.below(3) as u32 * 1_000),
            numbers: Numbers::default(),
            drained: self.once_in(8),
            operator_weight: self.one(&[0, 100, 1_000]),
        }
    }

    fn endpoints(&mut self) -> Vec<EndpointState> {
        let mut endpoints = Vec::new();
        for provider in PROVIDERS {
            for model in MODELS {
                if !self.once_in(2) {
                    let region = self.one(&REGIONS);
                    endpoints.push(self.endpoint(provider, model, region));
                }
            }
        }
        endpoints
    }

    fn data(&mut self) -> DataRules {
        DataRules {
            jurisdictions: self.once_in(4).then(|| vec![self.one(&JURISDICTIONS).to_owned()]),
            max_retention_days: self.once_in(4).then(|| self.one(&[0, 7, 30])),
            no_training: self.once_in(4),
        }
    }

    fn policy(&mut self) -> Policy {
        let mut routes = BTreeMap::new();
        for name in ROUTES {
            let models = self.some(&MODELS);
            if !models.is_empty() && self.once_in(2) {
                let models = models.into_iter().map(ModelId::new).collect();
                routes.insert(name.to_owned(), Route { models, strategy: None, timeouts: None });
            }
        }
        Policy { routes, data: self.data(), ..Policy::default() }
    }

    fn tenant(&mut self) -> Tenant {
        let models = self.some(&MODELS).into_iter().map(ModelId::new).collect();
        let providers = self.some(&PROVIDERS).into_iter().map(ProviderId::new).collect();
        Tenant {
            models: self.once_in(2).then_some(models),
            providers: self.once_in(2).then_some(providers),
            data: self.data(),
            ..Tenant::unrestricted(KeyId::new("key"))
        }
    }

    fn wishes(&mut self) -> Preferences {
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        Preferences {
            order: if self.once_in(2) { owned(self.some(&PROVIDERS)) } else { Vec::new() },
            only: self.once_in(4).then(|| owned(self.some(&PROVIDERS))),
            allow_fallbacks: !self.once_in(3),
            deny_data_collection: self.once_in(4),
            zero_retention: self.once_in(6),
            sort: self.once_in(3).then_some(Sort::Price),
            ..Preferences::default()
        }
    }

    fn load(&mut self) -> LocalLoad {
        LocalLoad {
            in_flight: self.below(4) as u32,
            admission: self.one(&[
                Admission::Admitted,
                Admission::Admitted,
                Admission::Trial,
                Admission::Ejected,
                Admission::Cooling,
            ]),
            recently_good: self.once_in(3),
            ..LocalLoad::default()
        }
    }
}

struct Local(Vec<LocalLoad>);

impl LocalLayer for Local {
    fn load(&self, endpoint: usize) -> LocalLoad {
        self.0[endpoint]
    }
}

/// The places that a call's plan goes to; none when its names are refused.
fn reached(view: &Snapshot, tenant: &Tenant, call: (&[&str], Facts), local: &Local) -> Vec<Flow> {
    let (names, facts) = call;
    let Ok(asked) = names::resolve(names.iter().copied(), view, tenant) else { return Vec::new() };
    let facts = Facts { models: asked.models, ..facts };
    let plan = draw(view, tenant, &facts, local, 7);
    plan.turns.iter().map(|turn| Flow::to(&view.endpoints[turn.endpoint].endpoint)).collect()
}

fn no_turn_outside(seed: u64) {
    let mut chance = Chance(Rng::new(seed));
    let view = Snapshot::new(1, chance.policy(), Vec::new(), chance.endpoints());
    let tenant = chance.tenant();
    let dataflow = Dataflow::new(view.endpoints.iter().map(|s| &s.endpoint), &view.policy);
    let closed = dataflow.of(&tenant);
    let local = Local(view.endpoints.iter().map(|_| chance.load()).collect());
    for _ in 0..CALLS {
        let names: Vec<&str> = (0..=chance.below(3))
            .map(|_| chance.one(&["m", "n", "o", "p", "fast", "smart", "o:nitro", "smart:floor"]))
            .collect();
        let needs = Capabilities { chat: true, tools: chance.once_in(3), ..Default::default() };
        let preferences = chance.once_in(2).then(|| Box::new(chance.wishes()));
        let facts = Facts { needs, preferences, ..Facts::default() };
        for flow in reached(&view, &tenant, (&names, facts), &local) {
            assert!(closed.contains(&flow), "{names:?} reaches {flow:?} of {closed:?}");
        }
    }
}

/// With everything well, one call for each name and each provider goes everywhere in the set.
fn nothing_else_inside(seed: u64) {
    let mut chance = Chance(Rng::new(seed));
    let (policy, mut endpoints) = (chance.policy(), chance.endpoints());
    for state in &mut endpoints {
        (state.verdict, state.drained, state.operator_weight) = (Verdict::Up, false, 100);
    }
    let view = Snapshot::new(1, policy, Vec::new(), endpoints);
    let tenant = chance.tenant();
    let dataflow = Dataflow::new(view.endpoints.iter().map(|s| &s.endpoint), &view.policy);
    let local = Local(vec![LocalLoad::default(); view.endpoints.len()]);
    let mut found = BTreeSet::new();
    for name in MODELS.iter().chain(&ROUTES) {
        for provider in PROVIDERS {
            let only = Preferences { only: Some(vec![provider.to_owned()]), ..Default::default() };
            let facts = Facts { preferences: Some(Box::new(only)), ..Facts::default() };
            found.extend(reached(&view, &tenant, (&[*name], facts), &local));
        }
    }
    assert_eq!(found, dataflow.of(&tenant));
}

/// `PROPTEST_CASES` is read by the default configuration.
fn worlds() -> ProptestConfig {
    let usual = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => usual,
        None => ProptestConfig { cases: WORLDS, ..usual },
    }
}

proptest! {
    #![proptest_config(worlds())]

    #[test]
    fn no_plan_leaves_the_closed_set(seed in any::<u64>()) {
        no_turn_outside(seed);
    }

    #[test]
    fn the_closed_set_is_no_larger_than_it_must_be(seed in any::<u64>()) {
        nothing_else_inside(seed);
    }
}
