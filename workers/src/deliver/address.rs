//! Which addresses may be connected to when the DNS, and not the operator, names them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether `ip` is an address of the public Internet, so that a stranger's DNS cannot point this machine at itself,
/// at its neighbours or at a cloud's metadata service.
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

/// By the IANA registry of special-purpose addresses (RFC 6890), and what clouds add to it.
fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = match (a, b, c) {
        (0 | 10 | 127, _, _) => true,              // this network, private, loopback
        (100, 64..=127, _) => true,                // carrier-grade NAT (RFC 6598), Alibaba's metadata
        (169, 254, _) => true,                     // link-local (RFC 3927), most clouds' metadata
        (172, 16..=31, _) | (192, 168, _) => true, // private (RFC 1918)
        (192, 0, 0) => true,                       // protocol assignments (RFC 6890), Oracle's metadata
        (192, 0, 2) | (198, 51, 100) | (203, 0, 113) => true, // documentation (RFC 5737)
        (192, 88, 99) => true,                     // 6to4 relays, withdrawn (RFC 7526)
        (198, 18..=19, _) => true,                 // benchmarks (RFC 2544)
        (224.., _, _) => true,                     // multicast, reserved, broadcast
        _ => ip == Ipv4Addr::new(168, 63, 129, 16), // Azure's host
    };
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    match ip.segments() {
        // NAT64's well-known prefix: as public as the address in it (RFC 6052 §2.1)
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(embedded(high, low)),
        // 6to4: likewise (RFC 3056 §2)
        [0x2002, high, low, ..] => is_public_v4(embedded(high, low)),
        // protocol assignments, Teredo, ORCHID (RFC 2928), documentation (RFC 3849, RFC 9637)
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => false,
        // everything else that is in use lies in 2000::/3; not so loopback, IPv4-mapped, unique-local, link-local, multicast
        [first, ..] => (0x2000..=0x3fff).contains(&first),
    }
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_public_internet_are_connected_to() {
        for ip in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "192.167.255.255",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2a00:1450::1",
            "2001:4860::8888",
            "2606:4700::1111",
            "64:ff9b::1.1.1.1",
            "2002:101:101::1",
        ] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn addresses_inside_are_refused_in_every_wrapping() {
        for ip in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:1.1.1.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
    }
}
