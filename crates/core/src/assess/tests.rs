//! The consensus as small stories: a few probers, one model, and what they say.

use super::*;
use crate::catalog::{Capabilities, Price, ProbeMode, Retention, Training};
use crate::id::{ModelId, ProviderId, Region};
use crate::money::PicoUsd;
use crate::observation::{Capacity, Counts, Evidence, Latency, Vote};
use crate::policy::{Route, Strategy};
use crate::score::{Bucket, ONE_Q16};

use Vote::{Config, Degraded, Down, Recovering, Suspect, Unknown, Up};

const MODEL: &str = "acme/large";
/// The operator weight of every endpoint here.
const OPERATOR_WEIGHT: u16 = 100;
const FULL: Weight = Weight(100 << 16);

/// A small world: endpoints named by their provider, probers named by number and zone.
struct World {
    catalog: Catalog,
    policy: Policy,
    overrides: Overrides,
    probers: BTreeMap<ProberId, ProberInfo>,
    observations: BTreeMap<(EndpointId, ProberId), Observation>,
}

impl World {
    /// Providers with one endpoint each, and one prober for each zone named.
    fn new(providers: &[&str], zones: &[&str]) -> Self {
        let mut endpoints: Vec<_> = providers.iter().map(|p| endpoint(p, MODEL)).collect();
        endpoints.sort_by_key(|e| e.id);
        let catalog = Catalog { endpoints, ..Catalog::default() };
        let prober = |(at, zone): (usize, &&str)| {
            let info = ProberInfo { zone: Zone::new(zone), incarnation: 7, self_suspect: false };
            (ProberId::new(&format!("p{at}")), info)
        };
        Self {
            catalog,
            policy: Policy::default(),
            overrides: Overrides::default(),
            probers: zones.iter().enumerate().map(prober).collect(),
            observations: BTreeMap::new(),
        }
    }

    /// Every prober, in order, votes on the endpoint.
    fn votes(&mut self, provider: &str, votes: &[Vote]) {
        for (at, vote) in votes.iter().enumerate() {
            self.says(at, provider, of_vote(*vote));
        }
    }

    fn says(&mut self, prober: usize, provider: &str, observation: Observation) {
        let key = (id(provider), ProberId::new(&format!("p{prober}")));
        self.observations.insert(key, observation);
    }

    fn everyone_says(&mut self, provider: &str, observation: Observation) {
        for prober in 0..self.probers.len() {
            self.says(prober, provider, observation);
        }
    }

    fn strategy(&mut self, strategy: Strategy) {
        self.policy.strategy = strategy;
    }

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

    fn row(&self, provider: &str) -> Row {
        self.table_in("a").rows[&id(provider)].clone()
    }

    fn verdict(&self, provider: &str) -> Verdict {
        self.row(provider).verdict
    }

    fn endpoint_mut(&mut self, provider: &str) -> &mut Endpoint {
        self.catalog.endpoints.iter_mut().find(|e| e.provider.as_str() == provider).unwrap()
    }
}

fn id(provider: &str) -> EndpointId {
    EndpointId::of(&ProviderId::new(provider), &ModelId::new(MODEL), &Region::new("r"))
}

fn endpoint(provider: &str, model: &str) -> Endpoint {
    let (provider, model, region) =
        (ProviderId::new(provider), ModelId::new(model), Region::new("r"));
    Endpoint {
        id: EndpointId::of(&provider, &model, &region),
        provider,
        model,
        region,
        upstream_model: "large".into(),
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
        weight: OPERATOR_WEIGHT,
    }
}

fn of_vote(vote: Vote) -> Observation {
    let counts = match vote {
        Vote::Down => Counts { health: 20, ..Counts::default() },
        _ => Counts { ok: 20, ..Counts::default() },
    };
    Observation {
        incarnation: 7,
        vote,
        evidence: Evidence { active: true, passive: true },
        ramp_permille: 1000,
        counts,
        ..Observation::default()
    }
}

fn with_counts(ok: u32, health: u32) -> Observation {
    Observation { counts: Counts { ok, health, ..Counts::default() }, ..of_vote(Vote::Up) }
}

fn with_ttft(ms: u32) -> Observation {
    let latency = Latency { ttft_p50: Some(Bucket::of(ms)), ..Latency::default() };
    Observation { latency, ..of_vote(Vote::Up) }
}

#[test]
fn a_majority_from_two_zones_ejects() {
    let mut world = World::new(&["x", "y"], &["a", "b", "c"]);
    world.votes("x", &[Down, Down, Up]);
    world.votes("y", &[Up, Up, Up]);
    assert_eq!(world.verdict("x"), Verdict::Down);
    assert_eq!(world.row("x").weight, Weight::ZERO);
    assert_eq!(world.row("y").weight, FULL);
}

#[test]
fn one_of_three_ejects_nobody() {
    let mut world = World::new(&["x", "y"], &["a", "b", "c"]);
    world.votes("x", &[Down, Up, Up]);
    assert_eq!(world.verdict("x"), Verdict::Up);
}

#[test]
fn a_suspicion_is_no_vote_against() {
    let mut world = World::new(&["x", "y"], &["a", "b", "c"]);
    world.votes("x", &[Suspect, Suspect, Suspect]);
    assert_eq!(world.verdict("x"), Verdict::Up);
}

#[test]
fn a_majority_of_one_zone_alone_does_not_eject() {
    let mut world = World::new(&["x", "y"], &["a", "a", "b"]);
    world.votes("x", &[Down, Down, Up]);
    let row = world.row("x");
    assert_eq!(row.agreed, Verdict::Degraded);
    assert_eq!(row.down_zones, [Zone::new("a")]);
    assert_eq!(row.verdict, Verdict::ZoneDown);
    assert_eq!(world.table_in("b").rows[&id("x")].verdict, Verdict::Degraded);
}

#[test]
fn the_zone_shades_the_weight_but_not_the_digest() {
    let mut world = World::new(&["x", "y"], &["a", "a", "b", "c", "d"]);
    world.votes("x", &[Down, Down, Up, Up, Up]);
    world.votes("y", &[Up; 5]);
    let (here, elsewhere) = (world.table_in("a"), world.table_in("b"));
    assert_eq!(here.rows[&id("x")].weight, Weight(100 * (ONE_Q16 / 50)));
    assert_eq!(elsewhere.rows[&id("x")].weight, FULL);
    assert_eq!(here.digest, elsewhere.digest);
}

#[test]
fn a_lone_observer_advises_and_does_not_eject() {
    let mut world = World::new(&["x", "y"], &["a"]);
    world.votes("x", &[Down]);
    world.votes("y", &[Up]);
    assert_eq!(world.verdict("x"), Verdict::AdvisoryDown);
    assert_eq!(world.row("x").weight, Weight(FULL.0 / 2));
}

#[test]
fn nobody_to_ask_means_unknown_at_full_weight() {
    let mut world = World::new(&["x"], &["a", "b", "c"]);
    assert_eq!(world.verdict("x"), Verdict::Unknown);
    assert!(world.row("x").no_evidence());
    assert_eq!(world.row("x").weight, FULL);
    world.votes("x", &[Unknown, Unknown, Unknown]);
    assert_eq!(world.verdict("x"), Verdict::Unknown);
}

#[test]
fn records_of_a_former_life_or_of_strangers_do_not_count() {
    let mut world = World::new(&["x", "y"], &["a", "b", "c"]);
    for prober in 0..3 {
        world.says(prober, "x", Observation { incarnation: 6, ..of_vote(Down) });
    }
    world.says(9, "x", of_vote(Down));
    assert_eq!(world.verdict("x"), Verdict::Unknown);
}

#[test]
fn who_is_not_assigned_is_not_heard() {
    let mut world = World::new(&["x", "y"], &["a", "b", "c", "d", "e", "f", "g"]);
    world.everyone_says("x", of_vote(Up));
    let row = world.row("x");
    assert_eq!((row.heard.assigned, row.heard.voices), (5, 5));
}

#[test]
fn silence_of_the_others_is_no_agreement() {
    let mut world = World::new(&["x", "y"], &["a", "b", "c", "d", "e"]);
    world.votes("x", &[Down, Down]);
    let row = world.row("x");
    assert_eq!((row.heard.assigned, row.heard.voices), (5, 2));
    assert_eq!(row.verdict, Verdict::Degraded);
    assert!(row.weight > Weight::ZERO);
}

#[test]
fn a_refused_credential_is_a_configuration_error_and_no_outage() {
    let mut world = World::new(&["x", "y"], &["a", "b", "c"]);
    world.votes("x", &[Config, Config, Down]);
    assert_eq!(world.verdict("x"), Verdict::ConfigError);
    assert_eq!(world.row("x").weight, Weight::ZERO);
}

#[test]
fn down_and_degraded_together_are_degraded() {
    let mut world = World::new(&["x", "y"], &["a", "b", "c"]);
    world.votes("x", &[Down, Degraded, Up]);
    assert_eq!(world.verdict("x"), Verdict::Degraded);
}

#[test]
fn who_suspects_itself_is_not_heard() {
    let mut world = World::new(&["x", "y"], &["a", "b", "c"]);
    world.votes("x", &[Down, Down, Up]);
    world.probers.get_mut(&ProberId::new("p0")).unwrap().self_suspect = true;
    assert_eq!(world.verdict("x"), Verdict::Up);
    assert_eq!((world.row("x").heard.voices, world.row("x").heard.down), (2, 1));
}

#[test]
fn who_sees_everything_down_alone_is_not_heard() {
    let mut world = World::new(&["v", "w", "x", "y"], &["a", "b", "c"]);
    for provider in ["v", "w", "x"] {
        world.votes(provider, &[Down, Up, Up]);
    }
    world.votes("y", &[Up, Up, Up]);
    let row = world.row("x");
    assert_eq!((row.heard.voices, row.heard.down), (2, 0));
}

// Six probers, five to an endpoint: nobody watches everything, so some honest ones see only one outage.
#[test]
fn where_half_of_the_providers_are_down_a_liar_has_no_honest_prober_distrusted() {
    let mut world = World::new(&["w", "x", "y", "z"], &["a", "b", "c", "a", "b", "c"]);
    let probers = world.probers.clone();
    let roster = Roster::new(&probers);
    for (provider, truth) in [("w", Down), ("x", Down), ("y", Up), ("z", Up)] {
        for at in roster.of(id(provider)) {
            world.says(at, provider, of_vote(if at == 0 { Up } else { truth }));
        }
    }
    for provider in ["w", "x"] {
        assert_eq!(world.row(provider).agreed, Verdict::Down);
        assert_eq!(world.row(provider).heard.voices, 5);
    }
}

#[test]
fn one_provider_down_makes_no_liar_of_who_saw_it_first() {
    let mut world = World::new(&["x", "y"], &["a", "b", "c"]);
    world.votes("x", &[Down, Up, Up]);
    world.votes("y", &[Up, Up, Up]);
    assert_eq!(world.row("x").heard.down, 1);
}

#[test]
fn the_only_endpoint_of_a_model_stays_in() {
    let mut world = World::new(&["x"], &["a", "b", "c"]);
    world.votes("x", &[Down, Down, Down]);
    let row = world.row("x");
    assert_eq!((row.agreed, row.verdict), (Verdict::Down, Verdict::Degraded));
    assert_eq!(row.limited, Some(Limit::OnlyOne));
    assert!(row.eligible() && row.weight > Weight::ZERO);
}

#[test]
fn at_most_half_of_a_model_is_ejected_and_the_worst_first() {
    let mut world = World::new(&["v", "w", "x", "y"], &["a", "b", "c"]);
    for (provider, ok) in [("v", 1), ("w", 2), ("x", 3)] {
        let observation =
            Observation { counts: Counts { ok, health: 20, ..Counts::default() }, ..of_vote(Down) };
        world.everyone_says(provider, observation);
    }
    world.votes("y", &[Up, Up, Up]);
    let ejected = ["v", "w", "x", "y"].map(|p| world.verdict(p) == Verdict::Down);
    assert_eq!(ejected, [true, true, false, false]);
    assert_eq!(world.row("x").limited, Some(Limit::Share));
    assert_eq!(world.row("x").factors.health, ONE_Q16 / 50);
}

#[test]
fn most_providers_down_to_probes_alone_is_a_disruption() {
    let active_only = Evidence { active: true, passive: false };
    let mut world = World::new(&["v", "w", "x", "y"], &["a", "b", "c"]);
    for provider in ["v", "w", "x"] {
        world.everyone_says(provider, Observation { evidence: active_only, ..of_vote(Down) });
    }
    world.votes("y", &[Up, Up, Up]);
    let table = world.table_in("a");
    assert!(table.disruption);
    assert!(table.rows.values().all(|row| row.verdict != Verdict::Down));
    assert_eq!(world.row("x").limited, Some(Limit::Disruption));
    world.says(0, "x", of_vote(Down));
    assert!(world.table_in("a").disruption, "one that heard of it from live traffic is not enough");
    world.says(1, "x", of_vote(Down));
    assert!(!world.table_in("a").disruption, "only two are left that probes alone find down");
}

#[test]
fn a_drain_beats_everything() {
    let mut world = World::new(&["x", "y"], &["a", "b", "c"]);
    world.votes("x", &[Up, Up, Up]);
    let drain = Override { drained: true, weight: Some(1000) };
    world.overrides.endpoints.insert(id("x"), drain);
    let row = world.row("x");
    assert!(row.drained && !row.eligible());
    assert_eq!(row.weight, Weight::ZERO);
}

#[test]
fn a_pinned_weight_replaces_the_catalogs() {
    let mut world = World::new(&["x", "y"], &["a"]);
    world.overrides.endpoints.insert(id("x"), Override { drained: false, weight: Some(25) });
    world.overrides.endpoints.insert(id("y"), Override { drained: false, weight: Some(0) });
    assert_eq!(world.row("x").weight, Weight(25 << 16));
    assert_eq!(world.row("y").weight, Weight::ZERO);
}

#[test]
fn success_shades_the_weight_in_three_pieces() {
    let mut world = World::new(&["x", "y"], &["a"]);
    let mut health = |ok, failed| {
        world.says(0, "x", with_counts(ok, failed));
        world.row("x").factors.health
    };
    assert_eq!(health(1_000, 0), ONE_Q16);
    assert_eq!(health(790, 200), ONE_Q16 / 50);
    let middling = health(880, 110);
    assert!((ONE_Q16 / 2..ONE_Q16).contains(&middling), "{middling}");
}

#[test]
fn a_recovery_takes_its_share_of_the_weight() {
    let mut world = World::new(&["x", "y"], &["a", "b", "c"]);
    world.everyone_says("x", Observation { ramp_permille: 300, ..of_vote(Recovering) });
    assert_eq!(world.row("x").factors.ramp, 300 * ONE_Q16 / 1000);
    assert_eq!(world.verdict("x"), Verdict::Up);
}

#[test]
fn scarce_headroom_and_a_learned_cap_shade_the_weight() {
    let mut world = World::new(&["x", "y"], &["a"]);
    let mut capacity = |remaining, cap| {
        let capacity = Capacity {
            limit_requests: Some(1000),
            remaining_requests: Some(remaining),
            learned_cap_permille: Some(cap),
            ..Capacity::default()
        };
        world.says(0, "x", Observation { capacity, ..of_vote(Up) });
        world.row("x").factors.capacity
    };
    assert_eq!(capacity(200, 1000), ONE_Q16);
    assert_eq!(capacity(100, 1000), ONE_Q16 / 2);
    assert_eq!(capacity(0, 1000), ONE_Q16 / 4);
    assert_eq!(capacity(1000, 559), ONE_Q16 / 2);
}

#[test]
fn price_counts_by_strategy() {
    let mut world = World::new(&["x", "y"], &["a"]);
    world.endpoint_mut("x").price.output = PicoUsd(1_000);
    world.endpoint_mut("y").price.output = PicoUsd(3_000);
    let mut price = |strategy| {
        world.strategy(strategy);
        world.row("y").factors.price
    };
    assert_eq!(price(Strategy::Balanced), ONE_Q16 / 9);
    assert_eq!(price(Strategy::InverseSquarePrice), ONE_Q16 / 9);
    assert!((ONE_Q16 / 28..ONE_Q16 / 26).contains(&price(Strategy::Price)));
    assert_eq!(price(Strategy::Latency), ONE_Q16);
}

#[test]
fn a_route_of_the_models_name_sets_the_strategy_of_the_model() {
    let mut world = World::new(&["x", "y"], &["a"]);
    world.endpoint_mut("x").price.output = PicoUsd(1_000);
    world.endpoint_mut("y").price.output = PicoUsd(3_000);
    let route = Route {
        models: vec![ModelId::new(MODEL)],
        strategy: Some(Strategy::Order),
        timeouts: None,
    };
    world.policy.routes.insert(MODEL.to_owned(), route);
    assert_eq!(world.row("y").factors.price, ONE_Q16);
}

#[test]
fn latency_is_free_for_one_bucket_and_then_halves_every_four() {
    let mut world = World::new(&["x", "y"], &["a"]);
    world.strategy(Strategy::Latency);
    world.says(0, "x", with_ttft(64));
    let mut latency = |ms| {
        world.says(0, "y", with_ttft(ms));
        world.row("y").factors.latency
    };
    assert_eq!(latency(80), ONE_Q16);
    assert_eq!(latency(90), ONE_Q16, "the second bucket ends at 64·√2 ms");
    assert_eq!(latency(91), 55_109);
    assert_eq!(latency(153), ONE_Q16 / 2);
    assert_eq!(latency(60_000), ONE_Q16 / 20);
}

#[test]
fn an_unmeasured_endpoint_is_neither_fast_nor_slow() {
    let mut world = World::new(&["x", "y"], &["a"]);
    world.says(0, "x", with_ttft(1_000));
    world.says(0, "y", of_vote(Up));
    assert_eq!(world.row("y").factors.latency, ONE_Q16);
    assert_eq!(world.row("x").factors.latency, ONE_Q16);
}

#[test]
fn speed_counts_for_throughput_alone() {
    let mut world = World::new(&["x", "y"], &["a"]);
    let speed = |tps| {
        let latency =
            Latency { tokens_per_second_p50: Some(Bucket::of(tps)), ..with_ttft(500).latency };
        Observation { latency, ..of_vote(Up) }
    };
    world.says(0, "x", speed(128));
    world.says(0, "y", speed(32));
    world.strategy(Strategy::Throughput);
    assert_eq!(world.row("y").factors.latency, 19_484, "eight buckets behind, one of them free");
    world.strategy(Strategy::Price);
    assert_eq!(world.row("y").factors.latency, ONE_Q16);
}

#[test]
fn inverse_square_price_looks_at_outages_and_nothing_else() {
    let mut world = World::new(&["x", "y"], &["a", "b", "c"]);
    world.strategy(Strategy::InverseSquarePrice);
    world.everyone_says("x", with_counts(80, 20));
    world.everyone_says("y", with_ttft(9_000));
    assert_eq!((world.row("x").weight, world.row("y").weight), (FULL, FULL));
    world.votes("x", &[Suspect, Suspect, Up]);
    assert_eq!(world.row("x").factors.health, ONE_Q16 / 50);
}

#[test]
fn whoever_may_be_called_keeps_a_hundredth_of_the_largest_share() {
    let mut world = World::new(&["x", "y"], &["a"]);
    world.endpoint_mut("x").price.output = PicoUsd(1);
    world.endpoint_mut("y").price.output = PicoUsd(1_000_000);
    assert_eq!(world.row("y").weight, Weight(FULL.0 / 100));
}

#[test]
fn a_liar_with_a_million_samples_counts_once() {
    let mut world = World::new(&["x", "y"], &["a", "b", "c"]);
    world.everyone_says("x", with_counts(100, 0));
    world.says(0, "x", with_counts(0, 1_000_000));
    assert_eq!(world.row("x").factors.health, ONE_Q16);
}

#[test]
fn who_alone_tells_of_a_limit_or_a_latency_is_one_voice_of_three() {
    let mut world = World::new(&["x", "y"], &["a", "b", "c"]);
    world.votes("x", &[Up, Up, Up]);
    let latency = Latency { ttft_p50: Some(Bucket::MAX), ..Latency::default() };
    let capacity = Capacity {
        limit_requests: Some(100),
        remaining_requests: Some(0),
        learned_cap_permille: Some(100),
        ..Capacity::default()
    };
    world.says(0, "x", Observation { latency, capacity, ..of_vote(Up) });
    assert_eq!(world.row("x").weight, FULL);
    world.says(1, "x", Observation { capacity, ..of_vote(Up) });
    assert!(world.row("x").weight < FULL);
}

#[test]
fn the_states_for_a_snapshot_carry_verdict_weight_and_numbers() {
    let mut world = World::new(&["x", "y"], &["a", "b", "c"]);
    world.everyone_says("x", with_ttft(1_000));
    let states = world.table_in("a").states(&world.catalog);
    let x = states.iter().find(|s| s.endpoint.id == id("x")).unwrap();
    let y = states.iter().find(|s| s.endpoint.id == id("y")).unwrap();
    assert_eq!((x.verdict, x.operator_weight), (Verdict::Up, OPERATOR_WEIGHT));
    assert_eq!(x.numbers.ttft_p50_ms.map(Bucket::of), Some(Bucket::of(1_000)));
    assert_eq!((y.verdict, y.numbers), (Verdict::Unknown, Numbers::default()));
}
