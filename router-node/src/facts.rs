//! From a request body to the facts that decisions may know: sizes, needs and wishes, never the text.

use trunkline_core::catalog::Capabilities;
use trunkline_core::draw::affinity_key;
use trunkline_core::facts::{Facts, MaxPrice, Preferences, Sort};
use trunkline_core::money::PicoUsd;
use trunkline_core::names::{self, Asked, Refused};
use trunkline_core::policy::Tenant;
use trunkline_core::snapshot::Snapshot;
use trunkline_wire::error::ErrorType;
use trunkline_wire::operation::Operation;
use trunkline_wire::request::{DataCollection, JsonMode, Peek, ProviderPreferences, SortBy};

use crate::rejection::{Rejection, reject};

/// Bytes of prompt JSON for one token, at most: a lower bound of the tokens, because a hard filter must
/// never exclude what would fit. English has about four and a half.
const BYTES_PER_TOKEN: usize = 6;
/// A prompt with images is mostly base64, which says nothing about tokens; an image costs about this many.
const TOKENS_WITH_IMAGES: u64 = 1_000;
/// Names offered for an unknown model.
const NEAREST_NAMES: usize = 3;

/// The facts of a call.
///
/// # Errors
/// A rejection when a model is not known, or not allowed for the key.
pub fn facts_of(
    peek: &Peek,
    snapshot: &Snapshot,
    tenant: &Tenant,
    session: Option<&str>,
) -> Result<Facts, Rejection> {
    let asked = std::iter::once(&peek.model).chain(&peek.models).map(String::as_str);
    let Asked { models, sort } =
        names::resolve(asked, snapshot, tenant).map_err(|refused| rejected(refused, snapshot))?;
    let session = session.or(peek.session_id.as_deref());
    Ok(Facts {
        models,
        input_tokens: input_tokens(peek),
        max_output_tokens: peek.max_tokens,
        needs: needs(peek),
        parameters: parameters(peek),
        affinity: session.map(|s| affinity_key(s.as_bytes())),
        preferences: preferences(peek.provider.as_deref(), sort),
    })
}

/// The lower bound of a prompt's tokens.
fn input_tokens(peek: &Peek) -> u64 {
    match peek.images {
        0 => (peek.prompt_bytes / BYTES_PER_TOKEN) as u64,
        _ => TOKENS_WITH_IMAGES,
    }
}

fn rejected(refused: Refused<'_>, snapshot: &Snapshot) -> Rejection {
    match refused {
        Refused::Unknown(name) => unknown_model(name, snapshot),
        Refused::NotAllowed(name) => {
            let message =
                format!("this key may not use `{name}`; ask for it to be added to the key");
            reject(ErrorType::PermissionDenied, message)
        }
    }
}

fn unknown_model(name: &str, snapshot: &Snapshot) -> Rejection {
    let near = snapshot.nearest_names(name, NEAREST_NAMES);
    let shown: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
    let hint = if near.is_empty() {
        "GET /v1/models lists what there is".to_owned()
    } else {
        format!("did you mean {}?", near.join(", "))
    };
    let mut rejection =
        reject(ErrorType::ModelNotFound, format!("model `{shown}` does not exist; {hint}"));
    rejection.param = Some("model".to_owned());
    rejection
}

fn needs(peek: &Peek) -> Capabilities {
    Capabilities {
        chat: peek.operation == Operation::Chat,
        completion: peek.operation == Operation::Completion,
        embedding: peek.operation == Operation::Embedding,
        tools: peek.tools,
        json_object: peek.json == JsonMode::Object,
        json_schema: peek.json == JsonMode::Schema,
        images: peek.images > 0,
    }
}

fn parameters(peek: &Peek) -> Vec<String> {
    let required = peek.provider.as_ref().is_some_and(|p| p.require_parameters);
    if required { peek.parameters.names().map(str::to_owned).collect() } else { Vec::new() }
}

fn preferences(
    asked: Option<&ProviderPreferences>,
    suffix: Option<Sort>,
) -> Option<Box<Preferences>> {
    let Some(asked) = asked else {
        return suffix
            .map(|sort| Box::new(Preferences { sort: Some(sort), ..Preferences::default() }));
    };
    let sort = asked.sort.as_ref().map(|sort| match sort.by {
        SortBy::Price => Sort::Price,
        SortBy::Throughput => Sort::Throughput,
        SortBy::Latency => Sort::Latency,
    });
    let max_price = asked.max_price.as_ref().map_or_else(MaxPrice::default, |max| MaxPrice {
        input: max.prompt_pico_usd.map(PicoUsd),
        output: max.completion_pico_usd.map(PicoUsd),
        request: max.request_pico_usd.map(PicoUsd),
        image: max.image_pico_usd.map(PicoUsd),
    });
    Some(Box::new(Preferences {
        order: asked.order.clone(),
        only: asked.only.clone(),
        ignore: asked.ignore.clone(),
        allow_fallbacks: asked.allow_fallbacks,
        require_parameters: asked.require_parameters,
        deny_data_collection: asked.data_collection == Some(DataCollection::Deny),
        zero_retention: asked.zdr,
        quantizations: asked.quantizations.clone(),
        sort: sort.or(suffix),
        min_throughput: asked
            .preferred_min_throughput
            .as_ref()
            .and_then(|p| p.p50)
            .map(|v| v as u32),
        // Seconds, as OpenRouter writes it.
        max_latency_ms: asked
            .preferred_max_latency
            .as_ref()
            .and_then(|p| p.p50)
            .map(|v| (v * 1e3) as u32),
        max_price,
    }))
}
