//! The world around the transports: stores in a folder, a DNS of zone text, and what tests ask of them together.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use workers::deliver::Transport as _;

use async_trait::async_trait;
use bytes::Bytes;
use shared::embedded::{Database, FileSpool, SqliteDirectory};
use shared::job::{Delivery, DeliveryKey};
use shared::mail::{
    ContentFacts, MailOptions, Mailbox, MessageId, PackId, Recipient, ReversePath, TenantId, Timestamp,
};
use shared::port::{Clock, Directory, PortResult, Resolver, SecretText, Secrets, Spool};
use shared::system::SystemClock;
use shared::testkit::samples::pack_id;
use shared::testkit::{Faults, Faulty, SeededIds, ZoneResolver};
use tempfile::TempDir;
use tokio::sync::mpsc;
use workers::deliver::shaping::Shaper;
use workers::deliver::{
    ClientLimits, Outcome, Route, Rule, Sources, TransportPorts, TransportSettings, Transports, Tried,
    TrustAnchors,
};

pub struct World {
    _folder: TempDir,
    spool: Arc<dyn Spool>,
    /// How the spool fails.
    pub faults: Arc<Faults>,
    /// Packs that are not in the spool yet.
    packs: Mutex<Vec<(PackId, Bytes)>>,
    pub dns: Arc<ZoneResolver>,
    /// Asked in place of `dns`, where there is one.
    pub resolver: Option<Arc<dyn Resolver>>,
    pub directory: Arc<dyn Directory>,
    pub clock: Arc<dyn Clock>,
    pub settings: TransportSettings,
    /// What bounds connections and transactions beside the settings.
    pub shaper: Option<Arc<Shaper>>,
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
            // a test that wants connections kept says so
            keep: Duration::ZERO,
            ..ClientLimits::default()
        };
        let settings = TransportSettings {
            hostname: "edge.example".to_owned(),
            port,
            allow_private_addresses: true,
            inbox: None,
            trust: TrustAnchors::These(Vec::new()),
            sources: Sources::default(),
            limits,
            ..TransportSettings::default()
        };
        let folder = tempfile::tempdir().unwrap();
        let faults = Faults::new(0);
        let spool: Arc<dyn Spool> = Arc::new(FileSpool::open(folder.path(), Arc::new(SystemClock)).unwrap());
        let spool = Faulty::<dyn Spool>::new(spool, &faults);
        let database = Database::open(&folder.path().join("directory.db")).unwrap();
        Self {
            spool,
            faults,
            packs: Mutex::default(),
            dns: zone(""),
            resolver: None,
            directory: Arc::new(SqliteDirectory::new(&database).unwrap()),
            clock: Arc::new(SystemClock),
            settings,
            shaper: None,
            _folder: folder,
        }
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

    /// Puts every message made so far into the spool.
    pub async fn transports(&self) -> Transports {
        let packs = std::mem::take(&mut *self.packs.lock().unwrap());
        for (id, bytes) in packs {
            self.spool.put(id, vec![bytes]).await.unwrap();
        }
        let ports = TransportPorts {
            spool: self.spool.clone(),
            resolver: self.resolver.clone().unwrap_or_else(|| self.dns.clone()),
            directory: self.directory.clone(),
            clock: self.clock.clone(),
            ids: Arc::new(SeededIds::new(7)),
            secrets: Arc::new(Kept),
        };
        let transports = Transports::new(self.settings.clone(), ports);
        match &self.shaper {
            Some(shaper) => transports.shaped_by(shaper.clone()),
            None => transports,
        }
    }

    /// Every delivery as it came back, in the order of coming back. Whatever a server does, that takes less than half a minute.
    pub async fn attempt(&self, route: &Route, deliveries: Vec<Delivery>) -> Vec<Tried> {
        self.attempt_by(&self.transports().await, route, deliveries).await
    }

    /// The same by `transports`, which know what they learned before.
    pub async fn attempt_by(
        &self,
        transports: &Transports,
        route: &Route,
        deliveries: Vec<Delivery>,
    ) -> Vec<Tried> {
        let expected = deliveries.len();
        let (tried, mut back) = mpsc::channel(64);
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

    /// The delivery of a message that is in the spool once somebody delivers.
    pub fn message(&self, content: &str, recipients: &[&str]) -> Delivery {
        let pack = pack_id();
        self.packs.lock().unwrap().push((pack, format!("HEAD:{content}").into()));
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
            return_path: None,
            recipients,
            options: MailOptions::default(),
            content: ContentFacts::default(),
            tenant: TenantId::default(),
            subject: String::new(),
            signed: Vec::new(),
            unsigned: None,
            attempt: 3,
            accepted_at: Timestamp::from_millis(0),
            expires_at: Timestamp::from_millis(1),
            notices: Default::default(),
            route: None,
            postponed: 0,
            others: 0,
        }
    }

    /// Takes octets off the end of every pack that is not in the spool yet.
    pub fn truncate(&self, octets: usize) {
        for (_, pack) in &mut *self.packs.lock().unwrap() {
            pack.truncate(pack.len() - octets);
        }
    }
}

/// Secrets that somebody else keeps.
struct Kept;

#[async_trait]
impl Secrets for Kept {
    async fn get(&self, name: &str) -> PortResult<Option<SecretText>> {
        Ok((name == "ssm:/smart-host").then(|| SecretText::new("pencil\n")))
    }
}

/// A DNS of this text; a name that is not in it does not exist.
pub fn zone(text: &str) -> Arc<ZoneResolver> {
    Arc::new(ZoneResolver::parse(text).unwrap())
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
