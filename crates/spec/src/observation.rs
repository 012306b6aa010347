//! What probers keep in the store: their signs of life, as JSON for people to read, and their observations, as
//! a few dozen bytes, because there are many of them and they change often. Equal values give equal bytes.
//!
//! An observation is a version byte and then numbers in LEB128, in the order of [`encode_observation`]. Reading
//! accepts any bytes and answers a value or an error; what the numbers mean is the business of `core`.

use serde::{Deserialize, Serialize};
use trunkline_core::id::Zone;
use trunkline_core::observation::{
    Capacity, Counts, Evidence, Latency, Observation, ProberInfo, Vote,
};
use trunkline_core::score::Bucket;

/// The first byte of an observation in the present layout.
const VERSION: u8 = 1;
/// The longest zone name accepted, in bytes.
const ZONE_MAX_BYTES: usize = 128;

/// Why a record could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It was written by another release.
    #[error("layout version {0} is not known here")]
    Version(u8),
    /// It ends too early.
    #[error("it is cut short")]
    Short,
    /// It goes on after its end.
    #[error("{0} bytes follow after its end")]
    Long(usize),
    /// A number is larger than its field.
    #[error("{field} is out of range")]
    Range {
        /// Which one.
        field: &'static str,
    },
    /// It is not the JSON that was expected.
    #[error("{0}")]
    Json(String),
}

/// A prober's sign of life.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProberRecord {
    /// Where it stands.
    pub zone: String,
    /// Which release it runs.
    pub version: String,
    /// Where routers reach it with what live traffic saw; empty when they cannot.
    #[serde(default)]
    pub address: String,
    /// How badly it does itself, 0 to 8.
    #[serde(default)]
    pub local_health: u8,
    /// It doubts its own network: its votes do not count.
    #[serde(default)]
    pub self_suspect: bool,
}

/// The bytes of a sign of life.
pub fn encode_prober(record: &ProberRecord) -> Vec<u8> {
    // Strings, numbers and booleans always serialise.
    serde_json::to_vec(record).unwrap_or_default()
}

/// Reads a sign of life. `incarnation` is the create revision of its key.
///
/// # Errors
/// [`RecordError::Json`] for other JSON or none, [`RecordError::Range`] for a zone without a name or with one
/// too long.
pub fn decode_prober(bytes: &[u8], incarnation: u64) -> Result<ProberInfo, RecordError> {
    let record = decode_prober_record(bytes)?;
    let ProberRecord { zone, self_suspect, .. } = record;
    Ok(ProberInfo { zone: Zone::new(&zone), incarnation, self_suspect })
}

/// Reads a sign of life with everything in it.
///
/// # Errors
/// As [`decode_prober`].
pub fn decode_prober_record(bytes: &[u8]) -> Result<ProberRecord, RecordError> {
    let record: ProberRecord =
        serde_json::from_slice(bytes).map_err(|e| RecordError::Json(e.to_string()))?;
    if record.zone.is_empty() || record.zone.len() > ZONE_MAX_BYTES {
        return Err(RecordError::Range { field: "zone" });
    }
    Ok(record)
}

/// The bytes of an observation: about sixty.
pub fn encode_observation(observation: &Observation) -> Vec<u8> {
    let o = observation;
    let mut out = Writer(Vec::with_capacity(64));
    out.0.push(VERSION);
    out.0.push(vote_byte(o.vote));
    out.0.push(u8::from(o.evidence.active) | u8::from(o.evidence.passive) << 1);
    out.0.push(o.flap);
    [o.sequence, o.incarnation, o.since_revision].into_iter().for_each(|n| out.number(n));
    [o.ramp_permille, o.window_s].into_iter().for_each(|n| out.number(u64::from(n)));
    let c = &o.counts;
    [c.ok, c.health, c.rate_limited, c.overloaded, c.config, c.client, c.local]
        .into_iter()
        .for_each(|n| out.number(u64::from(n)));
    let l = &o.latency;
    [l.ttft_p50, l.ttft_p90, l.ttft_p99, l.inter_token_p50, l.inter_token_p90]
        .into_iter()
        .chain([l.tokens_per_second_p50])
        .for_each(|bucket| out.maybe(bucket.map(|b| u64::from(b.index()))));
    let c = &o.capacity;
    [c.limit_requests, c.remaining_requests, c.limit_tokens, c.remaining_tokens]
        .into_iter()
        .chain([c.learned_cap_permille.map(u64::from), c.retry_after_s.map(u64::from)])
        .for_each(|number| out.maybe(number));
    out.0
}

/// Reads an observation.
///
/// # Errors
/// See [`RecordError`]; no bytes are too strange to be answered.
pub fn decode_observation(bytes: &[u8]) -> Result<Observation, RecordError> {
    let mut read = Reader { rest: bytes };
    let version = read.byte()?;
    if version != VERSION {
        return Err(RecordError::Version(version));
    }
    let observation = Observation {
        vote: read_vote(read.byte()?)?,
        evidence: read_evidence(read.byte()?)?,
        flap: read.byte()?,
        sequence: read.number()?,
        incarnation: read.number()?,
        since_revision: read.number()?,
        ramp_permille: read.small("ramp")?,
        window_s: read.small("window")?,
        counts: read_counts(&mut read)?,
        latency: read_latency(&mut read)?,
        capacity: read_capacity(&mut read)?,
    };
    if read.rest.is_empty() { Ok(observation) } else { Err(RecordError::Long(read.rest.len())) }
}

const fn vote_byte(vote: Vote) -> u8 {
    match vote {
        Vote::Unknown => 1,
        Vote::Up => 2,
        Vote::Suspect => 3,
        Vote::Degraded => 4,
        Vote::Down => 5,
        Vote::Recovering => 6,
        Vote::Config => 7,
    }
}

fn read_vote(byte: u8) -> Result<Vote, RecordError> {
    let vote = Vote::ALL.into_iter().find(|vote| vote_byte(*vote) == byte);
    vote.ok_or(RecordError::Range { field: "vote" })
}

fn read_evidence(byte: u8) -> Result<Evidence, RecordError> {
    if byte > 3 {
        return Err(RecordError::Range { field: "evidence" });
    }
    Ok(Evidence { active: byte & 1 != 0, passive: byte & 2 != 0 })
}

fn read_counts(read: &mut Reader<'_>) -> Result<Counts, RecordError> {
    Ok(Counts {
        ok: read.small("ok")?,
        health: read.small("health")?,
        rate_limited: read.small("rate_limited")?,
        overloaded: read.small("overloaded")?,
        config: read.small("config")?,
        client: read.small("client")?,
        local: read.small("local")?,
    })
}

fn read_latency(read: &mut Reader<'_>) -> Result<Latency, RecordError> {
    Ok(Latency {
        ttft_p50: read.bucket()?,
        ttft_p90: read.bucket()?,
        ttft_p99: read.bucket()?,
        inter_token_p50: read.bucket()?,
        inter_token_p90: read.bucket()?,
        tokens_per_second_p50: read.bucket()?,
    })
}

fn read_capacity(read: &mut Reader<'_>) -> Result<Capacity, RecordError> {
    Ok(Capacity {
        limit_requests: read.maybe()?,
        remaining_requests: read.maybe()?,
        limit_tokens: read.maybe()?,
        remaining_tokens: read.maybe()?,
        learned_cap_permille: read.maybe()?.map(|n| fitting(n, "learned cap")).transpose()?,
        retry_after_s: read.maybe()?.map(|n| fitting(n, "retry after")).transpose()?,
    })
}

fn fitting<T: TryFrom<u64>>(number: u64, field: &'static str) -> Result<T, RecordError> {
    T::try_from(number).map_err(|_| RecordError::Range { field })
}

struct Writer(Vec<u8>);

impl Writer {
    /// LEB128: seven bits a byte, the lowest first, the top bit set on all but the last.
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// Nothing is 0, n is n + 1; so the largest number is written as if it were one less.
    fn maybe(&mut self, number: Option<u64>) {
        self.number(number.map_or(0, |n| n.saturating_add(1)));
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, RecordError> {
        let (first, rest) = self.rest.split_first().ok_or(RecordError::Short)?;
        self.rest = rest;
        Ok(*first)
    }

    fn number(&mut self) -> Result<u64, RecordError> {
        let mut number = 0u64;
        for place in 0..10 {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let shifted = bits << (7 * place);
            if shifted >> (7 * place) != bits {
                return Err(RecordError::Range { field: "a number" });
            }
            number |= shifted;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(RecordError::Range { field: "a number" })
    }

    fn small<T: TryFrom<u64>>(&mut self, field: &'static str) -> Result<T, RecordError> {
        fitting(self.number()?, field)
    }

    fn maybe(&mut self) -> Result<Option<u64>, RecordError> {
        Ok(self.number()?.checked_sub(1))
    }

    fn bucket(&mut self) -> Result<Option<Bucket>, RecordError> {
        let index = self.maybe()?.map(|n| fitting::<u8>(n, "a latency")).transpose()?;
        Ok(index.map(Bucket::new))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Observation {
        Observation {
            sequence: 300,
            incarnation: 7,
            vote: Vote::Recovering,
            evidence: Evidence { active: true, passive: false },
            ramp_permille: 300,
            window_s: 60,
            counts: Counts { ok: 1_000, health: 2, ..Counts::default() },
            latency: Latency { ttft_p50: Some(Bucket::new(0)), ..Latency::default() },
            capacity: Capacity { remaining_requests: Some(0), ..Capacity::default() },
            flap: 2,
            since_revision: 99,
        }
    }

    #[test]
    fn an_observation_is_read_back_and_small() {
        let bytes = encode_observation(&sample());
        assert_eq!(decode_observation(&bytes), Ok(sample()));
        assert!(bytes.len() < 60, "{}", bytes.len());
    }

    #[test]
    fn the_layout_is_frozen() {
        let bytes = encode_observation(&sample());
        let start = [1, 6, 1, 2, 0xac, 0x02, 7, 99, 0xac, 0x02, 60, 0xe8, 0x07, 2];
        assert_eq!(bytes[..start.len()], start);
    }

    #[test]
    fn what_is_cut_padded_or_of_another_release_is_refused() {
        let bytes = encode_observation(&sample());
        for length in 0..bytes.len() {
            assert_eq!(decode_observation(&bytes[..length]), Err(RecordError::Short));
        }
        let padded = [bytes.as_slice(), &[0]].concat();
        assert_eq!(decode_observation(&padded), Err(RecordError::Long(1)));
        let newer = [&[2], &bytes[1..]].concat();
        assert_eq!(decode_observation(&newer), Err(RecordError::Version(2)));
    }

    #[test]
    fn a_sign_of_life_is_read_back_and_needs_a_zone() {
        let record = ProberRecord { zone: "a".into(), self_suspect: true, ..Default::default() };
        let info = decode_prober(&encode_prober(&record), 9).unwrap();
        assert_eq!(info, ProberInfo { zone: Zone::new("a"), incarnation: 9, self_suspect: true });
        assert!(decode_prober(&encode_prober(&ProberRecord::default()), 9).is_err());
        assert!(decode_prober(b"null", 9).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let version = [&[VERSION], bytes.as_slice()].concat();
            for bytes in [bytes, version] {
                if let Ok(observation) = decode_observation(&bytes) {
                    let again = decode_observation(&encode_observation(&observation));
                    prop_assert_eq!(again, Ok(observation));
                }
            }
        }
    }
}
