//! What answers and stream chunks have in common: choices, why they ended, and errors in a 200.

use std::fmt;
use std::ops::Range;

use crate::json::{Fault, Kind, Scanner};

/// Longest message or code kept of a provider's error, in bytes.
const MAX_ERROR_TEXT_BYTES: usize = 4096;

/// Why a choice ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FinishReason {
    /// The model was done, or met a stop sequence.
    Stop,
    /// The token limit was reached.
    Length,
    /// The model calls tools or a function.
    ToolCalls,
    /// The provider's filter cut in.
    ContentFilter,
    /// The provider failed.
    Error,
    /// A reason the dialect does not name.
    Other,
}

impl FinishReason {
    /// The dialect's word for it; `other` where it has none.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Error => "error",
            Self::Other => "other",
        }
    }

    fn from_name(name: &str) -> Self {
        match name {
            "stop" => Self::Stop,
            "length" => Self::Length,
            "tool_calls" | "function_call" => Self::ToolCalls,
            "content_filter" => Self::ContentFilter,
            "error" => Self::Error,
            _ => Self::Other,
        }
    }
}

/// An error object inside an otherwise successful response.
///
/// Raw: a provider's message can echo keys and prompts, so it passes through
/// [`crate::sanitize::sanitize_provider_message`] before anyone sees it, and `Debug` leaves it out.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ProviderError {
    /// The provider's message, cut to a few KiB.
    pub message: Option<String>,
    /// The provider's code, a number as digits.
    pub code: Option<String>,
    /// The provider's `type`.
    pub kind: Option<String>,
    /// The code, when it is an HTTP status.
    pub status: Option<u16>,
}

impl fmt::Debug for ProviderError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ProviderError").field("status", &self.status).finish_non_exhaustive()
    }
}

/// What was found in a list of choices.
#[derive(Default)]
pub(crate) struct Choices {
    pub(crate) any: bool,
    pub(crate) content: bool,
    pub(crate) finish_reason: Option<FinishReason>,
    pub(crate) error: Option<ProviderError>,
}

/// Reads a `choices` value. Of several reasons to end, an error counts most, else the last.
pub(crate) fn read_choices(scan: &mut Scanner<'_>) -> Result<Choices, Fault> {
    let mut choices = Choices::default();
    if scan.kind()? != Kind::Array {
        scan.skip()?;
        return Ok(choices);
    }
    scan.enter_array()?;
    while scan.next_item()? {
        choices.any = true;
        if scan.kind()? == Kind::Object {
            read_choice(scan, &mut choices)?;
        } else {
            scan.skip()?;
        }
    }
    Ok(choices)
}

fn read_choice(scan: &mut Scanner<'_>, to: &mut Choices) -> Result<(), Fault> {
    scan.enter_object()?;
    while let Some(key) = scan.next_key()? {
        match &*key.name() {
            "delta" | "message" => to.content |= message_has_content(scan)?,
            "text" => to.content |= has_substance(scan)?,
            "error" => to.error = read_error(scan)?.or(to.error.take()),
            "finish_reason" if scan.kind()? == Kind::String => {
                let reason = FinishReason::from_name(&scan.string()?.name());
                if to.finish_reason != Some(FinishReason::Error) {
                    to.finish_reason = Some(reason);
                }
            }
            _ => scan.skip()?,
        }
    }
    Ok(())
}

/// True when a message or delta says something; its role alone is nothing.
fn message_has_content(scan: &mut Scanner<'_>) -> Result<bool, Fault> {
    if scan.kind()? != Kind::Object {
        scan.skip()?;
        return Ok(false);
    }
    let mut content = false;
    scan.enter_object()?;
    while let Some(key) = scan.next_key()? {
        match &*key.name() {
            "content" | "tool_calls" | "refusal" | "reasoning" | "reasoning_content"
            | "reasoning_details" | "function_call" | "audio" | "images" => {
                content |= has_substance(scan)?;
            }
            _ => scan.skip()?,
        }
    }
    Ok(content)
}

/// Consumes a value; true for a string, list or object that is not empty.
pub(crate) fn has_substance(scan: &mut Scanner<'_>) -> Result<bool, Fault> {
    let mut any = false;
    match scan.kind()? {
        Kind::String => any = !scan.string()?.is_empty(),
        Kind::Array => {
            scan.enter_array()?;
            while scan.next_item()? {
                any = true;
                scan.skip()?;
            }
        }
        Kind::Object => {
            scan.enter_object()?;
            while scan.next_key()?.is_some() {
                any = true;
                scan.skip()?;
            }
        }
        Kind::Number | Kind::Bool | Kind::Null => scan.skip()?,
    }
    Ok(any)
}

/// Reads an `error` value: an object, or a string that is the message. `None` when it says there is none.
pub(crate) fn read_error(scan: &mut Scanner<'_>) -> Result<Option<ProviderError>, Fault> {
    match scan.kind()? {
        Kind::Object => {
            let mut error = ProviderError::default();
            scan.enter_object()?;
            while let Some(key) = scan.next_key()? {
                read_error_field(scan, &key.name(), &mut error)?;
            }
            Ok(Some(error))
        }
        Kind::String => {
            let message = read_text(scan)?.filter(|message| !message.is_empty());
            Ok(message.map(|text| ProviderError { message: Some(text), ..Default::default() }))
        }
        _ => {
            scan.skip()?;
            Ok(None)
        }
    }
}

/// Reads one field of an error object.
pub(crate) fn read_error_field(
    scan: &mut Scanner<'_>,
    name: &str,
    error: &mut ProviderError,
) -> Result<(), Fault> {
    match name {
        "message" => error.message = read_text(scan)?,
        "type" => error.kind = read_text(scan)?,
        "code" => {
            error.code = read_text(scan)?;
            let status = error.code.as_ref().and_then(|code| code.parse().ok());
            error.status = status.filter(|status| (100..600).contains(status));
        }
        _ => scan.skip()?,
    }
    Ok(())
}

/// A string or number as text, cut to what is worth keeping.
pub(crate) fn read_text(scan: &mut Scanner<'_>) -> Result<Option<String>, Fault> {
    let text = match scan.kind()? {
        Kind::String => scan.string()?.name(),
        Kind::Number => scan.number()?.into(),
        _ => {
            scan.skip()?;
            return Ok(None);
        }
    };
    Ok(Some(cut(&text, MAX_ERROR_TEXT_BYTES).to_owned()))
}

/// The text of a JSON value that lies at a place in what was read; `None` when it is no string.
pub(crate) fn text_at(json: &[u8], at: Range<usize>) -> Option<String> {
    read_text(&mut Scanner::new(json.get(at)?).ok()?).ok()?
}

/// The front of `text`, at most `most` bytes, without splitting a character.
fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}
