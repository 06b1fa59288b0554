//! The content behind DATA: dot transparency and the end of the message (RFC 5321 §4.5.2, §4.1.1.4).

use memchr::memchr2;

use super::content::{BareLf, Content, ContentLimits};

/// Decodes the content of one message. Its result does not depend on how the input is cut into pieces.
#[derive(Debug)]
pub struct Decoder {
    bare_lf: BareLf,
    state: State,
    content: Content,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Behind a CRLF, which is where a message may end.
    LineStart,
    /// Behind a bare LF that was made CRLF, where a message may not end.
    LineStartBare,
    Text,
    /// Behind a CR that has been passed on.
    Cr,
    /// Behind CRLF and a dot that has not been passed on.
    Dot,
    /// Behind CRLF, a dot and a CR, neither of which has been passed on.
    DotCr,
}

impl Decoder {
    /// A decoder at the beginning of a message; the CRLF of the DATA line stands before it.
    pub fn new(bare_lf: BareLf, limits: ContentLimits) -> Self {
        Self { bare_lf, state: State::LineStart, content: Content::new(limits) }
    }

    /// What is known of the content, as far as it has been read.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Takes what belongs to the message off the front of `input`, and tells whether the message has ended. Decoded octets
    /// are appended to `content`, unless the message has a fault already. At most twice as many come out as go in, and no more
    /// than go in where bare LF is refused, but for a CR held back before.
    pub fn decode(&mut self, input: &mut &[u8], content: &mut Vec<u8>) -> bool {
        let bytes = *input;
        // bytes[run..at] is content that has been looked at and not passed on yet
        let (mut run, mut at) = (0, 0);
        while let Some(byte) = bytes.get(at) {
            match (self.state, byte) {
                (State::Text, _) => match memchr2(b'\r', b'\n', &bytes[at..]) {
                    None => at = bytes.len(),
                    Some(found) => {
                        at += found;
                        if bytes[at] == b'\r' {
                            self.state = State::Cr;
                        } else {
                            self.bare_lf(&bytes[run..=at], content);
                            run = at + 1;
                        }
                        at += 1;
                    }
                },
                (State::Cr, b'\n') => {
                    self.state = State::LineStart;
                    at += 1;
                }
                (State::Cr, _) => {
                    self.content.found_bare_line_end();
                    self.state = State::Text;
                }
                (State::LineStart | State::LineStartBare, b'.') => {
                    self.content.pass(&bytes[run..at], content);
                    self.state =
                        if matches!(self.state, State::LineStart) { State::Dot } else { State::Text };
                    at += 1;
                    run = at;
                }
                (State::Dot, b'\r') => {
                    self.state = State::DotCr;
                    at += 1;
                    run = at;
                }
                (State::DotCr, b'\n') => {
                    *input = &bytes[at + 1..];
                    return true;
                }
                (State::DotCr, _) => {
                    self.content.found_bare_line_end();
                    self.content.pass(b"\r", content);
                    self.state = State::Text;
                }
                (State::LineStart | State::LineStartBare | State::Dot, _) => self.state = State::Text,
            }
        }
        self.content.pass(&bytes[run..], content);
        *input = &[];
        false
    }

    /// `run` ends with a bare LF.
    fn bare_lf(&mut self, run: &[u8], content: &mut Vec<u8>) {
        match self.bare_lf {
            BareLf::Refuse => {
                self.content.found_bare_line_end();
                self.content.pass(run, content);
            }
            BareLf::Crlf => {
                self.content.pass(&run[..run.len() - 1], content);
                self.content.pass(b"\r\n", content);
                self.state = State::LineStartBare;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::content::Fault;
    use super::*;

    type Decoded = (Vec<u8>, Option<Fault>, usize);

    /// Content, fault, and how much of the input is left behind the end.
    fn decode(bare_lf: BareLf, pieces: &[&[u8]]) -> Option<Decoded> {
        let mut decoder = Decoder::new(bare_lf, ContentLimits { octets: 40, received_lines: 1 });
        let mut content = Vec::new();
        for (n, piece) in pieces.iter().enumerate() {
            let mut input = *piece;
            if decoder.decode(&mut input, &mut content) {
                let left = input.len() + pieces[n + 1..].iter().map(|piece| piece.len()).sum::<usize>();
                let fault = decoder.content().fault();
                return Some((if fault.is_none() { content } else { Vec::new() }, fault, left));
            }
            assert!(input.is_empty());
        }
        None
    }

    fn content(input: &[u8]) -> Decoded {
        decode(BareLf::Refuse, &[input]).unwrap()
    }

    #[test]
    fn dots_are_unstuffed_and_the_rest_is_carried_as_it_came() {
        assert_eq!(content(b".\r\n"), (b"".to_vec(), None, 0));
        assert_eq!(
            content(b"a\r\n..b\r\n.c\r\n..\r\n.\r\nQUIT"),
            (b"a\r\n.b\r\nc\r\n.\r\n".to_vec(), None, 4)
        );
        assert_eq!(content(b"\0\xff\r\n\r\n.\r\n"), (b"\0\xff\r\n\r\n".to_vec(), None, 0));
    }

    #[test]
    fn only_crlf_dot_crlf_ends_a_message() {
        for smuggled in [
            &b"\n.\r\n"[..],
            b"\n.\n",
            b"\r\n.\n",
            b"\r.\r\n",
            b"\r.\r",
            b"\r\n.\r",
            b"\r\n.\r\r\n",
            b".\r\n",
        ] {
            let mut input = b"a".to_vec();
            input.extend_from_slice(smuggled);
            input.extend_from_slice(b"MAIL");
            assert_eq!(decode(BareLf::Refuse, &[&input]), None, "{smuggled:?}");
            assert_eq!(decode(BareLf::Crlf, &[&input]), None, "{smuggled:?}");
        }
    }

    #[test]
    fn bare_line_ends_are_a_fault_unless_bare_lf_is_to_be_mended() {
        for bare in [&b"a\nb"[..], b"a\rb", b"a\r\r\nb", b".\rb", b".\n"] {
            let input = [bare, b"\r\n.\r\n"].concat();
            assert_eq!(content(&input).1, Some(Fault::BareLineEnd), "{bare:?}");
        }
        assert_eq!(
            decode(BareLf::Crlf, &[b"a\n..b\n.\nc\n\r\n.\r\n"]).unwrap(),
            (b"a\r\n.b\r\n\r\nc\r\n\r\n".to_vec(), None, 0)
        );
        assert_eq!(decode(BareLf::Crlf, &[b"a\rb\r\n.\r\n"]).unwrap().1, Some(Fault::BareLineEnd));
    }

    #[test]
    fn a_message_over_a_limit_is_read_to_its_end() {
        let fits = [&[b'x'; 38][..], b"\r\n.\r\n"].concat();
        let over = [&[b'x'; 39][..], b"\r\n.\r\n"].concat();
        assert_eq!((content(&fits).1, content(&over).1), (None, Some(Fault::TooLarge)));
        assert_eq!(content(b"Received: a\r\nReceived: b\r\n\r\n.\r\n").1, Some(Fault::Loop));
    }

    #[test]
    fn every_split_of_the_input_gives_the_same_message() {
        for input in [
            &b"Received: a\r\n..b\r\n.c\r\n.\r\nQUIT"[..],
            b"a\n.\r\nb\r\n.\rc\n\r\n.\r\nx",
            b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n\r\n.\r\n",
        ] {
            for bare_lf in [BareLf::Refuse, BareLf::Crlf] {
                let whole = decode(bare_lf, &[input]);
                for a in 0..input.len() {
                    for b in a..input.len() {
                        let pieces = [&input[..a], &input[a..b], &input[b..]];
                        assert_eq!(decode(bare_lf, &pieces), whole, "{a} {b}");
                    }
                }
            }
        }
    }
}
