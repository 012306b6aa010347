//! The way to another part of the cluster, which says itself where it is: looked at when it is resolved, and gone to the
//! address that was looked at. What is said there is no business of this.

use std::io;
use std::net::SocketAddr;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tonic::transport::{Channel, Endpoint};
use trunkline_core::address;
use trunkline_runtime::BoxError;

/// It leads where no part of a cluster may be: one that lies must not make routers call what answers on such addresses.
#[derive(Debug, thiserror::Error)]
#[error(
    "its address is link-local, reserved or a metadata service's, where no part of a cluster may be"
)]
pub struct Refused;

/// Connects.
///
/// # Errors
/// [`Refused`]; when nobody is there.
pub async fn connect(endpoint: Endpoint) -> Result<Channel, BoxError> {
    let addresses = resolved(endpoint.uri()).await?;
    let connector = tower::service_fn(move |_: Uri| {
        let addresses = addresses.clone();
        async move {
            let stream = TcpStream::connect(&*addresses).await?;
            stream.set_nodelay(true)?;
            Ok::<_, io::Error>(TokioIo::new(stream))
        }
    });
    Ok(endpoint.connect_with_connector(connector).await?)
}

/// Where a URL leads, without the addresses where no part may be.
async fn resolved(url: &Uri) -> Result<Vec<SocketAddr>, BoxError> {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    let usual = if url.scheme_str() == Some("https") { 443 } else { 80 };
    let found = lookup_host((host, url.port_u16().unwrap_or(usual))).await?;
    let allowed: Vec<SocketAddr> = found.filter(|to| !address::forbidden(to.ip())).collect();
    if allowed.is_empty() { Err(Refused.into()) } else { Ok(allowed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn led(url: &str) -> Result<Vec<SocketAddr>, BoxError> {
        resolved(&Uri::try_from(url).unwrap()).await
    }

    #[tokio::test]
    async fn a_part_is_where_it_says_unless_none_may_be_there() {
        for (url, to) in [
            ("http://127.0.0.1:9092", "127.0.0.1:9092"),
            ("http://10.0.0.7", "10.0.0.7:80"),
            ("https://[fd00::7]", "[fd00::7]:443"),
        ] {
            assert_eq!(led(url).await.unwrap(), [to.parse().unwrap()]);
        }
        for url in
            ["http://169.254.169.254", "http://[::ffff:169.254.169.254]:80", "http://0.0.0.0:1"]
        {
            assert!(led(url).await.unwrap_err().is::<Refused>(), "{url}");
        }
    }
}
