//! The hard filters: why an endpoint may not serve a call, whatever its health. Nothing overrides them;
//! a request can only add to what the key and the policy demand.

use crate::catalog::{Capabilities, Retention, Training};
use crate::facts::{Facts, MaxPrice, Preferences};
use crate::policy::{DataRules, Policy, Tenant};
use crate::snapshot::{EndpointState, Verdict};

/// Why an endpoint was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exclusion {
    /// An operator drains it.
    Drained,
    /// Its operator weight is zero.
    ZeroWeight,
    /// It refuses our credential or does not know the model.
    ConfigError,
    /// It cannot do what the request needs.
    Capability,
    /// Prompt and answer do not fit its window.
    ContextWindow,
    /// Its longest answer is shorter than what was asked for.
    MaxOutput,
    /// A data rule of the policy forbids it.
    PolicyDataRule,
    /// A data rule of the key forbids it.
    KeyDataRule,
    /// The key may not use its provider.
    KeyProvider,
    /// The request's data wishes (`data_collection`, `zdr`) forbid it.
    RequestDataRule,
    /// Not among the request's `only`.
    NotInOnly,
    /// Among the request's `ignore`.
    Ignored,
    /// Its quantization is not among those the request allows.
    Quantization,
    /// It does not honour a parameter, and the request demands all.
    Parameter,
    /// It costs more than the request's `max_price`.
    MaxPrice,
}

impl Exclusion {
    /// All of them, in their order.
    pub const ALL: [Self; 15] = [
        Self::Drained,
        Self::ZeroWeight,
        Self::ConfigError,
        Self::Capability,
        Self::ContextWindow,
        Self::MaxOutput,
        Self::PolicyDataRule,
        Self::KeyDataRule,
        Self::KeyProvider,
        Self::RequestDataRule,
        Self::NotInOnly,
        Self::Ignored,
        Self::Quantization,
        Self::Parameter,
        Self::MaxPrice,
    ];

    /// The name in records and error bodies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Drained => "drained",
            Self::ZeroWeight => "zero_weight",
            Self::ConfigError => "config_error",
            Self::Capability => "capability",
            Self::ContextWindow => "context_window",
            Self::MaxOutput => "max_output",
            Self::PolicyDataRule => "policy_data_rule",
            Self::KeyDataRule => "key_data_rule",
            Self::KeyProvider => "key_provider",
            Self::RequestDataRule => "request_data_rule",
            Self::NotInOnly => "not_in_only",
            Self::Ignored => "ignored",
            Self::Quantization => "quantization",
            Self::Parameter => "parameter",
            Self::MaxPrice => "max_price",
        }
    }
}

/// The first reason that forbids the endpoint, in the order of [`Exclusion`]; `None` when it is allowed.
pub fn exclusion(
    state: &EndpointState,
    policy: &Policy,
    tenant: &Tenant,
    facts: &Facts,
) -> Option<Exclusion> {
    by_operator(state)
        .or_else(|| by_ability(state, facts))
        .or_else(|| by_rule(state, &policy.data, tenant))
        .or_else(|| by_wish(state, facts))
}

fn by_operator(state: &EndpointState) -> Option<Exclusion> {
    if state.drained {
        Some(Exclusion::Drained)
    } else if state.operator_weight == 0 {
        Some(Exclusion::ZeroWeight)
    } else if state.verdict == Verdict::ConfigError {
        Some(Exclusion::ConfigError)
    } else {
        None
    }
}

fn by_ability(state: &EndpointState, facts: &Facts) -> Option<Exclusion> {
    let endpoint = &state.endpoint;
    let output = facts.max_output_tokens.unwrap_or(0);
    if !covers(endpoint.capabilities, facts.needs) {
        Some(Exclusion::Capability)
    } else if facts.input_tokens.saturating_add(output) > endpoint.context_tokens {
        Some(Exclusion::ContextWindow)
    } else if output > endpoint.max_output_tokens {
        Some(Exclusion::MaxOutput)
    } else {
        None
    }
}

fn covers(has: Capabilities, needs: Capabilities) -> bool {
    let pairs = [
        (has.chat, needs.chat),
        (has.completion, needs.completion),
        (has.embedding, needs.embedding),
        (has.tools, needs.tools),
        (has.json_object || has.json_schema, needs.json_object),
        (has.json_schema, needs.json_schema),
        (has.images, needs.images),
    ];
    pairs.iter().all(|(has, needs)| *has || !*needs)
}

fn by_rule(state: &EndpointState, policy: &DataRules, tenant: &Tenant) -> Option<Exclusion> {
    let endpoint = &state.endpoint;
    if !policy.allow(endpoint) {
        Some(Exclusion::PolicyDataRule)
    } else if !tenant.data.allow(endpoint) {
        Some(Exclusion::KeyDataRule)
    } else if tenant.providers.as_ref().is_some_and(|p| !p.contains(&endpoint.provider)) {
        Some(Exclusion::KeyProvider)
    } else {
        None
    }
}

fn by_wish(state: &EndpointState, facts: &Facts) -> Option<Exclusion> {
    let wishes = facts.preferences.as_deref()?;
    let endpoint = &state.endpoint;
    let provider = endpoint.provider.as_str();
    let keeps_data = wishes.zero_retention && endpoint.retention != Retention::Zero;
    let trains = wishes.deny_data_collection && endpoint.training != Training::No;
    if keeps_data || trains {
        Some(Exclusion::RequestDataRule)
    } else if wishes.only.as_ref().is_some_and(|only| !only.iter().any(|p| p == provider)) {
        Some(Exclusion::NotInOnly)
    } else if wishes.ignore.iter().any(|p| p == provider) {
        Some(Exclusion::Ignored)
    } else if only_ordered(wishes) && !wishes.order.iter().any(|p| p == provider) {
        Some(Exclusion::NotInOnly)
    } else if !quantization_allowed(state, wishes) {
        Some(Exclusion::Quantization)
    } else if wishes.require_parameters && !honours_all(state, &facts.parameters) {
        Some(Exclusion::Parameter)
    } else if too_dear(state, &wishes.max_price) {
        Some(Exclusion::MaxPrice)
    } else {
        None
    }
}

/// An order without fallbacks allows the ordered providers alone.
fn only_ordered(wishes: &Preferences) -> bool {
    !wishes.allow_fallbacks && !wishes.order.is_empty()
}

fn quantization_allowed(state: &EndpointState, wishes: &Preferences) -> bool {
    let stated = state.endpoint.quantization.as_deref().unwrap_or("unknown");
    wishes.quantizations.is_empty() || wishes.quantizations.iter().any(|q| q == stated)
}

fn honours_all(state: &EndpointState, parameters: &[String]) -> bool {
    let honoured = &state.endpoint.parameters;
    honoured.is_empty() || parameters.iter().all(|p| honoured.contains(p))
}

fn too_dear(state: &EndpointState, max: &MaxPrice) -> bool {
    let price = &state.endpoint.price;
    let pairs = [
        (price.input, max.input),
        (price.output, max.output),
        (price.request, max.request),
        (price.image, max.image),
    ];
    pairs.iter().any(|(price, max)| max.is_some_and(|max| *price > max))
}

#[cfg(test)]
mod tests;
