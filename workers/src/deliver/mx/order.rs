//! In which order hosts and their addresses are tried. Pure, but for chance.

use std::collections::VecDeque;
use std::net::IpAddr;

use shared::mail::Domain;
use shared::port::{Ids, MxHost};

use crate::deliver::outcome::Failure;
use crate::deliver::{SmartHost, TransportSettings};

/// The hosts in the order of RFC 5321 §5.1: by preference, equal ones in random order. From this host's own preference on, they are
/// left out: whoever passes mail only to better hosts than itself cannot make a loop.
pub(super) fn by_preference(
    mut records: Vec<MxHost>,
    domain: &Domain,
    settings: &TransportSettings,
    ids: &dyn Ids,
) -> Result<Vec<MxHost>, Failure> {
    if records.is_empty() {
        // RFC 5321 §5.1: the implicit MX
        records.push(MxHost { preference: 0, exchange: domain.as_str().to_owned() });
    }
    records.retain(|record| !record.exchange.is_empty());
    ids.shuffle(&mut records);
    // stable, so that the shuffle stands among equals
    records.sort_by_key(|record| record.preference);
    let own = records.iter().find(|record| record.exchange.eq_ignore_ascii_case(&settings.hostname));
    if let Some(own) = own.map(|own| own.preference) {
        records.retain(|record| record.preference < own);
    }
    if records.is_empty() {
        return Err(Failure::LoopsBack);
    }
    records.truncate(settings.limits.hosts);
    Ok(records)
}

/// Smart hosts as RFC 2782 draws them: each place goes to one of those left by chance, in proportion to their weights; those of weight
/// zero come last.
pub(super) fn by_weight<'a>(hosts: &'a [SmartHost], ids: &dyn Ids) -> Vec<&'a SmartHost> {
    let mut left: Vec<&SmartHost> = hosts.iter().collect();
    ids.shuffle(&mut left);
    let mut drawn = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let total: u64 = left.iter().map(|host| u64::from(host.weight)).sum();
        let mut ticket = ids.random() % total.max(1);
        let at = left.iter().position(|host| {
            let weight = u64::from(host.weight);
            let found = ticket < weight;
            ticket = ticket.saturating_sub(weight);
            found
        });
        drawn.push(left.remove(at.unwrap_or(0)));
    }
    drawn
}

/// The families in turn, IPv6 first, and the order of each as it is (RFC 8305 §4).
pub(super) fn interleaved(ips: Vec<IpAddr>) -> impl Iterator<Item = IpAddr> {
    let (v6, v4): (VecDeque<IpAddr>, VecDeque<IpAddr>) = ips.into_iter().partition(IpAddr::is_ipv6);
    let mut families = [v6, v4];
    let mut turn = 1;
    std::iter::from_fn(move || {
        turn = 1 - turn;
        families[turn].pop_front().or_else(|| families[1 - turn].pop_front())
    })
}

#[cfg(test)]
mod tests {
    use shared::testkit::SeededIds;

    use super::*;

    #[test]
    fn ipv6_goes_first_and_the_families_take_turns() {
        let ips = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2"];
        let order: Vec<String> = interleaved(ips.iter().map(|ip| ip.parse().unwrap()).collect())
            .map(|ip| ip.to_string())
            .collect();
        assert_eq!(order, ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "192.0.2.3"]);
    }

    #[test]
    fn smart_hosts_are_drawn_by_their_weights_and_those_of_none_stand_in() {
        let host = |name: &str, weight| SmartHost { host: name.to_owned(), port: 25, weight };
        let hosts = [host("spare", 0), host("small", 1), host("large", 3)];
        let ids = SeededIds::new(1);
        let mut first = [0; 3];
        for _ in 0..4000 {
            let drawn = by_weight(&hosts, &ids);
            assert_eq!(drawn.len(), 3);
            assert_eq!(drawn[2].host, "spare");
            first[hosts.iter().position(|host| host == drawn[0]).unwrap()] += 1;
        }
        assert_eq!(first[0], 0);
        assert!((900..1100).contains(&first[1]), "{first:?}");
    }
}
