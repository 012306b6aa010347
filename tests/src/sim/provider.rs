//! How simulated providers behave towards probes and calls.

use trunkline_core::draw::Rng;
use trunkline_core::failure::{Failure, FailureKind};
use trunkline_core::observation::Counts;
use trunkline_core::score::Bucket;
use trunkline_core::voter::Level;
use trunkline_core::window::Timings;

/// How long a refusal or an error takes.
const QUICK_MS: u64 = 20;
/// After this time a light probe gives up.
const LIGHT_PATIENCE_MS: u64 = 5_000;
/// After this time a generation gives up.
const GENERATION_PATIENCE_MS: u64 = 15_000;
/// Output speed, in tokens per second.
const SPEED: u32 = 50;

/// What a provider does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conduct {
    /// It works.
    #[default]
    Works,
    /// Nobody listens there.
    Refuses,
    /// It takes everything and never answers.
    Swallows,
    /// It answers everything with an error of its own.
    Errs,
    /// It lists its models and cannot generate.
    ErrsGenerating,
    /// It fails this share of all calls, in percent.
    FailsPercent(u64),
    /// It turns everything away for its rate limit.
    Limits,
    /// It refuses the credential.
    Rejects,
    /// It refuses and works in turns, each for so long, in milliseconds.
    Flaps(u64),
}

impl Conduct {
    /// Whether everything that is asked of it succeeds.
    pub fn is_well(self) -> bool {
        matches!(self, Self::Works)
    }

    /// How a call of this level fails now; `None` when it works.
    fn failure(self, level: Level, rng: &mut Rng, now_ms: u64) -> Option<FailureKind> {
        let failing = |fails: bool, kind: FailureKind| fails.then_some(kind);
        match self {
            Self::Works => None,
            Self::Refuses => Some(FailureKind::Connect),
            Self::Swallows => Some(FailureKind::FirstContentTimeout),
            Self::Errs => Some(FailureKind::ServerError),
            Self::ErrsGenerating => failing(level == Level::Generate, FailureKind::ServerError),
            Self::FailsPercent(percent) => {
                failing(rng.below(100) < percent, FailureKind::ServerError)
            }
            Self::Limits => Some(FailureKind::RateLimited),
            Self::Rejects => Some(FailureKind::CredentialRefused),
            Self::Flaps(each_ms) => {
                failing((now_ms / each_ms).is_multiple_of(2), FailureKind::Connect)
            }
        }
    }

    /// What a probe of this level comes to, and after how many milliseconds.
    pub(super) fn answer(
        self,
        level: Level,
        ttft_ms: u32,
        rng: &mut Rng,
        now_ms: u64,
    ) -> (u64, Result<Timings, Failure>) {
        match self.failure(level, rng, now_ms) {
            None => (u64::from(ttft_ms) + rng.below(20), Ok(timings(level, ttft_ms))),
            Some(kind @ FailureKind::FirstContentTimeout) => {
                (patience_ms(level), Err(Failure::new(kind)))
            }
            Some(kind) => (1 + rng.below(QUICK_MS), Err(Failure::new(kind))),
        }
    }

    /// What so many live calls come to.
    pub(super) fn serve(self, calls: u32, rng: &mut Rng, now_ms: u64) -> Counts {
        let mut sum = Counts::default();
        for _ in 0..calls {
            let one = match self.failure(Level::Generate, rng, now_ms) {
                None => Counts { ok: 1, ..Counts::default() },
                Some(kind) => Counts::of_failure(kind),
            };
            sum = sum.plus(&one);
        }
        sum
    }
}

/// How long a prober waits for an answer that does not come, in milliseconds.
pub(super) const fn patience_ms(level: Level) -> u64 {
    match level {
        Level::Connect | Level::List => LIGHT_PATIENCE_MS,
        Level::Generate => GENERATION_PATIENCE_MS,
    }
}

fn timings(level: Level, ttft_ms: u32) -> Timings {
    let mut timings = Timings::default();
    if level == Level::Generate {
        timings.ttft.add(Bucket::of(ttft_ms), 1);
        timings.tokens_per_second.add(Bucket::of(SPEED), 1);
    }
    timings
}
