//! A queue in SQS. Its visibility timeout, and how often an entry is received before it is dead, are attributes of the queue there.

mod batcher;
mod requests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use tokio::sync::OnceCell;

use super::Aws;
use super::error::of_read;
use crate::limits::RECEIVE_WAIT_MAX;
use crate::mail::TenantId;
use crate::port::{BATCH_MAX, Depth, Outgoing, PortError, PortResult, Queue, Receipt, Received};
use batcher::Batcher;
use requests::{Ack, Place, Release, Send};

const SEND: &str = "the sending of jobs";
const RECEIVE: &str = "the receiving of jobs";
const ACK: &str = "the acknowledgement of a job";
const RELEASE: &str = "the release of a job";
const DEPTH: &str = "the count of a queue";
const PROBE: &str = "the probe of a queue";

/// A queue by its URL.
pub struct SqsQueue {
    place: Place,
    sends: Arc<Batcher<Send>>,
    acks: Arc<Batcher<Ack>>,
    releases: Arc<Batcher<Release>>,
    /// The URL of the dead-letter queue, where there is one.
    dead: OnceCell<Option<String>>,
}

impl SqsQueue {
    /// The queue at `url`. Nothing is asked of SQS yet.
    pub fn new(aws: &Aws, url: &str) -> Self {
        let place = Place { client: aws.sqs(), url: url.to_owned() };
        Self {
            sends: Batcher::new(Send(place.clone())),
            acks: Batcher::new(Ack(place.clone())),
            releases: Batcher::new(Release(place.clone())),
            place,
            dead: OnceCell::new(),
        }
    }

    async fn count(&self, url: &str) -> PortResult<Counts> {
        use QueueAttributeName as Name;
        let names = [
            Name::ApproximateNumberOfMessages,
            Name::ApproximateNumberOfMessagesNotVisible,
            Name::ApproximateNumberOfMessagesDelayed,
            Name::RedrivePolicy,
        ];
        let asked = self.place.client.get_queue_attributes().queue_url(url);
        let answer = asked.set_attribute_names(Some(names.to_vec())).send().await;
        let answer = answer.map_err(|error| of_read(DEPTH, error))?;
        let text = |name| answer.attributes().and_then(|all| all.get(&name));
        let number = |name| text(name).and_then(|text| text.parse().ok()).unwrap_or(0);
        let [ready, in_flight, delayed, redrive] = names;
        Ok(Counts {
            ready: number(ready),
            in_flight: number(in_flight),
            delayed: number(delayed),
            redrive: text(redrive).cloned(),
        })
    }
}

struct Counts {
    ready: u64,
    in_flight: u64,
    delayed: u64,
    redrive: Option<String>,
}

#[async_trait]
impl Queue for SqsQueue {
    async fn send(&self, batch: Vec<Outgoing>) -> PortResult<Vec<Result<(), PortError>>> {
        if batch.len() > BATCH_MAX {
            return Err(PortError::refused(SEND, format!("at most {BATCH_MAX} jobs are sent at once")));
        }
        let mut answers: Vec<_> = batch.iter().map(|entry| entry.check(SEND)).collect();
        let mut good = batch;
        let mut fits = answers.iter().map(Result::is_ok);
        good.retain(|_| fits.next().unwrap_or(false));
        if !good.is_empty() {
            let mut sent = self.sends.submit(good).await.into_iter();
            for answer in answers.iter_mut().filter(|answer| answer.is_ok()) {
                *answer =
                    sent.next().unwrap_or_else(|| Err(PortError::unknown(SEND, "no answer came for it")));
            }
        }
        Ok(answers)
    }

    async fn receive(&self, max: usize, wait: Duration) -> PortResult<Vec<Received>> {
        let wait = i32::try_from(wait.min(RECEIVE_WAIT_MAX).as_millis().div_ceil(1000)).unwrap_or(0);
        let receive = self.place.client.receive_message().queue_url(&self.place.url);
        let receive = receive.max_number_of_messages(i32::try_from(max.clamp(1, BATCH_MAX)).unwrap_or(1));
        let receive = receive
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::MessageGroupId);
        let receive = receive.wait_time_seconds(wait).customize().config_override(Aws::for_receives());
        let answer = receive.send().await.map_err(|error| of_read(RECEIVE, error))?;
        Ok(answer.messages.unwrap_or_default().into_iter().map(received).collect())
    }

    async fn ack(&self, receipt: &Receipt) -> PortResult<()> {
        one(ACK, self.acks.submit(vec![receipt.clone()]).await)
    }

    async fn release(&self, receipt: &Receipt, after: Duration) -> PortResult<()> {
        one(RELEASE, self.releases.submit(vec![(receipt.clone(), after)]).await)
    }

    async fn depth(&self) -> PortResult<Depth> {
        let Counts { ready, in_flight, delayed, redrive } = self.count(&self.place.url).await?;
        let find = || async { redrive.and_then(|policy| dead_letters(&self.place.url, &policy)) };
        let dead = match self.dead.get_or_init(find).await {
            Some(url) => {
                let Counts { ready, in_flight, delayed, .. } = self.count(url).await?;
                ready + in_flight + delayed
            }
            None => 0,
        };
        Ok(Depth { ready, in_flight, delayed, dead, oldest: None })
    }

    /// SQS has no write that leaves nothing: a queue that answers is one that can be written.
    async fn probe(&self) -> PortResult<()> {
        let asked = self.place.client.get_queue_attributes().queue_url(&self.place.url);
        let asked = asked.attribute_names(QueueAttributeName::QueueArn).send().await;
        asked.map(drop).map_err(|error| of_read(PROBE, error))
    }
}

fn one(what: &'static str, mut answers: Vec<PortResult<()>>) -> PortResult<()> {
    answers.pop().unwrap_or_else(|| Err(PortError::unknown(what, "no answer came for it")))
}

fn received(message: Message) -> Received {
    let attribute = |name| message.attributes.as_ref().and_then(|all| all.get(&name));
    let count = attribute(MessageSystemAttributeName::ApproximateReceiveCount);
    let receives = count.and_then(|count| count.parse().ok()).unwrap_or(1);
    Received {
        body: message.body.unwrap_or_default(),
        receipt: Receipt(message.receipt_handle.unwrap_or_default()),
        receives,
        tenant: attribute(MessageSystemAttributeName::MessageGroupId).map(|group| TenantId(group.clone())),
    }
}

/// The URL of the queue that a redrive policy names: of the same account and region as the queue's own.
fn dead_letters(url: &str, policy: &str) -> Option<String> {
    let policy: serde_json::Value = serde_json::from_str(policy).ok()?;
    let (_, name) = policy.get("deadLetterTargetArn")?.as_str()?.rsplit_once(':')?;
    let (account, _) = url.rsplit_once('/')?;
    Some(format!("{account}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dead_letter_queue_lies_beside_its_queue() {
        let policy =
            r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:123456789012:jobs-dead","maxReceiveCount":50}"#;
        let url = "https://sqs.eu-west-1.amazonaws.com/123456789012/jobs";
        let dead = "https://sqs.eu-west-1.amazonaws.com/123456789012/jobs-dead";
        assert_eq!(dead_letters(url, policy).as_deref(), Some(dead));
        assert_eq!(dead_letters(url, "{}"), None);
    }
}
