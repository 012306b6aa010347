//! The admin API: operating a cluster through any of its routers. Reads come from the view that calls are
//! served from; writes go to the store, and act when the view follows. It serves no calls.

mod catalog;
mod confirm;
mod diagnosis;
mod drains;
mod edit;
mod impact;
mod page;
mod policy;
mod refusal;
mod routers;
mod scope;
mod state;
mod status;
mod weights;

use std::sync::Arc;

use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use trunkline_proto::admin::v1::admin_service_server::{AdminService, AdminServiceServer};
use trunkline_proto::admin::v1::{
    ConfirmCatalogRequest, ConfirmCatalogResponse, DiagnoseRequest, DiagnoseResponse, DrainRequest,
    DrainResponse, ExplainRequest, ExplainResponse, GetPolicyRequest, GetPolicyResponse,
    GetStatusRequest, GetStatusResponse, ListDrainsRequest, ListDrainsResponse,
    ListEndpointsRequest, ListEndpointsResponse, ListModelsRequest, ListModelsResponse,
    ListProvidersRequest, ListProvidersResponse, ResetWeightRequest, ResetWeightResponse,
    SetWeightRequest, SetWeightResponse, UndrainRequest, UndrainResponse,
};
use trunkline_store::port::Store;

use crate::auth::KeyHolder;
use crate::ingress::grpc::{Caller, described, generation_message, signed};
use crate::pipeline::Router;
use crate::register::Identity;
use crate::view::View;

/// The admin API of one router.
#[derive(Clone)]
pub struct Admin {
    router: Arc<Router>,
    store: Arc<dyn Store>,
    identity: Identity,
}

impl Admin {
    /// The admin API of the router of this identity.
    pub fn new(router: Arc<Router>, store: Arc<dyn Store>, identity: Identity) -> Self {
        Self { router, store, identity }
    }

    /// The service, and reflection that describes it.
    pub fn routes(self) -> Routes {
        let name = <AdminServiceServer<Self> as NamedService>::NAME;
        let routes = Routes::new(AdminServiceServer::new(self));
        let reflection = described(&[name]).build_v1();
        match reflection.and_then(|v1| Ok((v1, described(&[name]).build_v1alpha()?))) {
            Ok((v1, v1alpha)) => routes.add_service(v1).add_service(v1alpha).prepare(),
            Err(error) => {
                tracing::error!(%error, "the admin API cannot describe itself");
                routes.prepare()
            }
        }
    }

    /// Who asks, and the view to answer from.
    fn admit<T>(&self, request: Request<T>) -> Result<(Admitted, T), Status> {
        let (metadata, _, message) = request.into_parts();
        let view = self.router.view.load_full();
        let caller = Caller::new(metadata);
        let holder = view.keyring.authenticate(caller.credential());
        let holder = holder.map_err(|r| refusal::rejected(&r))?;
        Ok((Admitted { view, holder }, message))
    }
}

/// Somebody with a valid key.
struct Admitted {
    view: Arc<View>,
    holder: Arc<KeyHolder>,
}

impl Admitted {
    /// The name in history entries.
    fn name(&self) -> String {
        format!("key/{}", self.holder.tenant.key)
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

    async fn get_policy(
        &self,
        request: Request<GetPolicyRequest>,
    ) -> Result<Response<GetPolicyResponse>, Status> {
        let (_, asked) = self.admit(request)?;
        policy::current(self, &asked.version).await.map(Response::new)
    }

    async fn explain(
        &self,
        request: Request<ExplainRequest>,
    ) -> Result<Response<ExplainResponse>, Status> {
        let (by, asked) = self.admit(request)?;
        self.router.ledger.written().await;
        let found = self.router.generations.find(&asked.generation_id);
        let found = found.ok_or_else(|| refusal::unknown_generation(&asked.generation_id))?;
        // A record keeps no facts of its call, so the draw is not repeated here.
        Ok(Response::new(ExplainResponse {
            revision: by.revision(),
            generation: Some(generation_message(&found)),
            replayed: None,
            identical: false,
        }))
    }

    async fn diagnose(
        &self,
        request: Request<DiagnoseRequest>,
    ) -> Result<Response<DiagnoseResponse>, Status> {
        let (by, DiagnoseRequest {}) = self.admit(request)?;
        Ok(Response::new(diagnosis::answer(self, &by).await))
    }
}
