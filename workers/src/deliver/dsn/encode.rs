//! What others wrote, made fit to stand in a report.

use std::fmt::Write;

use shared::mail::Mailbox;

use crate::limits::{FOLD_OCTETS, LINE_OCTETS_MAX, QUOTED_LINE_OCTETS_MAX};

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

/// The address with its type, for Final-Recipient (RFC 3464 §2.3.2); in ASCII, by RFC 6533 §3, where it is not.
pub(super) fn typed_address(address: &Mailbox) -> String {
    if address.is_ascii() {
        return format!("rfc822; {address}");
    }
    let mut out = String::from("utf-8; ");
    for char in address.as_str().chars() {
        match char {
            '+' | '=' | '\\' => write!(out, "\\x{{{:02X}}}", u32::from(char)),
            '!'..='~' => write!(out, "{char}"),
            char => write!(out, "\\x{{{:02X}}}", u32::from(char)),
        }
        .expect("a string takes everything");
    }
    out
}

/// Whether `body` can stand in a message as it is (RFC 2045 §2.7).
pub(super) fn is_seven_bit(body: &[u8]) -> bool {
    let mut line = 0;
    let mut bytes = body.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        line += 1;
        match byte {
            b'\r' if bytes.next_if_eq(&b'\n').is_some() => line = 0,
            0 | b'\r' | b'\n' | 128.. => return false,
            _ if line > LINE_OCTETS_MAX => return false,
            _ => {}
        }
    }
    true
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
