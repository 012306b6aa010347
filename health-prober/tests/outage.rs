//! A provider dies and comes back, and three probers notice. The probes are real, to simulated providers over
//! loopback; the clock is not: it moves only between steps, so minutes pass in no time and nothing depends on
//! how fast this machine is.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy exempts test functions only; what fails in a helper is a failed test"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt;
use health_prober::config::{ProberConfig, SecretFinder};
use health_prober::cycle::Cycle;
use health_prober::evidence::{Batch, Seen, Traffic, mailbox};
use health_prober::publish::Publisher;
use health_prober::telemetry::Telemetry;
use health_prober::{app, probe};
use sim_provider::{Fault, FaultRule, SimConfig, SimProvider};
use trunkline_core::assess::{Inputs, Overrides, Row, assess};
use trunkline_core::catalog::{Catalog, SecretRef};
use trunkline_core::id::{EndpointId, ModelId, ProberId, ProviderId, Region, RouterId, Zone};
use trunkline_core::money::PicoUsd;
use trunkline_core::observation::{Counts, Observation, ProberInfo, Vote};
use trunkline_core::policy::Policy;
use trunkline_core::snapshot::Verdict;
use trunkline_runtime::Shutdown;
use trunkline_spec::observation::{decode_observation, decode_prober};
use trunkline_store::keys::{Key, ROOT};
use trunkline_store::{Change, Event, Expect, KeyValue, Memory, Store, Watch};
use trunkline_upstream::Transport;

/// Where the catalog is.
const CATALOG: &str = "/trunkline/v1/cfg/catalog";
/// How far the clock moves in one step.
const STEP_MS: u64 = 250;

fn no_secrets() -> SecretFinder {
    Arc::new(|reference: &SecretRef| Err(format!("{reference:?} is not needed here")))
}

fn eid(provider: &str) -> EndpointId {
    EndpointId::of(&ProviderId::new(provider), &ModelId::new("m"), &Region::new("global"))
}

/// A catalog in which each provider serves this endpoint.
fn catalog_of(sims: &BTreeMap<&'static str, SimProvider>, endpoint: &str) -> String {
    let entry = |(name, sim): (&&str, &SimProvider)| {
        let url = sim.base_url();
        format!("  - id: {name}\n    base_url: {url}\n    endpoints:\n      - {endpoint}\n")
    };
    let entries: String = sims.iter().map(entry).collect();
    format!("version: 1\nproviders:\n{entries}")
}

/// One prober without its loop: the story takes its place.
struct Prober {
    cycle: Cycle,
    publisher: Publisher,
    watch: Watch,
}

impl Prober {
    fn new(config: &ProberConfig, store: &Memory) -> Self {
        Self {
            cycle: Cycle::new(config, Telemetry::new(&config.id), 0),
            publisher: Publisher::new(config, Arc::new(store.clone())).unwrap(),
            watch: store.watch(ROOT),
        }
    }

    fn learn(&mut self, now_ms: u64) {
        while let Some(change) = self.watch.next().now_or_never() {
            self.cycle.learn(change, now_ms);
        }
    }

    async fn publish(&mut self, now_ms: u64) {
        while let Some(errand) = self.publisher.next_errand(&self.cycle, now_ms) {
            self.publisher.ended(errand.await, &mut self.cycle, now_ms).unwrap();
        }
    }
}

/// Two providers of one model, the probers that watch them, and all that was ever published.
struct Story {
    sims: BTreeMap<&'static str, SimProvider>,
    store: Memory,
    catalog: Catalog,
    probers: Vec<Prober>,
    transport: Transport,
    published: Vec<(EndpointId, Observation)>,
    log: Watch,
    now_ms: u64,
}

impl Story {
    async fn with(zones: &[&str], tell: impl Fn(&mut ProberConfig), endpoint: &str) -> Self {
        let mut sims = BTreeMap::new();
        for name in ["dying", "steady"] {
            sims.insert(name, SimProvider::start(SimConfig::default()).await.unwrap());
        }
        let text = catalog_of(&sims, endpoint);
        let catalog = trunkline_spec::catalog::parse(&text).unwrap();
        let store = Memory::new();
        store.put(CATALOG, text.into(), Expect::Absent).await.unwrap();
        let probers = zones.iter().enumerate().map(|(at, zone)| {
            let id = ProberId::new(&format!("p{at}"));
            let mut config = ProberConfig::new(id, Zone::new(zone), no_secrets());
            tell(&mut config);
            Prober::new(&config, &store)
        });
        Self {
            probers: probers.collect(),
            transport: Transport::new().unwrap(),
            published: Vec::new(),
            log: store.watch("/trunkline/v1/obs/"),
            now_ms: 0,
            sims,
            store,
            catalog,
        }
    }

    async fn of_three() -> Self {
        Self::with(&["a", "b", "c"], |_| {}, "model: m").await
    }

    /// One step of everybody: learn, probe what is due, publish.
    async fn step(&mut self) {
        self.now_ms += STEP_MS;
        for prober in &mut self.probers {
            prober.learn(self.now_ms);
            prober.cycle.tick(self.now_ms);
            for task in prober.cycle.due(self.now_ms) {
                let report = probe::run(self.transport.clone(), task).await;
                prober.cycle.observe(&report, self.now_ms);
            }
            prober.publish(self.now_ms).await;
        }
        while let Some(change) = self.log.next().now_or_never() {
            let entries = match change {
                Change::Snapshot(listing) => listing.entries,
                Change::Batch { events, .. } => events.into_iter().filter_map(put).collect(),
                Change::Progress { .. } => Vec::new(),
                Change::Silent { reason } => panic!("{reason}"),
            };
            self.published.extend(entries.iter().map(|entry| {
                let Some(Key::Observation { endpoint, .. }) = Key::parse(&entry.key) else {
                    panic!("{}", entry.key)
                };
                let endpoint = EndpointId::parse(endpoint.as_str()).unwrap();
                (endpoint, decode_observation(&entry.value).unwrap())
            }));
        }
    }

    /// Goes on until the routers' verdict is this one; answers how long that took.
    async fn until(&mut self, provider: &str, verdict: Verdict, at_most_ms: u64) -> u64 {
        let began = self.now_ms;
        while self.row(provider).await.verdict != verdict {
            assert!(self.now_ms - began < at_most_ms, "{:?}", self.row(provider).await);
            self.step().await;
        }
        self.now_ms - began
    }

    async fn go_on(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while self.now_ms < end {
            self.step().await;
        }
    }

    /// What a router makes of the store's present contents.
    async fn row(&self, provider: &str) -> Row {
        let (mut probers, mut observations) = (BTreeMap::new(), BTreeMap::new());
        for entry in self.store.list(ROOT).await.unwrap().entries {
            match Key::parse(&entry.key) {
                Some(Key::Prober(id)) => {
                    let info: ProberInfo =
                        decode_prober(&entry.value, entry.create_revision.0).unwrap();
                    probers.insert(ProberId::new(id.as_str()), info);
                }
                Some(Key::Observation { prober, endpoint }) => {
                    let at = (
                        EndpointId::parse(endpoint.as_str()).unwrap(),
                        ProberId::new(prober.as_str()),
                    );
                    observations.insert(at, decode_observation(&entry.value).unwrap());
                }
                _ => {}
            }
        }
        let table = assess(&Inputs {
            catalog: &self.catalog,
            policy: &Policy::default(),
            overrides: &Overrides::default(),
            probers: &probers,
            observations: &observations,
            zone: &Zone::new("a"),
        });
        table.rows[&eid(provider)].clone()
    }

    /// A router tells all probers what it saw of a provider.
    fn router_tells(&mut self, router: &str, provider: &str, counts: Counts, in_a_row: u32) {
        let seen = Seen { counts, consecutive_health: in_a_row, ..Seen::default() };
        let traffic = vec![Traffic { endpoint: eid(provider), seen }];
        let batch = Batch { router: RouterId::new(router), traffic };
        for prober in &mut self.probers {
            prober.cycle.hear(&batch, self.now_ms);
        }
    }

    fn votes_published(&self, provider: &str) -> Vec<Vote> {
        let of = self.published.iter().filter(|(id, _)| *id == eid(provider));
        let mut votes: Vec<Vote> = of.map(|(_, o)| o.vote).collect();
        votes.dedup();
        votes
    }

    fn generations(&self, provider: &str) -> usize {
        let log = self.sims[provider].log();
        log.iter().filter(|entry| entry.path.ends_with("/chat/completions")).count()
    }
}

fn put(event: Event) -> Option<KeyValue> {
    match event {
        Event::Put(entry) => Some(entry),
        Event::Delete { .. } => None,
    }
}

#[tokio::test]
async fn a_provider_that_dies_is_ejected_and_comes_back_step_by_step() {
    let mut story = Story::of_three().await;
    story.until("dying", Verdict::Up, 5_000).await;
    story.until("steady", Verdict::Up, 5_000).await;

    story.sims["dying"].kill();
    // One light probe's pace and its jitter, then three failures and the shortest suspicion.
    story.until("dying", Verdict::Down, 18_000 + 5_000).await;
    assert_eq!(story.row("steady").await.verdict, Verdict::Up);
    assert!(story.votes_published("dying").contains(&Vote::Suspect), "it was suspected first");

    story.sims["dying"].revive().unwrap();
    story.published.clear();
    story.until("dying", Verdict::Up, 60_000).await;
    story.go_on(60_000).await;
    let ramps: Vec<u16> = story
        .published
        .iter()
        .filter(|(id, o)| *id == eid("dying") && o.vote == Vote::Recovering)
        .map(|(_, o)| o.ramp_permille)
        .collect();
    for permille in [100, 300, 600] {
        assert!(ramps.contains(&permille), "{ramps:?}");
    }
    let row = story.row("dying").await;
    assert_eq!((row.verdict, row.scores.ramp_permille), (Verdict::Up, 1000));
}

#[tokio::test]
async fn what_a_store_restored_from_an_old_backup_forgot_is_said_again_at_once() {
    let mut story = Story::of_three().await;
    story.until("dying", Verdict::Up, 5_000).await;
    let backup = story.store.list("/trunkline/v1/obs/").await.unwrap();
    story.sims["dying"].kill();
    story.until("dying", Verdict::Down, 30_000).await;

    for entry in &backup.entries {
        story.store.put(&entry.key, entry.value.clone(), Expect::Any).await.unwrap();
    }
    assert_eq!(story.row("dying").await.verdict, Verdict::Up, "the backup is in force");
    let restored = story.store.list(ROOT).await.unwrap();
    for prober in &mut story.probers {
        prober.learn(story.now_ms);
        prober.cycle.learn(Change::Snapshot(restored.clone()), story.now_ms);
        prober.publish(story.now_ms).await;
    }
    assert_eq!(story.row("dying").await.verdict, Verdict::Down);
}

#[tokio::test]
async fn an_endpoint_that_lists_its_models_and_cannot_generate_is_down() {
    let mut story = Story::of_three().await;
    story.until("dying", Verdict::Up, 5_000).await;
    story.sims["dying"].set_fault(FaultRule::from(Fault::status(500)).for_model("m"));
    story.until("dying", Verdict::Down, 10 * 60_000).await;
}

#[tokio::test]
async fn who_may_no_longer_be_asked_to_generate_comes_back_by_lists() {
    let mut story = Story::of_three().await;
    story.until("dying", Verdict::Up, 5_000).await;
    story.sims["dying"].set_fault(FaultRule::from(Fault::status(500)).for_model("m"));
    story.until("dying", Verdict::Down, 10 * 60_000).await;
    let listed = catalog_of(&story.sims, "{model: m, probe: list}");
    story.store.put(CATALOG, listed.into(), Expect::Any).await.unwrap();
    story.until("dying", Verdict::Up, 5 * 60_000).await;
}

#[tokio::test]
async fn who_finds_fault_with_what_probes_ask_comes_back_by_lists() {
    let mut story = Story::of_three().await;
    story.until("dying", Verdict::Up, 5_000).await;
    story.sims["dying"].kill();
    story.until("dying", Verdict::Down, 30_000).await;
    story.sims["dying"].revive().unwrap();
    story.sims["dying"].set_fault(FaultRule::from(Fault::status(400)).for_model("m"));
    story.until("dying", Verdict::Up, 5 * 60_000).await;
}

#[tokio::test]
async fn a_refused_model_is_a_configuration_error() {
    let mut story = Story::of_three().await;
    story.sims["dying"].set_fault(FaultRule::from(Fault::ModelNotFound).for_model("m"));
    story.until("dying", Verdict::ConfigError, 20 * 60_000).await;
}

#[tokio::test]
async fn rate_limits_are_no_illness() {
    let mut story = Story::of_three().await;
    story.until("dying", Verdict::Up, 5_000).await;
    story.sims["dying"].set_fault(Fault::status(429).into());
    story.go_on(5 * 60_000).await;
    assert_eq!(story.row("dying").await.verdict, Verdict::Up);
}

#[tokio::test]
async fn generations_stop_where_the_money_does_and_lists_go_on() {
    let endpoint = "{model: m, price: {input: 1, output: 1}}";
    let mut story =
        Story::with(&["a"], |config| config.endpoint_daily = PicoUsd::ZERO, endpoint).await;
    story.until("dying", Verdict::Up, 5_000).await;
    story.go_on(10 * 60_000).await;
    assert_eq!(story.generations("dying"), 0);
    assert!(story.sims["dying"].log().len() > 20);
}

#[tokio::test]
async fn generations_are_shared_among_the_observers() {
    let mut story = Story::of_three().await;
    story.go_on(10 * 60_000).await;
    let asked = story.generations("steady");
    assert!((7..=16).contains(&asked), "about one a minute, whoever asks: {asked}");
}

#[tokio::test]
async fn what_may_not_be_listed_is_not_listed() {
    let mut story = Story::with(&["a"], |_| {}, "{model: m, probe: none}").await;
    story.go_on(60_000).await;
    assert_eq!(story.sims["steady"].log().len(), 0);
    assert_eq!(story.row("steady").await.verdict, Verdict::Unknown);
}

#[tokio::test]
async fn live_traffic_alone_is_evidence_and_spares_generations() {
    let mut story = Story::with(&["a"], |_| {}, "model: m").await;
    story.until("steady", Verdict::Up, 5_000).await;
    story.go_on(15_000).await;
    let before = story.generations("steady");
    for _ in 0..60 {
        let counts = Counts { ok: 30, ..Counts::default() };
        story.router_tells("r1", "steady", counts, 0);
        story.go_on(5_000).await;
    }
    assert_eq!(story.generations("steady"), before, "in five minutes of live traffic");
    let idle = story.generations("dying");
    assert!(idle >= 3, "without traffic it was asked {idle} times");
    let said = story.published.iter().rev().find(|(id, _)| *id == eid("steady")).unwrap().1;
    assert!(said.evidence.passive && said.counts.ok > 100);
}

#[tokio::test]
async fn routers_that_see_failures_bring_the_verdict_forward() {
    let died = async |routers: &[&str]| {
        let mut story = Story::of_three().await;
        story.until("dying", Verdict::Up, 5_000).await;
        story.go_on(20_000).await;
        story.sims["dying"].kill();
        let failures = Counts { health: 5, ..Counts::default() };
        routers.iter().for_each(|router| story.router_tells(router, "dying", failures, 5));
        // Ahead of the next light probe of anybody, who would find it, too.
        story.until("dying", Verdict::Down, 60_000).await
    };
    let (alone, told) = (died(&[]).await, died(&["r1"]).await);
    assert!(told <= 3_000 && told < alone, "{told} ms with live traffic, {alone} ms without");
}

#[tokio::test]
async fn a_router_that_cries_wolf_costs_free_probes_and_no_paid_ones() {
    let mut story = Story::of_three().await;
    story.until("steady", Verdict::Up, 5_000).await;
    let failures = Counts { health: 9, ..Counts::default() };
    let fine = Counts { ok: 40, ..Counts::default() };
    story.router_tells("r1", "steady", fine, 0);
    story.router_tells("r2", "steady", fine, 0);
    story.router_tells("wolf", "steady", Counts::default(), 0);
    story.go_on(5_000).await;
    let before = story.generations("steady");
    let lists = story.sims["steady"].log().len() - before;
    story.published.clear();
    for _ in 0..60 {
        story.router_tells("r1", "steady", fine, 0);
        story.router_tells("r2", "steady", fine, 0);
        story.router_tells("wolf", "steady", failures, 9);
        story.go_on(2_500).await;
        story.router_tells("wolf", "steady", Counts { ok: 1, ..failures }, 0);
        story.go_on(2_500).await;
    }
    assert_eq!(story.generations("steady"), before);
    assert!(story.sims["steady"].log().len() - before > lists + 60, "nobody looked");
    assert!(story.votes_published("steady").iter().all(|vote| *vote == Vote::Up));
    assert_eq!(story.row("steady").await.verdict, Verdict::Up);
}

#[tokio::test]
async fn a_quiet_cluster_writes_little() {
    // Without generations there are no latencies, which would depend on this machine.
    let mut story = Story::with(&["a", "b", "c"], |_| {}, "{model: m, probe: list}").await;
    story.go_on(60_000).await;
    story.published.clear();
    story.go_on(10 * 60_000).await;
    let writes = story.published.len();
    // Six records, each refreshed every two minutes.
    assert!((24..=42).contains(&writes), "{writes}");
}

#[tokio::test]
async fn one_list_serves_all_models_of_a_provider() {
    let models: Vec<String> = (0..20).map(|n| format!("{{model: m{n}, probe: list}}")).collect();
    let entries = models.join("\n      - ");
    let mut story = Story::with(&["a"], |_| {}, &entries).await;
    story.go_on(5 * 60_000).await;
    let lists = story.sims["steady"].log().len();
    assert!((15..=60).contains(&lists), "one in 15 s, or two while they find together: {lists}");
    let up = story.published.iter().filter(|(_, o)| o.vote == Vote::Up);
    let heard_of: std::collections::BTreeSet<_> = up.map(|(id, _)| *id).collect();
    assert_eq!(heard_of.len(), 40);
}

#[tokio::test]
async fn who_doubts_itself_withholds_its_votes_and_says_so() {
    let mut story = Story::of_three().await;
    story.until("steady", Verdict::Up, 5_000).await;
    let now_ms = story.now_ms;
    story.probers[0].cycle.self_tested(false, now_ms);
    story.go_on(1_000).await;
    assert_eq!(story.row("steady").await.heard.voices, 2);
    assert_eq!(story.probers[0].cycle.vote(eid("steady")), Some(Vote::Unknown));
    let alive = story.store.get("/trunkline/v1/probers/p0").await.unwrap().unwrap();
    assert!(decode_prober(&alive.value, 1).unwrap().self_suspect);
}

#[tokio::test]
async fn a_network_of_our_own_that_breaks_ejects_nobody() {
    let mut story = Story::with(&["a"], |_| {}, "model: m").await;
    story.until("steady", Verdict::Up, 5_000).await;
    let now_ms = story.now_ms;
    story.probers[0].cycle.self_tested(false, now_ms);
    story.sims.values().for_each(SimProvider::kill);
    story.go_on(2 * 60_000).await;
    assert!(!story.votes_published("steady").contains(&Vote::Down));
}

#[tokio::test]
async fn who_was_thought_dead_cannot_write() {
    let mut story = Story::with(&["a"], |_| {}, "model: m").await;
    story.until("dying", Verdict::Up, 5_000).await;
    let config = ProberConfig::new(ProberId::new("p0"), Zone::new("a"), no_secrets());
    let mut second = Prober::new(&config, &story.store);
    second.publish(story.now_ms).await;

    let first = &mut story.probers[0];
    let before = story.store.list("/trunkline/v1/obs/").await.unwrap();
    story.sims["dying"].kill();
    // The first has not heard of the second and wants to publish a suspicion.
    let mut now_ms = story.now_ms;
    while first.cycle.vote(eid("dying")) != Some(Vote::Suspect) {
        now_ms += STEP_MS;
        for task in first.cycle.due(now_ms) {
            let report = probe::run(story.transport.clone(), task).await;
            first.cycle.observe(&report, now_ms);
        }
    }
    let errand = first.publisher.next_errand(&first.cycle, now_ms).unwrap();
    first.publisher.ended(errand.await, &mut first.cycle, now_ms).unwrap();
    assert!(!first.publisher.alive(), "it learns that its life is over");
    let after = story.store.list("/trunkline/v1/obs/").await.unwrap();
    assert_eq!(before.entries, after.entries);
}

#[tokio::test]
async fn a_prober_that_leaves_gives_its_work_to_the_others_at_once() {
    let mut story = Story::of_three().await;
    story.until("steady", Verdict::Up, 5_000).await;
    let mut leaving = story.probers.pop().unwrap();
    leaving.publisher.leave().await.unwrap();
    story.go_on(1_000).await;
    let row = story.row("steady").await;
    assert_eq!((row.heard.assigned, row.verdict), (2, Verdict::Up));
}

#[tokio::test]
async fn records_of_what_is_no_longer_watched_are_removed() {
    let mut story = Story::with(&["a"], |_| {}, "model: m").await;
    story.until("steady", Verdict::Up, 5_000).await;
    let url = story.sims["steady"].base_url();
    let text = format!(
        "version: 1\nproviders:\n  - id: steady\n    base_url: {url}\n    endpoints:\n      - model: m\n"
    );
    story.store.put(CATALOG, text.into(), Expect::Any).await.unwrap();
    story.go_on(2_000).await;
    let left = story.store.list("/trunkline/v1/obs/").await.unwrap();
    assert_eq!(left.entries.len(), 1);
}

#[tokio::test]
async fn the_whole_prober_joins_probes_and_publishes() {
    let mut story = Story::with(&[], |_| {}, "model: m").await;
    let (_, evidence) = mailbox();
    let shutdown = Shutdown::new();
    let config = ProberConfig::new(ProberId::new("whole"), Zone::new("a"), no_secrets());
    let store: Arc<dyn Store> = Arc::new(story.store.clone());
    let running = app::run(config, store, evidence, shutdown.clone());
    let seen = async {
        let mut ups = 0;
        while ups < 2 {
            if let Change::Batch { events, .. } = story.log.next().await {
                let seen = events.into_iter().filter_map(put);
                let votes = seen.map(|entry| decode_observation(&entry.value).unwrap().vote);
                ups += votes.filter(|vote| *vote == Vote::Up).count();
            }
        }
        shutdown.trigger();
    };
    let (ended, ()) = tokio::join!(running, seen);
    ended.unwrap();
    let left = story.store.list("/trunkline/v1/probers/").await.unwrap();
    assert!(left.entries.is_empty(), "it takes its sign of life along");
}
