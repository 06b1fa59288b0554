//! A local file as the content of a message.

use std::io::{self, Write};

/// A file's text, and what a server must be able to take of it.
pub(super) struct Content<'a> {
    text: &'a [u8],
}

impl<'a> Content<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text }
    }

    /// Its lines without their ends; a CRLF ends one, and so does an LF alone.
    fn lines(&self) -> impl Iterator<Item = &'a [u8]> {
        let lines = self.text.split_inclusive(|octet| *octet == b'\n');
        lines.map(|line| {
            line.strip_suffix(b"\n").map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line))
        })
    }

    /// Its size as it is sent, without dots added (RFC 1870 §5).
    pub(super) fn octets(&self) -> u64 {
        self.lines().map(|line| line.len() as u64 + 2).sum()
    }

    pub(super) fn eight_bit(&self) -> bool {
        !self.text.is_ascii()
    }

    pub(super) fn eight_bit_header(&self) -> bool {
        self.lines().take_while(|line| !line.is_empty()).any(|line| !line.is_ascii())
    }

    /// Writes it as it goes over the wire, with its final dot (RFC 5321 §4.5.2).
    pub(super) fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        for line in self.lines() {
            if line.first() == Some(&b'.') {
                out.write_all(b".")?;
            }
            out.write_all(line)?;
            out.write_all(b"\r\n")?;
        }
        out.write_all(b".\r\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(text: &str) -> String {
        let mut out = Vec::new();
        Content::new(text.as_bytes()).write_to(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn line_ends_become_crlf_and_dots_are_stuffed() {
        assert_eq!(wire("a\nb\r\n.c\n..\n\nd"), "a\r\nb\r\n..c\r\n...\r\n\r\nd\r\n.\r\n");
        assert_eq!(wire("a\r\r\n\r\n"), "a\r\r\n\r\n.\r\n");
        assert_eq!(wire(""), ".\r\n");
    }

    #[test]
    fn size_counts_what_is_stored_and_not_what_is_stuffed() {
        assert_eq!(Content::new(b".a\nb").octets(), 7);
    }

    #[test]
    fn what_the_server_must_take_is_seen() {
        let content = |text: &'static str| Content::new(text.as_bytes());
        assert!(!content("Subject: x\n\nplain").eight_bit());
        assert!(
            content("Subject: x\n\ngrün").eight_bit() && !content("Subject: x\n\ngrün").eight_bit_header()
        );
        assert!(content("Subject: grün\n\n").eight_bit_header());
    }
}
