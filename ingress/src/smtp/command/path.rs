//! Paths: what stands in the angle brackets of MAIL and RCPT (RFC 5321 §4.1.2).

use shared::mail::{Domain, Mailbox};

/// What RCPT names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardPath {
    /// A mailbox, without a source route.
    Mailbox(Mailbox),
    /// `<postmaster>`, which needs no domain (RFC 5321 §4.5.1).
    Postmaster,
}

/// What stands behind `keyword`, which is ASCII, in any case.
pub(super) fn strip_keyword<'a>(text: &'a str, keyword: &str) -> Option<&'a str> {
    text.get(..keyword.len())
        .filter(|start| start.eq_ignore_ascii_case(keyword))
        .map(|_| &text[keyword.len()..])
}

/// What stands between the angle brackets that `text` begins with, and what stands behind them.
pub(super) fn split_path(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('<')?;
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some((&inner[..at], &inner[at + 1..])),
            _ => {}
        }
    }
    None
}

/// A mailbox, perhaps behind a source route, which is read and then forgotten (RFC 5321 §4.1.1.3, Appendix C).
pub(super) fn mailbox(path: &str) -> Option<Mailbox> {
    let Some(route) = path.strip_prefix('@') else { return Mailbox::parse(path).ok() };
    let (first, mailbox) = route.split_once(':')?;
    let mut domains = first.split(',').enumerate().map(|(n, domain)| match n {
        0 => Some(domain),
        _ => domain.strip_prefix('@'),
    });
    let is_name = |domain: &str| !domain.starts_with('[') && Domain::parse(domain).is_ok();
    if domains.all(|domain| domain.is_some_and(is_name)) { Mailbox::parse(mailbox).ok() } else { None }
}
