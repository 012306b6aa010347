//! The admin API's metrics: names, labels and meaning, and nothing else.
#![expect(
    clippy::disallowed_macros,
    reason = "names metrics, as telemetry.rs of each program does"
)]

use metrics::counter;
use tonic::{Code, Status};
use trunkline_runtime::catalogue::{Kind, Metric};

/// The metrics of the admin API.
pub const CATALOGUE: &[Metric] = &[Metric::new(
    "trunkline_admin_calls_total",
    Kind::Counter,
    &["rpc", "outcome"],
    "Calls of the admin API: done, unauthenticated, denied (the role is too low), refused (by a rule, a conflict or a mistake), malformed or failed.",
)];

/// How a call of the admin API ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered.
    Done,
    /// Nobody knows who asked.
    Unauthenticated,
    /// Whoever asked may not.
    Denied,
    /// Not done, for a reason that lies with what was asked.
    Refused,
    /// No call at all: what was sent cannot be read, or nothing is there.
    Malformed,
    /// Not done, through no fault of whoever asked.
    Failed,
}

impl Outcome {
    /// From the status that it ended with; `None` for an answer.
    pub fn of(said: Option<&Status>) -> Self {
        match said.map(Status::code) {
            None => Self::Done,
            Some(Code::Unauthenticated) => Self::Unauthenticated,
            Some(Code::PermissionDenied) => Self::Denied,
            Some(
                Code::InvalidArgument
                | Code::NotFound
                | Code::AlreadyExists
                | Code::FailedPrecondition
                | Code::Aborted
                | Code::OutOfRange,
            ) => Self::Refused,
            Some(Code::Unimplemented) => Self::Malformed,
            // Of ours each has details; those without come from reading the message, before any of ours.
            Some(Code::Internal) if said.is_some_and(|status| status.details().is_empty()) => {
                Self::Malformed
            }
            Some(_) => Self::Failed,
        }
    }

    /// The label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unauthenticated => "unauthenticated",
            Self::Denied => "denied",
            Self::Refused => "refused",
            Self::Malformed => "malformed",
            Self::Failed => "failed",
        }
    }
}

/// Counts the calls of the admin API.
#[derive(Clone, Copy, Debug)]
pub struct Meter;

impl Meter {
    /// A call ended.
    pub fn called(self, rpc: &'static str, outcome: Outcome) {
        counter!("trunkline_admin_calls_total", "rpc" => rpc, "outcome" => outcome.as_str())
            .increment(1);
    }
}
