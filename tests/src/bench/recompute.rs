//! What it costs a router to take in what probers publish, at the largest supported size: 2,000 endpoints, each
//! seen by five probers. Each part is timed alone, from the change as the store tells it to the view that
//! calls are served from, in time of the processor: what else the machine does is not in it. It asserts
//! nothing but, with `--check`, its goal.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use nix::time::{ClockId, clock_gettime};
use router_node::fold::{CATALOG, Fold, POLICY};
use router_node::serve::ConfiguredSecrets;
use router_node::view::{Builder, View};
use serde_json::json;
use trunkline_core::catalog::Endpoint;
use trunkline_core::id::Zone;
use trunkline_core::observation::{Counts, Evidence, Latency, Observation, Vote};
use trunkline_core::score::Bucket;
use trunkline_spec::observation::{ProberRecord, encode_observation, encode_prober};
use trunkline_store::keys::{CONFIG, OBSERVATIONS, PROBERS};
use trunkline_store::{Change, Event, KeyValue, Listing, Revision};

/// Providers of the catalog …
const PROVIDERS: usize = 100;
/// … and endpoints of each: 2,000 in all.
const ENDPOINTS_EACH: usize = 20;
/// Probers, all of which watch every endpoint.
const PROBERS_COUNT: usize = 5;
/// Zones that they stand in.
const ZONES: usize = 3;
/// How often each part is timed.
const ROUNDS: usize = 200;
/// Observations in a batch of a busy cluster: what arrives at 500 puts a second in one wait of 200 ms.
const BATCH: usize = 100;
/// The goal: verdicts and weights of everything, in milliseconds.
const ASSESS_GOAL_MS: f64 = 5.0;

/// Times everything and prints a table and a line of JSON.
///
/// # Errors
/// When the documents made here are not taken.
pub fn run(check: bool) -> anyhow::Result<ExitCode> {
    let mut cluster = Cluster::new()?;
    let mut parts = [
        Part::new("assess", "verdicts and weights of everything"),
        Part::new("view", "one vote changed: assess, and the view that calls are served from"),
        Part::new("batch", "100 observations folded, and their view"),
    ];
    for round in 0..ROUNDS {
        let [assess, view, batch] = &mut parts;
        assess.time(|| cluster.fold.table(&cluster.zone));
        cluster.publish(round, 1);
        view.time(|| cluster.view());
        let change = cluster.change(round, BATCH);
        batch.time(|| {
            cluster.fold.apply(change);
            cluster.view()
        });
    }
    let listing = cluster.listing();
    let begun = used();
    Fold::default().apply(Change::Snapshot(listing));
    report(&parts, used().saturating_sub(begun), check)
}

/// The processor time that this thread has used.
fn used() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}

fn report(parts: &[Part], listing: Duration, check: bool) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} endpoints, {PROBERS_COUNT} probers", PROVIDERS * ENDPOINTS_EACH)?;
    let mut figures = serde_json::Map::new();
    for part in parts {
        let (p50, p99) = (part.quantile_ms(0.50), part.quantile_ms(0.99));
        writeln!(out, "{:<8} p50 {p50:>7.3} ms   p99 {p99:>7.3} ms   {}", part.name, part.what)?;
        figures.insert(format!("{}_p50_ms", part.name), json!(p50));
        figures.insert(format!("{}_p99_ms", part.name), json!(p99));
    }
    let listing_ms = listing.as_secs_f64() * 1e3;
    writeln!(out, "{:<8} once {listing_ms:>6.1} ms   everything listed and understood", "listing")?;
    figures.insert("listing_ms".to_owned(), json!(listing_ms));
    writeln!(out, "{}", serde_json::Value::from(figures))?;
    let missed = parts.first().is_some_and(|assess| assess.quantile_ms(0.5) > ASSESS_GOAL_MS);
    Ok(if check && missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Something that is timed.
struct Part {
    name: &'static str,
    what: &'static str,
    took: Vec<Duration>,
}

impl Part {
    fn new(name: &'static str, what: &'static str) -> Self {
        Self { name, what, took: Vec::with_capacity(ROUNDS) }
    }

    fn time<T>(&mut self, work: impl FnOnce() -> T) {
        let begun = used();
        let made = std::hint::black_box(work());
        self.took.push(used().saturating_sub(begun));
        // Taking the old one apart is not what callers wait for.
        drop(made);
    }

    fn quantile_ms(&self, share: f64) -> f64 {
        let mut sorted = self.took.clone();
        sorted.sort_unstable();
        let at = (sorted.len().saturating_sub(1) as f64 * share) as usize;
        sorted.get(at).map_or(0.0, |took| took.as_secs_f64() * 1e3)
    }
}

/// The store's contents and one router's understanding of them.
struct Cluster {
    fold: Fold,
    builder: Builder,
    zone: Zone,
    endpoints: Vec<Endpoint>,
    revision: u64,
}

impl Cluster {
    fn new() -> anyhow::Result<Self> {
        let zone = Zone::new("zone-0");
        let mut cluster = Self {
            fold: Fold::default(),
            builder: Builder::new(
                zone.clone(),
                [0; 32],
                Arc::new(ConfiguredSecrets),
                Arc::default(),
            ),
            zone,
            endpoints: Vec::new(),
            revision: 1,
        };
        let catalog = trunkline_spec::catalog::parse(&catalog())?;
        cluster.endpoints = catalog.endpoints;
        let listing = cluster.listing();
        cluster.fold.apply(Change::Snapshot(listing));
        let table = cluster.fold.table(&cluster.zone);
        let heard = table.rows.values().map(|row| row.heard.voices as usize).min();
        anyhow::ensure!(heard == Some(PROBERS_COUNT), "every prober is heard: {heard:?}");
        cluster.view().lanes.first().context("endpoints without lanes")?;
        Ok(cluster)
    }

    fn view(&mut self) -> View {
        self.builder.build(&self.fold)
    }

    fn publish(&mut self, round: usize, count: usize) {
        let change = self.change(round, count);
        self.fold.apply(change);
    }

    /// A batch of observations, each another one than in the round before.
    fn change(&mut self, round: usize, count: usize) -> Change {
        self.revision += 1;
        let event = |at: usize| {
            let number = round * count + at;
            let endpoint = self.endpoints.get(number % self.endpoints.len())?;
            let vote = if round.is_multiple_of(2) { Vote::Suspect } else { Vote::Up };
            Some(Event::Put(self.observation(endpoint, number % PROBERS_COUNT, vote)))
        };
        let events = (0..count).filter_map(event).collect();
        Change::Batch { revision: Revision(self.revision), events }
    }

    fn listing(&self) -> Listing {
        let policy = json!({"version": 1}).to_string();
        let mut entries = vec![
            self.entry(format!("{CONFIG}{CATALOG}"), catalog().into_bytes()),
            self.entry(format!("{CONFIG}{POLICY}"), policy.into_bytes()),
        ];
        for prober in 0..PROBERS_COUNT {
            let zone = format!("zone-{}", prober % ZONES);
            let record = ProberRecord { zone, ..ProberRecord::default() };
            entries.push(self.entry(format!("{PROBERS}p{prober}"), encode_prober(&record)));
            let seen = self.endpoints.iter().map(|e| self.observation(e, prober, Vote::Up));
            entries.extend(seen);
        }
        Listing { revision: Revision(self.revision), entries }
    }

    fn observation(&self, endpoint: &Endpoint, prober: usize, vote: Vote) -> KeyValue {
        let bucket = |index: usize| Some(Bucket::new(index as u8));
        let seen = Observation {
            vote,
            incarnation: 1,
            sequence: self.revision,
            evidence: Evidence { active: true, passive: true },
            window_s: 60,
            ramp_permille: 1000,
            counts: Counts { ok: 1_000 + prober as u32, health: 3, ..Counts::default() },
            latency: Latency {
                ttft_p50: bucket(30 + prober),
                ttft_p90: bucket(34 + prober),
                ttft_p99: bucket(38 + prober),
                inter_token_p50: bucket(18),
                inter_token_p90: bucket(20),
                tokens_per_second_p50: bucket(22),
            },
            ..Observation::default()
        };
        let key = format!("{OBSERVATIONS}p{prober}/{}", endpoint.id);
        self.entry(key, encode_observation(&seen))
    }

    /// An entry of the present revision; probers came to be at the first one.
    fn entry(&self, key: String, value: Vec<u8>) -> KeyValue {
        KeyValue {
            key,
            value: value.into(),
            create_revision: Revision(1),
            mod_revision: Revision(self.revision),
            version: 1,
            lease: None,
        }
    }
}

fn catalog() -> String {
    let endpoint = |at: usize| {
        json!({
            "model": format!("model-{at}"),
            "price": {"input": 1.0 + at as f64 / 100.0, "output": 4.0},
            "capabilities": ["chat", "tools"],
        })
    };
    let provider = |at: usize| {
        json!({
            "id": format!("provider-{at:03}"),
            "base_url": format!("https://provider-{at}.example/v1"),
            "endpoints": (0..ENDPOINTS_EACH).map(endpoint).collect::<Vec<_>>(),
        })
    };
    let providers: Vec<_> = (0..PROVIDERS).map(provider).collect();
    json!({"version": 1, "providers": providers}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_timed_is_really_there() {
        let mut cluster = Cluster::new().unwrap();
        cluster.publish(0, BATCH);
        let view = cluster.view();
        assert_eq!(view.snapshot.endpoints.len(), PROVIDERS * ENDPOINTS_EACH);
        assert!(view.lanes.iter().all(|lane| lane.target.is_some()));
        let suspected = view.table.rows.values().filter(|row| row.heard.outage > 0).count();
        assert_eq!(suspected, BATCH);
    }
}
