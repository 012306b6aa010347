//! Where a provider may be called, by address. Names are no business of this: whoever resolves one asks here about
//! what it led to, at each connect.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What clouds answer on from inside a machine, with credentials for whoever asks, beside the link-local
/// 169.254.0.0/16: Alibaba's, Oracle's and Azure's over IPv4.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];
/// The same over IPv6, by the first segments: all of Amazon's `fd00:ec2::`, Google's `fd20:ce::`, Oracle's
/// `fd00:c1::` and Scaleway's `fd00:42::`.
const METADATA_V6: [[u16; 3]; 4] =
    [[0xfd00, 0xec2, 0], [0xfd20, 0xce, 0], [0xfd00, 0xc1, 0], [0xfd00, 0x42, 0]];

/// Whether no provider may be called there: link-local, unspecified, multicast, reserved, or a metadata service,
/// also when it is an IPv4 address inside an IPv6 one.
pub fn forbidden(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => forbidden_v4(v4),
        IpAddr::V6(v6) => forbidden_v6(v6) || inner(v6).is_some_and(forbidden_v4),
    }
}

/// Whether the address belongs to networks of one's own: loopback and private ones, the providers' shared
/// 100.64.0.0/10 included, which clouds use for private networks too.
pub fn private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let shared = v4.octets().first() == Some(&100) && v4.to_bits() >> 22 == 0b01_1001_0001;
            v4.is_loopback() || v4.is_private() || shared
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
    }
}

fn forbidden_v4(v4: Ipv4Addr) -> bool {
    // 0.0.0.0/8 is this machine to some systems, 240.0.0.0/4 is nobody's.
    let first = v4.to_bits() >> 24;
    let nowhere = first == 0 || first >= 240;
    nowhere || v4.is_link_local() || v4.is_multicast() || METADATA_V4.contains(&v4)
}

fn forbidden_v6(v6: Ipv6Addr) -> bool {
    let [a, b, c, ..] = v6.segments();
    // fec0::/10 was link-local's wider sister.
    let site_local = a & 0xffc0 == 0xfec0;
    let reserved = v6.is_unspecified() || v6.is_multicast() || v6.is_unicast_link_local();
    reserved || site_local || METADATA_V6.contains(&[a, b, c])
}

/// The IPv4 address that a translator or a tunnel makes of an IPv6 one: NAT64's two prefixes, 6to4, and the old
/// ways to write one in the other. `None` for any other address, loopback's included.
fn inner(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let last = Ipv4Addr::from_bits(u32::try_from(v6.to_bits() & 0xffff_ffff).unwrap_or_default());
    match v6.segments() {
        [0x64, 0xff9b, 0 | 1, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => Some(last),
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => Some(last),
        [0x2002, high, low, ..] => {
            Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(addresses: &str) -> impl Iterator<Item = IpAddr> {
        addresses.split_whitespace().map(|address| address.parse().unwrap())
    }

    #[test]
    fn metadata_and_link_local_addresses_are_forbidden_in_every_spelling() {
        let v4 = "169.254.169.254 169.254.170.2 100.100.100.200 192.0.0.192 168.63.129.16 0.0.0.0 0.1.2.3
            224.0.0.1 240.0.0.1 255.255.255.255";
        let v6 =
            "fe80::1 febf::1 fec0::1 ff02::1 :: fd00:ec2::254 fd00:ec2::23 fd20:ce::254 fd00:42::42
            fd00:c1::a9fe:a9fe";
        let inside = "::ffff:169.254.169.254 ::169.254.169.254 ::ffff:0:169.254.169.254
            64:ff9b::169.254.169.254 64:ff9b:1::100.100.100.200 2002:a9fe:a9fe::1 ::ffff:0.0.0.0";
        for address in [v4, v6, inside].into_iter().flat_map(all) {
            assert!(forbidden(address), "{address}");
        }
    }

    #[test]
    fn loopback_private_and_public_addresses_are_not() {
        let good = "127.0.0.1 ::1 10.0.0.7 192.168.1.1 100.64.0.1 8.8.8.8 2001:4860:4860::8888 fd12:3456::1
            64:ff9b::8.8.8.8 2002:808:808::1";
        for address in all(good) {
            assert!(!forbidden(address), "{address}");
        }
    }

    #[test]
    fn what_is_private_is_not_public() {
        let own =
            "127.0.0.1 127.9.9.9 ::1 10.0.0.7 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1
            100.127.255.255 fc00::1 fd12:3456::1 ::ffff:10.0.0.7";
        for address in all(own) {
            assert!(private(address), "{address}");
        }
        let public =
            "8.8.8.8 172.32.0.1 100.63.255.255 100.128.0.1 192.0.2.1 2001:db8::1 ::ffff:8.8.8.8
            64:ff9b::10.0.0.1";
        for address in all(public) {
            assert!(!private(address), "{address}");
        }
    }
}
