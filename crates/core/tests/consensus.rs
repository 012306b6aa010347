//! What the consensus promises, for worlds that chance draws up, and digests that no change may move unnoticed.
#![expect(
    clippy::indexing_slicing,
    reason = "clippy exempts test functions only; a missing row is a failed test here"
)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::RngSeed;

use trunkline_core::assess::{Inputs, Override, Overrides, Row, Table, assess};
use trunkline_core::breaker::Admission;
use trunkline_core::catalog::{
    Capabilities, Catalog, Endpoint, Price, ProbeMode, Retention, Training,
};
use trunkline_core::facts::Facts;
use trunkline_core::id::{EndpointId, KeyId, ModelId, ProberId, ProviderId, Region, Zone};
use trunkline_core::money::PicoUsd;
use trunkline_core::observation::{
    Capacity, Counts, Evidence, Latency, Observation, ProberInfo, Vote,
};
use trunkline_core::plan::{LocalLayer, LocalLoad, draw};
use trunkline_core::policy::{Policy, Strategy as Weighing, Tenant};
use trunkline_core::score::{Bucket, headroom_permille, success_permille};
use trunkline_core::snapshot::{Snapshot, Verdict, Weight};

/// The create revision of every living prober's key.
const INCARNATION: u64 = 7;

#[derive(Clone, Debug)]
struct World {
    catalog: Catalog,
    policy: Policy,
    overrides: Overrides,
    probers: BTreeMap<ProberId, ProberInfo>,
    observations: BTreeMap<(EndpointId, ProberId), Observation>,
}

impl World {
    fn table_in(&self, zone: &str) -> Table {
        assess(&Inputs {
            catalog: &self.catalog,
            policy: &self.policy,
            overrides: &self.overrides,
            probers: &self.probers,
            observations: &self.observations,
            zone: &Zone::new(zone),
        })
    }

    fn table(&self) -> Table {
        self.table_in("z0")
    }

    fn id_at(&self, index: &Index) -> EndpointId {
        index.get(&self.catalog.endpoints).id
    }

    fn of_model(&self, model: &ModelId) -> impl Iterator<Item = &Endpoint> {
        self.catalog.endpoints.iter().filter(move |e| e.model == *model)
    }

    fn models(&self) -> BTreeSet<&ModelId> {
        self.catalog.endpoints.iter().map(|e| &e.model).collect()
    }
}

fn endpoint(provider: usize, model: usize) -> Endpoint {
    let provider = ProviderId::new(&format!("provider-{provider}"));
    let model = ModelId::new(&format!("model-{model}"));
    let region = Region::new("r");
    Endpoint {
        id: EndpointId::of(&provider, &model, &region),
        upstream_model: model.to_string(),
        provider,
        model,
        region,
        price: Price::default(),
        context_tokens: 8_192,
        max_output_tokens: 4_096,
        capabilities: Capabilities::default(),
        parameters: Vec::new(),
        quantization: None,
        jurisdiction: None,
        retention: Retention::Unknown,
        training: Training::Unknown,
        probe: ProbeMode::Generate,
        weight: 100,
    }
}

fn prober(number: usize) -> ProberId {
    ProberId::new(&format!("prober-{number}"))
}

fn small_or_any() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 0..200u32, 1 => any::<u32>()]
}

fn counts() -> impl Strategy<Value = Counts> {
    let parts = (small_or_any(), small_or_any(), small_or_any(), small_or_any());
    parts.prop_map(|(ok, health, rate_limited, overloaded)| Counts {
        ok,
        health,
        rate_limited,
        overloaded,
        ..Counts::default()
    })
}

fn bucket() -> impl Strategy<Value = Option<Bucket>> {
    proptest::option::weighted(0.8, (0..=127u8).prop_map(Bucket::new))
}

fn latency() -> impl Strategy<Value = Latency> {
    (bucket(), bucket(), bucket()).prop_map(|(ttft_p50, ttft_p99, tokens_per_second_p50)| Latency {
        ttft_p50,
        ttft_p99,
        tokens_per_second_p50,
        ..Latency::default()
    })
}

fn capacity() -> impl Strategy<Value = Capacity> {
    let number = || proptest::option::of(prop_oneof![0..2_000u64, any::<u64>()]);
    (number(), number(), proptest::option::of(any::<u16>())).prop_map(|(limit, left, cap)| {
        Capacity {
            limit_requests: limit,
            remaining_requests: left,
            learned_cap_permille: cap,
            ..Capacity::default()
        }
    })
}

/// Anything that a prober could write, sensible or not.
fn observation() -> impl Strategy<Value = Observation> {
    let vote = prop_oneof![3 => Just(Vote::Down), 7 => select(Vote::ALL.to_vec())];
    let incarnation = prop_oneof![9 => Just(INCARNATION), 1 => any::<u64>()];
    let ramp = prop_oneof![0..=1000u16, any::<u16>()];
    let evidence = any::<(bool, bool)>().prop_map(|(active, passive)| Evidence { active, passive });
    (vote, incarnation, ramp, evidence, counts(), latency(), capacity()).prop_map(
        |(vote, incarnation, ramp_permille, evidence, counts, latency, capacity)| Observation {
            incarnation,
            vote,
            evidence,
            ramp_permille,
            counts,
            latency,
            capacity,
            ..Observation::default()
        },
    )
}

fn catalog(providers: usize, models: usize) -> impl Strategy<Value = Catalog> {
    let price = prop_oneof![0..10_000u64, any::<u64>()];
    let weight = prop_oneof![1 => Just(0u16), 8 => 1..=1000u16, 1 => any::<u16>()];
    let listed = proptest::bool::weighted(0.8);
    vec((listed, price, weight), providers * models).prop_map(move |rows| {
        let offered = rows.into_iter().enumerate().filter(|(_, (listed, ..))| *listed);
        let mut endpoints: Vec<Endpoint> = offered
            .map(|(at, (_, price, weight))| Endpoint {
                price: Price { output: PicoUsd(price), ..Price::default() },
                weight,
                ..endpoint(at / models, at % models)
            })
            .collect();
        endpoints.push(endpoint(providers, 0));
        endpoints.sort_by_key(|e| e.id);
        Catalog { endpoints, ..Catalog::default() }
    })
}

fn probers() -> impl Strategy<Value = BTreeMap<ProberId, ProberInfo>> {
    let prober_info = (0..3u8, proptest::bool::weighted(0.1)).prop_map(|(zone, self_suspect)| {
        ProberInfo { zone: Zone::new(&format!("z{zone}")), incarnation: INCARNATION, self_suspect }
    });
    btree_map((0..8usize).prop_map(prober), prober_info, 0..8)
}

fn policy() -> impl Strategy<Value = Policy> {
    use Weighing::{Balanced, InverseSquarePrice, Latency, Order, Price, Throughput};
    let all = vec![Balanced, Price, Latency, Throughput, Order, InverseSquarePrice];
    select(all).prop_map(|strategy| Policy { strategy, ..Policy::default() })
}

fn overrides(catalog: &Catalog) -> impl Strategy<Value = Overrides> + use<> {
    let ids: Vec<EndpointId> = catalog.endpoints.iter().map(|e| e.id).collect();
    let word = (any::<bool>(), proptest::option::of(0..=1000u16))
        .prop_map(|(drained, weight)| Override { drained, weight });
    btree_map(select(ids), word, 0..3).prop_map(|endpoints| Overrides { endpoints })
}

/// A world of so many providers and models at most, with anything in it.
fn world(providers: usize, models: usize) -> impl Strategy<Value = World> {
    catalog(providers, models).prop_flat_map(|catalog| {
        let ids: Vec<EndpointId> = catalog.endpoints.iter().map(|e| e.id).collect();
        let key = (select(ids), (0..9usize).prop_map(prober));
        let observations = btree_map(key, observation(), 0..90);
        (Just(catalog.clone()), policy(), overrides(&catalog), probers(), observations).prop_map(
            |(catalog, policy, overrides, probers, observations)| World {
                catalog,
                policy,
                overrides,
                probers,
                observations,
            },
        )
    })
}

/// The same world with five observers who agree on what is down: chance alone agrees too seldom to eject.
fn unanimous(mut world: World, down: &[bool]) -> World {
    let info = |at: usize| {
        let zone = Zone::new(&format!("z{at}"));
        ProberInfo { zone, incarnation: INCARNATION, self_suspect: false }
    };
    world.probers = (0..5).map(|at| (prober(at), info(at))).collect();
    world.observations.clear();
    for (endpoint, down) in world.catalog.endpoints.iter().zip(down.iter().cycle()) {
        let said = Observation {
            incarnation: INCARNATION,
            vote: if *down { Vote::Down } else { Vote::Up },
            evidence: Evidence { active: true, passive: true },
            ..Observation::default()
        };
        world.observations.extend((0..5).map(|at| ((endpoint.id, prober(at)), said)));
    }
    world
}

/// The weight before the floor; nothing for what may not be called.
fn bare(row: &Row) -> Weight {
    if row.eligible() { row.factors.weight(row.operator_weight) } else { Weight::ZERO }
}

fn fixed_seed() -> ProptestConfig {
    ProptestConfig {
        cases: 100,
        rng_seed: RngSeed::Fixed(20),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// How an observation can be better than it was, without another vote.
fn improved(mut observation: Observation, how: u8, by: u32) -> Observation {
    match how {
        0 => observation.counts.ok = observation.counts.ok.saturating_add(by),
        1 => observation.counts.health = observation.counts.health.saturating_sub(by),
        2 => observation.ramp_permille = observation.ramp_permille.saturating_add(by as u16),
        3 => {
            let left = &mut observation.capacity.remaining_requests;
            *left = left.map(|left| left.saturating_add(u64::from(by)));
        }
        4 => {
            let ttft = &mut observation.latency.ttft_p50;
            *ttft = ttft.map(|ttft| ttft.moved(-(by as i16 % 8)));
        }
        _ => {
            let speed = &mut observation.latency.tokens_per_second_p50;
            *speed = speed.map(|speed| speed.moved(by as i16 % 8));
        }
    }
    observation
}

fn moved_by_one(mut latency: Latency, faster: bool) -> Latency {
    let places = if faster { -1 } else { 1 };
    latency.ttft_p50 = latency.ttft_p50.map(|b| b.moved(places));
    latency.tokens_per_second_p50 = latency.tokens_per_second_p50.map(|b| b.moved(-places));
    latency
}

proptest! {
    #![proptest_config(fixed_seed())]

    #[test]
    fn the_table_depends_on_neither_the_order_of_the_catalog_nor_the_zone(
        world in world(4, 3),
        order in any::<Index>(),
    ) {
        let mut turned = world.clone();
        let first = order.index(turned.catalog.endpoints.len());
        turned.catalog.endpoints.rotate_left(first);
        prop_assert_eq!(world.table(), turned.table());
        prop_assert_eq!(world.table().digest, world.table_in("z1").digest);
    }

    #[test]
    fn a_prober_that_falls_silent_never_ejects(world in world(4, 3), silent in any::<[bool; 9]>()) {
        let mut after = world.clone();
        let is_silent = |id: &ProberId| (0..9).any(|at| silent[at] && prober(at) == *id);
        after.observations.retain(|(_, id), _| !is_silent(id));
        let before = world.table();
        for (id, row) in after.table().rows {
            prop_assert!(row.agreed.usable() || !before.rows[&id].agreed.usable());
        }
    }

    // With one provider, trust cannot change; then even single records can go.
    #[test]
    fn a_record_that_is_lost_never_ejects(world in world(1, 3), kept in vec(any::<bool>(), 90)) {
        let mut world = world;
        for endpoint in &mut world.catalog.endpoints {
            endpoint.provider = ProviderId::new("the only one");
        }
        let mut after = world.clone();
        let mut kept = kept.into_iter();
        after.observations.retain(|_, _| kept.next().unwrap_or(true));
        let before = world.table();
        for (id, row) in after.table().rows {
            prop_assert!(row.agreed.usable() || !before.rows[&id].agreed.usable());
        }
    }

    #[test]
    fn without_observations_nothing_is_ejected_and_all_is_unknown(world in world(4, 3)) {
        let mut after = world;
        after.observations.clear();
        for row in after.table().rows.values() {
            prop_assert_eq!(row.verdict, Verdict::Unknown);
            prop_assert!(row.no_evidence());
        }
    }

    #[test]
    fn f_liars_of_2f_plus_1_change_no_verdict_and_move_no_median_out_of_the_honest_range(
        world in world(4, 2),
        f in 1..=2usize,
        votes in vec(select(Vote::ALL[1..].to_vec()), 12),
        honest in vec(observation(), 60),
        lies in vec(observation(), 24),
    ) {
        let mut truth = world;
        truth.observations.clear();
        truth.probers = (0..=2 * f).map(|at| {
            let zone = Zone::new(&format!("z{at}"));
            (prober(at), ProberInfo { zone, incarnation: INCARNATION, self_suspect: false })
        }).collect();
        for (e, endpoint) in truth.catalog.endpoints.iter().enumerate() {
            for at in 0..=2 * f {
                let mut said = honest[(e * 5 + at) % honest.len()];
                // The honest see the same, and some have measured nothing.
                said.vote = votes[e % votes.len()];
                said.evidence = honest[e % honest.len()].evidence;
                said.incarnation = INCARNATION;
                truth.observations.insert((endpoint.id, prober(at)), said);
            }
        }
        let mut lied = truth.clone();
        for (e, endpoint) in truth.catalog.endpoints.iter().enumerate() {
            for at in 0..f {
                let lie = lies[(e * 2 + at) % lies.len()];
                lied.observations.insert((endpoint.id, prober(at)), lie);
            }
        }
        let (true_table, false_table) = (truth.table(), lied.table());
        prop_assert_eq!(true_table.disruption, false_table.disruption);
        for (id, row) in &false_table.rows {
            prop_assert_eq!(row.agreed, true_table.rows[id].agreed);
            if row.no_evidence() {
                continue;
            }
            let honest = (f..=2 * f).map(|at| truth.observations[&(*id, prober(at))]);
            let honest: Vec<[Option<u32>; 6]> = honest.map(|o| told(&o)).collect();
            for (number, agreed) in agreed(row).into_iter().enumerate() {
                let told = || honest.iter().map(|numbers| numbers[number]);
                prop_assert!(agreed >= told().min().unwrap(), "number {} is too low", number);
                prop_assert!(agreed <= told().max().unwrap(), "number {} is too high", number);
            }
        }
    }

    #[test]
    fn whatever_happened_here_a_call_finds_a_turn_and_never_what_is_drained(
        world in world(4, 1),
        ejected in any::<[bool; 5]>(),
        good in any::<[bool; 5]>(),
        seed in any::<u64>(),
    ) {
        let states = world.table().states(&world.catalog);
        let snapshot = Snapshot::new(1, world.policy.clone(), Vec::new(), states);
        let local = Local { ejected, good };
        let tenant = Tenant::unrestricted(KeyId::new("any"));
        let plan = draw(&snapshot, &tenant, &facts("model-0"), &local, seed);
        let drained = |at: usize| {
            let state = &snapshot.endpoints[at];
            state.drained || state.operator_weight == 0
        };
        prop_assert!(plan.turns.iter().all(|turn| !drained(turn.endpoint)));
        let allowed = plan.candidates.iter().any(|c| c.excluded.is_none());
        prop_assert_eq!(!plan.turns.is_empty(), allowed);
    }

    #[test]
    fn doing_better_never_lowers_the_weight(
        world in world(3, 2),
        which in any::<Index>(),
        how in 0..6u8,
        by in 0..2_000u32,
    ) {
        prop_assume!(!world.observations.is_empty());
        let key = which.get(&world.observations.keys().cloned().collect::<Vec<_>>()).clone();
        let mut better = world.clone();
        better.observations.insert(key.clone(), improved(world.observations[&key], how, by));
        let (before, after) = (world.table(), better.table());
        prop_assert!(bare(&after.rows[&key.0]) >= bare(&before.rows[&key.0]));
    }

    #[test]
    fn being_cheaper_never_lowers_the_weight(
        world in world(3, 2),
        which in any::<Index>(),
        by in any::<u64>(),
    ) {
        let mut cheaper = world.clone();
        let at = which.index(world.catalog.endpoints.len());
        let price = &mut cheaper.catalog.endpoints[at].price.output;
        *price = PicoUsd(price.0.saturating_sub(by));
        let id = world.id_at(&which);
        prop_assert!(bare(&cheaper.table().rows[&id]) >= bare(&world.table().rows[&id]));
    }

    #[test]
    fn at_most_half_of_a_model_is_ejected_and_never_the_only_one(
        world in world(6, 2),
        down in vec(any::<bool>(), 13),
    ) {
        let world = unanimous(world, &down);
        let table = world.table();
        for model in world.models() {
            let rows = || world.of_model(model).map(|e| &table.rows[&e.id]).filter(|row| {
                !row.drained && row.operator_weight > 0 && row.agreed != Verdict::ConfigError
            });
            let ejected = rows().filter(|row| row.verdict == Verdict::Down).count();
            let all = rows().count();
            prop_assert!(ejected <= if all == 1 { 0 } else { all / 2 }, "{ejected} of {all}");
        }
    }

    #[test]
    fn what_is_drained_or_weighs_nothing_gets_nothing(world in world(4, 3)) {
        for row in world.table().rows.values().filter(|r| r.drained || r.operator_weight == 0) {
            prop_assert_eq!(row.weight, Weight::ZERO);
        }
    }

    #[test]
    fn wherever_something_is_allowed_something_has_a_share(
        world in world(4, 3),
        down in proptest::option::of(vec(any::<bool>(), 13)),
    ) {
        let world = match down {
            Some(down) => unanimous(world, &down),
            None => world,
        };
        let table = world.table();
        for model in world.models() {
            let rows = || world.of_model(model).map(|e| &table.rows[&e.id]);
            let allowed = |r: &&Row| {
                !r.drained && r.operator_weight > 0 && r.agreed != Verdict::ConfigError
            };
            let selectable = rows().any(|r| r.eligible() && r.weight > Weight::ZERO);
            prop_assert_eq!(selectable, rows().any(|r| allowed(&r)));
        }
    }

    #[test]
    fn one_bucket_published_moves_no_weight_by_more_than_one_step(
        world in world(3, 2),
        which in any::<Index>(),
        faster in any::<bool>(),
    ) {
        prop_assume!(!world.observations.is_empty());
        let key = which.get(&world.observations.keys().cloned().collect::<Vec<_>>()).clone();
        let mut next = world.clone();
        let said = next.observations.get_mut(&key).unwrap();
        said.latency = moved_by_one(said.latency, faster);
        let (before, after) = (world.table(), next.table());
        for (id, row) in &after.rows {
            let (old, new) = (u64::from(before.rows[id].weight.0), u64::from(row.weight.0));
            // One step is 2^(1/4); the slack is what rounding an 80-bit product down can lose.
            let (low, high) = (old * 55_000 / 65_536, old * 78_100 / 65_536 + 2);
            prop_assert!((low.saturating_sub(2)..=high).contains(&new), "{old} -> {new}");
        }
    }
}

/// What one prober tells, in the order of [`agreed`]; who tells of no limit tells that all is left.
fn told(o: &Observation) -> [Option<u32>; 6] {
    let ramp = if o.vote == Vote::Recovering { u32::from(o.ramp_permille).min(1000) } else { 1000 };
    let cap = o.capacity.learned_cap_permille.map_or(1000, u32::from);
    [
        Some(success_permille(&o.counts)),
        Some(ramp),
        Some(headroom_permille(&o.capacity).unwrap_or(1000)),
        Some(cap),
        o.latency.ttft_p50.map(|b| b.index().into()),
        o.latency.tokens_per_second_p50.map(|b| b.index().into()),
    ]
}

fn agreed(row: &Row) -> [Option<u32>; 6] {
    let scores = &row.scores;
    [
        Some(scores.success_permille),
        Some(scores.ramp_permille),
        Some(scores.headroom_permille.unwrap_or(1000)),
        Some(scores.learned_cap_permille.unwrap_or(1000)),
        scores.ttft_p50.map(|b| b.index().into()),
        scores.tokens_per_second_p50.map(|b| b.index().into()),
    ]
}

/// A router that has ejected some endpoints, and knows some to work.
struct Local {
    ejected: [bool; 5],
    good: [bool; 5],
}

impl LocalLayer for Local {
    fn load(&self, endpoint: usize) -> LocalLoad {
        let admission =
            if self.ejected[endpoint] { Admission::Ejected } else { Admission::Admitted };
        LocalLoad { admission, recently_good: self.good[endpoint], ..LocalLoad::default() }
    }
}

/// A call for a model that needs nothing.
fn facts(model: &str) -> Facts {
    Facts {
        models: vec![ModelId::new(model)],
        input_tokens: 1,
        max_output_tokens: None,
        needs: Capabilities::default(),
        parameters: Vec::new(),
        affinity: None,
        preferences: None,
    }
}

/// A world that is the same for ever: every field from a fixed mixture, nothing from chance.
fn frozen_world(size: usize) -> World {
    let mut endpoints: Vec<Endpoint> = (0..size).map(|at| endpoint(at / 4, at % 4)).collect();
    for (at, endpoint) in endpoints.iter_mut().enumerate() {
        endpoint.price.output = PicoUsd(1_000 + 37 * at as u64);
    }
    endpoints.sort_by_key(|e| e.id);
    let info = |at: usize| ProberInfo {
        zone: Zone::new(&format!("z{}", at % 3)),
        incarnation: INCARNATION,
        self_suspect: false,
    };
    let probers: BTreeMap<_, _> = (0..5).map(|at| (prober(at), info(at))).collect();
    let mut observations = BTreeMap::new();
    for (e, endpoint) in endpoints.iter().enumerate() {
        for at in 0..5 {
            let vote = if e % 9 < at { Vote::ALL[(e + at) % 7] } else { Vote::Up };
            observations.insert((endpoint.id, prober(at)), frozen_observation(e * 5 + at, vote));
        }
    }
    let catalog = Catalog { endpoints, ..Catalog::default() };
    let (policy, overrides) = (Policy::default(), Overrides::default());
    World { catalog, policy, overrides, probers, observations }
}

fn frozen_observation(number: usize, vote: Vote) -> Observation {
    let n = number as u32;
    Observation {
        incarnation: INCARNATION,
        vote,
        evidence: Evidence { active: true, passive: number.is_multiple_of(2) },
        ramp_permille: [100, 300, 600][number % 3],
        counts: Counts { ok: 100 + n % 50, health: n % 40, ..Counts::default() },
        latency: Latency {
            ttft_p50: Some(Bucket::new(30 + (number % 12) as u8)),
            tokens_per_second_p50: Some(Bucket::new(20 + (number % 7) as u8)),
            ..Latency::default()
        },
        capacity: Capacity {
            limit_requests: Some(1_000),
            remaining_requests: Some(u64::from(n * 13 % 1_000)),
            ..Capacity::default()
        },
        ..Observation::default()
    }
}

fn hex(digest: [u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

// A change here is a change of what a mixed cluster agrees on: raise the layout in `digest.rs` with it.
#[test]
fn the_digests_of_frozen_worlds_never_change() {
    assert_eq!(
        hex(frozen_world(0).table().digest),
        "d4071efb2a367286299566dc9f02c9c56ee6e42213a2e0c804e868ee26dd0ad8"
    );
    assert_eq!(
        hex(frozen_world(40).table().digest),
        "601fc275540a8946505057b36f2ebf9e0797f0ed1302cbf1f7993856a02b4c77"
    );
    let mut by_price = frozen_world(40);
    by_price.policy.strategy = Weighing::Price;
    assert_eq!(
        hex(by_price.table().digest),
        "4cb564c2bf0e5040fc24dbd260bc9512fbf942b205b493a8f823c8545013e722"
    );
}

// The same for what frozen worlds lack: operators' words, a liar, a limit that one prober tells of.
#[test]
fn the_digest_of_a_troubled_world_never_changes() {
    let mut world = frozen_world(40);
    let ids: Vec<EndpointId> = world.catalog.endpoints.iter().map(|e| e.id).collect();
    let drain = Override { drained: true, weight: None };
    let pin = Override { drained: false, weight: Some(250) };
    world.overrides.endpoints.extend([(ids[3], drain), (ids[5], pin)]);
    for id in &ids {
        let lie = world.observations.get_mut(&(*id, prober(0))).unwrap();
        (lie.vote, lie.capacity.learned_cap_permille) = (Vote::Down, Some(200));
    }
    world.probers.get_mut(&prober(4)).unwrap().self_suspect = true;
    assert_eq!(
        hex(world.table().digest),
        "c80802e424f4956cb4693322f3106198843d22e1f13d0d077a347f7ea7b73789"
    );
}

#[test]
fn two_thousand_endpoints_get_a_row_each() {
    assert_eq!(frozen_world(2_000).table().rows.len(), 2_000);
}
