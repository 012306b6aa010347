//! How a connection comes about: guarded name resolution, TCP, TLS, and a deadline over all of it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::{ClientConfig, RootCertStore};
use tower::Service;

use crate::guard::{Guarded, Sent};

/// Two seconds reach any place on earth.
const TCP_TIMEOUT: Duration = Duration::from_secs(2);
/// TCP and the TLS handshake together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Detects a peer that vanished without a word.
const TCP_KEEP_ALIVE: Duration = Duration::from_secs(15);

type Connector = Timely<HttpsConnector<HttpConnector<Guarded>>>;

/// Connects to providers: those that are called over TLS, and those that are not.
#[derive(Clone)]
pub(crate) struct Connectors {
    encrypted: Connector,
    plain: Connector,
}

impl Connectors {
    /// Sets them up with the certificates that the system trusts. Where there are none, plain text still works,
    /// and every TLS handshake fails with a reason.
    pub(crate) fn new() -> Result<Self, rustls::Error> {
        let tls = tls()?;
        let made = |sent| connector(tls.clone(), sent);
        Ok(Self { encrypted: made(Sent::Encrypted), plain: made(Sent::Plain) })
    }

    /// The one for a URL.
    pub(super) fn for_url(&self, url: &Uri) -> Connector {
        match Sent::over(url) {
            Sent::Encrypted => self.encrypted.clone(),
            Sent::Plain => self.plain.clone(),
        }
    }
}

fn connector(tls: ClientConfig, sent: Sent) -> Connector {
    let mut tcp = HttpConnector::new_with_resolver(Guarded(sent));
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(TCP_KEEP_ALIVE));
    tcp.set_connect_timeout(Some(TCP_TIMEOUT));
    let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
    Timely(https.wrap_connector(tcp))
}

fn tls() -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// A connector whose connections come in time or not at all.
#[derive(Clone)]
pub(crate) struct Timely<C>(C);

impl<C> Service<Uri> for Timely<C>
where
    C: Service<Uri, Error = Box<dyn std::error::Error + Send + Sync>>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, C::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connecting = self.0.call(to);
        Box::pin(async move {
            match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
                Ok(connected) => connected,
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            }
        })
    }
}
