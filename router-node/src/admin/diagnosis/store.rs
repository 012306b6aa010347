//! What is wrong with the store.

use trunkline_proto::admin::v1::{Finding, StoreMember};
use trunkline_store::keys::{CONFIG, HISTORY, ROUTERS, SPEND};
use trunkline_store::port::{About, Access, Flaw, Member};

use super::finding;
use crate::ingress::grpc::signed;

/// The store speaks every few seconds at least when it is well.
const SILENT_MS: u64 = 15_000;
/// All of them, as the router called `node` sees it.
pub fn findings(about: &About, heard_ms_ago: u64, node: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    if heard_ms_ago > SILENT_MS {
        let problem = format!("this router has heard nothing of it for {} s", heard_ms_ago / 1000);
        let remedy =
            "look at its members, and at the network between; calls go on with the last state";
        found.push(finding("store_silent", "store".to_owned(), problem, remedy));
    }
    found.extend(about.flaws().into_iter().map(of_flaw));
    if let Access::Confined { user, may_write } = &about.access {
        found.extend(of_access(user, may_write, node));
    }
    found
}

fn of_flaw(flaw: Flaw) -> Finding {
    finding(flaw.code, flaw.subject, flaw.problem, flaw.remedy)
}

/// A router writes its sign of life and what keys spend, and with the operator's role configuration and history;
/// never what probers saw.
fn of_access(user: &str, may_write: &[String], node: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    let subject = || format!("store/user/{user}");
    let ours = [ROUTERS, SPEND, CONFIG, HISTORY];
    let fits = |range: &&String| ours.iter().any(|own| range.starts_with(own));
    let excess: Vec<&str> =
        may_write.iter().filter(|range| !fits(range)).map(String::as_str).collect();
    if !excess.is_empty() {
        let problem =
            format!("router/{node} is this user, who may also write {}", excess.join(", "));
        let remedy =
            "give the router a certificate and a role of its own: admin-cli bootstrap etcd";
        found.push(finding("store_user_wide", subject(), problem, remedy));
    }
    let needed = [(ROUTERS, format!("{ROUTERS}{node}")), (SPEND, format!("{SPEND}*"))];
    let lacks = |(below, range): &&(&str, String)| {
        !may_write.iter().any(|may| may == range || *may == format!("{below}*"))
    };
    let missing: Vec<&str> = needed.iter().filter(lacks).map(|(_, range)| range.as_str()).collect();
    if excess.is_empty() && !missing.is_empty() {
        let missing = missing.join(", ");
        let problem = format!("router/{node} is this user, who may not write {missing}");
        let remedy = "set node_id to the certificate's common name, and run admin-cli bootstrap etcd --router NAME";
        found.push(finding("store_user_narrow", subject(), problem, remedy));
    }
    found
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

    fn codes(about: &About, heard_ms_ago: u64) -> Vec<String> {
        findings(about, heard_ms_ago, "r1").into_iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn silence_is_told_and_so_is_what_is_wrong_with_members() {
        let told = Err("refused".to_owned());
        let members = vec![Member { address: "https://e".to_owned(), told }];
        let about = About { kind: Kind::Etcd, members, access: Access::Untold };
        assert_eq!(codes(&About::default(), 3_000), Vec::<String>::new());
        assert_eq!(codes(&about, 60_000), ["store_silent", "store_member_unreachable"]);
    }

    #[test]
    fn a_router_may_write_what_is_its_own_and_no_more() {
        let with = |ranges: &[&str]| {
            let may_write = ranges.iter().map(|range| (*range).to_owned()).collect();
            let access = Access::Confined { user: "r1".to_owned(), may_write };
            codes(&About { kind: Kind::Etcd, access, ..About::default() }, 0)
        };
        let none = Vec::<String>::new();
        let spend = "/trunkline/v1/spend/*";
        assert_eq!(with(&["/trunkline/v1/routers/r1", spend]), none);
        assert_eq!(with(&["/trunkline/v1/routers/*", spend, "/trunkline/v1/cfg/*"]), none);
        assert_eq!(with(&["/trunkline/v1/routers/r2", spend]), ["store_user_narrow"]);
        assert_eq!(with(&["/trunkline/v1/routers/r1"]), ["store_user_narrow"]);
        assert_eq!(with(&["/trunkline/v1/*"]), ["store_user_wide"]);
        assert_eq!(with(&["everything"]), ["store_user_wide"]);
    }
}
