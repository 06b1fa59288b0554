//! What is noticed about content while it goes by, in one pass and in any pieces.

use memchr::memchr;
use shared::mail::ContentFacts;

const RECEIVED: &[u8; 9] = b"received:";

/// Watches decoded content: where the header section ends, octets over 127, Received lines, length.
#[derive(Debug, Default)]
pub(super) struct Observer {
    facts: ContentFacts,
    received_lines: u32,
    octets: u64,
    in_body: bool,
    /// The first octets of the header line being read, and how many octets it has so far.
    prefix: [u8; RECEIVED.len()],
    line_octets: usize,
}

impl Observer {
    pub(super) fn facts(&self) -> ContentFacts {
        self.facts
    }

    pub(super) fn received_lines(&self) -> u32 {
        self.received_lines
    }

    pub(super) fn octets(&self) -> u64 {
        self.octets
    }

    pub(super) fn observe(&mut self, bytes: &[u8]) {
        self.octets += bytes.len() as u64;
        let body = if self.in_body { bytes } else { self.observe_header(bytes) };
        if !self.facts.eight_bit_body {
            self.facts.eight_bit_body = !body.is_ascii();
        }
    }

    /// Reads what belongs to the header section, and gives what does not.
    fn observe_header<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        while let Some(end) = memchr(b'\n', bytes) {
            self.extend_line(&bytes[..end]);
            bytes = &bytes[end + 1..];
            // the header section ends at the first empty line (RFC 5322 §2.1)
            self.in_body = self.line_octets == 0 || (self.line_octets == 1 && self.prefix[0] == b'\r');
            if self.line_octets >= RECEIVED.len() && self.prefix.eq_ignore_ascii_case(RECEIVED) {
                self.received_lines += 1;
            }
            self.line_octets = 0;
            if self.in_body {
                return bytes;
            }
        }
        self.extend_line(bytes);
        &[]
    }

    fn extend_line(&mut self, part: &[u8]) {
        if !self.facts.eight_bit_header {
            self.facts.eight_bit_header = !part.is_ascii();
        }
        for (slot, byte) in self.prefix.iter_mut().skip(self.line_octets).zip(part) {
            *slot = *byte;
        }
        self.line_octets += part.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observe(content: &[u8], piece: usize) -> (u32, bool, bool) {
        let mut observer = Observer::default();
        content.chunks(piece).for_each(|piece| observer.observe(piece));
        assert_eq!(observer.octets(), content.len() as u64);
        (observer.received_lines(), observer.facts().eight_bit_header, observer.facts().eight_bit_body)
    }

    #[test]
    fn header_and_body_are_told_apart_however_the_content_is_cut() {
        let plain =
            b"Received: a\r\nRECEIVED:b\r\nX-Received: c\r\n\tReceived: d\r\n\r\nReceived: e\r\n".as_slice();
        let body = b"Subject: x\r\n\r\n\xe4\r\n".as_slice();
        let header = b"Subject: \xc3\xa4\r\n\r\nx\r\n".as_slice();
        for piece in 1..plain.len() {
            assert_eq!(observe(plain, piece), (2, false, false));
            assert_eq!(observe(body, piece), (0, false, true));
            assert_eq!(observe(header, piece), (0, true, false));
            assert_eq!(observe(b"\r\n\xe4", piece), (0, false, true));
        }
    }
}
