//! Second stage: what the observers agree on, by majority, and what they measured, by lower median.

use crate::assess::tally::{Heard, Tally, Voice};
use crate::assess::{Draft, Row};
use crate::id::Zone;
use crate::observation::{Capacity, Latency, Vote};
use crate::score::{Bucket, headroom_permille, lower_median, success_permille};
use crate::snapshot::Verdict;

/// Verdicts that take an endpoint out need at least this many observers to have been heard.
const MIN_VOICES: u32 = 2;
/// All that a provider allows is left.
const NO_LIMIT_PERMILLE: u32 = 1000;
/// The whole weight, for those that are not recovering.
const FULL_RAMP_PERMILLE: u32 = 1000;

/// What was measured: lower medians over the observers, each of whom counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scores {
    /// Success in ‰, see [`success_permille`]; 0 when nobody was heard.
    pub success_permille: u32,
    /// Share of the weight to use while recovering, in ‰.
    pub ramp_permille: u32,
    /// What is left of the provider's allowance, in ‰.
    pub headroom_permille: Option<u32>,
    /// Learned share of the traffic that it takes without refusing, in ‰.
    pub learned_cap_permille: Option<u32>,
    /// Median time to the first content.
    pub ttft_p50: Option<Bucket>,
    /// Its 90th percentile.
    pub ttft_p90: Option<Bucket>,
    /// Its 99th percentile.
    pub ttft_p99: Option<Bucket>,
    /// Median time between tokens.
    pub inter_token_p50: Option<Bucket>,
    /// Its 90th percentile.
    pub inter_token_p90: Option<Bucket>,
    /// Median output speed in tokens per second.
    pub tokens_per_second_p50: Option<Bucket>,
}

/// A draft for each tally, with verdict and scores; the operator's weight is the catalog's.
pub(super) fn verdicts(tallies: Vec<Tally<'_>>) -> Vec<Draft<'_>> {
    tallies.into_iter().map(|tally| Draft { endpoint: tally.endpoint, row: row(&tally) }).collect()
}

fn row(tally: &Tally<'_>) -> Row {
    let heard = tally.heard();
    let agreed = agreed(tally, &heard);
    Row {
        verdict: agreed,
        agreed,
        down_zones: down_zones(tally, &heard, agreed),
        operator_weight: tally.endpoint.weight,
        heard,
        scores: scores(&tally.voices),
        ..Row::default()
    }
}

/// The majority's opinion.
///
/// What takes an endpoint out must be the word of a majority of all *assigned* observers, not merely of those
/// that were heard: silence is no agreement, and an observer that falls silent can never eject.
fn agreed(tally: &Tally<'_>, heard: &Heard) -> Verdict {
    let quorum = heard.voices / 2 + 1;
    let ejecting_quorum = heard.assigned / 2 + 1;
    if heard.voices == 0 {
        Verdict::Unknown
    } else if heard.config >= ejecting_quorum {
        Verdict::ConfigError
    } else if heard.voices >= MIN_VOICES && heard.down >= ejecting_quorum && zones_agree(tally) {
        Verdict::Down
    } else if heard.voices == 1 && heard.down == 1 {
        Verdict::AdvisoryDown
    } else if heard.down + heard.degraded >= quorum {
        Verdict::Degraded
    } else {
        Verdict::Up
    }
}

/// Where the voices come from several zones, those that say down must come from two at least.
fn zones_agree(tally: &Tally<'_>) -> bool {
    let all = distinct(tally.voices.iter().map(|v| v.zone));
    let down = distinct(down(&tally.voices).map(|v| v.zone));
    down.len() >= all.len().min(2)
}

fn down<'v, 'a>(voices: &'v [Voice<'a>]) -> impl Iterator<Item = &'v Voice<'a>> {
    voices.iter().filter(|v| v.observation.vote == Vote::Down)
}

fn distinct<'a>(zones: impl Iterator<Item = &'a Zone>) -> Vec<&'a Zone> {
    let mut zones: Vec<&Zone> = zones.collect();
    zones.sort_unstable();
    zones.dedup();
    zones
}

/// The zones whose observers agree that it is down while all together do not, ascending.
fn down_zones(tally: &Tally<'_>, heard: &Heard, agreed: Verdict) -> Vec<Zone> {
    if heard.down < MIN_VOICES || !agreed.usable() {
        return Vec::new();
    }
    let down_there = |zone: &&Zone| {
        let assigned = tally.assigned.iter().filter(|z| *z == zone).count() as u32;
        let down = down(&tally.voices).filter(|v| v.zone == *zone).count() as u32;
        down >= MIN_VOICES && down > assigned / 2
    };
    let zones = distinct(tally.voices.iter().map(|v| v.zone));
    zones.into_iter().filter(down_there).cloned().collect()
}

/// The lower median of what is left, in ‰; who tells of no limit has met none, and counts as 1000. `None` when
/// nobody tells of one.
fn scarcity(voices: &[Voice<'_>], left: impl Fn(&Capacity) -> Option<u32>) -> Option<u32> {
    let told = || voices.iter().map(|v| left(&v.observation.capacity));
    told().any(|left| left.is_some()).then_some(())?;
    lower_median(told().map(|left| left.unwrap_or(NO_LIMIT_PERMILLE)))
}

fn scores(voices: &[Voice<'_>]) -> Scores {
    let observations = || voices.iter().map(|v| v.observation);
    // Who has measured nothing has a voice, too: else the few that claim to have would decide alone.
    let bucket = |pick: fn(&Latency) -> Option<Bucket>| {
        lower_median(observations().map(|o| pick(&o.latency))).flatten()
    };
    let ramp = |vote: Vote, permille: u16| match vote {
        Vote::Recovering => u32::from(permille).min(FULL_RAMP_PERMILLE),
        // How ill it is shows in the verdict; only a recovery holds weight back.
        Vote::Unknown | Vote::Up | Vote::Suspect | Vote::Degraded | Vote::Down | Vote::Config => {
            FULL_RAMP_PERMILLE
        }
    };
    let cap = |c: &Capacity| c.learned_cap_permille.map(u32::from);
    Scores {
        success_permille: lower_median(observations().map(|o| success_permille(&o.counts)))
            .unwrap_or(0),
        ramp_permille: lower_median(observations().map(|o| ramp(o.vote, o.ramp_permille)))
            .unwrap_or(FULL_RAMP_PERMILLE),
        headroom_permille: scarcity(voices, headroom_permille),
        learned_cap_permille: scarcity(voices, cap),
        ttft_p50: bucket(|l| l.ttft_p50),
        ttft_p90: bucket(|l| l.ttft_p90),
        ttft_p99: bucket(|l| l.ttft_p99),
        inter_token_p50: bucket(|l| l.inter_token_p50),
        inter_token_p90: bucket(|l| l.inter_token_p90),
        tokens_per_second_p50: bucket(|l| l.tokens_per_second_p50),
    }
}
