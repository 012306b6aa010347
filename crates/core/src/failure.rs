//! What can go wrong with a try at a provider, and the one table that says what follows from it.
//! Routers and probers share it, so a probe means what a request means.

/// How a try failed. The transport names the kind; everything else follows from [`FailureKind::effect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// No connection: refused, unreachable, or not within the connect deadline.
    Connect,
    /// The provider's name did not resolve.
    Dns,
    /// The TLS handshake failed.
    Tls,
    /// The connection broke before an answer began.
    Reset,
    /// No first content within its deadline.
    FirstContentTimeout,
    /// No chunk within the stall deadline.
    Stall,
    /// The call's own deadline passed.
    Deadline,
    /// 408, 425, 500, 502, 504, 520 to 529 but 529 as overload: the provider failed.
    ServerError,
    /// 503 or 529: the provider says it is overloaded.
    Overloaded,
    /// 429.
    RateLimited,
    /// 401 or 403: the credential was refused.
    CredentialRefused,
    /// 402: the account has no money.
    PaymentRequired,
    /// 404: the provider does not know the model.
    ModelMissing,
    /// The prompt does not fit the context window.
    ContextLength,
    /// Another 4xx: the request itself is at fault.
    BadRequest,
    /// The request says what cannot be said in the provider's dialect; nothing was sent.
    Untranslatable,
    /// A content filter refused the prompt.
    ContentFilter,
    /// Status 200 with an error inside.
    ErrorInside,
    /// A complete answer without content.
    Empty,
    /// Not JSON, not an event stream, compressed beyond bounds, or of the wrong content type.
    Undecodable,
    /// The answer was longer than a router holds.
    TooLarge,
    /// The stream ended without saying that it is complete.
    Truncated,
    /// The caller left.
    CallerGone,
    /// This process is at fault: no file descriptors, a missing secret.
    Local,
}

/// Which further try may serve the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextTry {
    /// Any other endpoint.
    OtherEndpoint,
    /// Another credential of the same provider, then any other endpoint.
    OtherCredential,
    /// Only an endpoint with a larger context window.
    LargerWindow,
    /// Only another model of the caller's list, and only if the policy says so.
    OtherModelIfAllowed,
    /// None: no provider could do better.
    None,
}

/// Who pays for a failure in later choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Penalty {
    /// The endpoint's health.
    Health,
    /// The endpoint's health, counted half.
    HalfHealth,
    /// The capacity of this endpoint and credential, until it says; never its health.
    Capacity,
    /// The credential.
    Credential,
    /// The pair of endpoint and model, until a probe finds it again.
    Model,
    /// Nobody.
    Nobody,
}

/// The row of the failure table for one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Which further try may serve the call.
    pub next: NextTry,
    /// Who pays for it.
    pub penalty: Penalty,
    /// Whether the same endpoint may well serve the call a moment later, so that one more try there is
    /// worth it before the call leaves its model. Never after a silent timeout.
    pub passing: bool,
}

impl FailureKind {
    /// Every kind, for tables and tests.
    pub const ALL: [Self; 24] = [
        Self::Connect,
        Self::Dns,
        Self::Tls,
        Self::Reset,
        Self::FirstContentTimeout,
        Self::Stall,
        Self::Deadline,
        Self::ServerError,
        Self::Overloaded,
        Self::RateLimited,
        Self::CredentialRefused,
        Self::PaymentRequired,
        Self::ModelMissing,
        Self::ContextLength,
        Self::BadRequest,
        Self::Untranslatable,
        Self::ContentFilter,
        Self::ErrorInside,
        Self::Empty,
        Self::Undecodable,
        Self::TooLarge,
        Self::Truncated,
        Self::CallerGone,
        Self::Local,
    ];

    /// The kind that an HTTP status stands for when the body says nothing more precise.
    /// `None` for success.
    pub fn of_status(status: u16) -> Option<Self> {
        match status {
            200..=299 => None,
            401 | 403 => Some(Self::CredentialRefused),
            402 => Some(Self::PaymentRequired),
            404 => Some(Self::ModelMissing),
            408 | 425 => Some(Self::ServerError),
            429 => Some(Self::RateLimited),
            503 | 529 => Some(Self::Overloaded),
            400..=499 => Some(Self::BadRequest),
            // 1xx and 3xx are no answers here: redirects are never followed.
            _ => Some(Self::ServerError),
        }
    }

    /// What follows from a failure of this kind.
    pub const fn effect(self) -> Effect {
        use {NextTry as N, Penalty as P};
        let (next, penalty, passing) = match self {
            Self::Connect | Self::Reset | Self::ServerError => (N::OtherEndpoint, P::Health, true),
            Self::Dns | Self::Tls => (N::OtherEndpoint, P::Health, false),
            Self::FirstContentTimeout | Self::Stall => (N::OtherEndpoint, P::Health, false),
            // It leaves no time for another try. How long a call may take is its caller's choice: an endpoint
            // that had less time than its own deadlines allow has shown nothing, and a caller in a hurry must
            // not take a provider from all others.
            Self::Deadline => (N::None, P::Nobody, false),
            Self::Overloaded => (N::OtherEndpoint, P::HalfHealth, true),
            Self::RateLimited => (N::OtherEndpoint, P::Capacity, true),
            Self::CredentialRefused | Self::PaymentRequired => {
                (N::OtherCredential, P::Credential, false)
            }
            Self::ModelMissing => (N::OtherEndpoint, P::Model, false),
            Self::ContextLength => (N::LargerWindow, P::Nobody, false),
            Self::BadRequest => (N::None, P::Nobody, false),
            // A provider of another dialect may well take it.
            Self::Untranslatable => (N::OtherEndpoint, P::Nobody, false),
            Self::ContentFilter => (N::OtherModelIfAllowed, P::Nobody, false),
            Self::ErrorInside | Self::Empty | Self::Undecodable => {
                (N::OtherEndpoint, P::Health, true)
            }
            Self::TooLarge | Self::Truncated => (N::OtherEndpoint, P::Health, true),
            Self::CallerGone => (N::None, P::Nobody, false),
            Self::Local => (N::OtherEndpoint, P::Nobody, false),
        };
        Effect { next, penalty, passing }
    }

    /// The name in logs, metrics and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Reset => "reset",
            Self::FirstContentTimeout => "first_content_timeout",
            Self::Stall => "stall",
            Self::Deadline => "deadline",
            Self::ServerError => "server_error",
            Self::Overloaded => "overloaded",
            Self::RateLimited => "rate_limited",
            Self::CredentialRefused => "credential_refused",
            Self::PaymentRequired => "payment_required",
            Self::ModelMissing => "model_missing",
            Self::ContextLength => "context_length",
            Self::BadRequest => "bad_request",
            Self::Untranslatable => "untranslatable",
            Self::ContentFilter => "content_filter",
            Self::ErrorInside => "error_inside",
            Self::Empty => "empty",
            Self::Undecodable => "undecodable",
            Self::TooLarge => "too_large",
            Self::Truncated => "truncated",
            Self::CallerGone => "caller_gone",
            Self::Local => "local",
        }
    }
}

/// One failed try, as decisions see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How it failed.
    pub kind: FailureKind,
    /// The provider's HTTP status, if it sent one.
    pub status: Option<u16>,
    /// How long the provider asked to be left alone, in milliseconds, already bounded by the reader.
    pub retry_after_ms: Option<u64>,
}

impl Failure {
    /// A failure that came without a status.
    pub const fn new(kind: FailureKind) -> Self {
        Self { kind, status: None, retry_after_ms: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_limit_is_capacity_and_never_health() {
        assert_eq!(FailureKind::of_status(429), Some(FailureKind::RateLimited));
        assert_eq!(FailureKind::RateLimited.effect().penalty, Penalty::Capacity);
    }

    #[test]
    fn a_callers_haste_is_nobodys_failure() {
        assert_eq!(FailureKind::Deadline.effect().penalty, Penalty::Nobody);
        let slow = [FailureKind::FirstContentTimeout, FailureKind::Stall];
        assert!(slow.iter().all(|kind| kind.effect().penalty == Penalty::Health));
    }

    #[test]
    fn every_status_but_success_has_a_kind() {
        for status in 0..=999 {
            assert_eq!(
                FailureKind::of_status(status).is_none(),
                (200..300).contains(&status),
                "{status}"
            );
        }
    }

    #[test]
    fn names_are_unique_and_all_is_complete() {
        let names: std::collections::BTreeSet<_> =
            FailureKind::ALL.iter().map(|k| k.as_str()).collect();
        assert_eq!(names.len(), FailureKind::ALL.len());
    }

    #[test]
    fn a_silent_timeout_never_earns_another_try_at_the_same_endpoint() {
        for kind in [FailureKind::FirstContentTimeout, FailureKind::Stall, FailureKind::Deadline] {
            assert!(!kind.effect().passing);
        }
    }
}
