//! Who a message says it is from (RFC 5322 §3.6.2), held against what its credential may say.

use mail_parser::HeaderValue;
use mail_parser::parsers::MessageStream;
use shared::directory::SenderPattern;
use shared::mail::Mailbox;
use shared::mail::header::{fields, separator};

/// Whether every mailbox of every From field is one of `senders`. `content` is the beginning of a message; one whose header section
/// is not whole in it, has a line that is no field, or has no From, is not allowed: what cannot be read could say anything.
pub(crate) fn is_author_allowed(content: &[u8], senders: &[SenderPattern]) -> bool {
    let Some(end) = separator(content, 0) else { return false };
    let mut any = false;
    for field in fields(&content[..end.section_end]) {
        let Ok(field) = field else { return false };
        if field.is("From") {
            any = true;
            if !is_value_allowed(field.value, senders) {
                return false;
            }
        }
    }
    any
}

fn is_value_allowed(value: &[u8], senders: &[SenderPattern]) -> bool {
    let line = [value, b"\r\n"].concat();
    let HeaderValue::Address(addresses) = MessageStream::new(&line).parse_address() else { return false };
    let mut any = false;
    for address in addresses.iter() {
        any = true;
        let mailbox = address.address().and_then(|address| Mailbox::parse(address).ok());
        if !mailbox.is_some_and(|mailbox| senders.iter().any(|pattern| pattern.matches(&mailbox))) {
            return false;
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(header: &str) -> bool {
        let senders = ["@example.com".parse().unwrap(), "boss@example.org".parse().unwrap()];
        is_author_allowed(format!("{header}\r\n\r\nFrom: nobody\r\n").as_bytes(), &senders)
    }

    #[test]
    fn every_mailbox_of_every_from_field_must_be_allowed() {
        for header in [
            "From: a@example.com",
            "FROM :\r\n \"A, B\" <a@Example.COM>",
            "To: x@y.z\r\nfrom: =?utf-8?q?J=C3=BCrgen?= <boss@example.org> (a comment)",
            "From: a@example.com, b@example.com",
            "From: a@example.com\r\nFrom: b@example.com",
            "From: team: a@example.com, b@example.com;",
        ] {
            assert!(allowed(header), "{header}");
        }
        for header in [
            "To: a@example.com",
            "From:",
            "From: a@far.example",
            "From: a@example.com, b@far.example",
            "From: a@example.com\r\nFrom: b@far.example",
            "From: \"a@example.com\" <b@far.example>",
            "From: a@example.com <b@far.example>",
            "From: team: a@example.com, b@far.example;",
            "From: nobody:;",
            "From: someone",
            "From: other@example.org",
            "no field\r\nFrom: a@example.com",
            "X: y",
        ] {
            assert!(!allowed(header), "{header}");
        }
    }

    #[test]
    fn a_header_section_without_an_end_is_not_allowed() {
        assert!(!is_author_allowed(b"From: a@example.com\r\n", &[SenderPattern::Any]));
        assert!(is_author_allowed(b"From: a@example.com\r\n\r\n", &[SenderPattern::Any]));
    }
}
