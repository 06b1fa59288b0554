//! Whether a wildcard applies. What is synthesised from one carries the signature of the wildcard, which says nothing of the name that
//! it is shown for; so somebody must have denied that name, or the records of `*.example` could be shown for any name below
//! `example`, those that exist included (RFC 4035 §5.3.4, RFC 4592 §3.3.1).
//!
//! hickory has verified the signature of each record set. Its verdict on denials by NSEC is not used: it rejects nearly all such answers
//! (<https://github.com/hickory-dns/hickory-dns/pull/3812>), and accepts some for which a name between the wildcard and the name exists.

use hickory_resolver::proto::dnssec::Proof;
use hickory_resolver::proto::dnssec::rdata::{DNSSECRData, NSEC, NSEC3, RRSIG};
use hickory_resolver::proto::op::Message;
use hickory_resolver::proto::rr::{Name, RData, Record};

/// What hickory makes of the denials in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denials {
    /// They are there where it wants them, and hold.
    Hold,
    /// They do not, or are wanting.
    Disputed,
}

/// Proves that a record of the answer to a question for `asked`, whose signature holds, is shown for a name that has it. Whether it is
/// secure, for the name may have records without signatures instead; an error is why it is bogus.
pub(super) fn prove(
    record: &Record,
    asked: &Name,
    message: &Message,
    denials: Denials,
) -> Result<bool, String> {
    // hickory's cache leaves it out of what a CNAME led to
    let Some(signature) = signature(record, &message.answers) else {
        return Err(format!("the signature of {} {} is not at hand", record.name, record.record_type()));
    };
    let expanded = Expanded { record, signature };
    if !expanded.is_expanded() || expanded.is_denied_by_nsec(&message.authorities) {
        return Ok(true);
    }
    let nsec3 = if denials == Denials::Hold { expanded.denied_by_nsec3(asked, message) } else { Vec::new() };
    if nsec3.is_empty() {
        return Err(format!("nothing proves that a wildcard applies to {}", record.name));
    }
    // a delegation without signatures need not be in the chain (RFC 5155 §6)
    Ok(!nsec3.iter().any(|denial| denial.opt_out()))
}

/// A record that was perhaps synthesised from a wildcard.
struct Expanded<'a> {
    record: &'a Record,
    signature: &'a RRSIG,
}

impl Expanded<'_> {
    /// The labels that were signed, fewer than the name has where it came from a wildcard (RFC 4034 §3.1.3, RFC 4035 §5.3.4).
    fn labels(&self) -> u8 {
        self.signature.input().num_labels
    }

    fn is_expanded(&self) -> bool {
        self.labels() < self.record.name.num_labels()
    }

    fn zone(&self) -> &Name {
        &self.signature.input().signer_name
    }

    /// The name below the closest encloser, the wildcard's parent, on the way to the record's. Where it does not exist, the name itself does
    /// not, and no wildcard is closer (RFC 4592 §3.3.1, RFC 5155 §1.3).
    fn next_closer(&self) -> Name {
        self.record.name.trim_to(usize::from(self.labels()) + 1)
    }

    fn is_denied_by_nsec(&self, authority: &[Record]) -> bool {
        let next_closer = self.next_closer();
        // the wildcard is one of the zone's own
        self.labels() >= self.zone().num_labels()
            && authority.iter().any(|record| match &record.data {
                RData::DNSSEC(DNSSECRData::NSEC(nsec)) if record.proof == Proof::Secure => {
                    let is_own = signature(record, authority).is_some_and(|signature| {
                        let input = signature.input();
                        // of the same zone, and itself not from a wildcard (RFC 4035 §5.4)
                        input.signer_name == *self.zone() && input.num_labels == record.name.num_labels()
                    });
                    is_own && covers(&record.name, nsec, self.zone(), &next_closer)
                }
                _ => false,
            })
    }

    /// The denials that hickory went by, or none where its verdict does not count. It looks whether the next closer name is denied
    /// (RFC 5155 §8.8): for the name that was asked for, by the labels of whichever signature comes first, and with records of any zone.
    fn denied_by_nsec3<'m>(&self, asked: &Name, message: &'m Message) -> Vec<&'m NSEC3> {
        let denials = message.authorities.iter().filter(|record| record.proof == Proof::Secure);
        let denials: Vec<(&Name, &NSEC3)> = denials
            .filter_map(|record| match &record.data {
                RData::DNSSEC(DNSSECRData::NSEC3(nsec3)) => Some((&record.name, nsec3)),
                _ => None,
            })
            .collect();
        let is_asked = self.record.name == *asked;
        let has_same_labels = |signature: &RRSIG| signature.input().num_labels == self.labels();
        if is_asked
            && signatures(&message.answers).all(|(_, signature)| has_same_labels(signature))
            && denials.iter().all(|(owner, _)| owner.base_name() == *self.zone())
        {
            return denials.into_iter().map(|(_, nsec3)| nsec3).collect();
        }
        Vec::new()
    }
}

/// Whether an NSEC record of `zone` says that there is no `name` in it, and nothing below.
fn covers(owner: &Name, nsec: &NSEC, zone: &Name, name: &Name) -> bool {
    let next = nsec.next_domain_name();
    // what is below a delegation or a DNAME is not for this record to tell (RFC 6840 §4.1)
    let is_elsewhere = nsec.is_ancestor_delegation() && owner.zone_of(name);
    // in canonical order (RFC 4034 §6.1); the last record of a zone leads back to its apex (§4.1.1)
    let is_between = owner < name && (name < next || next == zone);
    // a name exists that has names below it, if nothing else (RFC 4592 §2.2.2)
    let is_empty_non_terminal = name.zone_of(next);
    is_between && !is_elsewhere && !is_empty_non_terminal
}

/// The signature of a record that was found to hold.
fn signature<'a>(record: &Record, section: &'a [Record]) -> Option<&'a RRSIG> {
    signatures(section)
        .find(|(of, signature)| {
            of.proof == Proof::Secure
                && of.name == record.name
                && signature.input().type_covered == record.record_type()
        })
        .map(|(_, signature)| signature)
}

fn signatures(section: &[Record]) -> impl Iterator<Item = (&Record, &RRSIG)> {
    section.iter().filter_map(|record| match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(signature)) => Some((record, signature)),
        _ => None,
    })
}

#[cfg(test)]
pub(super) mod tests;
