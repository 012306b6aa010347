//! The messages of OTLP, version 1, as far as spans need them. Field numbers are those of
//! `opentelemetry/proto`, which never change them; fields that nothing here fills are left out, as proto3
//! allows. A test sends them to a receiver that was made from the original definitions.

/// A batch of spans.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExportRequest {
    /// Spans by who made them: one entry, as one process sends.
    #[prost(message, repeated, tag = "1")]
    pub resource_spans: Vec<ResourceSpans>,
}

/// What a collector answers.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExportResponse {
    /// What it did not take, if anything.
    #[prost(message, optional, tag = "1")]
    pub partial_success: Option<PartialSuccess>,
}

/// What a collector did not take of a batch.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PartialSuccess {
    /// How many spans.
    #[prost(int64, tag = "1")]
    pub rejected_spans: i64,
    /// Why.
    #[prost(string, tag = "2")]
    pub error_message: String,
}

/// The spans of one process.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ResourceSpans {
    /// The process.
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    /// Its spans, by the part of it that made them.
    #[prost(message, repeated, tag = "2")]
    pub scope_spans: Vec<ScopeSpans>,
}

/// A process, described by its attributes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Resource {
    /// `service.name` and so on.
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<KeyValue>,
}

/// The spans that one part of a process made.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ScopeSpans {
    /// The part.
    #[prost(message, optional, tag = "1")]
    pub scope: Option<Scope>,
    /// Its spans.
    #[prost(message, repeated, tag = "2")]
    pub spans: Vec<Span>,
}

/// What made spans.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Scope {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its version.
    #[prost(string, tag = "2")]
    pub version: String,
}

/// One piece of work.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Span {
    /// The trace it belongs to: 16 bytes, not all zero.
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Vec<u8>,
    /// Its own id: 8 bytes, not all zero.
    #[prost(bytes = "vec", tag = "2")]
    pub span_id: Vec<u8>,
    /// The W3C `tracestate` that came with the trace.
    #[prost(string, tag = "3")]
    pub trace_state: String,
    /// The span it is part of: 8 bytes; empty for the first of a trace.
    #[prost(bytes = "vec", tag = "4")]
    pub parent_span_id: Vec<u8>,
    /// What kind of work it is, with few different values.
    #[prost(string, tag = "5")]
    pub name: String,
    /// Whether it serves, calls, or neither.
    #[prost(enumeration = "SpanKind", tag = "6")]
    pub kind: i32,
    /// When it began, in nanoseconds since 1970.
    #[prost(fixed64, tag = "7")]
    pub start_time_unix_nano: u64,
    /// When it ended, in nanoseconds since 1970.
    #[prost(fixed64, tag = "8")]
    pub end_time_unix_nano: u64,
    /// What is to be known of it.
    #[prost(message, repeated, tag = "9")]
    pub attributes: Vec<KeyValue>,
    /// What happened in it.
    #[prost(message, repeated, tag = "11")]
    pub events: Vec<Event>,
    /// Whether it failed.
    #[prost(message, optional, tag = "15")]
    pub status: Option<Status>,
    /// The W3C trace flags; and bit 8 says that bit 9 is known, which says that the parent is elsewhere.
    #[prost(fixed32, tag = "16")]
    pub flags: u32,
}

/// Which side of a call a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum SpanKind {
    /// Not said.
    Unspecified = 0,
    /// No side of a call.
    Internal = 1,
    /// The side that is called.
    Server = 2,
    /// The side that calls.
    Client = 3,
}

/// Something that happened in a span.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Event {
    /// When, in nanoseconds since 1970.
    #[prost(fixed64, tag = "1")]
    pub time_unix_nano: u64,
    /// What.
    #[prost(string, tag = "2")]
    pub name: String,
}

/// How a span ended.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Status {
    /// Words about an error.
    #[prost(string, tag = "2")]
    pub message: String,
    /// Whether it is one.
    #[prost(enumeration = "StatusCode", tag = "3")]
    pub code: i32,
}

/// Whether a span failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum StatusCode {
    /// Nothing is said: not an error, as far as is known.
    Unset = 0,
    /// It did not fail.
    Ok = 1,
    /// It failed.
    Error = 2,
}

/// An attribute.
#[derive(Clone, PartialEq, prost::Message)]
pub struct KeyValue {
    /// Its name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// What it is.
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
}

/// The value of an attribute.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AnyValue {
    /// It.
    #[prost(oneof = "Value", tags = "1, 2, 3, 4, 5")]
    pub value: Option<Value>,
}

/// The kinds of values that are used here.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Value {
    /// Text.
    #[prost(string, tag = "1")]
    Text(String),
    /// Yes or no.
    #[prost(bool, tag = "2")]
    Flag(bool),
    /// A whole number.
    #[prost(int64, tag = "3")]
    Whole(i64),
    /// A number.
    #[prost(double, tag = "4")]
    Number(f64),
    /// A list.
    #[prost(message, tag = "5")]
    List(List),
}

/// A list of values.
#[derive(Clone, PartialEq, prost::Message)]
pub struct List {
    /// The values.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<AnyValue>,
}

/// The longest text of an attribute, in bytes; more is cut. Callers choose some of them, and a queue of spans
/// must stay small whatever they choose.
pub const MAX_TEXT_BYTES: usize = 256;

impl KeyValue {
    /// An attribute.
    pub fn new(key: &str, value: impl Into<Value>) -> Self {
        Self { key: key.to_owned(), value: Some(AnyValue { value: Some(value.into()) }) }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        let mut end = text.len().min(MAX_TEXT_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self::Text(text.get(..end).unwrap_or_default().to_owned())
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Whole(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<&[&str]> for Value {
    fn from(texts: &[&str]) -> Self {
        let values = texts.iter().map(|text| AnyValue { value: Some(Self::from(*text)) });
        Self::List(List { values: values.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let Value::Text(text) = Value::from("ä".repeat(MAX_TEXT_BYTES).as_str()) else { panic!() };
        assert_eq!(text, "ä".repeat(MAX_TEXT_BYTES / 2));
        let Value::Text(text) = Value::from(format!("a{text}").as_str()) else { panic!() };
        assert_eq!(text.len(), MAX_TEXT_BYTES - 1);
    }
}
