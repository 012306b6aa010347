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
