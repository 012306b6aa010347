//! How long a new connection waits that comes from where others just broke the rules: whoever floods connects again
//! as soon as it is hung up on, and each time costs a connection's set-up. Nobody is refused, and what is connected
//! is not touched, for many callers may stand behind one address.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
/// A wait that callers notice: ten offences at once, or seven a second. The log tells of it.
const NOTICED: Duration = Duration::from_millis(20);
/// The log tells no more often than this, whoever floods it.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// What became of a connection because somebody broke the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defence {
    /// It was ended for what came over it.
    Ended,
    /// It is new and waits, for others from its address were ended.
    Delayed,
}

/// Is told of each.
#[derive(Clone, Default)]
pub struct Defences(Option<Arc<Told>>);

type Told = dyn Fn(Defence) + Send + Sync;

impl Defences {
    /// Tells this.
    #[must_use]
    pub fn tell(told: impl Fn(Defence) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(told)))
    }

    fn note(&self, what: Defence) {
        if let Some(told) = &self.0 {
            told(what);
        }
    }
}

impl fmt::Debug for Defences {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Defences").field(&self.0.is_some()).finish()
    }
}

/// What the connections of a server did that broke the rules, for a few seconds.
#[derive(Debug, Default)]
pub(super) struct Offences {
    /// Nobody can know which addresses share an entry.
    hasher: RandomState,
    noted: Mutex<Noted>,
    defences: Defences,
}

#[derive(Debug, Default)]
struct Noted {
    /// Empty until the first offence.
    entries: Vec<Entry>,
    /// When the log last told of a wait.
    told: Option<Instant>,
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
    /// `defences` is told what comes of them.
    pub(super) fn new(defences: Defences) -> Self {
        Self { defences, ..Self::default() }
    }

    /// Notes one.
    pub(super) fn add(&self, peer: IpAddr) {
        self.defences.note(Defence::Ended);
        if let Some(wait) = self.noted().add(self.place(peer), Instant::now()) {
            let wait_ms = wait.as_millis();
            tracing::warn!(%peer, wait_ms, "connections from one address are ended again and again for what comes over them, new ones from there wait");
        }
    }

    /// How long a new connection from there waits before anything of it is read.
    pub(super) fn wait(&self, peer: IpAddr) -> Duration {
        let entry = self.noted().entries.get(self.place(peer)).copied();
        let wait = entry.map_or(Duration::ZERO, |entry| entry.left(Instant::now()));
        if !wait.is_zero() {
            self.defences.note(Defence::Delayed);
        }
        wait
    }

    /// Whether there ever was one.
    #[cfg(test)]
    pub(super) fn any(&self) -> bool {
        !self.noted().entries.is_empty()
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
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

impl Noted {
    /// Notes one; says the wait where the log is to tell of it.
    fn add(&mut self, place: usize, now: Instant) -> Option<Duration> {
        if self.entries.is_empty() {
            self.entries.resize(ENTRIES, Entry { wait: Duration::ZERO, since: now });
        }
        let entry = self.entries.get_mut(place)?;
        *entry = Entry { wait: (entry.left(now) + STEP).min(LONGEST), since: now };
        let lately = self.told.is_some_and(|told| now.duration_since(told) < TELL_AGAIN);
        if entry.wait < NOTICED || lately {
            return None;
        }
        self.told = Some(now);
        Some(entry.wait)
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

    #[test]
    fn the_log_tells_of_a_wait_that_callers_notice_and_then_not_for_a_while() {
        let (mut noted, now) = (Noted::default(), Instant::now());
        let told: Vec<_> = (0..100).filter_map(|_| noted.add(7, now)).collect();
        assert_eq!(told, [NOTICED]);
        // Neither that of another address.
        assert!((0..100).all(|_| noted.add(8, now + TELL_AGAIN / 2).is_none()));
        let told: Vec<_> = (0..100).filter_map(|_| noted.add(8, now + TELL_AGAIN)).collect();
        assert_eq!(told, [NOTICED]);
    }

    #[test]
    fn each_offence_and_each_wait_is_told_of() {
        let all: Arc<Mutex<Vec<_>>> = Arc::default();
        let kept = Arc::clone(&all);
        let offences = Offences::new(Defences::tell(move |what| kept.lock().unwrap().push(what)));
        let peer = ip("192.0.2.1");
        assert_eq!(offences.wait(peer), Duration::ZERO);
        offences.add(peer);
        assert_ne!(offences.wait(peer), Duration::ZERO);
        assert_eq!(*all.lock().unwrap(), [Defence::Ended, Defence::Delayed]);
    }
}
