//! Targets as operators write them → what they mean in the catalog.

use std::collections::BTreeMap;

use tonic::Status;
use trunkline_core::catalog::{Catalog, Endpoint};
use trunkline_core::id::{EndpointId, ModelId};
use trunkline_core::snapshot::{Resolved, nearest};
use trunkline_spec::overrides::Scope;

use super::refusal;
use super::state::State;

/// Most records in one edit: a transaction takes 128 operations, one of which is the history entry.
pub const MAX_WRITES: usize = 127;
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

/// What a target of a drain stands for: [`resolved`], and every name that a pattern with `*` fits, each as its own
/// scope, in the order of their names.
///
/// # Errors
/// As [`resolved`]; a pattern that fits nothing, or too much for one edit.
pub fn all(target: &str, state: &State) -> Result<Vec<Scope>, Status> {
    let Some((kind, pattern)) = Pattern::read(target) else {
        return resolved(target, state).map(|scope| vec![scope]);
    };
    let catalog = state.catalog();
    let names: BTreeMap<String, Scope> = match kind {
        "provider" => {
            let ids = catalog.providers.iter().map(|provider| &provider.id);
            ids.map(|id| (id.to_string(), Scope::Provider(id.clone()))).collect()
        }
        "model" => {
            let models = catalog.endpoints.iter().map(|endpoint| &endpoint.model);
            models.map(|model| (model.to_string(), Scope::Model(model.clone()))).collect()
        }
        "endpoint" => catalog.endpoints.iter().map(|e| (e.name(), Scope::Endpoint(e.id))).collect(),
        _ => return existing(target, catalog).map(|scope| vec![scope]),
    };
    let fits = names.into_iter().filter(|(name, _)| pattern.fits(name));
    let scopes: Vec<Scope> = fits.map(|(_, scope)| scope).collect();
    match scopes.len() {
        0 => Err(refusal::unknown_target(target, &[])),
        1..=MAX_WRITES => Ok(scopes),
        many => Err(too_many(&format!("stands for {many} of them"))),
    }
}

/// A name with `*`, each of which stands for any letters, none included.
pub struct Pattern<'a>(&'a str);

impl<'a> Pattern<'a> {
    /// The kind of target and the pattern of its name; `None` for a target without `*`.
    pub fn read(target: &'a str) -> Option<(&'a str, Self)> {
        let (kind, name) = target.split_once('/')?;
        name.contains('*').then_some((kind, Self(name)))
    }

    /// Whether a name is meant.
    pub fn fits(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else {
            return false;
        };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            let Some((_, after)) = rest.split_once(part) else { return false };
            rest = after;
        }
        rest.ends_with(last)
    }
}

/// The refusal of an edit that would write more than a transaction takes.
pub fn too_many(what: &str) -> Status {
    let message = format!("{what}, and at most {MAX_WRITES} are written at once; name fewer");
    refusal::bad_field("target", &message)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_letters() {
        let fits = |pattern: &str, name: &str| Pattern(pattern).fits(name);
        assert!(fits("open*", "openai") && fits("open*", "open") && !fits("open*", "reopen"));
        assert!(fits("*", "anything/at@all"));
        assert!(fits("a*b*c", "abc") && fits("a*b*c", "a-b-b-c") && !fits("a*b*c", "acb"));
        assert!(
            fits("*/gpt-*@eu", "azure/openai/gpt-4o@eu") && !fits("*/gpt-*@eu", "azure/gpt-4o@us")
        );
        assert!(!fits("ab*ba", "aba"), "letters are used once");
        assert!(Pattern::read("provider/openai").is_none() && Pattern::read("*").is_none());
    }
}
