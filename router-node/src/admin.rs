//! The admin API: operating a cluster through any of its routers. Reads come from the view that calls are
//! served from; writes go to the store, and act when the view follows. It serves no calls.

pub mod access;
pub mod telemetry;

pub mod audit;
mod canary;
mod catalog;
mod confirm;
mod dataflow;
mod diagnosis;
mod documents;
mod drains;
mod edit;
mod explain;
mod impact;
pub mod keeper;
mod keys;
mod page;
mod peers;
mod plan_impact;
mod refusal;
mod routers;
mod scope;
mod state;
mod status;
mod watch;
mod weights;
mod withdraw;

use std::sync::Arc;

use tokio::sync::Semaphore;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use trunkline_proto::admin::v1::admin_service_server::{AdminService, AdminServiceServer};
use trunkline_proto::admin::v1::{
    AbortCanaryRequest, AbortCanaryResponse, GetCanaryRequest, GetCanaryResponse,
    PromoteCanaryRequest, PromoteCanaryResponse, StartCanaryRequest, StartCanaryResponse,
};
use trunkline_proto::admin::v1::{
    ApplyDocumentRequest, ApplyDocumentResponse, ConfirmCatalogRequest, ConfirmCatalogResponse,
    DiagnoseRequest, DiagnoseResponse, DrainRequest, DrainResponse, ExplainRequest,
    ExplainResponse, ExplainRouteRequest, ExplainRouteResponse, GetDataflowRequest,
    GetDataflowResponse, GetDocumentRequest, GetDocumentResponse, GetStatusRequest,
    GetStatusResponse, ListDocumentVersionsRequest, ListDocumentVersionsResponse,
    ListDrainsRequest, ListDrainsResponse, ListEndpointsRequest, ListEndpointsResponse,
    ListModelsRequest, ListModelsResponse, ListProvidersRequest, ListProvidersResponse,
    PlanDocumentRequest, PlanDocumentResponse, PlanImpactRequest, PlanImpactResponse,
    ResetWeightRequest, ResetWeightResponse, SetWeightRequest, SetWeightResponse, UndrainRequest,
    UndrainResponse, ValidateDocumentRequest, ValidateDocumentResponse, WatchStatusRequest,
};
use trunkline_proto::admin::v1::{
    CreateKeyRequest, CreateKeyResponse, ListKeysRequest, ListKeysResponse, RestoreModelRequest,
    RestoreModelResponse, RevokeKeyRequest, RevokeKeyResponse, WithdrawModelRequest,
    WithdrawModelResponse,
};
use trunkline_runtime::Shutdown;
use trunkline_store::port::Store;

pub(crate) use keys::NewKey;
pub use peers::PeerTls;

use crate::auth::KeyHolder;
use crate::ingress::grpc::{described, signed};
use crate::pipeline::Router;
use crate::register::Identity;
use crate::view::View;
use access::{Elsewhere, Entrance, Gate};
use audit::Audit;

/// The admin API of one router.
#[derive(Clone)]
pub struct Admin {
    router: Arc<Router>,
    store: Arc<dyn Store>,
    identity: Identity,
    /// How other routers' admin APIs are spoken to.
    peer_tls: PeerTls,
    /// Thrown when this router leaves: nobody may watch it for longer.
    leaving: Shutdown,
    /// One edit at a time through this router: they would only undo each other's reading.
    edits: Arc<Semaphore>,
}

impl Admin {
    /// The admin API of the router of this identity.
    pub fn new(router: Arc<Router>, store: Arc<dyn Store>, identity: Identity) -> Self {
        let (leaving, edits) = (Shutdown::new(), Arc::new(Semaphore::new(1)));
        Self { router, store, identity, peer_tls: PeerTls::default(), leaving, edits }
    }

    /// Lets go of those who watch once this switch is thrown.
    pub fn until(self, leaving: Shutdown) -> Self {
        Self { leaving, ..self }
    }

    /// Speaks so to other routers.
    pub fn with_peer_tls(self, peer_tls: PeerTls) -> Self {
        Self { peer_tls, ..self }
    }

    /// The service behind its entrance, and reflection that describes it: the contract is no secret.
    pub fn routes(self, audit: Arc<Audit>) -> Routes {
        let name = <AdminServiceServer<Self> as NamedService>::NAME;
        let entrance = Entrance::new(Arc::clone(&self.router), audit);
        let elsewhere = Elsewhere(Arc::clone(&entrance));
        let routes = Routes::new(Gate::new(AdminServiceServer::new(self), entrance));
        let routes = Routes::from(routes.into_axum_router().fallback_service(elsewhere));
        let reflection = described(&[name]).build_v1();
        match reflection.and_then(|v1| Ok((v1, described(&[name]).build_v1alpha()?))) {
            Ok((v1, v1alpha)) => routes.add_service(v1).add_service(v1alpha).prepare(),
            Err(error) => {
                tracing::error!(%error, "the admin API cannot describe itself");
                routes.prepare()
            }
        }
    }

    /// Who asks, as the entrance let them in, and the view to answer from.
    fn admit<T>(&self, request: Request<T>) -> Result<(Admitted, T), Status> {
        let (_, mut extensions, message) = request.into_parts();
        let admitted = extensions.remove::<Admitted>().ok_or_else(refusal::not_admitted)?;
        Ok((admitted, message))
    }
}

/// Somebody whose role allows the call.
#[derive(Clone)]
struct Admitted {
    view: Arc<View>,
    holder: Arc<KeyHolder>,
    name: String,
}

impl Admitted {
    /// The name in history entries: `key/ID` or `cert/NAME`.
    fn name(&self) -> String {
        self.name.clone()
    }

    fn revision(&self) -> i64 {
        signed(self.view.applied_revision())
    }
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn get_status(
        &self,
        request: Request<GetStatusRequest>,
    ) -> Result<Response<GetStatusResponse>, Status> {
        let (by, asked) = self.admit(request)?;
        status::answer(self, &by, &asked).await.map(Response::new)
    }

    type WatchStatusStream = watch::Statuses;

    async fn watch_status(
        &self,
        request: Request<WatchStatusRequest>,
    ) -> Result<Response<watch::Statuses>, Status> {
        watch::status(self, request).map(Response::new)
    }

    async fn list_providers(
        &self,
        request: Request<ListProvidersRequest>,
    ) -> Result<Response<ListProvidersResponse>, Status> {
        let (by, asked) = self.admit(request)?;
        Ok(Response::new(catalog::providers(&by, &asked)))
    }

    async fn list_endpoints(
        &self,
        request: Request<ListEndpointsRequest>,
    ) -> Result<Response<ListEndpointsResponse>, Status> {
        let (by, asked) = self.admit(request)?;
        Ok(Response::new(catalog::endpoints(self, &by, &asked)))
    }

    async fn list_models(
        &self,
        request: Request<ListModelsRequest>,
    ) -> Result<Response<ListModelsResponse>, Status> {
        let (by, asked) = self.admit(request)?;
        Ok(Response::new(catalog::models(&by, &asked)))
    }

    async fn confirm_catalog(
        &self,
        request: Request<ConfirmCatalogRequest>,
    ) -> Result<Response<ConfirmCatalogResponse>, Status> {
        let (by, asked) = self.admit(request)?;
        confirm::catalog(self, &by, asked).await.map(Response::new)
    }

    async fn set_weight(
        &self,
        request: Request<SetWeightRequest>,
    ) -> Result<Response<SetWeightResponse>, Status> {
        let (by, asked) = self.admit(request)?;
        weights::set(self, &by, asked).await.map(Response::new)
    }

    async fn reset_weight(
        &self,
        request: Request<ResetWeightRequest>,
    ) -> Result<Response<ResetWeightResponse>, Status> {
        let (by, asked) = self.admit(request)?;
        weights::reset(self, &by, asked).await.map(Response::new)
    }

    async fn drain(
        &self,
        request: Request<DrainRequest>,
    ) -> Result<Response<DrainResponse>, Status> {
        let (by, asked) = self.admit(request)?;
        drains::drain(self, &by, asked).await.map(Response::new)
    }

    async fn undrain(
        &self,
        request: Request<UndrainRequest>,
    ) -> Result<Response<UndrainResponse>, Status> {
        let (by, asked) = self.admit(request)?;
        drains::undrain(self, &by, asked).await.map(Response::new)
    }

    async fn list_drains(
        &self,
        request: Request<ListDrainsRequest>,
    ) -> Result<Response<ListDrainsResponse>, Status> {
        let (by, asked) = self.admit(request)?;
        drains::list(self, &by, &asked).await.map(Response::new)
    }

    async fn explain(
        &self,
        request: Request<ExplainRequest>,
    ) -> Result<Response<ExplainResponse>, Status> {
        let credential = peers::credential(&request);
        let (by, asked) = self.admit(request)?;
        explain::call(self, &by, &asked, credential).await.map(Response::new)
    }

    async fn explain_route(
        &self,
        request: Request<ExplainRouteRequest>,
    ) -> Result<Response<ExplainRouteResponse>, Status> {
        let (by, asked) = self.admit(request)?;
        explain::route(self, &by, &asked).map(Response::new)
    }

    async fn plan_impact(
        &self,
        request: Request<PlanImpactRequest>,
    ) -> Result<Response<PlanImpactResponse>, Status> {
        let credential = peers::credential(&request);
        let (by, asked) = self.admit(request)?;
        plan_impact::answer(self, &by, asked, credential).await.map(Response::new)
    }

    async fn get_document(
        &self,
        request: Request<GetDocumentRequest>,
    ) -> Result<Response<GetDocumentResponse>, Status> {
        let (_, asked) = self.admit(request)?;
        documents::get(self, &asked).await.map(Response::new)
    }

    async fn list_document_versions(
        &self,
        request: Request<ListDocumentVersionsRequest>,
    ) -> Result<Response<ListDocumentVersionsResponse>, Status> {
        let (_, asked) = self.admit(request)?;
        documents::list(self, &asked).await.map(Response::new)
    }

    async fn validate_document(
        &self,
        request: Request<ValidateDocumentRequest>,
    ) -> Result<Response<ValidateDocumentResponse>, Status> {
        let (_, asked) = self.admit(request)?;
        documents::validate(self, &asked).await.map(Response::new)
    }

    async fn plan_document(
        &self,
        request: Request<PlanDocumentRequest>,
    ) -> Result<Response<PlanDocumentResponse>, Status> {
        let (by, asked) = self.admit(request)?;
        documents::plan(self, &by, asked).await.map(Response::new)
    }

    async fn apply_document(
        &self,
        request: Request<ApplyDocumentRequest>,
    ) -> Result<Response<ApplyDocumentResponse>, Status> {
        let (by, asked) = self.admit(request)?;
        documents::apply(self, &by, asked).await.map(Response::new)
    }

    async fn start_canary(
        &self,
        request: Request<StartCanaryRequest>,
    ) -> Result<Response<StartCanaryResponse>, Status> {
        let (by, asked) = self.admit(request)?;
        canary::start(self, &by, asked).await.map(Response::new)
    }

    async fn get_canary(
        &self,
        request: Request<GetCanaryRequest>,
    ) -> Result<Response<GetCanaryResponse>, Status> {
        let credential = peers::credential(&request);
        let (by, asked) = self.admit(request)?;
        Ok(Response::new(canary::show(self, &by, asked, credential).await))
    }

    async fn promote_canary(
        &self,
        request: Request<PromoteCanaryRequest>,
    ) -> Result<Response<PromoteCanaryResponse>, Status> {
        let (by, asked) = self.admit(request)?;
        canary::promote(self, &by, asked).await.map(Response::new)
    }

    async fn abort_canary(
        &self,
        request: Request<AbortCanaryRequest>,
    ) -> Result<Response<AbortCanaryResponse>, Status> {
        let (by, asked) = self.admit(request)?;
        canary::abort(self, &by, asked).await.map(Response::new)
    }

    async fn get_dataflow(
        &self,
        request: Request<GetDataflowRequest>,
    ) -> Result<Response<GetDataflowResponse>, Status> {
        let (by, asked) = self.admit(request)?;
        dataflow::current(&by, &asked).map(Response::new)
    }

    async fn diagnose(
        &self,
        request: Request<DiagnoseRequest>,
    ) -> Result<Response<DiagnoseResponse>, Status> {
        let (by, DiagnoseRequest {}) = self.admit(request)?;
        Ok(Response::new(diagnosis::answer(self, &by).await))
    }

    async fn create_key(
        &self,
        request: Request<CreateKeyRequest>,
    ) -> Result<Response<CreateKeyResponse>, Status> {
        let (by, asked) = self.admit(request)?;
        keys::create(self, &by, asked).await.map(Response::new)
    }

    async fn list_keys(
        &self,
        request: Request<ListKeysRequest>,
    ) -> Result<Response<ListKeysResponse>, Status> {
        let (_, asked) = self.admit(request)?;
        keys::list(self, &asked).await.map(Response::new)
    }

    async fn revoke_key(
        &self,
        request: Request<RevokeKeyRequest>,
    ) -> Result<Response<RevokeKeyResponse>, Status> {
        let (by, asked) = self.admit(request)?;
        keys::revoke(self, &by, asked).await.map(Response::new)
    }

    async fn withdraw_model(
        &self,
        request: Request<WithdrawModelRequest>,
    ) -> Result<Response<WithdrawModelResponse>, Status> {
        let (by, asked) = self.admit(request)?;
        withdraw::withdraw(self, &by, asked).await.map(Response::new)
    }

    async fn restore_model(
        &self,
        request: Request<RestoreModelRequest>,
    ) -> Result<Response<RestoreModelResponse>, Status> {
        let (by, asked) = self.admit(request)?;
        withdraw::restore(self, &by, asked).await.map(Response::new)
    }
}
