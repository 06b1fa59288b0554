//! What is known of a message's content while it goes by, however it comes: by DATA or by BDAT.

use shared::mail::ContentFacts;

use super::facts::Observer;

/// What a bare LF in content comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BareLf {
    /// The message is refused with 550 5.6.0 (RFC 5321 §2.3.8).
    #[default]
    Refuse,
    /// It is taken for a line end and made CRLF. It still does not end a message.
    Crlf,
}

/// Why a message cannot be taken, whatever its envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It has a CR or LF that is not part of a CRLF.
    BareLineEnd,
    /// It is longer than the limit.
    TooLarge,
    /// It has been through too many servers.
    Loop,
}

/// How much content a message may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentLimits {
    /// Octets.
    pub octets: u64,
    /// Received lines.
    pub received_lines: u32,
}

/// Content going by.
#[derive(Debug)]
pub struct Content {
    limits: ContentLimits,
    bare: bool,
    observer: Observer,
}

impl Content {
    pub(super) fn new(limits: ContentLimits) -> Self {
        Self { limits, bare: false, observer: Observer::default() }
    }

    /// Looks at `bytes`, and appends them to `content` unless the message has a fault already.
    pub(super) fn pass(&mut self, bytes: &[u8], content: &mut Vec<u8>) {
        self.observer.observe(bytes);
        if self.fault().is_none() {
            content.extend_from_slice(bytes);
        }
    }

    pub(super) fn found_bare_line_end(&mut self) {
        self.bare = true;
    }

    /// Why the message cannot be taken, as far as it has been read. Of several faults it is always the same one.
    pub fn fault(&self) -> Option<Fault> {
        if self.bare {
            Some(Fault::BareLineEnd)
        } else if self.observer.octets() > self.limits.octets {
            Some(Fault::TooLarge)
        } else if self.observer.received_lines() > self.limits.received_lines {
            Some(Fault::Loop)
        } else {
            None
        }
    }

    /// What the content is like, as far as it has been read.
    pub fn facts(&self) -> ContentFacts {
        self.observer.facts()
    }

    /// How many octets have been read.
    pub fn octets(&self) -> u64 {
        self.observer.octets()
    }
}
