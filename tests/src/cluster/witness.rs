//! A router that the test plays itself: it tells probers of calls that never were.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use trunkline_core::id::EndpointId;
use trunkline_proto::health::v1::health_evidence_service_client::HealthEvidenceServiceClient;
use trunkline_proto::health::v1::{
    EndpointEvidence, OutcomeCounts, ReportEvidenceRequest, ReportEvidenceResponse,
};
use trunkline_spec::observation::decode_prober_record;
use trunkline_store::Store;
use trunkline_store::keys::PROBERS;

use super::Cluster;

/// Batches on their way to one prober.
const AHEAD: usize = 4;

/// A router played by the test.
pub struct Witness {
    name: Arc<str>,
    sequence: u64,
    lines: Vec<Line>,
}

/// Its stream to one prober.
struct Line {
    batches: mpsc::Sender<ReportEvidenceRequest>,
    answers: Streaming<ReportEvidenceResponse>,
}

impl Witness {
    /// Opens a stream to every living prober.
    ///
    /// # Panics
    /// When one does not take it.
    pub async fn join(cluster: &Cluster, name: &str) -> Self {
        let listed = cluster.etcd.store().list(PROBERS).await.expect("etcd serves");
        let mut lines = Vec::new();
        for entry in listed.entries {
            let record = decode_prober_record(&entry.value).expect("a prober's record");
            let client = HealthEvidenceServiceClient::connect(record.address).await;
            let (batches, sent) = mpsc::channel(AHEAD);
            let mut client = client.expect("a prober that listens");
            let opened = client.report_evidence(ReceiverStream::new(sent)).await;
            lines.push(Line { batches, answers: opened.expect("a stream").into_inner() });
        }
        Self { name: Arc::from(name), sequence: 0, lines }
    }

    /// Tells every prober the same of all these endpoints, and waits until each has taken it.
    ///
    /// # Panics
    /// When one does not.
    pub async fn tell(&mut self, endpoints: &[EndpointId], counts: OutcomeCounts, in_a_row: u32) {
        self.sequence += 1;
        let told = |endpoint: &EndpointId| EndpointEvidence {
            endpoint_id: endpoint.to_string(),
            counts: Some(counts),
            consecutive_health_failures: in_a_row,
            urgent: true,
            ..EndpointEvidence::default()
        };
        let batch = ReportEvidenceRequest {
            router_id: self.name.to_string(),
            sequence: self.sequence,
            urgent: true,
            endpoints: endpoints.iter().map(told).collect(),
            ..ReportEvidenceRequest::default()
        };
        for line in &mut self.lines {
            line.batches.send(batch.clone()).await.expect("a stream that is open");
            loop {
                let answer = line.answers.message().await.expect("a stream that works");
                if answer.expect("an answer").acknowledged_sequence >= self.sequence {
                    break;
                }
            }
        }
    }
}
