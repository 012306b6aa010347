//! The link to one prober in another process: a stream of batches, opened again and again until the prober is gone
//! from the store. What was collected while there was no stream is lost: it would be stale.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity as Certified};
use trunkline_core::draw::{Rng, affinity_key};
use trunkline_core::id::EndpointId;
use trunkline_proto::health::v1::health_evidence_service_client::HealthEvidenceServiceClient;
use trunkline_proto::health::v1::{ReportEvidenceRequest, ReportEvidenceResponse};
use trunkline_runtime::BoxError;
use trunkline_runtime::tls::ClientTls;

use super::board::{Collected, Urgency};
use super::line::{Line, SIGN_EVERY};
use crate::pipeline::Router;
use crate::register::Identity;
use crate::way::{self, Refused};

/// A prober that takes longer to accept a connection, or to open the stream, does not answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(3);
/// How often a silent connection is asked whether it is there, and how long it may take to say so.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(3));
/// The first wait before another try, at most; doubles …
const BACK_OFF_MIN_MS: u64 = 100;
/// … up to this.
const BACK_OFF_MAX_MS: u64 = 5_000;
/// Batches handed to the connection ahead of the network.
const AHEAD: usize = 4;
/// Bounds of the pace that a prober may name.
const PACE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(60));
/// The pace until it names one.
const PACE_DEFAULT: Duration = Duration::from_secs(1);

/// The link to one prober.
pub(super) struct Link {
    pub(super) router: Arc<Router>,
    pub(super) identity: Identity,
    pub(super) prober: String,
    pub(super) url: String,
    pub(super) tls: Option<Arc<ClientTls>>,
}

impl Link {
    /// Keeps the stream up for as long as somebody polls. A renewed certificate opens it anew.
    pub(super) async fn run(self) {
        let seed = format!("{}/{}", self.identity.node, self.prober);
        let mut rng = Rng::new(affinity_key(seed.as_bytes()));
        let (mut back_off_ms, mut told) = (BACK_OFF_MIN_MS, None);
        loop {
            let collected = self.router.evidence.read();
            let began = Instant::now();
            let ended = tokio::select! {
                // First, so that it knows the identity before the stream uses it.
                biased;
                () = self.renewed() => Ok(()),
                ended = self.stream(collected) => ended,
            };
            if let Err(error) = ended {
                self.router.evidence.telemetry.stream_failed();
                self.tell(error.as_ref(), &mut told);
            }
            if began.elapsed() > Duration::from_millis(BACK_OFF_MAX_MS) {
                back_off_ms = BACK_OFF_MIN_MS;
            }
            sleep(Duration::from_millis(rng.next() % (back_off_ms + 1))).await;
            back_off_ms = (2 * back_off_ms).min(BACK_OFF_MAX_MS);
        }
    }

    async fn stream(&self, collected: broadcast::Receiver<Arc<Collected>>) -> Result<(), BoxError> {
        let channel = timeout(ANSWER_DEADLINE, way::connect(self.endpoint()?)).await??;
        let (batches, sent) = mpsc::channel(AHEAD);
        let mut client = HealthEvidenceServiceClient::new(channel);
        let opened = client.report_evidence(ReceiverStream::new(sent));
        let answers = timeout(ANSWER_DEADLINE, opened).await??.into_inner();
        let _up = self.router.evidence.telemetry.stream();
        tracing::info!(prober = self.prober, url = self.url, "reporting live traffic");
        let line = Line::new(self.identity.clone());
        let (pace, due, sign_at) = (PACE_DEFAULT, Instant::now(), Instant::now());
        Flow { link: self, line, answers, pace, due, sign_at }.run(collected, batches).await
    }

    /// Probers come and go, which needs no words in the log; a certificate or an address that is wrong stays so until
    /// somebody reads of it.
    fn tell(&self, error: &(dyn Error + 'static), told: &mut Option<String>) {
        let (prober, url) = (&self.prober, &self.url);
        let refused = error.downcast_ref::<Refused>().map(ToString::to_string);
        match refused.or_else(|| self.tls.as_ref()?.files().explain(error)) {
            Some(error) if told.as_ref() != Some(&error) => {
                tracing::warn!(prober, url, error, "the prober cannot be told what calls came to");
                *told = Some(error);
            }
            _ => {
                tracing::debug!(prober, url, %error, "the stream of evidence to a prober failed");
            }
        }
    }

    /// Waits until the identity that is in force when this is called is no longer.
    async fn renewed(&self) {
        match &self.tls {
            Some(tls) => tls.changed(&tls.pem()).await,
            None => std::future::pending().await,
        }
    }

    fn endpoint(&self) -> Result<Endpoint, BoxError> {
        let (every, patience) = KEEP_ALIVE;
        let endpoint = Endpoint::from_shared(self.url.clone())?
            .connect_timeout(ANSWER_DEADLINE)
            .http2_keep_alive_interval(every)
            .keep_alive_timeout(patience)
            .keep_alive_while_idle(true);
        if !self.url.starts_with("https://") {
            return Ok(endpoint);
        }
        let tls = self.tls.as_ref().ok_or("it wants TLS: name `evidence_tls` with its `ca`")?;
        let pem = tls.pem();
        let mut config = ClientTlsConfig::new();
        if let Some(ca) = &pem.ca {
            config = config.ca_certificate(Certificate::from_pem(ca));
        }
        if let Some((cert, key)) = &pem.identity {
            config = config.identity(Certified::from_pem(cert, key));
        }
        Ok(endpoint.tls_config(config)?)
    }
}

/// A stream that is up.
struct Flow<'a> {
    link: &'a Link,
    line: Line,
    answers: Streaming<ReportEvidenceResponse>,
    pace: Duration,
    /// Before this, only what is urgent is sent.
    due: Instant,
    /// At this time something is sent in any case.
    sign_at: Instant,
}

impl Flow<'_> {
    async fn run(
        mut self,
        mut collected: broadcast::Receiver<Arc<Collected>>,
        batches: mpsc::Sender<ReportEvidenceRequest>,
    ) -> Result<(), BoxError> {
        let telemetry = &self.link.router.evidence.telemetry;
        loop {
            let (send_at, urgency) = self.next();
            tokio::select! {
                told = collected.recv() => match told {
                    Ok(told) => telemetry.dropped(self.line.add(told)),
                    Err(RecvError::Lagged(missed)) => telemetry.dropped(missed),
                    Err(RecvError::Closed) => return Ok(()),
                },
                answer = self.answers.message() => {
                    let answer = answer?.ok_or("the prober ended the stream")?;
                    self.follow(answer);
                }
                // A prober that does not read keeps its batches waiting here, and the oldest go.
                room = ready_at(send_at, &batches) => {
                    room?.send(self.line.batch());
                    telemetry.sent(urgency);
                    self.due = Instant::now() + self.pace;
                    self.sign_at = Instant::now() + SIGN_EVERY;
                }
            }
        }
    }

    /// When the next batch goes, and how urgent it is.
    fn next(&self) -> (Instant, Urgency) {
        match self.line.urgency() {
            Some(Urgency::Urgent) => (Instant::now(), Urgency::Urgent),
            Some(Urgency::Usual) => (self.due, Urgency::Usual),
            None => (self.sign_at, Urgency::Usual),
        }
    }

    fn follow(&mut self, answer: ReportEvidenceResponse) {
        if let Some(wanted) = answer.interest {
            let ids = wanted.endpoint_ids.iter().filter_map(|id| EndpointId::parse(id));
            self.line.want(Arc::new(ids.collect::<BTreeSet<_>>()));
        }
        if let Some(pace) = answer.pace.and_then(|pace| Duration::try_from(pace).ok()) {
            let (least, most) = PACE;
            self.pace = pace.clamp(least, most);
        }
    }
}

async fn ready_at<T>(at: Instant, to: &mpsc::Sender<T>) -> Result<mpsc::Permit<'_, T>, BoxError> {
    sleep_until(at).await;
    to.reserve().await.map_err(|_| BoxError::from("the connection is gone"))
}
