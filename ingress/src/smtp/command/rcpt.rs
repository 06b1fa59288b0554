//! RCPT (RFC 5321 §4.1.1.3) with the parameters of DSN.

use shared::mail::{Notify, OriginalRecipient};

use super::CommandError;
use super::parameter::{once, parameters, xtext};
use super::path::{ForwardPath, mailbox, split_path, strip_keyword};
use crate::limits::ORCPT_OCTETS_MAX;

/// RCPT with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rcpt {
    /// The forward path.
    pub to: ForwardPath,
    /// NOTIFY (RFC 3461 §4.1).
    pub notify: Option<Notify>,
    /// ORCPT (RFC 3461 §4.2).
    pub original: Option<OriginalRecipient>,
    /// Whether it had parameters, which only a session that said EHLO may use.
    pub extended: bool,
}

impl Rcpt {
    /// Reads what stands behind `RCPT `.
    pub(super) fn parse(argument: &str, path_octets: usize) -> Result<Self, CommandError> {
        const FORM: CommandError = CommandError::Form("RCPT TO:<address>");
        let (path, rest) = strip_keyword(argument, "TO:").and_then(split_path).ok_or(FORM)?;
        if path.len() + 2 > path_octets {
            return Err(CommandError::Recipient);
        }
        let to = if path.eq_ignore_ascii_case("postmaster") {
            ForwardPath::Postmaster
        } else {
            ForwardPath::Mailbox(mailbox(path).ok_or(CommandError::Recipient)?)
        };
        let (mut notified, mut original) = (None, None);
        for parameter in parameters(rest)? {
            let (keyword, value) = parameter?;
            match (keyword.to_ascii_uppercase().as_str(), value) {
                ("NOTIFY", Some(value)) => {
                    once(&mut notified, notify(value).ok_or(CommandError::Parameter)?)?;
                }
                ("ORCPT", Some(value)) => {
                    once(&mut original, orcpt(value).ok_or(CommandError::Parameter)?)?;
                }
                ("NOTIFY" | "ORCPT", None) => return Err(CommandError::Parameter),
                _ => return Err(CommandError::UnknownParameter),
            }
        }
        Ok(Self { to, notify: notified, original, extended: !rest.is_empty() })
    }
}

/// `NEVER`, or a list of the others, each once.
fn notify(value: &str) -> Option<Notify> {
    let mut notify = Notify::default();
    if value.eq_ignore_ascii_case("NEVER") {
        return Some(notify);
    }
    for word in value.split(',') {
        let place = match word.to_ascii_uppercase().as_str() {
            "SUCCESS" => &mut notify.success,
            "FAILURE" => &mut notify.failure,
            "DELAY" => &mut notify.delay,
            _ => return None,
        };
        if std::mem::replace(place, true) {
            return None;
        }
    }
    Some(notify)
}

/// `addr-type ";" xtext`; for the type `utf-8`, what RFC 6533 §3 has in place of xtext.
fn orcpt(value: &str) -> Option<OriginalRecipient> {
    let (kind, address) = value.split_once(';').filter(|_| value.len() <= ORCPT_OCTETS_MAX)?;
    let is_atom = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/?^_`{|}~".contains(&byte);
    if kind.is_empty() || !kind.bytes().all(is_atom) {
        return None;
    }
    let address = if kind.eq_ignore_ascii_case("utf-8") { unitext(address) } else { xtext(address) };
    let address = address.filter(|address| !address.is_empty())?;
    Some(OriginalRecipient { kind: kind.to_ascii_lowercase(), address })
}

/// Printable characters, where `\x{10FFFF}` stands for one of them.
fn unitext(text: &str) -> Option<String> {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        decoded.push(match letter {
            '\\' => {
                let (digits, after) = rest.strip_prefix("x{")?.split_once('}')?;
                let fits = (1..=6).contains(&digits.len())
                    && digits.bytes().all(|digit| digit.is_ascii_digit() || digit.is_ascii_uppercase());
                rest = after;
                let letter = char::from_u32(u32::from_str_radix(digits, 16).ok().filter(|_| fits)?)?;
                if letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}') {
                    return None;
                }
                letter
            }
            '!'..='~' if !matches!(letter, '+' | '=') => letter,
            '\u{a0}'.. => letter,
            _ => return None,
        });
    }
    Some(decoded)
}
