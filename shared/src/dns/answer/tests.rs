use hickory_resolver::proto::dnssec::rdata::{DNSSECRData, NSEC};
use hickory_resolver::proto::op::{OpCode, Query};
use hickory_resolver::proto::rr::rdata::{A, CNAME, SOA};

use super::*;
use crate::dns::wildcard::tests::signature;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn record(owner: &str, data: RData, proof: Proof) -> Record {
    let mut record = Record::from_rdata(name(owner), 60, data);
    record.proof = proof;
    record
}

fn a(owner: &str, proof: Proof) -> Record {
    record(owner, RData::A(A::new(192, 0, 2, 1)), proof)
}

fn alias(owner: &str, target: &str, proof: Proof) -> Record {
    record(owner, RData::CNAME(CNAME(name(target))), proof)
}

fn soa(owner: &str, proof: Proof) -> Record {
    record(owner, RData::SOA(SOA::new(name("ns.test."), name("p.test."), 1, 1, 1, 1, 1)), proof)
}

fn nsec(owner: &str) -> Record {
    record(owner, RData::DNSSEC(DNSSECRData::NSEC(NSEC::new(name("z.test."), []))), Proof::Secure)
}

const ASKED: &str = "mx.example.";

fn pick(data: &RData) -> Option<()> {
    matches!(data, RData::A(_)).then_some(())
}

fn message(answers: Vec<Record>, authority: Vec<Record>) -> Message {
    let mut message = Message::response(0, OpCode::Query);
    message.add_query(Query::query(name(ASKED), RecordType::A));
    let signed = |record: &Record| signature(record, record.name.num_labels(), "example.");
    message.add_answers(answers.iter().map(signed).collect::<Vec<_>>());
    message.add_answers(answers);
    message.add_authorities(authority);
    message
}

fn answered(answers: Vec<Record>, authority: Vec<Record>) -> Resolved<()> {
    found_records(&name(ASKED), &message(answers, authority), Some(Denials::Hold), pick)
}

fn denied(code: ResponseCode, authority: Vec<Record>) -> Resolved<()> {
    let mut none = NoRecords::new(Query::query(name(ASKED), RecordType::A), code);
    none.authorities = Some(authority.into());
    read(&name(ASKED), Err(NetError::Dns(DnsError::NoRecordsFound(none))), true, pick)
}

fn is_bogus(answer: &Resolved<()>) -> bool {
    matches!(answer, Err(ResolveError::Bogus(_)))
}

#[test]
fn records_of_other_names_count_for_nothing_however_well_they_are_signed() {
    let mixed = answered(vec![a(ASKED, Proof::Secure), a("mx.evil.", Proof::Secure)], vec![]).unwrap();
    assert_eq!((mixed.records.len(), mixed.secure), (1, true));
    assert!(is_bogus(&answered(vec![a("mx.evil.", Proof::Secure)], vec![])));
    let led_away = vec![alias("other.example.", "mx.evil.", Proof::Secure), a("mx.evil.", Proof::Secure)];
    assert!(is_bogus(&answered(led_away, vec![])));
}

#[test]
fn a_chain_is_as_secure_as_its_weakest_link() {
    for (link, end, secure) in [
        (Proof::Secure, Proof::Secure, true),
        (Proof::Insecure, Proof::Secure, false),
        (Proof::Secure, Proof::Insecure, false),
        (Proof::Secure, Proof::Indeterminate, false),
    ] {
        let answer = answered(vec![alias(ASKED, "real.test.", link), a("real.test.", end)], vec![]).unwrap();
        assert_eq!((answer.name.as_str(), answer.secure), ("real.test", secure));
    }
    assert!(is_bogus(&answered(
        vec![alias(ASKED, "real.test.", Proof::Bogus), a("real.test.", Proof::Secure)],
        vec![]
    )));
    let round = answered(vec![alias(ASKED, ASKED, Proof::Secure)], vec![]);
    assert!(matches!(round, Err(ResolveError::Temporary(_))), "{round:?}");
}

#[test]
fn a_record_whose_signature_is_not_at_hand_may_be_of_a_wildcard() {
    let mut message = message(vec![a(ASKED, Proof::Secure)], vec![]);
    let read = |message: &Message| found_records(&name(ASKED), message, Some(Denials::Hold), pick);
    assert!(read(&message).unwrap().secure);
    message.answers.retain(|record| record.record_type() != RecordType::RRSIG);
    assert!(is_bogus(&read(&message)));
}

#[test]
fn what_is_denied_is_denied_by_its_own_zone() {
    let no_such_name = |secure| Err(ResolveError::NoSuchName { secure });
    assert_eq!(denied(ResponseCode::NXDomain, vec![nsec("a.example.")]), no_such_name(true));
    assert_eq!(denied(ResponseCode::NXDomain, vec![soa("example.", Proof::Insecure)]), no_such_name(false));
    for authority in
        [vec![], vec![soa("evil.", Proof::Insecure)], vec![soa("example.", Proof::Indeterminate)]]
    {
        for code in [ResponseCode::NXDomain, ResponseCode::NoError] {
            assert!(is_bogus(&denied(code, authority.clone())), "{authority:?}");
        }
    }
}

#[test]
fn a_proof_that_leaves_room_for_unsigned_names_makes_nothing_secure() {
    let of = |answers| found_without_proof(&name(ASKED), &message(answers, vec![]), pick);
    let none = of(vec![]).unwrap();
    assert_eq!((none.records.len(), none.secure), (0, false));
    assert!(!of(vec![a(ASKED, Proof::Secure)]).unwrap().secure);
    assert!(is_bogus(&of(vec![a(ASKED, Proof::Bogus)])));
}
