//! The kinds of value that a setting has, each with its one written form.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::limits::SETTING_SECONDS_MAX;
use crate::mail::Domain;

/// A value that can be read from text.
pub trait Setting: Sized {
    /// What would be right, to end the sentence "use …".
    const RIGHT: &'static str;

    /// The value of `text`, if it has one.
    fn read(text: &str) -> Option<Self>;
}

/// A number of octets: `512`, `256KiB`, `50MiB`, `1GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Octets(pub u64);

impl Setting for Octets {
    const RIGHT: &'static str = "a size such as 512, 256KiB, 50MiB or 1GiB";

    fn read(text: &str) -> Option<Self> {
        let (number, unit) = number_and_unit(text)?;
        let factor = match unit {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return None,
        };
        number.checked_mul(factor).map(Self)
    }
}

/// `250ms`, `90s`, `5m`, `4h`, `5d`; `0` needs no unit.
impl Setting for Duration {
    const RIGHT: &'static str = "a time such as 90s, 5m, 4h or 5d";

    fn read(text: &str) -> Option<Self> {
        let (number, unit) = number_and_unit(text)?;
        let seconds = match unit {
            "ms" => return Some(Self::from_millis(number)),
            "" if number == 0 => 1,
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return None,
        };
        number.checked_mul(seconds).filter(|seconds| *seconds <= SETTING_SECONDS_MAX).map(Self::from_secs)
    }
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    Some((text[..digits].parse().ok()?, text[digits..].trim_start()))
}

impl Setting for String {
    const RIGHT: &'static str = "a text that is not empty";

    fn read(text: &str) -> Option<Self> {
        Some(text.to_owned()).filter(|text| !text.is_empty())
    }
}

impl Setting for PathBuf {
    const RIGHT: &'static str = "a path";

    fn read(text: &str) -> Option<Self> {
        Some(Self::from(text)).filter(|_| !text.is_empty())
    }
}

macro_rules! parsed {
    ($($kind:ty: $right:literal),* $(,)?) => {$(
        impl Setting for $kind {
            const RIGHT: &'static str = $right;

            fn read(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        }
    )*};
}
parsed! {
    bool: "true or false",
    u16: "a whole number from 0 to 65535",
    u32: "a whole number",
    u64: "a whole number",
    usize: "a whole number",
    f64: "a number such as 0.2",
    Domain: "a domain such as mail.example.com",
    Ipv4Addr: "an IPv4 address such as 127.0.0.2",
    SocketAddr: "an IP address and a port such as 192.0.2.1:25 or [2001:db8::1]:25",
}

/// A network; an address alone is the network that has only it.
impl Setting for IpNet {
    const RIGHT: &'static str = "a network such as 10.0.0.0/8 or 2001:db8::/32";

    fn read(text: &str) -> Option<Self> {
        text.parse().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(Self::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit() {
        for (text, millis) in [
            ("0", 0),
            ("250ms", 250),
            ("90s", 90_000),
            ("5m", 300_000),
            ("4h", 14_400_000),
            ("5d", 432_000_000),
            ("5 d", 432_000_000),
        ] {
            assert_eq!(Duration::read(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "m", "-5m", "1.5h", "5w", "5D", "99999999999999999d", "40000d"] {
            assert_eq!(Duration::read(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_read_in_octets() {
        for (text, octets) in [("512", 512), ("256KiB", 262_144), ("50 MiB", 52_428_800), ("1GiB", 1 << 30)] {
            assert_eq!(Octets::read(text), Some(Octets(octets)), "{text}");
        }
        for text in ["", "KiB", "-1", "1kb", "1MB", "99999999999999999GiB"] {
            assert_eq!(Octets::read(text), None, "{text}");
        }
    }

    #[test]
    fn an_address_alone_is_a_network_of_one() {
        assert_eq!(IpNet::read("192.0.2.1"), "192.0.2.1/32".parse().ok());
        assert_eq!(IpNet::read("192.0.2.0/33"), None);
    }
}
