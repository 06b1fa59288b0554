//! The DNS adapter against a server of our own: records, no records, no name, and no answer are four different things.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, CNAME, MX, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use shared::dns::{Dns, DnsSettings};
use shared::port::{MxHost, ResolveError, Resolver};
use tokio::net::UdpSocket;

/// Answers every question by its first label.
async fn server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut datagram = [0; 1500];
        loop {
            let (length, client) = socket.recv_from(&mut datagram).await.unwrap();
            let question = Message::from_vec(&datagram[..length]).unwrap();
            if let Some(answer) = answer(&question) {
                socket.send_to(&answer.to_vec().unwrap(), client).await.unwrap();
            }
        }
    });
    address
}

fn answer(question: &Message) -> Option<Message> {
    let query = question.queries[0].clone();
    let (name, kind) = (query.name().clone(), query.query_type());
    let mut answer = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
    answer.add_query(query);
    let mut add = |name: &Name, data| {
        answer.add_answer(Record::from_rdata(name.clone(), 300, data));
    };
    let host = || Name::from_ascii("Host.Example.").unwrap();
    match (name.to_ascii().split('.').next().unwrap(), kind) {
        ("mail", RecordType::MX) => {
            add(&name, RData::MX(MX::new(10, host())));
            add(&name, RData::MX(MX::new(20, host())));
        }
        ("null", RecordType::MX) => add(&name, RData::MX(MX::new(0, Name::root()))),
        ("alias", RecordType::A) => {
            add(&name, RData::CNAME(CNAME(host())));
            add(&host(), RData::A(A::new(192, 0, 2, 1)));
        }
        ("text", RecordType::TXT) => {
            add(&name, RData::TXT(TXT::new(vec!["one ".to_owned(), "two".to_owned()])));
        }
        ("missing", _) => answer.metadata.response_code = ResponseCode::NXDomain,
        ("broken", _) => answer.metadata.response_code = ResponseCode::ServFail,
        ("refused", _) => answer.metadata.response_code = ResponseCode::Refused,
        ("silent", _) => return None,
        _ => {}
    }
    Some(answer)
}

async fn dns() -> Dns {
    let settings = DnsSettings {
        servers: vec![server().await],
        timeout: Duration::from_millis(200),
        retries: 0,
        ..DnsSettings::default()
    };
    Dns::new(&settings).unwrap()
}

#[tokio::test]
async fn records_come_in_lower_case_without_a_trailing_dot() {
    let dns = dns().await;
    let mut hosts = dns.mx("mail.example").await.unwrap().records;
    hosts.sort_by_key(|host| host.preference);
    let host = |preference| MxHost { preference, exchange: "host.example".to_owned() };
    assert_eq!(hosts, [host(10), host(20)]);
    assert_eq!(dns.txt("text.example").await.unwrap().records, [b"one two"]);
}

#[tokio::test]
async fn a_null_mx_has_the_empty_exchange() {
    let hosts = dns().await.mx("null.example").await.unwrap().records;
    assert_eq!(hosts, [MxHost { preference: 0, exchange: String::new() }]);
}

#[tokio::test]
async fn an_alias_is_followed() {
    let answer = dns().await.a("alias.example").await.unwrap();
    assert_eq!(answer.records, [std::net::Ipv4Addr::new(192, 0, 2, 1)]);
    assert!(!answer.secure && answer.ttl <= Duration::from_secs(300));
}

#[tokio::test]
async fn a_name_without_records_is_not_a_missing_name() {
    let dns = dns().await;
    assert_eq!(dns.mx("bare.example").await.unwrap().records, []);
    assert_eq!(dns.mx("missing.example").await, Err(ResolveError::NoSuchName { secure: false }));
}

#[tokio::test]
async fn no_answer_is_worth_another_try() {
    let dns = dns().await;
    for name in ["broken.example", "refused.example", "silent.example"] {
        let answer = dns.a(name).await;
        assert!(matches!(answer, Err(ResolveError::Temporary(_))), "{name}: {answer:?}");
    }
}
