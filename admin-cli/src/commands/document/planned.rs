//! How a plan looks, and whether it would be refused.

use std::io::Write;

use serde_json::{Value, json};
use trunkline_proto::admin::v1::DocumentPlan;
use trunkline_spec::versioned::Versioned;

use super::replay::Replay;
use crate::Failure;
use crate::cli::{Format, OverruleArgs};
use crate::commands::dataflow;
use crate::commands::edited;
use crate::render::{self, List};
use crate::rows::{self, SHORT_VERSION};

/// How differences are listed.
pub const DIFFERENCES: &[(&str, &str)] =
    &[("CHANGED", "id"), ("BEFORE", "before"), ("AFTER", "after")];

/// A version as people are shown it.
pub fn short(version: &str) -> &str {
    match version.get(..SHORT_VERSION).unwrap_or(version) {
        "" => "none",
        short => short,
    }
}

/// A plan for a kind of document.
pub struct Planned<'a> {
    /// Which document.
    pub kind: Versioned,
    /// The plan.
    pub plan: &'a DocumentPlan,
    /// What it would have made of recent calls, where that was asked.
    pub replay: Option<Replay<'a>>,
}

impl Planned<'_> {
    /// Writes it.
    ///
    /// # Errors
    /// When `out` does not take it.
    pub fn write(&self, format: Format, out: &mut dyn Write) -> Result<(), Failure> {
        if format.is_data() {
            return Ok(render::data(&self.value(), format, out)?);
        }
        let (head, version) = (&self.plan.head_version, &self.plan.version);
        writeln!(out, "{} {} → {}", self.kind, short(head), short(version))?;
        let tables = [
            ("", DIFFERENCES, self.differences()),
            ("traffic that moves:", edited::COLUMNS, rows::impact(self.plan.impact.as_ref())),
            ("prompts could newly go to:", dataflow::COLUMNS, self.widenings()),
        ];
        for (title, columns, items) in tables.into_iter().filter(|(_, _, items)| !items.is_empty())
        {
            writeln!(out, "{}{title}", if title.is_empty() { "" } else { "\n" })?;
            render::table(&List { columns, items }, out)?;
        }
        if let Some(replay) = &self.replay {
            replay.write(out)?;
        }
        for violation in self.violations() {
            writeln!(out, "\nagainst the rules: {violation}")?;
        }
        Ok(writeln!(out)?)
    }

    /// The plan for programs.
    pub fn value(&self) -> Value {
        json!({
            "kind": self.kind.as_str(),
            "head": self.plan.head_version,
            "version": self.plan.version,
            "revision": self.plan.revision,
            "items": self.differences(),
            "impact": rows::impact(self.plan.impact.as_ref()),
            "violations": self.violations(),
            "dataflow": self.widenings(),
            "replay": self.replay.as_ref().map(Replay::value),
        })
    }

    /// Nothing, when applying it would not be refused.
    ///
    /// # Errors
    /// [`Failure::Refused`] with what is to be said to have it done all the same.
    pub fn acceptable(&self, overrule: &OverruleArgs) -> Result<(), Failure> {
        let mut against = Vec::new();
        if !overrule.force && !self.violations().is_empty() {
            against.push("safety rules are against it; --force overrules them");
        }
        if !overrule.accept_dataflow && !self.plan.widenings.is_empty() {
            against
                .push("prompts could go where they cannot go now; --accept-dataflow accepts that");
        }
        if against.is_empty() { Ok(()) } else { Err(Failure::Refused(against.join("; "))) }
    }

    fn differences(&self) -> Vec<Value> {
        let differences = self.plan.differences.iter();
        differences.map(|d| rows::difference(&d.path, &d.before, &d.after)).collect()
    }

    fn violations(&self) -> &[String] {
        self.plan.impact.as_ref().map(|impact| impact.violations.as_slice()).unwrap_or_default()
    }

    fn widenings(&self) -> Vec<Value> {
        self.plan.widenings.iter().map(rows::dataflow).collect()
    }
}
