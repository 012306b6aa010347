//! Who signs the certificates of a test, in a folder that is gone with it.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, SanType, date_time_ymd,
};
use tempfile::TempDir;

/// An authority of its own.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: TempDir,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// An authority that has issued nothing yet.
    ///
    /// # Panics
    /// When there is no room for files.
    #[must_use]
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        // Two authorities of one name would be taken for one another, and only their signatures differ.
        let name = format!("authority of {}", folder.path().display());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        write(&folder.path().join("ca.pem"), &certificate.pem());
        Self { issuer: Issuer::new(params, key), folder }
    }

    /// Its own certificate.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate for a part on this machine, with that common name, and its key. Issued again, it takes the
    /// place of the one before, as a renewal does.
    ///
    /// # Panics
    /// When there is no room for files.
    #[must_use]
    pub fn issue(&self, name: &str) -> [PathBuf; 2] {
        self.issue_as(name, |_| {})
    }

    /// The same, but it has ended.
    #[must_use]
    pub fn issue_expired(&self, name: &str) -> [PathBuf; 2] {
        self.issue_as(name, |params| params.not_after = date_time_ymd(2020, 2, 29))
    }

    /// The same, but it is for another machine.
    ///
    /// # Panics
    /// Never: the name is one.
    #[must_use]
    pub fn issue_for_elsewhere(&self, name: &str) -> [PathBuf; 2] {
        self.issue_for(name, "elsewhere.test")
    }

    /// The same, but it is for this host alone.
    ///
    /// # Panics
    /// When that is no host's name.
    #[must_use]
    pub fn issue_for(&self, name: &str, host: &str) -> [PathBuf; 2] {
        let host = host.try_into().expect("a name");
        self.issue_as(name, |params| params.subject_alt_names = vec![SanType::DnsName(host)])
    }

    /// Puts a certificate with that common name, and its key, in the place of those in these files.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn renew(&self, name: &str, files: &[PathBuf; 2]) {
        for (from, to) in self.issue(name).iter().zip(files) {
            std::fs::copy(from, to).expect("a file is copied");
        }
    }

    /// The same, but no authority signed it.
    ///
    /// # Panics
    /// When there is no room for files.
    #[must_use]
    pub fn issue_self_signed(&self, name: &str) -> [PathBuf; 2] {
        let key = KeyPair::generate().expect("a key");
        let certificate = params(name).self_signed(&key).expect("a certificate");
        self.place(name, &certificate, &key)
    }

    fn issue_as(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> [PathBuf; 2] {
        let key = KeyPair::generate().expect("a key");
        let mut params = params(name);
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        self.place(name, &certificate, &key)
    }

    fn place(&self, name: &str, certificate: &Certificate, key: &KeyPair) -> [PathBuf; 2] {
        let paths = ["pem", "key"].map(|kind| self.folder.path().join(format!("{name}.{kind}")));
        let [certificate_file, key_file] = &paths;
        write(certificate_file, &certificate.pem());
        write(key_file, &key.serialize_pem());
        paths
    }
}

/// What a certificate for a part on this machine says.
fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a file is written");
}
