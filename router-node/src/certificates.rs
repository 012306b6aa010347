//! A router's identities: of its ports, and to etcd, probers and a collector of spans. Replacing their files renews
//! them.

mod collector;
mod telemetry;

use std::sync::Arc;

use trunkline_runtime::renewal::{self, Outcome};
use trunkline_runtime::tls::{ClientTls, Renew, ServerTls, TlsError};
use trunkline_runtime::{BoxError, Shutdown};

use crate::config::{Config, StoreConfig};
use collector::CollectorFiles;
pub use telemetry::CATALOGUE;
use telemetry::Telemetry;

/// The identities in use; `None` where TLS is not spoken.
#[derive(Clone, Debug, Default)]
pub struct Certificates {
    /// The public port's.
    pub public: Option<Arc<ServerTls>>,
    /// The admin port's, shown to other routers' admin ports, too.
    pub admin: Option<Arc<ServerTls>>,
    /// The one that probers see.
    pub evidence: Option<Arc<ClientTls>>,
    /// The one that etcd sees.
    pub etcd: Option<Arc<ClientTls>>,
    /// The one that the collector of spans sees, which is looked at here and used elsewhere.
    collector: Option<Arc<CollectorFiles>>,
}

impl Certificates {
    /// Reads the files that the configuration names.
    ///
    /// # Errors
    /// When one is missing, is not PEM, or a pair does not go together; the error names the file.
    pub fn load(config: &Config) -> Result<Self, TlsError> {
        let server = |purpose, files: &Option<_>| {
            files.clone().map(|files| ServerTls::load(purpose, files)).transpose()
        };
        let client = |purpose, files: &Option<_>| {
            files.clone().map(|files| ClientTls::load(purpose, files)).transpose()
        };
        let etcd = match &config.store {
            StoreConfig::Embedded { .. } => &None,
            StoreConfig::Etcd { tls, .. } => tls,
        };
        Ok(Self {
            public: server("public", &config.tls)?,
            admin: server("admin", &config.admin_tls)?,
            evidence: client("evidence", &config.evidence_tls)?,
            etcd: client("etcd", etcd)?,
            collector: config.tracing.as_ref().and_then(|tracing| CollectorFiles::of(&tracing.tls)),
        })
    }

    /// Renews them when their files change, until the shutdown.
    ///
    /// # Errors
    /// As for [`renewal::watch`].
    pub async fn watch(self, shutdown: Shutdown) -> Result<(), BoxError> {
        let telemetry = Telemetry::new();
        let tell = move |identity: &dyn Renew, outcome: Outcome| {
            telemetry.looked(identity.purpose(), identity.expiry(), outcome);
        };
        renewal::watch(self.all(), tell, shutdown).await
    }

    fn all(self) -> Vec<Arc<dyn Renew>> {
        let listeners = [self.public, self.admin].into_iter().flatten();
        let clients = [self.evidence, self.etcd].into_iter().flatten();
        let listeners = listeners.map(|tls| tls as Arc<dyn Renew>);
        let collector = self.collector.map(|files| files as Arc<dyn Renew>);
        listeners.chain(clients.map(|tls| tls as Arc<dyn Renew>)).chain(collector).collect()
    }
}
