//! Golden transcripts: `tests/transcripts/*.smtp`, one behaviour a file, played against the pure session.
//!
//! ```text
//! C: text        the client sends text and CRLF; \r \n \t \0 \\ and \xNN are escapes
//! C> text        it sends text as it stands
//! S: text        the next line of the server
//! S* 250         the next reply of the server, of any number of lines
//! M: text        the content of the message accepted last
//! E: text        its envelope: sender, arrow, recipients, options
//! S! closes      the server ends the session
//! ! setting      recipients N, octets N, received N, bad N, idle N, refused N, bare-lf crlf, mx, starttls, tls, auth, auth under tls,
//!                xclient, commit fails, drain, secured (behind STARTTLS, hands have been shaken)
//! # text         a remark
//! ```
//! Addresses of `refused.example` are denied. AUTH knows PLAIN and LOGIN, the name `app` and the secret `secret`. Every transcript is played whole, octet by octet and in odd
//! pieces, and must come out the same.

use std::fmt::Write as _;
use std::sync::Arc;

use ingress::smtp::{Action, Config, Encryption, Offer, Output, Response, Session, Setback, Terms, Verdict};
use ingress::{BareLf, Limits};
use shared::mail::{ByMode, DeliverBy, Envelope, Hold, MessageId, Notify, Reply, Ret, Timestamp};

/// A session with a caller that does what a transcript says.
pub(crate) struct Player {
    session: Session,
    offer: Offer,
    limits: Limits,
    out: Output,
    /// What is sent behind STARTTLS in clear text is thrown away.
    shakes_hands: bool,
    /// What the exchange of LOGIN has heard.
    login: Option<Vec<u8>>,
    pub(crate) replies: String,
    pub(crate) messages: Vec<(Envelope, Vec<u8>)>,
    pub(crate) closed: bool,
    commit_fails: bool,
}

impl Player {
    pub(crate) fn new(config: Config, offer: Offer) -> Self {
        let mut out = Output::default();
        let limits = config.limits.clone();
        let session = Session::begin(Arc::new(config), offer.clone(), NOW, &mut out);
        let mut player = Self {
            session,
            offer,
            limits,
            out,
            shakes_hands: false,
            login: None,
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
        while !self.closed && !self.shakes_hands {
            match self.session.step(&mut input, &mut self.out) {
                Action::Read => {
                    assert!(input.is_empty(), "input is left over");
                    break;
                }
                Action::Flush | Action::Begin => {}
                Action::StartTls => {
                    self.session.ready_for_tls(true, &mut self.out);
                    self.shakes_hands = true;
                }
                Action::Authenticate(mechanism, initial) => self.authenticate(&mechanism, initial),
                Action::Respond(response) => self.respond(&response),
                Action::Relocate(said) => {
                    let refused = said.ip.is_none().then(|| Reply::new(550, (7, 0), "no address"));
                    let offer = refused.map_or_else(|| Ok(self.offer.clone()), Err);
                    self.closed = self.session.relocated(offer, &mut self.out).is_some();
                }
                Action::CheckSender(mail) => {
                    let limits = &self.limits;
                    let verdict = match mail.from.mailbox() {
                        Some(mailbox) if mailbox.domain().as_str() == "refused.example" => {
                            Err(Reply::new(553, (7, 1), "not your address"))
                        }
                        _ => {
                            Ok(Terms { recipients: limits.recipients, message_octets: limits.message_octets })
                        }
                    };
                    self.session.sender(*mail, verdict, &mut self.out);
                }
                Action::CheckRecipient(rcpt, mailbox) => {
                    let verdict = if mailbox.domain().as_str() == "refused.example" {
                        Verdict::Refuse(Reply::new(550, (7, 1), "relaying denied"))
                    } else {
                        Verdict::Accept
                    };
                    self.closed = self.session.recipient(*rcpt, mailbox, verdict, &mut self.out).is_some();
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

    fn authenticate(&mut self, mechanism: &str, initial: Option<Response>) {
        match (mechanism, initial) {
            ("PLAIN", Some(response)) => self.respond(&response),
            ("PLAIN", None) => self.session.challenge(b"", &mut self.out),
            _ => {
                self.login = Some(Vec::new());
                self.session.challenge(b"Username:", &mut self.out);
            }
        }
    }

    fn respond(&mut self, Response(response): &Response) {
        let said = match self.login.take() {
            None => response.clone(),
            Some(name) if name.is_empty() => {
                self.login = Some([b"\0", response.as_slice(), b"\0"].concat());
                return self.session.challenge(b"Password:", &mut self.out);
            }
            Some(name) => [name.as_slice(), response].concat(),
        };
        if said == b"\0app\0secret" {
            self.session.authenticated(&mut self.out);
        } else {
            let reply = Reply::new(535, (7, 8), "authentication failed");
            self.closed = self.session.denied(reply, &mut self.out).is_some();
        }
    }

    fn secured(&mut self) {
        assert!(std::mem::take(&mut self.shakes_hands), "STARTTLS was not accepted");
        self.offer.encryption = Encryption::Active;
        if std::mem::take(&mut self.offer.mechanisms_under_tls) {
            self.offer.mechanisms = MECHANISMS.to_vec();
        }
        self.session.secured(self.offer.clone());
    }
}

const MECHANISMS: [&str; 2] = ["PLAIN", "LOGIN"];
const NOW: Timestamp = Timestamp::from_millis(1_764_057_600_000);

/// What a submission listener offers that has neither TLS nor credentials.
pub(crate) fn offer() -> Offer {
    Offer { submission: true, ..Offer::default() }
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
        if let Some(Notify { success, failure, delay }) = recipient.notify {
            let words = [(success, "success"), (failure, "failure"), (delay, "delay")];
            let words: Vec<_> = words.into_iter().filter_map(|(is, word)| is.then_some(word)).collect();
            write!(text, "[{}]", words.join(",")).unwrap();
        }
        if let Some(original) = &recipient.original {
            write!(text, "({};{})", original.kind, original.address).unwrap();
        }
    }
    let options = &envelope.options;
    write!(text, " {:?}{}", options.body, if options.smtputf8 { " SMTPUTF8" } else { "" }).unwrap();
    let rest = [
        options.require_tls.then(|| "REQUIRETLS".to_owned()),
        options.ret.map(|ret| if ret == Ret::Full { "FULL" } else { "HDRS" }.to_owned()),
        options.envid.as_ref().map(|envid| format!("ENVID={envid}")),
        options.hold.map(|hold| match hold {
            Hold::For(seconds) => format!("HOLDFOR={seconds}"),
            Hold::Until(until) => format!("HOLDUNTIL={until}"),
        }),
        (options.priority != 0).then(|| format!("MT-PRIORITY={}", options.priority)),
        options.deliver_by.map(|DeliverBy { seconds, mode, trace }| {
            let mode = if mode == ByMode::Return { "R" } else { "N" };
            format!("BY={seconds};{mode}{}", if trace { "T" } else { "" })
        }),
    ];
    rest.into_iter().flatten().for_each(|option| write!(text, " {option}").unwrap());
    text
}

fn set(config: &mut Config, offer: &mut Offer, setting: &str) {
    let (name, value) = setting.split_once(' ').unwrap_or((setting, ""));
    match name {
        "recipients" => config.limits.recipients = value.parse().unwrap(),
        "octets" => config.limits.message_octets = value.parse().unwrap(),
        "received" => config.limits.received_lines = value.parse().unwrap(),
        "bad" => config.limits.bad_commands = value.parse().unwrap(),
        "idle" => config.limits.idle_commands = value.parse().unwrap(),
        "refused" => config.limits.refused_recipients = value.parse().unwrap(),
        "bare-lf" => config.bare_lf = BareLf::Crlf,
        "mx" => offer.submission = false,
        "starttls" => offer.encryption = Encryption::Offered,
        "tls" => offer.encryption = Encryption::Active,
        "auth" if value.is_empty() => offer.mechanisms = MECHANISMS.to_vec(),
        "auth" => offer.mechanisms_under_tls = true,
        "xclient" => offer.xclient = true,
        "commit" | "drain" | "secured" => {}
        other => panic!("unknown setting {other}"),
    }
}

/// What the client sends between two things the transcript expects goes in together, in pieces of `piece` octets.
fn perform(name: &str, transcript: &str, piece: usize) {
    let (mut config, mut offer) = (config(), offer());
    let lines = || transcript.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines().filter_map(|line| line.strip_prefix("! ")).for_each(|setting| {
        set(&mut config, &mut offer, setting);
    });
    let mut player = Player::new(config, offer);
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
            "S* " => loop {
                let (reply, rest) =
                    player.replies.split_once("\r\n").unwrap_or_else(|| panic!("{place}: nothing was said"));
                assert!(reply.starts_with(text), "{place}: {reply}");
                let ends = reply.as_bytes().get(3) == Some(&b' ');
                player.replies = rest.to_owned();
                if ends {
                    break;
                }
            },
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
            _ if line == "! secured" => player.secured(),
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
