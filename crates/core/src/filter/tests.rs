//! One story for each reason to leave an endpoint out.

use super::*;
use crate::catalog::Capabilities;
use crate::facts::MaxPrice;
use crate::id::{ModelId, ProviderId};
use crate::money::PicoUsd;
use crate::story::{anyone, endpoint};

fn facts() -> Facts {
    let needs = Capabilities { chat: true, ..Capabilities::default() };
    Facts { models: vec![ModelId::new("m")], input_tokens: 1_000, needs, ..Facts::default() }
}

fn why(state: &EndpointState, facts: &Facts) -> Option<Exclusion> {
    exclusion(state, &Policy::default(), &anyone(), facts)
}

fn wishing(change: impl FnOnce(&mut Preferences)) -> Facts {
    let mut wishes = Preferences::default();
    change(&mut wishes);
    Facts { preferences: Some(Box::new(wishes)), ..facts() }
}

#[test]
fn an_ordinary_endpoint_is_allowed() {
    assert_eq!(why(&endpoint("a", "m"), &facts()), None);
}

#[test]
fn operators_and_credentials_come_first() {
    let drained = EndpointState { drained: true, ..endpoint("a", "m") };
    assert_eq!(why(&drained, &facts()), Some(Exclusion::Drained));
    let zero = EndpointState { operator_weight: 0, ..endpoint("a", "m") };
    assert_eq!(why(&zero, &facts()), Some(Exclusion::ZeroWeight));
    let refused = EndpointState { verdict: Verdict::ConfigError, ..endpoint("a", "m") };
    assert_eq!(why(&refused, &facts()), Some(Exclusion::ConfigError));
}

#[test]
fn what_it_cannot_do_it_is_not_asked_for() {
    for need in [
        Capabilities { tools: true, ..Capabilities::default() },
        Capabilities { images: true, ..Capabilities::default() },
        Capabilities { json_schema: true, ..Capabilities::default() },
        Capabilities { embedding: true, ..Capabilities::default() },
    ] {
        let facts = Facts { needs: need, ..facts() };
        assert_eq!(why(&endpoint("a", "m"), &facts), Some(Exclusion::Capability));
    }
}

#[test]
fn a_schema_can_also_make_plain_objects() {
    let mut state = endpoint("a", "m");
    state.endpoint.capabilities.json_schema = true;
    let needs = Capabilities { json_object: true, ..Capabilities::default() };
    assert_eq!(why(&state, &Facts { needs, ..facts() }), None);
}

#[test]
fn window_and_longest_answer_are_bounds() {
    let state = endpoint("a", "m");
    let long = Facts { input_tokens: 7_000, max_output_tokens: Some(1_001), ..facts() };
    assert_eq!(why(&state, &long), Some(Exclusion::ContextWindow));
    let fits = Facts { input_tokens: 7_000, max_output_tokens: Some(1_000), ..facts() };
    assert_eq!(why(&state, &fits), None);
    let much = Facts { input_tokens: 1, max_output_tokens: Some(4_001), ..facts() };
    assert_eq!(why(&state, &much), Some(Exclusion::MaxOutput));
}

#[test]
fn unknown_retention_and_training_are_never_allowed_where_a_rule_speaks() {
    let state = endpoint("a", "m");
    let strict = |data: DataRules| Policy { data, ..Policy::default() };
    for data in [
        DataRules { no_training: true, ..DataRules::default() },
        DataRules { max_retention_days: Some(30), ..DataRules::default() },
        DataRules { jurisdictions: Some(vec!["eu".to_owned()]), ..DataRules::default() },
    ] {
        let policy = strict(data.clone());
        let by_policy = exclusion(&state, &policy, &anyone(), &facts());
        assert_eq!(by_policy, Some(Exclusion::PolicyDataRule));
        let tenant = Tenant { data, ..anyone() };
        let by_key = exclusion(&state, &Policy::default(), &tenant, &facts());
        assert_eq!(by_key, Some(Exclusion::KeyDataRule));
    }
}

#[test]
fn a_request_can_tighten_but_not_loosen() {
    let mut state = endpoint("a", "m");
    state.endpoint.training = Training::Yes;
    let deny = wishing(|w| w.deny_data_collection = true);
    assert_eq!(why(&state, &deny), Some(Exclusion::RequestDataRule));
    let zdr = wishing(|w| w.zero_retention = true);
    assert_eq!(why(&state, &zdr), Some(Exclusion::RequestDataRule));
    let tenant = Tenant { providers: Some(vec![ProviderId::new("b")]), ..anyone() };
    let only_a = wishing(|w| w.only = Some(vec!["a".to_owned()]));
    let still = exclusion(&state, &Policy::default(), &tenant, &only_a);
    assert_eq!(still, Some(Exclusion::KeyProvider));
}

#[test]
fn only_and_ignore_name_providers() {
    let state = endpoint("a", "m");
    let only = wishing(|w| w.only = Some(vec!["b".to_owned()]));
    assert_eq!(why(&state, &only), Some(Exclusion::NotInOnly));
    let ignore = wishing(|w| w.ignore = vec!["a".to_owned()]);
    assert_eq!(why(&state, &ignore), Some(Exclusion::Ignored));
}

#[test]
fn parameters_matter_only_when_all_are_required() {
    let mut state = endpoint("a", "m");
    state.endpoint.parameters = vec!["temperature".to_owned()];
    let mut facts = wishing(|_| {});
    facts.parameters = vec!["seed".to_owned()];
    assert_eq!(why(&state, &facts), None);
    let mut facts = wishing(|w| w.require_parameters = true);
    facts.parameters = vec!["seed".to_owned()];
    assert_eq!(why(&state, &facts), Some(Exclusion::Parameter));
}

#[test]
fn a_price_bound_is_hard_and_inclusive() {
    let state = endpoint("a", "m");
    let bound = |input| {
        wishing(|w| w.max_price = MaxPrice { input: Some(PicoUsd(input)), ..MaxPrice::default() })
    };
    assert_eq!(why(&state, &bound(99)), Some(Exclusion::MaxPrice));
    assert_eq!(why(&state, &bound(100)), None);
}

#[test]
fn unstated_quantization_can_be_asked_for_as_unknown() {
    let state = endpoint("a", "m");
    let fp8 = wishing(|w| w.quantizations = vec!["fp8".to_owned()]);
    assert_eq!(why(&state, &fp8), Some(Exclusion::Quantization));
    let unknown = wishing(|w| w.quantizations = vec!["unknown".to_owned()]);
    assert_eq!(why(&state, &unknown), None);
}
