//! Groups of fields, as reports have them (RFC 3464 §2.1.2, RFC 5965 §3).

use shared::mail::Mailbox;

use crate::limits::{REPORT_FIELD_OCTETS_MAX, REPORT_GROUPS_MAX};

/// One group: names in lower case, values on one line.
#[derive(Debug, Default)]
pub(super) struct Group(Vec<(String, String)>);

impl Group {
    /// The first field of this name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The value behind the type of a field such as `rfc822; ann@example.org`.
    pub(super) fn typed(&self, name: &str) -> Option<(&str, &str)> {
        let (kind, value) = self.get(name)?.split_once(';')?;
        Some((kind.trim(), value.trim()))
    }

    /// An address by its type (RFC 3464 §2.3.1, RFC 6533 §3).
    pub(super) fn address(&self, name: &str) -> Option<Mailbox> {
        let (kind, value) = self.typed(name)?;
        let text = value.trim_start_matches('<').trim_end_matches('>');
        if kind.eq_ignore_ascii_case("utf-8") {
            Mailbox::parse(&unescaped(text))
        } else {
            Mailbox::parse(text)
        }
        .ok()
    }
}

/// The groups of `text`, which empty lines part; no more than are looked at. What is no field is passed over.
pub(super) fn groups(text: &[u8]) -> Vec<Group> {
    let text = String::from_utf8_lossy(text);
    let mut groups = vec![Group::default()];
    for line in text.lines() {
        let (whole, line) = (line, cut(line.trim_end(), REPORT_FIELD_OCTETS_MAX));
        let Some(group) = groups.last_mut() else { break };
        if line.is_empty() {
            if group.0.is_empty() {
                continue;
            }
            if groups.len() == REPORT_GROUPS_MAX {
                break;
            }
            groups.push(Group::default());
        } else if whole.starts_with([' ', '\t']) {
            if let Some((_, value)) = group.0.last_mut()
                && value.len() < REPORT_FIELD_OCTETS_MAX
            {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            group.0.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    groups.retain(|group| !group.0.is_empty());
    groups
}

/// `text`, no longer than `max` octets.
fn cut(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let end = (0..=max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

/// An address without the escapes that UTF-8 has in ASCII: `\x{F6}` (RFC 6533 §3).
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\\x{") {
        out.push_str(&rest[..at]);
        let behind = &rest[at + 3..];
        let letter = behind.find('}').and_then(|end| {
            let number = u32::from_str_radix(&behind[..end], 16).ok()?;
            Some((char::from_u32(number)?, end))
        });
        match letter {
            Some((letter, end)) => {
                out.push(letter);
                rest = &behind[end + 1..];
            }
            None => {
                out.push_str("\\x{");
                rest = behind;
            }
        }
    }
    out.push_str(rest);
    out
}
