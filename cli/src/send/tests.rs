use std::io::Cursor;
use std::net::TcpListener;

use super::*;

const EHLO: &str = "250-edge.example\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 PIPELINING\r\n";

struct Sent {
    outcome: Outcome,
    out: String,
    shown: String,
    wire: String,
}

/// Submits to a server that answers with `replies`, whatever is said to it.
fn send(replies: &str, from: &str, to: &[&str], content: &str, json: bool) -> Sent {
    let submission = Submission {
        from: ReversePath::try_from(from.to_owned()).unwrap(),
        to: to.iter().map(|to| to.parse().unwrap()).collect(),
        content: content.as_bytes().to_vec(),
    };
    let (mut out, mut shown, mut wire) = (Vec::new(), Vec::new(), Vec::new());
    let reader = BufReader::new(Cursor::new(replies.as_bytes().to_vec()));
    let dialogue = Dialogue::new(reader, &mut wire, Some(&mut shown));
    let outcome = talk(dialogue, &"[127.0.0.1]".parse().unwrap(), &submission, json, &mut out);
    let text = |octets| String::from_utf8(octets).unwrap();
    Sent { outcome, out: text(out), shown: text(shown), wire: text(wire) }
}

fn simple(replies: &str) -> Sent {
    send(replies, "a@example.com", &["b@example.org"], "Subject: x\n\n.\nhello\n", false)
}

#[test]
fn a_message_is_submitted_and_its_id_is_told() {
    let sent = simple(&format!(
        "220 edge\r\n{EHLO}250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go\r\n250 2.0.0 queued as 0123-0\r\n221 2.0.0 bye\r\n"
    ));
    assert!(sent.outcome.is_ok(), "{:?}", sent.outcome);
    assert_eq!(sent.out, "0123-0\n");
    assert_eq!(
        sent.wire,
        "EHLO [127.0.0.1]\r\nMAIL FROM:<a@example.com> SIZE=24\r\nRCPT TO:<b@example.org>\r\nDATA\r\n\
         Subject: x\r\n\r\n..\r\nhello\r\n.\r\nQUIT\r\n"
    );
    assert_eq!(
        sent.shown,
        "S: 220 edge\nC: EHLO [127.0.0.1]\nS: 250-edge.example\nS: 250-SIZE 1000\nS: 250-8BITMIME\nS: 250-SMTPUTF8\n\
         S: 250 PIPELINING\nC: MAIL FROM:<a@example.com> SIZE=24\nS: 250 2.1.0 ok\nC: RCPT TO:<b@example.org>\n\
         S: 250 2.1.5 ok\nC: DATA\nS: 354 go\nC: (24 octets of message)\nC: .\nS: 250 2.0.0 queued as 0123-0\n\
         C: QUIT\nS: 221 2.0.0 bye\n"
    );
}

#[test]
fn a_refusal_is_65_and_a_deferral_75_with_the_reply_shown() {
    let ok = "250 2.1.0 ok\r\n";
    for (replies, exit, part) in [
        ("554 no service\r\n".to_owned(), Exit::Data, "greeting was answered with 554 no service"),
        ("421 4.3.2 later\r\n".to_owned(), Exit::Later, "421 4.3.2 later"),
        (
            format!("220 x\r\n{EHLO}550 5.7.1 not you\r\n"),
            Exit::Data,
            "MAIL was answered with 550 5.7.1 not you",
        ),
        (
            format!("220 x\r\n{EHLO}{ok}550 5.7.1 no relay\r\n"),
            Exit::Data,
            "b@example.org: 550 5.7.1 no relay",
        ),
        (format!("220 x\r\n{EHLO}{ok}451 4.3.0 later\r\n"), Exit::Later, "b@example.org: 451 4.3.0 later"),
        (format!("220 x\r\n{EHLO}{ok}{ok}354 go\r\n451 4.3.0 disk\r\n"), Exit::Later, "451 4.3.0 disk"),
        (format!("220 x\r\n{EHLO}{ok}{ok}354 go\r\n"), Exit::Later, "may have been accepted all the same"),
        (format!("220 x\r\n{EHLO}{ok}"), Exit::Later, "closed the connection"),
        ("hello\r\n".to_owned(), Exit::Later, "cannot be read"),
        ("220 x".to_owned(), Exit::Later, "middle of a line"),
        ("220-x\r\n".repeat(200), Exit::Later, "over 128 lines"),
    ] {
        let failure = simple(&replies).outcome.unwrap_err();
        assert_eq!(failure.exit, exit, "{replies}");
        assert!(failure.text.contains(part), "{failure:?}");
    }
}

#[test]
fn recipients_that_were_refused_are_told_though_the_message_went_to_others() {
    let replies = format!(
        "220 x\r\n{EHLO}250 2.1.0 ok\r\n250 2.1.5 ok\r\n550 5.7.1 no relay\r\n354 go\r\n250 2.0.0 queued as 7-0\r\n221 bye\r\n"
    );
    let sent = send(&replies, "", &["b@example.org", "c@example.net"], "x\n", true);
    let failure = sent.outcome.unwrap_err();
    assert_eq!(failure.exit, Exit::Data);
    assert!(failure.text.contains("c@example.net: 550 5.7.1 no relay"), "{failure:?}");
    assert!(sent.wire.contains("MAIL FROM:<> SIZE=3\r\n"));
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&sent.out).unwrap(),
        serde_json::json!({
            "id": "7-0",
            "reply": {"code": 250, "enhanced": "2.0.0", "text": "queued as 7-0"},
            "refused": [{
                "recipient": "c@example.net",
                "reply": {"code": 550, "enhanced": "5.7.1", "text": "no relay"},
            }],
        })
    );
}

#[test]
fn what_the_message_needs_is_asked_for_or_it_is_not_sent() {
    let plain = "220 x\r\n250 edge.example\r\n221 bye\r\n";
    for (to, content, parameter) in [
        ("b@example.org", "Subject: x\n\ngrün\n", " BODY=8BITMIME\r\n"),
        ("b@example.org", "Subject: grün\n\nx\n", " BODY=8BITMIME SMTPUTF8\r\n"),
        ("dörte@example.org", "Subject: x\n\nx\n", " SMTPUTF8\r\n"),
    ] {
        let sent = send(&format!("220 x\r\n{EHLO}550 no\r\n"), "a@example.com", &[to], content, false);
        assert!(sent.wire.contains(parameter), "{}", sent.wire);
        let sent = send(plain, "a@example.com", &[to], content, false);
        assert_eq!(sent.outcome.unwrap_err().exit, Exit::Data);
        assert!(!sent.wire.contains("MAIL"), "{}", sent.wire);
    }
    let sent = send(
        &format!("220 x\r\n{EHLO}250 ok\r\n550 no\r\n"),
        "a@example.com",
        &["b@bücher.example"],
        "x\n",
        false,
    );
    assert!(sent.wire.contains("RCPT TO:<b@xn--bcher-kva.example>\r\n"), "{}", sent.wire);
}

#[test]
fn a_server_without_ehlo_is_greeted_with_helo() {
    let replies = "220 x\r\n502 what\r\n250 edge\r\n250 ok\r\n250 ok\r\n354 go\r\n250 done\r\n221 bye\r\n";
    let sent = simple(replies);
    assert!(sent.outcome.is_ok(), "{:?}", sent.outcome);
    assert!(sent.wire.contains("HELO [127.0.0.1]\r\nMAIL FROM:<a@example.com>\r\n"), "{}", sent.wire);
    assert_eq!(sent.out, "250 done\n");
}

#[test]
fn a_server_that_is_not_there_is_unavailable() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let submission = Submission {
        from: ReversePath::Null,
        to: vec!["b@example.org".parse().unwrap()],
        content: Vec::new(),
    };
    let failure = run(&free.to_string(), &submission, false, &mut Vec::new(), None).unwrap_err();
    assert_eq!(failure.exit, Exit::Unavailable);
    assert!(failure.text.contains("cannot be reached"), "{failure:?}");
}
