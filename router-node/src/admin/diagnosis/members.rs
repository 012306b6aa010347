//! What is wrong with routers and probers.

use std::collections::{BTreeMap, BTreeSet};

use trunkline_proto::admin::v1::{Finding, ProberStatus, RouterStatus};

use super::finding;

/// With fewer probers than this none of them may be wrong, or be lost.
const MIN_PROBERS: usize = 3;
/// A prober that thinks this badly of its own state is slow to see anything.
const UNWELL: u32 = 4;
/// Digits of a digest that tell two apart.
const DIGEST_DIGITS: usize = 12;

/// What is wrong with routers.
pub fn of_routers(routers: &[RouterStatus]) -> Vec<Finding> {
    let mut found = Vec::new();
    for router in routers {
        let subject = || format!("router/{}", router.router_id);
        if router.lag_revisions > 0 {
            let (at, lag) = (router.applied_revision, router.lag_revisions);
            let problem = format!("it is at revision {at}, {lag} behind");
            let remedy = "ask again in a few seconds; if it stays, look at its log and its link to the store";
            found.push(finding("router_behind", subject(), problem, remedy));
        }
    }
    found.extend(refused(routers));
    found.extend(digests(routers));
    found.extend(versions(routers));
    found
}

/// What routers refuse. All of them refuse the same for the same reason, most often: that is told once.
fn refused(routers: &[RouterStatus]) -> Vec<Finding> {
    let mut by: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for router in routers {
        for nack in &router.nacks {
            by.entry((&nack.key, &nack.reason)).or_default().push(&router.router_id);
        }
    }
    let told = by.into_iter().map(|((key, reason), ids)| {
        let (subject, problem) = match ids.as_slice() {
            [id] => (format!("router/{id}"), format!("it refuses {key}: {reason}")),
            all => ("routers".to_owned(), format!("{} refuse {key}: {reason}", all.join(", "))),
        };
        let remedy = "the last good one is in force: write the record anew, or confirm the catalog when all that was \
                      taken away is meant to go";
        finding("record_refused", subject, problem, remedy)
    });
    told.collect()
}

/// At one revision every router has the same table, or one of them decides by other rules.
fn digests(routers: &[RouterStatus]) -> Vec<Finding> {
    let mut at: BTreeMap<i64, BTreeMap<&str, Vec<&str>>> = BTreeMap::new();
    for router in routers {
        let digest = router.table_digest.get(..DIGEST_DIGITS).unwrap_or(&router.table_digest);
        let same = at.entry(router.applied_revision).or_default();
        same.entry(digest).or_default().push(&router.router_id);
    }
    let differ = at.into_iter().filter(|(_, digests)| digests.len() > 1);
    let told = differ.map(|(revision, digests)| {
        let told =
            digests.iter().map(|(digest, ids)| format!("{} has {digest}", ids.join(" and ")));
        let told = told.collect::<Vec<_>>().join(", ");
        let problem = format!("tables differ at revision {revision}: {told}");
        finding("digests_differ", "routers".to_owned(), problem, "run one release on all routers")
    });
    told.collect()
}

fn versions(routers: &[RouterStatus]) -> Option<Finding> {
    let versions: BTreeSet<&str> = routers.iter().map(|r| r.version.as_str()).collect();
    (versions.len() > 1).then(|| {
        let versions = versions.into_iter().collect::<Vec<_>>().join(", ");
        let problem = format!("they run {versions}");
        finding("versions_differ", "routers".to_owned(), problem, "finish the update")
    })
}

/// What is wrong with probers.
pub fn of_probers(probers: &[ProberStatus]) -> Vec<Finding> {
    let mut found = Vec::new();
    if probers.len() < MIN_PROBERS {
        let problem = match probers.len() {
            0 => "none is alive: nothing is measured, and nothing is taken out for failing",
            1 => "one is alive: it takes two to take an endpoint out",
            _ => "two are alive: both must agree, and with one of them lost nothing is taken out",
        };
        let remedy = "run health-prober at least three times, in different zones";
        found.push(finding("few_probers", "probers".to_owned(), problem.to_owned(), remedy));
    }
    let zones: BTreeSet<&str> = probers.iter().map(|prober| prober.zone.as_str()).collect();
    if probers.len() > 1 && zones.len() == 1 {
        let problem = "all stand in one zone: its network's trouble looks like the providers'";
        let remedy = "spread them over zones, and say so with --zone";
        found.push(finding("one_zone", "probers".to_owned(), problem.to_owned(), remedy));
    }
    for prober in probers {
        let subject = format!("prober/{}", prober.prober_id);
        if prober.self_suspect {
            let problem = "it doubts its own network: its votes do not count".to_owned();
            let remedy = "look at its machine's network, and at its log";
            found.push(finding("prober_doubts_itself", subject, problem, remedy));
        } else if prober.local_health >= UNWELL {
            let problem = format!("it is unwell: {} of 8", prober.local_health);
            let remedy = "give it more processor time";
            found.push(finding("prober_unwell", subject, problem, remedy));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use trunkline_proto::admin::v1::Nack;

    use super::*;

    fn router(id: &str, at: i64, digest: &str) -> RouterStatus {
        RouterStatus {
            router_id: id.to_owned(),
            applied_revision: at,
            table_digest: digest.to_owned(),
            ..RouterStatus::default()
        }
    }

    fn prober(id: &str, zone: &str) -> ProberStatus {
        ProberStatus { prober_id: id.to_owned(), zone: zone.to_owned(), ..ProberStatus::default() }
    }

    #[test]
    fn different_digests_count_at_one_revision_only() {
        let even = [router("r1", 7, "aa"), router("r2", 7, "aa"), router("r3", 6, "bb")];
        assert_eq!(of_routers(&even), []);
        let odd = [router("r1", 7, "aa"), router("r2", 7, "bb")];
        let found = of_routers(&odd);
        assert_eq!(found[0].problem, "tables differ at revision 7: r1 has aa, r2 has bb");
    }

    #[test]
    fn what_all_routers_refuse_is_told_once() {
        let nack = |key: &str| Nack {
            key: key.to_owned(),
            reason: "it was deleted".to_owned(),
            ..Nack::default()
        };
        let refusing = |id, nacks| RouterStatus { nacks, ..router(id, 7, "aa") };
        let routers = [refusing("r1", vec![nack("a"), nack("b")]), refusing("r2", vec![nack("a")])];
        let found = of_routers(&routers);
        let told: Vec<_> = found.iter().map(|f| (f.subject.as_str(), f.problem.as_str())).collect();
        assert_eq!(
            told,
            [
                ("routers", "r1, r2 refuse a: it was deleted"),
                ("router/r1", "it refuses b: it was deleted")
            ]
        );
    }

    #[test]
    fn probers_need_company_and_different_zones() {
        let codes = |zones: &[&str]| {
            let probers: Vec<_> = zones.iter().map(|zone| prober("p", zone)).collect();
            of_probers(&probers).into_iter().map(|found| found.code).collect::<Vec<_>>()
        };
        assert_eq!(codes(&[]), ["few_probers"]);
        assert_eq!(codes(&["x"]), ["few_probers"]);
        assert_eq!(codes(&["x", "y"]), ["few_probers"], "as the alert has it");
        assert_eq!(codes(&["x", "x", "x"]), ["one_zone"]);
        assert_eq!(codes(&["x", "y", "z"]), [""; 0]);
    }
}
