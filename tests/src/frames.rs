//! Event streams as they come over the wire, frame by frame, nothing interpreted away.

use serde_json::Value;

/// One frame of an event stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// A line that clients skip.
    Comment(String),
    /// An event with JSON inside.
    Event(Value),
    /// `[DONE]`.
    Done,
    /// Anything else: no router of ours sends it.
    Odd(String),
}

impl Frame {
    /// The content that it adds to the first choice.
    #[must_use]
    pub fn content(&self) -> Option<&str> {
        let Self::Event(event) = self else { return None };
        event.pointer("/choices/0/delta/content").and_then(Value::as_str).filter(|t| !t.is_empty())
    }

    /// The error it carries.
    #[must_use]
    pub fn error(&self) -> Option<&Value> {
        let Self::Event(event) = self else { return None };
        event.get("error").filter(|error| !error.is_null())
    }

    fn parse(text: &str) -> Self {
        if let Some(comment) = text.strip_prefix(':') {
            return Self::Comment(comment.trim().to_owned());
        }
        match text.strip_prefix("data: ") {
            Some("[DONE]") => Self::Done,
            Some(json) => {
                serde_json::from_str(json).map_or_else(|_| Self::Odd(text.to_owned()), Self::Event)
            }
            None => Self::Odd(text.to_owned()),
        }
    }
}

/// The complete frames of `bytes`; the rest stays.
pub(crate) fn split(bytes: &mut Vec<u8>) -> Vec<Frame> {
    let (mut frames, mut start) = (Vec::new(), 0);
    for end in memchr::memmem::find_iter(bytes, b"\n\n") {
        let frame = bytes.get(start..end).unwrap_or_default();
        frames.push(Frame::parse(String::from_utf8_lossy(frame).trim_end()));
        start = end + 2;
    }
    bytes.drain(..start);
    frames
}
