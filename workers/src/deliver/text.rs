//! Addresses and names in the forms that parameters of SMTP and fields of DSNs have for them. Pure.

use std::fmt::Write;

/// xtext (RFC 3461 §4): printable ASCII as it is but for `+` and `=`, any other octet as `+` and two hexadecimal digits.
pub(super) fn xtext(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'+' | b'=' => write!(out, "+{octet:02X}"),
            b'!'..=b'~' => write!(out, "{}", char::from(octet)),
            _ => write!(out, "+{octet:02X}"),
        }
        .expect("a string takes everything");
    }
    out
}

/// An address of type utf-8 (RFC 6533 §3): as utf-8-addr-unitext where UTF-8 may stand `as_is`, and else as utf-8-addr-xtext.
pub(super) fn utf8_address(address: &str, as_is: bool) -> String {
    let mut out = String::with_capacity(address.len());
    for char in address.chars() {
        match char {
            '+' | '=' | '\\' => write!(out, "\\x{{{:02X}}}", u32::from(char)),
            '!'..='~' => write!(out, "{char}"),
            char if as_is && !char.is_ascii() && !char.is_control() => write!(out, "{char}"),
            char => write!(out, "\\x{{{:02X}}}", u32::from(char)),
        }
        .expect("a string takes everything");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xtext_is_printable_whatever_it_holds() {
        assert_eq!(xtext("QQ314159"), "QQ314159");
        assert_eq!(xtext("a+b=c d\u{fc}\r\n"), "a+2Bb+3Dc+20d+C3+BC+0D+0A");
    }

    #[test]
    fn an_address_of_utf_8_is_escaped_where_it_cannot_stand_as_it_is() {
        assert_eq!(
            utf8_address("d\u{f6}+r=t\\e x@b.c", false),
            "d\\x{F6}\\x{2B}r\\x{3D}t\\x{5C}e\\x{20}x@b.c"
        );
        assert_eq!(utf8_address("d\u{f6}+e@b.c", true), "d\u{f6}\\x{2B}e@b.c");
    }
}
