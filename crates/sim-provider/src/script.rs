//! An answer as plain data: when the head is sent, and the steps of the body.
//! `play.rs` performs a script; `sabotage.rs` rewrites one. Nothing here waits or sends.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

/// What happens before the head of the answer is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// The head is sent at once.
    AtOnce,
    /// The head is sent after this time.
    After(Duration),
    /// The head is never sent.
    Never,
    /// The connection is reset instead.
    Reset,
}

/// One step of a body. Each `Data`, `Frame` and `Terminal` is flushed on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Pause, counted from when the step before was due.
    Wait(Duration),
    /// Bytes that carry this many tokens.
    Data(Bytes, u32),
    /// Bytes that carry none: roles, finish reasons, usage, comments.
    Frame(Bytes),
    /// The terminal event of a stream.
    Terminal(Bytes),
    /// These bytes again and again, with this pause, for ever.
    Repeat(Bytes, Duration),
    /// A gzip stream that inflates to this many bytes, made while it is sent.
    Bomb(u64),
    /// Nothing more, on a connection that stays open.
    Silence,
    /// The connection is closed without the end of the body.
    Abort,
    /// The connection is reset.
    Reset,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Script {
    /// What comes before the head.
    pub opening: Opening,
    /// The status of the head.
    pub status: StatusCode,
    /// The headers; without a content length the body is chunked, unless it is one single step.
    pub headers: HeaderMap,
    /// The body.
    pub steps: Vec<Step>,
}

impl Script {
    /// A JSON answer in one piece that carries `tokens` tokens.
    #[must_use]
    pub fn json(status: StatusCode, body: Vec<u8>, tokens: u32) -> Self {
        Self::new(status, "application/json", vec![Step::Data(body.into(), tokens)])
    }

    /// A server-sent event stream.
    #[must_use]
    pub fn events(steps: Vec<Step>) -> Self {
        Self::new(StatusCode::OK, "text/event-stream; charset=utf-8", steps)
            .with_header(header::CACHE_CONTROL, "no-cache")
    }

    /// An answer with these steps, sent at once.
    #[must_use]
    pub fn new(status: StatusCode, content_type: &'static str, steps: Vec<Step>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self { opening: Opening::AtOnce, status, headers, steps }
    }

    /// The same with one more header; a value that HTTP forbids is left out.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// The steps up to and including the given number of tokens.
    #[must_use]
    pub fn first_tokens(steps: Vec<Step>, tokens: u32) -> Vec<Step> {
        let at = Self::position_after(&steps, tokens);
        steps.into_iter().take(at).collect()
    }

    /// The index just after the step with the given number of tokens; 0 tokens is before the first one.
    #[must_use]
    pub fn position_after(steps: &[Step], tokens: u32) -> usize {
        let mut seen = 0_u32;
        for (index, step) in steps.iter().enumerate() {
            if let Step::Data(_, carried) = step {
                if seen >= tokens {
                    return index;
                }
                seen = seen.saturating_add(*carried);
                if seen >= tokens && tokens > 0 {
                    return index + 1;
                }
            }
        }
        steps.len()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Script, Step};

    #[test]
    fn positions_count_tokens_and_not_other_steps() {
        let frame = || Step::Frame(Bytes::new());
        let token = || Step::Data(Bytes::new(), 1);
        let steps = [frame(), token(), frame(), token(), frame()];
        let positions = [0, 1, 2, 9].map(|tokens| Script::position_after(&steps, tokens));
        assert_eq!(positions, [1, 2, 4, 5]);
    }
}
