//! What hickory answers, in the words of the port. The three ways of having no record are told apart here: no such
//! name, a name without such records, and not knowing; and what DNSSEC proves of each.
//!
//! hickory gives every set of records a proof of its own, and looks at no more than that. Whoever sits between may put records into an
//! answer that are signed well, and are somebody else's. So only the records of the name that was asked for count here, and those
//! of the names that its CNAMEs lead to; and what is proved of a zone counts for names below it alone.

use std::time::Duration;

use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::dnssec::Proof;
use hickory_resolver::proto::op::{DnsResponse, Message, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use super::wildcard::{self, Denials};
use crate::limits::dns::{CNAMES_MAX, NEGATIVE_TTL};
use crate::port::{Answer, ResolveError, Resolved};

/// Reads the outcome of a lookup of `asked`; `pick` takes the records of the type asked for. Where nothing is `validated`, nothing is
/// secure or bogus.
pub(super) fn read<T>(
    asked: &Name,
    found: Result<Lookup, NetError>,
    validated: bool,
    pick: impl Fn(&RData) -> Option<T>,
) -> Resolved<T> {
    match found {
        Ok(lookup) => {
            let proofs = validated.then_some(Denials::Hold);
            found_records(asked, lookup.message(), proofs, pick)
        }
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
            let ttl = none.negative_ttl.map_or(NEGATIVE_TTL, |seconds| Duration::from_secs(seconds.into()));
            let secure = validated && is_denied(&none)?;
            nothing(&text(none.query.name()), none.response_code, secure, ttl)
        }
        Err(NetError::Dns(DnsError::Nsec { response, proof: Proof::Insecure, .. })) => {
            found_without_proof(asked, &response, pick)
        }
        Err(NetError::Dns(DnsError::ResponseCode(code))) => nothing(&text(asked), code, false, NEGATIVE_TTL),
        Err(error @ NetError::Dns(DnsError::DnssecBogus | DnsError::Nsec { .. })) => {
            Err(ResolveError::Bogus(error.to_string()))
        }
        Err(error) => Err(ResolveError::Temporary(error.to_string())),
    }
}

/// Reads what came of asking once more, without a cache, for what was bogus. Perhaps hickory alone takes it for that, as it gets the proof
/// of a wildcard wrong (<https://github.com/hickory-dns/hickory-dns/pull/3812>); or it was read without its signatures, which the cache
/// leaves out of what a CNAME led to.
pub(super) fn read_again<T>(
    asked: &Name,
    found: Result<DnsResponse, NetError>,
    pick: impl Fn(&RData) -> Option<T>,
) -> Resolved<T> {
    match found {
        Ok(response) => found_records(asked, &response, Some(Denials::Hold), pick),
        Err(NetError::Dns(DnsError::Nsec { response, proof: Proof::Bogus, .. })) => {
            found_records(asked, &response, Some(Denials::Disputed), pick)
        }
        Err(_) => Err(ResolveError::Bogus(DnsError::DnssecBogus.to_string())),
    }
}

fn found_records<T>(
    asked: &Name,
    message: &Message,
    validated: Option<Denials>,
    pick: impl Fn(&RData) -> Option<T>,
) -> Resolved<T> {
    let prove = |record: &Record| match validated {
        Some(denials) => wildcard::prove(record, asked, message, denials),
        None => Ok(false),
    };
    let answer = follow(asked, &message.answers, pick, prove)?;
    match (answer.records.is_empty(), validated) {
        (false, _) => Ok(answer),
        // a CNAME that leads nowhere
        (true, None) => nothing(&answer.name, message.response_code, false, NEGATIVE_TTL),
        (true, Some(_)) if message.answers.is_empty() => Err(without_proof(asked)),
        (true, Some(_)) => Err(ResolveError::Bogus("the records are those of other names".to_owned())),
    }
}

/// What is proved but for names that may be there without a signature (RFC 5155 §6, opt-out).
fn found_without_proof<T>(
    asked: &Name,
    message: &Message,
    pick: impl Fn(&RData) -> Option<T>,
) -> Resolved<T> {
    let answer = follow(asked, &message.answers, pick, |_| Ok(false))?;
    if answer.records.is_empty() {
        return nothing(&answer.name, message.response_code, false, NEGATIVE_TTL);
    }
    Ok(Answer { secure: false, ..answer })
}

/// The records of `asked`, or of the name that its CNAMEs lead to. Secure only where each link is, and `prove` finds nothing wanting.
fn follow<T>(
    asked: &Name,
    records: &[Record],
    pick: impl Fn(&RData) -> Option<T>,
    prove: impl Fn(&Record) -> Result<bool, String>,
) -> Resolved<T> {
    let mut name = asked;
    let (mut secure, mut ttl) = (true, u32::MAX);
    for _ in 0..=CNAMES_MAX {
        let here = || records.iter().filter(|record| record.name == *name);
        let found: Vec<(&Record, T)> =
            here().filter_map(|record| Some((record, pick(&record.data)?))).collect();
        let alias = here().find_map(|record| match &record.data {
            RData::CNAME(target) if found.is_empty() => Some((record, &target.0)),
            _ => None,
        });
        for record in found.iter().map(|(record, _)| *record).chain(alias.map(|(record, _)| record)) {
            if record.proof == Proof::Bogus {
                return Err(ResolveError::Bogus(format!(
                    "the signatures of {} {} do not hold",
                    text(name),
                    record.record_type()
                )));
            }
            secure &= record.proof == Proof::Secure && prove(record).map_err(ResolveError::Bogus)?;
            ttl = ttl.min(record.ttl);
        }
        match alias {
            Some((_, target)) => name = target,
            None => {
                let secure = secure && !found.is_empty();
                let records = found.into_iter().map(|(_, picked)| picked).collect();
                return Ok(Answer {
                    name: text(name),
                    records,
                    secure,
                    ttl: Duration::from_secs(ttl.into()),
                });
            }
        }
    }
    Err(ResolveError::Temporary(format!("there are more than {CNAMES_MAX} CNAMEs")))
}

/// Whether an answer without records is proved. It must be proved, or proved to be of a zone without signatures.
fn is_denied(none: &NoRecords) -> Result<bool, ResolveError> {
    let authority = none.authorities.as_deref().unwrap_or_default();
    // hickory gives back none that do not prove the denial
    let denies = |record: &Record| {
        record.proof == Proof::Secure && matches!(record.record_type(), RecordType::NSEC | RecordType::NSEC3)
    };
    if authority.iter().any(denies) {
        return Ok(true);
    }
    if authority.iter().any(|record| is_insecure(record) && record.name.zone_of(none.query.name())) {
        return Ok(false);
    }
    Err(without_proof(none.query.name()))
}

fn without_proof(name: &Name) -> ResolveError {
    ResolveError::Bogus(format!("nothing proves that {} has no such records", text(name)))
}

fn is_insecure(record: &Record) -> bool {
    record.proof == Proof::Insecure
}

/// What an answer without records says (RFC 2308 §2, §7).
fn nothing<T>(name: &str, code: ResponseCode, secure: bool, ttl: Duration) -> Resolved<T> {
    match code {
        ResponseCode::NoError => Ok(Answer { name: name.to_owned(), records: Vec::new(), secure, ttl }),
        ResponseCode::NXDomain => Err(ResolveError::NoSuchName { secure }),
        code => Err(ResolveError::Temporary(format!("the server answered {code}"))),
    }
}

/// A name as the port gives it: lower case, no trailing dot; empty for the root.
pub(super) fn text(name: &Name) -> String {
    let mut text = name.to_ascii().to_ascii_lowercase();
    if text.ends_with('.') {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests;
