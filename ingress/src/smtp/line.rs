//! Splits input into command lines. Only CRLF ends a line (RFC 5321 §2.3.8).

use memchr::{memchr, memchr_iter};

/// What the only command begins with that has a longer line than others (RFC 4954 §4).
const AUTH: &[u8; 5] = b"AUTH ";

/// One line, without its CRLF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line to be read.
    Text(&'a [u8]),
    /// A line with a CR or LF that is not part of a CRLF.
    Bare,
    /// A line over the limit, read away up to its CRLF.
    TooLong,
}

/// Cuts lines out of input that comes in any pieces. It holds at most one incomplete line.
#[derive(Debug)]
pub struct Splitter {
    octets_max: usize,
    /// For AUTH and for the lines of its exchange.
    auth_octets_max: usize,
    in_exchange: bool,
    /// The beginning of a line whose end has not come yet.
    carry: Vec<u8>,
    /// Whether `carry` was given out as a line and is to be forgotten.
    given: bool,
    too_long: bool,
    bare: bool,
    after_cr: bool,
}

impl Splitter {
    /// A splitter of lines of up to `octets_max` octets, CRLF included, and of `auth_octets_max` where they are part of AUTH.
    pub fn new(octets_max: usize, auth_octets_max: usize) -> Self {
        Self {
            octets_max,
            auth_octets_max,
            in_exchange: false,
            carry: Vec::new(),
            given: false,
            too_long: false,
            bare: false,
            after_cr: false,
        }
    }

    /// Whether the next line belongs to an exchange of AUTH.
    pub fn in_exchange(&mut self, is: bool) {
        self.in_exchange = is;
    }

    fn is_over(&self, bytes: &[u8]) -> bool {
        let octets = self.carry.len() + bytes.len();
        if octets <= self.octets_max {
            return false;
        }
        let is_auth = || {
            let start = self.carry.iter().chain(bytes).take(AUTH.len());
            start.zip(AUTH).all(|(byte, letter)| byte.eq_ignore_ascii_case(letter))
        };
        octets > self.auth_octets_max || !(self.in_exchange || is_auth())
    }

    /// Whether the next octet begins a line.
    pub fn is_at_start(&self) -> bool {
        (self.given || self.carry.is_empty()) && !self.too_long
    }

    /// The next line, taken off the front of `input`; `None` where `input` ends before the line does.
    pub fn next<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8]) -> Option<Line<'s>> {
        if self.given {
            self.carry = Vec::new();
            self.given = false;
        }
        let bytes: &'i [u8] = input;
        for at in memchr_iter(b'\n', bytes) {
            if if at == 0 { self.after_cr } else { bytes[at - 1] == b'\r' } {
                *input = &bytes[at + 1..];
                return Some(self.complete(&bytes[..=at]));
            }
            self.bare = true;
        }
        self.keep(bytes);
        *input = &[];
        None
    }

    /// How many octets are held.
    pub fn held(&self) -> usize {
        self.carry.capacity()
    }

    fn complete<'s, 'i: 's>(&'s mut self, tail: &'i [u8]) -> Line<'s> {
        let too_long = self.too_long || self.is_over(tail);
        let bare = self.bare;
        (self.too_long, self.bare, self.after_cr) = (false, false, false);
        let with_end = if self.carry.is_empty() {
            tail
        } else {
            self.given = true;
            if !too_long {
                self.carry.extend_from_slice(tail);
            }
            &self.carry
        };
        if too_long {
            return Line::TooLong;
        }
        let line = &with_end[..with_end.len() - 2];
        if bare || memchr(b'\r', line).is_some() { Line::Bare } else { Line::Text(line) }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let Some(last) = bytes.last() else { return };
        self.after_cr = *last == b'\r';
        self.too_long |= self.is_over(bytes);
        if self.too_long {
            self.carry = Vec::new();
        } else {
            self.carry.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let mut splitter = Splitter::new(12, 16);
        let mut lines = Vec::new();
        for piece in pieces {
            let mut input = *piece;
            while let Some(line) = splitter.next(&mut input) {
                lines.push(match line {
                    Line::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
                    other => format!("{other:?}"),
                });
            }
            assert!(input.is_empty() && splitter.held() <= 32);
        }
        lines
    }

    #[test]
    fn only_crlf_ends_a_line() {
        assert_eq!(lines(&[b"NOOP\r\nQUIT\r\n"]), ["NOOP", "QUIT"]);
        assert_eq!(lines(&[b"A\nB\r\nC\rD\r\nE\r\r\nF\r\n"]), ["Bare", "Bare", "Bare", "F"]);
        assert_eq!(lines(&[b"NOOP\n", b"NOOP\r", b"x"]), [""; 0]);
    }

    #[test]
    fn a_line_of_the_limit_is_read_and_one_octet_more_is_too_long() {
        assert_eq!(lines(&[b"0123456789\r\n", b"0123456789a\r\n", b"x\r\n"]), ["0123456789", "TooLong", "x"]);
        assert_eq!(lines(&[b"0123456789abcdef", b"0123\n", b"\r", b"\nx\r\n"]), ["TooLong", "x"]);
    }

    #[test]
    fn a_line_of_auth_may_be_longer() {
        assert_eq!(lines(&[b"auth 012345678\r\n", b"AUTH 0123456789\r\n"]), ["auth 012345678", "TooLong"]);
        assert_eq!(
            lines(&[b"AU", b"TH 01234", b"5678\r", b"\n", b"AUTX 012345678\r\n"]),
            ["AUTH 012345678", "TooLong"]
        );
    }

    #[test]
    fn every_split_of_the_input_gives_the_same_lines() {
        let input = b"NOOP\r\nA\nB\r\n\r\n0123456789abc\r\nAUTH 01234567\r\nC\rD\r\nlast\r\n";
        let whole = lines(&[input]);
        for a in 0..input.len() {
            for b in a..input.len() {
                assert_eq!(lines(&[&input[..a], &input[a..b], &input[b..]]), whole, "{a} {b}");
            }
        }
    }
}
