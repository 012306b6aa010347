//! What was known of a call ⇄ how it is written.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use trunkline_core::facts::{Facts, MaxPrice, Preferences, Sort};
use trunkline_core::id::ModelId;
use trunkline_core::money::PicoUsd;

use super::is_default;
use super::scene::WrittenCapabilities;

/// Facts.
#[derive(Serialize, Deserialize)]
pub(super) struct WrittenFacts {
    models: Vec<Arc<str>>,
    input_tokens: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u64>,
    needs: WrittenCapabilities,
    #[serde(default, skip_serializing_if = "is_default")]
    parameters: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    affinity: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    preferences: Option<Box<WrittenPreferences>>,
}

#[derive(Serialize, Deserialize)]
struct WrittenPreferences {
    #[serde(default, skip_serializing_if = "is_default")]
    order: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    only: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "is_default")]
    ignore: Vec<String>,
    allow_fallbacks: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    require_parameters: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    deny_data_collection: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    zero_retention: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    quantizations: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sort: Option<Cow<'static, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min_throughput: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_latency_ms: Option<u32>,
    /// Prompt token, answer token, call, image; in pico-USD.
    #[serde(default, skip_serializing_if = "is_default")]
    max_price: [Option<u64>; 4],
}

impl WrittenFacts {
    pub(super) fn of(facts: &Facts) -> Self {
        Self {
            models: facts.models.iter().map(ModelId::shared).collect(),
            input_tokens: facts.input_tokens,
            max_output_tokens: facts.max_output_tokens,
            needs: WrittenCapabilities::of(facts.needs),
            parameters: facts.parameters.clone(),
            affinity: facts.affinity,
            preferences: facts.preferences.as_deref().map(|p| Box::new(WrittenPreferences::of(p))),
        }
    }

    /// The facts; `None` when a word in them is not known.
    pub(super) fn facts(self) -> Option<Facts> {
        let preferences = match self.preferences {
            Some(written) => Some(Box::new(written.preferences()?)),
            None => None,
        };
        Some(Facts {
            models: self.models.iter().map(|model| ModelId::new(model)).collect(),
            input_tokens: self.input_tokens,
            max_output_tokens: self.max_output_tokens,
            needs: self.needs.capabilities(),
            parameters: self.parameters,
            affinity: self.affinity,
            preferences,
        })
    }
}

impl WrittenPreferences {
    fn of(asked: &Preferences) -> Self {
        let max = asked.max_price;
        let max_price = [max.input, max.output, max.request, max.image];
        Self {
            order: asked.order.clone(),
            only: asked.only.clone(),
            ignore: asked.ignore.clone(),
            allow_fallbacks: asked.allow_fallbacks,
            require_parameters: asked.require_parameters,
            deny_data_collection: asked.deny_data_collection,
            zero_retention: asked.zero_retention,
            quantizations: asked.quantizations.clone(),
            sort: asked.sort.map(|sort| Cow::Borrowed(sort_name(sort))),
            min_throughput: asked.min_throughput,
            max_latency_ms: asked.max_latency_ms,
            max_price: max_price.map(|most| most.map(|usd| usd.0)),
        }
    }

    fn preferences(self) -> Option<Preferences> {
        let sort = match self.sort.as_deref() {
            Some(name) => Some(SORTS.into_iter().find(|sort| sort_name(*sort) == name)?),
            None => None,
        };
        let [input, output, request, image] = self.max_price.map(|most| most.map(PicoUsd));
        Some(Preferences {
            order: self.order,
            only: self.only,
            ignore: self.ignore,
            allow_fallbacks: self.allow_fallbacks,
            require_parameters: self.require_parameters,
            deny_data_collection: self.deny_data_collection,
            zero_retention: self.zero_retention,
            quantizations: self.quantizations,
            sort,
            min_throughput: self.min_throughput,
            max_latency_ms: self.max_latency_ms,
            max_price: MaxPrice { input, output, request, image },
        })
    }
}

const SORTS: [Sort; 3] = [Sort::Price, Sort::Throughput, Sort::Latency];

fn sort_name(sort: Sort) -> &'static str {
    match sort {
        Sort::Price => "price",
        Sort::Throughput => "throughput",
        Sort::Latency => "latency",
    }
}
