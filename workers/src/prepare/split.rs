//! From messages to jobs: by urgency, tenant and destination, as few jobs as hold them.

use std::cmp::Reverse;
use std::time::Duration;

use shared::job::{
    DELIVERIES_MAX, DeliverJob, Delivery, DeliveryKey, JOB_OCTETS_MAX, Job, Notices, RECIPIENTS_MAX,
};
use shared::mail::{Domain, Recipient, Timestamp};
use shared::port::Outgoing;

use super::Prepared;
use crate::deliver::priority;
use crate::limits::prepare::{DELIVERY_OCTETS, NOTIFY_OCTETS, ORIGINAL_OCTETS, RECIPIENT_OCTETS};

/// Some recipients of one message at one domain, and not nobody.
struct Part {
    /// Which part of the message's recipients there.
    number: u16,
    /// The place of the first of them among all recipients of the message.
    first: usize,
    recipients: Vec<Recipient>,
    /// How many more parts the message has.
    others: u32,
}

/// One delivery to be.
struct Slot {
    message: usize,
    part: Part,
    /// How long the delivery is in JSON, at most.
    octets: usize,
}

impl Slot {
    fn domain(&self) -> &Domain {
        self.part.recipients[0].address.domain()
    }
}

/// The jobs of a pack, each made when it is asked for: a prefix is not held once a delivery.
pub(super) struct Jobs<'a> {
    prepared: &'a [Prepared],
    slots: std::iter::Peekable<std::vec::IntoIter<Slot>>,
    /// For each job that is left, the last first, how many slots it takes.
    sizes: Vec<usize>,
    lifetime: Duration,
    check: bool,
}

impl<'a> Jobs<'a> {
    /// Takes the recipients out of `prepared`.
    pub(super) fn of(
        prepared: &'a mut [Prepared],
        bounces: Option<&Domain>,
        lifetime: Duration,
        check: bool,
    ) -> Self {
        let mut slots = Vec::with_capacity(prepared.len());
        for (message, prepared) in prepared.iter_mut().enumerate() {
            let shared = octets_shared(prepared);
            for part in split(prepared, bounces) {
                let octets = part.recipients.iter().map(recipient_octets);
                let octets = shared + octets.sum::<usize>();
                slots.push(Slot { message, part, octets });
            }
        }
        // what is urgent goes first, and is in no job with what is not (RFC 6710)
        let kind = |slot: &Slot| {
            let message = &prepared[slot.message].message;
            (Reverse(message.envelope.options.priority), &message.tenant)
        };
        slots.sort_by(|a, b| {
            let (one, other) = (a.part.number, b.part.number);
            (kind(a), a.domain(), a.message, one).cmp(&(kind(b), b.domain(), b.message, other))
        });
        let mut sizes = sizes(&slots, |a, b| kind(a) == kind(b));
        sizes.reverse();
        Self { prepared, slots: slots.into_iter().peekable(), sizes, lifetime, check }
    }

    fn delivery(&self, slot: Slot) -> Delivery {
        let prepared = &self.prepared[slot.message];
        delivery(prepared, slot.part, prepared.message.received_at + self.lifetime)
    }
}

impl Iterator for Jobs<'_> {
    type Item = Outgoing;

    fn next(&mut self) -> Option<Outgoing> {
        let size = self.sizes.pop()?;
        let slots: Vec<Slot> = self.slots.by_ref().take(size).collect();
        let tenant = self.prepared[slots.first()?.message].message.tenant.clone();
        let deliveries = slots.into_iter().map(|slot| self.delivery(slot)).collect();
        let job = DeliverJob::new(deliveries, self.check);
        let priority = priority(&job.deliveries);
        Some(Outgoing { body: job.encode(), delay: Duration::ZERO, tenant, priority })
    }
}

/// The deliveries of a message that is held until `until`, whose age counts from then. Takes its recipients out of `prepared`.
pub(super) fn held(
    prepared: &mut Prepared,
    bounces: Option<&Domain>,
    until: Timestamp,
    lifetime: Duration,
) -> Vec<Delivery> {
    let parts = split(prepared, bounces);
    parts.into_iter().map(|part| delivery(prepared, part, until + lifetime)).collect()
}

fn delivery(prepared: &Prepared, part: Part, expires_at: Timestamp) -> Delivery {
    let Part { number: part, first, recipients, others } = part;
    let Prepared { id, message, prefix, subject, signed, unsigned, .. } = prepared;
    Delivery {
        key: DeliveryKey { message: *id, domain: recipients[0].address.domain().clone(), part },
        offset: message.offset,
        length: message.length,
        prefix: prefix.clone(),
        from: message.envelope.from.clone(),
        return_path: prepared.return_paths.get(first).cloned(),
        recipients,
        options: message.envelope.options.clone(),
        content: message.content,
        tenant: message.tenant.clone(),
        subject: subject.clone(),
        signed: signed.clone(),
        unsigned: unsigned.map(|reason| reason.as_str().to_owned()),
        attempt: 1,
        accepted_at: message.received_at,
        expires_at,
        notices: Notices::default(),
        route: None,
        postponed: 0,
        others,
    }
}

/// Splits the recipients of a message by domain, in an order that is always the same, into parts of what one transaction takes. Each
/// is alone where it has a return path of its own; and so is each at `bounces`, where a recipient is a bounce to be read.
fn split(prepared: &mut Prepared, bounces: Option<&Domain>) -> Vec<Part> {
    let mut recipients = std::mem::take(&mut prepared.message.envelope.recipients);
    recipients.sort_by(|a, b| a.address.domain().cmp(b.address.domain()));
    let mut rest = recipients.into_iter().peekable();
    let (mut parts, mut number, mut place) = (Vec::new(), 0, 0);
    while let Some(first) = rest.next() {
        let mut chunk = vec![first];
        let domain = chunk[0].address.domain().clone();
        let alone = !prepared.return_paths.is_empty() || bounces == Some(&domain);
        let most = if alone { 1 } else { RECIPIENTS_MAX };
        while chunk.len() < most
            && let Some(next) = rest.next_if(|next| *next.address.domain() == domain)
        {
            chunk.push(next);
        }
        let more = rest.peek().is_some_and(|next| *next.address.domain() == domain);
        let count = chunk.len();
        parts.push(Part { number, first: place, recipients: chunk, others: 0 });
        place += count;
        number = if more { number + 1 } else { 0 };
    }
    let others = u32::try_from(parts.len().saturating_sub(1)).unwrap_or(u32::MAX);
    for part in &mut parts {
        part.others = others;
    }
    parts
}

/// How many slots each job takes. Slots of one destination are kept together where one job can hold them.
fn sizes(slots: &[Slot], same_kind: impl Fn(&Slot, &Slot) -> bool) -> Vec<usize> {
    let mut sizes = Vec::new();
    let (mut count, mut octets) = (0, 0);
    let fits = |count: usize, octets: usize| count <= DELIVERIES_MAX && octets <= JOB_OCTETS_MAX;
    let mut previous: Option<&Slot> = None;
    for group in slots.chunk_by(|a, b| same_kind(a, b) && a.domain() == b.domain()) {
        let group_octets = group.iter().map(|slot| slot.octets).sum::<usize>();
        let kind_ends = previous.is_some_and(|previous| !same_kind(previous, &group[0]));
        let together = fits(group.len(), group_octets);
        if count > 0 && (kind_ends || (together && !fits(count + group.len(), octets + group_octets))) {
            sizes.push(std::mem::take(&mut count));
            octets = 0;
        }
        for slot in group {
            if count > 0 && !fits(count + 1, octets + slot.octets) {
                sizes.push(std::mem::take(&mut count));
                octets = 0;
            }
            count += 1;
            octets += slot.octets;
        }
        previous = group.last();
    }
    if count > 0 {
        sizes.push(count);
    }
    sizes
}

/// What a recipient takes in JSON.
fn recipient_octets(to: &Recipient) -> usize {
    let notify = if to.notify.is_some() { NOTIFY_OCTETS } else { 0 };
    let original = to
        .original
        .as_ref()
        .map_or(0, |original| json_octets(&original.kind) + json_octets(&original.address) + ORIGINAL_OCTETS);
    json_octets(to.address.as_str()) + RECIPIENT_OCTETS + notify + original
}

/// What every delivery of a message takes in JSON, but for its recipients.
fn octets_shared(prepared: &Prepared) -> usize {
    let Prepared { message, prefix, subject, signed, .. } = prepared;
    DELIVERY_OCTETS
        + message.envelope.options.envid.as_deref().map_or(0, json_octets)
        + prepared.return_paths.iter().map(|path| json_octets(path.as_str())).max().unwrap_or(0)
        + [prefix.as_str(), subject, message.envelope.from.as_str(), &message.tenant.0]
            .into_iter()
            .chain(signed.iter().map(String::as_str))
            .map(json_octets)
            .sum::<usize>()
}

/// The length of `text` as a JSON string with its quotes and a comma.
fn json_octets(text: &str) -> usize {
    let escapes = text.bytes().map(|byte| match byte {
        b'"' | b'\\' | b'\r' | b'\n' | b'\t' => 1,
        ..0x20 => 5,
        _ => 0,
    });
    text.len() + 3 + escapes.sum::<usize>()
}
