//! What a sink does, and when.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Where in the dialogue an act takes place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Instead of the greeting.
    Greeting,
    /// In answer to EHLO.
    Ehlo,
    /// In answer to HELO.
    Helo,
    /// In answer to STARTTLS.
    StartTls,
    /// In answer to MAIL.
    Mail,
    /// In answer to RCPT.
    Rcpt,
    /// In answer to DATA.
    Data,
    /// In answer to the final dot.
    Dot,
}

/// What the sink does at a step instead of what a good server does.
#[derive(Debug, Clone)]
pub enum Act {
    /// Answers with this line.
    Say(String),
    /// Closes the connection. After the final dot, the message counts as taken.
    Drop,
    /// Answers well, one octet each `0`.
    Drip(Duration),
    /// Says nothing until the client gives up.
    Hang,
}

/// Acts by step; what is not named goes well.
#[derive(Debug, Clone, Default)]
pub struct Script {
    pub(super) acts: Vec<(Step, Times, Act)>,
    pub(super) keywords: Option<Vec<&'static str>>,
    pub(super) tls: bool,
    pub(super) counted: bool,
}

/// How often an act takes place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Times {
    Always,
    First(usize),
    Each(usize),
}

impl Times {
    /// Whether it takes place this time, which is counted in `come` unless it always does.
    pub(super) fn have_come(self, come: &AtomicUsize) -> bool {
        match self {
            Self::Always => true,
            Self::First(times) => come.fetch_add(1, Ordering::SeqCst) < times,
            Self::Each(nth) => (come.fetch_add(1, Ordering::SeqCst) + 1).is_multiple_of(nth),
        }
    }
}

impl Script {
    /// Acts so whenever `step` comes.
    #[must_use]
    pub fn on(mut self, step: Step, act: Act) -> Self {
        self.acts.push((step, Times::Always, act));
        self
    }

    /// Acts so the first `times` times that `step` comes, on whatever connection.
    #[must_use]
    pub fn first(mut self, times: usize, step: Step, act: Act) -> Self {
        self.acts.push((step, Times::First(times), act));
        self
    }

    /// Acts so each `nth` time that `step` comes, on whatever connection.
    #[must_use]
    pub fn each(mut self, nth: usize, step: Step, act: Act) -> Self {
        self.acts.push((step, Times::Each(nth), act));
        self
    }

    /// Counts the connections that are open at a time; for an address of IPv4.
    #[must_use]
    pub fn counting(mut self) -> Self {
        self.counted = true;
        self
    }

    /// Offers these EHLO keywords in place of PIPELINING, 8BITMIME and SMTPUTF8.
    #[must_use]
    pub fn offering(mut self, keywords: &[&'static str]) -> Self {
        self.keywords = Some(keywords.to_vec());
        self
    }

    /// Offers STARTTLS, with a certificate that nobody signed and that ran out long ago.
    #[must_use]
    pub fn with_broken_certificate(mut self) -> Self {
        self.tls = true;
        self
    }
}
