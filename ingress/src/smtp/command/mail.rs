//! MAIL (RFC 5321 §4.1.1.2) with the parameters of SIZE, 8BITMIME, BINARYMIME, SMTPUTF8, AUTH, DSN, REQUIRETLS,
//! FUTURERELEASE, MT-PRIORITY and DELIVERBY.

use shared::mail::{Body, ByMode, DeliverBy, Hold, MailOptions, Ret, ReversePath, Timestamp};

use super::CommandError;
use super::parameter::{number, once, parameters, xtext};
use super::path::{mailbox, split_path, strip_keyword};
use crate::limits::{ENVID_OCTETS_MAX, PRIORITY_MAX};

/// MAIL with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The reverse path, without a source route.
    pub from: ReversePath,
    /// SIZE in octets (RFC 1870).
    pub size: Option<u64>,
    /// What travels with the message.
    pub options: MailOptions,
    /// Whether MT-PRIORITY was given.
    pub prioritized: bool,
    /// AUTH (RFC 4954 §5), which is checked and not used: nobody is trusted to say who somebody else is.
    pub submitter: bool,
    /// Whether it had parameters, which only a session that said EHLO may use.
    pub extended: bool,
}

#[derive(Default)]
struct Parameters {
    size: Option<u64>,
    body: Option<Body>,
    smtputf8: Option<()>,
    submitter: Option<()>,
    require_tls: Option<()>,
    ret: Option<Ret>,
    envid: Option<String>,
    hold: Option<Hold>,
    priority: Option<i8>,
    deliver_by: Option<DeliverBy>,
}

impl Mail {
    /// Reads what stands behind `MAIL `.
    pub(super) fn parse(argument: &str, path_octets: usize) -> Result<Self, CommandError> {
        const FORM: CommandError = CommandError::Form("MAIL FROM:<address>");
        let (path, rest) = strip_keyword(argument, "FROM:").and_then(split_path).ok_or(FORM)?;
        if path.len() + 2 > path_octets {
            return Err(CommandError::Sender);
        }
        let from = if path.is_empty() {
            ReversePath::Null
        } else {
            ReversePath::Mailbox(mailbox(path).ok_or(CommandError::Sender)?)
        };
        let given = Parameters::parse(rest)?;
        if given.smtputf8.is_none() && !path.is_ascii() {
            return Err(CommandError::NotAscii);
        }
        Ok(given.of(from, !rest.is_empty()))
    }
}

impl Parameters {
    fn parse(text: &str) -> Result<Self, CommandError> {
        let mut given = Self::default();
        for parameter in parameters(text)? {
            let (keyword, value) = parameter?;
            let keyword = keyword.to_ascii_uppercase();
            match value {
                None => given.set(&keyword)?,
                Some(value) => given.set_to(&keyword, value)?,
            }
        }
        Ok(given)
    }

    fn set(&mut self, keyword: &str) -> Result<(), CommandError> {
        match keyword {
            "SMTPUTF8" => once(&mut self.smtputf8, ()),
            "REQUIRETLS" => once(&mut self.require_tls, ()),
            "SIZE" | "BODY" | "AUTH" | "RET" | "ENVID" | "HOLDFOR" | "HOLDUNTIL" | "MT-PRIORITY" | "BY" => {
                Err(CommandError::Parameter)
            }
            _ => Err(CommandError::UnknownParameter),
        }
    }

    fn set_to(&mut self, keyword: &str, value: &str) -> Result<(), CommandError> {
        const WRONG: CommandError = CommandError::Parameter;
        match keyword {
            "SIZE" => once(&mut self.size, size(value).ok_or(WRONG)?),
            "BODY" => once(&mut self.body, body(value).ok_or(WRONG)?),
            "AUTH" => once(&mut self.submitter, submitter(value).ok_or(WRONG)?),
            "RET" => once(&mut self.ret, ret(value).ok_or(WRONG)?),
            "ENVID" => once(&mut self.envid, envid(value).ok_or(WRONG)?),
            "HOLDFOR" => once(&mut self.hold, number(value, 9).map(Hold::For).ok_or(WRONG)?),
            "HOLDUNTIL" => once(&mut self.hold, Timestamp::parse_utc(value).map(Hold::Until).ok_or(WRONG)?),
            "MT-PRIORITY" => once(&mut self.priority, priority(value).ok_or(WRONG)?),
            "BY" => once(&mut self.deliver_by, deliver_by(value).ok_or(WRONG)?),
            "SMTPUTF8" | "REQUIRETLS" => Err(WRONG),
            _ => Err(CommandError::UnknownParameter),
        }
    }

    fn of(self, from: ReversePath, extended: bool) -> Mail {
        let options = MailOptions {
            body: self.body.unwrap_or_default(),
            smtputf8: self.smtputf8.is_some(),
            require_tls: self.require_tls.is_some(),
            ret: self.ret,
            envid: self.envid,
            hold: self.hold,
            priority: self.priority.unwrap_or_default(),
            deliver_by: self.deliver_by,
        };
        Mail {
            from,
            size: self.size,
            options,
            prioritized: self.priority.is_some(),
            submitter: self.submitter.is_some(),
            extended,
        }
    }
}

/// `1*20DIGIT` (RFC 1870 §3); what does not fit is as large as can be.
fn size(value: &str) -> Option<u64> {
    let digits = (1..=20).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| value.parse().unwrap_or(u64::MAX))
}

/// RFC 6152 §2, RFC 3030 §3.
fn body(value: &str) -> Option<Body> {
    [("7BIT", Body::SevenBit), ("8BITMIME", Body::EightBitMime), ("BINARYMIME", Body::BinaryMime)]
        .into_iter()
        .find_map(|(name, body)| value.eq_ignore_ascii_case(name).then_some(body))
}

/// `<>` or a mailbox, as xtext (RFC 4954 §5).
fn submitter(value: &str) -> Option<()> {
    (value == "<>" || xtext(value).and_then(|address| mailbox(&address)).is_some()).then_some(())
}

/// RFC 3461 §4.3.
fn ret(value: &str) -> Option<Ret> {
    [("FULL", Ret::Full), ("HDRS", Ret::Hdrs)]
        .into_iter()
        .find_map(|(name, ret)| value.eq_ignore_ascii_case(name).then_some(ret))
}

/// RFC 3461 §4.4.
fn envid(value: &str) -> Option<String> {
    xtext(value).filter(|envid| value.len() <= ENVID_OCTETS_MAX && !envid.is_empty())
}

/// RFC 6710 §3.
fn priority(value: &str) -> Option<i8> {
    let (sign, digit) = value.strip_prefix('-').map_or((1, value), |digit| (-1, digit));
    let priority: i8 = number(digit, 1)?;
    let is_written_so = sign > 0 || priority != 0;
    (is_written_so && priority <= PRIORITY_MAX).then_some(sign * priority)
}

/// `by-time ";" ("R" / "N") ["T"]` (RFC 2852 §4).
fn deliver_by(value: &str) -> Option<DeliverBy> {
    let (time, mode) = value.split_once(';')?;
    let (sign, digits) = time.strip_prefix('-').map_or((1, time), |digits| (-1, digits));
    let seconds: i32 = sign * number::<i32>(digits, 9)?;
    let (mode, trace) = match mode.to_ascii_uppercase().as_str() {
        "R" => (ByMode::Return, false),
        "RT" => (ByMode::Return, true),
        "N" => (ByMode::Notify, false),
        "NT" => (ByMode::Notify, true),
        _ => return None,
    };
    // what is to be returned once it is late cannot be late already
    let can_be = seconds > 0 || mode == ByMode::Notify;
    can_be.then_some(DeliverBy { seconds, mode, trace })
}
