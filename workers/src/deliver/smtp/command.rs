//! The commands of a transaction, as octets; and what a message needs of the server that gets them. Pure.

use std::io::Write;

use shared::job::Delivery;
use shared::mail::{Mailbox, ReversePath};

use super::capabilities::Capabilities;
use crate::deliver::outcome::Failure;

/// Octets of the message as it leaves, before dot-stuffing (RFC 1870 §5).
pub(crate) fn octets(delivery: &Delivery) -> u64 {
    delivery.length.saturating_add(delivery.prefix.len() as u64)
}

/// Whether `mailbox` cannot be written without SMTPUTF8. One whose domain alone is not ASCII can: with A-labels (RFC 6531 §3.2).
pub(crate) fn needs_smtputf8(mailbox: &Mailbox) -> bool {
    !mailbox.local_part().is_ascii()
}

/// What keeps a server that offers `offered` from taking the message, whoever its recipients.
pub(crate) fn obstacle(delivery: &Delivery, offered: &Capabilities) -> Option<Failure> {
    // RFC 1870 §6.1: a message over the limit is not to be sent at all
    if let Some(limit) = offered.size_max.filter(|limit| octets(delivery) > *limit) {
        return Some(Failure::TooLarge(limit));
    }
    if (header_needs_smtputf8(delivery) || sender_needs_smtputf8(delivery)) && !offered.smtputf8 {
        return Some(Failure::NeedsSmtpUtf8);
    }
    (is_eight_bit(delivery) && !offered.eight_bit_mime).then_some(Failure::NeedsEightBitMime)
}

fn is_eight_bit(delivery: &Delivery) -> bool {
    delivery.content.eight_bit_body || delivery.content.eight_bit_header
}

/// A header that its client did not declare to be UTF-8 may be in any charset: it is carried like an 8-bit body.
fn header_needs_smtputf8(delivery: &Delivery) -> bool {
    delivery.content.eight_bit_header && delivery.options.smtputf8
}

fn sender_needs_smtputf8(delivery: &Delivery) -> bool {
    delivery.from.mailbox().is_some_and(needs_smtputf8)
}

/// MAIL, with the parameters that the server offers and the message has use for.
pub(crate) fn mail(delivery: &Delivery, recipients: &[usize], offered: &Capabilities, out: &mut Vec<u8>) {
    out.extend_from_slice(b"MAIL FROM:<");
    match &delivery.from {
        ReversePath::Null => {}
        ReversePath::Mailbox(mailbox) => path(mailbox, out),
    }
    out.push(b'>');
    if offered.size {
        write!(out, " SIZE={}", octets(delivery)).expect("a Vec takes every write");
    }
    if offered.eight_bit_mime && is_eight_bit(delivery) {
        out.extend_from_slice(b" BODY=8BITMIME");
    }
    let internationalized = header_needs_smtputf8(delivery)
        || sender_needs_smtputf8(delivery)
        || recipients.iter().any(|at| needs_smtputf8(&delivery.recipients[*at].address));
    if offered.smtputf8 && internationalized {
        out.extend_from_slice(b" SMTPUTF8");
    }
    out.extend_from_slice(b"\r\n");
}

/// RCPT.
pub(crate) fn recipient(mailbox: &Mailbox, out: &mut Vec<u8>) {
    out.extend_from_slice(b"RCPT TO:<");
    path(mailbox, out);
    out.extend_from_slice(b">\r\n");
}

fn path(mailbox: &Mailbox, out: &mut Vec<u8>) {
    if mailbox.is_ascii() || needs_smtputf8(mailbox) {
        out.extend_from_slice(mailbox.as_str().as_bytes());
    } else {
        out.extend_from_slice(mailbox.local_part().as_bytes());
        out.push(b'@');
        out.extend_from_slice(mailbox.domain().as_str().as_bytes());
    }
}
