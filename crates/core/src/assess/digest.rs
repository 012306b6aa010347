//! The table's digest: what two routers compare to know that they agree.

use crate::assess::{Draft, Limit, Row};
use crate::score::Bucket;
use crate::snapshot::Verdict;

/// Changes whenever the meaning of the bytes below does, so that routers of different versions are seen to
/// differ because of that and not because of their data.
const LAYOUT: &[u8] = b"trunkline table 1";

/// BLAKE3 over every row, ordered by (model, id), before anything depends on a router's zone.
pub(super) fn of(drafts: &[Draft<'_>], disruption: bool) -> [u8; 32] {
    let mut bytes = Bytes(LAYOUT.to_vec());
    bytes.number(u32::from(disruption));
    for draft in drafts {
        bytes.text(draft.endpoint.id.as_str());
        bytes.row(&draft.row);
    }
    *blake3::hash(&bytes.0).as_bytes()
}

/// Little-endian numbers and length-prefixed texts, one after the other: no two tables give the same bytes.
struct Bytes(Vec<u8>);

impl Bytes {
    fn number(&mut self, number: u32) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn maybe(&mut self, number: Option<u32>) {
        self.number(u32::from(number.is_some()));
        self.number(number.unwrap_or(0));
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u32);
        self.0.extend_from_slice(text.as_bytes());
    }

    fn row(&mut self, row: &Row) {
        self.number(verdict(row.verdict));
        self.number(verdict(row.agreed));
        self.maybe(row.limited.map(limit));
        self.number(row.down_zones.len() as u32);
        row.down_zones.iter().for_each(|zone| self.text(zone.as_str()));
        self.number(u32::from(row.drained));
        self.number(u32::from(row.operator_weight));
        self.number(row.weight.0);
        self.heard_and_scores(row);
        let f = &row.factors;
        let factors = [f.health, f.ramp, f.capacity, f.price, f.latency];
        factors.into_iter().for_each(|factor| self.number(factor));
    }

    fn heard_and_scores(&mut self, row: &Row) {
        let h = &row.heard;
        let votes = [h.assigned, h.voices, h.down, h.down_active_only, h.degraded, h.config];
        votes.into_iter().for_each(|count| self.number(count));
        self.number(h.outage);
        let s = &row.scores;
        self.number(s.success_permille);
        self.number(s.ramp_permille);
        self.maybe(s.headroom_permille);
        self.maybe(s.learned_cap_permille);
        let times = [s.ttft_p50, s.ttft_p90, s.ttft_p99, s.inter_token_p50, s.inter_token_p90];
        times.into_iter().for_each(|time| self.bucket(time));
        self.bucket(s.tokens_per_second_p50);
    }

    fn bucket(&mut self, bucket: Option<Bucket>) {
        self.maybe(bucket.map(|b| u32::from(b.index())));
    }
}

const fn verdict(verdict: Verdict) -> u32 {
    match verdict {
        Verdict::Unknown => 0,
        Verdict::Up => 1,
        Verdict::Degraded => 2,
        Verdict::AdvisoryDown => 3,
        Verdict::ZoneDown => 4,
        Verdict::Down => 5,
        Verdict::ConfigError => 6,
    }
}

const fn limit(limit: Limit) -> u32 {
    match limit {
        Limit::Share => 0,
        Limit::OnlyOne => 1,
        Limit::Disruption => 2,
    }
}
