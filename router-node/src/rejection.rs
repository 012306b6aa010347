//! Why a call got no answer, in the words its caller sees. Every ending that is not an answer goes through
//! here, for HTTP and gRPC alike.

use trunkline_core::failure::FailureKind;
use trunkline_core::filter::Exclusion;
use trunkline_core::retry::GiveUp;
use trunkline_upstream::Failed;
use trunkline_wire::error::{Availability, ErrorBody, ErrorType};

use crate::load::Rest;

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

/// The rejection when endpoints are allowed, but all of them rest: what the try after which they do would have
/// ended with. Where waiting helps at one of them, that is what the caller is told.
pub fn all_resting(model: &str, rests: &[Rest], now_ms: u64, providers: Vec<String>) -> Rejection {
    let passing =
        |rest: &&Rest| matches!(rest.after, FailureKind::RateLimited | FailureKind::Overloaded);
    let Some(soonest) = rests.iter().filter(passing).min_by_key(|rest| rest.until_ms) else {
        return nobody_serves(model, rests, &providers);
    };
    let (error_type, does) = match soonest.after {
        FailureKind::Overloaded => (ErrorType::ProviderOverloaded, "is overloaded"),
        _ => (ErrorType::ProviderRateLimited, "limits this router"),
    };
    let mut body =
        ErrorBody::new(error_type, format!("every provider of {model} {does} at the moment"));
    body.availability = Some(Availability {
        code: "cooling_down".to_owned(),
        retryable: true,
        retry_after_ms: Some(soonest.until_ms.saturating_sub(now_ms)),
        excluded_by: Vec::new(),
        affected_providers: providers,
    });
    Box::new(body)
}

/// All providers refused our credentials or do not know the model: the caller waits for nothing.
fn nobody_serves(model: &str, rests: &[Rest], providers: &[String]) -> Rejection {
    let names = providers.join(", ");
    if rests.iter().all(|rest| rest.after == FailureKind::ModelMissing) {
        let message = format!("{names}: the provider does not know {model}; it was asked lately");
        return reject(ErrorType::ModelNotFound, message);
    }
    let message = format!("{names}: the provider refused this router's credentials lately");
    reject(ErrorType::ProviderAuthentication, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(rests: &[(FailureKind, u64)]) -> (ErrorType, Option<u64>) {
        let rests: Vec<_> = rests
            .iter()
            .map(|(after, until_ms)| Rest { until_ms: *until_ms, after: *after })
            .collect();
        let body = all_resting("m", &rests, 1_000, vec!["p".to_owned()]);
        (body.error_type, body.availability.and_then(|a| a.retry_after_ms))
    }

    #[test]
    fn a_rest_is_told_by_its_reason_and_waiting_only_where_it_helps() {
        use FailureKind::{CredentialRefused, ModelMissing, Overloaded, RateLimited};
        assert_eq!(told(&[(RateLimited, 3_000)]), (ErrorType::ProviderRateLimited, Some(2_000)));
        assert_eq!(told(&[(Overloaded, 3_000)]), (ErrorType::ProviderOverloaded, Some(2_000)));
        let mixed = [(CredentialRefused, 2_000), (RateLimited, 9_000), (Overloaded, 5_000)];
        assert_eq!(told(&mixed), (ErrorType::ProviderOverloaded, Some(4_000)));
        assert_eq!(told(&[(ModelMissing, 3_000)]), (ErrorType::ModelNotFound, None));
        let refused = [(ModelMissing, 3_000), (CredentialRefused, 3_000)];
        assert_eq!(told(&refused), (ErrorType::ProviderAuthentication, None));
    }
}
