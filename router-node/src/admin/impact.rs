//! What an edit changes, from the consensus before and after it: the same pure function that every router
//! applies, on the proposed state.

use std::collections::{BTreeMap, BTreeSet};

use trunkline_core::catalog::Endpoint;
use trunkline_core::id::{EndpointId, ModelId};
use trunkline_proto::admin::v1::{Impact, ModelImpact};

use super::state::Outlook;

/// An edit that moves a larger share of a model's weight at once, in ‰, must be forced.
const MOST_MOVED_PERMILLE: u32 = 300;

/// What changes from `before` to `after`.
pub fn between(before: &Outlook, after: &Outlook) -> Impact {
    let mut weights: BTreeMap<&ModelId, BTreeMap<EndpointId, (u64, u64)>> = BTreeMap::new();
    for endpoint in &before.catalog.endpoints {
        let pair = weights.entry(&endpoint.model).or_default().entry(endpoint.id).or_default();
        pair.0 = weight(before, endpoint);
    }
    for endpoint in &after.catalog.endpoints {
        let pair = weights.entry(&endpoint.model).or_default().entry(endpoint.id).or_default();
        pair.1 = weight(after, endpoint);
    }
    let models: Vec<ModelImpact> = weights
        .into_iter()
        .map(|(model, weights)| of_model(model, &weights.into_values().collect::<Vec<_>>()))
        .filter(|m| m.moved_permille > 0 || m.usable_endpoints_before != m.usable_endpoints_after)
        .collect();
    let mut violations: Vec<String> = models.iter().filter_map(violation).collect();
    let (had, has) = (usable_names(before), usable_names(after));
    let lost = had.difference(&has).map(|name| nothing_left(name));
    let lost: Vec<String> = lost.filter(|text| !violations.contains(text)).collect();
    violations.extend(lost);
    Impact { models, violations, targets: Vec::new() }
}

/// The same for an edit that holds for a share of the calls alone, in ‰: so much less moves. What a name would be
/// left with is no question of shares.
pub fn at_share(before: &Outlook, after: &Outlook, permille: u32) -> Impact {
    of_share(between(before, after), permille)
}

fn of_share(whole: Impact, permille: u32) -> Impact {
    let mut impact = whole;
    let too_much: Vec<String> = impact.models.iter().filter_map(violation).collect();
    impact.violations.retain(|text| !too_much.contains(text));
    for model in &mut impact.models {
        model.moved_permille = (model.moved_permille * permille).div_ceil(1_000);
    }
    let broken: Vec<String> = impact.models.iter().filter_map(violation).collect();
    impact.violations.splice(0..0, broken);
    impact
}

fn of_model(model: &ModelId, weights: &[(u64, u64)]) -> ModelImpact {
    let (before, after): (Vec<u64>, Vec<u64>) = weights.iter().copied().unzip();
    ModelImpact {
        model: model.to_string(),
        moved_permille: moved_permille(&before, &after),
        usable_endpoints_before: before.iter().filter(|weight| **weight > 0).count() as u32,
        usable_endpoints_after: after.iter().filter(|weight| **weight > 0).count() as u32,
    }
}

/// What an endpoint weighs for calls without wishes: nothing where it is out, or where the policy's data rules
/// keep every prompt from it.
fn weight(outlook: &Outlook, endpoint: &Endpoint) -> u64 {
    let row = outlook.table.rows.get(&endpoint.id).filter(|row| row.eligible());
    let row = row.filter(|_| outlook.policy.data.allow(endpoint));
    row.map_or(0, |row| u64::from(row.weight.0))
}

/// The names clients may ask for that lead to an endpoint which calls may go to.
fn usable_names(outlook: &Outlook) -> BTreeSet<&str> {
    let endpoints = outlook.catalog.endpoints.iter();
    let served = endpoints.filter(|endpoint| weight(outlook, endpoint) > 0);
    let served: BTreeSet<&ModelId> = served.map(|endpoint| &endpoint.model).collect();
    let routes = &outlook.policy.routes;
    let usable = routes.iter().filter(|(_, route)| route.models.iter().any(|m| served.contains(m)));
    let models = served.iter().map(|model| model.as_str());
    let unrouted = models.filter(|name| !routes.contains_key(*name));
    usable.map(|(name, _)| name.as_str()).chain(unrouted).collect()
}

fn nothing_left(name: &str) -> String {
    format!("{name} would have no usable endpoint left")
}

/// Half of the sum of the differences between the shares: what leaves one endpoint arrives at another. All of
/// it when nothing is left, none when there was nothing to move.
fn moved_permille(before: &[u64], after: &[u64]) -> u32 {
    let (had, has): (u64, u64) = (before.iter().sum(), after.iter().sum());
    if had == 0 {
        return 0;
    }
    if has == 0 {
        return 1000;
    }
    // In 128 bits: weights are below 2^26, but a model may have thousands of endpoints.
    let (had, has) = (u128::from(had), u128::from(has));
    let differences = before.iter().zip(after).map(|(b, a)| {
        let (b, a) = (u128::from(*b) * has, u128::from(*a) * had);
        b.abs_diff(a)
    });
    let moved = differences.sum::<u128>() * 500 / (had * has);
    u32::try_from(moved).unwrap_or(1000)
}

fn violation(impact: &ModelImpact) -> Option<String> {
    let model = &impact.model;
    if impact.usable_endpoints_before > 0 && impact.usable_endpoints_after == 0 {
        return Some(nothing_left(model));
    }
    (impact.moved_permille > MOST_MOVED_PERMILLE).then(|| {
        let (percent, tenths) = (impact.moved_permille / 10, impact.moved_permille % 10);
        let most = MOST_MOVED_PERMILLE / 10;
        format!(
            "{percent}.{tenths} % of the weight of {model} would move at once, of {most} % allowed"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_is_what_changes_hands() {
        assert_eq!(moved_permille(&[1, 1], &[1, 1]), 0);
        assert_eq!(moved_permille(&[1, 1], &[0, 1]), 500);
        assert_eq!(moved_permille(&[1, 1, 2], &[1, 1, 0]), 500);
        assert_eq!(moved_permille(&[3, 1], &[3, 3]), 250);
        assert_eq!(moved_permille(&[5, 5], &[500, 500]), 0);
    }

    #[test]
    fn the_last_endpoint_takes_everything_with_it_and_the_first_brings_nothing() {
        assert_eq!(moved_permille(&[7], &[0]), 1000);
        assert_eq!(moved_permille(&[0, 0], &[1, 0]), 0);
    }

    #[test]
    fn too_much_at_once_and_the_last_endpoint_are_against_the_rules() {
        let impact = |moved_permille, before, after| ModelImpact {
            model: "m".to_owned(),
            moved_permille,
            usable_endpoints_before: before,
            usable_endpoints_after: after,
        };
        assert_eq!(violation(&impact(300, 4, 3)), None);
        assert!(violation(&impact(301, 4, 3)).unwrap().contains("30.1 %"));
        assert!(violation(&impact(1000, 1, 0)).unwrap().contains("no usable endpoint"));
    }

    /// Two endpoints of one model, in Europe and in the United States, behind an alias; all in good health.
    fn outlook(policy: &str, drained: bool) -> Outlook {
        let catalog = "version: 1\nproviders:\n\
            - {id: a, base_url: https://a.example, endpoints: [{model: m, jurisdiction: eu}]}\n\
            - {id: b, base_url: https://b.example, endpoints: [{model: m, jurisdiction: us}]}\n";
        let catalog = trunkline_spec::catalog::parse(catalog).unwrap();
        let policy = trunkline_spec::policy::parse(&format!("version: 1\n{policy}")).unwrap();
        let rows = catalog.endpoints.iter().map(|endpoint| {
            let drained = drained && endpoint.provider.as_str() == "a";
            let weight = trunkline_core::snapshot::Weight(100);
            let row = trunkline_core::assess::Row {
                drained,
                weight,
                operator_weight: 100,
                ..Default::default()
            };
            (endpoint.id, row)
        });
        let table = trunkline_core::assess::Table { rows: rows.collect(), ..Default::default() };
        Outlook { catalog, policy: policy.into(), candidate: None, table }
    }

    #[test]
    fn an_edit_for_a_share_of_the_calls_moves_that_share() {
        let eu = "data: {jurisdictions: [eu]}";
        let whole = between(&outlook("", false), &outlook(eu, false));
        assert_eq!(whole.violations.len(), 1, "half of the weight moves");
        let share = at_share(&outlook("", false), &outlook(eu, false), 50);
        assert_eq!((share.models[0].moved_permille, share.violations.len()), (25, 0));
        let gone = at_share(&outlook(eu, false), &outlook(eu, true), 50);
        assert_eq!(gone.violations, ["m would have no usable endpoint left"]);
    }

    #[test]
    fn what_data_rules_keep_out_weighs_nothing() {
        let eu = "data: {jurisdictions: [eu]}";
        let impact = between(&outlook("", false), &outlook(eu, false));
        assert_eq!(impact.models[0].moved_permille, 500);
        assert_eq!(impact.models[0].usable_endpoints_after, 1);
        let impact = between(&outlook(eu, false), &outlook(eu, true));
        assert_eq!(impact.violations, ["m would have no usable endpoint left"]);
    }

    #[test]
    fn names_that_lead_nowhere_any_more_are_told() {
        let impact = between(&outlook("aliases: {fast: m}", false), &outlook("", false));
        assert_eq!(impact.violations, ["fast would have no usable endpoint left"]);
        let impact = between(&outlook("", false), &outlook("aliases: {m: gone}", false));
        assert_eq!(impact.violations, ["m would have no usable endpoint left"]);
    }
}
