//! The table of top-level request fields the router knows. Everything else passes through unread.

use crate::operation::Operation;

/// The fields of the router's own dialect: they steer the router and never reach a provider.
///
/// `usage` is the dialect's `{include: true}`, which asks for usage in a stream as `stream_options` does; whole
/// answers always have it, and providers refuse the field. Of `plugins` there are none: a list that names one is
/// refused. `route` and `transforms` are older forms that a provider would refuse as well.
pub const ROUTER_FIELDS: [&str; 8] =
    ["provider", "models", "session_id", "delivery", "plugins", "route", "transforms", "usage"];

/// How a known field's value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    Model,
    Models,
    /// The prompt of this operation; any value when the request is for another one.
    Prompt(Operation),
    Stream,
    StreamOptions,
    Usage,
    MaxTokens,
    MaxCompletionTokens,
    N,
    Tools,
    ResponseFormat,
    Provider,
    SessionId,
    User,
    Metadata,
    Delivery,
    Plugins,
    /// Nothing is kept but the type is checked.
    Shape(Shape),
}

/// The type a value must have; `null` always counts as absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Number,
    Integer,
    Bool,
    Text,
    List,
    Object,
    Any,
}

/// What a field is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Steers the router and is removed: one of [`ROUTER_FIELDS`].
    Router,
    /// A sampling or feature parameter that an endpoint may or may not support.
    Parameter,
    /// Part of every call.
    Call,
}

struct Known {
    name: &'static str,
    usage: Use,
    reading: Reading,
}

const fn router(name: &'static str, reading: Reading) -> Known {
    Known { name, usage: Use::Router, reading }
}

const fn parameter(name: &'static str, reading: Reading) -> Known {
    Known { name, usage: Use::Parameter, reading }
}

const fn call(name: &'static str, reading: Reading) -> Known {
    Known { name, usage: Use::Call, reading }
}

/// Ordered by how often a field is seen, because it is searched from the front.
static KNOWN: [Known; 58] = [
    call("model", Reading::Model),
    call("messages", Reading::Prompt(Operation::Chat)),
    call("prompt", Reading::Prompt(Operation::Completion)),
    call("input", Reading::Prompt(Operation::Embedding)),
    call("stream", Reading::Stream),
    call("stream_options", Reading::StreamOptions),
    parameter("temperature", Reading::Shape(Shape::Number)),
    parameter("top_p", Reading::Shape(Shape::Number)),
    parameter("max_tokens", Reading::MaxTokens),
    parameter("max_completion_tokens", Reading::MaxCompletionTokens),
    parameter("tools", Reading::Tools),
    parameter("tool_choice", Reading::Shape(Shape::Any)),
    parameter("response_format", Reading::ResponseFormat),
    call("user", Reading::User),
    call("metadata", Reading::Metadata),
    parameter("n", Reading::N),
    parameter("stop", Reading::Shape(Shape::Any)),
    parameter("seed", Reading::Shape(Shape::Integer)),
    parameter("frequency_penalty", Reading::Shape(Shape::Number)),
    parameter("presence_penalty", Reading::Shape(Shape::Number)),
    parameter("reasoning_effort", Reading::Shape(Shape::Text)),
    parameter("parallel_tool_calls", Reading::Shape(Shape::Bool)),
    router("provider", Reading::Provider),
    router("models", Reading::Models),
    router("session_id", Reading::SessionId),
    router("delivery", Reading::Delivery),
    router("plugins", Reading::Plugins),
    router("route", Reading::Shape(Shape::Any)),
    router("transforms", Reading::Shape(Shape::Any)),
    router("usage", Reading::Usage),
    parameter("top_k", Reading::Shape(Shape::Number)),
    parameter("min_p", Reading::Shape(Shape::Number)),
    parameter("top_a", Reading::Shape(Shape::Number)),
    parameter("repetition_penalty", Reading::Shape(Shape::Number)),
    parameter("logit_bias", Reading::Shape(Shape::Object)),
    parameter("logprobs", Reading::Shape(Shape::Any)),
    parameter("top_logprobs", Reading::Shape(Shape::Integer)),
    parameter("structured_outputs", Reading::Shape(Shape::Any)),
    parameter("functions", Reading::Tools),
    parameter("function_call", Reading::Shape(Shape::Any)),
    parameter("reasoning", Reading::Shape(Shape::Any)),
    parameter("include_reasoning", Reading::Shape(Shape::Bool)),
    parameter("verbosity", Reading::Shape(Shape::Text)),
    parameter("best_of", Reading::Shape(Shape::Integer)),
    parameter("echo", Reading::Shape(Shape::Bool)),
    parameter("suffix", Reading::Shape(Shape::Text)),
    parameter("modalities", Reading::Shape(Shape::List)),
    parameter("audio", Reading::Shape(Shape::Object)),
    parameter("prediction", Reading::Shape(Shape::Object)),
    parameter("web_search_options", Reading::Shape(Shape::Object)),
    parameter("dimensions", Reading::Shape(Shape::Integer)),
    parameter("encoding_format", Reading::Shape(Shape::Text)),
    parameter("input_type", Reading::Shape(Shape::Text)),
    parameter("service_tier", Reading::Shape(Shape::Text)),
    parameter("store", Reading::Shape(Shape::Bool)),
    parameter("prompt_cache_key", Reading::Shape(Shape::Text)),
    parameter("safety_identifier", Reading::Shape(Shape::Text)),
    parameter("prompt_cache_retention", Reading::Shape(Shape::Text)),
];

// One bit of `Parameters` for each field.
const _: () = assert!(KNOWN.len() <= u64::BITS as usize, "a set of fields is one word");

/// A known field: its place in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field(u8);

/// The known field of this name.
#[inline]
pub(super) fn find(name: &str) -> Option<Field> {
    let place = KNOWN.iter().position(|known| known.name == name)?;
    u8::try_from(place).ok().map(Field)
}

impl Field {
    fn known(self) -> &'static Known {
        KNOWN.get(usize::from(self.0)).unwrap_or(&KNOWN[0])
    }

    pub(super) fn name(self) -> &'static str {
        self.known().name
    }

    pub(super) fn reading(self) -> Reading {
        self.known().reading
    }

    /// True for a field that never reaches a provider.
    pub(super) fn is_routers(self) -> bool {
        self.known().usage == Use::Router
    }
}

/// A set of sampling and feature parameters, one word wide.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Parameters(u64);

impl Parameters {
    /// Every parameter the dialect knows by name.
    #[must_use]
    pub fn known() -> Self {
        let mut all = Self::default();
        (0..).zip(&KNOWN).for_each(|(place, _)| all.insert(Field(place)));
        all
    }

    /// True when nothing is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// True when the parameter of this name is in the set.
    #[must_use]
    pub fn contains(self, name: &str) -> bool {
        find(name).is_some_and(|field| self.0 >> field.0 & 1 == 1)
    }

    /// The names in the set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let place =
            move |(at, known): (u8, &'static Known)| (self.0 >> at & 1 == 1).then_some(known.name);
        (0..).zip(&KNOWN).filter_map(place)
    }

    /// Adds `field` if it is a parameter.
    pub(super) fn insert(&mut self, field: Field) {
        self.0 |= u64::from(field.known().usage == Use::Parameter) << field.0;
    }
}

impl std::fmt::Debug for Parameters {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_set().entries(self.names()).finish()
    }
}
