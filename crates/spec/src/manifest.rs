//! The word that a catalog is meant although it takes much away: how many endpoints it has. It stands beside
//! the catalog, written in the same revision or after it. Whether it is needed is the reader's rule.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalog::check_text;
use crate::error::Problems;
use crate::load::load;

/// The catalog that is meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// How many endpoints it has; 0 for a catalog that was deleted.
    pub endpoints: u64,
    /// Why so much goes, for whoever reads it later.
    pub reason: String,
    /// Who said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
}

/// Reads a manifest, in YAML or JSON.
///
/// # Errors
/// Every mistake found, with its line.
pub fn parse(text: &str) -> Result<Manifest, Problems> {
    let loaded = load::<Manifest>(text)?;
    let mut problems = Problems::default();
    check_text("reason", &loaded.document.reason, &mut problems);
    if let Some(by) = &loaded.document.by {
        check_text("by", by, &mut problems);
    }
    problems.or(()).map_err(|problems| loaded.locate(problems))?;
    Ok(loaded.document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_names_a_number_and_a_reason() {
        let manifest = parse(r#"{"endpoints": 3, "reason": "moved"}"#).unwrap();
        assert_eq!((manifest.endpoints, manifest.reason.as_str()), (3, "moved"));
        for wrong in ["{}", r#"{"endpoints": 3}"#, r#"{"endpoints": 3, "reason": ""}"#] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
