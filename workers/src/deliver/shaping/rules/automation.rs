//! What is done when a server says that it is too much.

use std::fmt;
use std::time::Duration;

use shared::config::Setting;
use shared::mail::{EnhancedCode, FailureClass, FailureKind, FailureScope, Reply, ReplyClass};

/// A kind of reply, and what it comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Automation {
    /// Codes, any of which fits; none is each that is no success.
    pub codes: Vec<CodePattern>,
    /// Enhanced codes, any of which fits; none is any, or none.
    pub enhanced: Vec<EnhancedPattern>,
    /// Classes, any of which the failure has; none is any. Where there are some, a failure of one recipient or one message does not fit:
    /// it says nothing of the site.
    pub classes: Vec<FailureClass>,
    /// Words, any of which is in the text, in any case; none is any text.
    pub texts: Vec<String>,
    /// What is done.
    pub action: Action,
    /// For how long.
    pub lasts: Duration,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action {
    /// Nothing is sent to the site.
    Suspend,
    /// Nothing of the tenant is sent to the site.
    SuspendTenant,
    /// Rates and connections are this share of what they are.
    SlowDown(f64),
    /// Nothing, and no less specific rule is asked.
    Ignore,
}

impl Automation {
    /// Whether `reply` fits, which is a failure of `kind` as far as that is known.
    pub fn fits(&self, reply: &Reply, kind: Option<FailureKind>) -> bool {
        let failed = match reply.class() {
            ReplyClass::Transient | ReplyClass::Permanent => true,
            ReplyClass::Completed | ReplyClass::Intermediate => false,
        };
        let code = self.codes.is_empty() || self.codes.iter().any(|code| code.fits(reply.code()));
        let enhanced = self.enhanced.is_empty() || self.enhanced.iter().any(|pattern| pattern.fits(reply));
        let has_words = || {
            let text = reply.text().to_lowercase().replace('\n', " ");
            self.texts.iter().any(|words| text.contains(words.as_str()))
        };
        let class = self.classes.is_empty()
            || kind.is_some_and(|FailureKind { class, scope }| {
                let of_site = matches!(scope, FailureScope::Connection | FailureScope::Site);
                of_site && self.classes.contains(&class)
            });
        failed && code && enhanced && class && (self.texts.is_empty() || has_words())
    }
}

/// `421`, or `4xx` for each of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodePattern {
    /// This one.
    One(u16),
    /// Each with this first digit.
    Class(u16),
}

impl CodePattern {
    fn fits(self, code: u16) -> bool {
        match self {
            Self::One(own) => own == code,
            Self::Class(class) => class == code / 100,
        }
    }
}

impl Setting for CodePattern {
    const RIGHT: &'static str = "a reply code of failure such as 421, 4xx or 5xx";

    fn read(text: &str) -> Option<Self> {
        if let Some(class) = text.strip_suffix("xx") {
            return class.parse().ok().filter(|class| matches!(class, 4 | 5)).map(Self::Class);
        }
        text.parse().ok().filter(|code| (400..600).contains(code)).map(Self::One)
    }
}

/// `4.7.28`, or `4.7.*` for each of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnhancedPattern {
    class: u16,
    subject: u16,
    detail: Option<u16>,
}

impl EnhancedPattern {
    fn fits(self, reply: &Reply) -> bool {
        let Some(EnhancedCode(subject, detail)) = reply.enhanced() else { return false };
        let own = (self.class, self.subject, self.detail.unwrap_or(detail));
        own == (reply.code() / 100, subject, detail)
    }
}

impl Setting for EnhancedPattern {
    const RIGHT: &'static str = "an enhanced code of failure such as 4.7.28 or 4.7.*";

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        let class = parts.next()?.parse().ok().filter(|class| matches!(class, 4 | 5))?;
        let subject = parts.next()?.parse().ok()?;
        let detail = match parts.next()? {
            "*" => None,
            detail => Some(detail.parse().ok()?),
        };
        Some(Self { class, subject, detail })
    }
}

/// A class as a file writes it.
pub(super) struct ClassName(pub(super) FailureClass);

impl Setting for ClassName {
    const RIGHT: &'static str = "a class of failure such as rate-limit, greylisting or reputation";

    fn read(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

/// An action as a file writes it, without its share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Suspend,
    SuspendTenant,
    SlowDown,
    Ignore,
}

impl Setting for Verb {
    const RIGHT: &'static str = "suspend, suspend_tenant, slow_down or ignore";

    fn read(text: &str) -> Option<Self> {
        match text {
            "suspend" => Some(Self::Suspend),
            "suspend_tenant" => Some(Self::SuspendTenant),
            "slow_down" => Some(Self::SlowDown),
            "ignore" => Some(Self::Ignore),
            _ => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Suspend => f.write_str("suspend"),
            Self::SuspendTenant => f.write_str("suspend_tenant"),
            Self::SlowDown(factor) => write!(f, "slow_down to {factor}"),
            Self::Ignore => f.write_str("ignore"),
        }
    }
}
