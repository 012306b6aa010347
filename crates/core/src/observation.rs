//! One prober's account of one endpoint, as the store holds it, and who the probers are.

use crate::failure::{FailureKind, Penalty};
use crate::id::Zone;
use crate::score::Bucket;

/// A prober's opinion of an endpoint, hysteresis and back-off already applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Vote {
    /// It cannot tell: no evidence, or it suspects itself.
    #[default]
    Unknown,
    /// It works.
    Up,
    /// A first failure was seen: the other observers should look at once.
    Suspect,
    /// It works, with a visible share of failures.
    Degraded,
    /// It does not work.
    Down,
    /// It works again and is being let in step by step.
    Recovering,
    /// It refuses our credential or does not know the model.
    Config,
}

impl Vote {
    /// Every vote, for tables and tests.
    pub const ALL: [Self; 7] = [
        Self::Unknown,
        Self::Up,
        Self::Suspect,
        Self::Degraded,
        Self::Down,
        Self::Recovering,
        Self::Config,
    ];

    /// The name in logs, metrics and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Suspect => "suspect",
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::Recovering => "recovering",
            Self::Config => "config",
        }
    }
}

/// What stands behind a vote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Probes of the prober's own are part of it.
    pub active: bool,
    /// Live traffic that routers reported is part of it.
    pub passive: bool,
}

/// How many calls ended in which class, exactly, over the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// They worked.
    pub ok: u32,
    /// The endpoint failed.
    pub health: u32,
    /// Turned away by a rate limit: capacity, never health.
    pub rate_limited: u32,
    /// Turned away as overloaded: capacity, and half a health failure.
    pub overloaded: u32,
    /// Refused for the credential's or the configuration's sake.
    pub config: u32,
    /// The caller's own mistake; ignored.
    pub client: u32,
    /// A failure on our side of the network; ignored.
    pub local: u32,
}

impl Counts {
    /// One call that failed this way.
    pub fn of_failure(kind: FailureKind) -> Self {
        let mut one = Self::default();
        let class = match (kind, kind.effect().penalty) {
            (FailureKind::Local | FailureKind::CallerGone, _) => &mut one.local,
            (_, Penalty::Health) => &mut one.health,
            (_, Penalty::HalfHealth) => &mut one.overloaded,
            (_, Penalty::Capacity) => &mut one.rate_limited,
            (_, Penalty::Credential | Penalty::Model) => &mut one.config,
            (_, Penalty::Nobody) => &mut one.client,
        };
        *class = 1;
        one
    }

    /// Both together, saturating.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            ok: self.ok.saturating_add(other.ok),
            health: self.health.saturating_add(other.health),
            rate_limited: self.rate_limited.saturating_add(other.rate_limited),
            overloaded: self.overloaded.saturating_add(other.overloaded),
            config: self.config.saturating_add(other.config),
            client: self.client.saturating_add(other.client),
            local: self.local.saturating_add(other.local),
        }
    }

    /// The same calls as if there were `to` for every `of`, rounded to the nearest and saturating.
    #[must_use]
    pub fn scaled(&self, to: u64, of: u64) -> Self {
        let scale = |count: u32| {
            let (to, of) = (u128::from(to), u128::from(of.max(1)));
            u32::try_from((u128::from(count) * to + of / 2) / of).unwrap_or(u32::MAX)
        };
        Self {
            ok: scale(self.ok),
            health: scale(self.health),
            rate_limited: scale(self.rate_limited),
            overloaded: scale(self.overloaded),
            config: scale(self.config),
            client: scale(self.client),
            local: scale(self.local),
        }
    }

    /// Calls that say something about health, and those of them that worked, both in halves of a call,
    /// because an overload is half a failure.
    pub fn judged_halves(&self) -> (u64, u64) {
        let half = u64::from(self.overloaded);
        let ok = 2 * u64::from(self.ok) + half;
        (ok + 2 * u64::from(self.health) + half, ok)
    }

    /// Calls that say something about health.
    pub fn judged(&self) -> u64 {
        u64::from(self.ok) + u64::from(self.health) + u64::from(self.overloaded)
    }
}

/// Latency quantiles over the window; `None` where nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Median time to the first content, in milliseconds.
    pub ttft_p50: Option<Bucket>,
    /// Its 90th percentile.
    pub ttft_p90: Option<Bucket>,
    /// Its 99th percentile.
    pub ttft_p99: Option<Bucket>,
    /// Median time between tokens, in milliseconds.
    pub inter_token_p50: Option<Bucket>,
    /// Its 90th percentile.
    pub inter_token_p90: Option<Bucket>,
    /// Median output speed, in tokens per second.
    pub tokens_per_second_p50: Option<Bucket>,
}

impl Latency {
    /// These, and where nothing was measured, the other's.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self {
            ttft_p50: self.ttft_p50.or(other.ttft_p50),
            ttft_p90: self.ttft_p90.or(other.ttft_p90),
            ttft_p99: self.ttft_p99.or(other.ttft_p99),
            inter_token_p50: self.inter_token_p50.or(other.inter_token_p50),
            inter_token_p90: self.inter_token_p90.or(other.inter_token_p90),
            tokens_per_second_p50: self.tokens_per_second_p50.or(other.tokens_per_second_p50),
        }
    }
}

/// What rate-limit headers and refusals tell; `None` where they tell nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Requests allowed in the provider's window.
    pub limit_requests: Option<u64>,
    /// Requests left in it.
    pub remaining_requests: Option<u64>,
    /// Tokens allowed in the provider's window.
    pub limit_tokens: Option<u64>,
    /// Tokens left in it.
    pub remaining_tokens: Option<u64>,
    /// Learned share of the traffic that it takes without refusing, in ‰.
    pub learned_cap_permille: Option<u16>,
    /// How long the provider asked to be left alone, in seconds.
    pub retry_after_s: Option<u32>,
}

/// One prober's account of one endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// Grows by one with each publication of this record.
    pub sequence: u64,
    /// Create revision of the prober's liveness key; the record counts only while that one lives.
    pub incarnation: u64,
    /// The opinion.
    pub vote: Vote,
    /// What it rests on.
    pub evidence: Evidence,
    /// Share of the weight to use while recovering, in ‰.
    pub ramp_permille: u16,
    /// Length of the window that the counts cover, in seconds.
    pub window_s: u16,
    /// What happened in it.
    pub counts: Counts,
    /// How fast it was.
    pub latency: Latency,
    /// How much more it takes.
    pub capacity: Capacity,
    /// How often it went down again while recovering.
    pub flap: u8,
    /// Store revision at which the vote last changed; 0 when that is not known.
    pub since_revision: u64,
}

/// A living prober, as its leased key tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProberInfo {
    /// Where it stands.
    pub zone: Zone,
    /// Create revision of its key.
    pub incarnation: u64,
    /// It doubts its own network: its votes do not count.
    pub self_suspect: bool,
}
