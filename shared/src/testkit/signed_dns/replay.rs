//! Answers made up of record sets that are signed well and answer something else, as whoever sits between can make them up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::dnssec::rdata::{DNSSECRData, RRSIG};
use hickory_resolver::proto::op::{LowerQuery, Metadata};
use hickory_resolver::proto::rr::{DNSClass, Name, RData, Record, RecordSet, RecordType};
use hickory_server::server::{Request, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use time::OffsetDateTime;

use super::{SignedDns, name, spoilt};

/// The answers, by what they are shown for.
#[derive(Default)]
pub(super) struct Replays(Mutex<HashMap<(Name, RecordType), Arc<Replayed>>>);

/// An answer.
pub(super) struct Replayed {
    answer: Vec<Record>,
    authority: Vec<Record>,
}

impl SignedDns {
    /// Answers `question`, as `NAME TYPE`, with record sets of the zones from now on: each as `OWNER TYPE` with its signatures. Behind that
    /// may stand `of ZONE`, where the zones on both sides of a cut have one, and then `as NAME` to show it for another name, `bare` without
    /// signatures, `spoilt` with such as do not hold, `expired` with such as held in 1970.
    ///
    /// # Panics
    /// Where there is no such record set.
    pub fn replay(&self, question: &str, answer: &[&str], authority: &[&str]) {
        let section = |sets: &[&str]| sets.iter().flat_map(|set| self.shown(set)).collect();
        let replayed = Replayed { answer: section(answer), authority: section(authority) };
        let mut words = question.split_whitespace();
        let mut answers = self.replays.0.lock().expect("nobody panics with the lock");
        answers.insert(owner_and_type(&mut words), Arc::new(replayed));
    }

    /// All the record sets that deny names in a zone, as [`replay`](Self::replay) takes them.
    pub fn denials(&self, zone: &str) -> Vec<String> {
        let sets = self.sets.iter().filter(|set| {
            matches!(set.record_type(), RecordType::NSEC | RecordType::NSEC3) && is_of(set, &name(zone))
        });
        sets.map(|set| format!("{} {} of {zone}", set.name(), set.record_type())).collect()
    }

    fn shown(&self, text: &str) -> Vec<Record> {
        let mut words = text.split_whitespace();
        let (mut owner, kind) = owner_and_type(&mut words);
        let mut sets = self.sets.iter().filter(|set| *set.name() == owner && set.record_type() == kind);
        let mut rest = words.clone();
        let set = match (rest.next(), rest.next()) {
            (Some("of"), Some(zone)) => {
                words = rest;
                sets.find(|set| is_of(set, &name(zone)))
            }
            _ => sets.next(),
        };
        let set = set.unwrap_or_else(|| panic!("there is no {text}"));
        let mut signatures = set.rrsigs().to_vec();
        while let Some(word) = words.next() {
            match word {
                "as" => owner = name(words.next().expect("a name stands behind it")),
                "bare" => signatures.clear(),
                "spoilt" => signatures = signatures.iter().map(spoilt).collect(),
                "expired" => signatures.iter_mut().for_each(|signature| self.sign_in_1970(set, signature)),
                word => panic!("what is {word}?"),
            }
        }
        let mut records: Vec<Record> = set.records_without_rrsigs().cloned().chain(signatures).collect();
        records.iter_mut().for_each(|record| record.name.clone_from(&owner));
        records
    }

    fn sign_in_1970(&self, set: &RecordSet, signature: &mut Record) {
        let RData::DNSSEC(DNSSECRData::RRSIG(old)) = &signature.data else { return };
        let by = |zone: &Name| self.signers.iter().find(|signer| signer.signer_name() == zone);
        let signer = by(&old.input().signer_name).expect("each zone has a signer");
        let new = RRSIG::from_rrset(set, DNSClass::IN, OffsetDateTime::UNIX_EPOCH, signer);
        signature.data = RData::DNSSEC(DNSSECRData::RRSIG(new.expect("a record set can be signed")));
    }
}

impl Replays {
    pub(super) fn answer(&self, query: &LowerQuery) -> Option<Arc<Replayed>> {
        let answers = self.0.lock().expect("nobody panics with the lock");
        answers.get(&(Name::from(query.name().clone()), query.query_type())).cloned()
    }
}

impl Replayed {
    pub(super) async fn send<R: ResponseHandler>(&self, request: &Request, mut to: R) -> ResponseInfo {
        let mut response = MessageResponseBuilder::from_message_request(request);
        if let Some(edns) = &request.edns {
            response.edns(edns);
        }
        let head = Metadata::response_from_request(&request.metadata);
        let response = response.build(head, &self.answer, &self.authority, [], []);
        to.send_response(response).await.expect("an answer can be sent on a loopback address")
    }
}

/// Whether a zone has signed a record set.
fn is_of(set: &RecordSet, zone: &Name) -> bool {
    set.rrsigs().iter().any(|record| match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(signature)) => signature.input().signer_name == *zone,
        _ => false,
    })
}

fn owner_and_type<'a>(words: &mut impl Iterator<Item = &'a str>) -> (Name, RecordType) {
    let mut next = || words.next().expect("a name and a type");
    (name(next()), next().parse().expect("a type of record"))
}
