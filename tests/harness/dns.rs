use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, MX};
use hickory_proto::rr::{Name, RData, Record};

/// All that a name server knows. A name that is not in it does not exist.
#[derive(Debug, Clone, Default)]
pub struct Zone {
    records: HashMap<Name, Vec<RData>>,
    broken: Vec<Name>,
}

impl Zone {
    /// Mail for `domain` goes to `host`; `.` is a null MX.
    #[must_use]
    pub fn mx(mut self, domain: &str, preference: u16, host: &str) -> Self {
        self.records.entry(name(domain)).or_default().push(RData::MX(MX::new(preference, name(host))));
        self
    }

    /// `host` has this address.
    #[must_use]
    pub fn address(mut self, host: &str, ip: impl Into<IpAddr>) -> Self {
        let data = match ip.into() {
            IpAddr::V4(ip) => RData::A(A(ip)),
            IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
        };
        self.records.entry(name(host)).or_default().push(data);
        self
    }

    /// Every question for `domain` is answered with SERVFAIL.
    #[must_use]
    pub fn broken(mut self, domain: &str) -> Self {
        self.broken.push(name(domain));
        self
    }

    fn answer(&self, question: &Message) -> Option<Message> {
        let query = question.queries.first()?.clone();
        let mut answer = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
        let known = self.records.get(query.name());
        if self.broken.contains(query.name()) {
            answer.metadata.response_code = ResponseCode::ServFail;
        } else if known.is_none() {
            answer.metadata.response_code = ResponseCode::NXDomain;
        }
        for data in known.into_iter().flatten().filter(|data| data.record_type() == query.query_type()) {
            answer.add_answer(Record::from_rdata(query.name().clone(), 60, data.clone()));
        }
        answer.add_query(query);
        Some(answer)
    }
}

fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).expect("a test writes good names");
    name.set_fqdn(true);
    name
}

/// A name server on its own loopback address; it goes when it is dropped.
pub struct Dns {
    address: SocketAddr,
    closed: Arc<AtomicBool>,
}

impl Dns {
    /// Starts a server that knows `zone`.
    pub fn serve(zone: Zone) -> Self {
        let socket = UdpSocket::bind((super::loopback(), 0)).expect("a loopback address can be bound");
        let address = socket.local_addr().expect("a bound socket has an address");
        let closed = Arc::new(AtomicBool::new(false));
        let ended = closed.clone();
        std::thread::spawn(move || {
            let mut datagram = [0; 1500];
            while let Ok((length, client)) = socket.recv_from(&mut datagram) {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let answer =
                    Message::from_vec(&datagram[..length]).ok().and_then(|asked| zone.answer(&asked));
                if let Some(octets) = answer.and_then(|answer| answer.to_vec().ok()) {
                    // a client that has gone away asks no more
                    let _ = socket.send_to(&octets, client);
                }
            }
        });
        Self { address, closed }
    }

    /// Where it answers.
    pub fn server(&self) -> SocketAddr {
        self.address
    }

    /// The section that makes an edge ask this server.
    pub fn section(&self) -> String {
        format!("[dns]\nservers = [\"{}\"]", self.address)
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        if let Ok(socket) = UdpSocket::bind((self.address.ip(), 0)) {
            let _ = socket.send_to(&[], self.address);
        }
    }
}
