//! Who a message says it is from (RFC 5322 §3.6.2), held against what its credential may say.
//!
//! The fields are read strictly. What another reader could take for one more address, or for another one, is not let through.

mod addresses;

use memchr::memchr2_iter;
use shared::directory::SenderPattern;
use shared::mail::header::{fields, separator};

/// Whether every mailbox of every From and Sender field is one of `senders`, and there is one in From. `content` is the beginning of a
/// message; one whose header section is not whole in it, has a line that is no field, or a line end that readers differ in, is not
/// allowed: what cannot be read could say anything.
pub(crate) fn is_author_allowed(content: &[u8], senders: &[SenderPattern]) -> bool {
    let Some(end) = separator(content, 0) else { return false };
    let section = &content[..end.section_end];
    if has_bare_line_end(section) {
        return false;
    }
    let mut has_author = false;
    for field in fields(section) {
        let Ok(field) = field else { return false };
        let is_from = field.is("From");
        if is_from || field.is("Sender") {
            let value: Vec<u8> =
                field.value.iter().copied().filter(|octet| !b"\r\n".contains(octet)).collect();
            let Some(mailboxes) = addresses::read(&value) else { return false };
            if !mailboxes.iter().all(|mailbox| senders.iter().any(|pattern| pattern.matches(mailbox))) {
                return false;
            }
            has_author |= is_from && !mailboxes.is_empty();
        }
    }
    has_author
}

fn has_bare_line_end(section: &[u8]) -> bool {
    memchr2_iter(b'\r', b'\n', section).any(|at| match section[at] {
        b'\r' => section.get(at + 1) != Some(&b'\n'),
        _ => at == 0 || section[at - 1] != b'\r',
    })
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
            "From: a@example.com\r\nSender: b@far.example",
            "From: a@example.com\rFrom: b@far.example",
            "From: a@example.com\nFrom: b@far.example",
            "From: a@example.com,, <>",
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
