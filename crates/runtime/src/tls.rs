//! The TLS side of a server: certificates from PEM files, read again when they change.
//! It knows no peer and grants nothing: who may do what is decided elsewhere.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::{BoxError, Shutdown};

/// How often the files are looked at. Certificates are renewed days before they expire.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Where a server's identity lies. All files are PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain, the server's own first.
    pub certificate: PathBuf,
    /// The private key (PKCS#8, SEC1 or PKCS#1).
    pub key: PathBuf,
    /// With it, a client must show a certificate that this authority signed (mTLS).
    pub client_ca: Option<PathBuf>,
}

/// Why a server's identity could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not the PEM that it should be.
    #[error("{}: {source}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// A file that should hold certificates holds none.
    #[error("{}: no certificate in it", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The certificate, the key and the authority do not go together.
    #[error("certificate or key refused: {0}")]
    Rejected(BoxError),
}

/// The current TLS configuration of a server.
#[derive(Debug)]
pub struct ServerTls {
    files: TlsFiles,
    current: RwLock<Loaded>,
}

#[derive(Debug, Clone)]
struct Loaded {
    config: Arc<ServerConfig>,
    fingerprint: u64,
}

/// What the files held at one moment.
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// When one is missing, is not PEM, or they do not go together.
    pub fn load(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        let loaded = load(&files, &read(&files)?)?;
        Ok(Arc::new(Self { files, current: RwLock::new(loaded) }))
    }

    /// The configuration for the next connection. Connections that exist keep theirs.
    #[must_use]
    pub fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).config)
    }

    /// Reads the files again if their contents changed. Blocks on the disk.
    ///
    /// # Errors
    /// As for [`ServerTls::load`]; the configuration stays as it was.
    pub fn reload(&self) -> Result<Reload, TlsError> {
        let contents = read(&self.files)?;
        let known = self.current.read().unwrap_or_else(PoisonError::into_inner).fingerprint;
        if contents.fingerprint() == known {
            return Ok(Reload::Unchanged);
        }
        let loaded = load(&self.files, &contents)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(Reload::Changed)
    }

    /// Reloads every thirty seconds until the shutdown. A bad set of files (one half replaced, for
    /// example) is logged and tried again; the last good one stays.
    ///
    /// # Errors
    /// When the runtime cannot run the blocking read.
    pub async fn watch(self: Arc<Self>, shutdown: Shutdown) -> Result<(), BoxError> {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                () = shutdown.wait() => return Ok(()),
            }
            let tls = Arc::clone(&self);
            match tokio::task::spawn_blocking(move || tls.reload()).await? {
                Ok(Reload::Unchanged) => {}
                Ok(Reload::Changed) => tracing::info!("certificates read again"),
                Err(error) => {
                    tracing::warn!(%error, "certificates kept, the new ones are unusable")
                }
            }
        }
    }
}

/// What [`ServerTls::reload`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// The files hold what they held.
    Unchanged,
    /// New connections use the new contents.
    Changed,
}

impl Contents {
    /// Tells contents apart. Modification times do not: a mounted secret is swapped as a link.
    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.certificate, &self.key, &self.client_ca).hash(&mut hasher);
        hasher.finish()
    }
}

fn read(files: &TlsFiles) -> Result<Contents, TlsError> {
    Ok(Contents {
        certificate: read_file(&files.certificate)?,
        key: read_file(&files.key)?,
        client_ca: files.client_ca.as_deref().map(read_file).transpose()?,
    })
}

pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

fn load(files: &TlsFiles, contents: &Contents) -> Result<Loaded, TlsError> {
    let rejected = |error: rustls::Error| TlsError::Rejected(Box::new(error));
    let chain = certificates(&files.certificate, &contents.certificate)?;
    let key = private_key(&files.key, &contents.key)?;
    // Named, not taken from the process default: a second provider in the tree would panic.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(rejected)?;
    let builder = match (&files.client_ca, &contents.client_ca) {
        (Some(path), Some(pem)) => {
            let roots = Arc::new(roots(path, pem)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                .build()
                .map_err(|error| TlsError::Rejected(Box::new(error)))?;
            builder.with_client_cert_verifier(verifier)
        }
        _ => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(rejected)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Loaded { config: Arc::new(config), fingerprint: contents.fingerprint() })
}

pub(crate) fn certificates(
    path: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|source| TlsError::Pem { path: path.to_owned(), source })?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { path: path.to_owned() });
    }
    Ok(chain)
}

/// A private key in PEM.
pub(crate) fn private_key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem)
        .map_err(|source| TlsError::Pem { path: path.to_owned(), source })
}

pub(crate) fn roots(path: &Path, pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, pem)? {
        roots.add(certificate).map_err(|error| TlsError::Rejected(Box::new(error)))?;
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_identity(folder: &Path, name: &str) -> TlsFiles {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let files = TlsFiles {
            certificate: folder.join("tls.crt"),
            key: folder.join("tls.key"),
            client_ca: None,
        };
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        files
    }

    #[test]
    fn a_replaced_certificate_is_used_for_new_connections() {
        let folder = tempfile::tempdir().unwrap();
        let tls = ServerTls::load(write_identity(folder.path(), "one.test")).unwrap();
        let before = tls.current();
        assert_eq!(tls.reload().unwrap(), Reload::Unchanged);
        assert!(Arc::ptr_eq(&before, &tls.current()));
        write_identity(folder.path(), "two.test");
        assert_eq!(tls.reload().unwrap(), Reload::Changed);
        assert!(!Arc::ptr_eq(&before, &tls.current()));
    }

    #[test]
    fn a_half_replaced_pair_keeps_the_last_good_one() {
        let folder = tempfile::tempdir().unwrap();
        let files = write_identity(folder.path(), "one.test");
        let tls = ServerTls::load(files.clone()).unwrap();
        let before = tls.current();
        let other = rcgen::generate_simple_self_signed(vec!["two.test".to_owned()]).unwrap();
        std::fs::write(&files.certificate, other.cert.pem()).unwrap();
        assert!(matches!(tls.reload(), Err(TlsError::Rejected(_))));
        assert!(Arc::ptr_eq(&before, &tls.current()));
    }

    #[test]
    fn errors_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = write_identity(folder.path(), "one.test");
        files.client_ca = Some(folder.path().join("ca.crt"));
        let error = ServerTls::load(files.clone()).unwrap_err().to_string();
        assert!(error.contains("ca.crt"), "{error}");
        std::fs::write(folder.path().join("ca.crt"), "not a certificate").unwrap();
        let error = ServerTls::load(files.clone()).unwrap_err();
        assert!(matches!(error, TlsError::NoCertificate { .. }), "{error}");
        std::fs::write(&files.key, "not a key").unwrap();
        let error = ServerTls::load(files).unwrap_err();
        assert!(matches!(error, TlsError::Pem { .. }), "{error}");
    }
}
