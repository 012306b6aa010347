//! Where providers may not be: addresses that only this machine's cloud would answer on. Names are looked at
//! after they were resolved, at each connect, so that no name can turn into such an address later.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
use tower::Service;

/// The metadata service of one large cloud over IPv6; the others are link-local.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Whether no provider may be called at this address: link-local, unspecified, multicast, or a metadata
/// service, also when it is an IPv4 address written as IPv6.
pub fn forbidden(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_link_local() || v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast()
        }
        IpAddr::V6(v6) => {
            let link_local = v6.segments().first().is_some_and(|s| s & 0xffc0 == 0xfe80);
            link_local || v6.is_unspecified() || v6.is_multicast() || v6 == METADATA_V6
        }
    }
}

/// The system's resolver, without the addresses that are forbidden.
#[derive(Clone)]
pub(crate) struct Guarded;

impl Service<Name> for Guarded {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|a| !forbidden(a.ip())).collect();
            if allowed.is_empty() {
                let message = "the name leads only to addresses where no provider may be";
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
            }
            Ok(allowed.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_and_link_local_addresses_are_forbidden_in_every_spelling() {
        for address in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fe80::1",
            "fd00:ec2::254",
            "0.0.0.0",
            "::",
        ] {
            assert!(forbidden(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn loopback_private_and_public_addresses_are_not() {
        for address in
            ["127.0.0.1", "::1", "10.0.0.7", "192.168.1.1", "8.8.8.8", "2001:4860:4860::8888"]
        {
            assert!(!forbidden(address.parse().unwrap()), "{address}");
        }
    }
}
