//! Targets as operators write them → what they mean in the catalog.

use tonic::Status;
use trunkline_core::catalog::{Catalog, Endpoint};
use trunkline_core::id::{EndpointId, ModelId};
use trunkline_core::snapshot::{Resolved, nearest};
use trunkline_spec::overrides::Scope;

use super::refusal;
use super::state::State;

/// Names offered for an unknown target.
const NEAREST: usize = 3;

/// Reads a target, which must exist.
///
/// # Errors
/// The form that a target has, or the nearest names of what there is.
pub fn existing(target: &str, catalog: &Catalog) -> Result<Scope, Status> {
    let scope = Scope::parse(target).map_err(|message| refusal::bad_field("target", &message))?;
    if catalog.endpoints.iter().any(|e| scope.covers(e)) || is_idle_provider(&scope, catalog) {
        return Ok(scope);
    }
    let known = names(&scope, catalog);
    let near = nearest(target, known.iter().map(String::as_str), NEAREST);
    Err(refusal::unknown_target(target, &near))
}

/// The same, for a name that clients may ask for as well: where no model is called so, a route of one model means
/// that model. The name is understood as a call's is.
///
/// # Errors
/// As [`existing`]; a route of several models, which are named.
pub fn resolved(target: &str, state: &State) -> Result<Scope, Status> {
    let snapshot = state.snapshot();
    let name = target.strip_prefix("model/").unwrap_or_default();
    let is_model = !snapshot.endpoints_of(&ModelId::new(name)).is_empty();
    match snapshot.resolve(name).filter(|_| !is_model) {
        Some(Resolved::Route(route)) => match route.models.as_slice() {
            [model] => existing(&format!("model/{model}"), state.catalog()),
            models => {
                let models: Vec<String> = models.iter().map(|m| format!("model/{m}")).collect();
                let message = format!("is a route; name one of its models: {}", models.join(", "));
                Err(refusal::bad_field("target", &message))
            }
        },
        Some(Resolved::Model(_)) | None => existing(target, state.catalog()),
    }
}

/// A provider without endpoints is still there.
fn is_idle_provider(scope: &Scope, catalog: &Catalog) -> bool {
    matches!(scope, Scope::Provider(id) if catalog.provider(id).is_some())
}

/// What a target of this kind could be.
fn names(scope: &Scope, catalog: &Catalog) -> Vec<String> {
    match scope {
        Scope::Provider(_) => {
            catalog.providers.iter().map(|p| format!("provider/{}", p.id)).collect()
        }
        Scope::Model(_) => {
            let mut models: Vec<String> =
                catalog.endpoints.iter().map(|e| format!("model/{}", e.model)).collect();
            models.sort();
            models.dedup();
            models
        }
        Scope::Endpoint(_) => catalog.endpoints.iter().flat_map(endpoint_names).collect(),
    }
}

/// An endpoint's whole name, and the one without its region where that means the same.
fn endpoint_names(endpoint: &Endpoint) -> Vec<String> {
    let short = format!("endpoint/{}/{}", endpoint.provider, endpoint.model);
    let whole = format!("{short}@{}", endpoint.region);
    match Scope::parse(&short) {
        Ok(Scope::Endpoint(id)) if id == endpoint.id => vec![short, whole],
        _ => vec![whole],
    }
}

/// The endpoints that a weight for this target is about: one, or all of a provider.
///
/// # Errors
/// For a model: its endpoints compete with each other, so one weight for all of them says nothing.
pub fn weighed(scope: &Scope, catalog: &Catalog) -> Result<Vec<EndpointId>, Status> {
    match scope {
        Scope::Endpoint(id) => Ok(vec![*id]),
        Scope::Provider(_) => {
            Ok(catalog.endpoints.iter().filter(|e| scope.covers(e)).map(|e| e.id).collect())
        }
        Scope::Model(_) => Err(refusal::bad_field(
            "target",
            "a weight is for an endpoint, or for all endpoints of a provider",
        )),
    }
}
