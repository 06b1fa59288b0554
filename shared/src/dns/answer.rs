//! What hickory answers, in the words of the port. The three ways of having no record are told apart here: no such
//! name, a name without such records, and not knowing.

use std::time::Duration;

use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData};

use crate::limits::dns::NEGATIVE_TTL;
use crate::port::{Answer, ResolveError, Resolved};

/// Reads the outcome of a lookup; `pick` takes the records of the type asked for, and leaves out CNAMEs on the way there.
pub(super) fn read<T>(found: Result<Lookup, NetError>, pick: impl Fn(&RData) -> Option<T>) -> Resolved<T> {
    let lookup = match found {
        Ok(lookup) => lookup,
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
            let ttl = none.negative_ttl.map_or(NEGATIVE_TTL, |seconds| Duration::from_secs(seconds.into()));
            return nothing(none.response_code, ttl);
        }
        Err(NetError::Dns(DnsError::ResponseCode(code))) => return nothing(code, NEGATIVE_TTL),
        Err(error @ NetError::Dns(DnsError::DnssecBogus | DnsError::Nsec { .. })) => {
            return Err(ResolveError::Bogus(error.to_string()));
        }
        Err(error) => return Err(ResolveError::Temporary(error.to_string())),
    };
    let records: Vec<T> = lookup.answers().iter().filter_map(|record| pick(&record.data)).collect();
    if records.is_empty() {
        // a CNAME that leads nowhere
        return nothing(lookup.message().response_code, NEGATIVE_TTL);
    }
    let ttl = lookup.answers().iter().map(|record| record.ttl).min().unwrap_or(0);
    Ok(Answer { records, secure: false, ttl: Duration::from_secs(ttl.into()) })
}

/// What an answer without records says (RFC 2308 §2, §7).
fn nothing<T>(code: ResponseCode, ttl: Duration) -> Resolved<T> {
    match code {
        ResponseCode::NoError => Ok(Answer { records: Vec::new(), secure: false, ttl }),
        ResponseCode::NXDomain => Err(ResolveError::NoSuchName { secure: false }),
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
