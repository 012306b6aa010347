//! Why an operator's call was not done, as a status with details that programs can read.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use trunkline_core::policy::Role;
use trunkline_proto::admin::v1::DocumentProblem;
use trunkline_store::StoreError;

use crate::ingress::grpc::transcode::status::from_error;
use crate::rejection::Rejection;

/// Whose reasons the `ErrorInfo` of a status holds.
const DOMAIN: &str = "trunkline";
/// Longest text in a status; it travels in trailers, of which clients take 8 KiB.
const MAX_TEXT_BYTES: usize = 1_024;
/// Mistakes or violations in a status; the plan lists all.
const MAX_LISTED: usize = 4;

/// A status with its reason and facts.
fn because<const N: usize>(
    code: Code,
    reason: &str,
    message: &str,
    facts: [(&str, String); N],
) -> Status {
    let facts: HashMap<_, _> =
        facts.into_iter().map(|(name, text)| (name.to_owned(), shortened(text))).collect();
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, DOMAIN, facts);
    Status::with_error_details(code, shortened(message.to_owned()), details)
}

/// The pipeline's own word, for keys that are not known.
pub fn rejected(rejection: &Rejection) -> Status {
    from_error(rejection)
}

/// Whoever asks may not do this.
pub fn role_too_low(name: &str, role: Option<Role>, rpc: &str, least: Role) -> Status {
    let has = role.map_or("no role".to_owned(), |role| format!("the role {}", role.as_str()));
    let least = least.as_str();
    let message = format!(
        "{name} has {has}, and {rpc} needs {least}: use a key with that role, or let an admin name {name} in \
         the routers' `admin_roles`"
    );
    let facts = [("needs", least.to_owned()), ("name", name.to_owned())];
    because(Code::PermissionDenied, "role_too_low", &message, facts)
}

/// A call that nobody let in; a defect of the router, which must not open anything.
pub fn not_admitted() -> Status {
    because(Code::Unauthenticated, "not_admitted", "the call was not authenticated", [])
}

/// What a watch ends with when its router leaves.
pub fn leaving() -> Status {
    let message = "this router is leaving: watch another one";
    because(Code::Unavailable, "leaving", message, [])
}

/// What should not be able to happen.
pub fn internal(message: &str) -> Status {
    because(Code::Internal, "internal", message, [])
}

/// A path that no service has.
pub fn no_such_call() -> Status {
    let message = "no such call; the admin API is trunkline.admin.v1.AdminService, over gRPC";
    because(Code::Unimplemented, "unknown_call", message, [])
}

/// A field that makes no sense.
pub fn bad_field(field: &str, message: &str) -> Status {
    let message = format!("{field}: {message}");
    let mut details = ErrorDetails::new();
    details.set_error_info("invalid_request", DOMAIN, HashMap::new());
    details.add_bad_request_violation(field, shortened(message.clone()));
    Status::with_error_details(Code::InvalidArgument, shortened(message), details)
}

/// Something that the catalog does not have.
pub fn unknown_target(target: &str, nearest: &[String]) -> Status {
    let hint = match nearest {
        [] => "`get providers`, `get models` and `get endpoints` list what there is".to_owned(),
        names => format!("did you mean {}?", names.join(" or ")),
    };
    let message = format!("there is no {target}; {hint}");
    because(Code::NotFound, "unknown_target", &message, [("nearest", nearest.join(","))])
}

/// Something that has no override to take away.
pub fn no_override(target: &str, what: &str) -> Status {
    let message = format!("{target} has no {what}");
    because(Code::NotFound, "no_override", &message, [("target", target.to_owned())])
}

/// No canary runs.
pub fn no_canary() -> Status {
    because(Code::NotFound, "no_canary", "no canary runs; `policy canary -f FILE` begins one", [])
}

/// Another canary runs than the one that is meant.
pub fn other_canary(version: &str) -> Status {
    let message =
        format!("the canary that runs is {version}; promote or abort it first, or name it");
    because(Code::Aborted, "conflict", &message, [("current_version", version.to_owned())])
}

/// A generation that no router has which could be asked; `silent` are those that could not.
pub fn unknown_generation(id: &str, asked: usize, silent: &[String]) -> Status {
    let mut message = match asked {
        0 | 1 => "no such generation on this router, or it is too long ago".to_owned(),
        _ => format!("no such generation on any of {asked} routers, or it is too long ago"),
    };
    if !silent.is_empty() {
        message.push_str("; could not ask ");
        message.push_str(&silent.join(", "));
    }
    let facts = [("generation_id", id.to_owned()), ("silent", silent.join(","))];
    because(Code::NotFound, "unknown_generation", &message, facts)
}

/// A version of a document that is not kept.
pub fn unknown_version(version: &str) -> Status {
    let message =
        format!("no version {version} is kept, or more than one begins like that; see `log`");
    because(Code::NotFound, "unknown_version", &message, [("version", version.to_owned())])
}

/// No version of the document is in the store.
pub fn no_document(kind: &str) -> Status {
    let message = format!(
        "no {kind} is in the store; put one in force with `{kind} apply`, or `{kind} rollback` to a version that \
         `{kind} log` lists. Routers go on with the last one that they had"
    );
    because(Code::NotFound, "no_document", &message, [("kind", kind.to_owned())])
}

/// The version that was in force last is gone with the record that held it.
pub fn lost_version(version: &str) -> Status {
    let message = format!(
        "{version} was in force last and its text was deleted with it; apply the file that it came from, or name \
         an older version that `log` lists"
    );
    because(Code::NotFound, "unknown_version", &message, [("version", version.to_owned())])
}

/// A key that does not exist.
pub fn unknown_key(id: &str) -> Status {
    let message = format!("there is no key {id}; name it by its public part, the part after tl_");
    because(Code::NotFound, "unknown_key", &message, [("key_id", id.to_owned())])
}

/// The edit breaks safety rules, and was not forced.
pub fn unsafe_edit(violations: &[String]) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info("safety_rule", DOMAIN, HashMap::new());
    for violation in violations {
        details.add_precondition_failure_violation("SAFETY", "edit", shortened(violation.clone()));
    }
    let message = format!("refused: {}; force it if that is what you want", violations.join("; "));
    Status::with_error_details(Code::FailedPrecondition, shortened(message), details)
}

/// Somebody else wrote first: what is there now, and what was to be written.
pub struct Conflict {
    /// What both edits are about.
    pub target: String,
    /// The entry as it is now; `None` when it is gone.
    pub current: Option<String>,
    /// The revision of that entry, or of the store when it is gone.
    pub revision: u64,
    /// The entry that was to be written; `None` for taking it away.
    pub proposed: Option<String>,
}

impl Conflict {
    /// The status; nothing was written.
    pub fn status(self) -> Status {
        let none = || "none".to_owned();
        let message = format!(
            "{} was changed at revision {}; look at it and decide again",
            self.target, self.revision
        );
        let facts = [
            ("target", self.target),
            ("current", self.current.unwrap_or_else(none)),
            ("current_revision", self.revision.to_string()),
            ("proposed", self.proposed.unwrap_or_else(none)),
        ];
        because(Code::Aborted, "conflict", &message, facts)
    }
}

/// A document that is wrong; the first mistakes of it.
pub fn wrong_document(problems: &[DocumentProblem]) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info("invalid_document", DOMAIN, HashMap::new());
    for problem in problems.iter().take(MAX_LISTED) {
        let text = format!("line {}: {}", problem.line, problem.message);
        details.add_bad_request_violation(problem.path.clone(), shortened(text));
    }
    let first = problems.first().map(|p| p.message.as_str()).unwrap_or_default();
    let message = format!("the document has {} mistakes; the first: {first}", problems.len());
    Status::with_error_details(Code::InvalidArgument, shortened(message), details)
}

/// A document that breaks safety rules which were not overruled, or lets prompts go where they cannot go now.
pub fn unsafe_document(violations: &[String], widenings: &[String]) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info("safety_rule", DOMAIN, HashMap::new());
    for (kind, found) in [("SAFETY", violations), ("DATAFLOW", widenings)] {
        for text in found.iter().take(MAX_LISTED) {
            details.add_precondition_failure_violation(kind, "document", shortened(text.clone()));
        }
    }
    let mut said = Vec::new();
    if !violations.is_empty() {
        said.push(format!("{}; --force overrules that", first_of(violations)));
    }
    if !widenings.is_empty() {
        let places = first_of(widenings);
        said.push(format!("prompts could newly go to {places}; --accept-dataflow accepts that"));
    }
    let message = format!("refused: {}", said.join(". "));
    Status::with_error_details(Code::FailedPrecondition, shortened(message), details)
}

/// The first few, and how many more there are.
fn first_of(found: &[String]) -> String {
    let listed: Vec<&str> = found.iter().take(MAX_LISTED).map(String::as_str).collect();
    match found.len() - listed.len() {
        0 => listed.join("; "),
        more => format!("{} and {more} more", listed.join("; ")),
    }
}

/// The version in force is not the one that an edit is based on.
pub struct Heads<'a> {
    /// Which document.
    pub kind: &'a str,
    /// The version that the edit is based on.
    pub expected: &'a str,
    /// The version in force, and its text; empty and `None` when there is none.
    pub current: (&'a str, Option<String>),
    /// The version that was to be written, and its text; `None` when it is in force.
    pub proposed: (&'a str, Option<String>),
}

impl Heads<'_> {
    /// The status; nothing was written.
    pub fn conflict(self) -> Status {
        let Self { kind, expected, current, proposed } = self;
        let message = format!(
            "the {kind} in force is {}, not {expected}; look at it and decide again",
            current.0
        );
        let shown = |(version, text): (&str, Option<String>)| {
            format!("{version} {}", text.unwrap_or_default())
        };
        let facts = [
            ("target", kind.to_owned()),
            ("current_version", current.0.to_owned()),
            ("proposed_version", proposed.0.to_owned()),
            ("current", shown(current)),
            ("proposed", shown(proposed)),
        ];
        because(Code::Aborted, "conflict", &message, facts)
    }
}

/// Other edits came in between each time.
pub fn busy(target: &str) -> Status {
    let message = format!("other edits came in between each time; nothing of {target} was written");
    because(Code::Aborted, "busy", &message, [("target", target.to_owned())])
}

/// The store did not do it.
pub fn store(error: &StoreError) -> Status {
    let (code, reason) = match error {
        StoreError::Unavailable { .. } => (Code::Unavailable, "store_unavailable"),
        // Neither done nor not done, as far as anybody knows: whoever asked must look before writing again.
        StoreError::InDoubt { .. } => (Code::Unknown, "store_in_doubt"),
        StoreError::Conflict { .. } => (Code::Aborted, "conflict"),
        StoreError::TooLarge { .. } | StoreError::Full { .. } => {
            (Code::ResourceExhausted, "store_full")
        }
        StoreError::Denied { .. } => (Code::PermissionDenied, "store_denied"),
        StoreError::LeaseGone { .. }
        | StoreError::Invalid { .. }
        | StoreError::InUse { .. }
        | StoreError::Corrupt { .. } => (Code::Internal, "store_failed"),
    };
    because(code, reason, &error.to_string(), [])
}

fn shortened(mut text: String) -> String {
    let mut end = text.len().min(MAX_TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_shows_both_versions() {
        let status = Conflict {
            target: "provider/a".to_owned(),
            current: Some("{\"reason\":\"theirs\"}".to_owned()),
            revision: 12,
            proposed: None,
        }
        .status();
        assert_eq!(status.code(), Code::Aborted);
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.reason, "conflict");
        assert_eq!(info.metadata["current"], "{\"reason\":\"theirs\"}");
        assert_eq!(info.metadata["current_revision"], "12");
        assert_eq!(info.metadata["proposed"], "none");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let cut = shortened("é".repeat(MAX_TEXT_BYTES));
        assert_eq!(cut.len(), MAX_TEXT_BYTES);
        assert!(cut.chars().all(|c| c == 'é'));
    }
}
