//! What a session offers, as its EHLO tells.

use std::fmt::Write as _;

use shared::mail::{Reply, Timestamp};

use crate::Limits;

/// What a session offers beside what every session does. TLS changes it, and so does XCLIENT.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// TLS.
    pub encryption: Encryption,
    /// The mechanisms of AUTH, the best one first.
    pub mechanisms: Vec<&'static str>,
    /// Whether there would be mechanisms under TLS.
    pub mechanisms_under_tls: bool,
    /// Whether clients hand in mail of their own here (RFC 6409), which FUTURERELEASE and MT-PRIORITY are for.
    pub submission: bool,
    /// Whether this client may say XCLIENT.
    pub xclient: bool,
}

/// How a session stands to TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Encryption {
    /// There is none to be had.
    #[default]
    None,
    /// STARTTLS begins it.
    Offered,
    /// It has begun.
    Active,
}

impl Offer {
    /// Whether AUTH is known here.
    pub(super) fn has_auth(&self) -> bool {
        !self.mechanisms.is_empty() || self.mechanisms_under_tls
    }

    /// The reply to EHLO.
    pub(super) fn ehlo(&self, hostname: &str, limits: &Limits, now: Timestamp) -> Reply {
        let mut text = format!(
            "{hostname}\nPIPELINING\nSIZE {}\n8BITMIME\nBINARYMIME\nCHUNKING\nSMTPUTF8\nENHANCEDSTATUSCODES\nDSN\n\
             LIMITS RCPTMAX={}\nDELIVERBY",
            limits.message_octets, limits.recipients
        );
        if self.submission {
            let hold = limits.hold.as_secs();
            // RFC 4865 §4: the longest interval, and the moment at its end, to the second
            let until = Timestamp::from_millis((now + limits.hold).millis() / 1000 * 1000);
            let _ = write!(text, "\nMT-PRIORITY\nFUTURERELEASE {hold} {until}");
        }
        match self.encryption {
            Encryption::None => {}
            Encryption::Offered => text += "\nSTARTTLS",
            Encryption::Active => text += "\nREQUIRETLS",
        }
        if !self.mechanisms.is_empty() {
            text += "\nAUTH";
            for mechanism in &self.mechanisms {
                text += " ";
                text += mechanism;
            }
        }
        if self.xclient {
            text += "\nXCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT";
        }
        Reply::plain(250, text)
    }
}
