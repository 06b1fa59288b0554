//! The story for a person: who and what above, then a timeline for each destination.

use std::io::{self, Write};

use shared::mail::{Body, Client, ClientDns, Mailbox, Timestamp};
use shared::port::{FeedbackKind, RecipientStatus};
use workers::deliver::SUPPRESSED_ROUTE;

use super::wishes;
use super::{
    AttemptStory, DeliveryStory, FeedbackStory, OrderStory, PackFate, RecipientStory, Story, StoryStatus,
};
use crate::screen::{Screen, Tone, due, moment, octets, plain, span, time_of_day};

pub(super) fn write(story: &Story, now: Timestamp, screen: Screen, out: &mut dyn Write) -> io::Result<()> {
    let line = |out: &mut dyn Write, name: &str, text: &str| writeln!(out, "  {name:<10}{}", plain(text));
    writeln!(out, "{}", screen.tint(Tone::Heading, &format!("message {}", story.message)))?;
    let ago = span(now.since(story.accepted_at));
    line(out, "accepted", &format!("{}, {ago} ago", moment(story.accepted_at)))?;
    line(out, "from", if story.from.mailbox().is_none() { "<>" } else { story.from.as_str() })?;
    for (index, address) in story.recipients.iter().enumerate() {
        let wishes = story.submission.iter().flat_map(|submission| &submission.wishes);
        let wishes = wishes.filter(|recipient| recipient.address == *address).map(wishes::of_recipient);
        let text = wishes.fold(address.to_string(), |address, wishes| format!("{address}  {wishes}"));
        line(out, if index == 0 { "to" } else { "" }, &text)?;
    }
    if let Some(subject) = &story.subject {
        line(out, "subject", subject)?;
    }
    line(out, "size", &size(story))?;
    if let Some(submission) = &story.submission {
        let wishes = wishes::of_message(&submission.options);
        if !wishes.is_empty() {
            line(out, "options", &wishes)?;
        }
        line(out, "client", &client(&submission.client))?;
        if let Some(dns) = dns(&submission.client.dns) {
            line(out, "", &dns)?;
        }
    }
    if story.tenant.0 != "default" {
        line(out, "tenant", &story.tenant.0)?;
    }
    match story.pack {
        PackFate::Present => {}
        PackFate::Deleted => line(out, "pack", "deleted by age; who handed it in is no longer known")?,
        PackFate::Corrupt(why) => line(out, "pack", &format!("corrupt: {why}"))?,
    }
    for delivery in &story.deliveries {
        writeln!(out)?;
        write_delivery(delivery, now, screen, out)?;
    }
    write_waiting(story, screen, out)
}

fn size(story: &Story) -> String {
    let options = story.submission.as_ref().map(|submission| &submission.options);
    let body = match options.map(|options| options.body) {
        Some(Body::EightBitMime) => ", 8BITMIME",
        Some(Body::BinaryMime) => ", BINARYMIME",
        Some(Body::SevenBit) | None => "",
    };
    let utf8 = if options.is_some_and(|options| options.smtputf8) { ", SMTPUTF8" } else { "" };
    format!("{}{body}{utf8}", octets(story.size))
}

fn client(client: &Client) -> String {
    let verb = if client.esmtp { "EHLO" } else { "HELO" };
    let tls = client.tls.as_deref().unwrap_or("clear text");
    let who = match (&client.credential, client.submission) {
        (Some(credential), _) => format!("authenticated as {credential}"),
        (None, true) => "from a trusted network".to_owned(),
        (None, false) => "a stranger".to_owned(),
    };
    let name = client.dns.name.as_ref().map_or(String::new(), |name| format!("{name} "));
    format!("{name}{}, {verb} {}, {tls}, {who}", client.ip, client.helo)
}

/// What policy found worth telling of the client's address.
fn dns(dns: &ClientDns) -> Option<String> {
    let reverse = dns.reverse.map(|reverse| format!("reverse DNS {}", reverse.as_str()));
    let listed = dns.listed.iter().map(|zone| format!("listed at {zone}"));
    let told: Vec<String> = reverse.into_iter().chain(listed).collect();
    (!told.is_empty()).then(|| told.join(", "))
}

fn write_delivery(
    delivery: &DeliveryStory,
    now: Timestamp,
    screen: Screen,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "{}", screen.tint(Tone::Heading, &delivery.destination))?;
    match delivery.signed.as_slice() {
        [] => match &delivery.unsigned {
            Some(reason) => writeln!(out, "  signed    no: {}", plain(&reason.replace('_', " ")))?,
            None => writeln!(out, "  signed    no")?,
        },
        signed => writeln!(out, "  signed    {}", plain(&signed.join(", ")))?,
    }
    if let Some(path) = &delivery.return_path {
        writeln!(out, "  return    {}", plain(path.as_str()))?;
    }
    if let Some(until) = delivery.held_until {
        let still = if delivery.held { "; until then, spoolway cancel takes it back" } else { "" };
        writeln!(out, "  held      until {}{still}", moment(until))?;
    }
    let mut orders = delivery.orders.iter().peekable();
    for attempt in &delivery.attempts {
        while let Some(order) = orders.next_if(|order| order.at <= attempt.began_at) {
            write_order(order, screen, out)?;
        }
        write_attempt(attempt, screen, out)?;
    }
    for order in orders {
        write_order(order, screen, out)?;
    }
    let held_by_order = delivery.held_by_order.filter(|until| *until > now);
    for recipient in &delivery.recipients {
        write_recipient(recipient, delivery.held || held_by_order.is_some(), screen, out)?;
    }
    for feedback in &delivery.feedback {
        write_feedback(feedback, screen, out)?;
    }
    if let Some(until) = held_by_order {
        writeln!(
            out,
            "  next      nothing until it is released; {}",
            after_hold(until, delivery.expires_at)
        )?;
    } else if delivery.held {
        let end = moment(delivery.expires_at);
        writeln!(out, "  next      attempt 1 at its release, or within a minute of it; given up on {end}")?;
    } else if let Some(waiting) = &delivery.waiting {
        let number = delivery.attempts.last().map_or(1, |attempt| attempt.number + 1);
        let (until, end) = (moment(waiting.until), moment(delivery.expires_at));
        let text = format!("  waiting: {}", plain(&waiting.text));
        writeln!(out, "{}", screen.tint(Tone::Waiting, &text))?;
        writeln!(
            out,
            "  next      attempt {number} at {until}, put off {}; given up on {end}",
            times(waiting.times)
        )?;
    } else if let Some(at) = delivery.next_attempt_by {
        let number = delivery.attempts.last().map_or(1, |attempt| attempt.number + 1);
        let end = moment(delivery.expires_at);
        writeln!(out, "  next      attempt {number} {}, by {}; given up on {end}", due(at, now), moment(at))?;
    }
    Ok(())
}

/// `once`, `2 times`
fn times(times: u32) -> String {
    if times == 1 { "once".to_owned() } else { format!("{times} times") }
}

fn after_hold(until: Timestamp, expires_at: Timestamp) -> String {
    if until < expires_at {
        format!("tried again on {}", moment(until))
    } else {
        format!("returned to its sender on {}", moment(expires_at))
    }
}

fn write_order(order: &OrderStory, screen: Screen, out: &mut dyn Write) -> io::Result<()> {
    let detail = order.detail.as_ref().map_or(String::new(), |detail| format!(", {detail}"));
    let text = format!("{} ordered by {}{detail}", order.hand, order.by);
    let at = order.at.to_string();
    let day = at.get(..10).unwrap_or_default();
    writeln!(out, "  {} {}  {}", screen.tint(Tone::Quiet, day), time_of_day(order.at), plain(&text))
}

fn write_attempt(attempt: &AttemptStory, screen: Screen, out: &mut dyn Write) -> io::Result<()> {
    let host = match (&attempt.host, &attempt.peer) {
        (Some(host), Some(peer)) => format!(" to {host} ({peer})"),
        (Some(one), None) | (None, Some(one)) => format!(" to {one}"),
        (None, None) => String::new(),
    };
    let tls = match (&attempt.tls, &attempt.peer) {
        (Some(tls), _) => format!(", {tls}"),
        (None, Some(_)) => ", clear text".to_owned(),
        (None, None) => String::new(),
    };
    let source = attempt.source.as_ref().map(|source| format!(" from {source}")).unwrap_or_default();
    let took = span(attempt.ended_at.since(attempt.began_at));
    if attempt.route == SUPPRESSED_ROUTE {
        let (at, day) = (time_of_day(attempt.began_at), attempt.began_at.to_string());
        let day = screen.tint(Tone::Quiet, day.get(..10).unwrap_or_default()).into_owned();
        return writeln!(out, "  {day} {at}  no attempt: each recipient left is suppressed");
    }
    let text = format!("attempt {} by {}{host}{source}{tls}, {took}", attempt.number, attempt.route);
    let began = attempt.began_at.to_string();
    let day = began.get(..10).unwrap_or_default();
    writeln!(out, "  {} {}  {}", screen.tint(Tone::Quiet, day), time_of_day(attempt.began_at), plain(&text))?;
    writeln!(out, "{:23}{}", "", attempt.reply.line)
}

fn write_recipient(
    recipient: &RecipientStory,
    held: bool,
    screen: Screen,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (word, tone) = word(recipient.status, held);
    let reply = recipient.reply.as_ref().map_or("", |reply| reply.line.as_str());
    let class = recipient.failure.map_or(String::new(), |failure| format!("{}: ", failure.class));
    writeln!(
        out,
        "  {} {}  {class}{reply}",
        screen.tint(tone, &format!("{word:<9}")),
        plain(recipient.address.as_str())
    )?;
    match recipient.report {
        _ if recipient.to_be_told => {
            writeln!(out, "            the sender is about to be told, with the other destinations")?;
        }
        Some(report) => writeln!(out, "            the sender is told by message {report}")?,
        None => {}
    }
    Ok(())
}

/// What was said later by others: the status above stays what it was.
fn write_feedback(feedback: &FeedbackStory, screen: Screen, out: &mut dyn Write) -> io::Result<()> {
    let (word, tone) = match feedback.kind {
        FeedbackKind::Bounced => ("bounced later", Tone::Bad),
        FeedbackKind::Complaint => ("complaint", Tone::Bad),
        FeedbackKind::Delayed => ("delayed", Tone::Waiting),
        FeedbackKind::Delivered => ("delivered on", Tone::Good),
        FeedbackKind::Relayed => ("relayed on", Tone::Quiet),
        FeedbackKind::Expanded => ("expanded", Tone::Quiet),
        FeedbackKind::Other => ("feedback", Tone::Quiet),
    };
    let by = feedback.reporter.as_ref().map_or(String::new(), |by| format!(", says {}", plain(by)));
    let at = feedback.at.to_string();
    let day = at.get(..10).unwrap_or_default();
    let (day, time, word) =
        (screen.tint(Tone::Quiet, day), time_of_day(feedback.at), screen.tint(tone, word));
    writeln!(out, "  {day} {time}  {word} for {}{by}", plain(feedback.address.as_str()))?;
    writeln!(out, "{:23}{}", "", feedback.reply.line)?;
    let then = if feedback.suppressed { "; the address is suppressed" } else { "" };
    writeln!(out, "{:23}by message {}{then}", "", feedback.report)
}

fn word(status: RecipientStatus, held: bool) -> (&'static str, Tone) {
    match status {
        RecipientStatus::Deferred if held => ("held", Tone::Waiting),
        RecipientStatus::Deferred => ("deferred", Tone::Waiting),
        RecipientStatus::Delivered => ("delivered", Tone::Good),
        RecipientStatus::Bounced => ("bounced", Tone::Bad),
        RecipientStatus::Discarded => ("discarded", Tone::Quiet),
        RecipientStatus::Cancelled => ("cancelled", Tone::Quiet),
        RecipientStatus::Suppressed => ("suppressed", Tone::Bad),
    }
}

fn write_waiting(story: &Story, screen: Screen, out: &mut dyn Write) -> io::Result<()> {
    if story.waiting.is_empty() {
        return Ok(());
    }
    let text = match story.status {
        StoryStatus::Accepted => "accepted and safe, not tried yet; ask again in a moment".to_owned(),
        StoryStatus::Pending | StoryStatus::Settled => {
            let names: Vec<&str> = story.waiting.iter().map(Mailbox::as_str).collect();
            format!("not tried yet: {}", plain(&names.join(", ")))
        }
    };
    writeln!(out, "\n{}", screen.tint(Tone::Waiting, &text))
}
