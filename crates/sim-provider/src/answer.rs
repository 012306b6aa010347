//! Makes the answer to a request: deterministic, from the words of its last message.
//! It knows no wire format; `openai.rs` and `anthropic.rs` write it down.

use crate::ask::{Ask, Form};
use crate::profile::TOKENS_MAX;
use crate::schema::instance;

/// The words of an answer to a prompt without words.
const DEFAULT_WORDS: &str = "the simulated provider answers";
/// Characters of JSON in one token.
const JSON_CHARS_PER_TOKEN: usize = 8;

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The choices, at least one.
    pub choices: Vec<Choice>,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
}

impl Answer {
    /// Tokens of all choices.
    #[must_use]
    pub fn completion_tokens(&self) -> u32 {
        self.choices.iter().map(Choice::tokens).fold(0, u32::saturating_add)
    }

    /// Ends every choice after so many tokens, for this reason.
    pub fn stop_after(&mut self, tokens: u32, finish: Finish) {
        for choice in &mut self.choices {
            choice.pieces.truncate(usize::try_from(tokens).unwrap_or(usize::MAX));
            choice.calls.clear();
            choice.finish = finish;
        }
    }
}

/// One choice: text in pieces, or tool calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The text, one piece a token.
    pub pieces: Vec<String>,
    /// The tool calls.
    pub calls: Vec<Call>,
    /// Why it ends.
    pub finish: Finish,
}

impl Choice {
    /// The number of tokens: pieces of text and of arguments.
    #[must_use]
    pub fn tokens(&self) -> u32 {
        let arguments: usize = self.calls.iter().map(|call| call.pieces.len()).sum();
        u32::try_from(self.pieces.len() + arguments).unwrap_or(u32::MAX)
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> String {
        self.pieces.concat()
    }
}

/// A tool call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The tool.
    pub name: String,
    /// Its arguments as JSON, one piece a token.
    pub pieces: Vec<String>,
}

/// Why an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It is complete.
    Stop,
    /// One of the request's stop texts came up.
    StopText,
    /// `max_tokens` was reached.
    Length,
    /// Tools are to be called.
    ToolCalls,
    /// The content filter stepped in.
    ContentFilter,
}

/// The text that a healthy provider answers to a prompt with so many tokens: its words, over and over.
#[must_use]
pub fn answer_text(prompt: &str, tokens: u32) -> String {
    words(prompt, 0).take(usize::try_from(tokens).unwrap_or(usize::MAX)).collect()
}

/// Answers a request with `usual_tokens` tokens a choice, if it does not ask for fewer.
#[must_use]
pub fn answer(ask: &Ask, usual_tokens: u32) -> Answer {
    let choices = (0..ask.choices).map(|index| choice(ask, index, usual_tokens)).collect();
    Answer { choices, prompt_tokens: ask.prompt_tokens }
}

fn choice(ask: &Ask, index: u32, usual_tokens: u32) -> Choice {
    let limit = usize::try_from(ask.max_tokens.unwrap_or(TOKENS_MAX)).unwrap_or(usize::MAX);
    match &ask.form {
        Form::Calls(tools) => Choice {
            pieces: Vec::new(),
            calls: tools.iter().map(|(name, schema)| call(name, schema)).collect(),
            finish: Finish::ToolCalls,
        },
        Form::Json(schema) => cut_to(json_pieces(&instance(schema, "text")), limit, &ask.stops),
        Form::Text => {
            let tokens = usize::try_from(usual_tokens.min(TOKENS_MAX)).unwrap_or(usize::MAX);
            // One more than allowed shows that something was cut off.
            let pieces = words(&ask.prompt, index).take(tokens.min(limit.saturating_add(1)));
            cut_to(pieces.collect(), limit, &ask.stops)
        }
    }
}

fn call(name: &str, schema: &serde_json::Value) -> Call {
    let arguments = match instance(schema, "text") {
        serde_json::Value::Object(arguments) => serde_json::Value::Object(arguments),
        _ => serde_json::json!({}),
    };
    Call { name: name.to_owned(), pieces: json_pieces(&arguments) }
}

/// The words of the prompt for ever, starting with the one at `first`, each but the first after a blank.
fn words(prompt: &str, first: u32) -> impl Iterator<Item = String> {
    let source = if prompt.trim().is_empty() { DEFAULT_WORDS } else { prompt };
    let words: Vec<&str> = source.split_whitespace().collect();
    let skip = usize::try_from(first).unwrap_or(0) % words.len().max(1);
    let mut gap = "";
    words.into_iter().cycle().skip(skip).map(move |word| {
        let piece = format!("{gap}{word}");
        gap = " ";
        piece
    })
}

fn json_pieces(value: &serde_json::Value) -> Vec<String> {
    let chars: Vec<char> = value.to_string().chars().collect();
    chars.chunks(JSON_CHARS_PER_TOKEN).map(|piece| piece.iter().collect()).collect()
}

/// Ends the pieces before the first stop text and at the limit, whichever comes first.
fn cut_to(mut pieces: Vec<String>, limit: usize, stops: &[String]) -> Choice {
    let finish = match stop_position(&pieces, stops) {
        Some(end) => {
            keep_bytes(&mut pieces, end);
            Finish::StopText
        }
        None => Finish::Stop,
    };
    let finish = if pieces.len() > limit { Finish::Length } else { finish };
    pieces.truncate(limit);
    Choice { pieces, calls: Vec::new(), finish }
}

fn stop_position(pieces: &[String], stops: &[String]) -> Option<usize> {
    if stops.is_empty() {
        return None;
    }
    let text = pieces.concat();
    stops.iter().filter_map(|stop| text.find(stop.as_str())).min()
}

fn keep_bytes(pieces: &mut Vec<String>, bytes: usize) {
    let mut left = bytes;
    pieces.retain_mut(|piece| {
        piece.truncate(left);
        left -= piece.len();
        !piece.is_empty()
    });
}
