//! The port where routers bring what live traffic saw. It checks and passes on; what follows is up to the cycle.

use std::pin::Pin;

use futures_util::Stream;
use futures_util::stream::unfold;
use prost_types::Duration;
use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming};
use trunkline_core::draw::affinity_key;
use trunkline_core::id::RouterId;
use trunkline_proto::health::v1::health_evidence_service_server::{
    HealthEvidenceService, HealthEvidenceServiceServer,
};
use trunkline_proto::health::v1::{
    EvidenceInterest, ReportEvidenceRequest, ReportEvidenceResponse,
};
use trunkline_runtime::Shutdown;
use trunkline_runtime::server::{Peer, ServerLimits};
use trunkline_runtime::tls::certificate;

use crate::evidence::{EvidenceSender, Interest, read};
use crate::telemetry::Telemetry;

/// The longest batch, in bytes: 2,000 endpoints with full histograms and room to spare.
const MESSAGE_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Connections at once: several for each router of the largest cluster that is tested.
const CONNECTIONS_MAX: usize = 256;
/// Streams at once on one connection: a router opens one, and perhaps a new one before the old one has ended.
const STREAMS_MAX: u32 = 8;
/// The shortest time between two batches that are not urgent, in seconds.
const PACE_S: i64 = 1;

/// What one connection is served by.
#[derive(Clone)]
pub struct Intake {
    sender: EvidenceSender,
    telemetry: Telemetry,
    shutdown: Shutdown,
    /// Who is at the other end, where a certificate proves it.
    proven: Option<RouterId>,
}

impl Intake {
    /// An intake that knows nobody yet.
    pub fn new(sender: EvidenceSender, telemetry: Telemetry, shutdown: Shutdown) -> Self {
        Self { sender, telemetry, shutdown, proven: None }
    }

    /// The service of a connection from `peer`. A router that shows a certificate is known by it, whatever
    /// names it gives itself: one certificate is one witness.
    pub fn of(&self, peer: &Peer) -> HealthEvidenceServiceServer<Self> {
        let proven = peer.certificate.as_ref().map(|certificate| witness(certificate));
        HealthEvidenceServiceServer::new(Self { proven, ..self.clone() })
            .max_decoding_message_size(MESSAGE_MAX_BYTES)
    }
}

/// The witness that a certificate stands for: by its common name, so that a renewed one is the same witness and not
/// a second; by all of it when it has no name.
fn witness(certificate: &[u8]) -> RouterId {
    let name = certificate::names(certificate).pop();
    let proof = affinity_key(name.as_ref().map_or(certificate, |name| name.as_bytes()));
    RouterId::new(&format!("certificate-{proof:016x}"))
}

/// The bounds of the port.
pub fn limits() -> ServerLimits {
    ServerLimits {
        max_connections: CONNECTIONS_MAX,
        max_concurrent_streams: STREAMS_MAX,
        // A router keeps one stream for as long as both live.
        max_connection_age: None,
        ..ServerLimits::default()
    }
}

#[tonic::async_trait]
impl HealthEvidenceService for Intake {
    type ReportEvidenceStream =
        Pin<Box<dyn Stream<Item = Result<ReportEvidenceResponse, Status>> + Send>>;

    async fn report_evidence(
        &self,
        request: Request<Streaming<ReportEvidenceRequest>>,
    ) -> Result<Response<Self::ReportEvidenceStream>, Status> {
        let mut interest = self.sender.interest();
        // What is known already is told at once.
        interest.mark_changed();
        let reading = Reading {
            intake: self.clone(),
            batches: request.into_inner(),
            interest,
            acknowledged: 0,
            ended: false,
        };
        let answers = unfold(reading, |mut reading| async move {
            let answer = reading.next().await?;
            reading.ended = answer.is_err();
            Some((answer, reading))
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

/// One stream of batches.
struct Reading {
    intake: Intake,
    batches: Streaming<ReportEvidenceRequest>,
    interest: watch::Receiver<Interest>,
    acknowledged: u64,
    ended: bool,
}

impl Reading {
    /// Goes on until there is something to answer; `None` at the end.
    async fn next(&mut self) -> Option<Result<ReportEvidenceResponse, Status>> {
        if self.ended {
            return None;
        }
        tokio::select! {
            batch = self.batches.message() => match batch {
                Ok(batch) => Some(self.take(batch?)),
                // The router went away, or the connection did: there is nobody to answer.
                Err(_) => None,
            },
            changed = self.interest.changed() => match changed {
                Ok(()) => Some(Ok(self.wanted())),
                Err(_) => None,
            },
            () = self.intake.shutdown.wait() => None,
        }
    }

    fn take(&mut self, batch: ReportEvidenceRequest) -> Result<ReportEvidenceResponse, Status> {
        let sequence = batch.sequence;
        let read = read(batch, self.intake.proven.as_ref())
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        // A batch that comes twice is counted once.
        if sequence > self.acknowledged {
            self.acknowledged = sequence;
            if self.intake.sender.put(read).is_err() {
                self.intake.telemetry.evidence_lost();
            }
        }
        Ok(ReportEvidenceResponse {
            acknowledged_sequence: self.acknowledged,
            ..ReportEvidenceResponse::default()
        })
    }

    fn wanted(&mut self) -> ReportEvidenceResponse {
        let endpoints = self.interest.borrow_and_update().clone();
        let interest = endpoints.map(|endpoints| EvidenceInterest {
            endpoint_ids: endpoints.iter().map(ToString::to_string).collect(),
        });
        ReportEvidenceResponse {
            acknowledged_sequence: self.acknowledged,
            interest,
            pace: Some(Duration { seconds: PACE_S, nanos: 0 }),
        }
    }
}
