//! What is wrong with the store.

use trunkline_proto::admin::v1::{Finding, StoreMember};
use trunkline_store::port::{About, Member, Told};

use super::finding;
use crate::ingress::grpc::signed;

/// The store speaks every few seconds at least when it is well.
const SILENT_MS: u64 = 15_000;
/// From this part of its quota on, in percent, a member is nearly full.
const FULL_PERCENT: u64 = 80;

/// All of them.
pub fn findings(about: &About, heard_ms_ago: u64) -> Vec<Finding> {
    let mut found = Vec::new();
    if heard_ms_ago > SILENT_MS {
        let problem = format!("this router has heard nothing of it for {} s", heard_ms_ago / 1000);
        let remedy =
            "look at its members, and at the network between; calls go on with the last state";
        found.push(finding("store_silent", "store".to_owned(), problem, remedy));
    }
    for member in &about.members {
        let subject = || format!("store/{}", member.address);
        match &member.told {
            Ok(told) => found.extend(of_member(told, subject())),
            Err(reason) => {
                let remedy = "start it, or take its address out of store.etcd.endpoints";
                let problem = format!("it does not answer: {reason}");
                found.push(finding("store_member_unreachable", subject(), problem, remedy));
            }
        }
    }
    found.extend(of_cluster(&about.members));
    found
}

fn of_member(told: &Told, subject: String) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut add = |code: &str, problem: String, remedy: &str| {
        found.push(finding(code, subject.clone(), problem, remedy));
    };
    if told.leaderless {
        let remedy = "bring back a majority of the members; until then nothing can be written";
        add("store_leaderless", "it knows no leader".to_owned(), remedy);
    }
    for complaint in &told.complaints {
        add("store_alarm", complaint.clone(), "see etcdctl alarm list, and what it names");
    }
    if let Some((size, quota)) = told.size_bytes.zip(told.quota_bytes)
        && size > quota / 100 * FULL_PERCENT
    {
        let problem =
            format!("its data takes {size} of {quota} bytes; when full it refuses writes");
        add("store_nearly_full", problem, "compact and defragment it, or raise its quota");
    }
    if let (Some(version), Some(why)) = (&told.version, told.outdated) {
        let problem = format!("it runs etcd {version}: {why}");
        add("store_outdated", problem, "update it to 3.5.33, 3.6.14 or newer");
    }
    found
}

/// An even number of members tolerates no more losses than one fewer, and loses more often.
fn of_cluster(members: &[Member]) -> Option<Finding> {
    let count = members.len();
    (count > 0 && count.is_multiple_of(2)).then(|| {
        let problem =
            format!("it has {count} members: one more loss is tolerated only with one more");
        finding("store_even", "store".to_owned(), problem, "run three or five members")
    })
}

/// A member as the answer lists it.
pub fn member(member: Member) -> StoreMember {
    let told = member.told.as_ref().ok();
    StoreMember {
        reachable: told.is_some(),
        version: told.and_then(|told| told.version.clone()).unwrap_or_default(),
        size_bytes: told.and_then(|told| told.size_bytes).map(signed),
        address: member.address,
    }
}

#[cfg(test)]
mod tests {
    use trunkline_store::port::Kind;

    use super::*;

    fn codes(members: Vec<Result<Told, String>>, heard_ms_ago: u64) -> Vec<String> {
        let members = members.into_iter().map(|told| Member { address: "http://e".into(), told });
        let about = About { kind: Kind::Etcd, members: members.collect() };
        findings(&about, heard_ms_ago).into_iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn a_store_that_is_well_is_not_found_fault_with() {
        assert_eq!(codes(Vec::new(), 3_000), Vec::<String>::new());
        let full =
            Told { size_bytes: Some(1 << 30), quota_bytes: Some(8 << 30), ..Told::default() };
        assert_eq!(codes(vec![Ok(full)], 3_000), Vec::<String>::new());
    }

    #[test]
    fn silence_loss_fullness_and_age_are_told_apart() {
        let ill = Told {
            version: Some("3.4.23".into()),
            outdated: Some("old"),
            size_bytes: Some(7 << 30),
            quota_bytes: Some(8 << 30),
            leaderless: true,
            complaints: vec!["NOSPACE".into()],
        };
        assert_eq!(
            codes(vec![Ok(ill), Err("refused".into())], 60_000),
            [
                "store_silent",
                "store_leaderless",
                "store_alarm",
                "store_nearly_full",
                "store_outdated",
                "store_member_unreachable",
                "store_even"
            ]
        );
    }
}
