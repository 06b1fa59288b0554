//! Reads replies (RFC 5321 §4.2) from octets that arrive in any pieces. Pure, and bounded whatever arrives.

use shared::mail::Reply;
use thiserror::Error;

use crate::deliver::ClientLimits;

/// Why octets are not a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum ReplyError {
    /// A line does not begin with a code of 200 to 599 and a space, a hyphen or its end.
    #[error("a line is not a reply line")]
    Malformed,
    /// The lines of one reply have different codes (RFC 5321 §4.2.1).
    #[error("its lines have different codes")]
    CodesDiffer,
    /// More lines than any reply has.
    #[error("it has too many lines")]
    TooManyLines,
    /// More octets than any reply has.
    #[error("it is too long")]
    TooLong,
}

/// A reply as it stood on the wire: most are only looked at, so the enhanced code is not taken off yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawReply {
    /// Between 200 and 599.
    pub(crate) code: u16,
    /// The text of the lines, joined by `\n`, without control characters.
    pub(crate) text: String,
}

impl RawReply {
    /// The reply with its enhanced code, and at most `octets_max` of its text.
    pub(crate) fn into_reply(mut self, octets_max: usize) -> Reply {
        if self.text.len() > octets_max {
            self.text.truncate(self.text.floor_char_boundary(octets_max));
        }
        Reply::received(self.code, &self.text).expect("the parser lets no other code through")
    }
}

/// Octets in, replies out. It holds what was fed and not yet read, and one reply in the making.
pub(crate) struct ReplyParser {
    line_octets_max: usize,
    lines_max: usize,
    octets_max: usize,
    fed: Vec<u8>,
    at: usize,
    /// The beginning of a line whose end is not here yet.
    line: Vec<u8>,
    code: Option<u16>,
    text: String,
    lines: usize,
    octets: usize,
}

impl ReplyParser {
    pub(crate) fn new(limits: &ClientLimits) -> Self {
        Self {
            line_octets_max: limits.reply_line_octets,
            lines_max: limits.reply_lines,
            octets_max: limits.reply_octets,
            fed: Vec::new(),
            at: 0,
            line: Vec::new(),
            code: None,
            text: String::new(),
            lines: 0,
            octets: 0,
        }
    }

    /// Whether every octet that was fed has been given as part of a reply.
    pub(crate) fn is_empty(&self) -> bool {
        self.at == self.fed.len() && self.line.is_empty() && self.lines == 0
    }

    /// Adds octets. To be called when [`ReplyParser::next`] has none left to read, so that nothing piles up.
    pub(crate) fn feed(&mut self, octets: &[u8]) {
        self.fed.extend_from_slice(octets);
    }

    /// The next reply, or `None` if more octets are needed for it. After an error, nothing that follows has a meaning.
    pub(crate) fn next(&mut self) -> Result<Option<RawReply>, ReplyError> {
        // some servers end lines with a bare LF; no reply can be mistaken for another by that
        while let Some(length) = memchr::memchr(b'\n', &self.fed[self.at..]) {
            self.take(length)?;
            self.at += 1;
            self.octets += 1;
            if let Some(reply) = self.end_line()? {
                return Ok(Some(reply));
            }
        }
        self.take(self.fed.len() - self.at)?;
        self.fed.clear();
        self.at = 0;
        Ok(None)
    }

    /// Moves `length` octets of one line out of what was fed, and keeps of them what the line has room for.
    fn take(&mut self, length: usize) -> Result<(), ReplyError> {
        self.octets += length;
        if self.octets >= self.octets_max {
            return Err(ReplyError::TooLong);
        }
        let room = self.line_octets_max.saturating_sub(self.line.len());
        self.line.extend_from_slice(&self.fed[self.at..self.at + length.min(room)]);
        self.at += length;
        Ok(())
    }

    fn end_line(&mut self) -> Result<Option<RawReply>, ReplyError> {
        self.lines += 1;
        if self.lines > self.lines_max {
            return Err(ReplyError::TooManyLines);
        }
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        let (code, last, text) = split_line(line).ok_or(ReplyError::Malformed)?;
        if self.code.is_some_and(|first| first != code) {
            return Err(ReplyError::CodesDiffer);
        }
        if self.code.is_some() {
            self.text.push('\n');
        }
        // it is shown on terminals and put into reports: no control characters
        let text = String::from_utf8_lossy(text);
        self.text.extend(text.chars().map(|char| if char.is_control() { ' ' } else { char }));
        self.line.clear();
        self.code = (!last).then_some(code);
        if !last {
            return Ok(None);
        }
        (self.lines, self.octets) = (0, 0);
        Ok(Some(RawReply { code, text: std::mem::take(&mut self.text) }))
    }
}

/// The code, whether this is the reply's last line, and the text (RFC 5321 §4.2.1).
fn split_line(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (digits, rest) = line.split_at_checked(3)?;
    if !matches!(digits[0], b'2'..=b'5') || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    match rest.split_first() {
        None => Some((code, true, rest)),
        Some((b' ', text)) => Some((code, true, text)),
        Some((b'-', text)) => Some((code, false, text)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limits() -> ClientLimits {
        ClientLimits { reply_line_octets: 40, reply_lines: 4, reply_octets: 200, ..ClientLimits::default() }
    }

    /// Every reply that `pieces` make, until the first error.
    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<RawReply>, Option<ReplyError>) {
        let mut parser = ReplyParser::new(&limits());
        let mut replies = Vec::new();
        for piece in pieces {
            parser.feed(piece);
            loop {
                match parser.next() {
                    Ok(Some(reply)) => replies.push(reply),
                    Ok(None) => break,
                    Err(error) => return (replies, Some(error)),
                }
            }
            assert!(parser.fed.is_empty() && parser.line.len() <= 40 && parser.text.len() <= 4 * 3 * 40);
        }
        (replies, None)
    }

    fn reply(code: u16, text: &str) -> RawReply {
        RawReply { code, text: text.to_owned() }
    }

    #[test]
    fn replies_of_one_and_of_many_lines_are_read_in_turn() {
        let wire = b"250-first\r\n250 second\r\n354\r\n550 5.1.1 no\n";
        let expected = vec![reply(250, "first\nsecond"), reply(354, ""), reply(550, "5.1.1 no")];
        assert_eq!(read([&wire[..]]), (expected, None));
    }

    #[test]
    fn what_is_not_a_reply_is_an_error() {
        for (wire, error) in [
            (&b"hello\r\n"[..], ReplyError::Malformed),
            (b"\r\n", ReplyError::Malformed),
            (b"25\r\n", ReplyError::Malformed),
            (b"150 x\r\n", ReplyError::Malformed),
            (b"2500 x\r\n", ReplyError::Malformed),
            (b"250-x\r\n550 y\r\n", ReplyError::CodesDiffer),
            (b"250-\r\n250-\r\n250-\r\n250-\r\n250-\r\n", ReplyError::TooManyLines),
            (&[b'2'; 300], ReplyError::TooLong),
        ] {
            assert_eq!(read([wire]), (vec![], Some(error)), "{}", wire.escape_ascii());
        }
    }

    #[test]
    fn a_long_line_is_cut_and_the_reply_still_counts() {
        let wire = format!("250 {}\r\n221 bye\r\n", "x".repeat(150));
        let expected = vec![reply(250, &"x".repeat(36)), reply(221, "bye")];
        assert_eq!(read([wire.as_bytes()]), (expected, None));
    }

    #[test]
    fn a_reply_carries_nothing_a_terminal_obeys() {
        assert_eq!(read([&b"250 a\x1b[2J\rb\xff\r\n"[..]]).0, vec![reply(250, "a [2J b\u{fffd}")]);
    }

    #[test]
    fn a_reply_of_an_outcome_is_cut_between_characters() {
        assert_eq!(reply(550, "5.1.1 n\u{f6}").into_reply(8).text(), "n");
    }

    fn wire() -> impl Strategy<Value = Vec<u8>> {
        let line = prop_oneof![
            "(250|550)[- ][a-z\r]{0,60}\r?\n",
            "[0-9]{0,4}[- ]?[ -~]{0,20}\r\n",
            Just("\n".to_owned())
        ];
        prop::collection::vec(line, 0..8).prop_map(|lines| lines.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_replies(wire in wire(), cuts in prop::collection::vec(0usize..400, 0..20)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(wire.len())).collect();
            cuts.extend([0, wire.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|pair| &wire[pair[0]..pair[1]]);
            prop_assert_eq!(read(pieces), read([&wire[..]]));
        }

        #[test]
        fn arbitrary_octets_neither_panic_nor_grow(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..40)) {
            read(pieces.iter().map(Vec::as_slice));
        }
    }
}
