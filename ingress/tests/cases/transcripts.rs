//! Golden transcripts: `tests/transcripts/*.smtp`, one behaviour a file, played against the pure session.
//!
//! ```text
//! C: text        the client sends text and CRLF; \r \n \t \0 \\ and \xNN are escapes
//! C> text        it sends text as it stands
//! S: text        the next line of the server
//! M: text        the content of the message accepted last
//! E: text        its envelope: sender, arrow, recipients, options
//! S! closes      the server ends the session
//! ! setting      recipients N, octets N, received N, bad N, bare-lf crlf, commit fails, drain
//! # text         a remark
//! ```
//! Clients on `refused.example` addresses are denied. Every transcript is played whole, octet by octet and in odd
//! pieces, and must come out the same.

use std::fmt::Write as _;
use std::sync::Arc;

use ingress::smtp::{Action, Config, Output, Session, Setback, Verdict};
use ingress::{BareLf, Limits};
use shared::mail::{Envelope, MessageId, Reply};

/// A session with a caller that does what a transcript says.
pub(crate) struct Player {
    session: Session,
    out: Output,
    pub(crate) replies: String,
    pub(crate) messages: Vec<(Envelope, Vec<u8>)>,
    pub(crate) closed: bool,
    commit_fails: bool,
}

impl Player {
    pub(crate) fn new(config: Config) -> Self {
        let mut out = Output::default();
        let session = Session::begin(Arc::new(config), &mut out);
        let mut player = Self {
            session,
            out,
            replies: String::new(),
            messages: Vec::new(),
            closed: false,
            commit_fails: false,
        };
        player.flush();
        player
    }

    fn flush(&mut self) {
        self.replies += std::str::from_utf8(&std::mem::take(&mut self.out.replies)).unwrap();
    }

    pub(crate) fn held(&self) -> usize {
        self.session.held()
    }

    pub(crate) fn content_held(&self) -> usize {
        self.out.content.len()
    }

    /// Plays `input`, all in one piece.
    pub(crate) fn play(&mut self, mut input: &[u8]) {
        while !self.closed {
            match self.session.step(&mut input, &mut self.out) {
                Action::Read => {
                    assert!(input.is_empty(), "input is left over");
                    break;
                }
                Action::Flush | Action::Begin => {}
                Action::CheckRecipient(mailbox) => {
                    let verdict = if mailbox.domain().as_str() == "refused.example" {
                        Verdict::Refuse(Reply::new(550, (7, 1), "relaying denied"))
                    } else {
                        Verdict::Accept
                    };
                    self.session.recipient(mailbox, verdict, &mut self.out);
                }
                Action::Discard => self.out.content.clear(),
                Action::Commit(envelope, _) => {
                    let content = std::mem::take(&mut self.out.content);
                    self.messages.push((envelope, content));
                    let n = u32::try_from(self.messages.len() - 1).unwrap();
                    let pack = "01234567890123456789012345678901".parse().unwrap();
                    let id =
                        if self.commit_fails { Err(Setback::NotDurable) } else { Ok(MessageId { pack, n }) };
                    self.session.committed(id, &mut self.out);
                }
                Action::Close => self.closed = true,
            }
            self.flush();
        }
        self.flush();
    }
}

pub(crate) fn config() -> Config {
    Config { hostname: "edge.example".to_owned(), bare_lf: BareLf::Refuse, limits: Limits::default() }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        bytes.push(match (byte, after) {
            (b'\\', [b'x', high, low, after @ ..]) => {
                rest = after;
                u8::from_str_radix(std::str::from_utf8(&[*high, *low]).unwrap(), 16).unwrap()
            }
            (b'\\', [escape, after @ ..]) => {
                rest = after;
                match escape {
                    b'r' => b'\r',
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'0' => 0,
                    b'\\' => b'\\',
                    other => panic!("unknown escape {other}"),
                }
            }
            _ => *byte,
        });
    }
    bytes
}

fn describe(envelope: &Envelope) -> String {
    let mut text = format!("<{}> ->", envelope.from);
    for recipient in &envelope.recipients {
        write!(text, " <{}>", recipient.address).unwrap();
    }
    write!(text, " {:?}{}", envelope.options.body, if envelope.options.smtputf8 { " SMTPUTF8" } else { "" })
        .unwrap();
    text
}

fn set(config: &mut Config, setting: &str) -> bool {
    let (name, value) = setting.split_once(' ').unwrap_or((setting, ""));
    match name {
        "recipients" => config.limits.recipients = value.parse().unwrap(),
        "octets" => config.limits.message_octets = value.parse().unwrap(),
        "received" => config.limits.received_lines = value.parse().unwrap(),
        "bad" => config.limits.bad_commands = value.parse().unwrap(),
        "bare-lf" => config.bare_lf = BareLf::Crlf,
        "commit" | "drain" => return false,
        other => panic!("unknown setting {other}"),
    }
    true
}

/// What the client sends between two things the transcript expects goes in together, in pieces of `piece` octets.
fn perform(name: &str, transcript: &str, piece: usize) {
    let mut config = config();
    let lines = || transcript.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines().filter_map(|line| line.strip_prefix("! ")).for_each(|setting| {
        set(&mut config, setting);
    });
    let mut player = Player::new(config);
    let mut sent = Vec::new();
    for line in lines() {
        let place = format!("{name}, pieces of {piece}, `{line}`");
        let (mark, text) = line.split_at_checked(3).unwrap_or((line, ""));
        if !mark.starts_with('C') {
            std::mem::take(&mut sent).chunks(piece).for_each(|piece| player.play(piece));
        }
        match mark {
            "C: " => sent.extend([unescape(text), b"\r\n".to_vec()].concat()),
            "C> " => sent.extend(unescape(text)),
            "S: " => {
                let (reply, rest) =
                    player.replies.split_once("\r\n").unwrap_or_else(|| panic!("{place}: nothing was said"));
                assert_eq!(reply, text, "{place}");
                player.replies = rest.to_owned();
            }
            "M: " => {
                let content = &player.messages.last().unwrap().1;
                assert_eq!(
                    content.escape_ascii().to_string(),
                    unescape(text).escape_ascii().to_string(),
                    "{place}"
                );
            }
            "E: " => assert_eq!(describe(&player.messages.last().unwrap().0), text, "{place}"),
            "S! " => assert!(player.closed, "{place}"),
            _ if line == "! commit fails" => player.commit_fails = true,
            _ if line == "! drain" => player.session.drain(),
            _ if line.starts_with("! ") => {}
            _ => panic!("{place}: not a line of a transcript"),
        }
    }
    assert!(
        sent.is_empty() && player.replies.is_empty(),
        "{name}: the transcript ends before the replies `{}`",
        player.replies
    );
    assert_eq!(player.closed, transcript.contains("S! closes"), "{name}");
}

#[test]
fn every_transcript_comes_out_the_same_in_any_pieces() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let transcript = std::fs::read_to_string(&path).unwrap();
        for piece in [usize::MAX, 1, 2, 3, 7, 64] {
            perform(&path.file_name().unwrap().to_string_lossy(), &transcript, piece);
        }
        count += 1;
    }
    assert!(count >= 15, "only {count} transcripts were found in {folder}");
}
