//! The batches that SQS takes, each entry with its own answer.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
    SendMessageBatchRequestEntry,
};

use super::batcher::Request;
use super::{ACK, RELEASE, SEND};
use crate::aws::error::of_write;
use crate::limits::HELD_MAX;
use crate::port::{Outgoing, PortError, PortResult, Receipt};

/// Where the requests go.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) client: Client,
    pub(super) url: String,
}

pub(super) struct Send(pub(super) Place);
pub(super) struct Ack(pub(super) Place);
pub(super) struct Release(pub(super) Place);

#[async_trait]
impl Request for Send {
    type Item = Outgoing;
    const WHAT: &'static str = SEND;

    fn octets(item: &Outgoing) -> usize {
        item.body.len() + item.tenant.0.len()
    }

    async fn send(&self, items: Vec<Outgoing>) -> Vec<PortResult<()>> {
        let count = items.len();
        let entry = |(n, Outgoing { body, delay, tenant, priority: _ }): (usize, Outgoing)| {
            let entry = SendMessageBatchRequestEntry::builder().id(n.to_string()).message_body(body);
            let entry = entry.delay_seconds(seconds(delay));
            // the tenant's share of a fair queue; it orders nothing
            entry.set_message_group_id(group(&tenant.0)).build()
        };
        let entries = items.into_iter().enumerate().map(entry).collect::<Result<Vec<_>, _>>();
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => return all(count, || PortError::refused(SEND, error.to_string())),
        };
        let Place { client, url } = &self.0;
        match client.send_message_batch().queue_url(url).set_entries(Some(entries)).send().await {
            Ok(answer) => {
                let done = answer.successful().iter().map(|entry| entry.id().to_owned());
                sort_out(SEND, count, done, answer.failed())
            }
            Err(error) => same(count, &of_write(SEND, error)),
        }
    }
}

#[async_trait]
impl Request for Ack {
    type Item = Receipt;
    const WHAT: &'static str = ACK;

    fn octets(item: &Receipt) -> usize {
        item.0.len()
    }

    async fn send(&self, items: Vec<Receipt>) -> Vec<PortResult<()>> {
        let count = items.len();
        let entry = |(n, Receipt(handle)): (usize, Receipt)| {
            DeleteMessageBatchRequestEntry::builder().id(n.to_string()).receipt_handle(handle).build()
        };
        let entries = match items.into_iter().enumerate().map(entry).collect::<Result<Vec<_>, _>>() {
            Ok(entries) => entries,
            Err(error) => return all(count, || PortError::refused(ACK, error.to_string())),
        };
        let Place { client, url } = &self.0;
        match client.delete_message_batch().queue_url(url).set_entries(Some(entries)).send().await {
            Ok(answer) => {
                let done = answer.successful().iter().map(|entry| entry.id().to_owned());
                sort_out(ACK, count, done, answer.failed())
            }
            Err(error) => same(count, &of_write(ACK, error)),
        }
    }
}

#[async_trait]
impl Request for Release {
    type Item = (Receipt, Duration);
    const WHAT: &'static str = RELEASE;

    fn octets((receipt, _): &Self::Item) -> usize {
        receipt.0.len()
    }

    async fn send(&self, items: Vec<Self::Item>) -> Vec<PortResult<()>> {
        let count = items.len();
        let entry = |(n, (Receipt(handle), after)): (usize, Self::Item)| {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(n.to_string());
            entry.receipt_handle(handle).visibility_timeout(seconds(after.min(HELD_MAX))).build()
        };
        let entries = match items.into_iter().enumerate().map(entry).collect::<Result<Vec<_>, _>>() {
            Ok(entries) => entries,
            Err(error) => return all(count, || PortError::refused(RELEASE, error.to_string())),
        };
        let Place { client, url } = &self.0;
        match client.change_message_visibility_batch().queue_url(url).set_entries(Some(entries)).send().await
        {
            Ok(answer) => {
                let done = answer.successful().iter().map(|entry| entry.id().to_owned());
                sort_out(RELEASE, count, done, answer.failed())
            }
            Err(error) => same(count, &of_write(RELEASE, error)),
        }
    }
}

/// Whole seconds, and never less time than was asked for.
fn seconds(span: Duration) -> i32 {
    i32::try_from(span.as_millis().div_ceil(1000)).unwrap_or(i32::MAX)
}

/// A tenant as SQS can write it: up to 128 printable characters (the documentation of `MessageGroupId`).
fn group(tenant: &str) -> Option<String> {
    let good =
        !tenant.is_empty() && tenant.len() <= 128 && tenant.bytes().all(|byte| byte.is_ascii_graphic());
    good.then(|| tenant.to_owned())
}

fn all(count: usize, error: impl Fn() -> PortError) -> Vec<PortResult<()>> {
    (0..count).map(|_| Err(error())).collect()
}

/// One error for every entry.
fn same(count: usize, error: &PortError) -> Vec<PortResult<()>> {
    let chain = error.chain();
    let error = |_| match error {
        PortError::Refused { what, .. } => Err(PortError::refused(what, chain.clone())),
        PortError::Unknown { what, .. } => Err(PortError::unknown(what, chain.clone())),
    };
    (0..count).map(error).collect()
}

/// The answer of each entry; one that SQS said nothing of may have gone either way.
fn sort_out(
    what: &'static str,
    count: usize,
    done: impl Iterator<Item = String>,
    failed: &[BatchResultErrorEntry],
) -> Vec<PortResult<()>> {
    let mut answers: HashMap<String, PortResult<()>> = done.map(|id| (id, Ok(()))).collect();
    for entry in failed {
        let cause = format!("{}: {}", entry.code(), entry.message().unwrap_or("no reason was given"));
        let answer = match entry.code() {
            code if what != SEND && is_stale(code) => Ok(()),
            _ if entry.sender_fault() => Err(PortError::refused(what, cause)),
            _ => Err(PortError::unknown(what, cause)),
        };
        answers.insert(entry.id().to_owned(), answer);
    }
    let unsaid = || Err(PortError::unknown(what, "the queue did not answer for it"));
    (0..count).map(|n| answers.remove(&n.to_string()).unwrap_or_else(unsaid)).collect()
}

/// Whether the receipt names no receive that is still good: what it was for has been dealt with.
fn is_stale(code: &str) -> bool {
    ["ReceiptHandleIsInvalid", "MessageNotInflight", "InvalidParameterValue"]
        .iter()
        .any(|stale| code.rsplit(['.', '#']).next().is_some_and(|code| code == *stale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entry_has_the_answer_that_sqs_gave_for_it() {
        let entry = |id: &str, code: &str, sender_fault| {
            let failed = BatchResultErrorEntry::builder().id(id).code(code).sender_fault(sender_fault);
            failed.build().unwrap()
        };
        let failed = [
            entry("1", "InvalidMessageContents", true),
            entry("2", "InternalError", false),
            entry("3", "AWS.SimpleQueueService.MessageNotInflight", true),
        ];
        let answers = sort_out("a test", 5, ["0".to_owned()].into_iter(), &failed);
        let told: Vec<_> = answers
            .iter()
            .map(|answer| match answer {
                Ok(()) => "ok",
                Err(PortError::Refused { .. }) => "refused",
                Err(PortError::Unknown { .. }) => "unknown",
            })
            .collect();
        assert_eq!(told, ["ok", "refused", "unknown", "ok", "unknown"]);
        // a send has no receipt that could be out of date
        let refused = [entry("0", "InvalidParameterValue", true)];
        let sent = sort_out(SEND, 1, std::iter::empty(), &refused);
        assert!(matches!(sent[..], [Err(PortError::Refused { .. })]));
    }

    #[test]
    fn times_are_rounded_up_and_a_tenant_that_sqs_cannot_write_has_no_group() {
        assert_eq!(seconds(Duration::ZERO), 0);
        assert_eq!(seconds(Duration::from_millis(1)), 1);
        assert_eq!(seconds(Duration::from_secs(900)), 900);
        assert_eq!(group("acme"), Some("acme".to_owned()));
        assert_eq!(group("a b"), None);
        assert_eq!(group(&"x".repeat(129)), None);
    }
}
