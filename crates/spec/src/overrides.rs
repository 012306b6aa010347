//! An operator's word over the measured state: drains and pinned weights, each also a small record of
//! its own in the store. What they do to weights is decided in `core`.

mod drain;

use std::collections::BTreeSet;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trunkline_core::assess;
use trunkline_core::catalog::{Catalog, Endpoint};
use trunkline_core::id::{EndpointId, ModelId, ProviderId, Region};

use crate::catalog::{check_text, is_default, weight};
use crate::error::Problems;
use crate::load::load;
use crate::names;

pub use drain::Drain;
use drain::{WHOLE_PERMILLE, part_of};

/// The version of the overrides format that this release reads.
pub const VERSION: u32 = 1;
/// The most drains, and the most weights, in one document: one for each endpoint.
const MAX_OVERRIDES: usize = 2_000;

/// What an override is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Everything a provider serves.
    Provider(ProviderId),
    /// A model at every provider.
    Model(ModelId),
    /// One endpoint.
    Endpoint(EndpointId),
}

impl Scope {
    /// Reads `provider/<id>`, `model/<name>`, `endpoint/<endpoint id>` or
    /// `endpoint/<provider>/<model>[@<region>]`, where the region is `global` when left out.
    ///
    /// # Errors
    /// What would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = "write provider/<id>, model/<name>, endpoint/<id> or endpoint/<provider>/<model>@<region>";
        let (kind, name) =
            text.split_once('/').ok_or_else(|| format!("`{text}` is not a scope; {form}"))?;
        if let Some(fault) = names::fault(name) {
            return Err(fault);
        }
        match kind {
            "provider" => Ok(Self::Provider(ProviderId::new(name))),
            "model" => Ok(Self::Model(ModelId::new(name))),
            "endpoint" => endpoint(name).map(Self::Endpoint).ok_or_else(|| {
                format!("`{name}` is neither an endpoint's id nor <provider>/<model>@<region>")
            }),
            _ => Err(format!("`{kind}` is not a kind of scope; {form}")),
        }
    }

    /// Whether the endpoint is meant.
    pub fn covers(&self, endpoint: &Endpoint) -> bool {
        match self {
            Self::Provider(id) => *id == endpoint.provider,
            Self::Model(id) => *id == endpoint.model,
            Self::Endpoint(id) => *id == endpoint.id,
        }
    }
}

fn endpoint(name: &str) -> Option<EndpointId> {
    let Some((provider, rest)) = name.split_once('/') else { return EndpointId::parse(name) };
    let (model, region) = rest.rsplit_once('@').unwrap_or((rest, crate::catalog::DEFAULT_REGION));
    let named = ![provider, model, region].contains(&"");
    named.then(|| {
        EndpointId::of(&ProviderId::new(provider), &ModelId::new(model), &Region::new(region))
    })
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provider(id) => write!(f, "provider/{id}"),
            Self::Model(id) => write!(f, "model/{id}"),
            Self::Endpoint(id) => write!(f, "endpoint/{id}"),
        }
    }
}

/// Drains and pinned weights together, as people write them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OverridesDocument {
    /// The version of this format: 1.
    #[schemars(range(min = 1, max = 1))]
    pub version: u32,
    /// What takes no new calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drains: Vec<DrainEntry>,
    /// Weights that replace the catalog's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<WeightEntry>,
}

/// Takes something out by hand; calls in flight finish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainEntry {
    /// `provider/<id>`, `model/<name>`, `endpoint/<id>` or `endpoint/<provider>/<model>@<region>`.
    pub scope: String,
    /// Why, for whoever finds it at night.
    pub reason: String,
    /// Who said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
    /// When it ends by itself, in milliseconds since 1970; never when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
    /// When streams that are still open there are cut, in milliseconds since 1970; never when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_at_ms: Option<u64>,
    /// How much of the weight routers take away each minute, in thousandths; all of it at once when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub rate_permille: Option<u32>,
    /// How much of the weight is taken away by now, in thousandths; all of it when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub taken_permille: Option<u32>,
    /// The model was withdrawn, which an undrain does not undo.
    #[serde(default, skip_serializing_if = "is_default")]
    pub withdrawn: bool,
}

/// Pins the weight of one endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WeightEntry {
    /// `endpoint/<id>` or `endpoint/<provider>/<model>@<region>`.
    pub scope: String,
    /// The weight; 0 takes the endpoint out.
    #[schemars(range(min = 0, max = 1000))]
    pub weight: u32,
    /// Why, for whoever finds it at night.
    pub reason: String,
    /// Who said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
}

/// A pinned weight in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedWeight {
    /// Whose weight.
    pub endpoint: EndpointId,
    /// The weight, 0 to 1000; 0 takes the endpoint out.
    pub weight: u16,
    /// Why.
    pub reason: String,
    /// Who said so.
    pub by: Option<String>,
    /// When, in milliseconds since 1970.
    pub at_ms: Option<u64>,
}

/// Everything operators have said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// What takes no new calls.
    pub drains: Vec<Drain>,
    /// Weights that replace the catalog's.
    pub weights: Vec<PinnedWeight>,
}

impl Overrides {
    /// What operators say about each endpoint of the catalog; those nobody speaks about are absent.
    pub fn resolve(&self, catalog: &Catalog) -> assess::Overrides {
        let mut resolved = assess::Overrides::default();
        for endpoint in &catalog.endpoints {
            let drains = self.drains.iter().filter(|drain| drain.scope.covers(endpoint));
            let pinned = self.weights.iter().find(|pinned| pinned.endpoint == endpoint.id);
            let pinned = pinned.map(|pinned| pinned.weight);
            let left = drains.map(Drain::left_permille).min().unwrap_or(WHOLE_PERMILLE);
            let weight = match left {
                0 | WHOLE_PERMILLE => pinned,
                part => Some(part_of(pinned.unwrap_or(endpoint.weight), part)),
            };
            let word = assess::Override { drained: left == 0, weight };
            if word != assess::Override::default() {
                resolved.endpoints.insert(endpoint.id, word);
            }
        }
        resolved
    }
}

/// Reads an overrides document, in YAML or JSON.
///
/// # Errors
/// Every mistake found, with its line.
pub fn parse(text: &str) -> Result<Overrides, Problems> {
    let loaded = load::<OverridesDocument>(text)?;
    Overrides::try_from(&loaded.document).map_err(|problems| loaded.locate(problems))
}

/// Reads the record of one drain, as the store holds it: a [`DrainEntry`].
///
/// # Errors
/// Every mistake found, with its line.
pub fn parse_drain(text: &str) -> Result<Drain, Problems> {
    let loaded = load::<DrainEntry>(text)?;
    let mut problems = Problems::default();
    let drain = loaded.document.admit("", &mut problems);
    complete(drain, problems).map_err(|problems| loaded.locate(problems))
}

/// Reads the record of one pinned weight, as the store holds it: a [`WeightEntry`].
///
/// # Errors
/// Every mistake found, with its line.
pub fn parse_weight(text: &str) -> Result<PinnedWeight, Problems> {
    let loaded = load::<WeightEntry>(text)?;
    let mut problems = Problems::default();
    let weight = loaded.document.admit("", &mut problems);
    complete(weight, problems).map_err(|problems| loaded.locate(problems))
}

/// The value, unless something is wrong with it; a value is missing only when a problem says why.
fn complete<T>(value: Option<T>, problems: Problems) -> Result<T, Problems> {
    problems.or(())?;
    value.ok_or_else(|| Problems::one("", "the record could not be read"))
}

impl TryFrom<&OverridesDocument> for Overrides {
    type Error = Problems;

    fn try_from(document: &OverridesDocument) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        if document.version != VERSION {
            let message =
                format!("version {} is not known; this release reads {VERSION}", document.version);
            problems.add("version", message);
        }
        for (path, count) in
            [("drains", document.drains.len()), ("weights", document.weights.len())]
        {
            if count > MAX_OVERRIDES {
                problems.add(path, format!("{count} are too many; at most {MAX_OVERRIDES}"));
            }
        }
        let mut overrides = Self::default();
        let mut scopes = BTreeSet::new();
        for (at, entry) in document.drains.iter().enumerate() {
            let drain = entry.admit(&format!("drains[{at}]."), &mut problems);
            if drain.as_ref().is_some_and(|drain| !scopes.insert(drain.scope.clone())) {
                problems.add(
                    format!("drains[{at}].scope"),
                    "drained already above; remove one of the two",
                );
            }
            overrides.drains.extend(drain);
        }
        let mut endpoints = BTreeSet::new();
        for (at, entry) in document.weights.iter().enumerate() {
            let pinned = entry.admit(&format!("weights[{at}]."), &mut problems);
            if pinned.as_ref().is_some_and(|pinned| !endpoints.insert(pinned.endpoint)) {
                problems.add(
                    format!("weights[{at}].scope"),
                    "has a weight already above; remove one of the two",
                );
            }
            overrides.weights.extend(pinned);
        }
        problems.or(overrides)
    }
}

impl WeightEntry {
    fn admit(&self, prefix: &str, problems: &mut Problems) -> Option<PinnedWeight> {
        check_words(prefix, &self.reason, self.by.as_deref(), problems);
        let weight = weight(&format!("{prefix}weight"), self.weight, problems);
        let scope = Scope::parse(&self.scope);
        let message = match scope {
            Ok(Scope::Endpoint(endpoint)) => {
                let (reason, by) = (self.reason.clone(), self.by.clone());
                return Some(PinnedWeight { endpoint, weight, reason, by, at_ms: self.at_ms });
            }
            Ok(Scope::Provider(_) | Scope::Model(_)) => {
                "a weight is pinned for one endpoint; write endpoint/<provider>/<model>@<region>"
                    .to_owned()
            }
            Err(message) => message,
        };
        problems.add(format!("{prefix}scope"), message);
        None
    }
}

fn check_words(prefix: &str, reason: &str, by: Option<&str>, problems: &mut Problems) {
    check_text(&format!("{prefix}reason"), reason, problems);
    if let Some(by) = by {
        check_text(&format!("{prefix}by"), by, problems);
    }
}

#[cfg(test)]
mod tests;
