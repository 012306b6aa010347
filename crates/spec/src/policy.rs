//! The policy as people write it: routes, deadlines, retries and data rules, and how it becomes
//! [`trunkline_core::policy::Policy`]. Whether its models exist is a question to a catalog, asked apart,
//! so that a router keeps its policy when a model goes away.

mod rules;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trunkline_core::catalog::Catalog;
use trunkline_core::id::ModelId;
use trunkline_core::policy::{Policy, Route, Strategy};

pub use rules::{DataEntry, RetryEntry, TimeoutsEntry};

use crate::canonical;
use crate::catalog::is_default;
use crate::error::Problems;
use crate::load::load;
use crate::names;

/// The version of the policy format that this release reads.
pub const VERSION: u32 = 1;
/// The most routes and aliases; a policy is reviewed by people.
const MAX_ROUTES: usize = 1_000;
/// The most models of one route; a call tries each at most once.
const MAX_ROUTE_MODELS: usize = 16;
/// The most tags kept for attribution; each is a field of every record.
const MAX_TAGS: usize = 64;

/// Reads a policy, in YAML or JSON, into what decisions use.
///
/// # Errors
/// Every mistake found, with its line.
pub fn parse(text: &str) -> Result<Policy, Problems> {
    let loaded = load::<PolicyDocument>(text)?;
    Policy::try_from(&loaded.document).map_err(|problems| loaded.locate(problems))
}

/// [`parse`], and every model named must be in `catalog`.
///
/// # Errors
/// Every mistake found, with its line.
pub fn parse_against(text: &str, catalog: &Catalog) -> Result<Policy, Problems> {
    let loaded = load::<PolicyDocument>(text)?;
    let (policy, mut problems) = match Policy::try_from(&loaded.document) {
        Ok(policy) => (policy, Problems::default()),
        Err(problems) => (Policy::default(), problems),
    };
    problems.0.extend(loaded.document.unknown_models(catalog).0);
    problems.or(policy).map_err(|problems| loaded.locate(problems))
}

/// The canonical JSON of a policy, for the store. It holds no more than the text said: only [`parse`] says
/// whether that makes sense.
///
/// # Errors
/// Text that is not of the document's shape.
pub fn canonical(text: &str) -> Result<String, Problems> {
    canonical::json(&load::<PolicyDocument>(text)?.document)
}

/// Routes, deadlines, retries and rules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyDocument {
    /// The version of this format: 1.
    #[schemars(range(min = 1, max = 1))]
    pub version: u32,
    /// How endpoints of a model share its calls where a route does not say.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = "balanced"))]
    pub strategy: StrategyEntry,
    /// Names that clients may ask for beside the catalog's models; a route named like a model replaces it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub routes: BTreeMap<String, RouteEntry>,
    /// Short for routes with one model: `fast: openai/gpt-4o-mini`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub aliases: BTreeMap<String, String>,
    /// Deadlines where a route does not say.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timeouts: TimeoutsEntry,
    /// How often a call may be tried.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry: RetryEntry,
    /// Where prompts may go, whatever key they come with.
    #[serde(default, skip_serializing_if = "is_default")]
    pub data: DataEntry,
    /// Request tags kept for attribution, such as `feature`; others are dropped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// A name that clients may ask for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteEntry {
    /// Models of the catalog in the order they are tried; the first is what is meant. 1 to 16.
    pub models: Vec<String>,
    /// How endpoints share the calls; the policy's when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<StrategyEntry>,
    /// Deadlines; what is left out is the policy's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<TimeoutsEntry>,
}

/// How endpoints of a model share its calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StrategyEntry {
    /// By price and latency.
    #[default]
    Balanced,
    /// By price alone.
    Price,
    /// By the time to the first token alone.
    Latency,
    /// By tokens a second alone.
    Throughput,
    /// By the operator's weights alone.
    Order,
    /// By one over the square of the price and nothing else.
    InverseSquarePrice,
}

impl From<StrategyEntry> for Strategy {
    fn from(entry: StrategyEntry) -> Self {
        match entry {
            StrategyEntry::Balanced => Self::Balanced,
            StrategyEntry::Price => Self::Price,
            StrategyEntry::Latency => Self::Latency,
            StrategyEntry::Throughput => Self::Throughput,
            StrategyEntry::Order => Self::Order,
            StrategyEntry::InverseSquarePrice => Self::InverseSquarePrice,
        }
    }
}

impl TryFrom<&PolicyDocument> for Policy {
    type Error = Problems;

    fn try_from(document: &PolicyDocument) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        if document.version != VERSION {
            let message =
                format!("version {} is not known; this release reads {VERSION}", document.version);
            problems.add("version", message);
        }
        let timeouts = document.timeouts.over(trunkline_core::policy::Timeouts::default());
        document.timeouts.check("timeouts", &mut problems);
        let policy = Self {
            version: canonical::hash(&canonical::json(document)?),
            strategy: document.strategy.into(),
            routes: document.core_routes(timeouts, &mut problems),
            timeouts,
            retry: document.retry.admit("retry", &mut problems),
            data: document.data.admit("data", &mut problems),
            tags: document.tags.clone(),
        };
        if document.tags.len() > MAX_TAGS {
            problems
                .add("tags", format!("{} are too many; at most {MAX_TAGS}", document.tags.len()));
        }
        for (at, tag) in document.tags.iter().enumerate() {
            names::check(&format!("tags[{at}]"), tag, &mut problems);
        }
        problems.or(policy)
    }
}

impl PolicyDocument {
    /// Every model named by a route or alias that `catalog` does not have, with the nearest it has.
    pub fn unknown_models(&self, catalog: &Catalog) -> Problems {
        let mut problems = Problems::default();
        let mut check = |path: String, model: &str| {
            if !catalog.endpoints.iter().any(|e| e.model.as_str() == model) {
                problems.add(
                    path,
                    names::unknown(
                        "model",
                        model,
                        catalog.endpoints.iter().map(|e| e.model.as_str()),
                    ),
                );
            }
        };
        for (name, route) in &self.routes {
            let path = crate::tree::key_path("routes", name);
            for (at, model) in route.models.iter().enumerate() {
                check(format!("{path}.models[{at}]"), model);
            }
        }
        for (name, model) in &self.aliases {
            check(crate::tree::key_path("aliases", name), model);
        }
        problems
    }

    fn core_routes(
        &self,
        timeouts: trunkline_core::policy::Timeouts,
        problems: &mut Problems,
    ) -> BTreeMap<String, Route> {
        let count = self.routes.len() + self.aliases.len();
        if count > MAX_ROUTES {
            problems.add(
                "routes",
                format!("{count} routes and aliases are too many; at most {MAX_ROUTES}"),
            );
        }
        let mut routes = BTreeMap::new();
        for (name, entry) in &self.routes {
            let path = crate::tree::key_path("routes", name);
            names::check(&path, name, problems);
            check_models(&format!("{path}.models"), &entry.models, problems);
            if let Some(own) = &entry.timeouts {
                own.check(&format!("{path}.timeouts"), problems);
            }
            let route = Route {
                models: entry.models.iter().map(|m| ModelId::new(m)).collect(),
                strategy: entry.strategy.map(Strategy::from),
                timeouts: entry.timeouts.as_ref().map(|own| own.over(timeouts)),
            };
            routes.insert(name.clone(), route);
        }
        for (name, model) in &self.aliases {
            let path = crate::tree::key_path("aliases", name);
            names::check(&path, name, problems);
            names::check(&path, model, problems);
            let route = Route { models: vec![ModelId::new(model)], strategy: None, timeouts: None };
            if routes.insert(name.clone(), route).is_some() {
                problems.add(path, format!("`{name}` is also a route; remove one of the two"));
            }
        }
        routes
    }
}

fn check_models(path: &str, models: &[String], problems: &mut Problems) {
    if models.is_empty() || models.len() > MAX_ROUTE_MODELS {
        problems
            .add(path, format!("a route has 1 to {MAX_ROUTE_MODELS} models, not {}", models.len()));
    }
    for (at, model) in models.iter().enumerate() {
        let path = format!("{path}[{at}]");
        names::check(&path, model, problems);
        if models.iter().take(at).any(|earlier| earlier == model) {
            problems.add(path, format!("`{model}` stands twice in this route; remove one"));
        }
    }
}

#[cfg(test)]
mod tests;
