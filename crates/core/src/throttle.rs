//! Adaptive throttle: how much less to ask of an endpoint that answers "too many requests".
//!
//! A router learns the share of an endpoint's calls that it keeps sending there. Every few seconds the share is
//! brought to a little more than what was accepted of what was sent, or raised a little when hardly anything was
//! refused. A rule that looks only at what was sent would not do: as soon as it works, less is sent and less
//! refused, so it lets go again, and settles where half is refused.

/// Seconds after which the share is learned anew.
const SLOT_SECONDS: u64 = 3;
/// This much of what was accepted may be sent, in percent: a little is refused, so that more room is noticed.
const TOLERATED_PERCENT: u64 = 110;
/// The share grows to this part of itself in a slot without refusals to speak of, in percent: from a tenth to all
/// of it in less than a minute.
const RAISED_PERCENT: u64 = 115;
/// Everything, in millionths, so that small steps are not lost.
const ALL: u64 = 1_000_000;
/// Never send less than this share, in the same: something must get through to notice recovery. The cheapest may
/// have ten times the weight of all others, so even this is some percent of all calls.
const LEAST: u64 = 5_000;

/// What an endpoint took and refused lately, and the share that is sent there because of it.
#[derive(Clone, Debug)]
pub struct Throttle {
    /// The share at the beginning of the slot, in millionths.
    share: u64,
    slot: u64,
    requests: u64,
    accepted: u64,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { share: ALL, slot: 0, requests: 0, accepted: 0 }
    }
}

impl Throttle {
    /// Takes in one try; `accepted` is everything but a 429 or its like.
    pub fn record(&mut self, accepted: Accepted, now_ms: u64) {
        self.learn(now_ms);
        self.requests += 1;
        self.accepted += u64::from(accepted == Accepted::Yes);
    }

    /// The share of calls to keep away, in ‰.
    pub fn permille(&self, now_ms: u64) -> u32 {
        let mut now = self.clone();
        now.learn(now_ms);
        ((ALL - now.lowered()) * 1000 / ALL) as u32
    }

    /// Ends the slots that are over.
    fn learn(&mut self, now_ms: u64) {
        let slot = now_ms / 1000 / SLOT_SECONDS;
        while self.slot < slot {
            let lowered = self.lowered();
            self.share = match lowered < self.share {
                true => lowered,
                false => (self.share * RAISED_PERCENT / 100).min(ALL),
            };
            // With the whole share and nothing to count, all further slots are alike.
            self.slot = if self.share == ALL { slot } else { self.slot + 1 };
            (self.requests, self.accepted) = (0, 0);
        }
    }

    /// The share after what was refused in this slot. One try more, and taken, is counted than there were: a
    /// single refusal says little.
    fn lowered(&self) -> u64 {
        let tolerated = self.accepted * TOLERATED_PERCENT + 100;
        let requests = (self.requests + 1) * 100;
        (self.share * tolerated.min(requests) / requests).max(LEAST)
    }
}

/// Whether a provider took a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It did, whatever came of it.
    Yes,
    /// It answered that it has no capacity.
    No,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT_MS: u64 = SLOT_SECONDS * 1000;

    fn after(accepted: u32, refused: u32) -> Throttle {
        let mut throttle = Throttle::default();
        (0..accepted).for_each(|_| throttle.record(Accepted::Yes, 60_000));
        (0..refused).for_each(|_| throttle.record(Accepted::No, 60_000));
        throttle
    }

    #[test]
    fn a_refusal_among_many_is_no_reason_to_hold_back() {
        assert_eq!(after(50, 5).permille(60_000), 0);
    }

    #[test]
    fn refusals_hold_back_at_once_but_never_everything() {
        assert_eq!(after(0, 1).permille(60_000), 500);
        assert!((440..=460).contains(&after(50, 50).permille(60_000)));
        assert_eq!(after(0, 1_000).permille(60_000), 995);
    }

    #[test]
    fn refusals_are_forgotten_step_by_step() {
        let throttle = after(0, 1_000);
        assert!(throttle.permille(60_000 + 10 * SLOT_MS) > 900);
        assert_eq!(throttle.permille(60_000 + 40 * SLOT_MS), 0);
        assert_eq!(throttle.permille(u64::MAX), 0);
    }

    // A router that would send an endpoint ten times what it takes.
    #[test]
    fn what_is_sent_settles_little_above_what_is_taken() {
        let (wanted, taken) = (1_000, 100);
        let mut throttle = Throttle::default();
        let (mut sent, mut refused) = (0, 0);
        for slot in 1..=60 {
            let now_ms = slot * SLOT_MS;
            let kept = 1000 - u64::from(throttle.permille(now_ms));
            let requests = wanted * kept / 1000;
            for request in 0..requests {
                let took = if request < taken { Accepted::Yes } else { Accepted::No };
                throttle.record(took, now_ms);
            }
            if slot > 10 {
                sent += requests;
                refused += requests.saturating_sub(taken);
            }
        }
        assert!(refused * 100 < sent * 20, "{refused} of {sent} were refused");
        assert!(sent > 50 * taken * 9 / 10, "only {sent} were sent");
    }
}
