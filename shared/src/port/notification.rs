use serde::{Deserialize, Serialize};

use crate::mail::{Mailbox, MessageId, OriginalRecipient, Reply, Status, Timestamp};

/// What a sender is to be told of a recipient, as a DSN says it (RFC 3464 §2.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// What happened.
    pub action: Action,
    /// To whom, as the sender named it (RFC 3461 §4.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<OriginalRecipient>,
    /// How that is to be understood.
    pub status: Status,
    /// The last reply, cut to what fits; `None` where it is the one that stands beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Reply>,
    /// Whether a server said that, and not we.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub spoken: bool,
    /// Whether time is up: that of the message for one that was given up, that of its deliver-by for one that is late.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expired: bool,
    /// Whether nobody was asked, as the address is suppressed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suppressed: bool,
    /// The host that was spoken to, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// When the attempt ended.
    pub ended_at: Timestamp,
    /// When the message is given up.
    pub retry_until: Timestamp,
}

/// What happened to a recipient (RFC 3464 §2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It was given up.
    Failed,
    /// It waits for longer than the sender wanted to know nothing of it.
    Delayed,
    /// The message was given to a server that will not tell of it as the sender wants.
    Relayed,
    /// The message is in its mailbox.
    Delivered,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Failed, Self::Delayed, Self::Relayed, Self::Delivered];

    /// The word of the Action field.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Relayed => "relayed",
            Self::Delivered => "delivered",
        }
    }
}

/// A DSN, and what of one delivery it tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telling {
    /// The DSN.
    pub report: MessageId,
    /// What it tells.
    pub action: Action,
    /// Of whom, each with the end of the attempt of which it is told.
    pub recipients: Vec<(Mailbox, Timestamp)>,
    /// Whether it is put in; else it is about to be.
    pub put_in: bool,
}
