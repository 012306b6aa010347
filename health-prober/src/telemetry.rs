//! Every metric's name, labels and meaning, and nothing else: code elsewhere calls methods. The catalogue is
//! what `docs/metrics.md` is generated from.
#![expect(clippy::disallowed_macros, reason = "this is the one file that names metrics")]

use std::time::{SystemTime, UNIX_EPOCH};

use metrics::{
    Counter, Gauge, counter, describe_counter, describe_gauge, describe_histogram, gauge,
};
use trunkline_core::failure::FailureKind;
use trunkline_core::id::ProberId;
use trunkline_core::money::PicoUsd;
use trunkline_core::observation::Vote;
use trunkline_core::voter::{Level, LocalHealth};
use trunkline_runtime::catalogue::{Kind, Metric};
use trunkline_runtime::renewal::Outcome;
use trunkline_runtime::tls::Expiry;
use trunkline_store::StoreError;

use crate::probe::Report;
use crate::record::WriteClass;

const PROBES: &str = "trunkline_prober_probes_total";
const COST: &str = "trunkline_prober_cost_nanousd_total";
const PURSE_EMPTY: &str = "trunkline_prober_purse_empty_total";
const VOTES: &str = "trunkline_prober_endpoints";
const VOTE_CHANGES: &str = "trunkline_prober_vote_changes_total";
const PUBLISHED: &str = "trunkline_prober_published_total";
const STORE_FAILURES: &str = "trunkline_prober_store_failures_total";
const SILENCES: &str = "trunkline_prober_store_silences_total";
const WATCHED: &str = "trunkline_prober_watched_endpoints";
const LOCAL_HEALTH: &str = "trunkline_prober_local_health";
const SELF_SUSPECT: &str = "trunkline_prober_self_suspect";
const ALIVE: &str = "trunkline_prober_alive";
const EVIDENCE_BATCHES: &str = "trunkline_prober_evidence_batches_total";
const EVIDENCE_CALLS: &str = "trunkline_prober_evidence_calls_total";
const EVIDENCE_LOST: &str = "trunkline_prober_evidence_lost_total";
const EVIDENCE_ROUTERS: &str = "trunkline_prober_evidence_routers";
const CERTIFICATE_EXPIRY: &str = "trunkline_prober_certificate_expiry_timestamp_seconds";
const CERTIFICATE_RELOADS: &str = "trunkline_prober_certificate_reloads_total";
const CONFIG_RELOADS: &str = "trunkline_prober_config_reloads_total";
const CONFIG_SUCCESS: &str = "trunkline_prober_config_last_reload_success_timestamp_seconds";
const CONFIG_SUCCESSFUL: &str = "trunkline_prober_config_last_reload_successful";

/// All metrics of a prober. Every one has the prober's name for a label, because a development router runs
/// several in one process.
pub const CATALOGUE: &[Metric] = &[
    Metric::new(
        PROBES,
        Kind::Counter,
        &["prober", "level", "outcome"],
        "Probes by level (connect, list, generate) and outcome: ok, or the kind of failure.",
    ),
    Metric::new(
        COST,
        Kind::Counter,
        &["prober"],
        "Expected cost of the probes sent, in billionths of a US dollar.",
    ),
    Metric::new(
        PURSE_EMPTY,
        Kind::Counter,
        &["prober"],
        "Generations that were due and not sent because the day's allowance is spent.",
    ),
    Metric::new(
        VOTES,
        Kind::Gauge,
        &["prober", "vote"],
        "Endpoints that this prober watches, by its vote.",
    ),
    Metric::new(
        VOTE_CHANGES,
        Kind::Counter,
        &["prober", "vote"],
        "Changes of a vote, by the new vote.",
    ),
    Metric::new(
        PUBLISHED,
        Kind::Counter,
        &["prober", "class"],
        "Observations written to the store: urgent, material or refresh.",
    ),
    Metric::new(
        STORE_FAILURES,
        Kind::Counter,
        &["prober", "reason"],
        "Errands in the store that failed, by what the store said.",
    ),
    Metric::new(
        SILENCES,
        Kind::Counter,
        &["prober"],
        "Times the store's watch found the store silent.",
    ),
    Metric::new(WATCHED, Kind::Gauge, &["prober"], "Endpoints that this prober watches."),
    Metric::new(
        LOCAL_HEALTH,
        Kind::Gauge,
        &["prober"],
        "How badly the prober itself does: 0 is well, 8 the worst.",
    ),
    Metric::new(
        SELF_SUSPECT,
        Kind::Gauge,
        &["prober"],
        "1 while the prober doubts its own network and withholds its votes.",
    ),
    Metric::new(ALIVE, Kind::Gauge, &["prober"], "1 while the prober has a voice in the store."),
    Metric::new(
        EVIDENCE_BATCHES,
        Kind::Counter,
        &["prober"],
        "Batches of live traffic's evidence that were taken in.",
    ),
    Metric::new(
        EVIDENCE_CALLS,
        Kind::Counter,
        &["prober"],
        "Live calls to watched endpoints that routers told of.",
    ),
    Metric::new(
        EVIDENCE_LOST,
        Kind::Counter,
        &["prober"],
        "Batches of evidence that found the mailbox full.",
    ),
    Metric::new(EVIDENCE_ROUTERS, Kind::Gauge, &["prober"], "Routers that report to this prober."),
    Metric::new(
        CERTIFICATE_EXPIRY,
        Kind::Gauge,
        &["prober", "purpose", "part"],
        "When what is in force ends, in seconds since 1970: the first of a certificate's chain, the last of the authorities (part ca). Purposes: evidence, etcd.",
    ),
    Metric::new(
        CERTIFICATE_RELOADS,
        Kind::Counter,
        &["prober", "purpose", "outcome"],
        "Looks at certificate files that found something new: changed, or refused because it is of no use; then the old ones stay in force.",
    ),
    Metric::new(
        CONFIG_RELOADS,
        Kind::Counter,
        &["prober", "outcome"],
        "Times the configuration was read again: changed, unchanged, or refused because the file has mistakes; then nothing changed.",
    ),
    Metric::new(
        CONFIG_SUCCESS,
        Kind::Gauge,
        &["prober"],
        "When the configuration was last read without a mistake, in seconds since 1970.",
    ),
    Metric::new(
        CONFIG_SUCCESSFUL,
        Kind::Gauge,
        &["prober"],
        "Whether the configuration was right when it was last read: 1, or 0 after one that was refused.",
    ),
];

/// What came of reading the configuration again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// All that is new is in force.
    Changed,
    /// Nothing is new.
    Unchanged,
    /// The file has mistakes.
    Refused,
}

impl Reloaded {
    const ALL: [Self; 3] = [Self::Changed, Self::Unchanged, Self::Refused];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
        }
    }
}

/// Tells the recorder what every metric means. Once in a process, after the recorder is installed.
pub fn describe() {
    for metric in CATALOGUE {
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, metric.help),
            Kind::Gauge => describe_gauge!(metric.name, metric.help),
            Kind::Histogram => describe_histogram!(metric.name, metric.help),
        }
    }
}

/// The metrics of one prober.
#[derive(Clone)]
pub struct Telemetry {
    prober: String,
    cost: Counter,
    purse_empty: Counter,
    silences: Counter,
    watched: Gauge,
    local_health: Gauge,
    self_suspect: Gauge,
    alive: Gauge,
    evidence_batches: Counter,
    evidence_calls: Counter,
    evidence_lost: Counter,
    evidence_routers: Gauge,
    votes: [Gauge; Vote::ALL.len()],
}

impl Telemetry {
    /// The metrics of the prober of that name.
    pub fn new(prober: &ProberId) -> Self {
        let prober = prober.to_string();
        Self {
            cost: counter!(COST, "prober" => prober.clone()),
            purse_empty: counter!(PURSE_EMPTY, "prober" => prober.clone()),
            silences: counter!(SILENCES, "prober" => prober.clone()),
            watched: gauge!(WATCHED, "prober" => prober.clone()),
            local_health: gauge!(LOCAL_HEALTH, "prober" => prober.clone()),
            self_suspect: gauge!(SELF_SUSPECT, "prober" => prober.clone()),
            alive: gauge!(ALIVE, "prober" => prober.clone()),
            evidence_batches: counter!(EVIDENCE_BATCHES, "prober" => prober.clone()),
            evidence_calls: counter!(EVIDENCE_CALLS, "prober" => prober.clone()),
            evidence_lost: counter!(EVIDENCE_LOST, "prober" => prober.clone()),
            evidence_routers: gauge!(EVIDENCE_ROUTERS, "prober" => prober.clone()),
            votes: Vote::ALL
                .map(|vote| gauge!(VOTES, "prober" => prober.clone(), "vote" => vote.as_str())),
            prober,
        }
    }

    /// A probe ended.
    pub fn probe_ended(&self, report: &Report) {
        let level = match report.probe.level() {
            Level::Connect => "connect",
            Level::List => "list",
            Level::Generate => "generate",
        };
        let outcome = report.outcome.as_ref().err().map_or("ok", |f| FailureKind::as_str(f.kind));
        let prober = self.prober.clone();
        counter!(PROBES, "prober" => prober, "level" => level, "outcome" => outcome).increment(1);
    }

    /// A generation was sent that is expected to cost this much.
    pub fn paid(&self, cost: PicoUsd) {
        self.cost.increment(cost.0 / 1_000);
    }

    /// A generation was due, and there was no money for it.
    pub fn purse_empty(&self) {
        self.purse_empty.increment(1);
    }

    /// The watch found the store silent.
    pub fn store_silent(&self) {
        self.silences.increment(1);
    }

    /// So many endpoints are watched now.
    pub fn watching(&self, endpoints: usize) {
        self.watched.set(endpoints as f64);
    }

    /// A vote became this one.
    pub fn vote_changed(&self, vote: Vote) {
        let prober = self.prober.clone();
        counter!(VOTE_CHANGES, "prober" => prober, "vote" => vote.as_str()).increment(1);
    }

    /// An observation is in the store.
    pub fn published(&self, class: WriteClass) {
        let prober = self.prober.clone();
        counter!(PUBLISHED, "prober" => prober, "class" => class.as_str()).increment(1);
    }

    /// An errand in the store failed.
    pub fn store_failed(&self, error: &StoreError) {
        let prober = self.prober.clone();
        let reason = reason(error);
        counter!(STORE_FAILURES, "prober" => prober, "reason" => reason).increment(1);
    }

    /// Whether the prober has a voice.
    pub fn alive(&self, alive: bool) {
        self.alive.set(f64::from(u8::from(alive)));
    }

    /// A batch of evidence was taken in, which tells of so many calls to watched endpoints.
    pub fn evidence_heard(&self, calls: u64) {
        self.evidence_calls.increment(calls);
        self.evidence_batches.increment(1);
    }

    /// A batch of evidence found the mailbox full.
    pub fn evidence_lost(&self) {
        self.evidence_lost.increment(1);
    }

    /// So many routers report.
    pub fn evidence_routers(&self, routers: u32) {
        self.evidence_routers.set(f64::from(routers));
    }

    /// Somebody looked at the files of a certificate.
    pub fn certificates(&self, purpose: &'static str, expiry: Expiry, outcome: Outcome) {
        for (part, end_s) in [("certificate", expiry.certificate_s), ("ca", expiry.ca_s)] {
            let (prober, Some(end_s)) = (self.prober.clone(), end_s) else { continue };
            gauge!(CERTIFICATE_EXPIRY, "prober" => prober, "purpose" => purpose, "part" => part)
                .set(end_s as f64);
        }
        let count = |outcome: &'static str, by| {
            let prober = self.prober.clone();
            counter!(CERTIFICATE_RELOADS, "prober" => prober, "purpose" => purpose, "outcome" => outcome)
                .increment(by);
        };
        // Both series are there from the start, so that a first increase is one.
        count("changed", u64::from(outcome == Outcome::Changed));
        count("refused", u64::from(outcome == Outcome::Refused));
    }

    /// The configuration was read at the start. All series are there from then on, so that a first increase is one.
    pub fn configured(&self) {
        Reloaded::ALL.into_iter().for_each(|outcome| self.count_reload(outcome, 0));
        self.configuration_is_right();
    }

    /// The configuration was read again.
    pub fn reloaded(&self, outcome: Reloaded) {
        match outcome {
            Reloaded::Refused => {
                gauge!(CONFIG_SUCCESSFUL, "prober" => self.prober.clone()).set(0.0);
            }
            Reloaded::Changed | Reloaded::Unchanged => self.configuration_is_right(),
        }
        self.count_reload(outcome, 1);
    }

    fn count_reload(&self, outcome: Reloaded, by: u64) {
        let prober = self.prober.clone();
        counter!(CONFIG_RELOADS, "prober" => prober, "outcome" => outcome.as_str()).increment(by);
    }

    fn configuration_is_right(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        gauge!(CONFIG_SUCCESS, "prober" => self.prober.clone()).set(now.as_secs_f64());
        gauge!(CONFIG_SUCCESSFUL, "prober" => self.prober.clone()).set(1.0);
    }

    /// How the prober does, and how it votes.
    pub fn state(&self, own: LocalHealth, votes: impl Iterator<Item = Vote>) {
        self.local_health.set(f64::from(own.score()));
        self.self_suspect.set(f64::from(u8::from(own.suspect())));
        let mut counts = [0u32; Vote::ALL.len()];
        for vote in votes {
            let at = Vote::ALL.iter().position(|known| *known == vote);
            if let Some(count) = at.and_then(|at| counts.get_mut(at)) {
                *count += 1;
            }
        }
        self.votes.iter().zip(counts).for_each(|(gauge, count)| gauge.set(f64::from(count)));
    }
}

fn reason(error: &StoreError) -> &'static str {
    match error {
        StoreError::Unavailable { .. } => "unavailable",
        StoreError::InDoubt { .. } => "in_doubt",
        StoreError::LeaseGone { .. } => "lease_gone",
        StoreError::Conflict { .. } => "conflict",
        _ => "refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_say_whose_they_are() {
        let mut names: Vec<_> = CATALOGUE.iter().map(|m| m.name).collect();
        assert!(names.iter().all(|name| name.starts_with("trunkline_prober_")));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CATALOGUE.len());
        assert!(CATALOGUE.iter().all(|m| m.labels.first() == Some(&"prober")));
    }
}
