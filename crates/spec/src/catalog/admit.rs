//! A catalog as written → the catalog that decisions use. Every mistake is reported with its path; a
//! value that passes is never checked again.

use std::collections::BTreeMap;

use trunkline_core::catalog::{
    Capabilities, Catalog, Dialect, Endpoint, MAX_CREDENTIALS, Price, ProbeMode, Provider,
    Retention, SecretRef, Training,
};
use trunkline_core::id::{EndpointId, ModelId, ProviderId, Region};
use trunkline_core::money::PicoUsd;

use super::url::{base_url, refused_address};
use super::{
    CapabilityEntry, CatalogDocument, DialectEntry, EndpointEntry, Plaintext, PriceEntry,
    ProbeEntry, ProviderEntry, RetentionEntry, SecretEntry, TrainingEntry, VERSION,
};
use crate::error::Problems;
use crate::names;

/// The most providers of one catalog; metrics have a series each.
const MAX_PROVIDERS: usize = 200;
/// The most endpoints of one catalog; what tables and observations are sized for.
const MAX_ENDPOINTS: usize = 2_000;
/// The largest operator weight.
const MAX_WEIGHT: u32 = 1_000;
/// The most tokens in a context; far beyond any model, so a slip of units shows.
const MAX_TOKENS: u64 = 100_000_000;
/// The highest price of a million tokens, in USD; ten times the dearest known, so a slip of units shows.
const MAX_USD_PER_MILLION: f64 = 10_000.0;
/// The highest price of one call or image, in USD.
const MAX_USD_EACH: f64 = 100.0;
/// The longest provider's name for a model, and other free text, in bytes.
const MAX_TEXT_BYTES: usize = 256;
/// The longest retention that can be written, in days: a century.
const MAX_RETENTION_DAYS: u32 = 36_500;
/// The most request parameters listed for one endpoint.
const MAX_PARAMETERS: usize = 100;

impl TryFrom<&CatalogDocument> for Catalog {
    type Error = Problems;

    fn try_from(document: &CatalogDocument) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        check_version(document.version, &mut problems);
        check_count("providers", document.providers.len(), MAX_PROVIDERS, &mut problems);
        let mut catalog = Self::default();
        let mut provider_paths = BTreeMap::new();
        for (at, entry) in document.providers.iter().enumerate() {
            let path = format!("providers[{at}]");
            if let Some(first) = provider_paths.insert(entry.id.as_str(), path.clone()) {
                problems.add(
                    format!("{path}.id"),
                    format!("`{}` is also the id of {first}; ids are unique", entry.id),
                );
            }
            catalog.providers.push(provider(&path, entry, &mut problems));
            let endpoints = entry.endpoints.iter().enumerate();
            catalog.endpoints.extend(endpoints.map(|(at, endpoint)| {
                admit_endpoint(
                    &format!("{path}.endpoints[{at}]"),
                    &entry.id,
                    endpoint,
                    &mut problems,
                )
            }));
        }
        check_count("providers", catalog.endpoints.len(), MAX_ENDPOINTS, &mut problems);
        check_identities(document, &mut problems);
        catalog.providers.sort_by(|a, b| a.id.cmp(&b.id));
        catalog.endpoints.sort_by_key(|e| e.id);
        problems.or(catalog)
    }
}

fn check_version(version: u32, problems: &mut Problems) {
    if version != VERSION {
        problems.add(
            "version",
            format!("version {version} is not known; this release reads {VERSION}"),
        );
    }
}

fn check_count(path: &str, count: usize, most: usize, problems: &mut Problems) {
    if count > most {
        problems.add(path, format!("{count} are too many; at most {most}"));
    }
}

fn provider(path: &str, entry: &ProviderEntry, problems: &mut Problems) -> Provider {
    let id_path = format!("{path}.id");
    names::check(&id_path, &entry.id, problems);
    if entry.id.contains('/') {
        problems.add(id_path, "a provider's id holds no `/`; use `-` instead");
    }
    let plaintext =
        if entry.allow_plaintext { Plaintext::Allowed } else { Plaintext::LoopbackOnly };
    let base_url = base_url(&entry.base_url, plaintext).unwrap_or_else(|message| {
        problems.add(format!("{path}.base_url"), message);
        String::new()
    });
    if let Some(message) = refused_address(&base_url) {
        problems.add(format!("{path}.base_url"), message);
    }
    let credentials_path = format!("{path}.credentials");
    check_count(&credentials_path, entry.credentials.len(), MAX_CREDENTIALS, problems);
    let credentials = entry.credentials.iter().enumerate();
    let credentials = credentials
        .map(|(at, secret)| admit_secret(&format!("{credentials_path}[{at}]"), secret, problems));
    Provider {
        id: ProviderId::new(&entry.id),
        dialect: match entry.dialect {
            DialectEntry::Openai => Dialect::OpenAi,
            DialectEntry::Anthropic => Dialect::Anthropic,
        },
        base_url,
        credentials: credentials.collect(),
        propagate_trace: entry.propagate_trace,
    }
}

/// A reference to a secret, checked; mistakes go to `problems`. A name that cannot be one is most often the secret itself, pasted, so the
/// message does not repeat it.
pub fn admit_secret(path: &str, entry: &SecretEntry, problems: &mut Problems) -> SecretRef {
    match entry {
        SecretEntry::Env(name) => {
            let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
            if !first || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                let message = "not the name of an environment variable (letters, digits and _); write \
                               the variable's name here, never the secret itself";
                problems.add(format!("{path}.env"), message);
            }
            SecretRef::Env(name.clone())
        }
        SecretEntry::File(file) => {
            if file.is_empty() || file.contains('\0') {
                problems.add(
                    format!("{path}.file"),
                    "not a path; write the path of the file that holds the secret",
                );
            }
            SecretRef::File(file.clone())
        }
    }
}

fn admit_endpoint(
    path: &str,
    provider: &str,
    entry: &EndpointEntry,
    problems: &mut Problems,
) -> Endpoint {
    let ids = (ProviderId::new(provider), ModelId::new(&entry.model), Region::new(&entry.region));
    names::check(&format!("{path}.model"), &entry.model, problems);
    names::check(&format!("{path}.region"), &entry.region, problems);
    check_words(path, entry, problems);
    let (context_tokens, max_output_tokens) = tokens(path, entry, problems);
    let upstream_model = entry.upstream_model.clone().unwrap_or_else(|| entry.model.clone());
    check_text(&format!("{path}.upstream_model"), &upstream_model, problems);
    Endpoint {
        id: EndpointId::of(&ids.0, &ids.1, &ids.2),
        provider: ids.0,
        model: ids.1,
        region: ids.2,
        upstream_model,
        price: price(&format!("{path}.price"), &entry.price, problems),
        context_tokens,
        max_output_tokens,
        capabilities: capabilities(path, &entry.capabilities, problems),
        parameters: entry.parameters.clone(),
        quantization: entry.quantization.clone(),
        jurisdiction: entry.jurisdiction.clone(),
        retention: retention(path, entry.retention, problems),
        training: match entry.training {
            TrainingEntry::No => Training::No,
            TrainingEntry::Yes => Training::Yes,
            TrainingEntry::Unknown => Training::Unknown,
        },
        probe: match entry.probe {
            ProbeEntry::Generate => ProbeMode::Generate,
            ProbeEntry::List => ProbeMode::List,
            ProbeEntry::Connect => ProbeMode::Connect,
            ProbeEntry::None => ProbeMode::None,
        },
        weight: weight(&format!("{path}.weight"), entry.weight, problems),
    }
}

/// An operator's weight, 0 to 1000.
pub(crate) fn weight(path: &str, weight: u32, problems: &mut Problems) -> u16 {
    if weight > MAX_WEIGHT {
        problems
            .add(path, format!("{weight} is too large; a weight is 0 (taken out) to {MAX_WEIGHT}"));
    }
    u16::try_from(weight).unwrap_or(u16::MAX)
}

fn check_words(path: &str, entry: &EndpointEntry, problems: &mut Problems) {
    check_count(&format!("{path}.parameters"), entry.parameters.len(), MAX_PARAMETERS, problems);
    for (at, parameter) in entry.parameters.iter().enumerate() {
        names::check(&format!("{path}.parameters[{at}]"), parameter, problems);
    }
    for (field, word) in
        [("quantization", &entry.quantization), ("jurisdiction", &entry.jurisdiction)]
    {
        if let Some(word) = word {
            names::check(&format!("{path}.{field}"), word, problems);
        }
    }
}

/// Text for others' eyes: not empty, bounded, printable.
pub(crate) fn check_text(path: &str, text: &str, problems: &mut Problems) {
    if text.is_empty() || text.len() > MAX_TEXT_BYTES || text.chars().any(char::is_control) {
        problems.add(path, format!("expected 1 to {MAX_TEXT_BYTES} printable characters"));
    }
}

fn tokens(path: &str, entry: &EndpointEntry, problems: &mut Problems) -> (u64, u64) {
    let context = entry.context_tokens;
    if !(1..=MAX_TOKENS).contains(&context) {
        problems.add(
            format!("{path}.context_tokens"),
            format!("{context} is out of range; use 1 to {MAX_TOKENS}"),
        );
    }
    let output = entry.max_output_tokens.unwrap_or(context);
    if output == 0 || output > context {
        let message = format!("{output} is out of range; use 1 to the context of {context} tokens");
        problems.add(format!("{path}.max_output_tokens"), message);
    }
    (context, output)
}

fn price(path: &str, entry: &PriceEntry, problems: &mut Problems) -> Price {
    let mut amount = |field: &str, usd: f64, most: f64, unit: f64| {
        let pico = if usd <= most { PicoUsd::from_usd_f64(usd / unit) } else { None };
        pico.unwrap_or_else(|| {
            let each = if unit > 1.0 { "for a million tokens" } else { "each" };
            let message = format!("{usd} is not a price; use US dollars {each}, 0 to {most}");
            problems.add(format!("{path}.{field}"), message);
            PicoUsd::ZERO
        })
    };
    let million = 1e6;
    let mut token = |field: &str, usd: f64| amount(field, usd, MAX_USD_PER_MILLION, million);
    let (input, output) = (token("input", entry.input), token("output", entry.output));
    let cache_read = entry.cache_read.map_or(input, |usd| token("cache_read", usd));
    let cache_write = entry.cache_write.map_or(input, |usd| token("cache_write", usd));
    let request = amount("request", entry.request, MAX_USD_EACH, 1.0);
    let image = amount("image", entry.image, MAX_USD_EACH, 1.0);
    Price { input, output, cache_read, cache_write, request, image }
}

fn capabilities(path: &str, entries: &[CapabilityEntry], problems: &mut Problems) -> Capabilities {
    let can = together(entries);
    if !(can.chat || can.completion || can.embedding) {
        let message = "nothing could be sent there; add `chat`, `completion` or `embedding`";
        problems.add(format!("{path}.capabilities"), message);
    }
    can
}

/// What these words mean together.
pub(crate) fn together(entries: &[CapabilityEntry]) -> Capabilities {
    let mut can = Capabilities::default();
    for entry in entries {
        match entry {
            CapabilityEntry::Chat => can.chat = true,
            CapabilityEntry::Completion => can.completion = true,
            CapabilityEntry::Embedding => can.embedding = true,
            CapabilityEntry::Tools => can.tools = true,
            CapabilityEntry::JsonObject => can.json_object = true,
            CapabilityEntry::JsonSchema => can.json_schema = true,
            CapabilityEntry::Images => can.images = true,
        }
    }
    can
}

fn retention(path: &str, entry: RetentionEntry, problems: &mut Problems) -> Retention {
    match entry {
        RetentionEntry::Zero | RetentionEntry::Days(0) => Retention::Zero,
        RetentionEntry::Unknown => Retention::Unknown,
        RetentionEntry::Days(days) => {
            if days > MAX_RETENTION_DAYS {
                let message = format!("{days} days are too many; at most {MAX_RETENTION_DAYS}");
                problems.add(format!("{path}.retention.days"), message);
            }
            Retention::Days(days)
        }
    }
}

/// Reports endpoints written twice, and different ones whose ids happen to be the same.
fn check_identities(document: &CatalogDocument, problems: &mut Problems) {
    let mut seen: BTreeMap<EndpointId, (String, String)> = BTreeMap::new();
    for (at, provider) in document.providers.iter().enumerate() {
        for (place, entry) in provider.endpoints.iter().enumerate() {
            let path = format!("providers[{at}].endpoints[{place}]");
            let name = format!("{}/{}@{}", provider.id, entry.model, entry.region);
            let provider = ProviderId::new(&provider.id);
            let (model, region) = (ModelId::new(&entry.model), Region::new(&entry.region));
            let id = EndpointId::of(&provider, &model, &region);
            match seen.get(&id) {
                Some((first, same)) if *same == name => {
                    let message = format!("`{name}` is also {first}; give one another `region`");
                    problems.add(format!("{path}.model"), message);
                }
                Some((first, other)) => {
                    let message =
                        format!("`{name}` and {first} (`{other}`) have the same id; rename one");
                    problems.add(format!("{path}.model"), message);
                }
                None => {
                    seen.insert(id, (path, name));
                }
            }
        }
    }
}
