//! Contexts: named clusters with how to reach them, in a file of the operator's own. It keeps where a key is,
//! never the key.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trunkline_spec::load;

use crate::cli::Connection;
use crate::{Failure, config};

/// Where contexts are, below the home folder.
const PLACE: &str = ".config/trunkline/contexts.yaml";
/// Where the admin API is when nobody says.
const USUAL_ENDPOINT: &str = "http://127.0.0.1:9091";
/// The version of the file's format.
const VERSION: u32 = 1;

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contexts {
    /// The version of this format: 1.
    pub version: u32,
    /// The one that is used when nothing else is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// All of them, by name.
    #[serde(default)]
    pub contexts: Vec<Context>,
}

/// How to reach one cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// Its name.
    pub name: String,
    /// The admin API of any of its routers.
    pub endpoint: String,
    /// The variable that has the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_env: Option<String>,
    /// The file that has the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// Who signed the routers' certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// The operator's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// The key of that certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_key: Option<PathBuf>,
}

/// How a router is reached, with nothing left open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The admin API.
    pub endpoint: String,
    /// The key to call with.
    pub key: Option<String>,
    /// Who signed the router's certificate.
    pub ca: Option<PathBuf>,
    /// The operator's certificate and its key.
    pub cert: Option<PathBuf>,
    /// The key of that certificate.
    pub cert_key: Option<PathBuf>,
}

/// Flags and their variables before the context, and that before the defaults. A context's key and certificate
/// go to its own endpoint only: somebody who names another endpoint has not said that it may have them.
///
/// # Errors
/// [`Failure::Usage`] for a context that is not there, or whose key is not.
pub fn resolve(flags: &Connection) -> Result<Reach, Failure> {
    let context = chosen(flags)?;
    let elsewhere = |c: &Context| flags.endpoint.as_ref().is_some_and(|given| *given != c.endpoint);
    let context = context.filter(|c| !elsewhere(c));
    let key = match (&flags.key, &context) {
        (Some(key), _) => Some(key.clone()),
        (None, Some(context)) => context.key()?,
        (None, None) => None,
    };
    let context = context.as_ref();
    let or = |flag: &Option<PathBuf>, own: fn(&Context) -> &Option<PathBuf>| {
        flag.clone().or_else(|| context.and_then(|c| own(c).clone()))
    };
    let usual = || context.map_or_else(|| USUAL_ENDPOINT.to_owned(), |c| c.endpoint.clone());
    Ok(Reach {
        endpoint: flags.endpoint.clone().unwrap_or_else(usual),
        key,
        ca: or(&flags.ca, |c| &c.ca),
        cert: or(&flags.cert, |c| &c.cert),
        cert_key: or(&flags.cert_key, |c| &c.cert_key),
    })
}

/// The context that was named, or the current one.
fn chosen(flags: &Connection) -> Result<Option<Context>, Failure> {
    let all = Contexts::read(flags)?;
    let Some(name) = flags.context.as_ref().or(all.current.as_ref()) else { return Ok(None) };
    let found = all.contexts.iter().find(|context| context.name == *name);
    let known: Vec<&str> = all.contexts.iter().map(|context| context.name.as_str()).collect();
    let absent = || {
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Failure::Usage(format!("there is no context {name}; known: {known}"))
    };
    Ok(Some(found.cloned().ok_or_else(absent)?))
}

impl Context {
    /// The key, from where it is.
    fn key(&self) -> Result<Option<String>, Failure> {
        let missing =
            |what: String| Failure::Usage(format!("the key of context {}: {what}", self.name));
        if let Some(name) = &self.key_env {
            return config::variable(name)
                .map(Some)
                .ok_or_else(|| missing(format!("{name} is not set")));
        }
        let Some(file) = &self.key_file else { return Ok(None) };
        let text = fs::read_to_string(file);
        let text = text.map_err(|e| missing(format!("{}: {e}", file.display())))?;
        Ok(Some(text.trim().to_owned()))
    }
}

impl Contexts {
    /// The file's contents; none when there is no file.
    ///
    /// # Errors
    /// [`Failure::Usage`] for a file that cannot be read, with its lines.
    pub fn read(flags: &Connection) -> Result<Self, Failure> {
        let empty = Self { version: VERSION, current: None, contexts: Vec::new() };
        let Some(path) = place(flags) else { return Ok(empty) };
        let named = |e: &dyn std::fmt::Display| Failure::Usage(format!("{}: {e}", path.display()));
        match fs::read_to_string(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(empty),
            Err(e) => Err(named(&e)),
            Ok(text) => {
                let read = load::load::<Self>(&text).map_err(|p| named(&p))?.document;
                if read.version != VERSION {
                    let what = format!("version {} is not known; {VERSION} is", read.version);
                    return Err(named(&what));
                }
                Ok(read)
            }
        }
    }

    /// Writes the file: whole, or not at all.
    ///
    /// # Errors
    /// [`Failure::Usage`] when there is no place for it, [`Failure::Output`] when it cannot be written.
    pub fn write(&self, flags: &Connection) -> Result<(), Failure> {
        let place = place(flags);
        let path = place.ok_or_else(|| {
            Failure::Usage("there is no home folder; name a file with --contexts".to_owned())
        })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let text = serde_json::to_string_pretty(self).map_err(std::io::Error::other)?;
        let next = path.with_extension(format!("{}.new", std::process::id()));
        // JSON is YAML, too.
        fs::File::create(&next)?.write_all(format!("{text}\n").as_bytes())?;
        Ok(fs::rename(&next, &path)?)
    }
}

/// Where the file is; nowhere when there is no home folder and none was named.
fn place(flags: &Connection) -> Option<PathBuf> {
    flags.contexts.clone().or_else(|| config::home().map(|home| home.join(PLACE)))
}

#[cfg(test)]
mod tests;
