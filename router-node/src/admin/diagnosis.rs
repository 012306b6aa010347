//! What is wrong with the cluster, as this router can tell, and what to do about it. Each check reads what is
//! there and changes nothing.

mod members;
mod routing;
mod store;

use prost_types::Timestamp;
use trunkline_proto::admin::v1::{DiagnoseResponse, Finding, StoreMember};
use trunkline_store::port::{About, Kind};

use super::{Admin, Admitted, status};
use crate::ingress::grpc::signed;
use crate::ledger::unix_ms;

/// All findings, the gravest first: without the store nothing changes, without members nothing is agreed on,
/// and then there is what calls meet.
pub async fn answer(admin: &Admin, by: &Admitted) -> DiagnoseResponse {
    let (about, members) = tokio::join!(admin.store.about(), status::members(admin, by));
    let about = about.unwrap_or_default();
    let heard_ms_ago = admin.router.heard.age_ms(admin.router.clock.now_ms());
    let mut findings = store::findings(&about, heard_ms_ago, &admin.identity.node);
    findings.extend(members::of_routers(&members.routers));
    // Those that could not be listed may be alive all the same.
    if members.unlisted.is_none() {
        findings.extend(members::of_probers(&members.probers));
    }
    findings.extend(routing::findings(&by.view));
    let now_ms = unix_ms();
    DiagnoseResponse {
        revision: by.revision(),
        answered_by: admin.identity.node.to_string(),
        answered_at: Some(Timestamp {
            seconds: signed(now_ms / 1000),
            nanos: (now_ms % 1000) as i32 * 1_000_000,
        }),
        store_kind: about.kind.as_str().to_owned(),
        store_members: store_members(about),
        findings,
    }
}

fn store_members(about: About) -> Vec<StoreMember> {
    match about.kind {
        Kind::Memory | Kind::Embedded => Vec::new(),
        Kind::Etcd => about.members.into_iter().map(store::member).collect(),
    }
}

/// A finding in words. `subject` is a target or a part's name.
fn finding(code: &str, subject: String, problem: String, remedy: &str) -> Finding {
    Finding { code: code.to_owned(), subject, problem, remedy: remedy.to_owned() }
}
