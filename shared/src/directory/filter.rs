//! Which of the mail that waits is meant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::job::Delivery;
use crate::mail::{Domain, Mailbox, MessageId, ReversePath, TenantId, Timestamp};
use crate::port::{DeliveryState, RecipientState, RecipientStatus};

/// What deliveries must be like, all of it. One that says nothing means all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Of one of these messages, where there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<MessageId>,
    /// Of this tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// To this domain, or to those below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<DomainPattern>,
    /// From this sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<AddressPattern>,
    /// With this recipient among those who are left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<AddressPattern>,
    /// Accepted by then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted_before: Option<Timestamp>,
    /// Due by then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_by: Option<Timestamp>,
    /// In this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<WaitingStatus>,
    /// Whose last reply has this text, whatever the case of its letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a delivery that is not settled waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WaitingStatus {
    /// Its release: by an operator, or at the time its sender has set.
    Held,
    /// Its next attempt; one has failed.
    Deferred,
    /// Its first attempt.
    Waiting,
}

impl WaitingStatus {
    /// What `state`, which is not settled, waits for.
    pub fn of(state: &DeliveryState, now: Timestamp) -> Self {
        if state.is_held() || state.is_held_by_order(now) {
            Self::Held
        } else if state.attempts.is_empty() {
            Self::Waiting
        } else {
            Self::Deferred
        }
    }
}

impl Filter {
    /// Whether `state` is meant; none that is settled is.
    pub fn matches(&self, state: &DeliveryState, now: Timestamp) -> bool {
        let Some(pending) = &state.pending else { return false };
        self.matches_delivery(pending)
            && self.due_by.is_none_or(|by| state.due_at.is_some_and(|at| at <= by))
            && self.status.is_none_or(|status| status == WaitingStatus::of(state, now))
            && self.reason.as_ref().is_none_or(|reason| has_reason(state, reason))
    }

    /// Whether `delivery` is meant, of which nothing is known but what its job carries.
    pub fn matches_untried(&self, delivery: &Delivery) -> bool {
        self.due_by.is_none()
            && self.reason.is_none()
            && self.status.is_none_or(|status| status == WaitingStatus::Waiting)
            && self.matches_delivery(delivery)
    }

    fn matches_delivery(&self, delivery: &Delivery) -> bool {
        (self.messages.is_empty() || self.messages.contains(&delivery.key.message))
            && self.tenant.as_ref().is_none_or(|tenant| *tenant == delivery.tenant)
            && self.destination.as_ref().is_none_or(|pattern| pattern.matches(&delivery.key.domain))
            && self.accepted_before.is_none_or(|before| delivery.accepted_at <= before)
            && self.from.as_ref().is_none_or(|from| from.matches_path(&delivery.from))
            && self
                .to
                .as_ref()
                .is_none_or(|to| delivery.recipients.iter().any(|recipient| to.matches(&recipient.address)))
    }

    /// Whether whatever `other` means, now or later, this one means too.
    pub fn covers(&self, other: &Self) -> bool {
        let Self { messages, tenant, destination, from, to, accepted_before: _, due_by, status, reason } =
            self;
        (messages.is_empty()
            || (!other.messages.is_empty() && other.messages.iter().all(|id| messages.contains(id))))
            && (tenant.is_none() || *tenant == other.tenant)
            && (destination.is_none() || *destination == other.destination)
            && (from.is_none() || *from == other.from)
            && (to.is_none() || *to == other.to)
            && due_by.is_none()
            && status.is_none_or(|status| status == WaitingStatus::Held)
            && reason.is_none()
    }
}

/// Whether it waits for `reason`: what it was put off for, the class of a failure, or a part of the last reply.
fn has_reason(state: &DeliveryState, reason: &str) -> bool {
    let reason = reason.to_lowercase();
    let put_off = state.waiting.as_ref().is_some_and(|waiting| waiting.text.to_lowercase().contains(&reason));
    let mut deferred =
        state.recipients.iter().filter(|recipient| recipient.status == RecipientStatus::Deferred);
    put_off || deferred.any(|recipient| was_told(recipient, &reason))
}

fn was_told(recipient: &RecipientState, reason: &str) -> bool {
    let is_class = recipient.failure.is_some_and(|failure| failure.class.as_str() == reason);
    is_class
        || recipient.reply.as_ref().is_some_and(|reply| {
            let text = reply.enhanced().map_or_else(
                || format!("{} {}", reply.code(), reply.text()),
                |_| format!("{} {} {}", reply.code(), reply.status(), reply.text()),
            );
            text.to_lowercase().contains(reason)
        })
}

/// `example.org`, or `*.example.org` for every domain below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DomainPattern {
    domain: Domain,
    below: bool,
}

/// `user@example.org`, `@example.org` for everybody there, or `<>` for nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum AddressPattern {
    /// The null reverse path.
    Nobody,
    /// Everybody at a domain.
    Domain(Domain),
    /// One address; its local part is compared without regard to case.
    One(Mailbox),
}

/// A text that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not {right}")]
pub struct FilterError {
    text: String,
    right: &'static str,
}

impl DomainPattern {
    /// Whether `domain` is meant.
    pub fn matches(&self, domain: &Domain) -> bool {
        if !self.below {
            return *domain == self.domain;
        }
        let prefix = domain.as_str().strip_suffix(self.domain.as_str());
        prefix.is_some_and(|prefix| prefix.ends_with('.'))
    }
}

impl FromStr for DomainPattern {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let (name, below) = text.strip_prefix("*.").map_or((text, false), |parent| (parent, true));
        let right = "a domain: use example.org, or *.example.org for those below it";
        let domain = Domain::parse(name).map_err(|_| FilterError { text: text.to_owned(), right })?;
        Ok(Self { domain, below })
    }
}

impl fmt::Display for DomainPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.below { write!(f, "*.{}", self.domain) } else { self.domain.fmt(f) }
    }
}

impl AddressPattern {
    fn matches(&self, mailbox: &Mailbox) -> bool {
        match self {
            Self::Nobody => false,
            Self::Domain(domain) => mailbox.domain() == domain,
            Self::One(one) => {
                mailbox.domain() == one.domain()
                    && mailbox.local_part().eq_ignore_ascii_case(one.local_part())
            }
        }
    }

    fn matches_path(&self, path: &ReversePath) -> bool {
        match path {
            ReversePath::Null => *self == Self::Nobody,
            ReversePath::Mailbox(mailbox) => self.matches(mailbox),
        }
    }
}

impl FromStr for AddressPattern {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let right = "an address: use user@example.org, @example.org or <>";
        let wrong = || FilterError { text: text.to_owned(), right };
        match text.strip_prefix('@') {
            _ if text == "<>" => Ok(Self::Nobody),
            Some(domain) => Domain::parse(domain).map(Self::Domain).map_err(|_| wrong()),
            None => Mailbox::parse(text).map(Self::One).map_err(|_| wrong()),
        }
    }
}

impl fmt::Display for AddressPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("<>"),
            Self::Domain(domain) => write!(f, "@{domain}"),
            Self::One(mailbox) => mailbox.fmt(f),
        }
    }
}

macro_rules! as_text {
    ($($pattern:ty),*) => {$(
        impl TryFrom<String> for $pattern {
            type Error = FilterError;
            fn try_from(text: String) -> Result<Self, FilterError> {
                text.parse()
            }
        }

        impl From<$pattern> for String {
            fn from(pattern: $pattern) -> Self {
                pattern.to_string()
            }
        }
    )*};
}
as_text!(DomainPattern, AddressPattern);

#[cfg(test)]
mod tests;
