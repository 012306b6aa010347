//! Names of providers, resolved: at each connect, and the connection goes to an address that was looked at here, so
//! that no name can turn into another address between the look and the connect.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::dns::Name;
use tower::Service;
use trunkline_core::address;

/// Whether what is sent can be read on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// TLS.
    Encrypted,
    /// Plain text, which stays in networks of one's own.
    Plain,
}

impl Sent {
    /// How a URL's scheme sends.
    pub(crate) fn over(url: &Uri) -> Self {
        if url.scheme() == Some(&Scheme::HTTP) { Self::Plain } else { Self::Encrypted }
    }

    /// Why nothing may be sent to this address, if that is so.
    pub(crate) fn refusal(self, to: IpAddr) -> Option<&'static str> {
        if address::forbidden(to) {
            return Some("a link-local, reserved or metadata address, where no provider may be");
        }
        (self == Self::Plain && !address::private(to))
            .then_some("a public address, where http:// would send prompts and keys unencrypted")
    }
}

/// The system's resolver, without the addresses where nothing may be sent.
#[derive(Clone)]
pub(crate) struct Guarded(pub(crate) Sent);

/// A name that leads nowhere else.
#[derive(Debug, thiserror::Error)]
#[error("the provider's name leads to {0}")]
pub(crate) struct Refused(pub(crate) &'static str);

impl Service<Name> for Guarded {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let sent = self.0;
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let refusal = found.iter().find_map(|found| sent.refusal(found.ip()));
            let allowed: Vec<_> =
                found.into_iter().filter(|found| sent.refusal(found.ip()).is_none()).collect();
            match refusal {
                Some(why) if allowed.is_empty() => {
                    Err(io::Error::new(io::ErrorKind::PermissionDenied, Refused(why)))
                }
                Some(_) | None => Ok(allowed.into_iter()),
            }
        })
    }
}
