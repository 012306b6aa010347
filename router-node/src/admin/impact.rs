//! What an edit changes, from the consensus before and after it: the same pure function that every router
//! applies, on the proposed state.

use std::collections::BTreeMap;

use trunkline_core::assess::{Row, Table};
use trunkline_core::catalog::Catalog;
use trunkline_core::id::ModelId;
use trunkline_proto::admin::v1::{Impact, ModelImpact};

/// An edit that moves a larger share of a model's weight at once, in ‰, must be forced.
const MOST_MOVED_PERMILLE: u32 = 300;

/// What changes from `before` to `after`.
pub fn between(catalog: &Catalog, before: &Table, after: &Table) -> Impact {
    let mut shares: BTreeMap<&ModelId, Vec<(&Row, &Row)>> = BTreeMap::new();
    for endpoint in &catalog.endpoints {
        if let Some(rows) = before.rows.get(&endpoint.id).zip(after.rows.get(&endpoint.id)) {
            shares.entry(&endpoint.model).or_default().push(rows);
        }
    }
    let models: Vec<ModelImpact> = shares
        .into_iter()
        .map(|(model, rows)| of_model(model, &rows))
        .filter(|m| m.moved_permille > 0 || m.usable_endpoints_before != m.usable_endpoints_after)
        .collect();
    let violations = models.iter().filter_map(violation).collect();
    Impact { models, violations }
}

fn of_model(model: &ModelId, rows: &[(&Row, &Row)]) -> ModelImpact {
    let usable = |row: &Row| row.eligible() && row.weight.0 > 0;
    let before: Vec<u64> = rows.iter().map(|(row, _)| weight(row)).collect();
    let after: Vec<u64> = rows.iter().map(|(_, row)| weight(row)).collect();
    ModelImpact {
        model: model.to_string(),
        moved_permille: moved_permille(&before, &after),
        usable_endpoints_before: rows.iter().filter(|(row, _)| usable(row)).count() as u32,
        usable_endpoints_after: rows.iter().filter(|(_, row)| usable(row)).count() as u32,
    }
}

fn weight(row: &Row) -> u64 {
    if row.eligible() { u64::from(row.weight.0) } else { 0 }
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
        return Some(format!("{model} would have no usable endpoint left"));
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
}
