//! The world around the transports: a spool, a DNS, a clock and chance, each as small as these tests allow.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use workers::deliver::Transport as _;

use async_trait::async_trait;
use bytes::Bytes;
use shared::job::{Delivery, DeliveryKey};
use shared::mail::{
    ContentFacts, MailOptions, Mailbox, MessageId, PackId, Recipient, ReversePath, TenantId, Timestamp,
};
use shared::port::{
    Answer, Clock, Ids, MxHost, PackInfo, Piece, PortError, PortResult, ResolveError, Resolved, Resolver,
    Spool, SpoolWriter, Tlsa,
};
use tokio::sync::mpsc;
use workers::deliver::{
    ClientLimits, Outcome, Route, Rule, TransportPorts, TransportSettings, Transports, Tried,
};

pub struct World {
    pub spool: Arc<FakeSpool>,
    pub dns: FakeDns,
    pub settings: TransportSettings,
}

impl World {
    /// A world in which every address may be connected to, and nothing is waited for longer than a test lasts.
    pub fn new(port: u16) -> Self {
        let long = Duration::from_secs(20);
        let limits = ClientLimits {
            connect: long,
            handshake: long,
            greeting: long,
            command: long,
            mail: long,
            recipient: long,
            data: long,
            block: long,
            end: long,
            quit: Duration::from_millis(300),
            ..ClientLimits::default()
        };
        let settings = TransportSettings {
            hostname: "edge.example".to_owned(),
            port,
            allow_private_addresses: true,
            inbox: None,
            limits,
        };
        Self { spool: Arc::default(), dns: FakeDns::default(), settings }
    }

    /// Makes the reply to one step be waited for no longer than a moment.
    pub fn hurry(&mut self, step: &str) {
        let limits = &mut self.settings.limits;
        let limit = match step {
            "GREETING" => &mut limits.greeting,
            "EHLO" => &mut limits.command,
            "MAIL" => &mut limits.mail,
            "RCPT" => &mut limits.recipient,
            "DATA" => &mut limits.data,
            "END" => &mut limits.end,
            _ => unreachable!("no step that is waited for"),
        };
        *limit = Duration::from_millis(400);
    }

    pub fn with_inbox(mut self, folder: &Path) -> Self {
        self.settings.inbox = Some(folder.to_owned());
        self
    }

    pub fn transports(&self) -> Transports {
        let ports = TransportPorts {
            spool: self.spool.clone(),
            resolver: Arc::new(self.dns.clone()),
            clock: Arc::new(SystemClock),
            ids: Arc::new(Counting(AtomicU64::new(7))),
        };
        Transports::new(self.settings.clone(), ports)
    }

    /// Every delivery as it came back, in the order of coming back. Whatever a server does, that takes less than half a minute.
    pub async fn attempt(&self, route: &Route, deliveries: Vec<Delivery>) -> Vec<Tried> {
        let expected = deliveries.len();
        let (tried, mut back) = mpsc::channel(64);
        let transports = self.transports();
        let attempt = transports.attempt(rule(route), deliveries, &tried);
        tokio::time::timeout(Duration::from_secs(30), attempt).await.expect("an attempt must not get stuck");
        drop(tried);
        let mut all = Vec::new();
        while let Some(tried) = back.recv().await {
            assert_eq!(tried.outcomes.len(), tried.delivery.recipients.len());
            all.push(tried);
        }
        assert_eq!(all.len(), expected, "each delivery comes back exactly once");
        all
    }

    /// The delivery of a message that is in the spool from now on.
    pub fn message(&self, content: &str, recipients: &[&str]) -> Delivery {
        let pack = self.spool.add(content);
        let address = |text: &&str| Recipient::from(Mailbox::parse(text).unwrap());
        let recipients: Vec<Recipient> = recipients.iter().map(address).collect();
        Delivery {
            key: DeliveryKey {
                message: MessageId { pack, n: 0 },
                domain: recipients[0].address.domain().clone(),
                part: 0,
            },
            offset: 5,
            length: content.len() as u64,
            prefix: "Received: from here\r\n".to_owned(),
            from: ReversePath::Mailbox(Mailbox::parse("sender@edge.example").unwrap()),
            recipients,
            options: MailOptions::default(),
            content: ContentFacts::default(),
            tenant: TenantId::default(),
            subject: String::new(),
            signed: Vec::new(),
            attempt: 3,
            accepted_at: Timestamp::from_millis(0),
            expires_at: Timestamp::from_millis(1),
        }
    }
}

/// The rule of an edge with this one route.
pub fn rule(route: &Route) -> Rule<'_> {
    Rule { pattern: "*", route }
}

pub fn smart_host(port: u16) -> Route {
    Route::SmartHost { host: "127.0.0.1".to_owned(), port }
}

/// Outcome and reply of each recipient of each delivery.
pub fn outcomes(tried: &[Tried]) -> Vec<Vec<(Outcome, String)>> {
    let of = |tried: &Tried| {
        tried.outcomes.iter().map(|recipient| (recipient.outcome, recipient.reply.to_string())).collect()
    };
    tried.iter().map(of).collect()
}

/// The one outcome of the one recipient of the one delivery, and its reply.
pub fn outcome(tried: &[Tried]) -> (Outcome, String) {
    assert_eq!(tried.len(), 1);
    outcomes(tried).remove(0).remove(0)
}

#[derive(Default)]
pub struct FakeSpool {
    packs: Mutex<HashMap<PackId, Bytes>>,
    /// From this offset on, reading fails.
    pub broken_from: Mutex<Option<u64>>,
}

impl FakeSpool {
    fn add(&self, content: &str) -> PackId {
        let mut packs = self.packs.lock().unwrap();
        let id = PackId::derived(Timestamp::from_millis(1), &packs.len().to_string());
        packs.insert(id, Bytes::from(format!("HEAD:{content}")));
        id
    }

    /// Takes octets off the end of every pack.
    pub fn truncate(&self, octets: usize) {
        for pack in self.packs.lock().unwrap().values_mut() {
            pack.truncate(pack.len() - octets);
        }
    }
}

#[async_trait]
impl Spool for FakeSpool {
    async fn get(&self, id: PackId, range: Range<u64>) -> PortResult<Option<Piece>> {
        if self.broken_from.lock().unwrap().is_some_and(|from| range.start >= from) {
            return Err(PortError::refused("the read of a pack", "the disk is gone"));
        }
        let Some(pack) = self.packs.lock().unwrap().get(&id).cloned() else { return Ok(None) };
        let at = |offset: u64| usize::try_from(offset).unwrap().min(pack.len());
        let bytes = pack.slice(at(range.start)..at(range.end));
        Ok(Some(Piece { bytes, pack_length: pack.len() as u64 }))
    }

    async fn put(&self, _: PackId, _: Vec<Bytes>) -> PortResult<()> {
        unreachable!("a transport only reads")
    }
    async fn begin(&self, _: PackId) -> PortResult<Box<dyn SpoolWriter>> {
        unreachable!("a transport only reads")
    }
    async fn delete(&self, _: PackId) -> PortResult<()> {
        unreachable!("a transport only reads")
    }
    async fn list(&self, _: Option<PackId>, _: usize) -> PortResult<Vec<PackInfo>> {
        unreachable!("a transport only reads")
    }
    async fn set_aside(&self, _: PackId) -> PortResult<()> {
        unreachable!("a transport only reads")
    }
    async fn probe(&self) -> PortResult<()> {
        unreachable!("a transport only reads")
    }
}

/// Names that are not in it do not exist.
#[derive(Default, Clone)]
pub struct FakeDns {
    mx: HashMap<String, Vec<MxHost>>,
    hosts: HashMap<String, Vec<IpAddr>>,
    broken: Vec<String>,
}

impl FakeDns {
    pub fn mx(mut self, name: &str, hosts: &[(u16, &str)]) -> Self {
        let host = |(preference, exchange): &(u16, &str)| MxHost {
            preference: *preference,
            exchange: (*exchange).to_owned(),
        };
        self.mx.insert(name.to_owned(), hosts.iter().map(host).collect());
        self
    }

    pub fn host(mut self, name: &str, addresses: &[&str]) -> Self {
        self.hosts.insert(name.to_owned(), addresses.iter().map(|ip| ip.parse().unwrap()).collect());
        self
    }

    pub fn broken(mut self, name: &str) -> Self {
        self.broken.push(name.to_owned());
        self
    }

    fn answer<T>(&self, name: &str, records: Vec<T>) -> Resolved<T> {
        if self.broken.iter().any(|broken| broken == name) {
            return Err(ResolveError::Temporary("SERVFAIL".to_owned()));
        }
        if !self.mx.contains_key(name) && !self.hosts.contains_key(name) {
            return Err(ResolveError::NoSuchName { secure: false });
        }
        Ok(Answer { records, secure: false, ttl: Duration::ZERO })
    }

    fn addresses(&self, name: &str) -> Vec<IpAddr> {
        self.hosts.get(name).cloned().unwrap_or_default()
    }
}

#[async_trait]
impl Resolver for FakeDns {
    async fn mx(&self, name: &str) -> Resolved<MxHost> {
        self.answer(name, self.mx.get(name).cloned().unwrap_or_default())
    }
    async fn a(&self, name: &str) -> Resolved<Ipv4Addr> {
        let v4 = |ip| if let IpAddr::V4(ip) = ip { Some(ip) } else { None };
        self.answer(name, self.addresses(name).into_iter().filter_map(v4).collect())
    }
    async fn aaaa(&self, name: &str) -> Resolved<Ipv6Addr> {
        let v6 = |ip| if let IpAddr::V6(ip) = ip { Some(ip) } else { None };
        self.answer(name, self.addresses(name).into_iter().filter_map(v6).collect())
    }
    async fn txt(&self, _: &str) -> Resolved<Vec<u8>> {
        unreachable!("no transport asks for it")
    }
    async fn tlsa(&self, _: &str) -> Resolved<Tlsa> {
        unreachable!("no transport asks for it")
    }
    async fn ptr(&self, _: IpAddr) -> Resolved<String> {
        unreachable!("no transport asks for it")
    }
}

struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Timestamp {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Timestamp::from_millis(i64::try_from(now.as_millis()).unwrap())
    }
    async fn sleep(&self, _: Duration) {
        unreachable!("no transport sleeps")
    }
}

struct Counting(AtomicU64);

impl Ids for Counting {
    fn pack(&self, now: Timestamp) -> PackId {
        PackId::derived(now, &self.random().to_string())
    }
    fn random(&self) -> u64 {
        self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
    }
}
