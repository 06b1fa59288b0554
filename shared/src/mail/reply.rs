//! SMTP replies (RFC 5321 §4.2) and their enhanced codes (RFC 3463).

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What a reply code's first digit says (RFC 5321 §4.2.1). Derived from the code, never stored beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyClass {
    /// 2yz: done.
    Completed,
    /// 3yz: send more.
    Intermediate,
    /// 4yz: not now.
    Transient,
    /// 5yz: not ever.
    Permanent,
}

/// The `subject.detail` half of an enhanced code; its class is always that of the reply it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EnhancedCode(pub u16, pub u16);

/// A reply: its code, its enhanced code if it has one, and its text. Several lines of text are joined by `\n`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    code: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    enhanced: Option<EnhancedCode>,
    text: Cow<'static, str>,
}

impl Reply {
    /// A reply with an enhanced code, given without its class: `Reply::new(550, (1, 1), …)` is 550 5.1.1.
    ///
    /// # Panics
    /// If `code` is not between 200 and 599.
    pub fn new(code: u16, enhanced: (u16, u16), text: impl Into<Cow<'static, str>>) -> Self {
        Self { enhanced: Some(EnhancedCode(enhanced.0, enhanced.1)), ..Self::plain(code, text) }
    }

    /// A reply without an enhanced code, as the greeting, EHLO and 3yz have none (RFC 2034 §4).
    ///
    /// # Panics
    /// If `code` is not between 200 and 599.
    pub fn plain(code: u16, text: impl Into<Cow<'static, str>>) -> Self {
        assert!((200..600).contains(&code), "a reply code is 200 to 599");
        Self { code, enhanced: None, text: text.into() }
    }

    /// A reply as a server sent it: an enhanced code that `text` begins with is taken off where its class fits `code`.
    /// `None` where `code` is not between 200 and 599.
    pub fn received(code: u16, text: &str) -> Option<Self> {
        if !(200..600).contains(&code) {
            return None;
        }
        let (enhanced, text) = match split_enhanced(code, text) {
            Some((enhanced, rest)) => (Some(enhanced), rest),
            None => (None, text.to_owned()),
        };
        Some(Self { code, enhanced, text: text.into() })
    }

    /// The three digits.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The first digit's meaning.
    pub fn class(&self) -> ReplyClass {
        match self.code / 100 {
            2 => ReplyClass::Completed,
            3 => ReplyClass::Intermediate,
            4 => ReplyClass::Transient,
            _ => ReplyClass::Permanent,
        }
    }

    /// Subject and detail of the enhanced code.
    pub fn enhanced(&self) -> Option<EnhancedCode> {
        self.enhanced
    }

    /// The text without codes; lines are joined by `\n`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The reply with the beginning of its text, which takes at most `octets` in JSON.
    #[must_use]
    pub fn cut(self, octets: usize) -> Self {
        let mut left = octets;
        let fits = |(at, character): (usize, char)| {
            let own = if matches!(character, '"' | '\\' | '\n') { 2 } else { character.len_utf8() };
            left = left.checked_sub(own)?;
            Some(at + character.len_utf8())
        };
        let end = self.text.char_indices().map_while(fits).last().unwrap_or(0);
        if end == self.text.len() { self } else { Self { text: self.text[..end].to_owned().into(), ..self } }
    }

    /// The status for a DSN: the enhanced code, or `x.0.0` of the reply's class (RFC 3464 §2.3.4).
    pub fn status(&self) -> Status {
        let EnhancedCode(subject, detail) = self.enhanced.unwrap_or(EnhancedCode(0, 0));
        Status { class: self.code / 100, subject, detail }
    }

    /// Writes the reply as it goes over the wire, each line ended by CRLF. The enhanced code stands on every line (RFC 2034 §4).
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let mut lines = self.text.split('\n').peekable();
        while let Some(line) = lines.next() {
            let separator = if lines.peek().is_some() { '-' } else { ' ' };
            out.extend_from_slice(format!("{}{separator}", self.code).as_bytes());
            if let Some(EnhancedCode(subject, detail)) = self.enhanced {
                out.extend_from_slice(format!("{}.{subject}.{detail} ", self.code / 100).as_bytes());
            }
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// On one line: `550 5.1.1 no such user`.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(EnhancedCode(subject, detail)) = self.enhanced {
            write!(f, " {}.{subject}.{detail}", self.code / 100)?;
        }
        write!(f, " {}", self.text.replace('\n', " / "))
    }
}

/// A DSN status code (RFC 3463): `5.1.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// 2, 4 or 5.
    pub class: u16,
    /// What it is about.
    pub subject: u16,
    /// What it is.
    pub detail: u16,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// Takes the enhanced code off each line of `text`, where the first line has one of the class of `code`.
fn split_enhanced(code: u16, text: &str) -> Option<(EnhancedCode, String)> {
    let (word, _) = text.split_once([' ', '\n']).unwrap_or((text, ""));
    let mut parts = word.splitn(3, '.').map(|part| part.parse::<u16>().ok().filter(|_| part.len() <= 3));
    let (class, subject, detail) = (parts.next()??, parts.next()??, parts.next()??);
    if class != code / 100 {
        return None;
    }
    let bare = |line: &str| line.strip_prefix(word).map_or(line, str::trim_start).to_owned();
    let rest = text.split('\n').map(bare).collect::<Vec<_>>().join("\n");
    Some((EnhancedCode(subject, detail), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_line_on_the_wire_carries_both_codes() {
        assert_eq!(wire(&Reply::new(250, (1, 5), "ok")), "250 2.1.5 ok\r\n");
        assert_eq!(wire(&Reply::new(550, (7, 1), "no\nnever")), "550-5.7.1 no\r\n550 5.7.1 never\r\n");
        assert_eq!(wire(&Reply::plain(354, "go on")), "354 go on\r\n");
    }

    #[test]
    fn a_reply_is_cut_to_what_it_takes_in_json() {
        let reply = Reply::new(550, (1, 1), "a\"b\n\u{e9}c");
        for (octets, text) in [(99, "a\"b\n\u{e9}c"), (9, "a\"b\n\u{e9}c"), (7, "a\"b\n"), (2, "a"), (0, "")]
        {
            let cut = reply.clone().cut(octets);
            assert_eq!((cut.text(), cut.enhanced()), (text, reply.enhanced()), "{octets}");
        }
    }

    #[test]
    fn an_enhanced_code_is_believed_only_in_the_class_of_its_reply() {
        let reply = Reply::received(550, "5.1.1 no such user\n5.1.1 at all").unwrap();
        assert_eq!((reply.enhanced(), reply.text()), (Some(EnhancedCode(1, 1)), "no such user\nat all"));
        let odd = Reply::received(450, "5.1.1 no such user").unwrap();
        assert_eq!((odd.enhanced(), odd.text()), (None, "5.1.1 no such user"));
        assert_eq!(odd.status().to_string(), "4.0.0");
        assert_eq!(Reply::received(199, "x"), None);
    }
}
