//! Return paths that tell where they came from: MAIL FROM of what leaves, and the recipient of what bounces.
//!
//! `b+<pack>-<message>-<recipient>-<signature>@<bounces.domain>`, numbers in base 32 and lower case, as not every server keeps the case
//! of a local part. The signature is HMAC-SHA-256 with a key of the edge, cut to 96 bits: who has not seen the path cannot make one, so
//! that nobody can report a bounce of mail that they have not handled. There is nothing else in it, and no state behind it.

mod keys;

use std::fmt;

use aws_lc_rs::hmac;

pub use keys::ReturnPaths;

use crate::directory::ReturnPathKey;
use crate::limits::{
    RETURN_PATH_PACK_DIGITS as PACK_DIGITS, RETURN_PATH_RADIX as RADIX, RETURN_PATH_TAG_DIGITS as TAG_DIGITS,
    RETURN_PATH_TAG_OCTETS,
};
use crate::mail::MessageId;

const PREFIX: &str = "b+";
/// The local part at which complaints come in that are sent to nobody's return path (RFC 5965).
pub const COMPLAINTS: &str = "complaints";

/// What a return path tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReturnPath {
    /// The message that left with it.
    pub message: MessageId,
    /// Which of its recipients it left for: their place, sorted by domain.
    pub recipient: u32,
}

impl ReturnPath {
    /// The path as a local part, signed with `key`. Of no more than 64 octets unless both numbers are beyond what limits allow.
    pub(crate) fn sign(&self, key: &ReturnPathKey) -> String {
        let mut tag = [0; 16];
        let signed = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key.octets), self.to_string().as_bytes());
        tag[16 - RETURN_PATH_TAG_OCTETS..].copy_from_slice(&signed.as_ref()[..RETURN_PATH_TAG_OCTETS]);
        let pack = u128::from_str_radix(&self.message.pack.to_string(), 16).unwrap_or(0);
        let mut text = PREFIX.to_owned();
        write_number(&mut text, pack, PACK_DIGITS);
        text.push('-');
        write_number(&mut text, self.message.n.into(), 1);
        text.push('-');
        write_number(&mut text, self.recipient.into(), 1);
        text.push('-');
        write_number(&mut text, u128::from_be_bytes(tag), TAG_DIGITS);
        text
    }

    /// Whether mail to this local part, at the domain of return paths, is for programs: a return path, signed or not, or complaints.
    pub fn is_for_programs(local_part: &str) -> bool {
        let begin = local_part.get(..PREFIX.len());
        begin.is_some_and(|begin| begin.eq_ignore_ascii_case(PREFIX))
            || local_part.eq_ignore_ascii_case(COMPLAINTS)
    }

    /// What `local_part` says, whoever signed it; `None` where it is not of this form.
    pub fn read(local_part: &str) -> Option<Self> {
        let lower = local_part.to_ascii_lowercase();
        let mut parts = lower.strip_prefix(PREFIX)?.split('-');
        let (pack, n, recipient) = (parts.next()?, parts.next()?, parts.next()?);
        let tag = parts.next().filter(|tag| tag.len() == TAG_DIGITS)?;
        if parts.next().is_some() || pack.len() != PACK_DIGITS || !is_number(tag) {
            return None;
        }
        let pack = format!("{:032x}", number(pack)?).parse().ok()?;
        let n = u32::try_from(number(n)?).ok()?;
        let recipient = u32::try_from(number(recipient)?).ok()?;
        Some(Self { message: MessageId { pack, n }, recipient })
    }

    /// Whether `local_part`, which says this, was signed with `key`.
    pub(crate) fn is_signed(&self, local_part: &str, key: &ReturnPathKey) -> bool {
        let (given, right) = (local_part.to_ascii_lowercase(), self.sign(key));
        aws_lc_rs::constant_time::verify_slices_are_equal(given.as_bytes(), right.as_bytes()).is_ok()
    }
}

/// What is signed.
impl fmt::Display for ReturnPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "return path {} {}", self.message, self.recipient)
    }
}

/// Writes `number` in base 32 with at least `digits` digits.
fn write_number(out: &mut String, number: u128, digits: usize) {
    let needed = (128 - number.leading_zeros() as usize).div_ceil(5);
    for place in (0..needed.max(digits)).rev() {
        let digit = u32::try_from((number >> (place * 5)) & 31).unwrap_or(0);
        out.push(char::from_digit(digit, RADIX).unwrap_or('0'));
    }
}

fn number(text: &str) -> Option<u128> {
    is_number(text).then(|| u128::from_str_radix(text, RADIX).ok()).flatten()
}

/// A sign would be read as one.
fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{Mailbox, PackId, Timestamp};

    fn key(octet: u8) -> ReturnPathKey {
        ReturnPathKey { name: String::new(), created: Timestamp::from_millis(0), octets: [octet; 32] }
    }

    fn path(n: u32, recipient: u32) -> ReturnPath {
        let pack = PackId::derived(Timestamp::from_millis(1_700_000_000_000), "a pack");
        ReturnPath { message: MessageId { pack, n }, recipient }
    }

    #[test]
    fn a_path_fits_a_local_part_and_says_what_it_was_made_of() {
        for (n, recipient) in [(0, 0), (63, 999), (65_535, 100_000)] {
            let local_part = path(n, recipient).sign(&key(1));
            assert!(local_part.len() <= 64, "{local_part}");
            Mailbox::parse(&format!("{local_part}@bounces.example.net")).unwrap();
            for cased in [local_part.clone(), local_part.to_ascii_uppercase()] {
                let read = ReturnPath::read(&cased).unwrap();
                assert_eq!(read, path(n, recipient));
                assert!(read.is_signed(&cased, &key(1)));
            }
        }
    }

    #[test]
    fn a_path_that_was_changed_in_any_letter_is_not_signed() {
        let local_part = path(3, 7).sign(&key(1));
        assert!(!path(3, 7).is_signed(&local_part, &key(2)));
        for place in 0..local_part.len() {
            for other in ['0', 'v', '-', 'x'] {
                let mut changed: Vec<char> = local_part.chars().collect();
                changed[place] = other;
                let changed: String = changed.into_iter().collect();
                let good = ReturnPath::read(&changed).is_some_and(|path| path.is_signed(&changed, &key(1)));
                assert!(!good || changed == local_part, "{changed}");
            }
        }
    }

    #[test]
    fn what_is_no_path_is_not_read() {
        let good = path(0, 0).sign(&key(1));
        for wrong in ["", "b+", "ann", &good[1..], &format!("{good}-0"), &good.replace("-0-0-", "-+0-0-")] {
            assert_eq!(ReturnPath::read(wrong), None, "{wrong}");
        }
    }
}
