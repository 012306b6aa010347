//! Where things are in the store: the only place that spells a key.
//!
//! What is stored there is the business of `spec`. The prober comes first in an observation's key,
//! so that a store's permissions can confine each prober to its own.

use std::fmt;

/// Everything of this project, in the present layout.
pub const ROOT: &str = "/trunkline/v1/";
/// Configuration: catalog, policy, overrides, API keys.
pub const CONFIG: &str = "/trunkline/v1/cfg/";
/// What was changed, one entry for each change, written in the same transaction as the change.
pub const HISTORY: &str = "/trunkline/v1/hist/";
/// Probers that are alive; under their leases.
pub const PROBERS: &str = "/trunkline/v1/probers/";
/// What probers saw; valid only while the prober's own key lives, at the same create revision.
pub const OBSERVATIONS: &str = "/trunkline/v1/obs/";
/// Routers that are alive; under their leases.
pub const ROUTERS: &str = "/trunkline/v1/routers/";
/// What keys with a limit have spent: one record for each, to which all routers add.
pub const SPEND: &str = "/trunkline/v1/spend/";

/// The longest [`Segment`], in bytes: several times any id in use.
pub const SEGMENT_MAX_BYTES: usize = 128;
/// The longest [`ConfigPath`], in bytes: a kind and the longest model names with room to spare.
pub const CONFIG_PATH_MAX_BYTES: usize = 512;
/// Digits of a history entry's number: all of a `u64`, so that the order of keys is that of numbers.
const HISTORY_DIGITS: usize = 20;

/// A key of the present layout.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A document of the configuration.
    Config(ConfigPath),
    /// An entry of the history, by number.
    History(u64),
    /// A prober's sign of life.
    Prober(Segment),
    /// One prober's account of one endpoint.
    Observation {
        /// Who saw it.
        prober: Segment,
        /// The endpoint's id.
        endpoint: Segment,
    },
    /// A router's sign of life.
    Router(Segment),
    /// What an API key has spent, by the key's public part.
    Spend(Segment),
}

impl Key {
    /// The key that a string spells; nothing for one of another layout.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        let (kind, rest) = key.strip_prefix(ROOT)?.split_once('/')?;
        match kind {
            "cfg" => ConfigPath::new(rest).map(Self::Config),
            "hist" => parse_number(rest).map(Self::History),
            "probers" => Segment::new(rest).map(Self::Prober),
            "obs" => {
                let (prober, endpoint) = rest.split_once('/')?;
                let (prober, endpoint) = (Segment::new(prober)?, Segment::new(endpoint)?);
                Some(Self::Observation { prober, endpoint })
            }
            "routers" => Segment::new(rest).map(Self::Router),
            "spend" => Segment::new(rest).map(Self::Spend),
            _ => None,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(path) => write!(out, "{CONFIG}{path}"),
            Self::History(number) => write!(out, "{HISTORY}{number:0HISTORY_DIGITS$}"),
            Self::Prober(prober) => write!(out, "{PROBERS}{prober}"),
            Self::Observation { prober, endpoint } => {
                write!(out, "{OBSERVATIONS}{prober}/{endpoint}")
            }
            Self::Router(router) => write!(out, "{ROUTERS}{router}"),
            Self::Spend(key) => write!(out, "{SPEND}{key}"),
        }
    }
}

/// The prefix of everything that one prober saw.
#[must_use]
pub fn observations_of(prober: &Segment) -> String {
    format!("{OBSERVATIONS}{prober}/")
}

/// The prefix of all configuration documents below a path, such as `catalog`.
#[must_use]
pub fn config_below(path: &ConfigPath) -> String {
    format!("{CONFIG}{path}/")
}

fn parse_number(digits: &str) -> Option<u64> {
    let plain = digits.len() == HISTORY_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// One id in a key: 1 to [`SEGMENT_MAX_BYTES`] visible ASCII characters without a slash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Segment(String);

impl Segment {
    /// The segment, or nothing if the text cannot be one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = text.len() <= SEGMENT_MAX_BYTES && is_segment(text);
        fits.then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Where a document of the configuration is, such as `policy/default` or `overrides/provider/openai`:
/// segments with slashes between them, [`CONFIG_PATH_MAX_BYTES`] in all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigPath(String);

impl ConfigPath {
    /// The path, or nothing if the text cannot be one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = text.len() <= CONFIG_PATH_MAX_BYTES && text.split('/').all(is_segment);
        fits.then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConfigPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

fn is_segment(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_key_is_spelled_as_documented_and_read_back() {
        let keys = [
            "/trunkline/v1/cfg/policy",
            "/trunkline/v1/cfg/overrides/model/meta/llama-3:free",
            "/trunkline/v1/hist/00000000000000000042",
            "/trunkline/v1/hist/18446744073709551615",
            "/trunkline/v1/probers/p-1",
            "/trunkline/v1/obs/p-1/abcdefghij",
            "/trunkline/v1/routers/r1.zone-a",
            "/trunkline/v1/spend/k3tnq7ab",
        ];
        for key in keys {
            assert_eq!(Key::parse(key).unwrap().to_string(), key);
        }
    }

    #[test]
    fn what_is_not_a_key_is_not_read_as_one() {
        let keys = [
            "",
            "/trunkline/v1/",
            "/trunkline/v2/cfg/policy",
            "/trunkline/v1/cfg/",
            "/trunkline/v1/cfg/a//b",
            "/trunkline/v1/cfg/a b",
            "/trunkline/v1/hist/42",
            "/trunkline/v1/hist/+0000000000000000042",
            "/trunkline/v1/hist/99999999999999999999",
            "/trunkline/v1/probers/a/b",
            "/trunkline/v1/obs/p-1",
            "/trunkline/v1/obs/p-1/a/b",
            "/trunkline/v1/other/x",
        ];
        for key in keys {
            assert_eq!(Key::parse(key), None, "{key}");
        }
    }

    #[test]
    fn history_keys_sort_as_their_numbers() {
        assert!(Key::History(9).to_string() < Key::History(10).to_string());
        assert!(Key::History(10).to_string() < Key::History(u64::MAX).to_string());
    }

    #[test]
    fn the_longest_key_fits_the_store() {
        let path = "x".repeat(CONFIG_PATH_MAX_BYTES);
        let key = Key::Config(ConfigPath::new(&path).unwrap()).to_string();
        assert!(key.len() <= crate::port::KEY_MAX_BYTES);
        assert_eq!(ConfigPath::new(&format!("{path}x")), None);
    }
}
