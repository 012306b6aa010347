//! The documents that fill an empty store, read from files; and `router-node check`, which reads all
//! there is and reports all that is wrong.

use std::path::Path;

use trunkline_core::catalog::Catalog;
use trunkline_core::policy::{ApiKey, Policy};
use trunkline_runtime::tls::TlsFiles;
use trunkline_spec::{MAX_DOCUMENT_BYTES, Problems, catalog, keys, policy};

use super::{Bootstrap, Config, ServeArgs, StoreConfig};

/// A document that was read and is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written<T> {
    /// What the store keeps: canonical JSON.
    pub canonical: String,
    /// What decisions use.
    pub value: T,
}

/// The documents named for an empty store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Documents {
    /// The catalog.
    pub catalog: Option<Written<Catalog>>,
    /// The policy, whose models are in the catalog if there is one.
    pub policy: Option<Written<Policy>>,
    /// The API keys, whose models and providers are in the catalog if there is one.
    pub keys: Option<Written<Vec<ApiKey>>>,
}

impl Bootstrap {
    /// Reads every document named.
    ///
    /// # Errors
    /// Everything wrong with any of them, with files and lines.
    pub fn read(&self) -> Result<Documents, Problems> {
        let mut problems = Problems::default();
        let catalog =
            document("bootstrap.catalog", self.catalog.as_deref(), &mut problems, |text| {
                Ok(Written { canonical: catalog::canonical(text)?, value: catalog::parse(text)? })
            });
        let known = catalog.as_ref().map(|written| &written.value);
        let policy = document("bootstrap.policy", self.policy.as_deref(), &mut problems, |text| {
            let value = match known {
                Some(catalog) => policy::parse_against(text, catalog)?,
                None => policy::parse(text)?,
            };
            Ok(Written { canonical: policy::canonical(text)?, value })
        });
        let keys = document("bootstrap.keys", self.keys.as_deref(), &mut problems, |text| {
            let value = match known {
                Some(catalog) => keys::parse_against(text, catalog)?,
                None => keys::parse(text)?,
            };
            Ok(Written { canonical: keys::canonical(text)?, value })
        });
        let documents = Documents { catalog, policy, keys };
        problems.or(documents)
    }
}

/// Reads the configuration, every document and every certificate file it names.
///
/// # Errors
/// Everything wrong with any of them, with files and lines.
pub fn check(args: &ServeArgs) -> Result<(Config, Documents), Problems> {
    let config = Config::load(args)?;
    let (documents, mut problems) = match config.bootstrap.read() {
        Ok(documents) => (documents, Problems::default()),
        Err(problems) => (Documents::default(), problems),
    };
    for (path, tls) in [("tls", &config.tls), ("admin_tls", &config.admin_tls)] {
        if let Some(tls) = tls {
            check_tls(path, tls, &mut problems);
        }
    }
    if let Some(tls) = &config.evidence_tls {
        readable("evidence_tls.ca", &tls.ca, &mut problems);
        if let Some((cert, key)) = &tls.identity {
            readable("evidence_tls.cert", cert, &mut problems);
            readable("evidence_tls.key", key, &mut problems);
        }
    }
    if let Some(tracing) = &config.tracing {
        tracing.check(&mut problems);
    }
    if let StoreConfig::Etcd { tls: Some(tls), .. } = &config.store {
        readable("store.etcd.tls.ca", &tls.ca, &mut problems);
        if let Some((cert, key)) = &tls.identity {
            readable("store.etcd.tls.cert", cert, &mut problems);
            readable("store.etcd.tls.key", key, &mut problems);
        }
    }
    problems.or((config, documents))
}

fn check_tls(path: &str, tls: &TlsFiles, problems: &mut Problems) {
    readable(&format!("{path}.cert"), &tls.certificate, problems);
    readable(&format!("{path}.key"), &tls.key, problems);
    if let Some(ca) = &tls.client_ca {
        readable(&format!("{path}.client_ca"), ca, problems);
    }
}

pub(super) fn readable(path: &str, file: &Path, problems: &mut Problems) {
    if let Err(error) = std::fs::File::open(file) {
        problems.add(path, format!("`{}` cannot be read: {error}", file.display()));
    }
}

fn document<T>(
    path: &str,
    file: Option<&Path>,
    problems: &mut Problems,
    parse: impl Fn(&str) -> Result<T, Problems>,
) -> Option<T> {
    let file = file?;
    let name = file.display().to_string();
    let parsed = read(path, file).and_then(|text| parse(&text).map_err(|p| p.in_file(&name)));
    parsed.map_err(|found| problems.0.extend(found.0)).ok()
}

/// A file's text. `path` is where the file was named.
pub(super) fn read(path: &str, file: &Path) -> Result<String, Problems> {
    let name = file.display();
    let failed = |error| Problems::one(path, format!("`{name}` cannot be read: {error}"));
    let bytes = std::fs::metadata(file).map_err(failed)?.len();
    if bytes > MAX_DOCUMENT_BYTES as u64 {
        let message = format!("`{name}` has {bytes} bytes; at most {MAX_DOCUMENT_BYTES} are read");
        return Err(Problems::one(path, message));
    }
    std::fs::read_to_string(file).map_err(failed)
}
