//! The prepare stage from outside: a pack and its job in, jobs of deliveries out.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use shared::directory::{DomainEntry, Selector};
use shared::job::{DeliverJob, Delivery, DeliveryKey, JOB_OCTETS_MAX, Job, PrepareJob};
use shared::mail::{
    Client, ContentFacts, Domain, Envelope, MailOptions, Mailbox, MessageId, PackId, ReversePath, TenantId,
    Timestamp,
};
use shared::pack::{NewMessage, StreamedPack, encode};
use shared::port::*;
use workers::dkim::{Verification, generate, verify};
use workers::prepare::{Prepare, PreparePorts, PrepareSettings};
use workers::{Stage, Verdict};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Every port, as little of each as the stage uses.
#[derive(Default)]
struct World {
    packs: Mutex<HashMap<PackId, Vec<u8>>>,
    set_aside: Mutex<Vec<PackId>>,
    largest_read: AtomicUsize,
    sent: Mutex<Vec<Outgoing>>,
    /// Entries that the queue still takes.
    room: Mutex<Option<usize>>,
    /// Holder and whether it is finished.
    claims: Mutex<HashMap<String, (Option<String>, bool)>>,
    entries: Mutex<HashMap<String, Entry>>,
    keys: Mutex<HashMap<(Domain, String), SigningKey>>,
    key_reads: AtomicUsize,
}

struct Writer(Arc<World>, PackId, Vec<u8>);

#[async_trait]
impl SpoolWriter for Writer {
    async fn write(&mut self, bytes: Bytes) -> PortResult<()> {
        self.2.extend_from_slice(&bytes);
        Ok(())
    }
    async fn finish(self: Box<Self>) -> PortResult<()> {
        self.0.packs.lock().unwrap().insert(self.1, self.2);
        Ok(())
    }
    async fn abort(self: Box<Self>) -> PortResult<()> {
        Ok(())
    }
}

struct Handle(Arc<World>);

#[async_trait]
impl Spool for Handle {
    async fn put(&self, id: PackId, parts: Vec<Bytes>) -> PortResult<()> {
        self.0.packs.lock().unwrap().insert(id, parts.concat());
        Ok(())
    }
    async fn begin(&self, id: PackId) -> PortResult<Box<dyn SpoolWriter>> {
        Ok(Box::new(Writer(self.0.clone(), id, Vec::new())))
    }
    async fn get(&self, id: PackId, range: Range<u64>) -> PortResult<Option<Piece>> {
        let packs = self.0.packs.lock().unwrap();
        Ok(packs.get(&id).map(|pack| {
            let clip = |at: u64| usize::try_from(at).unwrap().min(pack.len());
            let bytes = Bytes::copy_from_slice(&pack[clip(range.start)..clip(range.end)]);
            self.0.largest_read.fetch_max(bytes.len(), Ordering::Relaxed);
            Piece { bytes, pack_length: pack.len() as u64 }
        }))
    }
    async fn delete(&self, _: PackId) -> PortResult<()> {
        unreachable!()
    }
    async fn list(&self, _: Option<PackId>, _: usize) -> PortResult<Vec<PackInfo>> {
        unreachable!()
    }
    async fn set_aside(&self, id: PackId) -> PortResult<()> {
        self.0.packs.lock().unwrap().remove(&id);
        self.0.set_aside.lock().unwrap().push(id);
        Ok(())
    }
    async fn probe(&self) -> PortResult<()> {
        unreachable!()
    }
}

#[async_trait]
impl Queue for Handle {
    async fn send(&self, batch: Vec<Outgoing>) -> PortResult<Vec<Result<(), PortError>>> {
        assert!((1..=BATCH_MAX).contains(&batch.len()));
        let mut room = self.0.room.lock().unwrap();
        let mut take = |entry| {
            if room.as_mut().is_some_and(|room| std::mem::replace(room, room.saturating_sub(1)) == 0) {
                return Err(PortError::unknown("the send", "the queue is full"));
            }
            self.0.sent.lock().unwrap().push(entry);
            Ok(())
        };
        Ok(batch.into_iter().map(&mut take).collect())
    }
    async fn receive(&self, _: usize, _: Duration) -> PortResult<Vec<Received>> {
        unreachable!()
    }
    async fn ack(&self, _: &Receipt) -> PortResult<()> {
        unreachable!()
    }
    async fn release(&self, _: &Receipt, _: Duration) -> PortResult<()> {
        unreachable!()
    }
    async fn depth(&self) -> PortResult<Depth> {
        unreachable!()
    }
    async fn probe(&self) -> PortResult<()> {
        unreachable!()
    }
}

#[async_trait]
impl Deliveries for Handle {
    async fn claim(&self, job: &str, holder: &str, now: Timestamp, lease: Duration) -> PortResult<Claim> {
        let mut claims = self.0.claims.lock().unwrap();
        let again = match claims.get(job) {
            Some((_, true)) => return Ok(Claim::Finished),
            Some((Some(other), false)) if other != holder => return Ok(Claim::Held { until: now + lease }),
            known => known.is_some(),
        };
        claims.insert(job.to_owned(), (Some(holder.to_owned()), false));
        Ok(Claim::Taken { again })
    }
    async fn finish(&self, job: &str, holder: &str, _: Timestamp) -> PortResult<()> {
        self.0.claims.lock().unwrap().insert(job.to_owned(), (Some(holder.to_owned()), true));
        Ok(())
    }
    async fn abandon(&self, job: &str, _: &str) -> PortResult<()> {
        self.0.claims.lock().unwrap().insert(job.to_owned(), (None, false));
        Ok(())
    }
    async fn record(&self, _: Vec<Record>) -> PortResult<Vec<PortResult<()>>> {
        unreachable!()
    }
    async fn settled(&self, _: &[DeliveryKey]) -> PortResult<Vec<Option<DeliveryState>>> {
        unreachable!()
    }
    async fn due(&self, _: u8, _: Timestamp, _: Duration, _: usize) -> PortResult<Vec<Delivery>> {
        unreachable!()
    }
    async fn pending(&self, _: u8, _: Option<PendingCursor>, _: usize) -> PortResult<Vec<DeliveryState>> {
        unreachable!()
    }
    async fn message(&self, _: MessageId) -> PortResult<Vec<DeliveryState>> {
        unreachable!()
    }
    async fn forget(&self, _: Timestamp, _: usize) -> PortResult<usize> {
        unreachable!()
    }
}

#[async_trait]
impl Directory for Handle {
    async fn get(&self, kind: EntryKind, name: &str) -> PortResult<Option<Entry>> {
        assert_eq!(kind, EntryKind::Domain);
        Ok(self.0.entries.lock().unwrap().get(name).cloned())
    }
    async fn put(&self, entry: Entry) -> PortResult<()> {
        self.0.entries.lock().unwrap().insert(entry.name.clone(), entry);
        Ok(())
    }
    async fn list(&self, _: EntryKind, _: Option<&str>, _: usize) -> PortResult<Vec<Entry>> {
        unreachable!()
    }
    async fn delete(&self, _: EntryKind, _: &str) -> PortResult<bool> {
        unreachable!()
    }
}

#[async_trait]
impl Keys for Handle {
    async fn get(&self, domain: &Domain, selector: &str) -> PortResult<Option<SigningKey>> {
        self.0.key_reads.fetch_add(1, Ordering::Relaxed);
        Ok(self.0.keys.lock().unwrap().get(&(domain.clone(), selector.to_owned())).cloned())
    }
    async fn put(&self, domain: &Domain, selector: &str, key: &SigningKey) -> PortResult<bool> {
        let mut keys = self.0.keys.lock().unwrap();
        Ok(keys.insert((domain.clone(), selector.to_owned()), key.clone()).is_none())
    }
    async fn delete(&self, _: &Domain, _: &str) -> PortResult<bool> {
        unreachable!()
    }
}

#[async_trait]
impl Clock for Handle {
    fn now(&self) -> Timestamp {
        NOW
    }
    async fn sleep(&self, _: Duration) {
        unreachable!()
    }
}

struct Edge {
    world: Arc<World>,
    stage: Prepare,
}

impl Edge {
    fn new() -> Self {
        let world = Arc::new(World::default());
        let handle = Arc::new(Handle(world.clone()));
        let ports = PreparePorts {
            spool: handle.clone(),
            outbound: handle.clone(),
            deliveries: handle.clone(),
            directory: handle.clone(),
            keys: handle.clone(),
            clock: handle,
        };
        let settings = PrepareSettings { hostname: "mx.example".to_owned(), ..PrepareSettings::default() };
        Self { world, stage: Prepare::new(settings, ports) }
    }

    fn handle(&self) -> Handle {
        Handle(self.world.clone())
    }

    async fn put(&self, seed: &str, messages: Vec<(NewMessage, &[u8])>) -> PackId {
        let id = PackId::derived(NOW, seed);
        let messages = messages
            .into_iter()
            .map(|(message, bytes)| (message, ContentFacts::default(), Bytes::copy_from_slice(bytes)));
        Spool::put(&self.handle(), id, encode(id, NOW, messages.collect())).await.unwrap();
        id
    }

    async fn run(&self, pack: PackId) -> Verdict {
        self.stage.run(&PrepareJob { pack }.encode()).await
    }

    fn jobs(&self) -> Vec<DeliverJob> {
        let sent = std::mem::take(&mut *self.world.sent.lock().unwrap());
        sent.iter()
            .map(|entry| {
                assert!(entry.body.len() <= JOB_OCTETS_MAX, "{}", entry.body.len());
                DeliverJob::decode(&entry.body).unwrap()
            })
            .collect()
    }

    /// Prepares one message and gives its one delivery.
    async fn one(&self, message: NewMessage, bytes: &[u8]) -> Delivery {
        let pack = self.put("one", vec![(message, bytes)]).await;
        assert_eq!(self.run(pack).await, Verdict::Done);
        let mut jobs = self.jobs();
        assert_eq!((jobs.len(), jobs[0].deliveries.len()), (1, 1));
        jobs.remove(0).deliveries.remove(0)
    }

    /// Adds a domain with both keys; gives their records.
    async fn add_domain(&self, name: &str) -> HashMap<String, String> {
        let domain: Domain = name.parse().unwrap();
        let (mut selectors, mut records) = (Vec::new(), HashMap::new());
        for (selector, algorithm) in [("r1", KeyAlgorithm::Rsa), ("e1", KeyAlgorithm::Ed25519)] {
            let (key, public) = generate(algorithm).unwrap();
            Keys::put(&self.handle(), &domain, selector, &key).await.unwrap();
            records.insert(format!("{selector}._domainkey.{name}"), public.dns_record());
            selectors.push(Selector {
                selector: selector.to_owned(),
                algorithm,
                public_key: public.base64(),
            });
        }
        Directory::put(&self.handle(), DomainEntry { domain, selectors, created: NOW }.into()).await.unwrap();
        records
    }
}

fn submission(recipients: &[&str]) -> NewMessage {
    NewMessage {
        received_at: NOW,
        envelope: Envelope {
            from: ReversePath::Mailbox("sender@bounces.example".parse().unwrap()),
            recipients: recipients.iter().map(|to| to.parse::<Mailbox>().unwrap().into()).collect(),
            options: MailOptions::default(),
        },
        client: Client {
            ip: "192.0.2.7".parse().unwrap(),
            helo: "app.example".to_owned(),
            esmtp: true,
            tls: None,
            credential: None,
            submission: true,
        },
        tenant: TenantId::default(),
    }
}

fn leaves(delivery: &Delivery, bytes: &[u8]) -> Vec<u8> {
    [delivery.prefix.as_bytes(), bytes].concat()
}

fn all_pass(records: &HashMap<String, String>, message: &[u8]) -> usize {
    let told = verify(message, |name| records.get(name).cloned());
    assert!(told.iter().all(|(_, verdict)| *verdict == Verification::Pass), "{told:?}");
    told.len()
}

#[tokio::test]
async fn a_submission_from_our_domain_leaves_complete_and_signed_twice() {
    let edge = Edge::new();
    let records = edge.add_domain("example.com").await;
    let bytes = b"From: a@Example.com\r\nSubject: =?utf-8?Q?gr=C3=BC=C3=9Fe?=\r\n\r\nhello  \r\n \r\n";
    let delivery = edge.one(submission(&["b@example.net"]), bytes).await;
    let signed = leaves(&delivery, bytes);
    assert_eq!(all_pass(&records, &signed), 2);
    let text = String::from_utf8_lossy(&signed);
    assert!(text.contains("\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n"), "{text}");
    assert!(text.contains(&format!("\r\nMessage-ID: <{}@mx.example>\r\n", delivery.key.message)), "{text}");
    assert_eq!(delivery.signed, ["e1._domainkey.example.com", "r1._domainkey.example.com"]);
    assert_eq!(delivery.subject, "gr\u{fc}\u{df}e");
    let changed = text.replace("Tue, 14 Nov", "Wed, 15 Nov");
    let told = verify(changed.as_bytes(), |name| records.get(name).cloned());
    assert!(
        told.iter().all(|(_, verdict)| *verdict == Verification::SignatureWrong),
        "the added Date is signed"
    );
}

#[tokio::test]
async fn what_a_client_wrote_is_neither_doubled_nor_completed_where_it_only_passes_through() {
    let edge = Edge::new();
    edge.add_domain("example.com").await;
    let bytes = b"Date: x\r\nMESSAGE-id: <y>\r\nFrom: a@other.net\r\n\r\n";
    let delivery = edge.one(submission(&["b@example.net"]), bytes).await;
    assert!(
        delivery.prefix.starts_with("Received: from app.example ([192.0.2.7])\r\n by mx.example with ESMTP")
    );
    assert_eq!(delivery.prefix.matches(": ").count(), 1, "{}", delivery.prefix);
    let mut relayed = submission(&["b@example.net"]);
    relayed.client.submission = false;
    let edge = Edge::new();
    edge.add_domain("example.com").await;
    let delivery = edge.one(relayed, b"From: a@example.com\r\n\r\n").await;
    assert_eq!(delivery.prefix.matches(": ").count(), 1, "{}", delivery.prefix);
}

#[tokio::test]
async fn the_envelope_is_never_derived_from_the_header() {
    let edge = Edge::new();
    edge.add_domain("example.com").await;
    let bytes = b"From: a@example.com\r\nTo: x@evil.example\r\nBcc: y@evil.example\r\nReturn-Path: <z@evil.example>\r\n\
                  Sender: s@evil.example\r\n\r\nTo: w@evil.example\r\n";
    let delivery = edge.one(submission(&["b@example.net"]), bytes).await;
    let json = serde_json::to_string(&Delivery { prefix: String::new(), ..delivery.clone() }).unwrap();
    assert!(!json.contains("evil"), "{json}");
    assert_eq!(delivery.from.as_str(), "sender@bounces.example");
    assert_eq!(delivery.key.domain.as_str(), "example.net");
    assert_eq!(delivery.expires_at, NOW + Duration::from_secs(5 * 24 * 60 * 60));
}

#[tokio::test]
async fn no_name_of_a_client_makes_a_header_line() {
    let mut message = submission(&["b@example.net"]);
    message.client.helo = "x)\r\nBcc: evil@example.org\r\n\r\n(\u{fc}".to_owned();
    let delivery = Edge::new().one(message, b"From: a@b.c\r\nDate: x\r\nMessage-ID: <y>\r\n\r\n").await;
    assert!(delivery.prefix.starts_with("Received: from x???Bcc:?evil?example.org"), "{}", delivery.prefix);
    assert!(delivery.prefix.trim_end().split("\r\n").skip(1).all(|line| line.starts_with(' ')));
    assert!(delivery.prefix.is_ascii());
}

#[tokio::test]
async fn a_message_that_opens_with_its_body_cannot_continue_our_header() {
    for bytes in [&b" continued\r\nFrom: a@example.com\r\n\r\n"[..], b"hello\r\n", b"hello"] {
        let edge = Edge::new();
        edge.add_domain("example.com").await;
        let delivery = edge.one(submission(&["b@example.net"]), bytes).await;
        assert!(delivery.prefix.ends_with("\r\n\r\n"), "{:?}", delivery.prefix);
        assert!(delivery.signed.is_empty());
    }
    for bytes in [&b"\r\nhello\r\n"[..], b"", b"A: b\r\n"] {
        let delivery = Edge::new().one(submission(&["b@example.net"]), bytes).await;
        assert!(!delivery.prefix.ends_with("\r\n\r\n"), "{:?}", delivery.prefix);
    }
}

#[tokio::test]
async fn a_streamed_message_is_signed_without_being_held() {
    let edge = Edge::new();
    let records = edge.add_domain("example.com").await;
    let line = b"some words  and\twhite space \r\n";
    let body = line.repeat(5 * 1024 * 1024 / line.len());
    let bytes = [b"From: a@example.com\r\nSubject: large\r\n\r\n", &body[..], b" \r\n\r\n"].concat();
    let id = PackId::derived(NOW, "streamed");
    let mut pack =
        StreamedPack::begin(&edge.handle(), id, NOW, submission(&["b@example.net"])).await.unwrap();
    for piece in bytes.chunks(70_001) {
        pack.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    pack.finish(ContentFacts::default()).await.unwrap();
    assert_eq!(edge.run(id).await, Verdict::Done);
    let delivery = edge.jobs().remove(0).deliveries.remove(0);
    assert_eq!(all_pass(&records, &leaves(&delivery, &bytes)), 2);
    assert!(edge.world.largest_read.load(Ordering::Relaxed) <= 1024 * 1024);
}

#[tokio::test]
async fn a_header_that_lies_across_pieces_is_read_and_one_without_end_is_carried_unsigned() {
    let edge = Edge::new();
    let records = edge.add_domain("example.com").await;
    let header = |octets: usize| {
        let filler = format!("X-Filler: {}\r\n", "x".repeat(900));
        format!("Date: x\r\n{}From: a@example.com\r\n\r\nbody\r\n", filler.repeat(octets / filler.len()))
    };
    // the first message moves the second one's header across the end of what is read at once
    let first = [b"From: a@other.net\r\n\r\n", &vec![b'x'; 900 * 1024][..]].concat();
    let fits = header(200 * 1024);
    let pack = edge
        .put(
            "p",
            vec![(submission(&["b@example.net"]), &first), (submission(&["b@example.net"]), fits.as_bytes())],
        )
        .await;
    assert_eq!(edge.run(pack).await, Verdict::Done);
    let deliveries = edge.jobs().remove(0).deliveries;
    assert_eq!(all_pass(&records, &leaves(&deliveries[1], fits.as_bytes())), 2);
    for octets in [257 * 1024, 600 * 1024] {
        let delivery =
            edge_with_domain().await.one(submission(&["b@example.net"]), header(octets).as_bytes()).await;
        assert_eq!((delivery.prefix.matches(": ").count(), delivery.signed.len()), (1, 0), "{octets}");
    }
}

async fn edge_with_domain() -> Edge {
    let edge = Edge::new();
    edge.add_domain("example.com").await;
    edge
}

#[tokio::test]
async fn deliveries_are_one_a_domain_and_jobs_keep_destinations_together() {
    let edge = Edge::new();
    let bytes = b"From: a@b.c\r\n\r\n";
    let messages = (0..40).map(|n| {
        let to = [format!("u{n}@A.example"), format!("u{n}@b.example"), format!("v{n}@a.EXAMPLE")];
        (submission(&to.each_ref().map(String::as_str)), &bytes[..])
    });
    let pack = edge.put("p", messages.collect()).await;
    assert_eq!(edge.run(pack).await, Verdict::Done);
    let shape: Vec<(usize, Vec<String>)> = edge
        .jobs()
        .iter()
        .map(|job| {
            let mut domains: Vec<_> = job.deliveries.iter().map(|one| one.key.domain.to_string()).collect();
            domains.dedup();
            (job.deliveries.len(), domains)
        })
        .collect();
    let strings = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        shape,
        [
            (32, strings(&["a.example"])),
            (32, strings(&["a.example", "b.example"])),
            (16, strings(&["b.example"]))
        ]
    );
}

#[tokio::test]
async fn over_a_hundred_recipients_of_one_domain_are_parted_and_jobs_stay_small() {
    let edge = Edge::new();
    let local = "\\\"".repeat(29);
    let recipients: Vec<String> =
        (0..950).map(|n| format!("\"{local}{n:03}\"@{}.example", "d".repeat(60))).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let pack = edge.put("p", vec![(submission(&recipients), b"Subject: \"\\\x01\"\r\n\r\n")]).await;
    assert_eq!(edge.run(pack).await, Verdict::Done);
    let deliveries: Vec<Delivery> = edge.jobs().into_iter().flat_map(|job| job.deliveries).collect();
    let parts: Vec<(u16, usize)> =
        deliveries.iter().map(|one| (one.key.part, one.recipients.len())).collect();
    assert_eq!(
        parts,
        [(0, 100), (1, 100), (2, 100), (3, 100), (4, 100), (5, 100), (6, 100), (7, 100), (8, 100), (9, 50)]
    );
}

#[tokio::test]
async fn a_job_belongs_to_one_tenant() {
    let edge = Edge::new();
    let of =
        |tenant: &str| NewMessage { tenant: TenantId(tenant.to_owned()), ..submission(&["b@example.net"]) };
    let messages = ["x", "y", "x"].map(|tenant| (of(tenant), &b"A: b\r\n\r\n"[..]));
    let pack = edge.put("p", messages.into()).await;
    assert_eq!(edge.run(pack).await, Verdict::Done);
    let tenants: Vec<_> =
        edge.world.sent.lock().unwrap().iter().map(|entry| entry.tenant.0.clone()).collect();
    assert_eq!(tenants, ["x", "y"]);
    assert_eq!(edge.jobs().iter().map(|job| job.deliveries.len()).collect::<Vec<_>>(), [2, 1]);
}

#[tokio::test]
async fn killed_after_some_jobs_a_second_run_sends_the_same_ones_marked() {
    let edge = edge_with_domain().await;
    let messages: Vec<_> = (0..64)
        .map(|n| (submission(&[&format!("u@d{n}.example")]), &b"From: a@example.com\r\n\r\nx\r\n"[..]))
        .collect();
    let pack = edge.put("p", messages).await;
    *edge.world.room.lock().unwrap() = Some(1);
    assert!(matches!(edge.run(pack).await, Verdict::Again { .. }));
    let first = edge.jobs();
    assert_eq!(first.len(), 1);
    *edge.world.room.lock().unwrap() = None;
    assert_eq!(edge.run(pack).await, Verdict::Done);
    let second = edge.jobs();
    assert!(!first[0].check && second.iter().all(|job| job.check));
    assert_eq!(second.len(), 2);
    assert_eq!(first[0].id, second[0].id);
    assert_eq!(first[0].deliveries, second[0].deliveries, "signatures included");
    assert_eq!(edge.run(pack).await, Verdict::Done);
    assert_eq!(edge.jobs(), [], "a pack that is done is done");
}

#[tokio::test]
async fn a_pack_that_another_worker_holds_is_left_alone() {
    let edge = Edge::new();
    let pack = edge.put("p", vec![(submission(&["b@example.net"]), b"A: b\r\n\r\n")]).await;
    let lease = Duration::from_secs(40);
    edge.handle().claim(&format!("P#{pack}"), "other", NOW, lease).await.unwrap();
    assert!(matches!(edge.run(pack).await, Verdict::Again { after } if after > Duration::ZERO));
    assert_eq!(edge.jobs(), []);
}

#[tokio::test]
async fn of_a_corrupt_pack_nothing_is_sent_and_it_is_set_aside() {
    let messages = || {
        (0..12)
            .map(|n| (submission(&[&format!("u@d{n}.example")]), &b"From: a@b.c\r\n\r\nthe body\r\n"[..]))
            .collect()
    };
    let whole = Edge::new();
    let pack = whole.put("p", messages()).await;
    let length = whole.world.packs.lock().unwrap()[&pack].len();
    // each part of the pack: magic, header length, header, the first and the last message; and its end cut off
    for at in [0, 9, 40, length - 300, length - 3] {
        for cut in [false, true] {
            let edge = Edge::new();
            let pack = edge.put("p", messages()).await;
            {
                let mut packs = edge.world.packs.lock().unwrap();
                let bytes = packs.get_mut(&pack).unwrap();
                if cut { bytes.truncate(at) } else { bytes[at] ^= 1 }
            }
            for _ in 0..2 {
                assert!(matches!(edge.run(pack).await, Verdict::Again { .. }));
            }
            assert_eq!(edge.jobs(), [], "{at}");
            assert_eq!(*edge.world.set_aside.lock().unwrap(), [pack], "{at}");
        }
    }
}

#[tokio::test]
async fn a_pack_that_is_not_there_and_a_job_that_is_none_are_not_done() {
    let edge = Edge::new();
    assert!(matches!(edge.run(PackId::derived(NOW, "gone")).await, Verdict::Again { .. }));
    assert!(edge.world.set_aside.lock().unwrap().is_empty());
    for body in ["", "{}", "{\"v\":1,\"pack\":\"x\"}", "{\"v\":9,\"pack\":\"0\"}"] {
        assert!(matches!(edge.stage.run(body).await, Verdict::Again { .. }), "{body}");
    }
}

#[tokio::test]
async fn keys_are_not_read_for_each_message_and_a_lost_key_holds_no_mail() {
    let edge = edge_with_domain().await;
    edge.world.keys.lock().unwrap().retain(|(_, selector), _| selector == "e1");
    let messages =
        || (0..30).map(|_| (submission(&["b@example.net"]), &b"From: a@example.com\r\n\r\n"[..])).collect();
    for seed in ["p", "q"] {
        let pack = edge.put(seed, messages()).await;
        assert_eq!(edge.run(pack).await, Verdict::Done);
    }
    for job in edge.jobs() {
        assert!(job.deliveries.iter().all(|one| one.signed == ["e1._domainkey.example.com"]));
    }
    assert_eq!(edge.world.key_reads.load(Ordering::Relaxed), 2);
}
