//! The routers that are alive: this one as it is now, the others as they registered.

use prost_types::Duration;
use trunkline_proto::admin::v1::{DrainReport, Nack, RouterStatus};
use trunkline_spec::overrides::Scope;
use trunkline_spec::router::{DrainedLoad, RouterRecord};
use trunkline_store::StoreError;
use trunkline_store::keys::{Key, ROUTERS};
use trunkline_store::port::KeyValue;

use super::{Admin, Admitted};
use crate::ingress::grpc::signed;
use crate::register::{self, in_flight};

/// A router and what it says.
pub struct Member {
    id: String,
    record: RouterRecord,
}

/// All that are alive, by id.
///
/// # Errors
/// When the store does not answer: then nobody knows who is alive.
pub async fn alive(admin: &Admin, by: &Admitted) -> Result<Vec<Member>, StoreError> {
    let listing = admin.store.list(ROUTERS).await?;
    Ok(with_own(listing.entries.iter().filter_map(member).collect(), admin, by))
}

/// This router alone, for when the others cannot be listed: a store that is away must not keep an operator from
/// seeing what this router does without it.
pub fn own(admin: &Admin, by: &Admitted) -> Vec<Member> {
    with_own(Vec::new(), admin, by)
}

/// This router as it is now, instead of as it registered.
fn with_own(mut members: Vec<Member>, admin: &Admin, by: &Admitted) -> Vec<Member> {
    let own = members.iter().position(|member| *member.id == *admin.identity.node);
    let drains = own.map(|at| members.swap_remove(at).record.drains).unwrap_or_default();
    let record = RouterRecord {
        drains,
        leaving: false,
        ..register::reading(&admin.router, &admin.identity, &by.view)
    };
    members.push(Member { id: admin.identity.node.to_string(), record });
    members.sort_by(|a, b| a.id.cmp(&b.id));
    members
}

fn member(entry: &KeyValue) -> Option<Member> {
    let Some(Key::Router(id)) = Key::parse(&entry.key) else { return None };
    // One that cannot be read is still alive, and has acknowledged nothing.
    let record = RouterRecord::decode(&entry.value).unwrap_or_default();
    Some(Member { id: id.to_string(), record })
}

impl Member {
    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where its admin API is, as a URL; empty when it does not say.
    pub fn admin_url(&self) -> &str {
        &self.record.admin_url
    }

    /// Its state, as operators see it.
    pub fn status(self, admin: &Admin, by: &Admitted) -> RouterStatus {
        let record = self.record;
        let behind = by.view.changed.saturating_sub(record.applied_revision);
        let own = *self.id == *admin.identity.node;
        let age_ms = admin.router.heard.age_ms(admin.router.clock.now_ms());
        let nacks = record.nacks.into_iter().map(|nack| Nack {
            key: nack.key,
            revision: signed(nack.revision),
            reason: nack.reason,
        });
        RouterStatus {
            router_id: self.id,
            address: record.address,
            zone: record.zone,
            version: record.version,
            applied_revision: signed(record.applied_revision),
            table_digest: record.table_digest,
            nacks: nacks.collect(),
            watch_age: own.then(|| Duration {
                seconds: signed(age_ms / 1000),
                nanos: (age_ms % 1000) as i32 * 1_000_000,
            }),
            draining: record.leaving,
            nack_count: record.nack_count,
            lag_revisions: signed(behind),
        }
    }

    /// What it says of a drain.
    pub fn report(&self, admin: &Admin, by: &Admitted, scope: &Scope) -> DrainReport {
        let name = scope.to_string();
        let told = self.record.drains.iter().find(|drain| drain.scope == name);
        let DrainedLoad { mut in_flight, mut quiet, .. } = told.cloned().unwrap_or_default();
        if *self.id == *admin.identity.node {
            in_flight = self::in_flight(&by.view, scope);
            quiet &= in_flight == 0;
        }
        DrainReport {
            router_id: self.id.clone(),
            applied_revision: signed(self.record.applied_revision),
            in_flight,
            vanished: false,
            quiet,
        }
    }
}
