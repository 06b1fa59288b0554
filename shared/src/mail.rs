//! The words of mail, as values: addresses, envelopes, replies, ids, times. Pure: no I/O, no ports.

mod address;
mod domain;
mod envelope;
mod failure;
pub mod header;
mod id;
mod reply;
mod timestamp;

pub use address::{AddressError, Mailbox, ReversePath};
pub use domain::Domain;
pub use envelope::{
    Body, ByMode, Client, ClientDns, ContentFacts, DeliverBy, Envelope, Hold, MailOptions, Notify,
    OriginalRecipient, Recipient, Ret, ReverseDns, TenantId,
};
pub use failure::{FailureClass, FailureKind, FailureScope};
pub use id::{IdError, JobId, MessageId, PackId};
pub use reply::{EnhancedCode, Reply, ReplyClass, Status};
pub use timestamp::Timestamp;
