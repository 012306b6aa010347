//! What can go wrong, and the exit code that says so to scripts.

use std::fmt::Write;

use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Why nothing, or not everything, was done.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The router did not do it.
    #[error("{}", said(.0))]
    Status(Box<Status>),
    /// The router could not be reached.
    #[error("cannot reach {endpoint}: {reason}")]
    Unreachable {
        /// Where it was looked for.
        endpoint: String,
        /// What was seen.
        reason: String,
    },
    /// The command line makes no sense.
    #[error("{0}")]
    Usage(String),
    /// There is no such thing.
    #[error("there is no {0}")]
    Absent(String),
    /// A document is wrong.
    #[error("{0}")]
    Invalid(String),
    /// etcd did not do it, or could not be reached.
    #[error("etcd: {0}")]
    Etcd(String),
    /// A safety rule is against it.
    #[error("{0}")]
    Refused(String),
    /// It was begun, and had not taken effect everywhere in time.
    #[error("{0}")]
    NotConverged(String),
    /// So many things are wrong with the cluster; they were shown.
    #[error("findings: {0}")]
    Found(usize),
    /// The answer could not be written.
    #[error("cannot write: {0}")]
    Output(#[from] std::io::Error),
}

impl Failure {
    /// 1 failed, 2 usage, 3 refused by a safety rule, 4 conflict, 5 not converged in time.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Status(status) => match status.code() {
                Code::InvalidArgument => 2,
                Code::FailedPrecondition => 3,
                Code::Aborted => 4,
                _ => 1,
            },
            Self::Unreachable { .. }
            | Self::Absent(_)
            | Self::Invalid(_)
            | Self::Etcd(_)
            | Self::Found(_)
            | Self::Output(_) => 1,
            Self::Usage(_) => 2,
            Self::Refused(_) => 3,
            Self::NotConverged(_) => 5,
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Status(Box::new(status))
    }
}

/// A status for people: its message, and both versions when two edits met.
fn said(status: &Status) -> String {
    let mut text = status.message().to_owned();
    if text.is_empty() {
        text = format!("the router answered {:?}", status.code());
    }
    if let Some(info) = status.get_details_error_info()
        && status.code() == Code::Aborted
    {
        for (title, name) in [("now", "current"), ("yours", "proposed")] {
            if let Some(version) = info.metadata.get(name) {
                // Writing to a string cannot fail.
                let _ = write!(text, "\n  {title}: {version}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use tonic_types::ErrorDetails;

    #[test]
    fn scripts_can_tell_failures_apart() {
        for (code, exit) in [
            (Code::Unavailable, 1),
            (Code::NotFound, 1),
            (Code::Unauthenticated, 1),
            (Code::InvalidArgument, 2),
            (Code::FailedPrecondition, 3),
            (Code::Aborted, 4),
        ] {
            assert_eq!(Failure::from(Status::new(code, "x")).exit_code(), exit);
        }
        assert_eq!(Failure::NotConverged(String::new()).exit_code(), 5);
    }

    #[test]
    fn a_conflict_shows_what_is_there_and_what_was_meant() {
        let facts = [("current", "theirs"), ("proposed", "ours")];
        let facts: HashMap<String, String> =
            facts.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let mut details = ErrorDetails::new();
        details.set_error_info("conflict", "trunkline", facts);
        let status = Status::with_error_details(Code::Aborted, "changed", details);
        assert_eq!(Failure::from(status).to_string(), "changed\n  now: theirs\n  yours: ours");
    }
}
