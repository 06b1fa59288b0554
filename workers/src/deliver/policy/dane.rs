//! DANE for SMTP (RFC 7672): the TLSA records of a host, and which of them can be used.

use aws_lc_rs::digest::{SHA256_OUTPUT_LEN, SHA512_OUTPUT_LEN};
use shared::port::{Answer, ResolveError, Resolved, Resolver, Tlsa};

use super::observe::tlsa_text;
use super::tlsa::{Matching, matching, selector, usage};

/// The TLSA records of a host, proved by DNSSEC.
#[derive(Debug)]
pub(super) struct Dane {
    /// The name whose records they are (RFC 7672 §2.2.3, the TLSA base domain).
    pub(super) base: String,
    /// Those that can be used.
    pub(super) usable: Vec<Tlsa>,
    /// All of them, as text.
    pub(super) published: Vec<String>,
}

/// The TLSA records of `host` at `port`; `None` where DNSSEC proves that there are none, or that the host is in a zone without
/// signatures. An error is why nobody can tell: then no mail may go there (RFC 7672 §2.1.1, §2.1.2).
pub(super) async fn look_up(resolver: &dyn Resolver, host: &str, port: u16) -> Result<Option<Dane>, String> {
    let (v4, v6) = futures::join!(resolver.a(host), resolver.aaaa(host));
    let Some(expanded) = secure_name(v4, v6)? else {
        return Ok(None);
    };
    // RFC 7672 §2.2.3: the name that all its CNAMEs lead to goes first, and the one that it began with is the other one
    let mut bases = vec![host.to_ascii_lowercase()];
    if expanded != bases[0] {
        bases.insert(0, expanded);
    }
    for base in bases {
        match resolver.tlsa(&format!("_{port}._tcp.{base}")).await {
            Ok(answer) if answer.secure && !answer.records.is_empty() => {
                let published = answer.records.iter().map(tlsa_text).collect();
                return Ok(Some(Dane { base, usable: usable(answer.records), published }));
            }
            // RFC 7672 §2.1.1: records without a proof are none
            Ok(_) | Err(ResolveError::NoSuchName { .. }) => {}
            // RFC 7672 §2.1.2: what is bogus or cannot be had may not be taken for "there are none"
            Err(ResolveError::Temporary(why) | ResolveError::Bogus(why)) => {
                return Err(format!("TLSA of {base}: {why}"));
            }
        }
    }
    Ok(None)
}

/// The host's name, its CNAMEs followed, where its addresses are secure (RFC 7672 §2.2.2). One family that is known is enough.
fn secure_name<A, B>(v4: Resolved<A>, v6: Resolved<B>) -> Result<Option<String>, String> {
    let known = [v4.map(proof), v6.map(proof)];
    let with_addresses = |(name, secure, has): &(String, bool, bool)| has.then(|| (name.clone(), *secure));
    if let Some((name, secure)) = known.iter().flatten().find_map(with_addresses) {
        return Ok(secure.then_some(name));
    }
    for each in known {
        if let Err(ResolveError::Temporary(why) | ResolveError::Bogus(why)) = each {
            return Err(why);
        }
    }
    Ok(None)
}

fn proof<T>(answer: Answer<T>) -> (String, bool, bool) {
    (answer.name, answer.secure, !answer.records.is_empty())
}

/// Those of `records` that can be used. Of digests by two algorithms of what is else the same, the stronger ones count (RFC 7671 §9).
fn usable(records: Vec<Tlsa>) -> Vec<Tlsa> {
    let usable: Vec<Tlsa> = records.into_iter().filter(is_usable).collect();
    let is_outdone = |of: &Tlsa| {
        let same = |other: &Tlsa| (other.usage, other.selector) == (of.usage, of.selector);
        let stronger = |other: &Tlsa| same(other) && matching(other) == Some(Matching::Sha512);
        matching(of) == Some(Matching::Sha256) && usable.iter().any(stronger)
    };
    usable.iter().filter(|record| !is_outdone(record)).cloned().collect()
}

/// RFC 7672 §3.1.3: the usages 0 and 1 cannot be used for SMTP. RFC 6698 §2.1 for the others.
fn is_usable(record: &Tlsa) -> bool {
    let complete = match matching(record) {
        Some(Matching::Full) => !record.data.is_empty(),
        Some(Matching::Sha256) => record.data.len() == SHA256_OUTPUT_LEN,
        Some(Matching::Sha512) => record.data.len() == SHA512_OUTPUT_LEN,
        None => false,
    };
    usage(record).is_some() && selector(record).is_some() && complete
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(usage: u8, selector: u8, matching: u8, octets: usize) -> Tlsa {
        Tlsa { usage, selector, matching, data: vec![7; octets] }
    }

    #[test]
    fn only_what_smtp_has_a_use_for_is_usable() {
        for usage in [2, 3] {
            for selector in [0, 1] {
                for (matching, octets) in [(0, 1), (0, 500), (1, 32), (2, 64)] {
                    assert!(is_usable(&record(usage, selector, matching, octets)));
                }
            }
        }
        for (usage, selector, matching, octets) in [
            (0, 1, 1, 32),
            (1, 1, 1, 32),
            (4, 1, 1, 32),
            (3, 2, 1, 32),
            (3, 1, 3, 32),
            (3, 1, 1, 31),
            (3, 1, 2, 32),
            (3, 1, 0, 0),
        ] {
            assert!(!is_usable(&record(usage, selector, matching, octets)), "{usage} {selector} {matching}");
        }
    }

    #[test]
    fn the_stronger_digest_of_the_same_counts() {
        let all = vec![record(3, 1, 1, 32), record(3, 1, 2, 64), record(3, 0, 1, 32), record(2, 1, 0, 9)];
        assert_eq!(usable(all.clone()), all[1..]);
    }
}
