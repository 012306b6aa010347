//! Faults spelled in a model name: `fault:stall@3`, `acme/sim-fault:status@429@2`.
//! The part after `fault:` is the kind as in JSON, then its numbers, each after an `@`.

use crate::fault::Fault;

/// What a model name asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Named {
    /// The name does not contain `fault:`.
    Healthy,
    /// The fault that it spells.
    Faulty(Fault),
    /// It contains `fault:` but spells none; the request should be told so.
    Unknown,
}

/// Reads the fault out of a model name: after `fault:` its kind as in JSON, then its numbers, each after
/// an `@`, in the order of the fields of [`Fault`]. Numbers may be left out: tokens are then 0, times one
/// second, and a status 500 (`echo_request`: 400). A bare status will do: `fault:429@2` is a 429 with
/// `retry-after: 2`.
#[must_use]
pub fn fault_of_model(model: &str) -> Named {
    match model.split_once("fault:") {
        None => Named::Healthy,
        Some((_, spelled)) => parse(spelled).map_or(Named::Unknown, Named::Faulty),
    }
}

/// Parses `kind@number@number`; none when the kind is unknown or a number does not fit.
fn parse(spelled: &str) -> Option<Fault> {
    let mut parts = spelled.split('@');
    let kind = parts.next()?;
    let args: Vec<&str> = parts.collect();
    if let Ok(status) = kind.parse::<u16>() {
        return status_of(status, args.first().copied());
    }
    without_number(kind).or_else(|| with_count(kind, &args)).or_else(|| with_times(kind, &args))
}

fn without_number(kind: &str) -> Option<Fault> {
    Some(match kind {
        "reset" => Fault::Reset,
        "black_hole" => Fault::BlackHole,
        "no_done" => Fault::NoDone,
        "gzip_bomb" => Fault::gzip_bomb(),
        "wrong_content_type" => Fault::WrongContentType,
        "empty_completion" => Fault::EmptyCompletion,
        "bad_json" => Fault::BadJson,
        "content_policy" => Fault::ContentPolicy,
        "context_length" => Fault::ContextLength,
        "model_not_found" => Fault::ModelNotFound,
        _ => return None,
    })
}

/// Kinds whose first number counts tokens; 0 when it is left out.
fn with_count(kind: &str, args: &[&str]) -> Option<Fault> {
    let after = number(args, 0, 0).and_then(|n| u32::try_from(n).ok())?;
    Some(match kind {
        "stall" => Fault::Stall { after },
        "cut" => Fault::Cut { after },
        "cut_reset" => Fault::CutReset { after },
        "early_eof" => Fault::EarlyEof { after },
        "malformed_chunk" => Fault::MalformedChunk { after },
        "huge_chunk" => Fault::huge_chunk(after),
        "error_in_ok" => Fault::ErrorInOk { after },
        "content_filter" => Fault::ContentFilter { after },
        _ => return None,
    })
}

/// Kinds whose numbers are a status, milliseconds or requests, with a usable value when left out.
fn with_times(kind: &str, args: &[&str]) -> Option<Fault> {
    Some(match kind {
        "status" => {
            let status = u16::try_from(number(args, 0, 500)?).ok()?;
            return status_of(status, args.get(1).copied());
        }
        "echo_request" => Fault::EchoRequest { status: u16::try_from(number(args, 0, 400)?).ok()? },
        "refuse" => Fault::Refuse { for_ms: number(args, 0, 1000)? },
        "flap" => Fault::Flap { up_ms: number(args, 0, 1000)?, down_ms: number(args, 1, 1000)? },
        "slow_headers" => Fault::SlowHeaders { delay_ms: number(args, 0, 1000)? },
        "slow_first_token" => Fault::SlowFirstToken { delay_ms: number(args, 0, 1000)? },
        "comments_only" => Fault::CommentsOnly { every_ms: number(args, 0, 1000)? },
        "rate_limit" => Fault::RateLimit {
            requests: u32::try_from(number(args, 0, 1)?).ok()?,
            window_ms: number(args, 1, 1000)?,
        },
        _ => return None,
    })
}

fn status_of(status: u16, retry_after: Option<&str>) -> Option<Fault> {
    (400..600).contains(&status).then(|| Fault::Status {
        status,
        retry_after: retry_after.map(str::to_owned),
        retry_after_ms: None,
    })
}

fn number(args: &[&str], at: usize, when_absent: u64) -> Option<u64> {
    args.get(at).map_or(Some(when_absent), |text| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::{Named, fault_of_model};
    use crate::fault::Fault;

    #[test]
    fn names_spell_faults() {
        let fault = |name| match fault_of_model(name) {
            Named::Faulty(fault) => fault,
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(fault("fault:stall@3"), Fault::Stall { after: 3 });
        assert_eq!(fault("acme/sim-fault:cut"), Fault::Cut { after: 0 });
        assert_eq!(fault("fault:flap@10@20"), Fault::Flap { up_ms: 10, down_ms: 20 });
        assert_eq!(fault("fault:503"), Fault::status(503));
        let Fault::Status { status: 429, retry_after: Some(after), .. } =
            fault("fault:status@429@-1")
        else {
            panic!("not a 429 with retry-after")
        };
        assert_eq!(after, "-1");
    }

    #[test]
    fn other_names_are_healthy_and_misspelled_faults_are_told() {
        assert_eq!(fault_of_model("sim-small"), Named::Healthy);
        for name in ["fault:", "fault:stal", "fault:stall@x", "fault:status@200", "fault:stall@-1"]
        {
            assert_eq!(fault_of_model(name), Named::Unknown, "{name}");
        }
    }
}
