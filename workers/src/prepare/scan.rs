//! What prepare wants to know of a header section, from one look at it.

use mail_parser::HeaderValue;
use mail_parser::parsers::MessageStream;
use shared::mail::Domain;
use shared::mail::header::fields;

use crate::limits::prepare::{SUBJECT_CHARS_MAX, SUBJECT_OCTETS_READ};

/// Why a submission is not signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsigned {
    /// The header section is longer than is read.
    HeaderTooLong,
    /// A line of the header section is no field: verifiers differ in where such a section ends.
    MalformedHeader,
    /// There is no From field, or more than one (RFC 5322 §3.6).
    NotOneFrom,
    /// The From field names no address, or addresses of several domains.
    NotOneDomain,
    /// The directory has no entry for the domain.
    NotOurDomain,
    /// The domain's keys are not there or do not work.
    NoKey,
    /// More fields would have to be signed than are.
    TooManyFields,
}

impl Unsigned {
    /// The reason in logs and metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::HeaderTooLong => "header_too_long",
            Self::MalformedHeader => "malformed_header",
            Self::NotOneFrom => "not_one_from",
            Self::NotOneDomain => "not_one_domain",
            Self::NotOurDomain => "not_our_domain",
            Self::NoKey => "no_key",
            Self::TooManyFields => "too_many_fields",
        }
    }
}

/// What a header section tells.
#[derive(Debug, Default)]
pub(super) struct Scan<'a> {
    /// All of the section was looked at.
    pub(super) whole: bool,
    /// There is a Date field.
    pub(super) date: bool,
    /// There is a Message-ID field.
    pub(super) message_id: bool,
    /// There is a `TLS-Required: No` (RFC 8689 §5).
    pub(super) tls_not_required: bool,
    /// The message begins with its body: not with a field, nor with the empty line that ends the fields.
    pub(super) opens_with_body: bool,
    malformed: bool,
    from_count: usize,
    from: &'a [u8],
    subject: Option<&'a [u8]>,
}

impl<'a> Scan<'a> {
    /// Looks at a section, or at the beginning of one that is not `whole`.
    pub(super) fn of(section: &'a [u8], whole: bool) -> Self {
        let mut scan = Self { whole, ..Self::default() };
        let mut any = false;
        for line in fields(section) {
            let Ok(field) = line else {
                scan.malformed = true;
                continue;
            };
            any = true;
            // by the length first: most fields are none of these
            match field.name.len() {
                4 if field.is("From") => {
                    scan.from_count += 1;
                    scan.from = field.value;
                }
                4 if field.is("Date") => scan.date = true,
                7 if field.is("Subject") => scan.subject = scan.subject.or(Some(field.value)),
                10 if field.is("Message-ID") => scan.message_id = true,
                12 if field.is("TLS-Required") => {
                    scan.tls_not_required = field.value.trim_ascii().eq_ignore_ascii_case(b"no");
                }
                _ => {}
            }
        }
        // a message that begins with white space would continue the last field of the prefix
        scan.opens_with_body = !section.is_empty() && (!any || matches!(section[0], b' ' | b'\t'));
        scan
    }

    /// The one domain that the one From field names.
    pub(super) fn author_domain(&self) -> Result<Domain, Unsigned> {
        if !self.whole {
            return Err(Unsigned::HeaderTooLong);
        }
        if self.malformed {
            return Err(Unsigned::MalformedHeader);
        }
        if self.from_count != 1 {
            return Err(Unsigned::NotOneFrom);
        }
        let line = [self.from, b"\r\n"].concat();
        let HeaderValue::Address(addresses) = MessageStream::new(&line).parse_address() else {
            return Err(Unsigned::NotOneDomain);
        };
        let mut found: Option<Domain> = None;
        for address in addresses.iter() {
            let domain = address.address().and_then(|address| address.rsplit_once('@'));
            let domain =
                domain.and_then(|(_, domain)| Domain::parse(domain).ok()).ok_or(Unsigned::NotOneDomain)?;
            if found.replace(domain.clone()).is_some_and(|other| other != domain) {
                return Err(Unsigned::NotOneDomain);
            }
        }
        found.ok_or(Unsigned::NotOneDomain)
    }

    /// The Subject as a person reads it, cut, on one line; empty where there is none.
    pub(super) fn take_subject(&mut self) -> String {
        let Some(raw) = self.subject.take() else { return String::new() };
        let raw = &raw[..raw.len().min(SUBJECT_OCTETS_READ)];
        if raw.is_ascii() && memchr::memmem::find(raw, b"=?").is_none() {
            return one_line(&String::from_utf8_lossy(raw));
        }
        let line = [raw, b"\r\n"].concat();
        match MessageStream::new(&line).parse_unstructured() {
            HeaderValue::Text(text) => one_line(&text),
            _ => String::new(),
        }
    }
}

/// Without folding, control characters and the space around, and not longer than it is kept.
fn one_line(text: &str) -> String {
    let visible = text.trim().chars().filter(|c| !matches!(c, '\r' | '\n'));
    visible.map(|c| if c.is_control() { ' ' } else { c }).take(SUBJECT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(section: &str) -> Result<String, Unsigned> {
        Scan::of(section.as_bytes(), true).author_domain().map(|domain| domain.to_string())
    }

    #[test]
    fn the_domain_is_that_of_the_one_author() {
        for section in [
            "From: a@Example.com\r\n",
            "X: y\r\nfrom : \"B, C\" <a@example.com>\r\nSubject: x@other.net\r\n",
            "From:\r\n =?utf-8?Q?D=C3=B6rte?= <a@example.com> (at@other.net)\r\n",
            "From: a@example.com, b@example.com\r\n",
            "From: \"x@other.net\" <\"a@b\"@example.com>\r\n",
        ] {
            assert_eq!(from(section).as_deref(), Ok("example.com"), "{section}");
        }
        assert_eq!(from("From: a@b\u{fc}cher.example\r\n").as_deref(), Ok("xn--bcher-kva.example"));
    }

    #[test]
    fn without_exactly_one_author_domain_there_is_none() {
        for (section, reason) in [
            ("To: a@b.c\r\n", Unsigned::NotOneFrom),
            ("From: a@b.c\r\nFrom: a@b.c\r\n", Unsigned::NotOneFrom),
            ("From: a@b.c, d@e.f\r\n", Unsigned::NotOneDomain),
            ("From:\r\n", Unsigned::NotOneDomain),
            ("From: nobody\r\n", Unsigned::NotOneDomain),
            ("From: a@b.c\r\nno field\r\n", Unsigned::MalformedHeader),
        ] {
            assert_eq!(from(section), Err(reason), "{section}");
        }
        assert_eq!(Scan::of(b"From: a@b.c\r\n", false).author_domain(), Err(Unsigned::HeaderTooLong));
    }

    #[test]
    fn a_subject_is_decoded_and_cut_to_one_line() {
        let subject = |section: &str| Scan::of(section.as_bytes(), true).take_subject();
        assert_eq!(subject("Subject: plain\r\n  and folded \r\n"), "plain  and folded");
        assert_eq!(subject("Subject: =?utf-8?B?w7xiZXI=?= =?utf-8?Q?_all?=\r\n"), "\u{fc}ber all");
        assert_eq!(subject("Subject: \u{fc}ber\u{7}all\r\n"), "\u{fc}ber all");
        assert_eq!(subject(&format!("Subject: {}\r\n", "x".repeat(300))).len(), 120);
        assert_eq!(subject(&format!("Subject: {}\r\n", "\u{fc}".repeat(9000))).chars().count(), 120);
        assert_eq!(subject("To: x\r\n"), "");
    }

    #[test]
    fn that_tls_is_not_required_is_read_from_its_field() {
        let read = |section: &str| Scan::of(section.as_bytes(), true).tls_not_required;
        assert!(read("From: a@b.c\r\nTLS-Required: No\r\n") && read("tls-required:\r\n NO\r\n"));
        for section in ["", "TLS-Required: Yes\r\n", "TLS-Required: No really\r\n", "X-TLS-Required: No\r\n"]
        {
            assert!(!read(section), "{section}");
        }
    }

    #[test]
    fn a_message_without_a_field_in_front_opens_with_its_body() {
        let opens = |section: &str| Scan::of(section.as_bytes(), true).opens_with_body;
        assert!(opens("hello\r\n"));
        assert!(opens(" A: b\r\n"));
        assert!(opens("\tx\r\nFrom: a@b.c\r\n"));
        assert!(!opens(""));
        assert!(!opens("A: b\r\n"));
        assert!(!opens("From a@b.c\r\nA: b\r\n"));
    }
}
