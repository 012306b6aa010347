//! `get`: lists what there is.

use std::io::Write;

use serde_json::Value;
use trunkline_proto::admin::v1::{
    DocumentKind, ListDocumentVersionsRequest, ListDrainsRequest, ListEndpointsRequest,
    ListKeysRequest, ListModelsRequest, ListProvidersRequest,
};

use super::document::VERSIONS;
use super::status::{self, States};
use crate::Failure;
use crate::cli::{Format, GetArgs, Kind};
use crate::connect::Admin;
use crate::render::watch::Screen;
use crate::render::{self, List};
use crate::rows;

/// Pages asked for at most; each has a thousand entries.
const MAX_PAGES: usize = 100;

/// Lists the kind.
///
/// # Errors
/// The router's answer, or an `out` that does not take the list.
pub async fn run(
    admin: &mut Admin,
    args: GetArgs,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if !args.watch {
        return show(admin, args.kind, format, out).await;
    }
    let screen = Screen::of(format);
    let mut states = States::of_no_endpoint(admin).await?;
    loop {
        // What is listed is no part of the state; that there is a new one says when to look again.
        states.next().await?;
        screen.begin(out)?;
        show(admin, args.kind, format, out).await?;
        out.flush()?;
    }
}

async fn show(
    admin: &mut Admin,
    kind: Kind,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let items = items(admin, kind).await?;
    Ok(render::list(&List { columns: columns(kind), items }, format, out)?)
}

fn columns(kind: Kind) -> &'static [(&'static str, &'static str)] {
    match kind {
        Kind::Providers => &[
            ("NAME", "id"),
            ("DIALECT", "dialect"),
            ("BASE_URL", "base_url"),
            ("SECRET", "secret_ref"),
            ("REGIONS", "regions"),
            ("ENDPOINTS", "endpoints"),
            ("DRAINED", "drained"),
        ],
        Kind::Models => &[
            ("NAME", "id"),
            ("ENDPOINTS", "endpoints"),
            ("USABLE", "usable"),
            ("CONTEXT", "context"),
            ("USD_PER_M_IN", "price.prompt"),
            ("USD_PER_M_OUT", "price.completion"),
        ],
        Kind::Endpoints => &[
            ("ID", "id"),
            ("NAME", "name"),
            ("VERDICT", "verdict"),
            ("WEIGHT", "weight"),
            ("OPERATOR", "operator_weight"),
            ("PINNED", "pinned"),
            ("DRAINED", "drained"),
            ("USD_PER_M_IN", "price.prompt"),
            ("USD_PER_M_OUT", "price.completion"),
        ],
        Kind::Drains => &[
            ("TARGET", "id"),
            ("STATE", "state"),
            ("APPLIED", "applied"),
            ("IN_FLIGHT", "in_flight"),
            ("TAKEN_PERMILLE", "taken_permille"),
            ("EXPIRES", "expires"),
            ("WITHDRAWN", "withdrawn"),
            ("BY", "by"),
            ("SINCE", "since"),
            ("REASON", "reason"),
        ],
        Kind::Policy => VERSIONS,
        Kind::Routers => status::ROUTERS,
        Kind::Probers => status::PROBERS,
        Kind::Keys => &[
            ("ID", "id"),
            ("ROLE", "role"),
            ("EXPIRED", "expired"),
            ("MODELS", "rules.models"),
            ("PROVIDERS", "rules.providers"),
            ("RPM", "rules.requests_per_minute"),
            ("SPENT_USD", "spent"),
            ("FROM", "rules.networks"),
            ("NOTE", "note"),
        ],
    }
}

/// Everything of a kind, page by page.
///
/// # Errors
/// The router's answer.
pub async fn items(admin: &mut Admin, kind: Kind) -> Result<Vec<Value>, Failure> {
    let mut items = Vec::new();
    let mut token = String::new();
    for _ in 0..MAX_PAGES {
        let (page, next) = page(admin, kind, token).await?;
        items.extend(page);
        if next.is_empty() {
            break;
        }
        token = next;
    }
    Ok(items)
}

async fn page(
    admin: &mut Admin,
    kind: Kind,
    page_token: String,
) -> Result<(Vec<Value>, String), Failure> {
    Ok(match kind {
        Kind::Providers => {
            let asked = ListProvidersRequest { page_token, ..Default::default() };
            let page = admin.list_providers(asked).await?.into_inner();
            (page.providers.iter().map(rows::provider).collect(), page.next_page_token)
        }
        Kind::Models => {
            let asked = ListModelsRequest { page_token, ..Default::default() };
            let page = admin.list_models(asked).await?.into_inner();
            (page.models.iter().map(rows::model).collect(), page.next_page_token)
        }
        Kind::Endpoints => {
            let asked = ListEndpointsRequest { page_token, ..Default::default() };
            let page = admin.list_endpoints(asked).await?.into_inner();
            (page.endpoints.iter().map(rows::endpoint).collect(), page.next_page_token)
        }
        Kind::Drains => {
            let asked = ListDrainsRequest { page_token, ..Default::default() };
            let page = admin.list_drains(asked).await?.into_inner();
            (page.drains.iter().map(rows::drain).collect(), page.next_page_token)
        }
        Kind::Policy => {
            let asked = ListDocumentVersionsRequest { kind: DocumentKind::Policy.into() };
            let all = admin.list_document_versions(asked).await?.into_inner();
            (all.versions.iter().map(rows::version).collect(), String::new())
        }
        Kind::Routers => {
            let status = status::of_no_endpoint(admin).await?;
            (status.routers.iter().map(rows::router).collect(), String::new())
        }
        Kind::Probers => {
            let status = status::of_no_endpoint(admin).await?;
            (status.probers.iter().map(rows::prober).collect(), String::new())
        }
        Kind::Keys => {
            let asked = ListKeysRequest { page_token, ..Default::default() };
            let page = admin.list_keys(asked).await?.into_inner();
            (page.keys.iter().map(rows::key).collect(), page.next_page_token)
        }
    })
}
