//! What of a router's configuration can change while it runs, as it stands at present. Whoever goes by one of these
//! looks here each time; `reload` puts others in their place, all at once. The log's level and the times of a drain
//! can change, too, and are where they act.

use std::collections::BTreeMap;

use trunkline_core::policy::Role;

use crate::config::Config;
use crate::traces::Sampler;

/// Roles that a router's own configuration gives, by the name that the history has: `key/ID` or `cert/NAME`.
pub type Roles = BTreeMap<String, Role>;

/// The settings in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The longest request body, in bytes.
    pub body_bytes: usize,
    /// Calls at once; more are refused at once.
    pub concurrency: usize,
    /// Roles on the admin API beside those of the keys' own records.
    pub admin_roles: Roles,
    /// Which calls' traces are told of; `None` when none is.
    pub sampler: Option<Sampler>,
}

impl Settings {
    /// Those of a configuration.
    pub fn of(config: &Config) -> Self {
        Self {
            body_bytes: config.limits.body_bytes,
            concurrency: config.limits.concurrency,
            admin_roles: config.admin_roles.clone(),
            sampler: config.tracing.as_ref().map(|tracing| tracing.sampler),
        }
    }

    /// Those of a configuration that was read again. Where there is no collector, none comes by that.
    pub fn again(&self, config: &Config) -> Self {
        let new = Self::of(config);
        let sampler = self.sampler.map(|old| new.sampler.unwrap_or(old));
        Self { sampler, ..new }
    }
}
