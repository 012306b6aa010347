//! One `data` payload of a provider's stream: read for accounting, forwarded as bytes.

use std::ops::Range;

use bytes::Bytes;

use crate::answer::Undecodable;
pub use crate::choice::{FinishReason, ProviderError};
use crate::choice::{read_choices, read_error, text_at};
use crate::json::{Scanner, escape};
use crate::operation::Operation;
use crate::splice::{NewUsage, Root, Spots, splice, usage_object};
use crate::usage::{self, Usage, UsageOut};

/// The payload that ends a stream.
pub const DONE: &[u8] = b"[DONE]";

/// What was read of a chunk.
#[derive(Debug, Clone, Default)]
pub struct ChunkScan {
    /// The chunk is `[DONE]`.
    pub done: bool,
    /// Some delta says something; a role alone or an empty text does not.
    pub content: bool,
    /// Why a choice ended.
    pub finish_reason: Option<FinishReason>,
    /// The tokens the provider reports.
    pub usage: Option<Usage>,
    /// There is no choice in it: the chunk is about usage, an error, or nothing.
    pub choices_empty: bool,
    /// The provider failed in the middle of its stream.
    pub error: Option<ProviderError>,
    /// Where the value of `model` lies, quotes included.
    pub model: Option<Range<usize>>,
    usage_spot: Option<usage::Spot>,
    root: Root,
}

impl ChunkScan {
    /// The model that the chunk names; `None` when it names none. `data` is what was read.
    #[must_use]
    pub fn model_in(&self, data: &[u8]) -> Option<String> {
        text_at(data, self.model.clone()?)
    }
}

/// Reads one payload, of a chat or a completion stream.
///
/// # Errors
/// When `data` is neither `[DONE]` nor one complete JSON object in UTF-8.
pub fn scan_chunk(data: &[u8]) -> Result<ChunkScan, Undecodable> {
    let mut found = ChunkScan { choices_empty: true, ..ChunkScan::default() };
    if data.trim_ascii() == DONE {
        found.done = true;
        return Ok(found);
    }
    let mut scan = Scanner::new(data)?;
    scan.enter_object()?;
    found.root = Root { end: scan.position(), empty: true };
    while let Some(key) = scan.next_key()? {
        match &*key.name() {
            "model" => found.model = Some(scan.value()?),
            "choices" => {
                let choices = read_choices(&mut scan)?;
                found.choices_empty = !choices.any;
                found.content = choices.content;
                found.finish_reason = choices.finish_reason;
                found.error = found.error.or(choices.error);
            }
            "usage" => {
                let (counts, spot) = usage::read(&mut scan)?;
                (found.usage, found.usage_spot) = (counts, Some(spot));
            }
            "error" => found.error = read_error(&mut scan)?.or(found.error),
            _ => scan.skip()?,
        }
        found.root = Root { end: scan.position(), empty: false };
    }
    scan.end()?;
    Ok(found)
}

/// The chunk with `model` as its model and, if given, our cost in its usage; `scan` must be of the same
/// `data`, and not of `[DONE]`.
#[must_use]
pub fn rewrite_chunk(
    data: &[u8],
    scan: &ChunkScan,
    model: &str,
    usage: Option<&UsageOut<'_>>,
) -> Bytes {
    let usage = usage.map_or(NewUsage::Kept, NewUsage::Priced);
    splice(data, &spots(scan), model, usage)
}

/// The chunk with `model` as its model and `null` as its usage, for a stream that tells usage once, in a chunk
/// of its own; `scan` as above.
#[must_use]
pub fn without_usage(data: &[u8], scan: &ChunkScan, model: &str) -> Bytes {
    splice(data, &spots(scan), model, NewUsage::Null)
}

fn spots(scan: &ChunkScan) -> Spots<'_> {
    let ChunkScan { model, usage_spot, root, .. } = scan;
    Spots { model: model.as_ref(), usage: usage_spot.as_ref(), root: *root }
}

/// A chunk of our own that carries the usage, for a stream whose provider sent none. `created_s` is in
/// seconds since 1970.
#[must_use]
pub fn usage_chunk(
    operation: Operation,
    id: &str,
    model: &str,
    created_s: u64,
    usage: &UsageOut<'_>,
) -> Bytes {
    let object = match operation {
        Operation::Completion => "text_completion",
        Operation::Chat | Operation::Embedding => "chat.completion.chunk",
    };
    let (id, model, usage) = (escape(id), escape(model), usage_object(usage));
    Bytes::from(format!(
        "{{\"id\":\"{id}\",\"object\":\"{object}\",\"created\":{created_s},\"model\":\"{model}\",\
         \"choices\":[],\"usage\":{usage}}}"
    ))
}

#[cfg(test)]
mod tests;
