//! One prober's part of what was collected: only what it watches, in batches that count from 1.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use trunkline_core::id::EndpointId;
use trunkline_proto::health::v1::ReportEvidenceRequest;

use super::board::{Collected, Urgency};
use crate::register::Identity;

/// A router that has nothing to tell says at least that it is there, this often: probers count who is there, and
/// miss those that are silent for three times as long.
pub(super) const SIGN_EVERY: Duration = Duration::from_secs(10);
/// Collections that wait to be told together; when a prober's pace is so slow that there are more, the oldest go.
const PENDING_MAX: usize = 64;

/// The line to one prober.
pub(super) struct Line {
    identity: Identity,
    sequence: u64,
    applied_revision: u64,
    /// What the prober wants to hear about; everything until it says so.
    interest: Option<Arc<BTreeSet<EndpointId>>>,
    pending: Vec<Arc<Collected>>,
}

impl Line {
    pub(super) fn new(identity: Identity) -> Self {
        let (sequence, applied_revision, pending) = (0, 0, Vec::new());
        Self { identity, sequence, applied_revision, interest: None, pending }
    }

    pub(super) fn want(&mut self, endpoints: Arc<BTreeSet<EndpointId>>) {
        self.interest = Some(endpoints);
    }

    /// Takes in what was collected, if the prober wants to hear any of it; answers how many it lost for want of
    /// room.
    pub(super) fn add(&mut self, collected: Arc<Collected>) -> u64 {
        self.applied_revision = collected.applied_revision;
        if !collected.endpoints.iter().any(|(id, _)| self.wants(*id)) {
            return 0;
        }
        let full = self.pending.len() >= PENDING_MAX;
        if full {
            self.pending.remove(0);
        }
        self.pending.push(collected);
        u64::from(full)
    }

    /// How soon the next batch should go; nothing when there is nothing to tell.
    pub(super) fn urgency(&self) -> Option<Urgency> {
        let urgent = |c: &Arc<Collected>| c.urgency == Urgency::Urgent;
        match self.pending.iter().any(urgent) {
            true => Some(Urgency::Urgent),
            false => (!self.pending.is_empty()).then_some(Urgency::Usual),
        }
    }

    /// The next batch, with everything that waits; a sign that this router is there when nothing does.
    pub(super) fn batch(&mut self) -> ReportEvidenceRequest {
        let urgent = self.urgency() == Some(Urgency::Urgent);
        let pending = std::mem::take(&mut self.pending);
        let all = pending.iter().flat_map(|collected| &collected.endpoints);
        let wanted = all.filter(|(id, _)| self.wants(*id));
        let endpoints = wanted.map(|(_, told)| told.clone()).collect();
        self.sequence += 1;
        ReportEvidenceRequest {
            router_id: self.identity.node.to_string(),
            zone: self.identity.zone.to_string(),
            sequence: self.sequence,
            applied_revision: i64::try_from(self.applied_revision).unwrap_or(i64::MAX),
            urgent,
            endpoints,
        }
    }

    fn wants(&self, endpoint: EndpointId) -> bool {
        self.interest.as_ref().is_none_or(|wanted| wanted.contains(&endpoint))
    }
}

#[cfg(test)]
mod tests {
    use trunkline_core::id::Zone;
    use trunkline_proto::health::v1::EndpointEvidence;

    use super::*;

    fn line() -> Line {
        let (node, zone) = (Arc::from("r1"), Zone::new("a"));
        Line::new(Identity { node, address: String::new(), admin_url: String::new(), zone })
    }

    fn id(text: &str) -> EndpointId {
        EndpointId::parse(text).unwrap()
    }

    fn collected(urgency: Urgency, ids: &[&str]) -> Arc<Collected> {
        let told = |text: &&str| {
            let endpoint_id = (*text).to_owned();
            (id(text), EndpointEvidence { endpoint_id, ..EndpointEvidence::default() })
        };
        let endpoints = ids.iter().map(told).collect();
        Arc::new(Collected { urgency, applied_revision: 7, endpoints })
    }

    const A: &str = "aaaaaaaaaa";
    const B: &str = "bbbbbbbbbb";

    fn told(line: &mut Line) -> Vec<String> {
        line.batch().endpoints.into_iter().map(|e| e.endpoint_id).collect()
    }

    #[test]
    fn a_prober_hears_of_what_it_watches_alone() {
        let mut line = line();
        line.add(collected(Urgency::Usual, &[A, B]));
        assert_eq!(told(&mut line), [A, B], "everything, until it says what it wants");
        line.want(Arc::new(BTreeSet::from([id(A)])));
        line.add(collected(Urgency::Usual, &[B]));
        assert_eq!(line.urgency(), None);
        line.add(collected(Urgency::Usual, &[A, B]));
        assert_eq!(line.urgency(), Some(Urgency::Usual));
        assert_eq!(told(&mut line), [A]);
    }

    #[test]
    fn what_waits_goes_with_what_is_urgent_in_its_order() {
        let mut line = line();
        line.add(collected(Urgency::Usual, &[A]));
        line.add(collected(Urgency::Urgent, &[B]));
        assert_eq!(line.urgency(), Some(Urgency::Urgent));
        let batch = line.batch();
        assert!(batch.urgent && batch.endpoints.len() == 2);
        assert_eq!((batch.sequence, batch.applied_revision, line.batch().sequence), (1, 7, 2));
    }

    #[test]
    fn when_too_much_waits_the_oldest_is_lost() {
        let mut line = line();
        line.add(collected(Urgency::Usual, &[A]));
        for _ in 1..PENDING_MAX {
            assert_eq!(line.add(collected(Urgency::Usual, &[B])), 0);
        }
        assert_eq!(line.add(collected(Urgency::Usual, &[B])), 1);
        let told = told(&mut line);
        assert!(told.len() == PENDING_MAX && !told.iter().any(|id| id == A));
    }
}
