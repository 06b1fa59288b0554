//! The content behind BDAT: chunks of any octets, without dot transparency (RFC 3030).

use memchr::memchr2;

use super::content::{BareLf, Content, ContentLimits};

/// Takes the chunks of one message. Its result does not depend on how they are cut into pieces.
#[derive(Debug)]
pub struct Chunks {
    /// What a bare LF comes to; `None` with BODY=BINARYMIME, where any octets stand in any order.
    bare_lf: Option<BareLf>,
    after_cr: bool,
    content: Content,
}

impl Chunks {
    /// A message before its first chunk.
    pub fn new(bare_lf: Option<BareLf>, limits: ContentLimits) -> Self {
        Self { bare_lf, after_cr: false, content: Content::new(limits) }
    }

    /// What is known of the content, as far as it has been read.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Appends `bytes` to `content`, unless the message has a fault already. At most twice as many come out as go in, and no more
    /// than go in where bare LF is refused.
    pub fn take(&mut self, bytes: &[u8], content: &mut Vec<u8>) {
        let Some(bare_lf) = self.bare_lf else { return self.content.pass(bytes, content) };
        // bytes[run..at] has been looked at and not passed on yet
        let (mut run, mut at) = (0, 0);
        while at < bytes.len() {
            if self.after_cr {
                self.after_cr = false;
                if bytes[at] == b'\n' {
                    at += 1;
                } else {
                    self.content.found_bare_line_end();
                }
                continue;
            }
            let Some(found) = memchr2(b'\r', b'\n', &bytes[at..]) else { break };
            at += found + 1;
            if bytes[at - 1] == b'\r' {
                self.after_cr = true;
            } else if bare_lf == BareLf::Crlf {
                self.content.pass(&bytes[run..at - 1], content);
                self.content.pass(b"\r\n", content);
                run = at;
            } else {
                self.content.found_bare_line_end();
            }
        }
        self.content.pass(&bytes[run..], content);
    }

    /// The last chunk has been taken.
    pub fn end(&mut self) {
        if self.after_cr {
            self.content.found_bare_line_end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::content::Fault;
    use super::*;

    fn take(bare_lf: Option<BareLf>, pieces: &[&[u8]]) -> (Vec<u8>, Option<Fault>) {
        let mut chunks = Chunks::new(bare_lf, ContentLimits { octets: 40, received_lines: 1 });
        let mut content = Vec::new();
        pieces.iter().for_each(|piece| chunks.take(piece, &mut content));
        chunks.end();
        let fault = chunks.content().fault();
        (if fault.is_none() { content } else { Vec::new() }, fault)
    }

    #[test]
    fn octets_are_carried_as_they_came_and_dots_mean_nothing() {
        let text = b"a\r\n.\r\n..b\r\n".as_slice();
        assert_eq!(take(Some(BareLf::Refuse), &[text]), (text.to_vec(), None));
        let binary = b"\0\r\n\n\r\xff\r".as_slice();
        assert_eq!(take(None, &[binary]), (binary.to_vec(), None));
    }

    #[test]
    fn bare_line_ends_are_a_fault_unless_they_are_to_be_mended_or_the_content_is_binary() {
        for bare in [&b"a\nb"[..], b"a\rb", b"a\r\r\nb", b"a\r", b"\n"] {
            assert_eq!(take(Some(BareLf::Refuse), &[bare]).1, Some(Fault::BareLineEnd), "{bare:?}");
        }
        assert_eq!(take(Some(BareLf::Crlf), &[b"a\n.\nb\r\n"]), (b"a\r\n.\r\nb\r\n".to_vec(), None));
        assert_eq!(take(Some(BareLf::Crlf), &[b"a\rb"]).1, Some(Fault::BareLineEnd));
    }

    #[test]
    fn every_split_gives_the_same_message() {
        for input in
            [&b"a\r\nb\nc\r\r\n"[..], b"ab\r\n\r\ncd\r", b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
        {
            for bare_lf in [None, Some(BareLf::Refuse), Some(BareLf::Crlf)] {
                let whole = take(bare_lf, &[input]);
                for a in 0..input.len() {
                    for b in a..input.len() {
                        assert_eq!(
                            take(bare_lf, &[&input[..a], &input[a..b], &input[b..]]),
                            whole,
                            "{a} {b}"
                        );
                    }
                }
            }
        }
    }
}
