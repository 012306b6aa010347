//! Weighted draws from a seed: the same seed gives the same picks, on every machine.

use crate::id::u64_prefix;

/// SplitMix64 (Steele, Lea, Flood 2014): eight bytes of state, good enough to spread load, and repeatable.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A sequence that depends on nothing but the seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound` (0 for a bound of 0), by multiplication instead of a remainder: its bias is
    /// below `bound`/2⁶⁴.
    pub const fn below(&mut self, bound: u64) -> u64 {
        ((self.next() as u128 * bound as u128) >> 64) as u64
    }
}

/// One that may be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Position in the snapshot's endpoints.
    pub endpoint: usize,
    /// Its share; 0 is never drawn.
    pub weight: u32,
    /// Calls in flight and ghost load, in thousandths of a call.
    pub load_milli: u64,
}

/// Draws twice in proportion to weight, and keeps the one with the lower load for its weight; a tie goes
/// to the first draw. Returns the position in `tickets`; `None` when nothing has weight.
pub fn two_draws(tickets: &[Ticket], rng: &mut Rng) -> Option<usize> {
    let total: u64 = tickets.iter().map(|t| u64::from(t.weight)).sum();
    let first = one_draw(tickets, total, rng)?;
    let second = one_draw(tickets, total, rng)?;
    let (a, b) = (tickets.get(first)?, tickets.get(second)?);
    // a.load / a.weight > b.load / b.weight, without dividing.
    let second_is_lighter = u128::from(b.load_milli) * u128::from(a.weight)
        < u128::from(a.load_milli) * u128::from(b.weight);
    Some(if second_is_lighter { second } else { first })
}

fn one_draw(tickets: &[Ticket], total: u64, rng: &mut Rng) -> Option<usize> {
    if total == 0 {
        return None;
    }
    let mut point = rng.below(total);
    tickets.iter().position(|ticket| {
        let weight = u64::from(ticket.weight);
        let hit = point < weight;
        point = point.wrapping_sub(weight);
        hit
    })
}

/// A session may hold up to 1.25 times an endpoint's fair share before it goes to the next one
/// (Mirrokni, Thorup, Zadimoghaddam 2016: consistent hashing with bounded loads). In quarters.
const AFFINITY_BOUND_QUARTERS: u128 = 5;

/// Weighted rendezvous with bounded load: the same session goes to the same endpoint while that one has
/// room, and only its own sessions move when one leaves. Returns the position in `tickets`.
pub fn rendezvous(tickets: &[Ticket], key: u64, id_of: impl Fn(usize) -> u64) -> Option<usize> {
    let total_weight: u128 = tickets.iter().map(|t| u128::from(t.weight)).sum();
    let total_load: u128 = tickets.iter().map(|t| u128::from(t.load_milli)).sum::<u128>() + 1000;
    let has_room = |t: &Ticket| {
        u128::from(t.load_milli) * 4 * total_weight
            < total_load * u128::from(t.weight) * AFFINITY_BOUND_QUARTERS
    };
    let score = |t: &Ticket| {
        let mixed = Rng::new(key ^ id_of(t.endpoint)).next();
        // The exponential race: the smallest −log(u)/weight wins in proportion to weight.
        u64::from(t.weight) * (1 << 24) / neg_log2_q16(mixed).max(1)
    };
    let eligible = tickets.iter().enumerate().filter(|(_, t)| t.weight > 0);
    let best = eligible.clone().filter(|(_, t)| has_room(t)).max_by_key(|(_, t)| score(t));
    best.or_else(|| eligible.max_by_key(|(_, t)| score(t))).map(|(at, _)| at)
}

/// −log₂ of `bits`/2⁶⁴ in Q16, by repeated squaring: exact to the last bit but one.
fn neg_log2_q16(bits: u64) -> u64 {
    let bits = bits.max(1);
    let zeros = u64::from(bits.leading_zeros());
    let mut mantissa = u128::from(bits << zeros);
    let mut fraction = 0u64;
    for _ in 0..16 {
        mantissa = (mantissa * mantissa) >> 63;
        fraction <<= 1;
        if mantissa >> 64 != 0 {
            fraction |= 1;
            mantissa >>= 1;
        }
    }
    ((zeros + 1) << 16) - fraction
}

/// A 64-bit key for affinity from any bytes, for instance a session id.
pub fn affinity_key(bytes: &[u8]) -> u64 {
    u64_prefix(blake3::hash(bytes).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(endpoint: usize, weight: u32, load: u64) -> Ticket {
        Ticket { endpoint, weight, load_milli: load * 1000 }
    }

    #[test]
    fn idle_endpoints_are_picked_in_proportion_to_weight() {
        let tickets = [ticket(0, 100, 0), ticket(1, 300, 0)];
        let mut rng = Rng::new(7);
        let second = (0..10_000).filter(|_| two_draws(&tickets, &mut rng) == Some(1)).count();
        assert!((7_300..7_700).contains(&second), "{second}");
    }

    #[test]
    fn of_two_draws_the_lighter_for_its_weight_wins() {
        let tickets = [ticket(0, 100, 50), ticket(1, 100, 0)];
        let mut rng = Rng::new(7);
        let busy = (0..10_000).filter(|_| two_draws(&tickets, &mut rng) == Some(0)).count();
        assert!((2_300..2_700).contains(&busy), "both draws must hit the busy one: {busy}");
    }

    #[test]
    fn nothing_with_weight_gives_nothing() {
        assert_eq!(two_draws(&[ticket(0, 0, 0)], &mut Rng::new(1)), None);
        assert_eq!(two_draws(&[], &mut Rng::new(1)), None);
    }

    #[test]
    fn a_session_stays_and_leaves_only_a_full_endpoint() {
        let idle = [ticket(0, 100, 0), ticket(1, 100, 0), ticket(2, 100, 0)];
        let home = rendezvous(&idle, 42, |e| e as u64).unwrap();
        assert_eq!(rendezvous(&idle, 42, |e| e as u64), Some(home));
        let mut full = idle;
        full[home].load_milli = 90_000;
        assert_ne!(rendezvous(&full, 42, |e| e as u64), Some(home));
    }

    #[test]
    fn sessions_spread_in_proportion_to_weight() {
        let tickets = [ticket(0, 100, 0), ticket(1, 300, 0)];
        let second = (0..10_000)
            .filter(|k| rendezvous(&tickets, k * 77, |e| e as u64 + 9) == Some(1))
            .count();
        assert!((7_300..7_700).contains(&second), "{second}");
    }

    #[test]
    fn the_logarithm_is_right_where_it_is_known() {
        assert_eq!(neg_log2_q16(1 << 63), 1 << 16);
        assert_eq!(neg_log2_q16(1 << 62), 2 << 16);
        let three_quarters = neg_log2_q16(3 << 62);
        assert!((27_199..=27_201).contains(&three_quarters), "{three_quarters}");
    }
}
