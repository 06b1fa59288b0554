use std::time::Duration;

use mail_parser::{MessageParser, MimeHeaders};
use shared::job::Delivery;
use shared::mail::{Mailbox, OriginalRecipient, PackId, Recipient, Reply, ReversePath, Timestamp};
use shared::port::{Action, Notification};

use super::encode::{Encoding, clean, encoding, fold, quoted_printable, typed_address};
use super::original::{Returned, header_section};
use super::report::Report;
use super::row::Row;
use crate::deliver::record::fitting;

fn header_of(octets: &[u8]) -> Returned {
    Returned::Header { octets: octets.to_vec(), instead: None }
}

/// A report on all recipients of `delivery`; `expired` where time ran out.
fn report(delivery: &Delivery, action: Action, reply: &Reply, expired: bool, returned: Returned) -> String {
    let began_at = delivery.accepted_at + Duration::from_secs(1);
    let spoken = matches!(reply.code(), 250 | 450 | 550);
    let told = |recipient: &Recipient| Notification {
        action,
        original: recipient.original.clone(),
        status: fitting(action, Some(reply.status())),
        reply: None,
        spoken,
        expired,
        suppressed: false,
        host: Some("mx.remote.example".to_owned()),
        ended_at: began_at + Duration::from_secs(1),
        retry_until: delivery.expires_at,
    };
    let told: Vec<Notification> = delivery.recipients.iter().map(told).collect();
    let rows = delivery.recipients.iter().zip(&told);
    let rows: Vec<Row<'_>> =
        rows.map(|(recipient, told)| Row { address: &recipient.address, reply, told }).collect();
    let report = Report {
        hostname: "edge.example",
        id: PackId::derived(Timestamp::from_millis(1_700_000_000_000), "report"),
        boundary: "0123456789abcdef".to_owned(),
        now: began_at + Duration::from_secs(2),
        original: delivery,
        action,
        rows: &rows,
        returned,
    };
    String::from_utf8(report.compose()).unwrap()
}

fn compose(delivery: &Delivery, reply: &Reply, header: &[u8]) -> String {
    report(delivery, Action::Failed, reply, false, header_of(header))
}

const HEADER: &[u8] =
    b"Received: from client by edge.example\r\nFrom: Ann <ann@sender.example>\r\nMessage-ID: <m1@sender.example>\r\n";

#[test]
fn a_report_reads_well_to_people_and_programs() {
    let delivery = crate::testing::delivery("remote.example", &["bob", "carol+list"]);
    let reply = Reply::new(550, (1, 1), "no such user here,\nsee https://remote.example/help");
    let report = compose(&delivery, &reply, HEADER);
    insta::assert_snapshot!("report", report.replace("\r\n", "\n"));
    assert!(!report.replace("\r\n", "").contains(['\r', '\n']));
    let parsed = MessageParser::new().parse(report.as_bytes()).unwrap();
    let kind = parsed.content_type().unwrap();
    assert_eq!((kind.ctype(), kind.subtype()), ("multipart", Some("report")));
    assert_eq!(kind.attribute("report-type"), Some("delivery-status"));
    let parts: Vec<_> = parsed.parts[1..].iter().map(|part| part.content_type().unwrap().subtype()).collect();
    assert_eq!(parts, [Some("plain"), Some("delivery-status"), Some("rfc822-headers")]);
    assert_eq!(parsed.in_reply_to().as_text(), Some("m1@sender.example"));
}

/// A delivery with everything that a sender can say to DSNs.
fn wordy() -> Delivery {
    let mut delivery = crate::testing::delivery("remote.example", &["bob", "carol"]);
    delivery.options.envid = Some("order 7+1".to_owned());
    delivery.recipients[0].original =
        Some(OriginalRecipient { kind: "rfc822".to_owned(), address: "bob+old@list.example".to_owned() });
    delivery.recipients[1].original =
        Some(OriginalRecipient { kind: "utf-8".to_owned(), address: "d\u{f6}rte@list.example".to_owned() });
    delivery
}

#[test]
fn a_delay_a_relay_and_a_delivery_are_told_in_the_same_form() {
    let delivery = wordy();
    let all = [
        (Action::Delayed, Reply::new(450, (2, 0), "greylisted")),
        (Action::Relayed, Reply::new(250, (0, 0), "taken as 4711")),
        (Action::Delivered, Reply::new(252, (0, 0), "kept in the inbox")),
    ];
    let told = all.map(|(action, reply)| report(&delivery, action, &reply, false, header_of(HEADER)));
    insta::assert_snapshot!("other_events", told.join("\n=====\n").replace("\r\n", "\n"));
}

#[test]
fn what_no_server_said_is_no_diagnostic_of_smtp() {
    let reply = Reply::new(451, (4, 1), "no connection: connection refused");
    let told = report(&wordy(), Action::Failed, &reply, true, header_of(HEADER));
    assert!(told.contains("\r\nDiagnostic-Code: x-spoolway; 451 4.4.1 no connection:"), "{told}");
    assert!(!told.contains("Remote-MTA"), "{told}");
}

#[test]
fn a_message_that_is_returned_whole_is_a_part_of_its_own() {
    let no = Reply::new(550, (1, 1), "no");
    let message = "Subject: x\r\n\r\ngr\u{fc}\u{df}e\r\n";
    let returned = Returned::Full { octets: message.into(), encoding: Encoding::EightBit };
    let told = report(&wordy(), Action::Failed, &no, false, returned);
    assert!(
        told.contains("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: x")
    );
    let parsed = MessageParser::new().parse(told.as_bytes()).unwrap();
    let inner = parsed.parts.last().unwrap().message().unwrap();
    assert_eq!(inner.body_text(0).unwrap(), "gr\u{fc}\u{df}e\r\n");
    let message = "Subject: gr\u{fc}\u{df}e\r\n\r\nx\r\n";
    let returned = Returned::Full { octets: message.into(), encoding: Encoding::EightBit };
    assert!(
        report(&wordy(), Action::Failed, &no, false, returned).contains("Content-Type: message/global\r\n")
    );
}

#[test]
fn nothing_a_remote_says_becomes_a_field_or_a_part_of_its_own() {
    let delivery = crate::testing::delivery("remote.example", &["bob"]);
    let text = format!(
        "no\rAction: delivered\n\r\n--0123456789abcdef\nX: \x1b[2J\u{2028} d\u{f6}rte {}",
        "very long ".repeat(900)
    );
    let report = compose(&delivery, &Reply::received(550, &text).unwrap(), HEADER);
    assert_eq!(report.matches("\r\nAction: ").count(), 1);
    assert_eq!(report.matches("\r\n--0123456789abcdef").count(), 4);
    assert!(report.lines().all(|line| line.len() <= 998));
    assert!(report.bytes().all(|byte| (32..127).contains(&byte) || b"\r\n\t".contains(&byte)));
    let status = report.split("message/delivery-status").nth(1).unwrap();
    assert!(status.lines().take_while(|line| !line.starts_with("--")).all(|line| line.len() <= 100));
}

#[test]
fn a_header_that_is_not_ascii_keeps_its_octets() {
    let delivery = crate::testing::delivery("remote.example", &["bob"]);
    let header = "Subject: gr\u{fc}\u{df}e = \r\nX: y\r\n".as_bytes();
    let report = compose(&delivery, &Reply::new(550, (1, 1), "no"), header);
    assert!(report.is_ascii());
    let parsed = MessageParser::new().parse(report.as_bytes()).unwrap();
    let part = parsed.parts.last().unwrap();
    assert_eq!(part.content_type().unwrap().subtype(), Some("global-headers"));
    assert_eq!(part.contents(), header);
}

#[test]
fn an_address_that_is_not_ascii_is_written_as_rfc_6533_asks() {
    let address = |text: &str| text.parse::<Mailbox>().unwrap();
    let typed = |text: &str| typed_address(&address(text), false);
    assert_eq!(typed("a+b@example.org"), "rfc822; a+b@example.org");
    assert_eq!(typed("d\u{f6}+rte@example.org"), "utf-8; d\\x{F6}\\x{2B}rte@example.org");
    assert_eq!(typed("ann@b\u{fc}cher.example"), "rfc822; ann@xn--bcher-kva.example");
    let as_it_is = |text: &str| typed_address(&address(text), true);
    assert_eq!(as_it_is("a+b@example.org"), "rfc822; a+b@example.org");
    assert_eq!(as_it_is("d\u{f6}+rte@example.org"), "utf-8; d\u{f6}\\x{2B}rte@example.org");
    assert_eq!(as_it_is("ann@b\u{fc}cher.example"), "utf-8; ann@b\u{fc}cher.example");
}

#[test]
fn a_status_of_a_message_of_smtputf8_has_utf_8_in_a_type_of_its_own() {
    let reply = Reply::new(550, (1, 1), "d\u{f6}rte ist nicht hier");
    let part = |delivery: &Delivery| {
        let told = report(delivery, Action::Failed, &reply, false, header_of(HEADER));
        assert!(told.is_ascii(), "it goes where there is no 8BITMIME");
        let parsed = MessageParser::new().parse(told.as_bytes()).unwrap();
        let part = &parsed.parts[2];
        let kind = part.content_type().unwrap().subtype().unwrap().to_owned();
        (kind, String::from_utf8(part.contents().to_vec()).unwrap())
    };
    let mut delivery = wordy();
    delivery.recipients[1].address = "d\u{f6}rte@remote.example".parse().unwrap();
    let (kind, status) = part(&delivery);
    assert_eq!(kind, "delivery-status");
    assert!(
        status.is_ascii() && status.contains("Final-Recipient: utf-8; d\\x{F6}rte@remote.example"),
        "{status}"
    );
    delivery.options.smtputf8 = true;
    let (kind, status) = part(&delivery);
    assert_eq!(kind, "global-delivery-status");
    for field in [
        "Original-Recipient: utf-8; d\u{f6}rte@list.example",
        "Final-Recipient: utf-8; d\u{f6}rte@remote.example",
        "Final-Recipient: rfc822; bob@remote.example",
        "Diagnostic-Code: smtp; 550 5.1.1 d\u{f6}rte ist nicht hier",
    ] {
        assert!(status.contains(field), "{field}: {status}");
    }
    delivery.recipients.truncate(1);
    let plain = report(&delivery, Action::Failed, &Reply::new(550, (1, 1), "no"), false, header_of(HEADER));
    assert!(plain.contains("Content-Type: message/delivery-status"), "ASCII needs no other type");
}

#[test]
fn who_was_not_tried_is_told_of_without_an_attempt() {
    let delivery = crate::testing::delivery("remote.example", &["bob"]);
    let reply =
        Reply::new(550, (7, 1), "not tried: suppressed since 2026-01-02 (hard-bounce): 550 5.1.1 gone");
    let began_at = delivery.accepted_at;
    let told = Notification {
        action: Action::Failed,
        original: None,
        status: reply.status(),
        reply: None,
        spoken: false,
        expired: false,
        suppressed: true,
        host: None,
        ended_at: began_at,
        retry_until: delivery.expires_at,
    };
    let report = Report {
        hostname: "edge.example",
        id: PackId::derived(began_at, "report"),
        boundary: "0123456789abcdef".to_owned(),
        now: began_at,
        original: &delivery,
        action: Action::Failed,
        rows: &[Row { address: &delivery.recipients[0].address, reply: &reply, told: &told }],
        returned: header_of(HEADER),
    };
    let told = String::from_utf8(report.compose()).unwrap();
    assert!(
        told.contains("It was not sent there: 550 5.7.1 not tried: suppressed since 2026-01-02"),
        "{told}"
    );
    assert!(
        told.contains("Action: failed\r\nStatus: 5.7.1\r\nDiagnostic-Code: x-spoolway; 550 5.7.1"),
        "{told}"
    );
    assert!(!told.contains("Last-Attempt-Date") && !told.contains("Remote-MTA"), "{told}");
}

#[test]
fn quoted_printable_has_short_lines_and_no_space_at_their_ends() {
    let body = format!("a = b \r\n{}\u{e9}\r\nend\t", "x ".repeat(100));
    let quoted = String::from_utf8(quoted_printable(body.as_bytes())).unwrap();
    assert!(quoted.starts_with("a =3D b=20\r\n") && quoted.ends_with("end=09"));
    assert!(quoted.split("\r\n").all(|line| line.len() <= 76 && !line.ends_with([' ', '\t'])));
    assert_eq!(quoted_printable(b"a\nb\rc"), b"a=0Ab=0Dc");
}

#[test]
fn only_what_has_the_lines_of_a_text_stands_as_it_is() {
    for body in [&b""[..], b"a\r\n\tb\r\n", &[b'x'; 998]] {
        assert_eq!(encoding(body), Some(Encoding::SevenBit));
    }
    assert_eq!(encoding(b"\x80\r\n"), Some(Encoding::EightBit));
    for body in [&b"a\nb"[..], b"a\rb", b"a\0", &[b'x'; 999], b"\x80\n"] {
        assert_eq!(encoding(body), None);
    }
}

#[test]
fn cleaned_text_is_one_line_and_folding_keeps_its_words() {
    assert_eq!(clean(" a\r\nb\tc\x07\u{85}d ", 99), "a / b c??d");
    assert_eq!(clean("abcdef", 3), "abc...");
    let field = format!("X: {}  end", "word ".repeat(60));
    let folded = fold(&field);
    assert_eq!(folded.replace("\r\n", ""), field);
    assert!(folded.split("\r\n").all(|line| line.len() <= 80 && !line.trim().is_empty()));
}

#[test]
fn the_header_section_ends_with_a_whole_line() {
    for (bytes, section) in [
        (&b"A: b\r\nC: d\r\n\r\nbody\r\n"[..], &b"A: b\r\nC: d\r\n"[..]),
        (b"\r\nbody\r\n", b""),
        (b"A: b\r\nC: cut of", b"A: b\r\n"),
        (b"no line", b""),
    ] {
        assert_eq!(header_section(bytes), section);
    }
}

#[tokio::test]
async fn a_report_goes_from_nobody_to_the_sender_alone() {
    let world = crate::testing::World::new();
    let job = vec![crate::testing::delivery("a.example", &["never", "never2", "ok"])];
    world.run_job(job, false).await;
    let [pack] = &world.reports()[..] else { panic!("one report for both") };
    let id = *world.spool.packs.lock().unwrap().iter().find(|(_, (_, bytes))| bytes == pack).unwrap().0;
    let header = shared::pack::PackReader::new(world.spool.clone(), id).header().await.unwrap();
    let [message] = &header.messages[..] else { panic!("one message") };
    assert_eq!(message.envelope.from, ReversePath::Null);
    assert_eq!(message.envelope.recipients, [Mailbox::parse("ann@sender.example").unwrap().into()]);
    assert!(message.client.submission && !message.envelope.options.smtputf8);
    let text = String::from_utf8_lossy(pack);
    assert!(text.contains("never@a.example") && text.contains("never2@a.example"));
    assert!(text.contains("Subject: hello") && !text.contains("the body") && !text.contains("ok@a.example"));
}
