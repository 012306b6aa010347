//! The documents that have versions: policy and catalog. What they say is in their own modules; here is what
//! holds for both.

use std::fmt;

use trunkline_core::catalog::Catalog;

use crate::canonical;
use crate::error::Problems;
use crate::{catalog, policy};

/// A kind of document that is reviewed, written as a whole, and can be rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versioned {
    /// Routes, deadlines, retries and rules.
    Policy,
    /// Providers and endpoints.
    Catalog,
}

/// A document that is right, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Canonical JSON.
    pub canonical: String,
    /// The hash of that.
    pub version: String,
}

impl Versioned {
    /// The word for it in commands, keys and history.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Catalog => "catalog",
        }
    }

    /// Reads a document by itself, in YAML or JSON.
    ///
    /// # Errors
    /// Every mistake found, with its line.
    pub fn read(self, text: &str) -> Result<Written, Problems> {
        match self {
            Self::Policy => drop(policy::parse(text)?),
            Self::Catalog => drop(catalog::parse(text)?),
        }
        self.written(text)
    }

    /// [`Self::read`], and every model that a policy names must be in `catalog`.
    ///
    /// # Errors
    /// Every mistake found, with its line.
    pub fn read_against(self, text: &str, catalog: &Catalog) -> Result<Written, Problems> {
        match self {
            Self::Policy => drop(policy::parse_against(text, catalog)?),
            Self::Catalog => drop(catalog::parse(text)?),
        }
        self.written(text)
    }

    /// The version of a stored text; one that is not of the kind's shape has the hash of its bytes.
    pub fn version_of(self, text: &str) -> String {
        self.written(text).map_or_else(|_| canonical::hash(text), |written| written.version)
    }

    fn written(self, text: &str) -> Result<Written, Problems> {
        let canonical = match self {
            Self::Policy => policy::canonical(text)?,
            Self::Catalog => catalog::canonical(text)?,
        };
        let version = canonical::hash(&canonical);
        Ok(Written { canonical, version })
    }
}

impl fmt::Display for Versioned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_that_of_the_policy_in_force() {
        let text = "version: 1\nretry: {attempts: 2}\n";
        let written = Versioned::Policy.read(text).unwrap();
        assert_eq!(written.version, policy::parse(text).unwrap().version);
        assert_eq!(Versioned::Policy.version_of(&written.canonical), written.version);
        assert_eq!(Versioned::Policy.version_of("nonsense"), canonical::hash("nonsense"));
    }

    #[test]
    fn a_model_that_is_not_there_is_a_mistake_only_beside_a_catalog() {
        let text = "version: 1\naliases: {fast: gone}\n";
        assert!(Versioned::Policy.read(text).is_ok());
        let problems = Versioned::Policy.read_against(text, &Catalog::default()).unwrap_err();
        assert_eq!(problems.0[0].line, 2);
    }
}
