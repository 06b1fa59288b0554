//! Replies and messages do not depend on the pieces the input comes in, and nothing is held over its limit. The first
//! octet picks what a bare LF comes to, whether commits fail, and the size of the pieces.
#![no_main]

use std::sync::Arc;

use ingress::Limits;
use ingress::smtp::{Action, BareLf, Config, Encryption, Offer, Output, Session, Setback, Terms, Verdict};
use libfuzzer_sys::fuzz_target;
use shared::mail::{Envelope, MessageId, PackId, Reply, Timestamp};

#[derive(Default, PartialEq, Debug)]
struct Heard {
    replies: Vec<u8>,
    messages: Vec<(Envelope, Vec<u8>)>,
    closed: bool,
}

fn converse(config: &Arc<Config>, fails: bool, pieces: std::slice::Chunks<'_, u8>) -> Heard {
    let (mut heard, mut out) = (Heard::default(), Output::default());
    let offer = Offer {
        encryption: Encryption::Offered,
        mechanisms: vec!["PLAIN"],
        mechanisms_under_tls: false,
        submission: true,
        xclient: true,
    };
    let mut session = Session::begin(Arc::clone(config), offer.clone(), Timestamp::from_millis(0), &mut out);
    for mut input in pieces {
        loop {
            match session.step(&mut input, &mut out) {
                Action::Read => break,
                Action::Flush | Action::Begin => {}
                // what comes behind it would be a handshake
                Action::StartTls => {
                    session.ready_for_tls(true, &mut out);
                    heard.closed = true;
                }
                Action::Authenticate(_, None) => session.challenge(b"", &mut out),
                Action::Authenticate(_, Some(response)) | Action::Respond(response) => {
                    if response.0.starts_with(b"x") {
                        heard.closed |= session.denied(Reply::new(535, (7, 8), "failed"), &mut out).is_some();
                    } else {
                        session.authenticated(&mut out);
                    }
                }
                Action::Relocate(_) => {
                    heard.closed |= session.relocated(Ok(offer.clone()), &mut out).is_some();
                }
                Action::CheckSender(mail) => {
                    let verdict = match mail.from.mailbox() {
                        Some(mailbox) if mailbox.local_part().starts_with('x') => {
                            Err(Reply::new(553, (7, 1), "not yours"))
                        }
                        _ => Ok(Terms { recipients: 3, message_octets: 200 }),
                    };
                    session.sender(*mail, verdict, &mut out);
                }
                Action::CheckRecipient(rcpt, mailbox) => {
                    let verdict = if mailbox.local_part().starts_with('x') {
                        Verdict::Refuse(Reply::new(550, (7, 1), "relaying denied"))
                    } else {
                        Verdict::Accept
                    };
                    heard.closed |= session.recipient(*rcpt, mailbox, verdict, &mut out).is_some();
                }
                Action::Discard => assert!(out.content.is_empty()),
                Action::Commit(envelope, _) => {
                    assert!(!envelope.recipients.is_empty());
                    heard.messages.push((envelope, std::mem::take(&mut out.content)));
                    let id = MessageId { pack: PackId::derived(Timestamp::from_millis(0), ""), n: 0 };
                    session.committed(if fails { Err(Setback::NotDurable) } else { Ok(id) }, &mut out);
                }
                Action::Close => heard.closed = true,
            }
            heard.replies.append(&mut out.replies);
            assert!(session.held() <= 2 * config.limits.auth_line_octets);
            if heard.closed {
                break;
            }
        }
        heard.replies.append(&mut out.replies);
        assert!(out.content.len() as u64 <= config.limits.message_octets);
        if heard.closed {
            break;
        }
        assert!(input.is_empty());
    }
    heard
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, input)) = data.split_first() else { return };
    let config = Arc::new(Config {
        hostname: "edge.example".to_owned(),
        bare_lf: if choice & 1 == 0 { BareLf::Refuse } else { BareLf::Crlf },
        limits: Limits {
            message_octets: 200,
            received_lines: 2,
            recipients: 3,
            replies_octets: 100,
            ..Limits::default()
        },
    });
    let fails = choice & 2 != 0;
    let whole = converse(&config, fails, input.chunks(usize::MAX));
    assert_eq!(whole, converse(&config, fails, input.chunks(usize::from(choice >> 2).max(1))));
    for line in whole.replies.split_inclusive(|byte| *byte == b'\n') {
        assert!(line.ends_with(b"\r\n") && line[..3].iter().all(u8::is_ascii_digit));
    }
});
