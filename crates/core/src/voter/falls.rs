//! How often an endpoint went down lately, and how long it is kept out for that.

/// How long an endpoint is kept out, in milliseconds: after a first fall, and after each that follows soon.
/// Three falls in ten minutes are all that callers are to see, so the third is waited out for long.
const BACK_OFFS_MS: [u64; 3] = [10_000, 20_000, 300_000];
/// How long it must have worked in a row before it is let in again: what works for a minute, fails for one, and
/// has done so three times, is better left out.
const STEADY_MS: [u64; BACK_OFFS_MS.len()] = [0, 0, 90_000];
/// A fall this soon after the one before is a flap; after as long without a fall, a flap is forgiven.
pub(super) const FLAP_FORGIVEN_MS: u64 = 300_000;
/// Further flaps change nothing.
pub(super) const FLAP_MAX: u8 = BACK_OFFS_MS.len() as u8 - 1;

/// The falls of one endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Falls {
    flap: u8,
    /// The last fall, or when the last flap was forgiven; nothing while none is remembered.
    last_ms: Option<u64>,
}

impl Falls {
    /// How many flaps are not forgiven, at most [`FLAP_MAX`].
    pub(super) fn flap(self) -> u8 {
        self.flap
    }

    /// It goes down. Answers until when it is kept out.
    pub(super) fn fell(&mut self, now_ms: u64) -> u64 {
        if self.last_ms.is_some() {
            self.flap = (self.flap + 1).min(FLAP_MAX);
        }
        self.last_ms = Some(now_ms);
        let wait_ms = BACK_OFFS_MS.get(usize::from(self.flap)).copied();
        now_ms + wait_ms.unwrap_or_default()
    }

    /// How long it must have worked in a row before it is let in, in milliseconds.
    pub(super) fn steady_ms(self) -> u64 {
        STEADY_MS.get(usize::from(self.flap)).copied().unwrap_or_default()
    }

    /// It is up at that time.
    pub(super) fn stands(&mut self, now_ms: u64) {
        if self.last_ms.is_some_and(|last| now_ms.saturating_sub(last) >= FLAP_FORGIVEN_MS) {
            self.last_ms = (self.flap > 0).then_some(now_ms);
            self.flap = self.flap.saturating_sub(1);
        }
    }
}
