//! How long a decision takes: a whole plan and one pick, over 5 and 200 endpoints; and how long it takes to try
//! another policy on 100,000 recorded calls.

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use trunkline_core::assess::{Inputs, Table, assess};
use trunkline_core::catalog::{
    Capabilities, Catalog, Endpoint, Price, ProbeMode, Retention, Training,
};
use trunkline_core::draw::{Rng, Ticket, two_draws};
use trunkline_core::facts::Facts;
use trunkline_core::id::{EndpointId, KeyId, ModelId, ProviderId, Region, Zone};
use trunkline_core::impact::{Past, impact};
use trunkline_core::money::PicoUsd;
use trunkline_core::plan::{LocalLayer, LocalLoad, draw};
use trunkline_core::policy::{Policy, Strategy, Tenant};
use trunkline_core::snapshot::Snapshot;

fn endpoint(at: usize) -> Endpoint {
    let provider = ProviderId::new(&format!("provider-{at}"));
    let (model, region) = (ModelId::new("model"), Region::new("region"));
    Endpoint {
        id: EndpointId::of(&provider, &model, &region),
        provider,
        model,
        region,
        upstream_model: "model".to_owned(),
        price: Price { input: PicoUsd(100 + at as u64), output: PicoUsd(400), ..Price::default() },
        context_tokens: 128_000,
        max_output_tokens: 16_000,
        capabilities: Capabilities { chat: true, ..Capabilities::default() },
        parameters: Vec::new(),
        quantization: None,
        jurisdiction: None,
        retention: Retention::Zero,
        training: Training::No,
        probe: ProbeMode::Generate,
        weight: 100,
    }
}

fn snapshot(endpoints: usize) -> Snapshot {
    let catalog =
        Catalog { providers: Vec::new(), endpoints: (0..endpoints).map(endpoint).collect() };
    let inputs = Inputs {
        catalog: &catalog,
        policy: &Policy::default(),
        overrides: &Default::default(),
        probers: &Default::default(),
        observations: &Default::default(),
        zone: &Zone::new("zone"),
    };
    let table: Table = assess(&inputs);
    Snapshot::new(1, Policy::default(), Vec::new(), table.states(&catalog))
}

struct Busy;

impl LocalLayer for Busy {
    fn load(&self, endpoint: usize) -> LocalLoad {
        LocalLoad { in_flight: endpoint as u32 % 7, ..LocalLoad::default() }
    }
}

fn decisions(c: &mut Criterion) {
    let tenant = Tenant::unrestricted(KeyId::new("bench"));
    let facts =
        Facts { models: vec![ModelId::new("model")], input_tokens: 500, ..Facts::default() };
    for endpoints in [5, 200] {
        let view = snapshot(endpoints);
        let mut seed = 0;
        c.bench_function(&format!("plan/{endpoints}"), |b| {
            b.iter(|| {
                seed += 1;
                black_box(draw(&view, &tenant, &facts, &Busy, seed))
            });
        });
        let tickets: Vec<Ticket> = (0..endpoints)
            .map(|endpoint| Ticket {
                endpoint,
                weight: 6_553_600,
                load_milli: (endpoint as u64 % 7) * 1000,
            })
            .collect();
        let mut rng = Rng::new(1);
        c.bench_function(&format!("pick/{endpoints}"), |b| {
            b.iter(|| black_box(two_draws(&tickets, &mut rng)));
        });
    }
}

/// Recorded calls that are decided again.
const RECORDED: u64 = 100_000;

fn recorded(c: &mut Criterion) {
    let tenant = Tenant::unrestricted(KeyId::new("bench"));
    let facts =
        Facts { models: vec![ModelId::new("model")], input_tokens: 500, ..Facts::default() };
    let mut group = c.benchmark_group("impact");
    group.sample_size(10);
    for endpoints in [5, 20] {
        let before = snapshot(endpoints);
        let policy = Policy { strategy: Strategy::Price, ..Policy::default() };
        let after = Snapshot::new(1, policy, Vec::new(), before.endpoints.clone());
        let mut loads: Vec<(EndpointId, LocalLoad)> = before
            .endpoints
            .iter()
            .enumerate()
            .map(|(at, state)| (state.endpoint.id, Busy.load(at)))
            .collect();
        loads.sort_by_key(|(id, _)| *id);
        group.bench_function(format!("{RECORDED} calls/{endpoints}"), |b| {
            b.iter(|| {
                let past = |seed| Past {
                    asked: "model",
                    facts: &facts,
                    tenant: &tenant,
                    loads: loads.clone(),
                    seed,
                    tokens: Some((500, 100)),
                };
                black_box(impact(&before, &after, (0..RECORDED).map(past)))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decisions, recorded);
criterion_main!(benches);
