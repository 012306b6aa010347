//! Batches as they come over the wire → what a prober works with. Whatever does not fit is refused by its field's
//! name; numbers beyond their range count as the largest.

use trunkline_core::id::{EndpointId, RouterId};
use trunkline_core::observation::{Capacity, Counts};
use trunkline_core::score::Bucket;
use trunkline_core::window::{Histogram, Timings};
use trunkline_proto::health::v1::{
    EndpointEvidence, LatencyHistogram, OutcomeCounts, ReportEvidenceRequest,
};

use super::{Batch, Seen, Traffic};

/// The longest name of a router, in bytes: that of a key's segment in the store.
pub const ROUTER_ID_MAX_BYTES: usize = 128;

/// Why a batch was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceError {
    /// The field, as the contract spells it.
    pub field: &'static str,
    /// What is wrong with it, and what it should be.
    pub reason: String,
}

impl std::fmt::Display for EvidenceError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}: {}", self.field, self.reason)
    }
}

/// Reads a batch. `router` is who tells it, as far as that is proven; `None` takes the batch's own word.
///
/// # Errors
/// The first field that does not fit.
pub fn read(
    message: ReportEvidenceRequest,
    router: Option<&RouterId>,
) -> Result<Batch, EvidenceError> {
    let named = message.router_id.len();
    if named == 0 || named > ROUTER_ID_MAX_BYTES {
        let reason = format!("{named} bytes long; name the router with 1 to {ROUTER_ID_MAX_BYTES}");
        return Err(EvidenceError { field: "router_id", reason });
    }
    let router = router.cloned().unwrap_or_else(|| RouterId::new(&message.router_id));
    let traffic = message.endpoints.iter().map(traffic).collect::<Result<_, _>>()?;
    Ok(Batch { router, traffic })
}

fn traffic(told: &EndpointEvidence) -> Result<Traffic, EvidenceError> {
    let endpoint = EndpointId::parse(&told.endpoint_id).ok_or_else(|| EvidenceError {
        field: "endpoints.endpoint_id",
        reason: format!("`{}` is not ten base32 characters", told.endpoint_id.escape_debug()),
    })?;
    let seen = Seen {
        counts: told.counts.as_ref().map(counts).unwrap_or_default(),
        consecutive_health: told.consecutive_health_failures,
        timings: Timings {
            ttft: histogram("endpoints.ttft", told.ttft.as_ref())?,
            inter_token: histogram("endpoints.inter_token", told.inter_token.as_ref())?,
            tokens_per_second: histogram(
                "endpoints.tokens_per_second",
                told.tokens_per_second.as_ref(),
            )?,
        },
        room: told.capacity.as_ref().map(room),
    };
    Ok(Traffic { endpoint, seen })
}

fn counts(told: &OutcomeCounts) -> Counts {
    Counts {
        ok: saturated(told.ok),
        health: saturated(told.health),
        rate_limited: saturated(told.rate_limited),
        overloaded: saturated(told.overloaded),
        config: saturated(told.config),
        client: saturated(told.client),
        local: saturated(told.local),
    }
}

/// What a router learns and asks for itself stays with it.
fn room(told: &trunkline_proto::health::v1::Capacity) -> Capacity {
    Capacity {
        limit_requests: told.limit_requests,
        remaining_requests: told.remaining_requests,
        limit_tokens: told.limit_tokens,
        remaining_tokens: told.remaining_tokens,
        ..Capacity::default()
    }
}

fn histogram(
    field: &'static str,
    told: Option<&LatencyHistogram>,
) -> Result<Histogram, EvidenceError> {
    let mut histogram = Histogram::default();
    let Some(told) = told else { return Ok(histogram) };
    let last = u64::from(told.first_bucket) + told.counts.len() as u64;
    let most = u64::from(Bucket::MAX.index());
    if last > most + 1 {
        let reason = format!("bucket {} is beyond the last, which is {most}", last - 1);
        return Err(EvidenceError { field, reason });
    }
    for (index, count) in (told.first_bucket..).zip(&told.counts).filter(|(_, count)| **count > 0) {
        let index = u8::try_from(index).unwrap_or(u8::MAX);
        histogram.add(Bucket::new(index), saturated(*count));
    }
    Ok(histogram)
}

fn saturated(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(endpoint: EndpointEvidence) -> ReportEvidenceRequest {
        ReportEvidenceRequest {
            router_id: "r1".to_owned(),
            endpoints: vec![endpoint],
            ..ReportEvidenceRequest::default()
        }
    }

    fn sound() -> EndpointEvidence {
        EndpointEvidence { endpoint_id: "abcdefghij".to_owned(), ..EndpointEvidence::default() }
    }

    #[test]
    fn a_batch_is_read_with_counts_and_latencies() {
        let counts = Some(OutcomeCounts { ok: 3, health: u64::MAX, ..OutcomeCounts::default() });
        let ttft = Some(LatencyHistogram { first_bucket: 126, counts: vec![2, 1] });
        let told = EndpointEvidence { counts, ttft, consecutive_health_failures: 7, ..sound() };
        let batch = read(message(told), None).unwrap();
        assert_eq!(batch.router, RouterId::new("r1"));
        let seen = &batch.traffic[0].seen;
        assert_eq!((seen.counts.ok, seen.counts.health), (3, u32::MAX));
        assert_eq!(seen.consecutive_health, 7);
        assert_eq!(seen.timings.ttft.percentile(50), Some(Bucket::new(126)));
        assert_eq!(seen.timings.ttft.percentile(99), Some(Bucket::MAX));
    }

    #[test]
    fn what_is_proven_outweighs_what_is_said() {
        let proven = RouterId::new("certificate");
        assert_eq!(read(message(sound()), Some(&proven)).unwrap().router, proven);
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let refused = |message| read(message, None).unwrap_err().to_string();
        let nameless = ReportEvidenceRequest { router_id: String::new(), ..message(sound()) };
        assert!(refused(nameless).starts_with("router_id: 0 bytes long"));
        let odd = EndpointEvidence { endpoint_id: "No".to_owned(), ..sound() };
        assert!(refused(message(odd)).starts_with("endpoints.endpoint_id: `No`"));
        let far = Some(LatencyHistogram { first_bucket: u32::MAX, counts: vec![1] });
        let late = EndpointEvidence { inter_token: far.clone(), ..sound() };
        assert!(refused(message(late)).starts_with("endpoints.inter_token: bucket 4294967295"));
        let wide = Some(LatencyHistogram { first_bucket: 127, counts: vec![1, 0] });
        let late = EndpointEvidence { tokens_per_second: wide, ..sound() };
        assert!(refused(message(late)).starts_with("endpoints.tokens_per_second: bucket 128"));
    }
}
