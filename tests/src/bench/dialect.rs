//! What the benchmark's callers say and its upstream answers: OpenAI-shaped bytes, made once. How an
//! upstream should stream is written into the prompt, which every gateway passes on as it is.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;

/// The model that callers ask for.
pub const MODEL: &str = "bench/model";
/// The key that callers send: the public part is `benchkey`, the rest has the length of a real one.
pub const KEY: &str = "tl_benchkey_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLM";
/// Tokens of each prompt, as the upstream counts them.
pub const PROMPT_TOKENS: u64 = 48;
/// Tokens of each whole answer, as the upstream counts them.
pub const ANSWER_TOKENS: u64 = 40;
/// Stands once in every whole answer: a reply without it is not the upstream's.
pub const ANSWER_MARK: &str = "the lighthouse keeper wrote";
/// Stands once in every content chunk, and nowhere else in a stream.
pub const CHUNK_MARK: &[u8] = b"\"content\":\" tok\"";
/// The event that ends a stream.
pub const DONE: &[u8] = b"data: [DONE]";

/// The system's message.
pub const SYSTEM: &str =
    "You are a helpful assistant who answers briefly and says what is not known.";
/// Makes the request some 500 bytes long, as a short chat is.
const PROMPT: &str = "Tell me in three sentences what a lighthouse keeper writes down at night, which \
    instruments are read, and why the lamp was turned by clockwork before there were motors. Then name two \
    books about it, and say which of them a child would like and for what reason.";
/// Makes the reply some 500 bytes long.
const ANSWER: &str = "Every hour the lighthouse keeper wrote wind, sea and sky into the log, read the \
    barometer and trimmed the wick. Clockwork turned the lens so that ships could tell one light from \
    another.";

/// How an upstream should stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script {
    /// Content chunks.
    pub chunks: u32,
    /// Time from one to the next; zero for as fast as they are taken.
    pub interval: Duration,
}

impl Script {
    fn text(self) -> String {
        format!("[chunks={} every_us={}]", self.chunks, self.interval.as_micros())
    }

    /// The script in a request body; `None` when the body has none.
    pub fn find(body: &[u8]) -> Option<Self> {
        let chunks = number_after(body, b"[chunks=")?;
        let micros = number_after(body, b" every_us=")?;
        Some(Self { chunks: u32::try_from(chunks).ok()?, interval: Duration::from_micros(micros) })
    }
}

fn number_after(text: &[u8], mark: &[u8]) -> Option<u64> {
    let from = memmem::find(text, mark)? + mark.len();
    let mut digits = text.get(from..)?.iter().take_while(|b| b.is_ascii_digit());
    digits.try_fold(0_u64, |n, b| n.checked_mul(10)?.checked_add(u64::from(b - b'0')))
}

/// The text of the user's message.
pub fn prompt(script: Option<Script>) -> String {
    script.map_or_else(|| PROMPT.to_owned(), |script| format!("{} {PROMPT}", script.text()))
}

/// A request body: a whole answer without a script, a stream with one.
pub fn request(script: Option<Script>) -> Bytes {
    let stream = match script {
        Some(_) => r#","stream":true,"stream_options":{"include_usage":true}"#,
        None => "",
    };
    let body = format!(
        r#"{{"model":"{MODEL}","messages":[{{"role":"system","content":"{SYSTEM}"}},{{"role":"user","content":"{}"}}],"temperature":0.7,"max_tokens":256,"user":"bench-user"{stream}}}"#,
        prompt(script)
    );
    Bytes::from(body)
}

/// What an upstream must know of a request.
#[derive(Debug, Deserialize)]
pub struct Ask<'a> {
    /// The model that was asked for, and so answers.
    #[serde(borrow)]
    pub model: Cow<'a, str>,
    /// Whether the answer is streamed.
    #[serde(default)]
    pub stream: bool,
}

/// A whole answer of `model`.
pub fn reply(model: &str) -> Bytes {
    let total = PROMPT_TOKENS + ANSWER_TOKENS;
    Bytes::from(format!(
        r#"{{"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":"{model}","choices":[{{"index":0,"message":{{"role":"assistant","content":"{ANSWER}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":{PROMPT_TOKENS},"completion_tokens":{ANSWER_TOKENS},"total_tokens":{total}}},"system_fingerprint":"fp_bench"}}"#,
    ))
}

/// The frames of a streamed answer: `first`, `content` as often as the script says, `last`.
#[derive(Clone, Debug)]
pub struct Frames {
    /// The chunk that names the role.
    pub first: Bytes,
    /// One content chunk.
    pub content: Bytes,
    /// The finish chunk, the usage chunk and the end.
    pub last: Bytes,
}

impl Frames {
    /// The frames of `model`, for `chunks` content chunks.
    pub fn new(model: &str, chunks: u32) -> Self {
        let head = format!(
            r#"data: {{"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":"{model}","system_fingerprint":"fp_bench","choices":["#
        );
        let delta = |delta: &str, finish: &str| {
            format!(
                r#"{head}{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}]}}"#
            ) + "\n\n"
        };
        let total = PROMPT_TOKENS + u64::from(chunks);
        let usage = format!(
            r#"{head}],"usage":{{"prompt_tokens":{PROMPT_TOKENS},"completion_tokens":{chunks},"total_tokens":{total}}}}}"#
        );
        Self {
            first: Bytes::from(delta(r#"{"role":"assistant","content":""}"#, "null")),
            content: Bytes::from(delta(r#"{"content":" tok"}"#, "null")),
            last: Bytes::from(format!("{}{usage}\n\ndata: [DONE]\n\n", delta("{}", r#""stop""#))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_replies_are_json_of_some_500_bytes() {
        for body in [request(None), reply(MODEL)] {
            assert!((450..600).contains(&body.len()), "{} bytes", body.len());
            let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(value["model"], MODEL);
        }
    }

    #[test]
    fn the_upstream_finds_the_script_that_the_caller_wrote() {
        let script = Script { chunks: 200, interval: Duration::from_millis(20) };
        let body = request(Some(script));
        assert_eq!(Script::find(&body), Some(script));
        let ask: Ask<'_> = serde_json::from_slice(&body).unwrap();
        assert!(ask.stream && ask.model == MODEL);
        assert_eq!(Script::find(&request(None)), None);
    }

    #[test]
    fn only_content_chunks_bear_the_mark() {
        let frames = Frames::new(MODEL, 3);
        let marks = |frame: &Bytes| memmem::find_iter(frame, CHUNK_MARK).count();
        let counted = (marks(&frames.first), marks(&frames.content), marks(&frames.last));
        assert_eq!(counted, (0, 1, 0));
        assert!(memmem::find(&reply(MODEL), ANSWER_MARK.as_bytes()).is_some());
    }

    #[test]
    fn every_event_of_a_stream_is_json_but_the_last() {
        let frames = Frames::new(MODEL, 3);
        let text = [frames.first, frames.content, frames.last].concat();
        let text = String::from_utf8(text).unwrap();
        let mut events: Vec<_> = text.split_terminator("\n\n").collect();
        assert_eq!(events.pop(), Some("data: [DONE]"));
        assert_eq!(events.len(), 4);
        for event in events {
            let json = event.strip_prefix("data: ").unwrap();
            assert_eq!(serde_json::from_str::<serde_json::Value>(json).unwrap()["model"], MODEL);
        }
    }
}
