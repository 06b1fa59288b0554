//! Dot-stuffing (RFC 5321 §4.5.2) of content that comes in any pieces. Pure.

use memchr::memmem;

/// Doubles each dot that begins a line. Also behind a bare LF, which some server may take for the end of a line: so no
/// content can end the message early, or smuggle another one in.
#[derive(Debug, Default)]
pub(crate) struct DotStuffer {
    last: Last,
}

/// What the content so far ends with.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Last {
    /// Nothing, or a line's end.
    #[default]
    CrLf,
    /// An LF without its CR.
    Lf,
    /// A CR.
    Cr,
    /// Anything else.
    Other,
}

impl DotStuffer {
    /// Adds a piece of content to `out`.
    pub(crate) fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let Some(last) = piece.last() else { return };
        if piece[0] == b'.' && matches!(self.last, Last::CrLf | Last::Lf) {
            out.push(b'.');
        }
        out.reserve(piece.len());
        let mut from = 0;
        for at in memmem::find_iter(piece, b"\n.") {
            out.extend_from_slice(&piece[from..=at]);
            out.push(b'.');
            from = at + 1;
        }
        out.extend_from_slice(&piece[from..]);
        let before = piece.len().checked_sub(2).map(|at| piece[at]);
        self.last = match (before, last) {
            (Some(b'\r'), b'\n') => Last::CrLf,
            (None, b'\n') if self.last == Last::Cr => Last::CrLf,
            (_, b'\n') => Last::Lf,
            (_, b'\r') => Last::Cr,
            (_, _) => Last::Other,
        };
    }

    /// Ends the content: with CRLF, where it does not end so by itself, and the final dot (RFC 5321 §4.1.1.4).
    pub(crate) fn end(&self, out: &mut Vec<u8>) {
        match self.last {
            Last::CrLf => {}
            Last::Lf | Last::Cr | Last::Other => out.extend_from_slice(b"\r\n"),
        }
        out.extend_from_slice(b".\r\n");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stuffed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        let (mut stuffer, mut out) = (DotStuffer::default(), Vec::new());
        for piece in pieces {
            stuffer.push(piece, &mut out);
        }
        stuffer.end(&mut out);
        out
    }

    #[test]
    fn dots_that_begin_lines_are_doubled_and_no_others() {
        for (content, wire) in [
            ("", ".\r\n"),
            (".", "..\r\n.\r\n"),
            ("a.b\r\n", "a.b\r\n.\r\n"),
            (".\r\n.\r\n..x\r\n", "..\r\n..\r\n...x\r\n.\r\n"),
            ("no end", "no end\r\n.\r\n"),
            ("bare\n.\r\n", "bare\n..\r\n.\r\n"),
            ("bare\n", "bare\n\r\n.\r\n"),
            ("x\r", "x\r\r\n.\r\n"),
        ] {
            assert_eq!(stuffed([content.as_bytes()]), wire.as_bytes(), "{content:?}");
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_octets_and_a_server_gets_the_content_back(
            lines in prop::collection::vec("[.a]{0,3}", 0..12),
            cuts in prop::collection::vec(0usize..60, 0..12),
        ) {
            let content: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let content = content.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(content.len())).collect();
            cuts.extend([0, content.len()]);
            cuts.sort_unstable();
            let wire = stuffed(cuts.windows(2).map(|pair| &content[pair[0]..pair[1]]));
            prop_assert_eq!(&wire, &stuffed([content]));
            let text = String::from_utf8(wire).unwrap();
            let mut back = Vec::new();
            let mut ended = false;
            for line in text.split_inclusive("\r\n") {
                prop_assert!(!ended);
                ended = line == ".\r\n";
                if !ended {
                    back.extend_from_slice(line.strip_prefix('.').unwrap_or(line).as_bytes());
                }
            }
            prop_assert!(ended);
            prop_assert_eq!(back, content);
        }
    }
}
