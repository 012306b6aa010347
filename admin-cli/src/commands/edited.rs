//! What every edit shows afterwards: the revision, and what moves.

use std::io::Write;

use serde_json::json;
use trunkline_proto::admin::v1::Impact;

use crate::Failure;
use crate::cli::Format;
use crate::render::{self, List};
use crate::rows;

/// How the models whose traffic moves are listed.
pub const COLUMNS: &[(&str, &str)] = &[
    ("MODEL", "id"),
    ("MOVED_PERMILLE", "moved_permille"),
    ("USABLE_BEFORE", "usable_before"),
    ("USABLE_AFTER", "usable_after"),
];

/// An edit that was done, or worked out.
pub struct Edited<'a> {
    /// What was done, for people: `drained provider/a`.
    pub what: String,
    /// It was only worked out.
    pub dry_run: bool,
    /// The revision of the write; of the state looked at in a dry run.
    pub revision: i64,
    /// What moves.
    pub impact: Option<&'a Impact>,
}

impl Edited<'_> {
    /// Writes it.
    ///
    /// # Errors
    /// When `out` does not take it.
    pub fn write(&self, format: Format, out: &mut dyn Write) -> Result<(), Failure> {
        let items = rows::impact(self.impact);
        let violations = self.impact.map(|i| i.violations.as_slice()).unwrap_or_default();
        let targets = self.impact.map(|i| i.targets.as_slice()).unwrap_or_default();
        if format.is_data() {
            let answer = json!({
                "revision": self.revision,
                "dry_run": self.dry_run,
                "items": items,
                "violations": violations,
                "targets": targets,
            });
            return Ok(render::data(&answer, format, out)?);
        }
        if !targets.is_empty() {
            writeln!(out, "it stands for {}", targets.join(", "))?;
        }
        let done = if self.dry_run { "would be" } else { "is" };
        writeln!(out, "{} {done} in force from revision {}", self.what, self.revision)?;
        if !items.is_empty() {
            render::table(&List { columns: COLUMNS, items }, out)?;
        }
        for violation in violations {
            writeln!(out, "against the rules: {violation}")?;
        }
        Ok(())
    }
}
