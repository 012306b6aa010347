//! The table of error kinds: HTTP status, gRPC code, names, and what the caller should do. The only
//! place where these meet; `docs/errors.md` is generated from it.

use serde::Serialize;

/// Why a call was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorType {
    /// The request is malformed, or the provider refused it as such.
    InvalidRequest,
    /// The prompt does not fit into any allowed model's window.
    ContextLengthExceeded,
    /// A provider's filter or policy refused the content.
    ContentPolicyViolation,
    /// No key, or one that is not known.
    Authentication,
    /// The spend limit is reached.
    InsufficientCredits,
    /// The key is known but may not do this.
    PermissionDenied,
    /// No such model.
    ModelNotFound,
    /// The hard filters left no endpoint.
    NoEndpoint,
    /// No such route or record.
    NotFound,
    /// The route exists for another method.
    MethodNotAllowed,
    /// The body is larger than allowed.
    PayloadTooLarge,
    /// The provider understood the request and cannot carry it out.
    Unprocessable,
    /// The key's own rate or concurrency limit.
    RateLimited,
    /// Every provider that could answer limits us.
    ProviderRateLimited,
    /// The caller went away.
    Cancelled,
    /// A defect of the router.
    Internal,
    /// The providers that could answer say that they are overloaded.
    ProviderOverloaded,
    /// No provider could be reached.
    ProviderUnavailable,
    /// The providers answered with failures.
    ProviderError,
    /// The providers refuse the router's own credentials.
    ProviderAuthentication,
    /// This router admits no more calls.
    Overloaded,
    /// This router is starting or draining.
    Unavailable,
    /// No provider answered in time.
    UpstreamTimeout,
    /// The caller's own deadline passed.
    DeadlineExceeded,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorRow {
    /// The HTTP status.
    pub status: u16,
    /// The gRPC status code.
    pub grpc: i32,
    /// `error.type`: the class that OpenAI's clients know.
    pub class: &'static str,
    /// `error.metadata.error_type`: the kind, one word for each row.
    pub name: &'static str,
    /// Whether the same request may succeed later, unchanged.
    pub retryable: bool,
    /// What the caller should do.
    pub remedy: &'static str,
}

/// gRPC status codes, by their official names.
mod grpc {
    pub(super) const CANCELLED: i32 = 1;
    pub(super) const INVALID_ARGUMENT: i32 = 3;
    pub(super) const DEADLINE_EXCEEDED: i32 = 4;
    pub(super) const NOT_FOUND: i32 = 5;
    pub(super) const PERMISSION_DENIED: i32 = 7;
    pub(super) const RESOURCE_EXHAUSTED: i32 = 8;
    pub(super) const UNIMPLEMENTED: i32 = 12;
    pub(super) const INTERNAL: i32 = 13;
    pub(super) const UNAVAILABLE: i32 = 14;
    pub(super) const UNAUTHENTICATED: i32 = 16;
}

/// `error.type` of the request's own faults.
const INVALID: &str = "invalid_request_error";
/// `error.type` of limits.
const LIMIT: &str = "rate_limit_error";
/// `error.type` of providers' and the router's faults.
const SERVER: &str = "server_error";

/// The names of a kind: its class, then its own.
type Names = (&'static str, &'static str);

/// A kind that will fail again until something is changed.
const fn lasting(status: u16, grpc: i32, names: Names, remedy: &'static str) -> ErrorRow {
    let (class, name) = names;
    ErrorRow { status, grpc, class, name, retryable: false, remedy }
}

/// A kind that passes by itself.
const fn passing(status: u16, grpc: i32, names: Names, remedy: &'static str) -> ErrorRow {
    let (class, name) = names;
    ErrorRow { status, grpc, class, name, retryable: true, remedy }
}

/// The table. A row's place is its kind's place in [`ErrorType`].
const ROWS: [(ErrorType, ErrorRow); 24] = [
    (
        ErrorType::InvalidRequest,
        lasting(
            400,
            grpc::INVALID_ARGUMENT,
            (INVALID, "invalid_request"),
            "Correct the field named in `param`; the same request will fail again.",
        ),
    ),
    (
        ErrorType::ContextLengthExceeded,
        lasting(
            400,
            grpc::INVALID_ARGUMENT,
            (INVALID, "context_length_exceeded"),
            "Shorten the prompt, lower `max_tokens`, or name a model with a larger window in `models`.",
        ),
    ),
    (
        ErrorType::ContentPolicyViolation,
        lasting(
            400,
            grpc::INVALID_ARGUMENT,
            (INVALID, "content_policy_violation"),
            "Change the content, or choose a model whose provider accepts it.",
        ),
    ),
    (
        ErrorType::Authentication,
        lasting(
            401,
            grpc::UNAUTHENTICATED,
            ("authentication_error", "authentication"),
            "Send a valid key as `Authorization: Bearer …`.",
        ),
    ),
    (
        ErrorType::InsufficientCredits,
        lasting(
            402,
            grpc::RESOURCE_EXHAUSTED,
            ("insufficient_quota", "insufficient_credits"),
            "Wait for the spend limit's next period, or ask for a higher one.",
        ),
    ),
    (
        ErrorType::PermissionDenied,
        lasting(
            403,
            grpc::PERMISSION_DENIED,
            ("permission_error", "permission_denied"),
            "Use a key that may do this, or have this key's policy widened.",
        ),
    ),
    (
        ErrorType::ModelNotFound,
        lasting(
            404,
            grpc::NOT_FOUND,
            (INVALID, "model_not_found"),
            "Choose a model that `GET /v1/models` lists.",
        ),
    ),
    (
        ErrorType::NoEndpoint,
        lasting(
            404,
            grpc::NOT_FOUND,
            (INVALID, "no_endpoint"),
            "Loosen the conditions that `availability.excluded_by` names, or choose another model.",
        ),
    ),
    (
        ErrorType::NotFound,
        lasting(404, grpc::NOT_FOUND, (INVALID, "not_found"), "Check the path or the id."),
    ),
    (
        ErrorType::MethodNotAllowed,
        lasting(
            405,
            grpc::UNIMPLEMENTED,
            (INVALID, "method_not_allowed"),
            "Use the method that the `allow` header names.",
        ),
    ),
    (
        ErrorType::PayloadTooLarge,
        lasting(
            413,
            grpc::RESOURCE_EXHAUSTED,
            (INVALID, "payload_too_large"),
            "Send a smaller body.",
        ),
    ),
    (
        ErrorType::Unprocessable,
        lasting(
            422,
            grpc::INVALID_ARGUMENT,
            (INVALID, "unprocessable"),
            "Correct what the provider's message names; the same request will fail again.",
        ),
    ),
    (
        ErrorType::RateLimited,
        passing(
            429,
            grpc::RESOURCE_EXHAUSTED,
            (LIMIT, "rate_limited"),
            "Wait for `retry-after`, then send the request again.",
        ),
    ),
    (
        ErrorType::ProviderRateLimited,
        passing(
            429,
            grpc::RESOURCE_EXHAUSTED,
            (LIMIT, "provider_rate_limited"),
            "Wait for `retry-after`, or name more models in `models`.",
        ),
    ),
    (
        ErrorType::Cancelled,
        lasting(
            499,
            grpc::CANCELLED,
            (SERVER, "cancelled"),
            "Nothing: the caller closed the call.",
        ),
    ),
    (
        ErrorType::Internal,
        lasting(
            500,
            grpc::INTERNAL,
            (SERVER, "internal"),
            "Report it with the `x-request-id` of the response.",
        ),
    ),
    (
        ErrorType::ProviderOverloaded,
        passing(
            503,
            grpc::UNAVAILABLE,
            (SERVER, "provider_overloaded"),
            "Wait for `retry_after`, or name further models in `models`.",
        ),
    ),
    (
        ErrorType::ProviderUnavailable,
        passing(
            502,
            grpc::UNAVAILABLE,
            (SERVER, "provider_unavailable"),
            "Send the request again later, or name more models in `models`.",
        ),
    ),
    (
        ErrorType::ProviderError,
        passing(
            502,
            grpc::UNAVAILABLE,
            (SERVER, "provider_error"),
            "Send the request again, or name more models in `models`.",
        ),
    ),
    (
        ErrorType::ProviderAuthentication,
        lasting(
            502,
            grpc::UNAVAILABLE,
            (SERVER, "provider_authentication"),
            "Tell the router's operator: its credentials are refused. The caller's key is not at fault.",
        ),
    ),
    (
        ErrorType::Overloaded,
        passing(
            503,
            grpc::UNAVAILABLE,
            (SERVER, "overloaded"),
            "Wait for `retry-after`, then send the request again.",
        ),
    ),
    (
        ErrorType::Unavailable,
        passing(
            503,
            grpc::UNAVAILABLE,
            (SERVER, "unavailable"),
            "Send the request again: another router, or this one soon, will take it.",
        ),
    ),
    (
        ErrorType::UpstreamTimeout,
        passing(
            504,
            grpc::DEADLINE_EXCEEDED,
            (SERVER, "upstream_timeout"),
            "Send the request again, or name a faster model in `models`.",
        ),
    ),
    (
        ErrorType::DeadlineExceeded,
        passing(
            504,
            grpc::DEADLINE_EXCEEDED,
            (SERVER, "deadline_exceeded"),
            "Allow the call more time, or ask for fewer tokens.",
        ),
    ),
];

#[expect(clippy::indexing_slicing, reason = "evaluated while compiling")]
const _: () = {
    let mut place = 0;
    while place < ROWS.len() {
        assert!(ROWS[place].0 as usize == place, "the rows are in the order of the kinds");
        place += 1;
    }
};

impl ErrorType {
    /// Every kind, in the order of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().map(|(kind, _)| *kind)
    }

    /// The row of this kind.
    #[must_use]
    #[expect(
        clippy::indexing_slicing,
        reason = "the constant above checks that each kind has its row"
    )]
    pub const fn row(self) -> &'static ErrorRow {
        &ROWS[self as usize].1
    }

    /// The kind's name in `error_type`, records and metric labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.row().status
    }
}

impl Serialize for ErrorType {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}
