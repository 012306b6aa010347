//! What the router reads of a request body. Not a typed request: the body itself stays bytes.
//!
//! [`Peek::parse`] scans the body once, checks all of it, and keeps the facts routing needs beside the
//! spans of the top-level fields; [`Peek::rewrite`] makes the provider's body out of the same bytes.

mod fields;
mod prompt;
mod provider;
mod read;
mod rewrite;

use bytes::Bytes;

use crate::json::{Fault, Scanner};
use crate::operation::Operation;

use self::fields::Reading;
pub use self::fields::{Parameters, ROUTER_FIELDS};
pub use self::provider::{
    DataCollection, MaxPrice, Partition, Percentiles, ProviderPreferences, Sort, SortBy,
};
pub use self::rewrite::Rewrite;
use self::rewrite::{Member, StreamOptions};

/// Most top-level fields a body may have: the dialect knows about sixty, and each is compared with the
/// others to find repetitions.
pub const MAX_FIELDS: usize = 256;
/// Most entries of `models`: each is a whole round of attempts.
pub const MAX_MODELS: usize = 16;
/// Longest `session_id`, in characters.
pub const MAX_SESSION_ID_CHARS: usize = 256;
/// Longest `user`, in characters: it becomes a field of the call's record.
pub const MAX_USER_CHARS: usize = 512;
/// Most entries of `metadata`, as at OpenAI.
pub const MAX_METADATA_ENTRIES: usize = 16;
/// Longest `metadata` key, in characters, as at OpenAI.
pub const MAX_METADATA_KEY_CHARS: usize = 64;
/// Longest `metadata` value, in characters, as at OpenAI.
pub const MAX_METADATA_VALUE_CHARS: usize = 512;

/// A request body that was read once: the facts in it, and the bytes to forward.
#[derive(Clone)]
pub struct Peek {
    /// Which call the body is for.
    pub operation: Operation,
    /// The model asked for, suffixes untouched; the first of `models` when the body has no `model`.
    pub model: String,
    /// The models to fall back to, in order; at most [`MAX_MODELS`].
    pub models: Vec<String>,
    /// The caller wants a stream.
    pub stream: bool,
    /// The caller asked for usage in the stream (`stream_options.include_usage` or `usage.include`).
    pub include_usage: bool,
    /// The most tokens to generate; `max_completion_tokens` wins over `max_tokens`.
    pub max_tokens: Option<u64>,
    /// Bytes of the value of `messages`, `prompt` or `input`, as written.
    pub prompt_bytes: usize,
    /// How many texts an embedding request holds; how many messages or prompts otherwise.
    pub inputs: usize,
    /// How many choices are asked for; 1 when the body does not say.
    pub n: u32,
    /// The body offers at least one tool or function.
    pub tools: bool,
    /// What the answer's format must be.
    pub json: JsonMode,
    /// How many image parts the messages hold.
    pub images: usize,
    /// The known sampling and feature parameters that are present and not null.
    pub parameters: Parameters,
    /// The caller's routing preferences.
    pub provider: Option<Box<ProviderPreferences>>,
    /// The caller's session, at most [`MAX_SESSION_ID_CHARS`] characters.
    pub session_id: Option<String>,
    /// The caller's end user, at most [`MAX_USER_CHARS`] characters.
    pub user: Option<String>,
    /// The caller's tags, in the order written, at most [`MAX_METADATA_ENTRIES`].
    pub metadata: Vec<(String, String)>,
    /// How the answer is to be delivered, when the caller says.
    pub delivery: Option<Delivery>,
    body: Bytes,
    members: Vec<Member>,
    stream_options: StreamOptions,
}

/// What `response_format` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum JsonMode {
    /// Free text.
    #[default]
    None,
    /// Any JSON object (`json_object`).
    Object,
    /// JSON that obeys a schema (`json_schema`).
    Schema,
}

/// How an answer is delivered, beyond the usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Nothing is released before the whole answer is in (`"assured"`).
    Assured,
}

/// A body the dialect does not accept: the caller's fault, not to be retried.
///
/// The message names the field and the remedy; it never holds a part of the body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadRequest {
    /// What is wrong and what to do about it.
    pub message: String,
    /// The field that is wrong, as a dotted path.
    pub param: Option<String>,
}

impl Peek {
    /// Reads and checks the whole `body`.
    ///
    /// # Errors
    /// When the body is not one JSON object in UTF-8, is nested deeper than [`crate::MAX_DEPTH`], repeats
    /// a top-level field, lacks a required field, or has a known field of the wrong type.
    pub fn parse(operation: Operation, body: Bytes) -> Result<Self, BadRequest> {
        let mut scan = Scanner::new(&body)?;
        let mut draft = Draft::new(operation);
        draft.read_members(&mut scan)?;
        scan.end()?;
        let mut peek = draft.finish()?;
        peek.body = body;
        Ok(peek)
    }

    /// The body as it was received.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

/// A [`Peek`] whose required fields may not have been seen yet.
struct Draft {
    peek: Peek,
    model: Option<String>,
    max_completion_tokens: Option<u64>,
    prompt_seen: bool,
}

impl Draft {
    fn new(operation: Operation) -> Self {
        /// Bodies seldom have more fields; more only costs another allocation.
        const USUAL_FIELDS: usize = 16;
        let peek = Peek {
            operation,
            model: String::new(),
            models: Vec::new(),
            stream: false,
            include_usage: false,
            max_tokens: None,
            prompt_bytes: 0,
            inputs: 0,
            n: 1,
            tools: false,
            json: JsonMode::None,
            images: 0,
            parameters: Parameters::default(),
            provider: None,
            session_id: None,
            user: None,
            metadata: Vec::new(),
            delivery: None,
            body: Bytes::new(),
            members: Vec::with_capacity(USUAL_FIELDS),
            stream_options: StreamOptions::Absent,
        };
        Self { peek, model: None, max_completion_tokens: None, prompt_seen: false }
    }

    fn read_members(&mut self, scan: &mut Scanner<'_>) -> Result<(), BadRequest> {
        if scan.enter_object().is_err() {
            return Err(BadRequest::about("the body must be a JSON object", None));
        }
        let mut unknown = Vec::new();
        while let Some(key) = scan.next_key()? {
            let name = key.name();
            let field = fields::find(&name);
            let repeated = match field {
                Some(known) => self.peek.members.iter().any(|m| m.field == Some(known)),
                None => unknown.contains(&name),
            };
            if repeated {
                let message = "a top-level field appears twice; send each field once";
                return Err(BadRequest::about(message, field.map(fields::Field::name)));
            }
            if self.peek.members.len() == MAX_FIELDS {
                return Err(BadRequest::about("more than 256 top-level fields", None));
            }
            scan.kind()?;
            let start = scan.position();
            match field {
                Some(known) => self.read_field(known, scan)?,
                None => {
                    scan.skip()?;
                    unknown.push(name);
                }
            }
            let value = start..scan.position();
            self.peek.members.push(Member { field, key: key.span(), value });
        }
        Ok(())
    }

    fn read_field(
        &mut self,
        field: fields::Field,
        scan: &mut Scanner<'_>,
    ) -> Result<(), BadRequest> {
        let param = field.name();
        if scan.kind()? != crate::json::Kind::Null {
            self.peek.parameters.insert(field);
        }
        let peek = &mut self.peek;
        match field.reading() {
            Reading::Model => self.model = read::name(scan, param)?,
            Reading::Models => {
                peek.models = read::names(scan, param, MAX_MODELS)?.unwrap_or_default()
            }
            Reading::Prompt(operation) if operation == peek.operation => self.read_prompt(scan)?,
            Reading::Prompt(_) => scan.skip()?,
            Reading::Stream => peek.stream = read::boolean(scan, param)?.unwrap_or(false),
            Reading::StreamOptions => {
                let (options, asked) = rewrite::stream_options(scan)?;
                peek.stream_options = options;
                peek.include_usage |= asked;
            }
            Reading::Usage => peek.include_usage |= read::usage(scan, param)?,
            Reading::MaxTokens => peek.max_tokens = read::count(scan, param)?,
            Reading::MaxCompletionTokens => self.max_completion_tokens = read::count(scan, param)?,
            Reading::N => peek.n = read::choices(scan, param)?.unwrap_or(1),
            Reading::Tools => peek.tools |= read::list_has_items(scan, param)?,
            Reading::ResponseFormat => peek.json = read::response_format(scan, param)?,
            Reading::Provider => peek.provider = provider::read(scan)?.map(Box::new),
            Reading::SessionId => {
                peek.session_id = read::bounded(scan, param, MAX_SESSION_ID_CHARS)?;
            }
            Reading::User => peek.user = read::bounded(scan, param, MAX_USER_CHARS)?,
            Reading::Metadata => peek.metadata = read::metadata(scan, param)?,
            Reading::Delivery => peek.delivery = read::delivery(scan, param)?,
            Reading::Plugins => read::no_plugins(scan, param)?,
            Reading::Shape(shape) => read::check_shape(scan, param, shape)?,
        }
        Ok(())
    }

    fn read_prompt(&mut self, scan: &mut Scanner<'_>) -> Result<(), BadRequest> {
        scan.kind()?;
        let start = scan.position();
        let prompt = match self.peek.operation {
            Operation::Chat => prompt::messages(scan)?,
            Operation::Completion => prompt::texts(scan, "prompt")?,
            Operation::Embedding => prompt::texts(scan, "input")?,
        };
        self.prompt_seen = true;
        self.peek.prompt_bytes = scan.position() - start;
        self.peek.inputs = prompt.inputs;
        self.peek.images = prompt.images;
        Ok(())
    }

    fn finish(mut self) -> Result<Peek, BadRequest> {
        let mut peek = self.peek;
        let field = peek.operation.prompt_field();
        if !self.prompt_seen {
            return Err(BadRequest::about(&format!("`{field}` is required"), Some(field)));
        }
        if peek.stream && peek.operation == Operation::Embedding {
            let message = "embeddings cannot be streamed; leave `stream` out";
            return Err(BadRequest::about(message, Some("stream")));
        }
        if self.model.is_none() && !peek.models.is_empty() {
            self.model = Some(peek.models.remove(0));
        }
        let message = "`model` is required: the name of a model, or send `models`";
        peek.model = self.model.ok_or_else(|| BadRequest::about(message, Some("model")))?;
        peek.max_tokens = self.max_completion_tokens.or(peek.max_tokens);
        Ok(peek)
    }
}

impl BadRequest {
    fn about(message: &str, param: Option<&str>) -> Self {
        Self { message: message.to_owned(), param: param.map(str::to_owned) }
    }
}

impl From<Fault> for BadRequest {
    fn from(fault: Fault) -> Self {
        let Fault { at, reason } = fault;
        Self {
            message: format!("the body is not acceptable JSON at byte {at}: {reason}"),
            param: None,
        }
    }
}

#[cfg(test)]
mod tests;
