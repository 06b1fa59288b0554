//! Outcomes, from the transport to the state: each as soon as it is known, with others that are ready.

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use shared::directory::{SuppressionEntry, SuppressionReason};
use shared::job::Delivery;
use shared::mail::Timestamp;
use shared::port::{Next, PortResult, RecipientState, RecipientStatus, Record};
use tokio::sync::mpsc::Receiver;

use super::super::Tried;
use super::super::backoff::{pause_after, persist};
use super::super::batch::{job_order, send_jobs, share_a_job, to_jobs};
use super::super::dsn::{self, Dsn};
use super::super::record::{Judged, judge};
use super::claims::attempt_claim;
use super::{Deliver, Run};
use crate::limits::{PORT_PAUSE_MAX, PORT_TRIES, RECORD_ROUNDS, RECORD_TRIES, RECORDS_MAX, RETRY_MERGE};

/// What was written.
#[derive(Default)]
pub(super) struct Recorded {
    /// Deliveries whose outcome is on record.
    pub(super) count: usize,
    /// Their claims, where each delivery has its own.
    pub(super) claims: Vec<String>,
}

impl Recorded {
    /// Both.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.count += other.count;
        self.claims.extend(other.claims);
        self
    }
}

/// What a batch left to do.
#[derive(Default)]
struct Written {
    count: usize,
    claims: Vec<String>,
    retries: Vec<(Timestamp, Delivery)>,
    /// What could not be written.
    left: Vec<Judged>,
}

impl Deliver {
    /// Writes each outcome that comes out of `tried`, until all who send have gone; once the run is stopped, until all that was begun
    /// has come. One write is under way at a time; what comes meanwhile goes into the next. What there is
    /// to be told is put in as a DSN, or noted, before its outcome is written, and holds nobody else up.
    pub(super) async fn record_all(&self, run: &Run, mut tried: Receiver<Tried>) -> Recorded {
        let own_claims = run.own_claims;
        let mut recorded = Recorded::default();
        let mut incoming = Vec::new();
        let mut ready = Vec::new();
        let mut open = true;
        let mut reporting = FuturesUnordered::new();
        let mut writing = FuturesUnordered::new();
        let mut resting = FuturesUnordered::new();
        let mut following = FuturesUnordered::new();
        let mut observing = FuturesUnordered::new();
        loop {
            if writing.is_empty() && !ready.is_empty() {
                let batch = ready.drain(..ready.len().min(RECORDS_MAX)).collect();
                writing.push(self.write(batch, own_claims));
            }
            tokio::select! {
                biased;
                Some(written) = writing.next() => {
                    let Written { count, claims, retries, left } = written;
                    recorded.count += count;
                    if !left.is_empty() {
                        resting.push(self.rest(left));
                    }
                    if !claims.is_empty() || !retries.is_empty() {
                        recorded.claims.extend_from_slice(&claims);
                        following.push(self.follow(run, claims, retries));
                    }
                }
                Some(judged) = reporting.next() => ready.push(judged),
                Some(rested) = resting.next() => ready.extend(rested),
                Some(()) = following.next() => {}
                Some(()) = observing.next() => {}
                // whoever sends has its place for each message that it has begun, and gets no other
                () = run.stop.cancelled(), if open && !tried.is_closed() => tried.close(),
                received = tried.recv_many(&mut incoming, RECORDS_MAX),
                    if open && ready.len() < RECORDS_MAX =>
                {
                    open = received > 0;
                    for tried in incoming.drain(..) {
                        observing.extend(self.observe(run, &tried));
                        let judged = self.judge(run.withheld.give_back(tried));
                        if judged.news.is_empty() && judged.hard.is_empty() {
                            ready.push(judged);
                        } else {
                            reporting.push(self.report(judged));
                        }
                    }
                }
                else => return recorded,
            }
        }
    }

    fn judge(&self, tried: Tried) -> Judged {
        let now = self.ports.clock.now();
        let deferred = tried.outcomes.iter().any(|one| one.outcome == super::super::Outcome::Deferred);
        let chance = if deferred { self.ports.ids.fraction() } else { 0.5 };
        judge(tried, &self.settings.retry, self.settings.retain, now, chance)
    }

    /// Tells the sender what there is to tell, a DSN for each kind of news; where the message has other deliveries, sees to it that it is
    /// told with theirs. Whoever is given up and could not be told of is not given up yet.
    async fn report(&self, mut judged: Judged) -> Judged {
        self.suppress(&judged).await;
        if judged.record.delivery.others > 0 && !judged.news.is_empty() {
            return self.gather(judged).await;
        }
        for place in 0..judged.news.len() {
            let notifications = judged.notifications(place);
            let rows = judged.rows(place, &notifications);
            let dsn = Dsn::of(&judged.record.delivery, judged.news[place].event, &rows);
            match dsn::put_in(&self.ports, &self.settings.hostname, &dsn).await {
                Ok(report) => judged.told_by(place, report),
                Err(cause) => {
                    let message = judged.record.delivery.key.message;
                    tracing::error!(message_id = %message, event = ?judged.news[place].event, cause = cause.chain(), "a DSN could not be put in");
                    judged.untold(place, self.ports.clock.now(), self.settings.retain);
                }
            }
        }
        judged
    }

    /// The reminder is there before what it reminds of, which is written with the outcome.
    async fn gather(&self, mut judged: Judged) -> Judged {
        let (ports, delivery) = (&self.ports, &judged.record.delivery);
        let ended_at = judged.record.attempt.ended_at;
        match persist(&*ports.clock, RECORD_TRIES, || ports.reminders.add(delivery, ended_at)).await {
            Ok(()) => judged.leave_untold(),
            Err(cause) => {
                tracing::error!(message_id = %delivery.key.message, cause = cause.chain(), "a DSN could not be noted");
                for place in 0..judged.news.len() {
                    judged.untold(place, ports.clock.now(), self.settings.retain);
                }
            }
        }
        judged
    }

    /// Suppresses whoever takes no mail any more. It is done before that is on record: a worker that dies between the two does it again.
    async fn suppress(&self, judged: &Judged) {
        let Record { delivery, recipients, .. } = &judged.record;
        let (suppressions, reason) = (&self.ports.suppressions, SuppressionReason::HardBounce);
        if !delivery.is_submission() || !suppressions.adds(&delivery.tenant, reason) {
            return;
        }
        for RecipientState { address, reply, .. } in judged.hard.iter().map(|at| &recipients[*at]) {
            let message = delivery.key.message;
            let reply = reply.as_ref().map(ToString::to_string).unwrap_or_default();
            let source = format!("message {message}: {reply}");
            let (tenant, address, now) = (delivery.tenant.clone(), address.clone(), self.ports.clock.now());
            let entry = SuppressionEntry::new(tenant, address, reason, &source, now);
            let add = || suppressions.add(entry.clone());
            match persist(&*self.ports.clock, PORT_TRIES, add).await {
                Ok(()) => tracing::info!(message_id = %message, %reason, "an address is suppressed"),
                // its next bounce brings it there
                Err(cause) => {
                    tracing::error!(message_id = %message, cause = cause.chain(), "an address could not be suppressed");
                }
            }
        }
    }

    /// Writes a batch, more than once if it must be.
    async fn write(&self, batch: Vec<Judged>, own_claims: bool) -> Written {
        let mut written = Written::default();
        let mut left = batch;
        let mut tried = 0;
        loop {
            let records: Vec<Record> = left.iter().map(|judged| judged.record.clone()).collect();
            let results = self.ports.deliveries.record(records).await;
            left = self.sort_out(left, results, own_claims, &mut written);
            tried += 1;
            if left.is_empty() || tried == RECORD_TRIES {
                break;
            }
            self.ports.clock.sleep(pause_after(tried)).await;
        }
        written.left = left;
        written
    }

    /// Lets other outcomes go first, and then gives back what is to be written once more: what is not on record may be sent twice.
    async fn rest(&self, mut left: Vec<Judged>) -> Vec<Judged> {
        left.retain_mut(|judged| {
            judged.rounds += 1;
            let again = judged.rounds < RECORD_ROUNDS;
            if !again {
                let key = &judged.record.delivery.key;
                tracing::error!(message_id = %key.message, destination = key.destination(), "an outcome could not be written");
            }
            again
        });
        if !left.is_empty() {
            self.ports.clock.sleep(PORT_PAUSE_MAX).await;
        }
        left
    }

    /// Adds what was written to `written`, and gives the rest back.
    fn sort_out(
        &self,
        batch: Vec<Judged>,
        results: PortResult<Vec<PortResult<()>>>,
        own_claims: bool,
        written: &mut Written,
    ) -> Vec<Judged> {
        let results = match results {
            Ok(results) => results,
            Err(cause) => {
                tracing::warn!(
                    cause = cause.chain(),
                    count = batch.len(),
                    "outcomes could not be written yet"
                );
                return batch;
            }
        };
        let mut left = Vec::new();
        let mut results = results.into_iter();
        for judged in batch {
            match results.next() {
                Some(Ok(())) => {
                    tell(&judged.record);
                    written.count += 1;
                    written.retries.extend(judged.short_retry());
                    if own_claims {
                        written.claims.push(attempt_claim(&judged.record.delivery));
                    }
                }
                Some(Err(cause)) => {
                    let message = judged.record.delivery.key.message;
                    tracing::warn!(message_id = %message, cause = cause.chain(), "an outcome could not be written yet");
                    left.push(judged);
                }
                None => left.push(judged),
            }
        }
        left
    }

    /// What comes after the write: retries that are soon go to the queue, and claims end. If the process dies before or
    /// within this, the sweep finds the retries by their due time, and the claims run out.
    async fn follow(&self, run: &Run, claims: Vec<String>, retries: Vec<(Timestamp, Delivery)>) {
        // a claim that has ended tells the next run that there is nothing to do
        self.send_retries(retries).await;
        futures::future::join_all(claims.iter().map(|claim| self.finish(claim, &run.holder))).await;
    }

    async fn send_retries(&self, mut retries: Vec<(Timestamp, Delivery)>) {
        if retries.is_empty() {
            return;
        }
        retries.sort_by(|(a_at, a), (b_at, b)| (job_order(a), a_at).cmp(&(job_order(b), b_at)));
        let now = self.ports.clock.now();
        let mut jobs = Vec::new();
        let together = |first: &(Timestamp, Delivery), other: &(Timestamp, Delivery)| {
            share_a_job(&first.1, &other.1) && other.0.since(first.0) <= RETRY_MERGE
        };
        let mut rest = retries.into_iter().peekable();
        while let Some(first) = rest.next() {
            let mut last_at = first.0;
            let mut deliveries = Vec::new();
            while let Some(other) = rest.next_if(|other| together(&first, other)) {
                last_at = other.0;
                deliveries.push(other.1);
            }
            deliveries.push(first.1);
            jobs.extend(to_jobs(deliveries).into_iter().map(|job| (job, last_at.since(now))));
        }
        let (_, errors) = send_jobs(&*self.ports.outbound, jobs).await;
        for cause in errors {
            tracing::warn!(cause = cause.chain(), "a retry could not be sent; the sweep will find it");
        }
    }
}

/// Says what became of an attempt, once that is on record.
fn tell(record: &Record) {
    let key = &record.delivery.key;
    let mut counts = [0_u64; 5];
    for state in &record.recipients {
        counts[match state.status {
            RecipientStatus::Delivered => 0,
            RecipientStatus::Deferred => 1,
            RecipientStatus::Bounced => 2,
            // no attempt cancels: that is done before the first one
            RecipientStatus::Discarded | RecipientStatus::Cancelled => 3,
            RecipientStatus::Suppressed => 4,
        }] += 1;
    }
    let outcomes = ["delivered", "deferred", "bounced", "discarded", "suppressed"];
    for (count, outcome) in counts.into_iter().zip(outcomes) {
        if count > 0 {
            metrics::counter!("spoolway_recipients_total", "outcome" => outcome).increment(count);
        }
    }
    let [delivered, deferred, bounced, discarded, suppressed] = counts;
    let due = match &record.next {
        Next::Settled => None,
        Next::Due { at, .. } => Some(at.to_string()),
    };
    tracing::info!(
        message_id = %key.message,
        destination = key.destination(),
        attempt = record.attempt.number,
        delivered,
        deferred,
        bounced,
        discarded,
        suppressed,
        code = record.attempt.reply.code(),
        host = record.attempt.host,
        due,
        sender_told = record.recipients.iter().any(|recipient| recipient.report.is_some() || recipient.untold.is_some()),
        "attempt ended"
    );
}
