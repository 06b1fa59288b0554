//! A recipient in a DSN.

use shared::mail::{Mailbox, Reply};
use shared::port::{Notification, RecipientState};

/// A recipient, and what is told of it.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Row<'a> {
    pub(super) address: &'a Mailbox,
    /// The last reply.
    pub(super) reply: &'a Reply,
    pub(super) told: &'a Notification,
}

impl<'a> Row<'a> {
    /// The row of the recipient whose state is `state`; `None` where there is no reply, which every attempt leaves.
    pub(in super::super) fn of(state: &'a RecipientState, told: &'a Notification) -> Option<Self> {
        let reply = told.reply.as_ref().or(state.reply.as_ref())?;
        Some(Self { address: &state.address, reply, told })
    }
}
