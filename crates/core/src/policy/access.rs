//! What an API key opens beside calls, until when, and from where. Which calls its holder may make is the
//! tenant's business.

use std::net::IpAddr;

/// What somebody may do on the admin API; each role may all that the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look.
    Viewer,
    /// Move traffic: drains, withdrawals, weights.
    Operator,
    /// Change documents and keys.
    Admin,
}

impl Role {
    /// All, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// The word in documents and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// What a key opens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// What it may do on the admin API; `None` for nothing.
    pub role: Option<Role>,
    /// From then on it opens nothing, in milliseconds since 1970; `None` for no end.
    pub expires_at_ms: Option<u64>,
    /// Where it may be used from; empty for anywhere.
    pub networks: Vec<Network>,
}

impl Access {
    /// Whether it may be used from this address.
    pub fn from_here(&self, peer: IpAddr) -> bool {
        self.networks.is_empty() || self.networks.iter().any(|network| network.contains(peer))
    }
}

/// A range of addresses: those that have the first `prefix` bits of `address`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// The range; `None` when an address has fewer than `prefix` bits.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= bits).then_some(Self { address, prefix })
    }

    /// Whether the address is in the range. An IPv4 address that came in over an IPv6 socket is an IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differ = own.to_bits() ^ other.to_bits();
                differ.leading_zeros() >= u32::from(self.prefix)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differ = own.to_bits() ^ other.to_bits();
                differ.leading_zeros() >= u32::from(self.prefix)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str, prefix: u8) -> Network {
        Network::new(address.parse().unwrap(), prefix).unwrap()
    }

    fn within(network: Network, address: &str) -> bool {
        network.contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_is_the_addresses_that_begin_alike() {
        let office = network("10.1.2.3", 16);
        assert!(within(office, "10.1.255.255"));
        assert!(within(office, "::ffff:10.1.0.1"));
        assert!(!within(office, "10.2.0.0"));
        assert!(!within(office, "::1"));
        assert!(within(network("0.0.0.0", 0), "255.255.255.255"));
        assert!(!within(network("10.0.0.1", 32), "10.0.0.2"));
        assert!(within(network("2001:db8::", 32), "2001:db8:1::"));
        assert!(!within(network("2001:db8::", 32), "2001:db9::"));
        assert_eq!(Network::new("10.0.0.0".parse().unwrap(), 33), None);
    }

    #[test]
    fn roles_grow() {
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
    }

    #[test]
    fn a_key_without_networks_is_good_anywhere() {
        let here = "192.0.2.1".parse().unwrap();
        assert!(Access::default().from_here(here));
        let bound = Access { networks: vec![network("10.0.0.0", 8)], ..Access::default() };
        assert!(!bound.from_here(here));
    }
}
