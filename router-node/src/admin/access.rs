//! The entrance to the admin API: who asks, what they may do, and the record of what they did. The only place where
//! roles are checked; what a call does is the business of whoever carries it out.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::AUTHORIZATION;
use http::{Extensions, HeaderValue, Request, Response};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::{Code, Status};
use tower::Service;
use trunkline_core::policy::Role;
use trunkline_proto::admin::v1::admin_service_server::AdminServiceServer;

use super::audit::{Audit, Call, NOBODY};
use super::{Admin, Admitted, refusal};
use crate::auth::KeyHolder;
use crate::pipeline::Router;
use crate::settings::Roles;
use crate::view::View;

/// The least role that each call needs. One that is not here needs the highest.
const LEAST: &[(&str, Role)] = &[
    ("GetStatus", Role::Viewer),
    ("WatchStatus", Role::Viewer),
    ("ListProviders", Role::Viewer),
    ("ListEndpoints", Role::Viewer),
    ("ListModels", Role::Viewer),
    ("ListDrains", Role::Viewer),
    ("Explain", Role::Viewer),
    ("ExplainRoute", Role::Viewer),
    ("PlanImpact", Role::Viewer),
    ("GetDocument", Role::Viewer),
    ("ListDocumentVersions", Role::Viewer),
    ("ValidateDocument", Role::Viewer),
    ("PlanDocument", Role::Viewer),
    ("GetDataflow", Role::Viewer),
    ("StartCanary", Role::Admin),
    ("GetCanary", Role::Viewer),
    ("PromoteCanary", Role::Admin),
    ("AbortCanary", Role::Operator),
    ("Diagnose", Role::Viewer),
    ("ApplyDocument", Role::Admin),
    ("ConfirmCatalog", Role::Operator),
    ("SetWeight", Role::Operator),
    ("ResetWeight", Role::Operator),
    ("Drain", Role::Operator),
    ("Undrain", Role::Operator),
    ("CreateKey", Role::Admin),
    ("ListKeys", Role::Admin),
    ("RevokeKey", Role::Admin),
    ("WithdrawModel", Role::Operator),
    ("RestoreModel", Role::Operator),
];

/// Who is at the other end of a connection; an extension of each of its requests.
#[derive(Clone, Debug)]
pub struct AdminPeer {
    /// Its address.
    pub address: IpAddr,
    /// What its certificate calls it, when it showed one that the port's authority signed.
    pub names: Arc<[String]>,
}

/// What every call at this router's entrance is held to.
pub struct Entrance {
    router: Arc<Router>,
    audit: Arc<Audit>,
}

impl Entrance {
    /// The entrance of a router.
    pub fn new(router: Arc<Router>, audit: Arc<Audit>) -> Arc<Self> {
        Arc::new(Self { router, audit })
    }

    /// Who asks, if they may ask for this; else why not, which is written down.
    fn admit(&self, call: &Call, shown: &Shown) -> Result<Admitted, Status> {
        let view = self.router.view.load_full();
        let settings = self.router.settings.load();
        let roles = &settings.admin_roles;
        let known = identify(&view, roles, shown);
        let (name, own, holder) =
            known.inspect_err(|refused| self.audit.ended(call, NOBODY, Some(refused)))?;
        let role = own.max(roles.get(&name).copied());
        if role < Some(call.least) {
            let refused = refusal::role_too_low(&name, role, call.rpc, call.least);
            self.audit.ended(call, &name, Some(&refused));
            return Err(refused);
        }
        Ok(Admitted { view, holder, name })
    }
}

/// The name, the role that a key's record gives, and whose limits hold. A key that was sent says who its
/// sender is, whatever certificate the connection has; one that does not open is not made up for by that.
fn identify(
    view: &View,
    roles: &Roles,
    Shown { credential, peer }: &Shown,
) -> Result<(String, Option<Role>, Arc<KeyHolder>), Status> {
    if credential.is_some() || peer.names.is_empty() {
        let holder = view.keyring.authenticate(credential.as_ref(), peer.address);
        let holder = holder.map_err(|r| refusal::rejected(&r))?;
        return Ok((format!("key/{}", holder.tenant.key), holder.access.role, holder));
    }
    let mut names = peer.names.iter().map(|name| format!("cert/{name}"));
    let known = names.find(|name| roles.contains_key(name));
    let name = known.unwrap_or_else(|| {
        let first = peer.names.first().map(String::as_str).unwrap_or_default();
        format!("cert/{first}")
    });
    Ok((name, None, KeyHolder::without_key()))
}

/// What whoever asks has shown of themselves.
#[derive(Clone)]
struct Shown {
    credential: Option<HeaderValue>,
    peer: AdminPeer,
}

impl Shown {
    fn of<B>(request: &Request<B>) -> Self {
        let headers = request.headers();
        let credential = headers.get(AUTHORIZATION).or_else(|| headers.get("x-api-key"));
        Self { credential: credential.cloned(), peer: peer(request.extensions()) }
    }
}

/// What a call that goes on and on was let in with; an extension of each request.
#[derive(Clone)]
pub struct Standing {
    entrance: Arc<Entrance>,
    call: Call,
    shown: Shown,
}

impl Standing {
    /// Lets it in again, with the view that is in force by now.
    ///
    /// # Errors
    /// When it would not be let in any more: a key was revoked or has expired.
    pub(super) fn admit(&self) -> Result<Admitted, Status> {
        self.entrance.admit(&self.call, &self.shown)
    }
}

/// The call that a request's path names and its least role; anything unknown is for the highest.
fn known(path: &str) -> (&'static str, Role) {
    let asked = path.rsplit('/').next().unwrap_or_default();
    let known = LEAST.iter().find(|(name, _)| *name == asked);
    known.copied().unwrap_or(("other", Role::Admin))
}

/// The admin service behind its entrance, still under its own name.
#[derive(Clone)]
pub struct Gate<S> {
    service: S,
    entrance: Arc<Entrance>,
}

impl<S> Gate<S> {
    /// Puts the entrance before the service.
    pub fn new(service: S, entrance: Arc<Entrance>) -> Self {
        Self { service, entrance }
    }
}

impl<S> NamedService for Gate<S> {
    const NAME: &'static str = <AdminServiceServer<Admin> as NamedService>::NAME;
}

impl<B, S> Service<Request<B>> for Gate<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let path = request.uri().path();
        let shown = Shown::of(&request);
        let call = Call::new(known(path), path, shown.peer.address);
        let entrance = Arc::clone(&self.entrance);
        match entrance.admit(&call, &shown) {
            Err(refused) => Box::pin(std::future::ready(Ok(refused.into_http()))),
            Ok(admitted) => {
                let who = admitted.name();
                request.extensions_mut().insert(admitted);
                let standing =
                    Standing { entrance: Arc::clone(&entrance), call: call.clone(), shown };
                request.extensions_mut().insert(standing);
                let answering = self.service.call(request);
                Box::pin(async move {
                    let answer = answering.await?;
                    let said = Status::from_header_map(answer.headers());
                    let said = said.filter(|status| status.code() != Code::Ok);
                    entrance.audit.ended(&call, &who, said.as_ref());
                    Ok(answer)
                })
            }
        }
    }
}

/// Whatever is sent elsewhere than to a service of the admin port: there is nothing, and it is written down.
#[derive(Clone)]
pub struct Elsewhere(pub Arc<Entrance>);

impl<B> Service<Request<B>> for Elsewhere {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let path = request.uri().path();
        let call = Call::new(known(""), path, peer(request.extensions()).address);
        let refused = refusal::no_such_call();
        self.0.audit.ended(&call, NOBODY, Some(&refused));
        std::future::ready(Ok(refused.into_http()))
    }
}

/// Who is at the other end. A request that came in another way comes from nowhere and shows nothing.
fn peer(extensions: &Extensions) -> AdminPeer {
    let known = extensions.get::<AdminPeer>().cloned();
    known.unwrap_or_else(|| AdminPeer { address: IpAddr::from([0; 16]), names: Arc::default() })
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;

    #[test]
    fn every_call_of_the_contract_has_its_role() {
        let set = FileDescriptorSet::decode(trunkline_proto::FILE_DESCRIPTOR_SET).unwrap();
        let services = set.file.iter().filter(|f| f.package() == "trunkline.admin.v1");
        let methods = services.flat_map(|f| &f.service).flat_map(|s| &s.method);
        let mut named: Vec<&str> = methods.map(|method| method.name()).collect();
        let mut listed: Vec<&str> = LEAST.iter().map(|(name, _)| *name).collect();
        named.sort_unstable();
        listed.sort_unstable();
        assert_eq!(listed, named);
    }

    #[test]
    fn what_is_not_known_is_for_the_highest_role() {
        assert_eq!(known("/trunkline.admin.v1.AdminService/ListDrains").1, Role::Viewer);
        assert_eq!(known("/trunkline.admin.v1.AdminService/Undrain").1, Role::Operator);
        for path in ["/trunkline.admin.v1.AdminService/Surprise", "/", "", "/x/GetStatus/"] {
            assert_eq!(known(path).1, Role::Admin, "{path}");
        }
    }
}
