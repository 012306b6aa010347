//! Inference over gRPC: the same calls as over HTTP, through the same pipeline. Decides nothing: messages
//! become the JSON dialect on the way in, and the dialect becomes messages on the way out.

pub mod inference;

mod call;
mod caller;
mod catalog;
mod deadline;
mod decision;
mod events;
mod explain;
mod generation;
mod oversize;
mod served_by;
pub mod transcode;

use std::sync::Arc;

use http::{Request, Response};
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tonic_reflection::server::{Builder, Error};
use tower::{Service, ServiceExt};
use trunkline_proto::inference::v1::inference_service_server::InferenceServiceServer;

use crate::ingress::arriving::Arriving;
use crate::pipeline::Router;
use inference::Inference;
use oversize::in_our_words;

pub use call::refused;
pub use caller::{Caller, PeerAddress};
pub use catalog::{endpoint_message, model_message, signed, verdict_of_name};
pub use decision::{hex as digest_hex, message as decision_message};
pub use explain::{USUAL_PROMPT, decide, facts_message, strategy_name};
pub use generation::generation_message;

/// What the health service says of this router; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Health(HealthReporter);

impl Health {
    /// A handle that says "not serving" until told otherwise.
    pub async fn not_yet_serving() -> Self {
        let health = Self::default();
        health.tell(ServingStatus::NotServing).await;
        health
    }

    /// Calls are taken.
    pub async fn serving(&self) {
        self.tell(ServingStatus::Serving).await;
    }

    /// Calls are still answered, but whoever balances should send no new ones.
    pub async fn draining(&self) {
        self.tell(ServingStatus::NotServing).await;
    }

    async fn tell(&self, status: ServingStatus) {
        for name in ["", INFERENCE] {
            self.0.set_service_status(name, status).await;
        }
    }
}

/// The gRPC services of the public port: inference, health, reflection v1 and v1alpha; cheap to clone.
#[derive(Clone)]
pub struct Services {
    inference: InferenceServiceServer<Inference>,
    others: Routes,
    router: Arc<Router>,
}

impl Services {
    /// Sets them up. Messages that are longer, once decompressed, than a request body may be are refused.
    ///
    /// # Errors
    /// When the descriptors built into the program do not fit together.
    pub fn new(router: Arc<Router>, health: &Health) -> Result<Self, Error> {
        let inference = InferenceServiceServer::new(Inference::new(Arc::clone(&router)))
            .accept_compressed(CompressionEncoding::Gzip);
        let others = Routes::default()
            .add_service(HealthServer::new(HealthService::from_health_reporter(health.0.clone())))
            .add_service(described(&SERVED).build_v1()?)
            .add_service(described(&SERVED).build_v1alpha()?)
            .prepare();
        Ok(Self { inference, others, router })
    }

    /// Answers one request. Inference is asked directly: a router of paths would put each request, each answer
    /// and each of their frames through half a dozen boxes.
    pub async fn answer(self, request: Request<Arriving>) -> Response<Body> {
        let service = request.uri().path().strip_prefix('/').and_then(|path| path.split_once('/'));
        if service.is_some_and(|(name, _)| name == INFERENCE) {
            // The bound may be another one than that of the last call.
            let most = self.router.settings.load().body_bytes;
            let mut inference = self.inference.max_decoding_message_size(most);
            let Ok(answer) = Service::call(&mut inference, request).await;
            return in_our_words(answer, most);
        }
        let Ok(answer) = self.others.oneshot(request).await;
        answer
    }
}

/// The inference service's name.
const INFERENCE: &str = <InferenceServiceServer<Inference> as NamedService>::NAME;
/// What reflection tells of on the public port.
const SERVED: [&str; 2] = [INFERENCE, HEALTH];

/// The health service's name.
const HEALTH: &str = "grpc.health.v1.Health";

/// Reflection that advertises these services.
pub fn described(services: &[&str]) -> Builder<'static> {
    let builder = Builder::configure()
        .register_encoded_file_descriptor_set(trunkline_proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
    services.iter().fold(builder, |builder, name| builder.with_service_name(*name))
}
