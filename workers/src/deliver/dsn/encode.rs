//! What others wrote, made fit to stand in a report.

use shared::mail::{Mailbox, OriginalRecipient};

use super::super::text::utf8_address;
use crate::limits::{DSN_REPLY_CHARS_MAX, FOLD_OCTETS, LINE_OCTETS_MAX, QUOTED_LINE_OCTETS_MAX};

/// `text` on one line of at most `chars_max` characters: a line end becomes ` / `, any other control character `?`.
pub(super) fn clean(text: &str, chars_max: usize) -> String {
    let text = text.replace("\r\n", "\n");
    let mut out = String::with_capacity(text.len());
    for (at, char) in text.trim().chars().enumerate() {
        if at >= chars_max {
            out.push_str("...");
            break;
        }
        match char {
            '\n' => out.push_str(" / "),
            '\t' => out.push(' '),
            char if char.is_control() || matches!(char, '\u{2028}' | '\u{2029}') => out.push('?'),
            char => out.push(char),
        }
    }
    out
}

/// [`clean`], and everything that is not ASCII becomes `?`.
pub(super) fn clean_ascii(text: &str, chars_max: usize) -> String {
    clean(text, chars_max).chars().map(|char| if char.is_ascii() { char } else { '?' }).collect()
}

/// Folds a header field at its spaces (RFC 5322 §2.2.3). Words stay whole.
pub(super) fn fold(field: &str) -> String {
    let mut out = String::with_capacity(field.len() + 16);
    let mut line = 0;
    for (at, word) in field.split(' ').enumerate() {
        if at > 0 {
            // an empty word next to a fold would leave a line of nothing but space, which is obsolete syntax
            if line + word.len() >= FOLD_OCTETS && !word.is_empty() {
                out.push_str("\r\n");
                line = 0;
            }
            out.push(' ');
        }
        out.push_str(word);
        line += word.len() + 1;
    }
    out
}

/// The address without UTF-8: with A-labels, where only its domain has any. `None` where its local part does.
pub(super) fn in_ascii(address: &Mailbox) -> Option<String> {
    let local = Some(address.local_part()).filter(|local| local.is_ascii())?;
    let given = address.is_ascii().then(|| address.as_str().to_owned());
    Some(given.unwrap_or_else(|| format!("{local}@{}", address.domain())))
}

/// The address with its type, for Final-Recipient (RFC 3464 §2.3.2); where it is not ASCII, by RFC 6533 §3, as it is if that may be.
pub(super) fn typed_address(address: &Mailbox, utf8: bool) -> String {
    match in_ascii(address) {
        Some(ascii) if address.is_ascii() || !utf8 => format!("rfc822; {ascii}"),
        _ => format!("utf-8; {}", utf8_address(address.as_str(), utf8)),
    }
}

/// What ORCPT said, for Original-Recipient (RFC 3464 §2.3.1).
pub(super) fn typed_original(original: &OriginalRecipient, utf8: bool) -> String {
    let OriginalRecipient { kind, address } = original;
    let address = if kind.eq_ignore_ascii_case("utf-8") {
        utf8_address(&clean(address, DSN_REPLY_CHARS_MAX), utf8)
    } else {
        clean_ascii(address, DSN_REPLY_CHARS_MAX)
    };
    format!("{}; {address}", clean_ascii(kind, DSN_REPLY_CHARS_MAX))
}

/// How octets stand in a message as they are (RFC 2045 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// 7bit.
    SevenBit,
    /// 8bit.
    EightBit,
}

impl Encoding {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::SevenBit => "7bit",
            Self::EightBit => "8bit",
        }
    }
}

/// How `body` can stand in a message as it is, if it can: its lines end with CRLF and are not too long, and it has no NUL.
pub(super) fn encoding(body: &[u8]) -> Option<Encoding> {
    let mut line = 0;
    let mut bytes = body.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        line += 1;
        match byte {
            b'\r' if bytes.next_if_eq(&b'\n').is_some() => line = 0,
            0 | b'\r' | b'\n' => return None,
            _ if line > LINE_OCTETS_MAX => return None,
            _ => {}
        }
    }
    Some(if body.is_ascii() { Encoding::SevenBit } else { Encoding::EightBit })
}

/// `body` as quoted-printable (RFC 2045 §6.7); CRLF stays a line end.
pub(super) fn quoted_printable(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + body.len() / 4);
    let mut line = 0;
    let mut rest = body;
    while let Some((&byte, tail)) = rest.split_first() {
        if let Some(tail) = rest.strip_prefix(b"\r\n") {
            out.extend_from_slice(b"\r\n");
            (line, rest) = (0, tail);
            continue;
        }
        let at_line_end = tail.is_empty() || tail.starts_with(b"\r\n");
        let plain = match byte {
            b' ' | b'\t' => !at_line_end,
            b'=' => false,
            33..=126 => true,
            _ => false,
        };
        let width = if plain { 1 } else { 3 };
        // one octet of the line is kept free for the `=` of a soft line break
        if line + width >= QUOTED_LINE_OCTETS_MAX {
            out.extend_from_slice(b"=\r\n");
            line = 0;
        }
        if plain {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("={byte:02X}").as_bytes());
        }
        line += width;
        rest = tail;
    }
    out
}
