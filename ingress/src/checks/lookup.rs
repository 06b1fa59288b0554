//! The questions themselves.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use futures::future::join_all;
use shared::mail::Domain;
use shared::port::{ResolveError, Resolver};

use super::Reverse;
use crate::Dnsbl;
use crate::limits::{ABSENCE_KEPT, FACTS_KEPT_MIN, PTR_NAMES_MAX};

/// What a block list says of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listing {
    Listed,
    NotListed,
    /// The list did not answer, or not as a list does.
    Unknown,
}

/// Looks for a name of `client` that leads back to it; tells how long the answer may be kept.
pub(super) async fn reverse(resolver: &dyn Resolver, client: IpAddr) -> (Reverse, Duration) {
    let answer = match resolver.ptr(client).await {
        Ok(answer) if answer.records.is_empty() => return (Reverse::None, answer.ttl),
        Ok(answer) => answer,
        Err(ResolveError::NoSuchName { .. }) => return (Reverse::None, ABSENCE_KEPT),
        Err(ResolveError::Temporary(_) | ResolveError::Bogus(_)) => {
            return (Reverse::Unknown, FACTS_KEPT_MIN);
        }
    };
    // what is no host's name can confirm nothing
    let hosts = answer.records.iter().filter_map(|name| Domain::parse(name).ok());
    let mut hosts: Vec<Domain> = hosts.filter(|host| host.literal().is_none()).collect();
    // records come in any order: which names are left out must not depend on it
    hosts.sort_unstable();
    hosts.dedup();
    hosts.truncate(PTR_NAMES_MAX);
    let forward = join_all(hosts.iter().map(|host| has_address(resolver, host.as_str(), client))).await;
    let ttl = forward.iter().filter_map(|(_, ttl)| *ttl).fold(answer.ttl, Duration::min);
    if let Some(at) = forward.iter().position(|(has, _)| *has == Some(true)) {
        return (Reverse::Confirmed(hosts[at].as_str().to_owned()), ttl);
    }
    if forward.iter().any(|(has, _)| has.is_none()) {
        return (Reverse::Unknown, FACTS_KEPT_MIN);
    }
    (Reverse::Unconfirmed, ttl)
}

/// Whether `host` has the address, and for how long; `None` where the DNS did not say.
async fn has_address(
    resolver: &dyn Resolver,
    host: &str,
    client: IpAddr,
) -> (Option<bool>, Option<Duration>) {
    let answer = match client {
        IpAddr::V4(ip) => resolver.a(host).await.map(|answer| (answer.records.contains(&ip), answer.ttl)),
        IpAddr::V6(ip) => resolver.aaaa(host).await.map(|answer| (answer.records.contains(&ip), answer.ttl)),
    };
    match answer {
        Ok((has, ttl)) => (Some(has), Some(ttl)),
        Err(ResolveError::NoSuchName { .. }) => (Some(false), Some(ABSENCE_KEPT)),
        Err(ResolveError::Temporary(_) | ResolveError::Bogus(_)) => (None, None),
    }
}

/// Asks a block list for `client` (RFC 5782 §2.1, §2.4); tells how long the answer may be kept.
pub(super) async fn listing(resolver: &dyn Resolver, dnsbl: &Dnsbl, client: IpAddr) -> (Listing, Duration) {
    match resolver.a(&format!("{}.{}", reversed(client), dnsbl.zone)).await {
        Ok(answer) => (judge(dnsbl, &answer.records), answer.ttl),
        Err(ResolveError::NoSuchName { .. }) => (Listing::NotListed, ABSENCE_KEPT),
        Err(ResolveError::Temporary(_) | ResolveError::Bogus(_)) => (Listing::Unknown, FACTS_KEPT_MIN),
    }
}

fn judge(dnsbl: &Dnsbl, answers: &[Ipv4Addr]) -> Listing {
    let counts = |answer: &Ipv4Addr| {
        if dnsbl.answers.is_empty() { is_listing(*answer) } else { dnsbl.answers.contains(answer) }
    };
    if answers.iter().any(|answer| answer.is_loopback() && counts(answer)) {
        Listing::Listed
    } else if answers.is_empty() || answers.iter().any(|answer| is_listing(*answer)) {
        Listing::NotListed
    } else {
        Listing::Unknown
    }
}

/// Whether a list says by this address that it lists something. Lists answer within 127/8 (RFC 5782 §2.3); one that does not is gone,
/// and its domain somebody else's. 127.0.0.1 lists nothing, and 127.255.255/24 is by custom an error, such as a question too many.
fn is_listing(answer: Ipv4Addr) -> bool {
    answer.is_loopback() && answer != Ipv4Addr::LOCALHOST && !answer.octets().starts_with(&[127, 255, 255])
}

/// `1.2.0.192` for 192.0.2.1, and the nibbles of an IPv6 address likewise.
fn reversed(client: IpAddr) -> String {
    let labels: Vec<String> = match client {
        IpAddr::V4(ip) => ip.octets().iter().rev().map(ToString::to_string).collect(),
        IpAddr::V6(ip) => {
            ip.octets().iter().rev().map(|octet| format!("{:x}.{:x}", octet & 15, octet >> 4)).collect()
        }
    };
    labels.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_asked_for_in_reverse() {
        assert_eq!(reversed("192.0.2.99".parse().unwrap()), "99.2.0.192");
        // the example of RFC 5782 §2.4
        assert_eq!(
            reversed("2001:db8:1:2:3:4:567:89ab".parse().unwrap()),
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2"
        );
    }

    #[test]
    fn only_answers_that_a_list_gives_list_anything() {
        let dnsbl = |answers: &[&str]| Dnsbl {
            zone: "bl.example".parse().unwrap(),
            action: crate::Action::Refuse,
            answers: answers.iter().map(|answer| answer.parse().unwrap()).collect(),
        };
        let judged = |own: &[&str], given: &[&str]| {
            let given: Vec<Ipv4Addr> = given.iter().map(|answer| answer.parse().unwrap()).collect();
            judge(&dnsbl(own), &given)
        };
        assert_eq!(judged(&[], &["127.0.0.2"]), Listing::Listed);
        assert_eq!(judged(&[], &["203.0.113.7", "127.0.0.4"]), Listing::Listed);
        assert_eq!(judged(&[], &[]), Listing::NotListed);
        for broken in ["203.0.113.7", "127.0.0.1", "127.255.255.254"] {
            assert_eq!(judged(&[], &[broken]), Listing::Unknown, "{broken}");
        }
        assert_eq!(judged(&["127.0.0.4"], &["127.0.0.2", "127.0.0.4"]), Listing::Listed);
        assert_eq!(judged(&["127.0.0.4"], &["127.0.0.2"]), Listing::NotListed);
        assert_eq!(judged(&["203.0.113.7"], &["203.0.113.7"]), Listing::Unknown);
    }
}
