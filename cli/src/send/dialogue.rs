//! Commands and replies over a stream.

use std::io::{BufRead, BufReader, BufWriter, Read, Write};

use shared::mail::Reply;

use super::message::Content;
use crate::limits::{REPLY_LINE_OCTETS_MAX, REPLY_LINES_MAX, SEND_OCTETS};
use crate::screen::plain;

/// The dialogue cannot go on.
#[derive(Debug)]
pub(super) struct Broken(pub(super) String);

/// A dialogue with a server, shown to somebody if they like.
pub(super) struct Dialogue<'a, R: Read, W: Write> {
    reader: BufReader<R>,
    writer: BufWriter<W>,
    shown: Option<&'a mut dyn Write>,
}

impl<'a, R: Read, W: Write> Dialogue<'a, R, W> {
    pub(super) fn new(reader: BufReader<R>, writer: W, shown: Option<&'a mut dyn Write>) -> Self {
        Self { reader, writer: BufWriter::with_capacity(SEND_OCTETS, writer), shown }
    }

    /// Sends a command and waits for its reply.
    pub(super) fn command(&mut self, line: &str) -> Result<Reply, Broken> {
        self.show("C", line);
        let sent = self.writer.write_all(format!("{line}\r\n").as_bytes()).and_then(|()| self.writer.flush());
        sent.map_err(|error| Broken(format!("the connection broke: {error}")))?;
        self.reply()
    }

    /// Sends the content and waits for the reply to its final dot.
    pub(super) fn content(&mut self, content: &Content<'_>) -> Result<Reply, Broken> {
        self.show("C", &format!("({} octets of message)", content.octets()));
        self.show("C", ".");
        let sent = content.write_to(&mut self.writer).and_then(|()| self.writer.flush());
        sent.map_err(|error| Broken(format!("the connection broke: {error}")))?;
        self.reply()
    }

    /// The next reply, all of its lines (RFC 5321 §4.2.1).
    pub(super) fn reply(&mut self) -> Result<Reply, Broken> {
        let mut texts = Vec::new();
        for _ in 0..REPLY_LINES_MAX {
            let line = self.line()?;
            self.show("S", &line);
            let malformed = || Broken(format!("the server's reply cannot be read: {}", plain(&line)));
            let code = line.get(..3).and_then(|code| code.parse().ok()).ok_or_else(malformed)?;
            let (more, text) = match line.as_bytes().get(3) {
                None => (false, ""),
                Some(b' ') => (false, &line[4..]),
                Some(b'-') => (true, &line[4..]),
                Some(_) => return Err(malformed()),
            };
            texts.push(text.to_owned());
            if !more {
                return Reply::received(code, &texts.join("\n")).ok_or_else(malformed);
            }
        }
        Err(Broken(format!("the server's reply has over {REPLY_LINES_MAX} lines")))
    }

    fn line(&mut self) -> Result<String, Broken> {
        let mut line = Vec::new();
        let read = (&mut self.reader).take(REPLY_LINE_OCTETS_MAX as u64).read_until(b'\n', &mut line);
        match read {
            Err(error) => Err(Broken(format!("the server did not answer: {error}"))),
            Ok(_) if line.is_empty() => Err(Broken("the server closed the connection".to_owned())),
            Ok(_) if line.last() != Some(&b'\n') => {
                Err(Broken("the server's reply ends in the middle of a line, or never".to_owned()))
            }
            Ok(_) => Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()),
        }
    }

    fn show(&mut self, who: &str, line: &str) {
        if let Some(shown) = &mut self.shown {
            // nobody looks; the message matters more
            let _ = writeln!(shown, "{who}: {}", plain(line));
        }
    }
}
