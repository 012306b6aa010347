//! Adaptive throttle: how much less to ask of an endpoint that answers "too many requests".
//!
//! The formula is the client-side throttling of Google's SRE book (chapter "Handling Overload"), with K = 2:
//! p = max(0, (requests − 2·accepted) / (requests + 1)), here over 30 seconds and at most 0.9.

/// Seconds of requests that are counted.
const WINDOW_SECONDS: u64 = 30;
/// Seconds of one slot.
const SLOT_SECONDS: u64 = 3;
/// Slots that cover the window.
const SLOTS: usize = (WINDOW_SECONDS / SLOT_SECONDS) as usize;
/// Never turn away more than this, in ‰: something must get through to notice recovery.
const MAX_PERMILLE: u32 = 900;

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    at: u64,
    requests: u32,
    accepted: u32,
}

/// Requests and acceptances of the last thirty seconds.
#[derive(Clone, Debug, Default)]
pub struct Throttle {
    slots: [Slot; SLOTS],
}

impl Throttle {
    /// Takes in one try; `accepted` is everything but a 429 or its like.
    pub fn record(&mut self, accepted: Accepted, now_ms: u64) {
        let at = now_ms / 1000 / SLOT_SECONDS;
        let [newest, ..] = &self.slots;
        if newest.at != at {
            self.slots.rotate_right(1);
            let [fresh, ..] = &mut self.slots;
            *fresh = Slot { at, ..Slot::default() };
        }
        let [newest, ..] = &mut self.slots;
        newest.requests += 1;
        newest.accepted += u32::from(accepted == Accepted::Yes);
    }

    /// The share of calls to keep away, in ‰.
    pub fn permille(&self, now_ms: u64) -> u32 {
        let oldest = (now_ms / 1000 / SLOT_SECONDS).saturating_sub(SLOTS as u64 - 1);
        let recent = self.slots.iter().filter(|s| s.at >= oldest);
        let (requests, accepted) =
            recent.fold((0u32, 0u32), |(r, a), s| (r + s.requests, a + s.accepted));
        let refused = requests.saturating_sub(accepted.saturating_mul(2));
        (u64::from(refused) * 1000 / (u64::from(requests) + 1)).min(u64::from(MAX_PERMILLE)) as u32
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

    fn after(accepted: u32, refused: u32) -> Throttle {
        let mut throttle = Throttle::default();
        (0..accepted).for_each(|_| throttle.record(Accepted::Yes, 60_000));
        (0..refused).for_each(|_| throttle.record(Accepted::No, 60_000));
        throttle
    }

    #[test]
    fn half_refused_is_still_no_reason_to_hold_back() {
        assert_eq!(after(10, 10).permille(60_000), 0);
    }

    #[test]
    fn mostly_refused_holds_back_but_never_everything() {
        assert_eq!(after(1, 9).permille(60_000), 8 * 1000 / 11);
        assert_eq!(after(0, 1_000).permille(60_000), MAX_PERMILLE);
    }

    #[test]
    fn old_refusals_are_forgotten() {
        assert_eq!(after(0, 100).permille(60_000 + WINDOW_SECONDS * 1000), 0);
    }
}
