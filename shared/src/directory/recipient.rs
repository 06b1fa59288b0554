//! Recipients: whom mail from anybody is taken for.
//!
//! The entries of a domain lie together, its patterns first. The name of an entry is the domain, a space, and for a pattern one more
//! space, and then the local part. No domain has a space in it, and no other octet of a name sorts before it: to read on behind
//! [`Recipients::of`] gives all patterns of a domain, and behind them tells whether it has any other recipient.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::EntryError;
use crate::mail::{Domain, Mailbox, Timestamp};
use crate::port::{Entry, EntryKind};

/// Whom mail is taken for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientEntry {
    /// One address, or many.
    pub recipient: RecipientPattern,
    /// When it was added.
    pub created: Timestamp,
}

/// `app@example.com`, `sales-*@example.com`, `user+*@example.com`, or `*@example.com` for every address of the domain. A `*` stands
/// for any characters, or none. Local parts are compared without regard to case; a detail (`user+detail`) is a part of them like any
/// other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RecipientPattern {
    local_part: String,
    domain: Domain,
}

/// A text that is no [`RecipientPattern`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no recipient; use app@example.com, sales-*@example.com or *@example.com")]
pub struct RecipientPatternError(String);

impl RecipientPattern {
    /// The domain.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Whether it stands for more than one address.
    pub fn is_many(&self) -> bool {
        self.local_part.contains('*')
    }

    /// Whether `mailbox` is one of these.
    pub fn matches(&self, mailbox: &Mailbox) -> bool {
        let local_part = canonical(mailbox.local_part());
        mailbox.domain() == &self.domain
            && if self.is_many() {
                glob(&self.local_part, &local_part)
            } else {
                self.local_part == local_part
            }
    }

    /// The name of its entry.
    pub fn entry_name(&self) -> String {
        let second = if self.is_many() { " " } else { "" };
        format!("{} {second}{}", self.domain, self.local_part)
    }
}

impl FromStr for RecipientPattern {
    type Err = RecipientPatternError;

    fn from_str(text: &str) -> Result<Self, RecipientPatternError> {
        let wrong = |_| RecipientPatternError(text.to_owned());
        // `*` is a letter of local parts, so every pattern is a mailbox too
        let mailbox = Mailbox::parse(text).map_err(wrong)?;
        let local_part = canonical(mailbox.local_part()).into_owned();
        Ok(Self { local_part, domain: mailbox.domain().clone() })
    }
}

impl fmt::Display for RecipientPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local_part, self.domain)
    }
}

/// The names that the recipients of one domain have.
#[derive(Debug, Clone)]
pub struct Recipients {
    prefix: String,
}

impl Recipients {
    /// Those of `domain`.
    pub fn of(domain: &Domain) -> Self {
        Self { prefix: format!("{domain} ") }
    }

    /// What all their names lie behind, for [`list`](crate::port::Directory::list).
    pub fn before_all(&self) -> &str {
        &self.prefix
    }

    /// Whether the entry called `name` is one of them.
    pub fn has(&self, name: &str) -> bool {
        name.starts_with(&self.prefix)
    }

    /// Whether it is one of them and a pattern.
    pub fn has_pattern(&self, name: &str) -> bool {
        name.strip_prefix(&self.prefix).is_some_and(|rest| rest.starts_with(' '))
    }

    /// The name of the entry that has `mailbox`, of this domain, and nobody else.
    pub fn name_of(&self, mailbox: &Mailbox) -> String {
        format!("{}{}", self.prefix, canonical(mailbox.local_part()))
    }
}

/// The form by which local parts are compared: in lower case, and in quotes only where they are needed (RFC 5321 §4.1.2).
pub(super) fn canonical(local_part: &str) -> Cow<'_, str> {
    let Some(quoted) = local_part.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return lower(local_part);
    };
    let mut plain = String::with_capacity(quoted.len());
    let mut escaped = false;
    for letter in quoted.chars() {
        escaped = letter == '\\' && !escaped;
        if !escaped {
            plain.push(letter);
        }
    }
    let is_dot_string = Mailbox::parse(&format!("{plain}@x")).is_ok_and(|_| !plain.starts_with('"'));
    // a `*` that was quoted is meant as a letter, and stays in its quotes
    if is_dot_string && !plain.contains('*') {
        return Cow::Owned(lower(&plain).into_owned());
    }
    let mut text = String::with_capacity(local_part.len());
    text.push('"');
    for letter in lower(&plain).chars() {
        if matches!(letter, '"' | '\\') {
            text.push('\\');
        }
        text.push(letter);
    }
    text.push('"');
    Cow::Owned(text)
}

fn lower(text: &str) -> Cow<'_, str> {
    let is_lower = |letter: char| letter.is_ascii() && !letter.is_ascii_uppercase();
    if text.chars().all(is_lower) { Cow::Borrowed(text) } else { Cow::Owned(text.to_lowercase()) }
}

/// Whether `text` is what `pattern` says, where `*` stands for any octets. It takes at most their lengths multiplied.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // behind the last `*`, and where what it stands for would end next
    let mut again = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                again = Some((p, t));
            }
            Some(octet) if *octet == text[t] => (p, t) = (p + 1, t + 1),
            _ => match &mut again {
                Some((behind, end)) => {
                    *end += 1;
                    (p, t) = (*behind, *end);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|octet| *octet == b'*')
}

#[derive(Serialize, Deserialize)]
struct RecipientValue {
    created: Timestamp,
}

impl From<RecipientEntry> for Entry {
    fn from(RecipientEntry { recipient, created }: RecipientEntry) -> Self {
        let value = serde_json::to_value(RecipientValue { created }).expect("an entry is plain data");
        Self { kind: EntryKind::Recipient, name: recipient.entry_name(), value }
    }
}

impl TryFrom<Entry> for RecipientEntry {
    type Error = EntryError;

    fn try_from(Entry { kind, name, value }: Entry) -> Result<Self, EntryError> {
        let read = || -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
            if kind != EntryKind::Recipient {
                return Err("it is not a recipient".into());
            }
            let (domain, local_part) = name.split_once(' ').ok_or("its name has no local part")?;
            let recipient: RecipientPattern = format!("{}@{domain}", local_part.trim_start()).parse()?;
            let RecipientValue { created } = serde_json::from_value(value)?;
            Ok(Self { recipient, created })
        };
        read().map_err(|cause| EntryError { kind, name: name.clone(), cause })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> RecipientPattern {
        text.parse().unwrap()
    }

    fn matches(text: &str, mailbox: &str) -> bool {
        pattern(text).matches(&mailbox.parse().unwrap())
    }

    #[test]
    fn one_address_is_that_address_in_any_case_and_with_needless_quotes() {
        for same in ["app@example.com", "APP@Example.COM", "\"app\"@example.com", "\"a\\pp\"@example.com"] {
            assert!(matches("App@example.com", same), "{same}");
        }
        for other in ["app+x@example.com", "app@x.example.com", "ap@example.com", "app@example.org"] {
            assert!(!matches("app@example.com", other), "{other}");
        }
        assert!(matches("D\u{d6}RTE@example.com", "d\u{f6}rte@example.com"));
        assert!(matches("\"A b\"@example.com", "\"a\\ b\"@example.com"));
    }

    #[test]
    fn a_star_stands_for_anything() {
        assert!(
            matches("*@example.com", "anybody@example.com") && matches("*@example.com", "\" \"@example.com")
        );
        assert!(!matches("*@example.com", "a@x.example.com"));
        assert!(matches("sales-*@example.com", "SALES-eu@example.com"));
        assert!(matches("sales-*@example.com", "sales-@example.com"));
        assert!(!matches("sales-*@example.com", "sales@example.com"));
        assert!(matches("user+*@example.com", "user+a+b@example.com"));
        assert!(!matches("user+*@example.com", "user@example.com"));
        assert!(matches("*a*b*@example.com", "xaxbx@example.com"));
        assert!(
            matches("*ab@example.com", "aabab@example.com") && !matches("*ab@example.com", "aba@example.com")
        );
        assert!(
            !matches("\"*\"@example.com", "a@example.com")
                && matches("\"*\"@example.com", "\"*\"@example.com")
        );
    }

    #[test]
    fn what_is_no_mailbox_is_no_recipient() {
        for wrong in ["", "*", "example.com", "@example.com", "a b@example.com", "a@*.example.com", "a@"] {
            assert!(wrong.parse::<RecipientPattern>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_entry_comes_back_as_it_went_in() {
        for text in ["app@example.com", "sales-*@example.com", "*@b\u{fc}cher.example", "\" a\"@example.com"]
        {
            let entry = RecipientEntry { recipient: pattern(text), created: Timestamp::from_millis(5) };
            assert_eq!(RecipientEntry::try_from(Entry::from(entry.clone())).unwrap(), entry, "{text}");
        }
        let entry = |name: &str| Entry {
            kind: EntryKind::Recipient,
            name: name.to_owned(),
            value: serde_json::json!({"created": 0}),
        };
        for wrong in ["example.com", "example.com ", " a"] {
            let error = RecipientEntry::try_from(entry(wrong)).unwrap_err().to_string();
            assert!(error.contains(&format!("`{wrong}`")), "{error}");
        }
    }

    #[test]
    fn the_recipients_of_a_domain_lie_together_and_its_patterns_first() {
        let mut names: Vec<String> = [
            "z@example.com",
            "!@example.com",
            "\" \"@example.com",
            "zz*@example.com",
            "*@example.com",
            "a@a.example.com",
            "a@example.com-x",
            "a@example.co",
            "a@example.com.au",
        ]
        .map(|text| pattern(text).entry_name())
        .into();
        names.sort_unstable();
        let of = Recipients::of(&"example.com".parse().unwrap());
        let behind: Vec<&String> = names.iter().filter(|name| name.as_str() > of.before_all()).collect();
        let told: Vec<_> = behind.iter().map(|name| (of.has(name), of.has_pattern(name))).collect();
        let (pattern, one, other) = ((true, true), (true, false), (false, false));
        assert_eq!(told, [pattern, pattern, one, one, one, other, other]);
        assert_eq!(of.name_of(&"Z@example.com".parse().unwrap()), "example.com z");
    }
}
