//! The canonical forms of RFC 6376 §3.4.

use aws_lc_rs::digest;
use memchr::{memchr, memchr3};

use crate::limits::GATHERED_OCTETS;

/// How a header or a body is brought into the form that is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Canonicalization {
    /// As it stands (§3.4.1, §3.4.3).
    Simple,
    /// Without differences in white space and in the case of field names (§3.4.2, §3.4.4).
    Relaxed,
}

impl Canonicalization {
    /// Adds the canonical form of a header field to `out`, ended by CRLF. `value` is all that stands behind the colon, without the
    /// CRLF that ends the field.
    pub fn field(self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Simple => {
                out.extend_from_slice(name);
                out.push(b':');
                out.extend_from_slice(value);
            }
            Self::Relaxed => {
                out.extend(name.iter().map(u8::to_ascii_lowercase));
                out.push(b':');
                relaxed_value(value, out);
            }
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Unfolds, makes each run of white space one space, and leaves it out at both ends (§3.4.2).
fn relaxed_value(value: &[u8], out: &mut Vec<u8>) {
    let begin = out.len();
    let mut space = false;
    for (at, byte) in value.iter().enumerate() {
        match byte {
            b' ' | b'\t' => space = true,
            b'\r' if value.get(at + 1) == Some(&b'\n') => {}
            b'\n' if at > 0 && value[at - 1] == b'\r' => {}
            _ => {
                if space && out.len() > begin {
                    out.push(b' ');
                }
                space = false;
                out.push(*byte);
            }
        }
    }
}

/// The hash of a body's canonical form (§3.7), fed with the body in pieces of any size.
pub struct BodyHash {
    form: Canonicalization,
    hash: digest::Context,
    gathered: Vec<u8>,
    /// Line ends that were read and not hashed: at the end of a body, all but one are left out.
    line_ends: usize,
    /// White space was read and not hashed: at the end of a line it is left out. Relaxed only.
    space: bool,
    /// The last octet was CR, and what it is depends on the next.
    carriage_return: bool,
    /// Anything was hashed.
    begun: bool,
}

impl BodyHash {
    /// The hash of a body of which nothing has been read.
    pub fn new(form: Canonicalization) -> Self {
        Self {
            form,
            hash: digest::Context::new(&digest::SHA256),
            gathered: Vec::with_capacity(GATHERED_OCTETS),
            line_ends: 0,
            space: false,
            carriage_return: false,
            begun: false,
        }
    }

    /// Reads the next octets of the body.
    pub fn update(&mut self, mut piece: &[u8]) {
        if self.carriage_return && !piece.is_empty() {
            self.carriage_return = false;
            match piece.strip_prefix(b"\n") {
                Some(rest) => {
                    self.end_line();
                    piece = rest;
                }
                None => self.text(b"\r"),
            }
        }
        while !piece.is_empty() {
            let text = self.text_length(piece);
            if text > 0 {
                self.text(&piece[..text]);
            }
            piece = match &piece[text..] {
                [] => return,
                [b'\r', b'\n', rest @ ..] => {
                    self.end_line();
                    rest
                }
                [b'\r'] => {
                    self.carriage_return = true;
                    return;
                }
                [b'\r', rest @ ..] => {
                    self.text(b"\r");
                    rest
                }
                [_, rest @ ..] => {
                    self.space = true;
                    rest
                }
            };
        }
    }

    /// The hash, once the whole body has been read.
    pub fn finish(mut self) -> [u8; 32] {
        if self.carriage_return {
            self.text(b"\r");
        }
        // A body that does not end with CRLF gets one, in either form; only an empty relaxed body has none
        // (§3.4.3, §3.4.4). White space and empty lines at the end stay unhashed.
        if self.begun || self.form == Canonicalization::Simple {
            self.gather(b"\r\n");
        }
        self.hash.update(&self.gathered);
        let mut hash = [0; 32];
        hash.copy_from_slice(self.hash.finish().as_ref());
        hash
    }

    /// How many octets at the beginning of `piece` are hashed as they stand.
    fn text_length(&self, piece: &[u8]) -> usize {
        if self.form == Canonicalization::Simple {
            return memchr(b'\r', piece).unwrap_or(piece.len());
        }
        let mut length = 0;
        while let Some(at) = memchr3(b' ', b'\t', b'\r', &piece[length..]) {
            length += at;
            // one space between two words is in its canonical form already
            match piece[length..] {
                [b' ', next, ..] if length > 0 && !matches!(next, b' ' | b'\t' | b'\r') => length += 2,
                _ => return length,
            }
        }
        piece.len()
    }

    fn end_line(&mut self) {
        self.space = false;
        self.line_ends += 1;
    }

    fn text(&mut self, text: &[u8]) {
        self.begun = true;
        for _ in 0..std::mem::take(&mut self.line_ends) {
            self.gather(b"\r\n");
        }
        if std::mem::take(&mut self.space) {
            self.gather(b" ");
        }
        self.gather(text);
    }

    fn gather(&mut self, octets: &[u8]) {
        if self.gathered.len() + octets.len() > GATHERED_OCTETS {
            self.hash.update(&self.gathered);
            self.gathered.clear();
        }
        if octets.len() > GATHERED_OCTETS {
            self.hash.update(octets);
        } else {
            self.gathered.extend_from_slice(octets);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Canonicalization::{Relaxed, Simple};
    use super::*;

    fn sha256(bytes: &[u8]) -> Vec<u8> {
        digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
    }

    fn hash(form: Canonicalization, body: &[u8]) -> Vec<u8> {
        let mut hash = BodyHash::new(form);
        hash.update(body);
        hash.finish().to_vec()
    }

    /// The canonical body written down the slow way, line by line, from the text of §3.4.3 and §3.4.4.
    fn canonical(form: Canonicalization, body: &[u8]) -> Vec<u8> {
        let mut lines: Vec<Vec<u8>> = Vec::new();
        let mut rest = body;
        while let Some(at) = memchr::memmem::find(rest, b"\r\n") {
            lines.push(rest[..at].to_vec());
            rest = &rest[at + 2..];
        }
        lines.push(rest.to_vec());
        if form == Relaxed {
            for line in &mut lines {
                while matches!(line.last(), Some(b' ' | b'\t')) {
                    line.pop();
                }
                for byte in line.iter_mut().filter(|byte| **byte == b'\t') {
                    *byte = b' ';
                }
                line.dedup_by(|a, b| *a == b' ' && *b == b' ');
            }
        }
        while lines.last().is_some_and(Vec::is_empty) {
            lines.pop();
        }
        if lines.is_empty() && form == Relaxed {
            return Vec::new();
        }
        let mut out = lines.join(&b"\r\n"[..]);
        out.extend_from_slice(b"\r\n");
        out
    }

    #[test]
    fn the_examples_of_rfc_6376_3_4_5_come_out_as_printed_there() {
        let fields: [(&[u8], &[u8]); 2] = [(b"A", b" X"), (b"B ", b" Y\t\r\n\tZ  ")];
        let canonical = |form: Canonicalization| {
            let mut out = Vec::new();
            for (name, value) in fields {
                // the scanner has taken the white space behind a name off; simple keeps it
                form.field(if form == Relaxed { name.trim_ascii_end() } else { name }, value, &mut out);
            }
            out
        };
        assert_eq!(canonical(Relaxed), b"a:X\r\nb:Y Z\r\n");
        assert_eq!(canonical(Simple), b"A: X\r\nB : Y\t\r\n\tZ  \r\n");
        let body = b" C \r\nD \t E\r\n\r\n\r\n";
        assert_eq!(hash(Relaxed, body), sha256(b" C\r\nD E\r\n"));
        assert_eq!(hash(Simple, body), sha256(b" C \r\nD \t E\r\n"));
    }

    #[test]
    fn empty_bodies_have_the_hashes_of_rfc_6376() {
        assert_eq!(hash(Simple, b""), sha256(b"\r\n"));
        assert_eq!(hash(Relaxed, b""), sha256(b""));
    }

    #[test]
    fn lines_of_nothing_but_white_space_count_as_empty_at_the_end_only() {
        for body in ["a\r\n \r\n\t\r\n", "a\r\n \t", "a", "a \r\n\r\n  \r\n\r\n \t \r\n", "a\r\n\r\n "] {
            assert_eq!(hash(Relaxed, body.as_bytes()), sha256(b"a\r\n"), "{body:?}");
        }
        for body in [" \r\n", " ", "\r\n\r\n", "\t\r\n \r\n"] {
            assert_eq!(hash(Relaxed, body.as_bytes()), sha256(b""), "{body:?}");
        }
        assert_eq!(hash(Relaxed, b" \r\n\t\r\na\r\n"), sha256(b"\r\n\r\na\r\n"));
    }

    #[test]
    fn a_lone_carriage_return_is_text() {
        assert_eq!(hash(Relaxed, b"a\r"), sha256(b"a\r\r\n"));
        assert_eq!(hash(Relaxed, b"a\rb \r\r\n"), sha256(b"a\rb \r\r\n"));
        assert_eq!(hash(Simple, b"a\r\n\r"), sha256(b"a\r\n\r\r\n"));
    }

    fn bodies() -> impl Strategy<Value = Vec<u8>> {
        let text = prop::collection::vec(
            prop_oneof![
                Just(b"\r\n".to_vec()),
                Just(b" ".to_vec()),
                Just(b"\t".to_vec()),
                Just(b"\r".to_vec()),
                Just(b"\n".to_vec()),
                Just(b"word".to_vec()),
                Just(vec![0xfc; 3]),
                Just(vec![b'x'; GATHERED_OCTETS + 1]),
            ],
            0..40,
        );
        text.prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn however_a_body_is_cut_its_hash_is_that_of_its_canonical_form(
            body in bodies(),
            cuts in prop::collection::vec(0..64_usize, 0..64),
        ) {
            for form in [Simple, Relaxed] {
                let mut hash = BodyHash::new(form);
                let mut rest = &body[..];
                for cut in &cuts {
                    let (piece, behind) = rest.split_at((*cut).min(rest.len()));
                    hash.update(piece);
                    rest = behind;
                }
                hash.update(rest);
                prop_assert_eq!(hash.finish().to_vec(), sha256(&canonical(form, &body)));
            }
        }
    }
}
