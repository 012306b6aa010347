//! Puts the pauses of a profile into a script. With all latencies 0 it adds nothing, so no timer is set.

use std::time::Duration;

use crate::draw::permille;
use crate::profile::Profile;
use crate::sabotage::Delivery;
use crate::script::{Opening, Script, Step};

/// The script at the speed of the profile; `request` makes the jitter of equal requests differ.
#[must_use]
pub fn paced(mut script: Script, profile: &Profile, delivery: Delivery, request: u64) -> Script {
    let first = Duration::from_millis(profile.ttft_ms);
    let pause = profile.pause();
    if first.is_zero() && pause.is_zero() {
        return script;
    }
    let seed = profile.jitter_seed.wrapping_add(request);
    let jittered = |nominal: Duration, position: u64| {
        let spread = i32::from(profile.jitter_permille.min(1000));
        let offset = spread * (i32::from(permille(seed, position)) - 500) / 500;
        nominal.mul_f64(f64::from(1000 + offset) / 1000.0)
    };
    match delivery {
        Delivery::Whole => {
            let tokens = script.steps.iter().map(carried).sum::<u32>();
            let rest = pause.saturating_mul(tokens.saturating_sub(1));
            script.opening = Opening::After(jittered(first.saturating_add(rest), 0));
        }
        Delivery::Streamed => {
            let mut steps = vec![Step::Wait(jittered(first, 0))];
            let mut position = 0;
            for step in script.steps {
                if carried(&step) > 0 {
                    if position > 0 && !pause.is_zero() {
                        steps.push(Step::Wait(jittered(pause, position)));
                    }
                    position += 1;
                }
                steps.push(step);
            }
            script.steps = steps;
        }
    }
    script
}

fn carried(step: &Step) -> u32 {
    match step {
        Step::Data(_, tokens) => *tokens,
        Step::Wait(_)
        | Step::Frame(_)
        | Step::Terminal(_)
        | Step::Repeat(..)
        | Step::Bomb(_)
        | Step::Silence
        | Step::Abort
        | Step::Reset => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::paced;
    use crate::profile::Profile;
    use crate::sabotage::Delivery;
    use crate::script::{Opening, Script, Step};

    fn three_tokens() -> Script {
        let token = || Step::Data(Bytes::from_static(b"x"), 1);
        Script::events(vec![Step::Frame(Bytes::new()), token(), token(), token()])
    }

    fn pauses(profile: &Profile, request: u64) -> Vec<u128> {
        let script = paced(three_tokens(), profile, Delivery::Streamed, request);
        let pause = |step| {
            if let Step::Wait(time) = step { Some(Duration::as_millis(&time)) } else { None }
        };
        script.steps.into_iter().filter_map(pause).collect()
    }

    #[test]
    fn no_latency_means_no_pause_at_all() {
        for delivery in [Delivery::Whole, Delivery::Streamed] {
            let script = paced(three_tokens(), &Profile::default(), delivery, 1);
            assert_eq!((script.opening, script.steps), (Opening::AtOnce, three_tokens().steps));
        }
    }

    #[test]
    fn the_first_token_waits_for_the_ttft_and_the_others_for_the_rate() {
        let profile = Profile { ttft_ms: 70, tokens_per_second: 100.0, ..Profile::default() };
        assert_eq!(pauses(&profile, 1), [70, 10, 10]);
        let script = paced(three_tokens(), &profile, Delivery::Whole, 1);
        assert_eq!(script.opening, Opening::After(Duration::from_millis(90)));
    }

    #[test]
    fn jitter_differs_by_request_stays_in_its_bounds_and_repeats() {
        let profile = Profile { ttft_ms: 1000, jitter_permille: 200, ..Profile::default() };
        let firsts: Vec<u128> =
            (0..100).filter_map(|n| pauses(&profile, n).first().copied()).collect();
        assert!(firsts.iter().all(|pause| (800..=1200).contains(pause)), "{firsts:?}");
        assert!(
            firsts.iter().any(|pause| *pause > 1100) && firsts.iter().any(|pause| *pause < 900)
        );
        assert_eq!(pauses(&profile, 7), pauses(&profile, 7));
    }
}
