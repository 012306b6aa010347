//! API keys as documents keep them: a hash, and what its holder may do. It never sees a key's secret.

mod access;
mod spend;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trunkline_core::catalog::Catalog;
use trunkline_core::id::{KeyId, ModelId, ProviderId};
use trunkline_core::policy::{ApiKey, Tenant};

use crate::canonical;
use crate::catalog::is_default;
use crate::error::Problems;
use crate::load::load;
use crate::names;
use crate::policy::DataEntry;

pub use access::RoleEntry;
pub use spend::SpendEntry;

/// The version of the keys format that this release reads.
pub const VERSION: u32 = 1;
/// Characters of a key's id, its public part.
const ID_CHARS: usize = 8;
/// The most keys in one document; the store holds one record for each key and has no such bound.
const MAX_KEYS: usize = 10_000;
/// The most models or providers that one key lists.
const MAX_LISTED: usize = 2_000;
/// The most calls at once or a minute that can be written.
const MAX_RATE: u32 = 1_000_000;

/// Reads a keys document, in YAML or JSON.
///
/// # Errors
/// Every mistake found, with its line.
pub fn parse(text: &str) -> Result<Vec<ApiKey>, Problems> {
    let loaded = load::<KeysDocument>(text)?;
    Vec::try_from(&loaded.document).map_err(|problems| loaded.locate(problems))
}

/// [`parse`], and every model and provider named must be in `catalog`.
///
/// # Errors
/// Every mistake found, with its line.
pub fn parse_against(text: &str, catalog: &Catalog) -> Result<Vec<ApiKey>, Problems> {
    let loaded = load::<KeysDocument>(text)?;
    let (keys, mut problems) = match Vec::try_from(&loaded.document) {
        Ok(keys) => (keys, Problems::default()),
        Err(problems) => (Vec::new(), problems),
    };
    problems.0.extend(loaded.document.unknown_names(catalog).0);
    problems.or(keys).map_err(|problems| loaded.locate(problems))
}

/// Reads the record of one key, as the store holds it: a [`KeyEntry`].
///
/// # Errors
/// Every mistake found, with its line.
pub fn parse_one(text: &str) -> Result<ApiKey, Problems> {
    let loaded = load::<KeyEntry>(text)?;
    ApiKey::try_from(&loaded.document).map_err(|problems| loaded.locate(problems))
}

/// The canonical JSON of a keys document, for the store. It holds no more than the text said: only [`parse`] says
/// whether that makes sense.
///
/// # Errors
/// Text that is not of the document's shape.
pub fn canonical(text: &str) -> Result<String, Problems> {
    canonical::json(&load::<KeysDocument>(text)?.document)
}

/// API keys and what their holders may do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeysDocument {
    /// The version of this format: 1.
    #[schemars(range(min = 1, max = 1))]
    pub version: u32,
    /// The keys; at most 10,000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyEntry>,
}

/// One API key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyEntry {
    /// The key's public part: the eight letters or digits after `tl_`; unique.
    pub id: String,
    /// Keyed BLAKE3 of the whole key, in 64 hexadecimal digits.
    pub hash: String,
    /// Who has it and what for, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Models it may ask for; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    /// Providers its calls may reach; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub providers: Option<Vec<String>>,
    /// Where its prompts may go; the policy's rules hold beside these.
    #[serde(default, skip_serializing_if = "is_default")]
    pub data: DataEntry,
    /// Calls at once on one router, at least 1; no limit when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_concurrency: Option<u32>,
    /// Calls a minute on one router, at least 1; no limit when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests_per_minute: Option<u32>,
    /// What its calls may cost, over all routers; no limit when left out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub spend: SpendEntry,
    /// What its holder may do on the admin API; nothing when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<RoleEntry>,
    /// From when on it opens nothing, in milliseconds since 1970; no end when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
    /// Networks that it may be used from, such as `10.0.0.0/8`; anywhere when left out. 1 to 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networks: Option<Vec<String>>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When it was made, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
}

impl TryFrom<&KeysDocument> for Vec<ApiKey> {
    type Error = Problems;

    fn try_from(document: &KeysDocument) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        if document.version != VERSION {
            let message =
                format!("version {} is not known; this release reads {VERSION}", document.version);
            problems.add("version", message);
        }
        if document.keys.len() > MAX_KEYS {
            problems
                .add("keys", format!("{} are too many; at most {MAX_KEYS}", document.keys.len()));
        }
        let mut ids = BTreeMap::new();
        let mut keys = Self::new();
        for (at, entry) in document.keys.iter().enumerate() {
            let path = format!("keys[{at}]");
            if let Some(first) = ids.insert(entry.id.as_str(), at) {
                let message =
                    format!("`{}` is also the id of keys[{first}]; ids are unique", entry.id);
                problems.add(format!("{path}.id"), message);
            }
            keys.push(entry.admit(&format!("{path}."), &mut problems));
        }
        problems.or(keys)
    }
}

impl TryFrom<&KeyEntry> for ApiKey {
    type Error = Problems;

    fn try_from(entry: &KeyEntry) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let key = entry.admit("", &mut problems);
        problems.or(key)
    }
}

impl KeysDocument {
    /// Every model and provider named that `catalog` does not have, with the nearest it has.
    pub fn unknown_names(&self, catalog: &Catalog) -> Problems {
        let mut problems = Problems::default();
        for (at, key) in self.keys.iter().enumerate() {
            for (place, model) in key.models.iter().flatten().enumerate() {
                if !catalog.endpoints.iter().any(|e| e.model.as_str() == model) {
                    let known = catalog.endpoints.iter().map(|e| e.model.as_str());
                    let message = names::unknown("model", model, known);
                    problems.add(format!("keys[{at}].models[{place}]"), message);
                }
            }
            for (place, provider) in key.providers.iter().flatten().enumerate() {
                if catalog.provider(&ProviderId::new(provider)).is_none() {
                    let known = catalog.providers.iter().map(|p| p.id.as_str());
                    let message = names::unknown("provider", provider, known);
                    problems.add(format!("keys[{at}].providers[{place}]"), message);
                }
            }
        }
        problems
    }
}

impl KeyEntry {
    /// The key that decisions use. `prefix` stands before each field in paths: empty, or ends in a dot.
    fn admit(&self, prefix: &str, problems: &mut Problems) -> ApiKey {
        if self.id.len() != ID_CHARS || !self.id.bytes().all(|b| b.is_ascii_alphanumeric()) {
            let message = format!("an id is the {ID_CHARS} letters or digits after `tl_`");
            problems.add(format!("{prefix}id"), message);
        }
        let hash = hash_bytes(&self.hash).unwrap_or_else(|| {
            problems.add(
                format!("{prefix}hash"),
                "a hash is 64 hexadecimal digits, never the key itself",
            );
            [0; 32]
        });
        for (field, rate) in [
            ("max_concurrency", self.max_concurrency),
            ("requests_per_minute", self.requests_per_minute),
        ] {
            if rate.is_some_and(|n| !(1..=MAX_RATE).contains(&n)) {
                let message =
                    format!("out of range; use 1 to {MAX_RATE}, or leave it out for no limit");
                problems.add(format!("{prefix}{field}"), message);
            }
        }
        let models = listed(&format!("{prefix}models"), self.models.as_ref(), problems);
        let providers = listed(&format!("{prefix}providers"), self.providers.as_ref(), problems);
        let tenant = Tenant {
            key: KeyId::new(&self.id),
            models: models.map(|names| names.iter().map(|n| ModelId::new(n)).collect()),
            providers: providers.map(|names| names.iter().map(|n| ProviderId::new(n)).collect()),
            data: self.data.admit(&format!("{prefix}data"), problems),
            max_concurrency: self.max_concurrency,
            requests_per_minute: self.requests_per_minute,
        };
        let spend = self.spend.admit(&format!("{prefix}spend"), problems);
        ApiKey { hash, tenant, access: self.access(prefix, problems), spend }
    }
}

fn listed<'a>(
    path: &str,
    names: Option<&'a Vec<String>>,
    problems: &mut Problems,
) -> Option<&'a Vec<String>> {
    let names = names?;
    if names.is_empty() {
        problems.add(path, "an empty list would refuse every call; name one, or leave the key out");
    }
    if names.len() > MAX_LISTED {
        problems.add(path, format!("{} are too many; at most {MAX_LISTED}", names.len()));
    }
    for (at, name) in names.iter().enumerate() {
        names::check(&format!("{path}[{at}]"), name, problems);
    }
    Some(names)
}

/// 32 bytes out of 64 hexadecimal digits.
fn hash_bytes(hex: &str) -> Option<[u8; 32]> {
    blake3::Hash::from_hex(hex).ok().map(|hash| *hash.as_bytes())
}

#[cfg(test)]
mod tests;
