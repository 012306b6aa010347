//! Why a call got no answer, in the words its caller sees. Every ending that is not an answer goes through
//! here, for HTTP and gRPC alike.

use trunkline_core::failure::FailureKind;
use trunkline_core::filter::Exclusion;
use trunkline_core::retry::GiveUp;
use trunkline_upstream::Failed;
use trunkline_wire::error::{Availability, ErrorBody, ErrorType};

/// A typed error on its way to the caller.
pub type Rejection = Box<ErrorBody>;

/// An error of this kind.
pub fn reject(error_type: ErrorType, message: impl Into<String>) -> Rejection {
    Box::new(ErrorBody::new(error_type, message))
}

/// What the caller sees of a provider's failure when nothing is left to try.
pub fn error_type_of(failed: &Failed) -> ErrorType {
    match failed.failure.kind {
        FailureKind::Connect | FailureKind::Dns | FailureKind::Tls | FailureKind::Reset => {
            ErrorType::ProviderUnavailable
        }
        FailureKind::FirstContentTimeout | FailureKind::Stall => ErrorType::UpstreamTimeout,
        FailureKind::Deadline => ErrorType::DeadlineExceeded,
        FailureKind::ServerError if matches!(failed.failure.status, Some(504 | 408)) => {
            ErrorType::UpstreamTimeout
        }
        FailureKind::Overloaded => ErrorType::ProviderOverloaded,
        FailureKind::RateLimited => ErrorType::ProviderRateLimited,
        FailureKind::CredentialRefused | FailureKind::PaymentRequired => {
            ErrorType::ProviderAuthentication
        }
        FailureKind::ModelMissing => ErrorType::ModelNotFound,
        FailureKind::ContextLength => ErrorType::ContextLengthExceeded,
        FailureKind::BadRequest => match failed.failure.status {
            Some(413) => ErrorType::PayloadTooLarge,
            Some(422) => ErrorType::Unprocessable,
            _ => ErrorType::InvalidRequest,
        },
        FailureKind::Untranslatable => ErrorType::InvalidRequest,
        FailureKind::ContentFilter => ErrorType::ContentPolicyViolation,
        FailureKind::ServerError
        | FailureKind::ErrorInside
        | FailureKind::Empty
        | FailureKind::Undecodable
        | FailureKind::TooLarge
        | FailureKind::Truncated => ErrorType::ProviderError,
        FailureKind::CallerGone => ErrorType::Cancelled,
        FailureKind::Local => ErrorType::Internal,
    }
}

/// The rejection after the last failed try.
pub fn after_failure(failed: &Failed, provider: &str, why: GiveUp) -> Rejection {
    let error_type = error_type_of(failed);
    // What a provider says about our credentials is for operators, not for callers.
    let masked = error_type == ErrorType::ProviderAuthentication;
    let said =
        if masked { "the provider refused this router's credentials" } else { &failed.message };
    let note = match why {
        GiveUp::RetryBudget => "; not tried elsewhere: the retry budget of this model is used up",
        GiveUp::NoTime => "; not tried elsewhere: the call's deadline leaves no time",
        GiveUp::NotRetryable | GiveUp::ContentReleased | GiveUp::Exhausted => "",
    };
    let mut body = ErrorBody::new(error_type, format!("{provider}: {said}{note}"));
    body.provider = Some(provider.to_owned());
    if !masked {
        body.provider_code.clone_from(&failed.code);
        body.param.clone_from(&failed.param);
    }
    let row = error_type.row();
    if row.retryable {
        body.availability = Some(Availability {
            code: failed.failure.kind.as_str().to_owned(),
            retryable: true,
            retry_after_ms: failed.failure.retry_after_ms,
            excluded_by: Vec::new(),
            affected_providers: vec![provider.to_owned()],
        });
    }
    Box::new(body)
}

/// The rejection when the hard filters left no endpoint.
pub fn nothing_allowed(model: &str, exclusions: &[Exclusion]) -> Rejection {
    if !exclusions.is_empty() && exclusions.iter().all(|e| *e == Exclusion::ContextWindow) {
        let message =
            format!("the prompt does not fit the context window of any endpoint of {model}");
        return reject(ErrorType::ContextLengthExceeded, message);
    }
    let mut names: Vec<String> = exclusions.iter().map(|e| e.as_str().to_owned()).collect();
    names.sort_unstable();
    names.dedup();
    let message = format!("no endpoint of {model} may serve this call: {}", names.join(", "));
    let mut body = ErrorBody::new(ErrorType::NoEndpoint, message);
    body.availability = Some(Availability {
        code: "excluded".to_owned(),
        retryable: false,
        retry_after_ms: None,
        excluded_by: names,
        affected_providers: Vec::new(),
    });
    Box::new(body)
}

/// The rejection when endpoints are allowed, but all of them rest.
pub fn all_resting(model: &str, retry_after_ms: u64, providers: Vec<String>) -> Rejection {
    let message = format!("every provider of {model} limits this router at the moment");
    let mut body = ErrorBody::new(ErrorType::ProviderRateLimited, message);
    body.availability = Some(Availability {
        code: "cooling_down".to_owned(),
        retryable: true,
        retry_after_ms: Some(retry_after_ms),
        excluded_by: Vec::new(),
        affected_providers: providers,
    });
    Box::new(body)
}
