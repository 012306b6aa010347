//! Where PEM files lie, what they hold, and whether they go together.

use std::error::Error;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};

use crate::BoxError;
use crate::certificate::moment;

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

/// How servers' certificates are checked, and who we are to them. All files are PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFiles {
    /// Who signs the servers' certificates.
    pub ca: PathBuf,
    /// Our certificate chain and its key; `None` where servers ask for none.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Whether a certificate can be for this name: that of a host, or an address.
#[must_use]
pub fn is_server_name(name: &str) -> bool {
    ServerName::try_from(name).is_ok()
}

/// Why an identity could not be loaded.
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
    /// A certificate that came in the place of another has ended already.
    #[error("{}: the certificate expired at {}", path.display(), moment(*end_s))]
    Expired {
        /// The file.
        path: PathBuf,
        /// When it ended, in seconds since 1970.
        end_s: u64,
    },
    /// The key is another certificate's: one of the two files was replaced without the other.
    #[error("{} is not the key of {}", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// What a file holds is of no use.
    #[error("{}: {reason}", path.display())]
    Rejected {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: BoxError,
    },
}

/// The files of either side.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) ca: Option<PathBuf>,
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
}

/// What the files held at one moment. It holds a private key, so it cannot be printed.
#[derive(Hash)]
pub struct Pem {
    /// The authorities; `None` where no file of them is named.
    pub ca: Option<Vec<u8>>,
    /// The certificate chain and its key; `None` where no files of them are named.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

/// What was made of the files' contents. The parts go together.
pub(crate) struct Parts {
    pub(crate) roots: Option<RootCertStore>,
    pub(crate) authorities: Vec<CertificateDer<'static>>,
    pub(crate) certified: Option<CertifiedKey>,
}

impl From<TlsFiles> for Files {
    fn from(files: TlsFiles) -> Self {
        Self { ca: files.client_ca, identity: Some((files.certificate, files.key)) }
    }
}

impl From<ClientFiles> for Files {
    fn from(files: ClientFiles) -> Self {
        Self { ca: Some(files.ca), identity: files.identity }
    }
}

impl Pem {
    /// Tells contents apart. Modification times do not: a mounted secret is swapped as a link.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

impl Files {
    /// Reads all of them.
    pub(crate) fn read(&self) -> Result<Pem, TlsError> {
        let ca = self.ca.as_deref().map(read_file).transpose()?;
        let pair = |(cert, key): &(PathBuf, PathBuf)| Ok((read_file(cert)?, read_file(key)?));
        Ok(Pem { ca, identity: self.identity.as_ref().map(pair).transpose()? })
    }

    /// Understands what they held, and checks that a key is its certificate's.
    pub(crate) fn parts(&self, pem: &Pem) -> Result<Parts, TlsError> {
        let mut parts = Parts { roots: None, authorities: Vec::new(), certified: None };
        if let (Some(path), Some(ca)) = (&self.ca, &pem.ca) {
            parts.authorities = certificates(path, ca)?;
            parts.roots = Some(roots(path, &parts.authorities)?);
        }
        if let (Some((cert, key)), Some((cert_pem, key_pem))) = (&self.identity, &pem.identity) {
            let chain = certificates(cert, cert_pem)?;
            let private = PrivateKeyDer::from_pem_slice(key_pem)
                .map_err(|source| TlsError::Pem { path: key.clone(), source })?;
            let certified = CertifiedKey::from_der(chain, private, &provider());
            parts.certified = Some(certified.map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => {
                    TlsError::Mismatch { certificate: cert.clone(), key: key.clone() }
                }
                rustls::Error::InvalidCertificate(_) => rejected(cert, error),
                other => rejected(key, other),
            })?);
        }
        Ok(parts)
    }
}

/// Named, not taken from the process default: a second provider in the tree would panic.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

pub(crate) fn rejected(path: &Path, error: impl Error + Send + Sync + 'static) -> TlsError {
    TlsError::Rejected { path: path.to_owned(), reason: Box::new(error) }
}

/// A client's configuration from its files as they are now; without a file of authorities, those of `system` are
/// trusted.
///
/// # Errors
/// When a file cannot be read, is not PEM, or the files do not go together.
pub fn client_config(
    ca: Option<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
    system: impl FnOnce() -> RootCertStore,
) -> Result<ClientConfig, TlsError> {
    let files = Files { ca, identity };
    let parts = files.parts(&files.read()?)?;
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| rejected(Path::new("the TLS library"), error))?
        .with_root_certificates(parts.roots.unwrap_or_else(system));
    Ok(match parts.certified {
        Some(certified) => {
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
        }
        None => builder.with_no_client_auth(),
    })
}

fn read_file(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|source| TlsError::Pem { path: path.to_owned(), source })?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { path: path.to_owned() });
    }
    Ok(chain)
}

fn roots(path: &Path, authorities: &[CertificateDer<'static>]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone()).map_err(|error| rejected(path, error))?;
    }
    Ok(roots)
}
