//! The three kinds of pattern that a row of the table has: of the reply code, of the enhanced code, and of the text.

use memchr::memmem::Finder;
use shared::mail::EnhancedCode;

/// Why a pattern is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no pattern of {1}")]
pub(super) struct PatternError(String, &'static str);

/// A reply code, or the digits that one begins with: `5`, `55`, `550`.
#[derive(Debug)]
pub(super) struct CodePattern {
    low: u16,
    high: u16,
}

impl CodePattern {
    pub(super) fn parse(text: &str) -> Result<Self, PatternError> {
        let error = || PatternError(text.to_owned(), "a reply code");
        let digits: u16 = text.parse().map_err(|_| error())?;
        let unit = match text.len() {
            1 => 100,
            2 => 10,
            3 => 1,
            _ => return Err(error()),
        };
        let low = digits * unit;
        if !(400..600).contains(&low) {
            return Err(error());
        }
        Ok(Self { low, high: low + unit - 1 })
    }

    pub(super) fn matches(&self, code: u16) -> bool {
        (self.low..=self.high).contains(&code)
    }
}

/// Subject and detail of an enhanced code, without its class: `7.1`, `7.600-649`, `7.*`.
#[derive(Debug)]
pub(super) struct StatusPattern {
    subject: u16,
    low: u16,
    high: u16,
}

impl StatusPattern {
    pub(super) fn parse(text: &str) -> Result<Self, PatternError> {
        let error = || PatternError(text.to_owned(), "an enhanced code");
        let number = |digits: &str| digits.parse::<u16>().map_err(|_| error());
        let (subject, detail) = text.split_once('.').ok_or_else(error)?;
        let (low, high) = match detail.split_once('-') {
            _ if detail == "*" => (0, u16::MAX),
            Some((low, high)) => (number(low)?, number(high)?),
            None => (number(detail)?, number(detail)?),
        };
        Ok(Self { subject: number(subject)?, low, high })
    }

    pub(super) fn matches(&self, EnhancedCode(subject, detail): EnhancedCode) -> bool {
        subject == self.subject && (self.low..=self.high).contains(&detail)
    }
}

/// A part of a text in lower case, in which `*` stands for anything.
#[derive(Debug)]
pub(super) struct TextPattern(Vec<Finder<'static>>);

impl TextPattern {
    pub(super) fn parse(text: &str) -> Result<Self, PatternError> {
        let error = || PatternError(text.to_owned(), "a text in lower case");
        if text.bytes().any(|octet| octet.is_ascii_uppercase()) || text.split('*').any(str::is_empty) {
            return Err(error());
        }
        Ok(Self(text.split('*').map(|piece| Finder::new(piece).into_owned()).collect()))
    }

    pub(super) fn matches(&self, mut text: &[u8]) -> bool {
        self.0.iter().all(|piece| match piece.find(text) {
            Some(at) => {
                text = &text[at + piece.needle().len()..];
                true
            }
            None => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_matched_whole_or_by_its_first_digits() {
        let matches = |pattern, code| CodePattern::parse(pattern).unwrap().matches(code);
        assert!(matches("550", 550) && matches("55", 550) && matches("5", 550));
        assert!(!matches("550", 551) && !matches("55", 560) && !matches("4", 550));
        for pattern in ["", "5xx", "250", "6", "5500", "-5"] {
            assert!(CodePattern::parse(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn an_enhanced_code_is_matched_by_its_subject_and_a_range_of_details() {
        let matches = |pattern, subject, detail| {
            StatusPattern::parse(pattern).unwrap().matches(EnhancedCode(subject, detail))
        };
        assert!(matches("7.1", 7, 1) && matches("7.600-649", 7, 600) && matches("7.600-649", 7, 649));
        assert!(matches("7.*", 7, 999) && !matches("7.*", 1, 1));
        assert!(!matches("7.1", 7, 10) && !matches("7.600-649", 7, 650));
        for pattern in ["", "7", "7.", "7.x", ".1", "7.1-"] {
            assert!(StatusPattern::parse(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn the_pieces_of_a_text_stand_in_their_order_and_not_over_each_other() {
        let matches = |pattern, text: &str| TextPattern::parse(pattern).unwrap().matches(text.as_bytes());
        assert!(matches("no such user", "550 no such user here"));
        assert!(matches("user*unknown", "user <a@b> is unknown"));
        assert!(!matches("user*unknown", "unknown user"));
        assert!(!matches("abc*cde", "abcde"));
        for pattern in ["", "*", "a**b", "a*", "Upper"] {
            assert!(TextPattern::parse(pattern).is_err(), "{pattern}");
        }
    }
}
