//! What is shown to the collector of spans, and who signed its certificate: looked at so that their end is told. The
//! exporter reads the files by itself, for each connection, and a router starts without them.

use std::sync::{Arc, OnceLock};

use trunkline_runtime::otlp::CollectorTls;
use trunkline_runtime::tls::{ClientTls, Expiry, Look, Renew, TlsError};

/// The files, and what they held when they were last of use.
#[derive(Debug)]
pub(super) struct CollectorFiles {
    named: CollectorTls,
    held: OnceLock<Arc<ClientTls>>,
}

impl CollectorFiles {
    /// The files that are named, if any are. What is wrong with them is told by the next look.
    pub(super) fn of(named: &CollectorTls) -> Option<Arc<Self>> {
        if *named == CollectorTls::default() {
            return None;
        }
        let files = Self { named: named.clone(), held: OnceLock::new() };
        if let Ok(held) = files.load() {
            let _ = files.held.set(held);
        }
        Some(Arc::new(files))
    }

    fn load(&self) -> Result<Arc<ClientTls>, TlsError> {
        ClientTls::of(self.purpose(), self.named.ca.clone(), self.named.identity.clone())
    }
}

impl Renew for CollectorFiles {
    fn purpose(&self) -> &'static str {
        "collector"
    }

    fn expiry(&self) -> Expiry {
        self.held.get().map_or_else(Expiry::default, |held| held.expiry())
    }

    fn look(&self) -> Result<Look, TlsError> {
        match self.held.get() {
            Some(held) => held.look(),
            None => {
                let _ = self.held.set(self.load()?);
                Ok(Look::Changed)
            }
        }
    }
}
