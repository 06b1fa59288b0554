use std::sync::Mutex;
use std::time::Duration;

use shared::directory::SuppressionEntry;
use shared::job::{DeliverJob, DeliveryKey, Job};
use shared::mail::{MessageId, PackId, ReversePath, TenantId};
use shared::port::{Attempt, DeliveryState, FeedbackKind, Next, RecipientState, RecipientStatus, Record};
use shared::testkit::SeededIds;

use super::*;
use crate::deliver::{Route, SuppressionSettings};
use crate::testing::{World, delivery, drive};

const DOMAIN: &str = "bounces.example.net";

/// Mail that is not for bounces.
#[derive(Default)]
struct Others(Mutex<Vec<String>>);

#[async_trait]
impl Transport for Others {
    async fn attempt(&self, _: Rule<'_>, deliveries: Vec<Delivery>, _: &mpsc::Sender<Tried>) {
        self.0
            .lock()
            .unwrap()
            .extend(deliveries.iter().map(|delivery| delivery.recipients[0].address.to_string()));
    }
}

struct Edge {
    world: World,
    paths: Arc<ReturnPaths>,
    others: Arc<Others>,
    bounces: Bounces,
}

impl Edge {
    async fn new() -> Self {
        let world = World::new();
        let paths = ReturnPaths::new(DOMAIN.parse().unwrap(), world.directory.clone(), world.clock.clone());
        paths.ensure_key(&SeededIds::new(7)).await.unwrap();
        let (paths, others) = (Arc::new(paths), Arc::new(Others::default()));
        let ports = BouncePorts {
            spool: world.spool.clone(),
            outbound: world.outbound.clone(),
            deliveries: world.deliveries.clone(),
            suppressions: Arc::new(world.suppressions(SuppressionSettings::default())),
            return_paths: paths.clone(),
            clock: world.clock.clone(),
        };
        Self { bounces: Bounces::new(others.clone(), ports), world, paths, others }
    }

    /// A message to `bob@far.example` that was delivered, and the path that it left with.
    async fn delivered(&self) -> (DeliveryKey, String) {
        let mut sent = delivery("far.example", &["Bob"]);
        sent.signed = vec!["s._domainkey.sender.example".to_owned()];
        sent.tenant = TenantId("shop".to_owned());
        let path = ReturnPath { message: sent.key.message, recipient: 0 };
        sent.return_path = self.paths.sign(path).await.unwrap();
        let (now, reply) = (self.world.now(), Reply::new(250, (0, 0), "taken"));
        let attempt = Attempt {
            number: 1,
            began_at: now,
            ended_at: now,
            route: "mx".to_owned(),
            host: None,
            source: None,
            peer: None,
            tls: None,
            reply: reply.clone(),
        };
        let address = sent.recipients[0].address.clone();
        let state = RecipientState {
            address,
            status: RecipientStatus::Delivered,
            reply: Some(reply),
            failure: None,
            report: None,
            untold: None,
        };
        let text = sent.return_path.as_ref().unwrap().to_string();
        let key = sent.key.clone();
        let record =
            Record { delivery: sent, attempt, recipients: vec![state], next: Next::Settled, forget_at: now };
        drive(&self.world.clock, self.world.deliveries.record(vec![record])).await.unwrap();
        (key, text)
    }

    /// A delivery of `content` to `to`, that came in just now.
    fn incoming(&self, to: &str, content: &str) -> Delivery {
        let pack = PackId::derived(self.world.now(), content);
        let packed = (self.world.now(), content.to_owned().into());
        self.world.spool.packs.lock().unwrap().insert(pack, packed);
        let to: shared::mail::Mailbox = to.parse().unwrap();
        let message = MessageId { pack, n: 0 };
        Delivery {
            key: DeliveryKey { message, domain: to.domain().clone(), part: 0 },
            length: content.len() as u64,
            from: ReversePath::Null,
            recipients: vec![to.into()],
            accepted_at: self.world.now(),
            ..delivery(DOMAIN, &["x"])
        }
    }

    /// What becomes of it.
    async fn read(&self, delivery: Delivery) -> (Outcome, String) {
        let (tried_to, mut tried) = mpsc::channel(1);
        let rule = Rule { pattern: "*", route: &Route::Mx };
        drive(&self.world.clock, self.bounces.attempt(rule, vec![delivery], &tried_to)).await;
        let tried = tried.try_recv().expect("it was read here");
        assert_eq!(tried.attempt.route, "bounces");
        (tried.outcomes[0].outcome, tried.outcomes[0].reply.to_string())
    }

    fn state(&self, key: &DeliveryKey) -> DeliveryState {
        self.world.deliveries.state(key).unwrap()
    }

    /// What goes on to senders.
    fn passed_on(&self) -> Vec<Delivery> {
        let mut all = Vec::new();
        while let Some(body) = self.world.outbound.take() {
            let job = DeliverJob::decode(&body).unwrap();
            assert!(job.check, "it goes once however often it is sent");
            all.extend(job.deliveries);
        }
        all
    }

    fn suppressed(&self) -> Vec<SuppressionEntry> {
        let entries = self.world.directory.entries.lock().unwrap();
        entries.values().filter_map(|entry| SuppressionEntry::try_from(entry.clone()).ok()).collect()
    }
}

fn dsn(address: &str, action: &str, status: &str, said: &str) -> String {
    format!(
        "Subject: report\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n\
         --b\r\n\r\ntext\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.far.example\r\n\r\n\
         Final-Recipient: rfc822; {address}\r\nAction: {action}\r\nStatus: {status}\r\nDiagnostic-Code: smtp; {said}\r\n--b--\r\n"
    )
}

fn complaint(kind: &str, path: &str) -> String {
    format!(
        "Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n\
         --b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: {kind}\r\nUser-Agent: far/1\r\n\
         \r\n--b\r\nContent-Type: message/rfc822\r\n\r\nReturn-Path: <{path}>\r\nSubject: x\r\n\r\nx\r\n--b--\r\n"
    )
}

#[tokio::test]
async fn a_bounce_is_noted_suppresses_its_address_and_goes_on_to_the_sender() {
    let edge = Edge::new().await;
    let (key, path) = edge.delivered().await;
    let incoming = edge.incoming(&path, &dsn("bob@far.example", "failed", "5.1.1", "550 5.1.1 no such user"));
    // twice, as a worker that dies leaves its job to another
    for _ in 0..2 {
        let (outcome, reply) = edge.read(incoming.clone()).await;
        assert_eq!(outcome, Outcome::Delivered, "{reply}");
        assert!(reply.contains(&format!("a bounce of message {}, and passed on", key.message)), "{reply}");
    }
    let state = edge.state(&key);
    assert_eq!(state.recipients[0].status, RecipientStatus::Delivered, "what is on record stays");
    let [feedback] = &state.feedback[..] else { panic!("it is noted once") };
    assert_eq!((feedback.kind, feedback.suppressed), (FeedbackKind::Bounced, true));
    assert_eq!((feedback.address.as_str(), feedback.report), ("Bob@far.example", incoming.key.message));
    assert_eq!(feedback.reply.to_string(), "550 5.1.1 no such user");
    assert_eq!(feedback.reporter.as_deref(), Some("mx.far.example"));
    let [suppressed] = &edge.suppressed()[..] else { panic!("one address") };
    assert_eq!((suppressed.tenant.0.as_str(), suppressed.address.as_str()), ("shop", "Bob@far.example"));
    assert!(suppressed.source.contains(&key.message.to_string()), "{}", suppressed.source);
    let passed_on = edge.passed_on();
    assert_eq!(passed_on[0], passed_on[1], "the same job twice");
    let Delivery { key, from, recipients, return_path, length, .. } = &passed_on[0];
    assert_eq!((key.message, *length), (incoming.key.message, incoming.length), "the octets as they came");
    assert_eq!(
        (from, return_path, recipients[0].address.as_str()),
        (&ReversePath::Null, &None, "ann@sender.example")
    );
}

#[tokio::test]
async fn what_says_less_than_that_the_mailbox_is_gone_suppresses_nobody() {
    for (address, action, status, said, kind) in [
        ("bob@far.example", "failed", "5.2.2", "552 5.2.2 full", FeedbackKind::Bounced),
        ("bob@far.example", "failed", "4.4.7", "450 4.1.1 later", FeedbackKind::Bounced),
        ("bob@far.example", "delayed", "4.2.0", "450 4.1.1 later", FeedbackKind::Delayed),
        ("bob@far.example", "delivered", "2.0.0", "250 ok", FeedbackKind::Delivered),
    ] {
        let edge = Edge::new().await;
        let (key, path) = edge.delivered().await;
        let (outcome, reply) = edge.read(edge.incoming(&path, &dsn(address, action, status, said))).await;
        assert_eq!(outcome, Outcome::Delivered, "{reply}");
        assert_eq!(edge.state(&key).feedback[0].kind, kind);
        assert!(edge.suppressed().is_empty(), "{said}");
        assert_eq!(edge.passed_on().len(), 1);
    }
    // of the members of a list, one is gone
    let edge = Edge::new().await;
    let (key, path) = edge.delivered().await;
    let members = dsn(
        "m1@far.example",
        "failed",
        "5.1.1",
        "550 5.1.1 gone\r\n\r\nFinal-Recipient: rfc822; m2@far.example\r\nAction: delivered\r\nStatus: 2.0.0",
    );
    edge.read(edge.incoming(&path, &members)).await;
    assert_eq!(edge.state(&key).feedback[0].kind, FeedbackKind::Bounced);
    assert!(edge.suppressed().is_empty());
}

#[tokio::test]
async fn a_complaint_suppresses_wherever_it_comes_in() {
    let edge = Edge::new().await;
    let (key, path) = edge.delivered().await;
    for (n, to) in [format!("Complaints@{DOMAIN}"), path.clone()].iter().enumerate() {
        edge.world.clock.advance(Duration::from_secs(1));
        let (outcome, reply) = edge.read(edge.incoming(to, &complaint("abuse", &path))).await;
        assert_eq!(outcome, Outcome::Delivered, "{reply}");
        let feedback = &edge.state(&key).feedback;
        assert_eq!((feedback.len(), feedback[n].kind), (n + 1, FeedbackKind::Complaint));
    }
    assert_eq!(edge.suppressed()[0].reason.as_str(), "complaint");
    assert!(edge.passed_on().is_empty(), "a complaint is for the operator");
    let edge = Edge::new().await;
    let (key, path) = edge.delivered().await;
    edge.read(edge.incoming(&path, &complaint("not-spam", &path))).await;
    assert_eq!(edge.state(&key).feedback[0].kind, FeedbackKind::Other);
    assert!(edge.suppressed().is_empty());
}

#[tokio::test]
async fn nobody_can_forge_a_bounce_or_a_complaint() {
    let edge = Edge::new().await;
    let (key, path) = edge.delivered().await;
    let forged = path.replacen("-0-0-", "-0-1-", 1);
    assert_ne!(forged, path);
    let gone = dsn("bob@far.example", "failed", "5.1.1", "550 5.1.1 gone");
    assert_eq!(edge.read(edge.incoming(&forged, &gone)).await.0, Outcome::Bounced);
    let to = format!("complaints@{DOMAIN}");
    let (outcome, reply) = edge.read(edge.incoming(&to, &complaint("abuse", &forged))).await;
    assert_eq!(outcome, Outcome::Discarded);
    assert!(reply.contains("discarded by bounces.domain: the complaint names no return path"), "{reply}");
    // nor does a DSN at the address for complaints say anything
    assert_eq!(edge.read(edge.incoming(&to, &gone)).await.0, Outcome::Discarded);
    assert!(edge.state(&key).feedback.is_empty() && edge.suppressed().is_empty());
}

#[tokio::test]
async fn an_answer_that_is_no_report_goes_on_to_the_sender() {
    let edge = Edge::new().await;
    let (key, path) = edge.delivered().await;
    let answer = edge.incoming(&path, "Subject: on holiday\r\n\r\nback on Monday\r\n");
    assert_eq!(edge.read(answer).await.0, Outcome::Delivered);
    assert_eq!(edge.passed_on()[0].recipients[0].address.as_str(), "ann@sender.example");
    assert!(edge.state(&key).feedback.is_empty());
}

#[tokio::test]
async fn a_bounce_waits_for_the_record_of_its_delivery_and_not_for_ever() {
    let edge = Edge::new().await;
    let unknown = ReturnPath { message: delivery("far.example", &["bob"]).key.message, recipient: 9 };
    let path = edge.paths.sign(unknown).await.unwrap().unwrap().to_string();
    let early = edge.incoming(&path, &dsn("bob@far.example", "failed", "5.1.1", "550 5.1.1 gone"));
    assert_eq!(edge.read(early.clone()).await.0, Outcome::Deferred);
    edge.world.clock.advance(crate::limits::REPORT_WAITS_FOR_RECORD);
    let (outcome, reply) = edge.read(early).await;
    assert_eq!(outcome, Outcome::Discarded);
    assert!(reply.contains("is not known any more"), "{reply}");
}

#[tokio::test]
async fn all_other_mail_goes_its_way() {
    let edge = Edge::new().await;
    let (tried_to, mut tried) = mpsc::channel(1);
    let rule = Rule { pattern: "*", route: &Route::Mx };
    let all = ["postmaster@bounces.example.net", "ann@far.example", "b+x@far.example"];
    let all = all.map(|to| edge.incoming(to, "Subject: x\r\n\r\nx\r\n"));
    drive(&edge.world.clock, edge.bounces.attempt(rule, all.into(), &tried_to)).await;
    assert!(tried.try_recv().is_err());
    assert_eq!(edge.others.0.lock().unwrap().len(), 3);
}
