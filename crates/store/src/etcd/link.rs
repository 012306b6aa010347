//! A connection to one member of the cluster, dialled and greeted.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Certificate, Client, ConnectOptions, Identity, TlsOptions};
use tokio::time::timeout;
use trunkline_tls::Pem;

use super::EtcdOptions;
use super::convert::{cause, failure};
use super::version::Version;
use crate::port::{StoreError, Told};

/// How long a member may take to accept a connection and to say what it is.
const DIAL_MAX: Duration = Duration::from_secs(2);
/// How often a busy connection is probed. etcd refuses clients that do so more often.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(5);
/// How long the answer to such a probe may take. Without it a hung member is never noticed.
const KEEP_ALIVE_MAX: Duration = Duration::from_secs(3);
/// The largest message that is taken: a page of the largest values, with room to spare.
const MESSAGE_MAX_BYTES: usize = 256 << 20;

/// What an older version does; see [`Version::is_recommended`].
const WHY_RECOMMENDED: &str =
    "before 3.5.33 and 3.6.14 a watch can read past the permission of its user";

/// An open connection.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) version: Option<Version>,
    /// The identity that it was made with; nothing without TLS.
    pem: Option<Arc<Pem>>,
}

impl Link {
    /// Connects to one member, with the identity that is in force.
    pub(super) async fn dial(member: &str, options: &EtcdOptions) -> Result<Self, StoreError> {
        let mut connect = ConnectOptions::new()
            .with_connect_timeout(DIAL_MAX)
            .with_keep_alive(KEEP_ALIVE_EVERY, KEEP_ALIVE_MAX)
            // etcd counts probes of an idle connection as an attack.
            .with_keep_alive_while_idle(false)
            .with_require_leader(true);
        let pem = options.tls.as_ref().map(|tls| tls.pem());
        if let Some(pem) = &pem {
            connect = connect.with_tls(tls(pem));
        }
        // What is wrong with a certificate is told in words that name the file.
        let explain = |error: etcd_client::Error| {
            let files = options.tls.as_ref().map(|tls| tls.files());
            let explained =
                files.zip(cause(&error)).and_then(|(files, why)| files.explain_first(why));
            explained.map_or_else(|| failure(error), StoreError::unavailable)
        };
        let greeting = async {
            // This does not dial yet; the question after it does.
            let mut client = Client::connect([member], Some(connect)).await.map_err(explain)?;
            let version = match client.status().await.map_err(explain) {
                Ok(status) => Version::parse(status.version()),
                // It speaks to us all the same.
                Err(StoreError::Denied { .. }) => Some(Version::UNTOLD),
                Err(error) => return Err(error),
            };
            Ok(Self { client, version, pem })
        };
        let dialled: Result<Self, StoreError> = timeout(DIAL_MAX, greeting)
            .await
            .unwrap_or_else(|_| Err(StoreError::unavailable("no answer")));
        dialled.map_err(|error| match error {
            StoreError::Denied { reason } => StoreError::Denied { reason },
            StoreError::Unavailable { reason } => {
                StoreError::unavailable(format!("{member}: {reason}"))
            }
            other => StoreError::unavailable(format!("{member}: {other}")),
        })
    }

    /// Whether the identity that it was made with is still the one in force.
    pub(super) fn is_current(&self, options: &EtcdOptions) -> bool {
        match (&self.pem, &options.tls) {
            (Some(pem), Some(tls)) => Arc::ptr_eq(pem, &tls.pem()),
            _ => true,
        }
    }

    /// Waits until the identity that it was made with is no longer in force.
    pub(super) async fn outdated(&self, options: &EtcdOptions) {
        match (&self.pem, &options.tls) {
            (Some(pem), Some(tls)) => tls.changed(pem).await,
            _ => std::future::pending().await,
        }
    }

    /// How one member is.
    pub(super) async fn state(member: &str, options: &EtcdOptions) -> Result<Told, StoreError> {
        let mut link = Self::dial(member, options).await?;
        let status = match timeout(DIAL_MAX, link.client.status()).await {
            Ok(Ok(status)) => status,
            // Only root may ask; it answered us when it was greeted.
            Ok(Err(_)) => return Ok(Told::default()),
            Err(_) => return Err(StoreError::unavailable("no answer")),
        };
        let recommended = link.version.is_some_and(Version::is_recommended);
        let size = |bytes: i64| u64::try_from(bytes).ok().filter(|bytes| *bytes > 0);
        Ok(Told {
            version: Some(status.version().to_owned()),
            outdated: (!recommended).then_some(WHY_RECOMMENDED),
            size_bytes: size(status.db_size()),
            quota_bytes: size(status.db_size_quota()),
            leaderless: status.leader() == 0,
            complaints: status.errors().to_vec(),
        })
    }

    pub(super) fn kv(&self) -> etcd_client::KvClient {
        self.client.kv_client().max_decoding_message_size(MESSAGE_MAX_BYTES)
    }

    pub(super) fn watches(&self) -> etcd_client::WatchClient {
        self.client.watch_client().max_decoding_message_size(MESSAGE_MAX_BYTES)
    }

    pub(super) fn leases(&self) -> etcd_client::LeaseClient {
        self.client.lease_client()
    }
}

fn tls(pem: &Pem) -> TlsOptions {
    let mut options = TlsOptions::new();
    if let Some(ca) = &pem.ca {
        options = options.ca_certificate(Certificate::from_pem(ca));
    }
    if let Some((cert, key)) = &pem.identity {
        options = options.identity(Identity::from_pem(cert, key));
    }
    options
}
