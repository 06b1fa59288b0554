use hickory_resolver::proto::dnssec::rdata::sig::SigInput;
use hickory_resolver::proto::dnssec::{Algorithm, Nsec3HashAlgorithm};
use hickory_resolver::proto::op::{OpCode, Query};
use hickory_resolver::proto::rr::rdata::A;
use hickory_resolver::proto::rr::{RecordType, SerialNumber};

use super::*;

const ZONE: &str = "example.";

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn nsec(next: &str, types: &[RecordType]) -> NSEC {
    NSEC::new(name(next), types.iter().copied())
}

fn does_cover(owner: &str, next: &str, types: &[RecordType], denied: &str) -> bool {
    covers(&name(owner), &nsec(next, types), &name(ZONE), &name(denied))
}

#[test]
fn names_are_between_others_in_canonical_order() {
    // RFC 4034 §6.1
    let order: [&[&[u8]]; 9] = [
        &[b"example"],
        &[b"a", b"example"],
        &[b"yljkjljk", b"a", b"example"],
        &[b"Z", b"a", b"example"],
        &[b"zABC", b"a", b"EXAMPLE"],
        &[b"z", b"example"],
        &[b"\x01", b"z", b"example"],
        &[b"*", b"z", b"example"],
        &[b"\x80", b"z", b"example"],
    ];
    let order = order.map(|labels| Name::from_labels(labels.iter().copied()).unwrap());
    for (from, owner) in order.iter().enumerate() {
        for (to, next) in order.iter().enumerate() {
            for (at, denied) in order.iter().enumerate() {
                // the last one leads back to the apex
                let is_between = from < at && (at < to || to == 0);
                let expected = is_between && !denied.zone_of(next);
                let nsec = NSEC::new(next.clone(), []);
                assert_eq!(covers(owner, &nsec, &order[0], denied), expected, "{owner} {next} {denied}");
            }
        }
    }
}

#[test]
fn a_name_that_only_has_names_below_it_exists() {
    assert!(!does_cover("a.example.", "x.y.w.example.", &[], "w.example."));
    assert!(!does_cover("a.example.", "x.y.w.example.", &[], "y.w.example."));
    assert!(does_cover("a.example.", "x.y.w.example.", &[], "b.example."));
    assert!(does_cover("a.example.", "x.y.w.example.", &[], "a.w.example."));
}

#[test]
fn what_is_below_a_delegation_or_a_dname_is_not_denied_from_above() {
    use RecordType::{A, DNAME, DS, NS, SOA};
    for (types, denies_below) in
        [(&[A][..], true), (&[NS], false), (&[NS, DS], false), (&[NS, SOA], true), (&[A, DNAME], false)]
    {
        assert_eq!(does_cover("d.example.", "f.example.", types, "x.d.example."), denies_below, "{types:?}");
        assert!(does_cover("d.example.", "f.example.", types, "e.example."), "{types:?}");
    }
}

/// A signature for `of`, which was signed with so many labels.
pub(in crate::dns) fn signature(of: &Record, labels: u8, zone: &str) -> Record {
    let input = SigInput {
        type_covered: of.record_type(),
        algorithm: Algorithm::ECDSAP256SHA256,
        num_labels: labels,
        original_ttl: 60,
        sig_expiration: SerialNumber::new(0),
        sig_inception: SerialNumber::new(0),
        key_tag: 0,
        signer_name: name(zone),
    };
    let mut signature = of.clone();
    signature.data = RData::DNSSEC(DNSSECRData::RRSIG(RRSIG::from_sig(input, Vec::new())));
    signature
}

fn record(owner: &str, data: RData) -> Record {
    let mut record = Record::from_rdata(name(owner), 60, data);
    record.proof = Proof::Secure;
    record
}

/// An answer from `*.w.example` for `a.w.example`, with a denial of the latter.
struct Case {
    message: Message,
    denials: Denials,
    asked: &'static str,
}

impl Case {
    fn new(denial: RData, owner: &str) -> Self {
        let answer = record("a.w.example.", RData::A(A::new(192, 0, 2, 1)));
        let denial = record(owner, denial);
        let mut message = Message::response(0, OpCode::Query);
        message.add_query(Query::query(name("a.w.example."), RecordType::A));
        message.add_answers([signature(&answer, 2, ZONE), answer]);
        message.add_authorities([signature(&denial, denial.name.num_labels(), ZONE), denial]);
        Self { message, denials: Denials::Hold, asked: "a.w.example." }
    }

    fn nsec() -> Self {
        Self::new(RData::DNSSEC(DNSSECRData::NSEC(nsec("b.w.example.", &[]))), "*.w.example.")
    }

    fn nsec3(opt_out: bool) -> Self {
        let nsec3 = NSEC3::new(Nsec3HashAlgorithm::SHA1, opt_out, 0, Vec::new(), vec![0; 20], []);
        Self::new(RData::DNSSEC(DNSSECRData::NSEC3(nsec3)), "1smk3koa8u26ds3jfthffg6f7ginoul7.example.")
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn prove(&self) -> Option<bool> {
        let [_, record] = &self.message.answers[..2] else { panic!("there is an answer") };
        prove(record, &name(self.asked), &self.message, self.denials).ok()
    }
}

/// Signs the denial anew.
fn sign_denial(case: &mut Case, labels: u8, zone: &str) {
    case.message.authorities[0] = signature(&case.message.authorities[1], labels, zone);
}

#[test]
fn a_denial_by_nsec_is_one_by_the_same_zone() {
    let with = |change: fn(&mut Case)| Case::nsec().with(change).prove();
    assert_eq!(with(|_| {}), Some(true));
    // whatever hickory makes of it
    assert_eq!(with(|case| case.denials = Denials::Disputed), Some(true));
    // behind a CNAME as well
    assert_eq!(with(|case| case.asked = "alias.example."), Some(true));
    assert_eq!(with(|case| case.message.authorities.clear()), None);
    assert_eq!(with(|case| case.message.authorities[0].proof = Proof::Bogus), None);
    assert_eq!(with(|case| case.message.authorities[1].proof = Proof::Bogus), None);
    assert_eq!(with(|case| case.message.authorities[1].proof = Proof::Insecure), None);
    assert_eq!(with(|case| sign_denial(case, 2, ".")), None);
    assert_eq!(with(|case| sign_denial(case, 2, "w.example.")), None);
    // itself from a wildcard
    assert_eq!(with(|case| sign_denial(case, 1, ZONE)), None);
    // the signature of something else
    assert_eq!(with(|case| case.message.authorities[0].name = name("b.w.example.")), None);
    let other = |case: &mut Case| case.message.authorities[0] = case.message.answers[0].clone();
    assert_eq!(with(other), None);
}

#[test]
fn a_wildcard_is_in_the_zone_that_signed_it() {
    let with = |labels: u8, zone: &str| {
        let sign = |case: &mut Case| {
            case.message.answers[0] = signature(&case.message.answers[1], labels, zone);
            let denial = nsec("b.w.example.", &[RecordType::SOA, RecordType::NS]);
            case.message.authorities[1].data = RData::DNSSEC(DNSSECRData::NSEC(denial));
            sign_denial(case, 2, zone);
        };
        Case::nsec().with(sign).prove()
    };
    assert_eq!(with(2, ZONE), Some(true));
    assert_eq!(with(2, "w.example."), Some(true));
    assert_eq!(with(2, "a.w.example."), None);
    // all the labels, and so from no wildcard
    assert_eq!(with(3, ZONE), Some(true));
}

#[test]
fn hickory_is_believed_about_nsec3_where_it_looked_at_the_right_thing() {
    let with = |change: fn(&mut Case)| Case::nsec3(false).with(change).prove();
    assert_eq!(with(|_| {}), Some(true));
    assert_eq!(with(|case| case.denials = Denials::Disputed), None);
    assert_eq!(with(|case| case.asked = "alias.example."), None);
    assert_eq!(with(|case| case.message.authorities.clear()), None);
    assert_eq!(with(|case| case.message.authorities[1].proof = Proof::Bogus), None);
    // of another zone
    assert_eq!(with(|case| case.message.authorities[1].name = name("1smk3koa.w.example.")), None);
    // another signature, with labels of its own
    let decoy = |case: &mut Case| {
        let signed = signature(&case.message.answers[1], 3, ZONE);
        case.message.add_answer(signed);
    };
    assert_eq!(with(decoy), None);
}

#[test]
fn a_name_that_may_be_delegated_without_signatures_is_not_secure() {
    assert_eq!(Case::nsec3(true).prove(), Some(false));
}
