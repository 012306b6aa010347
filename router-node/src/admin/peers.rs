//! Asking the other routers: a record is kept where its call was served. The operator's own key goes along,
//! so that nobody learns from another router what this one would not tell.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use tonic::metadata::MetadataMap;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};
use trunkline_proto::admin::v1::admin_service_client::AdminServiceClient;
use trunkline_proto::admin::v1::{ExplainRequest, ExplainResponse};
use trunkline_runtime::BoxError;
use trunkline_runtime::tls::ServerTls;

use super::{Admin, Admitted, refusal, routers};

/// A router that takes longer has no say: whoever asks waits at a terminal.
const DEADLINE: Duration = Duration::from_secs(2);
/// Routers asked at once.
const AT_ONCE: usize = 32;
/// The longest answer: the record of a call over thousands of endpoints.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// What one router says.
enum Said {
    Found(Box<ExplainResponse>),
    NotThere,
    /// Its name, because it does not say.
    Silent(String),
}

/// The record of a call from whichever other router has it.
///
/// # Errors
/// When none has it; the message names those that did not answer.
pub async fn ask(
    admin: &Admin,
    by: &Admitted,
    id: &str,
    credential: Option<HeaderValue>,
) -> Result<ExplainResponse, Status> {
    let own = &admin.identity;
    let others = routers::alive(admin, by).await.into_iter();
    let others: Vec<_> = others.filter(|member| *member.id() != *own.node).collect();
    let routers = others.len() + 1;
    let asked = others.into_iter().map(|member| {
        let credential = credential.clone();
        async move {
            let asked = ask_one(admin, member.admin_url(), id, credential);
            match tokio::time::timeout(DEADLINE, asked).await {
                Ok(Ok(Some(found))) => Said::Found(Box::new(found)),
                Ok(Ok(None)) => Said::NotThere,
                Ok(Err(error)) => {
                    tracing::debug!(router = member.id(), %error, "another router did not answer");
                    Said::Silent(member.id().to_owned())
                }
                Err(_) => Said::Silent(member.id().to_owned()),
            }
        }
    });
    let mut answers = stream::iter(asked).buffer_unordered(AT_ONCE);
    let mut silent = Vec::new();
    while let Some(said) = answers.next().await {
        match said {
            Said::Found(found) => return Ok(*found),
            Said::NotThere => {}
            Said::Silent(router) => silent.push(router),
        }
    }
    silent.sort();
    Err(refusal::unknown_generation(id, routers, &silent))
}

/// The record from one router; `None` when it has none.
async fn ask_one(
    admin: &Admin,
    url: &str,
    id: &str,
    credential: Option<HeaderValue>,
) -> Result<Option<ExplainResponse>, BoxError> {
    if url.is_empty() {
        return Err("it does not say where its admin API is; set `advertise_admin` there".into());
    }
    let channel = endpoint(admin, url)?.connect().await?;
    let mut client = AdminServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
    let mut request =
        Request::new(ExplainRequest { generation_id: id.to_owned(), only_here: true });
    if let Some(credential) = credential {
        let headers = http::HeaderMap::from_iter([(AUTHORIZATION, credential)]);
        *request.metadata_mut() = MetadataMap::from_headers(headers);
    }
    match client.explain(request).await {
        Ok(found) => Ok(Some(found.into_inner())),
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) => Err(status.message().to_owned().into()),
    }
}

fn endpoint(admin: &Admin, url: &str) -> Result<Endpoint, BoxError> {
    let endpoint = Endpoint::from_shared(url.to_owned())?.connect_timeout(DEADLINE);
    if !url.starts_with("https://") {
        return Ok(endpoint);
    }
    let own = admin.peer_tls.as_ref().ok_or("it wants TLS: set `admin_tls` here, too")?;
    Ok(endpoint.tls_config(tls(own)?)?)
}

/// Routers are servers and clients of one another with one certificate each, signed by the authority that they
/// ask of their operators.
fn tls(own: &ServerTls) -> Result<ClientTlsConfig, BoxError> {
    let pem = own.pem();
    let ca = pem.ca.as_ref().ok_or("`admin_tls` names no `client_ca` to know it by")?;
    let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
    Ok(match &pem.identity {
        Some((cert, key)) => config.identity(Identity::from_pem(cert, key)),
        None => config,
    })
}
