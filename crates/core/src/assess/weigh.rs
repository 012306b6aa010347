//! Last stage: the shares, `W = B·H·R·C·P·L` in Q16, per model.
//!
//! Each factor is at most 1 and says one thing; an endpoint that may be called keeps at least one hundredth
//! of the largest share of its model, so that its recovery is seen.

use crate::assess::{Draft, Limit, Row};
use crate::id::Zone;
use crate::money::PicoUsd;
use crate::policy::{Policy, Strategy};
use crate::score::{Bucket, ONE_Q16, permille_q16, ratio_power_q16, two_to_minus_quarters_q16};
use crate::snapshot::{Snapshot, Verdict, Weight};

/// From this success on, in ‰, health takes nothing away.
const GOOD_PERMILLE: u32 = 950;
/// Below this success, in ‰, an endpoint gets [`BAD_HEALTH_Q16`].
const BAD_PERMILLE: u32 = 800;
/// The factor at [`BAD_PERMILLE`]: a quarter.
const POOR_HEALTH_Q16: u32 = ONE_Q16 / 4;
/// What is left for an endpoint that is bad, down in this zone, or down but not ejected: 0.02.
const BAD_HEALTH_Q16: u32 = ONE_Q16 / 50;
/// From this headroom on, in ‰, capacity takes nothing away; below, it falls in proportion …
const AMPLE_HEADROOM_PERMILLE: u32 = 200;
/// … down to this headroom.
const SCARCE_HEADROOM_PERMILLE: u32 = 50;
/// Learned caps count in steps of this, in ‰, so that small changes move no weight.
const CAP_STEP_PERMILLE: u32 = 100;
/// Being this many buckets behind the fastest costs nothing.
const LATENCY_DEAD_BAND: u32 = 1;
/// However slow, this much is left: one twentieth.
const MIN_LATENCY_Q16: u32 = ONE_Q16 / 20;
/// The request that prices and latencies are compared for, in prompt tokens …
const SHAPE_INPUT_TOKENS: u64 = 1_000;
/// … and answer tokens.
const SHAPE_OUTPUT_TOKENS: u64 = 250;
/// The speed of an endpoint whose speed nobody measured: 45 tokens a second, neither fast nor slow. A constant,
/// so that one endpoint's speed never changes what another's is taken for.
const USUAL_SPEED: Bucket = Bucket::new(22);
/// The least share of an endpoint that may be called is the largest of its model divided by this.
const FLOOR_DIVISOR: u32 = 100;

/// What a weight is the product of, each in Q16 and at most 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factors {
    /// H: success and verdict.
    pub health: u32,
    /// R: how far a recovery has come.
    pub ramp: u32,
    /// C: headroom and learned cap.
    pub capacity: u32,
    /// P: price against the cheapest of the model.
    pub price: u32,
    /// L: latency against the fastest of the model.
    pub latency: u32,
}

impl Default for Factors {
    fn default() -> Self {
        let [health, ramp, capacity, price, latency] = [ONE_Q16; 5];
        Self { health, ramp, capacity, price, latency }
    }
}

impl Factors {
    /// The weight before the floor: the operator's weight times all factors, rounded down once.
    pub fn weight(&self, operator_weight: u16) -> Weight {
        let factors = [self.health, self.ramp, self.capacity, self.price, self.latency];
        // 10 + 5·17 bits fit 128; the five factors carry 80 bits of fraction, the weight 16.
        let product = factors.iter().fold(u128::from(operator_weight), |w, f| w * u128::from(*f));
        Weight((product >> (16 * factors.len() - 16)) as u32)
    }
}

/// How a strategy uses the formula.
struct Rule {
    /// α: how much price counts.
    price_exponent: u32,
    /// Whose latency counts, if any.
    latency: Pace,
    /// Whether health, headroom and latency shade the weight, or only an outage does.
    outage_only: bool,
}

/// What being fast means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// The whole answer of the usual request: time to the first content, and then its tokens.
    Answer,
    /// The first content alone.
    FirstContent,
    /// The tokens alone.
    Tokens,
    /// It does not count: β is 0.
    Ignored,
}

impl Rule {
    const fn of(strategy: Strategy) -> Self {
        let (price_exponent, latency) = match strategy {
            Strategy::Balanced => (2, Pace::Answer),
            Strategy::Price => (3, Pace::Ignored),
            Strategy::Latency => (0, Pace::FirstContent),
            Strategy::Throughput => (0, Pace::Tokens),
            Strategy::Order => (0, Pace::Ignored),
            Strategy::InverseSquarePrice => (2, Pace::Ignored),
        };
        let outage_only = matches!(strategy, Strategy::InverseSquarePrice);
        Self { price_exponent, latency, outage_only }
    }
}

/// Gives every endpoint its factors and its weight, for routers in no particular zone.
pub(super) fn shares(drafts: &mut [Draft<'_>], policy: &Policy) {
    for model in drafts.chunk_by_mut(|a, b| a.endpoint.model == b.endpoint.model) {
        let Some(first) = model.first() else { continue };
        let rule = Rule::of(Snapshot::strategy(policy, &first.endpoint.model));
        form_factors(model, &rule);
        settle(model);
    }
}

/// Lowers what is down in this zone alone.
pub(super) fn for_zone(drafts: &mut [Draft<'_>], zone: &Zone) {
    for model in drafts.chunk_by_mut(|a, b| a.endpoint.model == b.endpoint.model) {
        let mut lowered = false;
        for row in model.iter_mut().map(|d| &mut d.row) {
            if row.verdict.usable() && row.down_zones.contains(zone) {
                row.verdict = Verdict::ZoneDown;
                row.factors.health = row.factors.health.min(BAD_HEALTH_Q16);
                lowered = true;
            }
        }
        if lowered {
            settle(model);
        }
    }
}

fn form_factors(model: &mut [Draft<'_>], rule: &Rule) {
    let eligible = || model.iter().filter(|d| d.row.eligible());
    let cheapest = eligible().map(expected_price).min().unwrap_or(PicoUsd::ZERO);
    let pace = |d: &Draft<'_>| pace(&d.row, rule.latency);
    let fastest = eligible().filter_map(pace).min();
    for draft in model {
        let price = expected_price(draft);
        let behind = pace(draft).zip(fastest);
        let latency = behind.map_or(ONE_Q16, |(own, best)| latency_factor(own, best));
        let row = &mut draft.row;
        row.factors = Factors {
            health: health_factor(row, rule),
            ramp: permille_q16(row.scores.ramp_permille),
            capacity: if rule.outage_only { ONE_Q16 } else { capacity_factor(row) },
            price: ratio_power_q16(cheapest.0, price.0, rule.price_exponent),
            latency,
        };
    }
}

fn expected_price(draft: &Draft<'_>) -> PicoUsd {
    draft.endpoint.price.of(SHAPE_INPUT_TOKENS, SHAPE_OUTPUT_TOKENS)
}

fn health_factor(row: &Row, rule: &Rule) -> u32 {
    match (row.verdict, row.limited) {
        (Verdict::Down | Verdict::ConfigError, _) => 0,
        (_, Some(Limit::Share | Limit::OnlyOne)) => BAD_HEALTH_Q16,
        (Verdict::AdvisoryDown, _) => ONE_Q16 / 2,
        (Verdict::Unknown, _) => ONE_Q16,
        (Verdict::ZoneDown, _) => BAD_HEALTH_Q16,
        (Verdict::Up | Verdict::Degraded, _) if rule.outage_only => outage_factor(row),
        (Verdict::Up | Verdict::Degraded, _) => success_factor(row.scores.success_permille),
    }
}

/// For those who want price and nothing else: 1, unless most observers see an outage or the end of one.
fn outage_factor(row: &Row) -> u32 {
    if row.heard.outage > row.heard.voices / 2 { BAD_HEALTH_Q16 } else { ONE_Q16 }
}

fn success_factor(permille: u32) -> u32 {
    match permille {
        GOOD_PERMILLE.. => ONE_Q16,
        BAD_PERMILLE.. => {
            let into = permille - BAD_PERMILLE;
            let span = ONE_Q16 - POOR_HEALTH_Q16;
            POOR_HEALTH_Q16 + span * into / (GOOD_PERMILLE - BAD_PERMILLE)
        }
        _ => BAD_HEALTH_Q16,
    }
}

fn capacity_factor(row: &Row) -> u32 {
    let headroom = row.scores.headroom_permille.unwrap_or(AMPLE_HEADROOM_PERMILLE);
    let headroom = headroom.clamp(SCARCE_HEADROOM_PERMILLE, AMPLE_HEADROOM_PERMILLE);
    let ample = headroom * ONE_Q16 / AMPLE_HEADROOM_PERMILLE;
    let cap = row.scores.learned_cap_permille.unwrap_or(1000);
    let cap = (cap / CAP_STEP_PERMILLE * CAP_STEP_PERMILLE).clamp(CAP_STEP_PERMILLE, 1000);
    ample * (cap / CAP_STEP_PERMILLE) / (1000 / CAP_STEP_PERMILLE)
}

/// How long an endpoint takes; `None` when it does not count or was not measured.
fn pace(row: &Row, pace: Pace) -> Option<Bucket> {
    let scores = &row.scores;
    match pace {
        Pace::Answer => {
            let speed = scores.tokens_per_second_p50.unwrap_or(USUAL_SPEED);
            Some(answer_time(scores.ttft_p50?, speed))
        }
        Pace::FirstContent => scores.ttft_p50,
        // Turned around, so that less is faster here too.
        Pace::Tokens => scores
            .tokens_per_second_p50
            .map(|speed| Bucket::new(Bucket::MAX.index() - speed.index())),
        Pace::Ignored => None,
    }
}

/// `ttft + n_out / speed`, as a bucket of milliseconds.
fn answer_time(ttft: Bucket, speed: Bucket) -> Bucket {
    let output_q16 = (SHAPE_OUTPUT_TOKENS * 1_000) << 32;
    Bucket::of_q16(ttft.edge_q16() + output_q16 / speed.edge_q16())
}

fn latency_factor(own: Bucket, fastest: Bucket) -> u32 {
    let behind = u32::from(own.index().saturating_sub(fastest.index()));
    let counted = behind.saturating_sub(LATENCY_DEAD_BAND);
    two_to_minus_quarters_q16(counted).max(MIN_LATENCY_Q16)
}

/// Turns factors into weights, with the floor.
fn settle(model: &mut [Draft<'_>]) {
    let product = |row: &Row| {
        let weight = row.factors.weight(row.operator_weight);
        if row.eligible() { weight } else { Weight::ZERO }
    };
    let largest = model.iter().map(|d| product(&d.row)).max().unwrap_or_default();
    let floor = Weight((largest.0 / FLOOR_DIVISOR).max(1));
    for row in model.iter_mut().map(|d| &mut d.row) {
        row.weight = if row.eligible() { product(row).max(floor) } else { Weight::ZERO };
    }
}
