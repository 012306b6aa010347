//! Drains: at once or step by step, until told otherwise or until a time. The steps and the end are written by
//! routers; what a record says at one revision, it says to all of them.

use super::{DrainEntry, Scope, check_words};
use crate::error::Problems;

/// All of a weight, in thousandths.
pub(super) const WHOLE_PERMILLE: u32 = 1_000;

/// A drain in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drain {
    /// What takes no new calls.
    pub scope: Scope,
    /// Why.
    pub reason: String,
    /// Who said so.
    pub by: Option<String>,
    /// When, in milliseconds since 1970.
    pub at_ms: Option<u64>,
    /// When it ends by itself, in milliseconds since 1970; `None` for never.
    pub expires_at_ms: Option<u64>,
    /// When streams that are still open there are cut, in milliseconds since 1970; `None` for never.
    pub deadline_at_ms: Option<u64>,
    /// How much of the weight goes each minute, in thousandths, 1 to 1000; `None` for all of it at once.
    pub rate_permille: Option<u32>,
    /// How much of the weight is gone, in thousandths, at most 1000.
    pub taken_permille: u32,
    /// The model was withdrawn, which an undrain does not undo.
    pub withdrawn: bool,
}

impl Drain {
    /// How much of the weight is left, in thousandths; nothing for a drain that is complete.
    pub fn left_permille(&self) -> u32 {
        WHOLE_PERMILLE.saturating_sub(self.taken_permille)
    }

    /// How much of the weight should be gone at that time, in thousandths: `rate × minutes`, and all of it for a
    /// drain without a rate.
    pub fn due_permille(&self, now_ms: u64) -> u32 {
        let Some((rate, since)) = self.rate_permille.zip(self.at_ms) else { return WHOLE_PERMILLE };
        let gone = u64::from(rate).saturating_mul(now_ms.saturating_sub(since)) / 60_000;
        u32::try_from(gone).unwrap_or(u32::MAX).clamp(self.taken_permille, WHOLE_PERMILLE)
    }

    /// Whether it should have ended by then.
    pub fn is_over(&self, now_ms: u64) -> bool {
        self.expires_at_ms.is_some_and(|end| now_ms >= end)
    }

    /// When what it covers is cut, in milliseconds since 1970; not before all of the weight is gone, since new
    /// calls still arrive until then.
    pub fn cuts_at_ms(&self) -> Option<u64> {
        self.deadline_at_ms.filter(|_| self.left_permille() == 0)
    }

    /// Whether somebody has to change it as time passes.
    pub fn changes_with_time(&self) -> bool {
        self.expires_at_ms.is_some() || self.left_permille() > 0
    }
}

impl DrainEntry {
    pub(super) fn admit(&self, prefix: &str, problems: &mut Problems) -> Option<Drain> {
        check_words(prefix, &self.reason, self.by.as_deref(), problems);
        let whole = WHOLE_PERMILLE;
        if self.rate_permille.is_some_and(|rate| !(1..=whole).contains(&rate)) {
            problems.add(
                format!("{prefix}rate_permille"),
                "out of range; use 1 to 1000, or leave it out to drain at once",
            );
        }
        let taken_permille = self.taken_permille.unwrap_or(whole);
        if taken_permille > whole {
            problems.add(format!("{prefix}taken_permille"), "out of range; use 0 to 1000");
        } else if taken_permille < whole && self.rate_permille.zip(self.at_ms).is_none() {
            problems.add(
                format!("{prefix}taken_permille"),
                "a part is taken away only at a rate; add `rate_permille` and `at_ms`",
            );
        }
        let scope = Scope::parse(&self.scope);
        let scope =
            scope.map_err(|message| problems.add(format!("{prefix}scope"), message)).ok()?;
        if self.withdrawn && !matches!(scope, Scope::Model(_)) {
            problems.add(format!("{prefix}withdrawn"), "only a model is withdrawn");
        }
        Some(Drain {
            scope,
            reason: self.reason.clone(),
            by: self.by.clone(),
            at_ms: self.at_ms,
            expires_at_ms: self.expires_at_ms,
            deadline_at_ms: self.deadline_at_ms,
            rate_permille: self.rate_permille,
            taken_permille,
            withdrawn: self.withdrawn,
        })
    }
}

/// Thousandths of a weight; something of a weight that is not zero is never nothing, which would take the
/// endpoint out before it is time.
pub(super) fn part_of(weight: u16, permille: u32) -> u16 {
    let part = u32::from(weight) * permille.min(WHOLE_PERMILLE) / WHOLE_PERMILLE;
    u16::try_from(part).unwrap_or(weight).max(weight.min(1))
}
