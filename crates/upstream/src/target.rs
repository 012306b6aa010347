//! One endpoint, ready to be called: its addresses and headers are built once per snapshot, not per call.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use trunkline_core::catalog::{Dialect, Endpoint, Provider};
use trunkline_wire::operation::Operation;

use crate::anthropic;
use crate::guard::Sent;
use crate::transport::Origin;

/// A provider's secret. It can be sent, or compared with another of ours to see whether it was replaced, and
/// nothing else: no `Debug`, no `Display`, no serialisation.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(HeaderValue);

impl Credential {
    /// Takes a secret as it stands in the environment or a file; surrounding white space is dropped.
    ///
    /// # Errors
    /// [`TargetError::Credential`] when it holds characters that no header may carry.
    pub fn new(secret: &str) -> Result<Self, TargetError> {
        let mut value =
            HeaderValue::from_str(secret.trim()).map_err(|_| TargetError::Credential)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    /// The secret as text, for cutting it out of what providers say; `None` when it is no text.
    pub(crate) fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.0.as_bytes()).ok()
    }

    fn bearer(&self) -> Result<HeaderValue, TargetError> {
        let bytes = [b"Bearer ", self.0.as_bytes()].concat();
        let mut value = HeaderValue::from_bytes(&bytes).map_err(|_| TargetError::Credential)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// Why an endpoint cannot be called.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The base URL is none.
    #[error("base_url is not a URL: {0}")]
    BaseUrl(String),
    /// No provider may be there.
    #[error("base_url leads to `{0}`, {1}")]
    Forbidden(String, &'static str),
    /// The secret cannot be sent in a header.
    #[error("the credential holds characters that no header may carry; check the variable or file")]
    Credential,
}

/// An endpoint's addresses, headers and names.
#[derive(Clone)]
pub struct Target {
    pub(crate) dialect: Dialect,
    pub(crate) origin: Origin,
    /// The path of each operation.
    pub(crate) chat: Uri,
    pub(crate) completion: Uri,
    pub(crate) embedding: Uri,
    pub(crate) models: Uri,
    /// One set of headers for each credential; one set without any for a provider that needs none.
    pub(crate) headers: Vec<HeaderMap>,
    /// What must not be repeated to anybody.
    pub(crate) secrets: Arc<[Credential]>,
    /// The provider's own name for the model.
    pub upstream_model: String,
    /// The name callers know the model by.
    pub model: String,
    /// The longest answer, for dialects that demand a bound.
    pub max_output_tokens: u64,
    /// Whether the provider may know the trace of a call.
    pub propagate_trace: bool,
}

impl Target {
    /// Prepares calls to `endpoint`. `credentials` stand in the provider's order; empty for none.
    ///
    /// # Errors
    /// See [`TargetError`].
    pub fn new(
        provider: &Provider,
        endpoint: &Endpoint,
        credentials: &[Credential],
    ) -> Result<Self, TargetError> {
        let bad = |reason: &dyn std::fmt::Display| TargetError::BaseUrl(reason.to_string());
        let at = |path: &str| {
            let url = Uri::try_from(format!("{}{path}", provider.base_url)).map_err(|e| bad(&e))?;
            let path = url.path_and_query().cloned().ok_or_else(|| bad(&"it has no path"))?;
            Ok(Uri::from(path))
        };
        let base = admit(Uri::try_from(&provider.base_url).map_err(|e| bad(&e))?)?;
        let (chat, models) = match provider.dialect {
            Dialect::OpenAi => (Operation::Chat.path(), "/models"),
            Dialect::Anthropic => (anthropic::MESSAGES_PATH, anthropic::MODELS_PATH),
        };
        let mut headers: Vec<HeaderMap> =
            credentials.iter().map(|c| headers(provider.dialect, c)).collect::<Result<_, _>>()?;
        if headers.is_empty() {
            headers.push(plain_headers(provider.dialect));
        }
        let host = host(&base).ok_or_else(|| bad(&"it names no host"))?;
        headers.iter_mut().for_each(|headers| _ = headers.insert(HOST, host.clone()));
        Ok(Self {
            dialect: provider.dialect,
            origin: Origin::of(&base),
            chat: at(chat)?,
            completion: at(Operation::Completion.path())?,
            embedding: at(Operation::Embedding.path())?,
            models: at(models)?,
            headers,
            secrets: Arc::from(credentials),
            upstream_model: endpoint.upstream_model.clone(),
            model: endpoint.model.as_str().to_owned(),
            max_output_tokens: endpoint.max_output_tokens,
            propagate_trace: provider.propagate_trace,
        })
    }

    pub(crate) fn path(&self, operation: Operation) -> &Uri {
        match operation {
            Operation::Chat => &self.chat,
            Operation::Completion => &self.completion,
            Operation::Embedding => &self.embedding,
        }
    }
}

/// A literal address never asks the resolver, so it is looked at here.
fn admit(url: Uri) -> Result<Uri, TargetError> {
    let host = url.host().unwrap_or_default();
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let refusal = literal.ok().and_then(|address| Sent::over(&url).refusal(address));
    match refusal {
        Some(why) => Err(TargetError::Forbidden(host.to_owned(), why)),
        None => Ok(url),
    }
}

/// `Host` names the port only where it is not the scheme's own, as browsers do.
fn host(base: &Uri) -> Option<HeaderValue> {
    let own = match base.scheme_str() {
        Some("https") => 443,
        Some(_) | None => 80,
    };
    let host = base.host()?;
    match base.port_u16().filter(|port| *port != own) {
        Some(port) => HeaderValue::try_from(format!("{host}:{port}")).ok(),
        None => HeaderValue::try_from(host).ok(),
    }
}

fn plain_headers(dialect: Dialect) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Answers are relayed as they come: compressed, nothing could be read in them.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("trunkline/", env!("CARGO_PKG_VERSION"))),
    );
    if dialect == Dialect::Anthropic {
        headers.insert(
            HeaderName::from_static(anthropic::VERSION_HEADER),
            HeaderValue::from_static(anthropic::VERSION),
        );
    }
    headers
}

fn headers(dialect: Dialect, credential: &Credential) -> Result<HeaderMap, TargetError> {
    let mut headers = plain_headers(dialect);
    match dialect {
        Dialect::OpenAi => headers.insert(AUTHORIZATION, credential.bearer()?),
        Dialect::Anthropic => {
            headers.insert(HeaderName::from_static("x-api-key"), credential.0.clone())
        }
    };
    Ok(headers)
}
