//! Policy and catalog as documents: read, checked, planned and applied through the admin API.

mod apply;
mod history;
mod proposal;

use tonic::Status;
use trunkline_proto::admin::v1::{
    DocumentKind, DocumentProblem, GetDocumentRequest, GetDocumentResponse,
    ListDocumentVersionsRequest, ListDocumentVersionsResponse, PlanDocumentRequest,
    PlanDocumentResponse, ValidateDocumentRequest, ValidateDocumentResponse,
};
use trunkline_spec::Problems;
use trunkline_spec::versioned::Versioned;

use super::state::State;
use super::{Admin, Admitted, canary, refusal};
use crate::ingress::grpc::signed;

pub use apply::{apply, expect_head, put_in_force, refuse};
use history::History;
pub use history::{Head, ended_canary, means};
pub use proposal::{Meant, Proposal, Reach};

/// A version of a document.
///
/// # Errors
/// A version that is not kept, or a store that does not answer.
pub async fn get(admin: &Admin, asked: &GetDocumentRequest) -> Result<GetDocumentResponse, Status> {
    let kind = kind_of(asked.kind)?;
    let state = State::read(admin.store.as_ref()).await?;
    let history = History::read(admin.store.as_ref(), kind).await?;
    let head = Head::of(&state, kind);
    let (version, document_json) = match &head {
        Some(head) if asked.version.is_empty() => (head.version.clone(), head.text.clone()),
        None if asked.version.is_empty() => return Err(refusal::no_document(kind.as_str())),
        _ => history.find(&asked.version, head.as_ref())?,
    };
    let version = history.about(&version, head.as_ref());
    Ok(GetDocumentResponse {
        revision: signed(state.revision.0),
        version: Some(version),
        document_json,
    })
}

/// The versions that are kept.
///
/// # Errors
/// A store that does not answer.
pub async fn list(
    admin: &Admin,
    asked: &ListDocumentVersionsRequest,
) -> Result<ListDocumentVersionsResponse, Status> {
    let kind = kind_of(asked.kind)?;
    let state = State::read(admin.store.as_ref()).await?;
    let history = History::read(admin.store.as_ref(), kind).await?;
    let mut versions = history.versions(Head::of(&state, kind).as_ref());
    if let Some(canary) = state.canary().filter(|_| kind == Versioned::Policy) {
        versions.insert(0, canary::version(canary));
    }
    Ok(ListDocumentVersionsResponse { revision: signed(state.revision.0), versions })
}

/// Whether a document is right beside the catalog of the store.
///
/// # Errors
/// A store that does not answer.
pub async fn validate(
    admin: &Admin,
    asked: &ValidateDocumentRequest,
) -> Result<ValidateDocumentResponse, Status> {
    let kind = kind_of(asked.kind)?;
    let state = State::read(admin.store.as_ref()).await?;
    let (version, problems) = match kind.read_against(&asked.document, state.catalog()) {
        Ok(written) => (written.version, Vec::new()),
        Err(problems) => (String::new(), messages(problems)),
    };
    Ok(ValidateDocumentResponse { revision: signed(state.revision.0), version, problems })
}

/// What applying a document would change.
///
/// # Errors
/// A version that is not kept, or a store that does not answer.
pub async fn plan(
    admin: &Admin,
    by: &Admitted,
    asked: PlanDocumentRequest,
) -> Result<PlanDocumentResponse, Status> {
    let kind = kind_of(asked.kind)?;
    let state = State::read(admin.store.as_ref()).await?;
    let history = History::read(admin.store.as_ref(), kind).await?;
    let head = Head::of(&state, kind);
    let text = history.text_of(asked.source.map(Into::into), head.as_ref())?;
    let meant = Meant { by: by.name(), reason: "planned".to_owned() };
    let proposal = Proposal::work_out(state, kind, &text, (&meant, Reach::All))?;
    Ok(PlanDocumentResponse { plan: Some(proposal.plan) })
}

fn kind_of(kind: i32) -> Result<Versioned, Status> {
    match DocumentKind::try_from(kind) {
        Ok(DocumentKind::Policy) => Ok(Versioned::Policy),
        Ok(DocumentKind::Catalog) => Ok(Versioned::Catalog),
        Ok(DocumentKind::Unspecified) | Err(_) => {
            Err(refusal::bad_field("kind", "say policy or catalog"))
        }
    }
}

fn messages(problems: Problems) -> Vec<DocumentProblem> {
    let message = |problem: trunkline_spec::Problem| DocumentProblem {
        path: problem.path,
        line: problem.line,
        column: problem.column,
        message: problem.message,
        snippet: problem.snippet,
    };
    problems.0.into_iter().map(message).collect()
}
