//! Models and endpoints → messages: the facts of the HTTP pages in gRPC's shape.

use trunkline_core::catalog::{Price, Retention, Training};
use trunkline_core::id::EndpointId;
use trunkline_core::money::PicoUsd;
use trunkline_core::snapshot::{EndpointState, Snapshot};
use trunkline_proto::health::v1::Verdict;
use trunkline_proto::inference::v1::{Endpoint, Model, Percentiles, Pricing, Uptime};
use trunkline_wire::models;
use trunkline_wire::pico::{format_usd, parse_scaled};

use crate::ingress::pages;

/// Decimal places from USD a token to pico-USD a million tokens: twelve, and six for the million.
const PER_MILLION_PLACES: u32 = 18;
/// Tokens in a million.
const MILLION: u64 = 1_000_000;

/// A number of the store as the contract writes it.
pub fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The message of a model's page.
pub fn model_message(model: models::Model) -> Model {
    Model {
        id: model.id,
        name: model.name,
        created: signed(model.created),
        context_length: model.context_length.unwrap_or_default(),
        max_output_tokens: model.max_completion_tokens.unwrap_or_default(),
        input_modalities: model.architecture.input_modalities,
        output_modalities: model.architecture.output_modalities,
        supported_parameters: model.supported_parameters,
        pricing: Some(pricing_of_page(&model.pricing)),
        ..Model::default()
    }
}

/// The page writes USD a token; the contract, USD a million tokens.
fn pricing_of_page(pricing: &models::Pricing) -> Pricing {
    let tokens =
        |usd: &str| parse_scaled(usd, PER_MILLION_PLACES).filter(|p| *p > 0).map(format_usd);
    let each = |usd: &str| Some(usd.to_owned()).filter(|usd| usd != "0");
    Pricing {
        prompt: tokens(&pricing.prompt),
        completion: tokens(&pricing.completion),
        request: each(&pricing.request),
        image: each(&pricing.image),
        cache_read: pricing.input_cache_read.as_deref().and_then(tokens),
        cache_write: pricing.input_cache_write.as_deref().and_then(tokens),
        reasoning: None,
    }
}

/// The endpoints that a page lists: all of one model, which stand side by side in the snapshot.
pub fn endpoints(snapshot: &Snapshot, page: &models::ModelEndpoints) -> Vec<Endpoint> {
    let first = page.endpoints.first().and_then(|e| EndpointId::parse(&e.id));
    let first = snapshot.endpoints.iter().find(|state| Some(state.endpoint.id) == first);
    let range = first.map(|state| snapshot.endpoints_of(&state.endpoint.model));
    let states = snapshot.endpoints.get(range.unwrap_or_default()).unwrap_or_default();
    states.iter().map(endpoint_message).collect()
}

/// The message of an endpoint.
pub fn endpoint_message(state: &EndpointState) -> Endpoint {
    let endpoint = &state.endpoint;
    let numbers = &state.numbers;
    Endpoint {
        id: endpoint.id.to_string(),
        provider: endpoint.provider.to_string(),
        model: endpoint.model.to_string(),
        region: endpoint.region.to_string(),
        pricing: Some(pricing(&endpoint.price)),
        context_length: endpoint.context_tokens,
        max_output_tokens: endpoint.max_output_tokens,
        supported_parameters: pages::supported_parameters(endpoint),
        quantization: endpoint.quantization.clone().unwrap_or_default(),
        jurisdiction: endpoint.jurisdiction.clone().unwrap_or_default(),
        retention_days: match endpoint.retention {
            Retention::Zero => Some(0),
            Retention::Days(days) => Some(days),
            Retention::Unknown => None,
        },
        trains_on_prompts: match endpoint.training {
            Training::No => Some(false),
            Training::Yes => Some(true),
            Training::Unknown => None,
        },
        verdict: verdict_of_name(state.verdict.as_str()).into(),
        uptime: Some(Uptime { last_5m_permille: numbers.success_permille, ..Uptime::default() }),
        ttft_ms: percentiles(numbers.ttft_p50_ms, numbers.ttft_p99_ms),
        tokens_per_second: percentiles(numbers.tokens_per_second, None),
        weight_q16: state.weight.0.into(),
        drained: state.drained,
    }
}

fn pricing(price: &Price) -> Pricing {
    let tokens =
        |usd: PicoUsd| Some(usd.0.saturating_mul(MILLION)).filter(|p| *p > 0).map(format_usd);
    let each = |usd: PicoUsd| Some(usd.0).filter(|p| *p > 0).map(format_usd);
    Pricing {
        prompt: tokens(price.input),
        completion: tokens(price.output),
        request: each(price.request),
        image: each(price.image),
        cache_read: tokens(price.cache_read),
        cache_write: tokens(price.cache_write),
        reasoning: None,
    }
}

fn percentiles(p50: Option<u32>, p99: Option<u32>) -> Option<Percentiles> {
    let measured = p50.is_some() || p99.is_some();
    let (p50, p99) = (p50.map(f64::from), p99.map(f64::from));
    measured.then(|| Percentiles { p50, p99, ..Percentiles::default() })
}

/// The verdict by the name that records and pages use.
pub fn verdict_of_name(name: &str) -> Verdict {
    match name {
        "unknown" => Verdict::Unknown,
        "up" => Verdict::Up,
        "degraded" => Verdict::Degraded,
        "advisory_down" => Verdict::AdvisoryDown,
        "zone_down" => Verdict::ZoneDown,
        "down" => Verdict::Down,
        "config_error" => Verdict::ConfigError,
        _ => Verdict::Unspecified,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_core::snapshot::Verdict as Known;

    #[test]
    fn every_verdict_has_its_message() {
        for verdict in [
            Known::Unknown,
            Known::Up,
            Known::Degraded,
            Known::AdvisoryDown,
            Known::ZoneDown,
            Known::Down,
            Known::ConfigError,
        ] {
            let said = verdict_of_name(verdict.as_str()).as_str_name().to_lowercase();
            assert_eq!(said, format!("verdict_{}", verdict.as_str()));
        }
    }

    #[test]
    fn prices_are_for_a_million_tokens_and_zero_is_left_out() {
        let price = Price { input: PicoUsd(2_500_000), request: PicoUsd(1), ..Price::default() };
        let page = models::Pricing {
            prompt: price.input.to_string(),
            completion: price.output.to_string(),
            request: price.request.to_string(),
            image: price.image.to_string(),
            ..models::Pricing::default()
        };
        for pricing in [pricing(&price), pricing_of_page(&page)] {
            assert_eq!(pricing.prompt.as_deref(), Some("2.5"));
            assert_eq!(pricing.completion, None);
            assert_eq!(pricing.request.as_deref(), Some("0.000000000001"));
            assert_eq!(pricing.image, None);
        }
    }
}
