//! The commands of a transaction, as octets; and what a message needs of the server that gets them. Pure.

use std::io::Write;

use shared::job::Delivery;
use shared::mail::{Body, ByMode, Mailbox, Notify, OriginalRecipient, Recipient, Ret, Timestamp};

use super::capabilities::Capabilities;
use crate::deliver::outcome::Failure;
use crate::deliver::text::{utf8_address, xtext};

/// Octets of the message as it leaves, before dot-stuffing (RFC 1870 §5).
pub(crate) fn octets(delivery: &Delivery) -> u64 {
    delivery.length.saturating_add(delivery.prefix.len() as u64)
}

/// Whether `mailbox` cannot be written without SMTPUTF8. One whose domain alone is not ASCII can: with A-labels (RFC 6531 §3.2).
pub(crate) fn needs_smtputf8(mailbox: &Mailbox) -> bool {
    !mailbox.local_part().is_ascii()
}

/// Whether the message may have lines that are none, so that only BDAT can carry it (RFC 3030 §3).
pub(crate) fn is_binary(delivery: &Delivery) -> bool {
    delivery.options.body == Body::BinaryMime
}

/// What keeps a server that offers `offered` from taking the message at `now`, whoever its recipients.
pub(crate) fn obstacle(delivery: &Delivery, offered: &Capabilities, now: Timestamp) -> Option<Failure> {
    // RFC 1870 §6.1: a message over the limit is not to be sent at all
    if let Some(limit) = offered.size_max.filter(|limit| octets(delivery) > *limit) {
        return Some(Failure::TooLarge(limit));
    }
    if (header_needs_smtputf8(delivery) || sender_needs_smtputf8(delivery)) && !offered.smtputf8 {
        return Some(Failure::NeedsSmtpUtf8);
    }
    if is_binary(delivery) && !(offered.binary_mime && offered.chunking) {
        return Some(Failure::NeedsBinaryMime);
    }
    if is_eight_bit(delivery) && !is_binary(delivery) && !offered.eight_bit_mime {
        return Some(Failure::NeedsEightBitMime);
    }
    if delivery.options.require_tls && !offered.require_tls {
        return Some(Failure::NeedsRequireTls("the server does not offer it".to_owned()));
    }
    lateness(delivery, offered, now)
}

/// RFC 2852 §4: a message that is to be returned after its time goes only where that is known, and can be kept.
fn lateness(delivery: &Delivery, offered: &Capabilities, now: Timestamp) -> Option<Failure> {
    if delivery.options.deliver_by?.mode != ByMode::Return {
        return None;
    }
    let left = seconds_left(delivery, now)?;
    match offered.deliver_by {
        _ if left <= 0 => Some(Failure::DeliverByPassed),
        None => Some(Failure::NeedsDeliverBy),
        Some(least) if left.unsigned_abs() < least => Some(Failure::DeliverByTooSoon(least)),
        Some(_) => None,
    }
}

/// The whole seconds that are left of the deliver-by time; negative where it has passed.
fn seconds_left(delivery: &Delivery, now: Timestamp) -> Option<i64> {
    Some((delivery.deliver_by()?.millis() - now.millis()).div_euclid(1000))
}

fn is_eight_bit(delivery: &Delivery) -> bool {
    delivery.content.eight_bit_body || delivery.content.eight_bit_header
}

/// A header that its client did not declare to be UTF-8 may be in any charset: it is carried like an 8-bit body.
fn header_needs_smtputf8(delivery: &Delivery) -> bool {
    delivery.content.eight_bit_header && delivery.options.smtputf8
}

fn sender_needs_smtputf8(delivery: &Delivery) -> bool {
    delivery.mail_from().is_some_and(needs_smtputf8)
}

/// Whether the transaction for the recipients at `places` is one of SMTPUTF8.
fn is_internationalized(delivery: &Delivery, places: &[usize], offered: &Capabilities) -> bool {
    offered.smtputf8
        && (header_needs_smtputf8(delivery)
            || sender_needs_smtputf8(delivery)
            || places.iter().any(|at| needs_smtputf8(&delivery.recipients[*at].address)))
}

/// What a transaction is made under.
#[derive(Clone, Copy)]
pub(crate) struct Terms<'a> {
    /// Its recipients, by their place in the delivery.
    pub(crate) places: &'a [usize],
    pub(crate) offered: &'a Capabilities,
    pub(crate) now: Timestamp,
}

impl Terms<'_> {
    /// MAIL, with the parameters that the server offers and the message has use for.
    pub(crate) fn mail(&self, delivery: &Delivery, out: &mut Vec<u8>) {
        let offered = self.offered;
        out.extend_from_slice(b"MAIL FROM:<");
        if let Some(mailbox) = delivery.mail_from() {
            path(mailbox, out);
        }
        out.push(b'>');
        if offered.size {
            add(out, format_args!(" SIZE={}", octets(delivery)));
        }
        if is_binary(delivery) {
            out.extend_from_slice(b" BODY=BINARYMIME");
        } else if offered.eight_bit_mime && is_eight_bit(delivery) {
            out.extend_from_slice(b" BODY=8BITMIME");
        }
        if is_internationalized(delivery, self.places, offered) {
            out.extend_from_slice(b" SMTPUTF8");
        }
        self.wishes(delivery, out);
        out.extend_from_slice(b"\r\n");
    }

    /// What the sender asks of every server on the way.
    fn wishes(&self, delivery: &Delivery, out: &mut Vec<u8>) {
        let Self { offered, now, .. } = self;
        let options = &delivery.options;
        if options.require_tls {
            out.extend_from_slice(b" REQUIRETLS");
        }
        if offered.dsn {
            // RFC 8689 §5: what must not be seen in clear text must not come back in full either
            match if options.require_tls { Some(Ret::Hdrs) } else { options.ret } {
                Some(Ret::Full) => out.extend_from_slice(b" RET=FULL"),
                Some(Ret::Hdrs) => out.extend_from_slice(b" RET=HDRS"),
                None => {}
            }
            if let Some(envid) = &options.envid {
                add(out, format_args!(" ENVID={}", xtext(envid)));
            }
        }
        if offered.priority && options.priority != 0 {
            add(out, format_args!(" MT-PRIORITY={}", options.priority));
        }
        if let (Some(by), Some(_), Some(left)) =
            (options.deliver_by, offered.deliver_by, seconds_left(delivery, *now))
        {
            // RFC 2852 §4: a by-time has nine digits at most
            let left = left.clamp(-999_999_999, 999_999_999);
            let mode = if by.mode == ByMode::Return { 'R' } else { 'N' };
            add(out, format_args!(" BY={left};{mode}{}", if by.trace { "T" } else { "" }));
        }
    }

    /// RCPT for the recipient at `place`.
    pub(crate) fn recipient(&self, delivery: &Delivery, place: usize, out: &mut Vec<u8>) {
        let Recipient { address, notify, original } = &delivery.recipients[place];
        out.extend_from_slice(b"RCPT TO:<");
        path(address, out);
        out.push(b'>');
        if self.offered.dsn {
            if let Some(notify) = notify {
                add(out, format_args!(" NOTIFY={}", words(*notify)));
            }
            if let Some(OriginalRecipient { kind, address }) = original {
                // RFC 6533 §3: as it is within a transaction of SMTPUTF8, and escaped in any other
                let as_is = is_internationalized(delivery, self.places, self.offered);
                let address = if kind.eq_ignore_ascii_case("utf-8") {
                    utf8_address(address, as_is)
                } else {
                    xtext(address)
                };
                add(out, format_args!(" ORCPT={kind};{address}"));
            }
        }
        out.extend_from_slice(b"\r\n");
    }
}

fn add(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes every write");
}

/// The value of NOTIFY (RFC 3461 §4.1).
fn words(notify: Notify) -> String {
    let all = [(notify.success, "SUCCESS"), (notify.failure, "FAILURE"), (notify.delay, "DELAY")];
    let wanted: Vec<&str> = all.into_iter().filter(|(wanted, _)| *wanted).map(|(_, word)| word).collect();
    if wanted.is_empty() { "NEVER".to_owned() } else { wanted.join(",") }
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
