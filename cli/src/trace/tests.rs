use bytes::Bytes;
use shared::job::Delivery;
use shared::mail::{
    Body, ByMode, ClientDns, ContentFacts, DeliverBy, Envelope, Notify, OriginalRecipient, Ret, ReverseDns,
};
use shared::pack::{NewMessage, encode};
use shared::port::{Action, Next, Postponed, Record, Waiting};
use shared::testkit::samples;

use super::*;
use crate::samples::{ACCEPTED, NOW, after, attempts, message_id, stores, text};

mod orders;

/// No pack: it was deleted, or never there.
const NO_PACK: Vec<Bytes> = Vec::new();

/// The pack of a message to each of `to`.
fn pack(id: MessageId, to: &[&str]) -> Vec<Bytes> {
    pack_of(id, to, ClientDns::default(), |_| {})
}

/// The same from a client of which the DNS says this.
fn pack_from(id: MessageId, to: &[&str], dns: ClientDns) -> Vec<Bytes> {
    pack_of(id, to, dns, |_| {})
}

/// The same, with what `change` makes of its envelope.
fn pack_of(id: MessageId, to: &[&str], dns: ClientDns, change: impl FnOnce(&mut Envelope)) -> Vec<Bytes> {
    let mut message = NewMessage {
        received_at: ACCEPTED,
        envelope: Envelope {
            from: ReversePath::try_from("alice@example.com".to_owned()).unwrap(),
            recipients: to.iter().map(|to| to.parse::<Mailbox>().unwrap().into()).collect(),
            options: MailOptions { body: Body::EightBitMime, ..MailOptions::default() },
        },
        client: Client {
            ip: [127, 0, 0, 1].into(),
            helo: "laptop\x1b[2J.local".to_owned(),
            esmtp: true,
            tls: None,
            credential: None,
            submission: true,
            dns,
        },
        tenant: TenantId::default(),
    };
    change(&mut message.envelope);
    let content = (message, ContentFacts::default(), Bytes::from_static(b"Subject: Hello\r\n\r\nbody\r\n"));
    encode(id.pack, ACCEPTED, vec![content])
}

async fn trace(id: MessageId, pack: Vec<Bytes>, records: Vec<Record>, json: bool) -> Outcome<String> {
    let open = stores().await;
    let (spool, deliveries) = (open.stores.spool.clone(), open.stores.deliveries.clone());
    if !pack.is_empty() {
        spool.put(id.pack, pack).await.unwrap();
    }
    if !records.is_empty() {
        deliveries.record(records).await.unwrap();
    }
    let ports = Ports { spool, deliveries, now: NOW, place: "./.spoolway".to_owned() };
    let mut out = Vec::new();
    run(&ports, id, json, Screen::default(), &mut out).await.map(|()| text(out))
}

fn deferral() -> Reply {
    Reply::new(450, (2, 0), "greylisted\ncome back")
}

#[tokio::test]
async fn a_story_tells_who_what_and_each_attempt() {
    let id = message_id("a");
    let mut gone =
        attempts(id, "example.net", &["carol@example.net"], &[Reply::new(250, (0, 0), "ok")], None);
    gone[0].attempt.tls = Some("TLSv1.3 TLS_AES_256_GCM_SHA384".to_owned());
    let late = attempts(id, "example.org", &["bob@example.org"], &[deferral(), deferral()], Some(after(360)));
    let to = ["bob@example.org", "carol@example.net"];
    let told = trace(id, pack(id, &to), [gone, late].concat(), false).await.unwrap();
    assert_eq!(
        told,
        format!(
            "\
message {id}
  accepted  2023-11-14 22:13:20 UTC, 2 min ago
  from      alice@example.com
  to        bob@example.org
            carol@example.net
  subject   Hello
  size      24 octets, 8BITMIME
  client    127.0.0.1, EHLO laptop\u{fffd}[2J.local, clear text, from a trusted network

example.net
  signed    s1._domainkey.example.com
  2023-11-14 22:13:21  attempt 1 by mx to mx.example.net (192.0.2.1:25), TLSv1.3 TLS_AES_256_GCM_SHA384, 1 s
                       250 2.0.0 ok
  delivered carol@example.net  250 2.0.0 ok

example.org
  signed    s1._domainkey.example.com
  2023-11-14 22:13:21  attempt 1 by mx to mx.example.org (192.0.2.1:25), clear text, 1 s
                       450 4.2.0 greylisted / come back
  2023-11-14 22:14:21  attempt 2 by mx to mx.example.org (192.0.2.1:25), clear text, 1 s
                       450 4.2.0 greylisted / come back
  deferred  bob@example.org  greylisting: 450 4.2.0 greylisted / come back
  next      attempt 3 within 4 min, by 2023-11-14 22:19:20 UTC; given up on 2023-11-19 22:13:20 UTC
"
        )
    );
}

#[tokio::test]
async fn what_the_dns_says_of_the_client_is_told() {
    let id = message_id("a");
    let (name, listed) = (Some("mail.example.net".to_owned()), vec!["bl.example".to_owned()]);
    let dns = ClientDns { name, reverse: Some(ReverseDns::Pass), listed };
    let told = trace(id, pack_from(id, &["bob@example.org"], dns), Vec::new(), false).await.unwrap();
    let lines = "  client    mail.example.net 127.0.0.1, EHLO laptop\u{fffd}[2J.local, clear text, from a trusted network\n            \
                 reverse DNS pass, listed at bl.example\n";
    assert!(told.contains(lines), "{told}");
}

#[tokio::test]
async fn a_held_message_says_until_when_and_a_cancelled_one_by_whom() {
    let (open, id) = (stores().await, message_id("a"));
    let deliveries = open.stores.deliveries.clone();
    let [held, cancelled] = [("bob@example.net", 86_400), ("carol@example.org", 3600)]
        .map(|(to, release)| crate::samples::hold(id, &[to], after(release)));
    deliveries.hold(vec![held.clone(), cancelled.clone()]).await.unwrap();
    deliveries
        .cancel(&cancelled.delivery.key, &Reply::new(250, (0, 0), "cancelled by the operator"))
        .await
        .unwrap();
    let ports = Ports {
        spool: open.stores.spool.clone(),
        deliveries: deliveries.clone(),
        now: NOW,
        place: "./.spoolway".to_owned(),
    };
    let tell = async || {
        let mut out = Vec::new();
        run(&ports, id, false, Screen::default(), &mut out).await.unwrap();
        text(out)
    };
    let told = tell().await;
    assert!(
        told.ends_with(
            "\
example.net
  signed    s._domainkey.example.com
  held      until 2023-11-15 22:13:20 UTC; until then, spoolway cancel takes it back
  held      bob@example.net  
  next      attempt 1 at its release, or within a minute of it; given up on 2023-11-20 22:13:20 UTC

example.org
  signed    s._domainkey.example.com
  held      until 2023-11-14 23:13:20 UTC
  cancelled carol@example.org  250 2.0.0 cancelled by the operator
"
        ),
        "{told}"
    );
    let shard = shared::port::due_shard(&held.delivery.key);
    deliveries.due(shard, held.until, std::time::Duration::from_secs(900), 1).await.unwrap();
    let told = tell().await;
    assert!(
        told.contains("  held      until 2023-11-15 22:13:20 UTC\n  deferred  bob@example.net"),
        "{told}"
    );
}

#[tokio::test]
async fn what_the_sender_asked_for_is_told_in_the_words_of_the_protocol() {
    let id = message_id("a");
    let asked = |envelope: &mut Envelope| {
        envelope.options.ret = Some(Ret::Hdrs);
        envelope.options.envid = Some("order-7".to_owned());
        envelope.options.priority = -3;
        envelope.options.deliver_by = Some(DeliverBy { seconds: 600, mode: ByMode::Return, trace: true });
        envelope.options.require_tls = true;
        envelope.recipients[0].notify = Some(Notify { success: true, delay: true, ..Notify::default() });
        envelope.recipients[0].original =
            Some(OriginalRecipient { kind: "rfc822".to_owned(), address: "old@example.org".to_owned() });
        envelope.recipients[1].notify = Some(Notify::default());
    };
    let to = ["bob@example.org", "carol@example.net", "dave@example.net"];
    let told = trace(id, pack_of(id, &to, ClientDns::default(), asked), Vec::new(), false).await.unwrap();
    let recipients = "  to        bob@example.org  NOTIFY=SUCCESS,DELAY ORCPT=rfc822;old@example.org
            carol@example.net  NOTIFY=NEVER
            dave@example.net\n";
    assert!(told.contains(recipients), "{told}");
    let options = "  options   RET=HDRS, ENVID=order-7, MT-PRIORITY=-3, within 600 s, and else back, traced, REQUIRETLS\n";
    assert!(told.contains(options), "{told}");
}

#[tokio::test]
async fn a_bounce_names_the_message_that_tells_the_sender() {
    let (id, report) = (message_id("a"), message_id("report"));
    let no = Reply::new(550, (1, 1), "no such user");
    let mut bounced = attempts(id, "example.org", &["bob@example.org"], &[no], None);
    bounced[0].recipients[0].status = RecipientStatus::Bounced;
    bounced[0].recipients[0].report = Some(report);
    let told = trace(id, pack(id, &["bob@example.org"]), bounced, false).await.unwrap();
    let lines = format!(
        "  bounced   bob@example.org  550 5.1.1 no such user\n            the sender is told by message {report}\n"
    );
    assert!(told.ends_with(&lines), "{told}");
}

#[tokio::test]
async fn a_bounce_says_that_its_sender_is_about_to_be_told() {
    let id = message_id("a");
    let no = Reply::new(550, (1, 1), "no such user");
    let mut bounced = attempts(id, "example.org", &["bob@example.org"], std::slice::from_ref(&no), None);
    let untold = samples::notification(&bounced[0], Action::Failed);
    bounced[0].recipients[0].status = RecipientStatus::Bounced;
    bounced[0].recipients[0].untold = Some(Box::new(untold));
    let told = trace(id, pack(id, &["bob@example.org"]), bounced.clone(), false).await.unwrap();
    assert!(
        told.ends_with("\n            the sender is about to be told, with the other destinations\n"),
        "{told}"
    );
    let json = trace(id, pack(id, &["bob@example.org"]), bounced, true).await.unwrap();
    assert!(json.contains("\"to_be_told\": true"), "{json}");
}

#[tokio::test]
async fn a_message_that_is_not_signed_says_why() {
    let id = message_id("a");
    let ok = [Reply::new(250, (0, 0), "ok")];
    let mut done = attempts(id, "example.org", &["bob@example.org"], &ok, None);
    (done[0].delivery.signed, done[0].delivery.unsigned) = (Vec::new(), Some("not_our_domain".to_owned()));
    let told = trace(id, pack(id, &["bob@example.org"]), done, false).await.unwrap();
    assert!(told.contains("  signed    no: not our domain\n"), "{told}");
}

#[tokio::test]
async fn a_message_that_nobody_has_tried_yet_is_said_to_be_accepted() {
    let id = message_id("a");
    let told = trace(id, pack(id, &["bob@example.org"]), Vec::new(), false).await.unwrap();
    assert!(told.ends_with("\n\naccepted and safe, not tried yet; ask again in a moment\n"), "{told}");

    let done = attempts(id, "example.net", &["carol@example.net"], &[Reply::new(250, (0, 0), "ok")], None);
    let to = ["bob@example.org", "carol@example.net"];
    let told = trace(id, pack(id, &to), done, false).await.unwrap();
    assert!(told.ends_with("\nnot tried yet: bob@example.org\n"), "{told}");
}

#[tokio::test]
async fn the_story_as_json_stays_as_it_is() {
    let id = message_id("a");
    let late = attempts(id, "example.org", &["bob@example.org"], &[deferral()], Some(after(360)));
    let told = trace(id, pack(id, &["bob@example.org"]), late, true).await.unwrap();
    let reply = serde_json::json!({"code": 450, "enhanced": "4.2.0", "text": "greylisted\ncome back"});
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&told).unwrap(),
        serde_json::json!({
            "message": id.to_string(),
            "status": "pending",
            "accepted_at": "2023-11-14T22:13:20Z",
            "from": "alice@example.com",
            "recipients": ["bob@example.org"],
            "subject": "Hello",
            "size": 24,
            "tenant": "default",
            "submission": {
                "client": {"ip": "127.0.0.1", "helo": "laptop\u{1b}[2J.local", "esmtp": true, "submission": true},
                "options": {"body": "eightbitmime", "smtputf8": false},
            },
            "pack": {"state": "present"},
            "deliveries": [{
                "destination": "example.org",
                "signed": ["s1._domainkey.example.com"],
                "unsigned": null,
                "waiting": null,
                "recipients": [{"address": "bob@example.org", "status": "deferred", "reply": reply, "report": null,
                    "failure": {"class": "greylisting", "scope": "recipient"}}],
                "attempts": [{
                    "number": 1,
                    "began_at": "2023-11-14T22:13:21Z",
                    "ended_at": "2023-11-14T22:13:22Z",
                    "route": "mx",
                    "host": "mx.example.org",
                    "peer": "192.0.2.1:25",
                    "tls": null,
                    "source": null,
                    "reply": reply,
                }],
                "next_attempt_by": "2023-11-14T22:19:20Z",
                "expires_at": "2023-11-19T22:13:20Z",
                "held_until": null,
                "return_path": null,
                "feedback": [],
            }],
            "waiting": [],
        })
    );
}

#[tokio::test]
async fn an_attempt_that_was_put_off_says_what_it_waits_for() {
    let id = message_id("a");
    let open = stores().await;
    let deliveries = open.stores.deliveries.clone();
    let busy = Reply::new(421, (7, 0), "too many connections");
    let tried = attempts(id, "example.org", &["bob@example.org"], &[busy], Some(after(300)));
    let Next::Due { delivery, .. } = tried[0].next.clone() else { panic!("it is deferred") };
    deliveries.record(tried).await.unwrap();
    let waiting = Waiting {
        reason: "suspended".to_owned(),
        text: "mx.example.org is suspended by rule x since it said: 421\u{1b}[2J".to_owned(),
        until: after(600),
    };
    let delivery = Delivery { postponed: 2, ..*delivery };
    let postponed = Postponed { delivery, waiting, due_at: after(900), forget_at: after(90 * 86_400) };
    deliveries.postpone(vec![postponed]).await.unwrap();
    let spool = open.stores.spool.clone();
    let ports = Ports { spool, deliveries, now: NOW, place: "./.spoolway".to_owned() };
    let mut out = Vec::new();
    run(&ports, id, false, Screen::default(), &mut out).await.unwrap();
    let story = text(out);
    for part in [
        "  waiting: mx.example.org is suspended by rule x since it said: 421\u{fffd}[2J\n",
        "  next      attempt 2 at 2023-11-14 22:23:20 UTC, put off 2 times; given up on",
    ] {
        assert!(story.contains(part), "{story}");
    }
    let mut out = Vec::new();
    run(&ports, id, true, Screen::default(), &mut out).await.unwrap();
    let json: serde_json::Value = serde_json::from_str(&text(out)).unwrap();
    let waiting = &json["deliveries"][0]["waiting"];
    assert_eq!((waiting["reason"].as_str(), waiting["times"].as_u64()), (Some("suspended"), Some(2)));
    assert_eq!(waiting["until"], "2023-11-14T22:23:20Z");
}

#[tokio::test]
async fn a_message_outlives_its_pack_in_the_state() {
    let id = message_id("a");
    let done = attempts(id, "example.org", &["bob@example.org"], &[Reply::new(250, (0, 0), "ok")], None);
    let told = trace(id, NO_PACK, done, false).await.unwrap();
    assert!(told.contains("  pack      deleted by age"), "{told}");
    assert!(told.contains("delivered bob@example.org"), "{told}");
}

#[tokio::test]
async fn a_message_that_is_not_there_is_no_input() {
    let id = message_id("a");
    let failure = trace(id, NO_PACK, Vec::new(), false).await.unwrap_err();
    assert_eq!(failure.exit, Exit::NoInput);
    assert!(failure.text.contains(&format!("{id} in ./.spoolway;")), "{failure:?}");

    let other = MessageId { n: 1, ..id };
    let failure = trace(other, pack(id, &["bob@example.org"]), Vec::new(), false).await.unwrap_err();
    assert_eq!(failure.exit, Exit::NoInput, "the pack has one message only");
}

#[tokio::test]
async fn a_corrupt_pack_is_told_and_does_not_hide_the_deliveries() {
    let id = message_id("a");
    let corrupt = || vec![Bytes::from_static(b"not a pack at all")];
    assert_eq!(trace(id, corrupt(), Vec::new(), false).await.unwrap_err().exit, Exit::Io);

    let done = attempts(id, "example.org", &["bob@example.org"], &[Reply::new(250, (0, 0), "ok")], None);
    let told = trace(id, corrupt(), done, false).await.unwrap();
    assert!(told.contains("  pack      corrupt: "), "{told}");
}
