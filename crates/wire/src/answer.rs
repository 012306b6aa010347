//! A provider's unary answer: checked whole, read for accounting, forwarded as bytes.

use std::ops::Range;

use bytes::Bytes;

pub use crate::choice::{FinishReason, ProviderError};
use crate::choice::{has_substance, read_choices, read_error, read_text, text_at};
use crate::json::{Fault, Scanner};
use crate::operation::Operation;
use crate::splice::{NewUsage, Root, Spots, splice};
use crate::usage::{self, Usage, UsageOut};

/// What was read of an answer.
#[derive(Debug, Clone, Default)]
pub struct AnswerScan {
    /// The provider's id for the answer.
    pub id: Option<String>,
    /// Where the value of `model` lies, quotes included.
    pub model: Option<Range<usize>>,
    /// The tokens the provider reports.
    pub usage: Option<Usage>,
    /// Why the answer ended.
    pub finish_reason: Option<FinishReason>,
    /// Some choice says something (text, tool calls, refusal, reasoning, audio, images), or there is at
    /// least one embedding.
    pub content: bool,
    /// An error in spite of the 200.
    pub error: Option<ProviderError>,
    usage_spot: Option<usage::Spot>,
    root: Root,
}

impl AnswerScan {
    /// The model that the answer names; `None` when it names none. `body` is what was read.
    #[must_use]
    pub fn model_in(&self, body: &[u8]) -> Option<String> {
        text_at(body, self.model.clone()?)
    }
}

/// A body or chunk that is not one JSON object: the provider's fault. Carries no part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not decodable at byte {at}: {reason}")]
pub struct Undecodable {
    /// The byte at which reading stopped.
    pub at: usize,
    /// Why.
    pub reason: &'static str,
}

impl From<Fault> for Undecodable {
    fn from(Fault { at, reason }: Fault) -> Self {
        Self { at, reason }
    }
}

/// Reads the answer to an `operation`.
///
/// # Errors
/// When `body` is not one complete JSON object in UTF-8.
pub fn scan_answer(operation: Operation, body: &[u8]) -> Result<AnswerScan, Undecodable> {
    let mut scan = Scanner::new(body)?;
    let mut found = AnswerScan::default();
    scan.enter_object()?;
    found.root = Root { end: scan.position(), empty: true };
    while let Some(key) = scan.next_key()? {
        match &*key.name() {
            "id" => found.id = read_text(&mut scan)?,
            "model" => found.model = Some(scan.value()?),
            "usage" => {
                let (counts, spot) = usage::read(&mut scan)?;
                (found.usage, found.usage_spot) = (counts, Some(spot));
            }
            "choices" if operation != Operation::Embedding => {
                let choices = read_choices(&mut scan)?;
                found.content = choices.content;
                found.finish_reason = choices.finish_reason;
                found.error = found.error.or(choices.error);
            }
            "data" if operation == Operation::Embedding => {
                found.content = has_substance(&mut scan)?
            }
            "error" => found.error = read_error(&mut scan)?.or(found.error),
            _ => scan.skip()?,
        }
        found.root = Root { end: scan.position(), empty: false };
    }
    scan.end()?;
    Ok(found)
}

/// The answer with `model` as its model and our cost in its usage; `scan` must be of the same `body`.
///
/// The provider's usage fields stay; a usage object is added when there is none.
#[must_use]
pub fn rewrite_answer(body: &Bytes, scan: &AnswerScan, model: &str, usage: &UsageOut<'_>) -> Bytes {
    let AnswerScan { model: at, usage_spot, root, .. } = scan;
    let spots = Spots { model: at.as_ref(), usage: usage_spot.as_ref(), root: *root };
    splice(body, &spots, model, NewUsage::Priced(usage))
}

#[cfg(test)]
mod tests;
