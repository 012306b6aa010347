//! Identities in use: what was made of files, made anew when they change. The last good one stays in force.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::SingleCertAndKey;
use tokio::sync::watch;

use crate::certificate;
use crate::files::{ClientFiles, Files, Parts, Pem, TlsError, TlsFiles, provider, rejected};

/// The identity of a listener, and whom it lets in.
pub type ServerTls = Held<ServerConfig>;
/// Who we are to servers, and which of them we trust: connections are made from its [`Held::pem`].
pub type ClientTls = Held<()>;

/// Something made of PEM files.
pub struct Held<T> {
    purpose: &'static str,
    files: Files,
    make: fn(&Files, Parts) -> Result<T, TlsError>,
    current: watch::Sender<Loaded<T>>,
}

struct Loaded<T> {
    made: Arc<T>,
    pem: Arc<Pem>,
    fingerprint: u64,
    expiry: Expiry,
    /// What the certificate calls its owner.
    owner: Option<String>,
}

/// When certificates end, in seconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expiry {
    /// The first of our own chain to end; `None` without one.
    pub certificate_s: Option<u64>,
    /// The last of the authorities to end; `None` without any.
    pub ca_s: Option<u64>,
}

/// What a look at the files brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// They hold what they held.
    Unchanged,
    /// New connections use the new contents.
    Changed,
}

/// What can be renewed by replacing files.
pub trait Renew: Send + Sync {
    /// What it is for, in a word: a label.
    fn purpose(&self) -> &'static str;

    /// When it ends.
    fn expiry(&self) -> Expiry;

    /// Reads the files, and takes their contents if they changed. Blocks on the disk.
    ///
    /// # Errors
    /// When a file cannot be read, the files do not go together, or the new certificate has expired; then what
    /// was in force stays.
    fn look(&self) -> Result<Look, TlsError>;
}

impl Held<ServerConfig> {
    /// Reads a listener's files.
    ///
    /// # Errors
    /// When one is missing, is not PEM, or they do not go together.
    pub fn load(purpose: &'static str, files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        Self::of_files(purpose, files.into(), server_config)
    }
}

impl Held<()> {
    /// Reads a client's files.
    ///
    /// # Errors
    /// When one is missing, is not PEM, or they do not go together.
    pub fn load(purpose: &'static str, files: ClientFiles) -> Result<Arc<Self>, TlsError> {
        Self::of_files(purpose, files.into(), |_, _| Ok(()))
    }

    /// Reads the files of a client that trusts whom the system trusts where `ca` is `None`, and has a certificate and
    /// its key where there is an `identity`.
    ///
    /// # Errors
    /// When one is missing, is not PEM, or they do not go together.
    pub fn of(
        purpose: &'static str,
        ca: Option<PathBuf>,
        identity: Option<(PathBuf, PathBuf)>,
    ) -> Result<Arc<Self>, TlsError> {
        Self::of_files(purpose, Files { ca, identity }, |_, _| Ok(()))
    }

    /// Where its files are.
    #[must_use]
    pub fn files(&self) -> ClientFiles {
        let ca = self.files.ca.clone().unwrap_or_default();
        ClientFiles { ca, identity: self.files.identity.clone() }
    }
}

impl<T> Held<T> {
    fn of_files(
        purpose: &'static str,
        files: Files,
        make: fn(&Files, Parts) -> Result<T, TlsError>,
    ) -> Result<Arc<Self>, TlsError> {
        let loaded = load(&files, files.read()?, make)?;
        Ok(Arc::new(Self { purpose, files, make, current: watch::Sender::new(loaded) }))
    }

    /// What the next connection is made with. Connections that exist keep theirs.
    #[must_use]
    pub fn current(&self) -> Arc<T> {
        Arc::clone(&self.current.borrow().made)
    }

    /// The contents of the files in force; another `Arc` after each change.
    #[must_use]
    pub fn pem(&self) -> Arc<Pem> {
        Arc::clone(&self.current.borrow().pem)
    }

    /// The common name of the certificate in force, or the last of its URIs without one.
    #[must_use]
    pub fn owner(&self) -> Option<String> {
        self.current.borrow().owner.clone()
    }

    /// Waits until something else than `known` is in force.
    pub async fn changed(&self, known: &Arc<Pem>) {
        let mut seen = self.current.subscribe();
        // The sender lives as long as this borrow of it.
        let _ = seen.wait_for(|loaded| !Arc::ptr_eq(&loaded.pem, known)).await;
    }
}

impl<T: Send + Sync> Renew for Held<T> {
    fn purpose(&self) -> &'static str {
        self.purpose
    }

    fn expiry(&self) -> Expiry {
        self.current.borrow().expiry
    }

    fn look(&self) -> Result<Look, TlsError> {
        let pem = self.files.read()?;
        if pem.fingerprint() == self.current.borrow().fingerprint {
            return Ok(Look::Unchanged);
        }
        let loaded = load(&self.files, pem, self.make)?;
        let ended = loaded.expiry.certificate_s.filter(|end_s| *end_s <= now_s());
        if let (Some(end_s), Some((path, _))) = (ended, &self.files.identity) {
            return Err(TlsError::Expired { path: path.clone(), end_s });
        }
        self.current.send_replace(loaded);
        Ok(Look::Changed)
    }
}

impl<T> fmt::Debug for Held<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut held = out.debug_struct("Held");
        held.field("purpose", &self.purpose).field("files", &self.files).finish_non_exhaustive()
    }
}

/// Seconds since 1970.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn load<T>(
    files: &Files,
    pem: Pem,
    make: fn(&Files, Parts) -> Result<T, TlsError>,
) -> Result<Loaded<T>, TlsError> {
    let parts = files.parts(&pem)?;
    let chain = parts.certified.iter().flat_map(|certified| &certified.cert);
    let owner = chain.clone().next().and_then(|own| certificate::names(own).pop());
    let expiry = Expiry {
        certificate_s: chain.filter_map(|der| certificate::expires_s(der)).min(),
        ca_s: parts.authorities.iter().filter_map(|der| certificate::expires_s(der)).max(),
    };
    let (made, fingerprint) = (Arc::new(make(files, parts)?), pem.fingerprint());
    Ok(Loaded { made, pem: Arc::new(pem), fingerprint, expiry, owner })
}

fn server_config(files: &Files, parts: Parts) -> Result<ServerConfig, TlsError> {
    let (cert, ca) = (files.identity.as_ref().map(|(cert, _)| cert.clone()), files.ca.clone());
    let cert = cert.unwrap_or_default();
    let Some(certified) = parts.certified else {
        return Err(TlsError::NoCertificate { path: cert });
    };
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| rejected(&cert, error))?;
    let builder = match parts.roots {
        Some(roots) => builder.with_client_cert_verifier(verifier(&ca.unwrap_or_default(), roots)?),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn verifier(
    ca: &Path,
    roots: rustls::RootCertStore,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    builder.build().map_err(|error| rejected(ca, error))
}

#[cfg(test)]
mod tests;
