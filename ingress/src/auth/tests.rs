//! The mechanisms as a session meets them: base64 taken off, the directory a real one.

mod bindings;
mod failures;
mod https;
mod issuers;
mod mechanisms;
mod memory;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use shared::directory::{CredentialEntry, DecoyKey, ScramVerifier, Secret};
use shared::mail::TenantId;
use shared::port::{Directory, Entry, EntryKind};
use shared::testkit::{Faults, Faulty, ManualClock, SeededIds, TempStores, ZoneResolver};

use super::fetch::FetchError;
use super::*;
use crate::Limits;

const SECRET: &str = "0123456789abcdefghjkmnpqrstvwxyz";
const CLIENT: &str = "192.0.2.1";

/// An authenticator on stores in a folder, with one credential, `app`.
struct World {
    clock: Arc<ManualClock>,
    stores: TempStores,
    faults: Arc<Faults>,
    issuer: Arc<FakeIssuer>,
    auth: Arc<Authenticator>,
    /// Another container of the same edge.
    other: Arc<Authenticator>,
    lookups_before: u64,
}

impl World {
    async fn new() -> Self {
        let issuer = Issuer {
            issuer: "https://id.example".to_owned(),
            audience: "spoolway".to_owned(),
            keys: "https://id.example/keys".parse().unwrap(),
            name_claim: None,
        };
        Self::with(AuthSettings { cram_md5: true, issuers: vec![issuer], ..AuthSettings::default() }).await
    }

    async fn with(auth: AuthSettings) -> Self {
        let clock = Arc::new(ManualClock::default());
        let stores = TempStores::open(Arc::clone(&clock) as Arc<dyn Clock>).await;
        let faults = Faults::new(0);
        let ports = Ports {
            spool: Arc::clone(&stores.stores.spool),
            inbound: Arc::clone(&stores.stores.inbound),
            directory: Faulty::<dyn Directory>::new(Arc::clone(&stores.stores.directory), &faults),
            counters: Arc::clone(&stores.stores.counters),
            resolver: Arc::new(ZoneResolver::parse("").unwrap()),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            ids: Arc::new(SeededIds::new(1)),
        };
        let others = Ports { ids: Arc::new(SeededIds::new(2)), ..ports.clone() };
        let settings = Settings { hostname: "edge.example".to_owned(), auth, ..Settings::default() };
        let issuer = Arc::new(FakeIssuer::default());
        let start = |ports: &Ports| {
            let fetch = Arc::clone(&issuer) as Arc<dyn Fetch>;
            Arc::new(Authenticator::with_fetch(&settings, ports, &fetch))
        };
        let (auth, other) = (start(&ports), start(&others));
        stores.stores.directory.put(DecoyKey::generate(&*ports.ids).into()).await.unwrap();
        assert!(auth.decoys.key().await.unwrap().is_some());
        let lookups_before = faults.calls("get");
        let world = Self { clock, stores, faults, issuer, auth, other, lookups_before };
        world.put(credential("app")).await;
        world
    }

    async fn put(&self, entry: CredentialEntry) {
        self.stores.stores.directory.put(Entry::from(entry)).await.unwrap();
    }

    async fn revoke(&self, name: &str) {
        self.put(CredentialEntry { revoked: Some(self.clock.now()), ..credential(name) }).await;
    }

    fn begin(&self, mechanism: &str, channel: &Channel) -> Exchange {
        self.auth.begin(mechanism, CLIENT.parse().unwrap(), channel).unwrap()
    }

    /// Sends responses until the exchange ends: its end, and the challenges on the way.
    async fn run(&self, mechanism: &str, responses: &[&[u8]]) -> (String, Vec<String>) {
        self.run_from(CLIENT, mechanism, responses).await
    }

    async fn run_from(&self, client: &str, mechanism: &str, responses: &[&[u8]]) -> (String, Vec<String>) {
        let mut exchange = self.auth.begin(mechanism, client.parse().unwrap(), &tls()).unwrap();
        let mut challenges = Vec::new();
        for response in responses {
            match exchange.step(Some(response.to_vec())).await {
                Step::Challenge(text) => challenges.push(String::from_utf8(text).unwrap()),
                end => return (told(&end), challenges),
            }
        }
        ("334".to_owned(), challenges)
    }

    async fn plain(&self, name: &str, secret: &str) -> String {
        self.plain_from(CLIENT, name, secret).await
    }

    async fn plain_from(&self, client: &str, name: &str, secret: &str) -> String {
        let message = format!("\0{name}\0{secret}");
        self.run_from(client, "PLAIN", &[message.as_bytes()]).await.0
    }

    fn derivations(&self) -> u64 {
        self.auth.secrets.derivations.load(Ordering::Relaxed)
    }

    async fn until_lookups(&self, count: u64) {
        self.faults.until_called("get", self.lookups_before + count).await;
    }

    fn lookups(&self) -> u64 {
        self.faults.calls("get") - self.lookups_before
    }
}

/// What a client sees of an end; of a grant, the name.
fn told(step: &Step) -> String {
    match step {
        Step::Challenge(_) => "334".to_owned(),
        Step::Granted(grant) => format!("235 {}", grant.name()),
        Step::Denied(denial) => {
            let reply = denial.reply();
            format!("{} {}", reply.code(), reply.status())
        }
    }
}

fn tls() -> Channel {
    Channel { tls: true, ..Channel::default() }
}

fn credential(name: &str) -> CredentialEntry {
    CredentialEntry {
        name: name.to_owned(),
        tenant: TenantId("tenant".to_owned()),
        verifier: Some(ScramVerifier::of(SECRET, b"salt of 16 bytes", 4096).unwrap()),
        cram_md5: None,
        senders: Vec::new(),
        rate: None,
        quota: None,
        recipients: None,
        message_octets: None,
        created: shared::mail::Timestamp::from_millis(0),
        revoked: None,
    }
}

/// Answers with a text, or not at all.
#[derive(Default)]
struct FakeIssuer {
    keys: std::sync::Mutex<Option<String>>,
    asked: AtomicU32,
    /// Whether it waits for `answers` first.
    hangs: AtomicBool,
    answers: tokio::sync::Notify,
}

impl FakeIssuer {
    fn publish(&self, keys: Option<String>) {
        *self.keys.lock().unwrap() = keys;
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }
}

#[async_trait::async_trait]
impl Fetch for FakeIssuer {
    async fn fetch(&self, _: &KeySource) -> Result<bytes::Bytes, FetchError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.hangs.load(Ordering::Relaxed) {
            self.answers.notified().await;
        }
        let keys = self.keys.lock().unwrap().clone();
        keys.map(Into::into).ok_or(FetchError::Late)
    }
}
