//! How long a new connection waits that comes from where others just broke the rules: whoever floods connects again
//! as soon as it is hung up on, and each time costs a connection's set-up. Nobody is refused, and what is connected
//! is not touched, for many callers may stand behind one address.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What one offence adds to the wait. A caller with a fault of its own does not notice; four that flood and connect
/// again at once come to a tenth of a second each, which makes 40 floods in a second of the thousands that they began.
const STEP: Duration = Duration::from_millis(2);
/// The longest wait: the callers behind one balancer's address bear it, as long as a flood comes that way, once for
/// each connection that they open.
const LONGEST: Duration = Duration::from_millis(500);
/// After this much time without an offence half of the wait is left.
const HALVED_AFTER: Duration = Duration::from_secs(1);
/// Less than this is none.
const SHORTEST: Duration = Duration::from_millis(1);
/// Addresses share this many entries, whatever comes: who shares one with an offender waits with it.
const ENTRIES: usize = 1_024;

/// What the connections of a server did that broke the rules, for a few seconds.
#[derive(Debug, Default)]
pub(super) struct Offences {
    /// Nobody can know which addresses share an entry.
    hasher: RandomState,
    /// Empty until the first offence.
    entries: Mutex<Vec<Entry>>,
}

/// The wait after the last offence.
#[derive(Clone, Copy, Debug)]
struct Entry {
    wait: Duration,
    since: Instant,
}

impl Entry {
    /// What is left of it.
    fn left(self, now: Instant) -> Duration {
        let halvings = now.duration_since(self.since).as_secs_f64() / HALVED_AFTER.as_secs_f64();
        let left = self.wait.mul_f64((-halvings).exp2());
        if left < SHORTEST { Duration::ZERO } else { left }
    }
}

impl Offences {
    /// Notes one.
    pub(super) fn add(&self, peer: IpAddr) {
        let now = Instant::now();
        let mut entries = self.entries();
        if entries.is_empty() {
            entries.resize(ENTRIES, Entry { wait: Duration::ZERO, since: now });
        }
        if let Some(entry) = entries.get_mut(self.place(peer)) {
            *entry = Entry { wait: (entry.left(now) + STEP).min(LONGEST), since: now };
        }
    }

    /// How long a new connection from there waits before anything of it is read.
    pub(super) fn wait(&self, peer: IpAddr) -> Duration {
        let entry = self.entries().get(self.place(peer)).copied();
        entry.map_or(Duration::ZERO, |entry| entry.left(Instant::now()))
    }

    /// Whether there ever was one.
    #[cfg(test)]
    pub(super) fn any(&self) -> bool {
        !self.entries().is_empty()
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entry of an address; over IPv6 of the network of 64 bits that a subscriber has to himself.
    fn place(&self, peer: IpAddr) -> usize {
        let of = match peer.to_canonical() {
            IpAddr::V4(address) => u64::from(address.to_bits()),
            IpAddr::V6(address) => u64::try_from(address.to_bits() >> 64).unwrap_or_default(),
        };
        usize::try_from(self.hasher.hash_one(of)).unwrap_or_default() % ENTRIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_grows_with_each_offence_up_to_a_bound_and_fades() {
        let (offences, peer) = (Offences::default(), ip("192.0.2.1"));
        assert_eq!(offences.wait(peer), Duration::ZERO);
        offences.add(peer);
        assert_eq!(offences.wait(peer), STEP);
        offences.add(peer);
        assert_eq!(offences.wait(peer), 2 * STEP);
        for _ in 0..1_000 {
            offences.add(peer);
        }
        assert_eq!(offences.wait(peer), LONGEST);
        tokio::time::advance(HALVED_AFTER).await;
        assert_eq!(offences.wait(peer), LONGEST / 2);
        tokio::time::advance(10 * HALVED_AFTER).await;
        assert_eq!(offences.wait(peer), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn an_offence_is_that_of_an_address_or_of_a_subscribers_network() {
        let offences = Offences::default();
        offences.add(ip("192.0.2.1"));
        offences.add(ip("2001:db8::1"));
        assert_eq!(offences.wait(ip("::ffff:192.0.2.1")), STEP);
        assert_eq!(offences.wait(ip("2001:db8::ffff:2")), STEP);
        // One in a thousand shares an entry with an offender.
        let others = (0..=255).map(|last| ip(&format!("198.51.100.{last}")));
        let waiting = others.filter(|peer| !offences.wait(*peer).is_zero()).count();
        assert!(waiting < 16, "{waiting}");
    }
}
