//! What a key opens beside calls, until when and from where, as it is written.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trunkline_core::policy::{Access, Network, Role};

use super::KeyEntry;
use crate::catalog::check_text;
use crate::error::Problems;

/// The most networks of one key.
const MAX_NETWORKS: usize = 64;

/// What somebody may do on the admin API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoleEntry {
    /// Look.
    Viewer,
    /// Look, and move traffic: drains, withdrawals, weights.
    Operator,
    /// Everything: documents and keys, too.
    Admin,
}

impl From<RoleEntry> for Role {
    fn from(entry: RoleEntry) -> Self {
        match entry {
            RoleEntry::Viewer => Self::Viewer,
            RoleEntry::Operator => Self::Operator,
            RoleEntry::Admin => Self::Admin,
        }
    }
}

impl KeyEntry {
    /// `prefix` stands before each field in paths: empty, or ends in a dot.
    pub(super) fn access(&self, prefix: &str, problems: &mut Problems) -> Access {
        if let Some(by) = &self.by {
            check_text(&format!("{prefix}by"), by, problems);
        }
        let path = format!("{prefix}networks");
        let written = self.networks.as_deref().unwrap_or_default();
        if self.networks.as_ref().is_some_and(Vec::is_empty) {
            problems
                .add(&path, "an empty list would let nobody in; name one, or leave the key out");
        }
        if written.len() > MAX_NETWORKS {
            problems.add(&path, format!("{} are too many; at most {MAX_NETWORKS}", written.len()));
        }
        let mut networks = Vec::new();
        for (at, text) in written.iter().enumerate() {
            match network(text) {
                Some(network) => networks.push(network),
                None => problems.add(
                    format!("{path}[{at}]"),
                    format!(
                        "`{}` is no network; write 10.0.0.0/8, 2001:db8::/32 or one address",
                        text.escape_debug()
                    ),
                ),
            }
        }
        Access { role: self.role.map(Role::from), expires_at_ms: self.expires_at_ms, networks }
    }
}

/// `<address>/<bits>`, or one address.
fn network(text: &str) -> Option<Network> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address.parse().ok()?, prefix.parse().ok()?),
        None => {
            let address: IpAddr = text.parse().ok()?;
            (address, if address.is_ipv4() { 32 } else { 128 })
        }
    };
    Network::new(address, prefix)
}
