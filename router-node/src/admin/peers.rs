//! Asking the other routers: a record is kept where its call was served, and each counts its own calls. The
//! operator's own key goes along, so that nobody learns from another router what this one would not tell.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use futures_util::{Stream, StreamExt};
use http::HeaderValue;
use http::header::AUTHORIZATION;
use tonic::metadata::MetadataMap;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Response, Status};
use trunkline_proto::admin::v1::admin_service_client::AdminServiceClient;
use trunkline_runtime::BoxError;
use trunkline_runtime::tls::ServerTls;

use super::{Admin, Admitted, routers};
use crate::ingress::grpc::Caller;
use crate::way::{self, Refused};

/// A router that takes longer to connect, or to look something up, has no say: whoever asks waits at a terminal.
pub const DEADLINE: Duration = Duration::from_secs(2);
/// Routers asked at once.
const AT_ONCE: usize = 32;
/// The longest answer: the record of a call over thousands of endpoints.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// How a router speaks to the admin ports of others.
#[derive(Clone, Default)]
pub struct PeerTls {
    /// The identity that its own admin port has; `None` for plain text.
    pub own: Option<Arc<ServerTls>>,
    /// The name that the others' certificates are for; `None` for the host that each is asked at.
    pub name: Option<String>,
}

/// The admin API of another router.
pub type Peer = AdminServiceClient<Channel>;

/// The operator's credential, which goes along.
pub fn credential<T>(request: &Request<T>) -> Option<HeaderValue> {
    Caller::new(request.metadata().clone(), request.extensions()).credential().cloned()
}

/// Whoever can write to the store could have an operator's key sent to them.
#[derive(Debug, thiserror::Error)]
#[error(
    "it says that it is reached in plain text, where nobody shows who they are: set `admin_tls` there, as here"
)]
struct InTheOpen;

/// What the other routers are asked.
#[derive(Clone)]
pub struct Question<M> {
    /// The message.
    pub message: M,
    /// The operator's credential.
    pub credential: Option<HeaderValue>,
    /// How long each may take.
    pub patience: Duration,
}

/// What one router says.
pub enum Said<T> {
    /// Its answer.
    Answer(Box<T>),
    /// It has no such thing.
    NotThere,
    /// Nothing, in time.
    Silent,
}

/// What every other router that is alive says, as the answers come, each with the router's name.
pub async fn ask<'a, M, T, F>(
    admin: &'a Admin,
    by: &Admitted,
    question: Question<M>,
    call: impl Fn(Peer, Request<M>) -> F + Copy + 'a,
) -> impl Stream<Item = (String, Said<T>)> + 'a
where
    M: Clone + 'a,
    T: 'a,
    F: Future<Output = Result<Response<T>, Status>> + 'a,
{
    let others = routers::alive(admin, by).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "other routers cannot be listed, and are not asked");
        Vec::new()
    });
    let others = others.into_iter();
    let others = others.filter(|member| *member.id() != *admin.identity.node);
    let asked = others.map(move |member| {
        let question = question.clone();
        async move {
            let patience = question.patience;
            let asked = ask_one(admin, member.admin_url(), question, call);
            let said = match tokio::time::timeout(patience, asked).await {
                Ok(Ok(said)) => said,
                Ok(Err(error)) => {
                    tell(member.id(), &error);
                    Said::Silent
                }
                Err(_) => Said::Silent,
            };
            (member.id().to_owned(), said)
        }
    });
    stream::iter(asked.collect::<Vec<_>>()).buffer_unordered(AT_ONCE)
}

/// The answers of routers, and who gave none.
pub struct Heard<T> {
    /// By the router's name, ascending.
    pub answers: Vec<(String, Box<T>)>,
    /// The names of those that did not answer, ascending.
    pub silent: Vec<String>,
}

impl<T> Heard<T> {
    /// Waits for all. A router that has no such thing, such as a call that its release does not know, is silent.
    pub async fn all(said: impl Stream<Item = (String, Said<T>)>) -> Self {
        let (mut answers, mut silent) = (Vec::new(), Vec::new());
        let mut said = std::pin::pin!(said);
        while let Some((router, said)) = said.next().await {
            match said {
                Said::Answer(answer) => answers.push((router, answer)),
                Said::NotThere | Said::Silent => silent.push(router),
            }
        }
        answers.sort_by(|(a, _), (b, _)| a.cmp(b));
        silent.sort();
        Self { answers, silent }
    }
}

async fn ask_one<M, T, F>(
    admin: &Admin,
    url: &str,
    question: Question<M>,
    call: impl Fn(Peer, Request<M>) -> F,
) -> Result<Said<T>, BoxError>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    if url.is_empty() {
        return Err("it does not say where its admin API is; set `advertise_admin` there".into());
    }
    let channel = way::connect(endpoint(admin, url)?).await?;
    let peer = AdminServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
    let mut request = Request::new(question.message);
    if let Some(credential) = question.credential {
        let headers = http::HeaderMap::from_iter([(AUTHORIZATION, credential)]);
        *request.metadata_mut() = MetadataMap::from_headers(headers);
    }
    match call(peer, request).await {
        Ok(answer) => Ok(Said::Answer(Box::new(answer.into_inner()))),
        Err(status) if status.code() == Code::NotFound => Ok(Said::NotThere),
        Err(status) => Err(status.message().to_owned().into()),
    }
}

/// That one does not answer is its business; where one says that it is may be everybody's.
fn tell(router: &str, error: &BoxError) {
    if error.is::<Refused>() || error.is::<InTheOpen>() {
        tracing::warn!(router, %error, "another router is not asked");
    } else {
        tracing::debug!(router, %error, "another router did not answer");
    }
}

fn endpoint(admin: &Admin, url: &str) -> Result<Endpoint, BoxError> {
    let endpoint = Endpoint::from_shared(url.to_owned())?.connect_timeout(DEADLINE);
    let PeerTls { own, name } = &admin.peer_tls;
    if !url.starts_with("https://") {
        let known = own.as_ref().is_some_and(|own| own.pem().ca.is_some());
        return if known { Err(InTheOpen.into()) } else { Ok(endpoint) };
    }
    let own = own.as_ref().ok_or("it wants TLS: set `admin_tls` here, too")?;
    let config = tls(own)?;
    Ok(endpoint.tls_config(match name {
        Some(name) => config.domain_name(name),
        None => config,
    })?)
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
