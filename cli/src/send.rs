//! `spoolway send`: submits a file over SMTP.

mod dialogue;
mod message;

use std::io::{BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};

use serde::Serialize;
use shared::mail::{Domain, Mailbox, Reply, ReplyClass, ReversePath};

use crate::exit::{Exit, Failure, Outcome};
use crate::limits::{CONNECT_TIME, REPLY_TIME};
use crate::screen::{plain, reply_line, write_json};
use crate::trace::ReplyStory;

use dialogue::{Broken, Dialogue};
use message::Content;

/// A message to submit.
pub(crate) struct Submission {
    pub(crate) from: ReversePath,
    pub(crate) to: Vec<Mailbox>,
    pub(crate) content: Vec<u8>,
}

/// What the server said to it. As JSON, the answer of `send --json`: fields are added, never changed.
#[derive(Debug, Serialize)]
struct Answer {
    /// What to `trace`, where the server is an edge of ours and took the message.
    id: Option<String>,
    /// The reply that decided for the message.
    reply: ReplyStory,
    refused: Vec<Refused>,
}

#[derive(Debug, Serialize)]
struct Refused {
    recipient: Mailbox,
    reply: ReplyStory,
}

/// Submits the message to `server` and writes what came of it. `dialogue` gets each line that is said, if it is there.
pub(crate) fn run(
    server: &str,
    submission: &Submission,
    json: bool,
    out: &mut dyn Write,
    dialogue: Option<&mut dyn Write>,
) -> Outcome {
    let stream = connect(server)?;
    let name =
        Domain::from_ip(stream.local_addr().map_or([127, 0, 0, 1].into(), |local| local.ip().to_canonical()));
    let reader = stream.try_clone().map_err(|error| Failure::io(server, &error))?;
    let dialogue = Dialogue::new(BufReader::new(reader), stream, dialogue);
    talk(dialogue, &name, submission, json, out)
}

fn connect(server: &str) -> Outcome<TcpStream> {
    let unreachable = |why: &dyn std::fmt::Display| {
        let text =
            format!("{server} cannot be reached: {why}; `spoolway dev` runs an edge on 127.0.0.1:2525");
        Failure::new(Exit::Unavailable, text)
    };
    let mut last = None;
    for address in server.to_socket_addrs().map_err(|error| unreachable(&error))? {
        match TcpStream::connect_timeout(&address, CONNECT_TIME) {
            Ok(stream) => {
                let timed =
                    stream.set_read_timeout(Some(REPLY_TIME)).and(stream.set_write_timeout(Some(REPLY_TIME)));
                timed.and(stream.set_nodelay(true)).map_err(|error| Failure::io(server, &error))?;
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(|| unreachable(&"it has no address"), |error| unreachable(&error)))
}

fn talk<R: Read, W: Write>(
    mut dialogue: Dialogue<'_, R, W>,
    name: &Domain,
    submission: &Submission,
    json: bool,
    out: &mut dyn Write,
) -> Outcome {
    let content = Content::new(&submission.content);
    let answer = transaction(&mut dialogue, name, submission, &content);
    // the message is decided; what becomes of QUIT changes nothing
    let _ = dialogue.command("QUIT");
    let (reply, refused) = answer?;
    let id = reply.text().split_whitespace().skip_while(|word| *word != "as").nth(1);
    let answer = Answer { id: id.map(|id| plain(id).into_owned()), reply: ReplyStory::from(&reply), refused };
    if json {
        write_json(out, &answer)?;
    } else {
        writeln!(out, "{}", answer.id.clone().unwrap_or_else(|| reply_line(&reply)))?;
    }
    let exits: Vec<Exit> = answer.refused.iter().map(|refused| exit_of(refused.reply.code())).collect();
    match exits.iter().find(|exit| **exit == Exit::Later).or(exits.first()) {
        None => Ok(()),
        Some(exit) => {
            let line = |refused: &Refused| format!("{}: {}", refused.recipient, refused.reply.line());
            let lines: Vec<String> = answer.refused.iter().map(line).collect();
            Err(Failure::new(*exit, format!("accepted, but not for\n  {}", plain_lines(&lines))))
        }
    }
}

fn plain_lines(lines: &[String]) -> String {
    lines.iter().map(|line| plain(line)).collect::<Vec<_>>().join("\n  ")
}

/// From the greeting to the reply to the final dot: that reply, and the recipients that were refused.
fn transaction<R: Read, W: Write>(
    dialogue: &mut Dialogue<'_, R, W>,
    name: &Domain,
    submission: &Submission,
    content: &Content<'_>,
) -> Outcome<(Reply, Vec<Refused>)> {
    expect(dialogue.reply()?, ReplyClass::Completed, "the server's greeting")?;
    let extensions = hello(dialogue, name)?;
    let mail = mail_command(submission, content, &extensions)?;
    expect(dialogue.command(&mail)?, ReplyClass::Completed, "MAIL")?;
    let mut refused = Vec::new();
    for recipient in &submission.to {
        let reply = dialogue.command(&format!("RCPT TO:<{}>", path(recipient)))?;
        if reply.class() != ReplyClass::Completed {
            refused.push(Refused { recipient: recipient.clone(), reply: ReplyStory::from(&reply) });
        }
    }
    if refused.len() == submission.to.len() {
        let later = refused.iter().any(|refused| exit_of(refused.reply.code()) == Exit::Later);
        let lines: Vec<String> = refused
            .iter()
            .map(|refused| format!("{}: {}", refused.recipient, refused.reply.line()))
            .collect();
        let exit = if later { Exit::Later } else { Exit::Data };
        return Err(Failure::new(exit, format!("no recipient was accepted\n  {}", plain_lines(&lines))));
    }
    expect(dialogue.command("DATA")?, ReplyClass::Intermediate, "DATA")?;
    let reply = dialogue.content(content).map_err(|broken| {
        let text = format!("{}; the message may have been accepted all the same", broken.0);
        Failure::new(Exit::Later, text)
    })?;
    Ok((expect(reply, ReplyClass::Completed, "the message")?, refused))
}

fn hello<R: Read, W: Write>(dialogue: &mut Dialogue<'_, R, W>, name: &Domain) -> Outcome<Vec<String>> {
    let reply = dialogue.command(&format!("EHLO {name}"))?;
    if reply.class() == ReplyClass::Permanent {
        // a server from before 1995 (RFC 5321 §3.2)
        expect(dialogue.command(&format!("HELO {name}"))?, ReplyClass::Completed, "HELO")?;
        return Ok(Vec::new());
    }
    let reply = expect(reply, ReplyClass::Completed, "EHLO")?;
    let keyword = |line: &str| line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
    Ok(reply.text().split('\n').skip(1).map(keyword).collect())
}

fn mail_command(submission: &Submission, content: &Content<'_>, extensions: &[String]) -> Outcome<String> {
    let offers = |keyword: &str| extensions.iter().any(|offered| offered == keyword);
    let mut command = match &submission.from {
        ReversePath::Null => "MAIL FROM:<>".to_owned(),
        ReversePath::Mailbox(from) => format!("MAIL FROM:<{}>", path(from)),
    };
    if offers("SIZE") {
        command += &format!(" SIZE={}", content.octets());
    }
    let utf8_address =
        submission.from.mailbox().into_iter().chain(&submission.to).any(|one| !path(one).is_ascii());
    for (needed, keyword, parameter, what) in [
        (content.eight_bit(), "8BITMIME", " BODY=8BITMIME", "the message has octets over 127"),
        (
            content.eight_bit_header() || utf8_address,
            "SMTPUTF8",
            " SMTPUTF8",
            "an address or header is not ASCII",
        ),
    ] {
        if needed && !offers(keyword) {
            return Err(Failure::new(Exit::Data, format!("{what}, and the server does not offer {keyword}")));
        }
        if needed {
            command += parameter;
        }
    }
    Ok(command)
}

/// The address as it is sent: a domain outside ASCII in its A-label form, unless the local part needs SMTPUTF8 anyway.
fn path(mailbox: &Mailbox) -> String {
    if mailbox.local_part().is_ascii() && !mailbox.is_ascii() {
        return format!("{}@{}", mailbox.local_part(), mailbox.domain());
    }
    mailbox.as_str().to_owned()
}

/// The reply, if it is of the class that lets the transaction go on.
fn expect(reply: Reply, class: ReplyClass, what: &str) -> Outcome<Reply> {
    if reply.class() == class {
        return Ok(reply);
    }
    Err(Failure::new(exit_of(reply.code()), format!("{what} was answered with {}", reply_line(&reply))))
}

fn exit_of(code: u16) -> Exit {
    if code >= 500 { Exit::Data } else { Exit::Later }
}

impl From<Broken> for Failure {
    fn from(Broken(why): Broken) -> Self {
        Self::new(Exit::Later, why)
    }
}

#[cfg(test)]
mod tests;
