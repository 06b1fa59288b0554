//! Transactions, one after the other over one session (RFC 5321 §3.3), in as few round trips as RFC 2920 allows: with PIPELINING
//! the content of one message and MAIL, RCPT and DATA of the next go out together.

use std::collections::VecDeque;

use shared::mail::{Reply, ReplyClass, Timestamp};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::command;
use super::content::{Cut, Packs};
use super::session::Session;
use crate::deliver::Outcome;
use crate::deliver::outcome::{Failure, Step, judge};
use crate::deliver::pending::{Pending, Reporter};

/// What the transactions of one call share.
pub(crate) struct Desk<'a> {
    pub(crate) packs: Packs,
    pub(crate) reporter: Reporter<'a>,
    /// No transaction begins after this.
    pub(crate) until: Timestamp,
    /// Once cancelled, no server is waited for any more.
    pub(crate) cut: CancellationToken,
}

impl Desk<'_> {
    pub(crate) fn out_of_time(&self) -> bool {
        self.reporter.clock.now() >= self.until
    }
}

/// How a session ended.
pub(crate) enum End {
    /// The queue is empty, or this session has had as many as it may.
    Finished,
    /// It broke while the delivery at the queue's head had certainly not been taken.
    Broken(Failure),
    /// It broke, or had to be dropped, at a step of a delivery that has its outcome.
    Dropped(Step),
}

/// What MAIL, RCPT and DATA came to.
enum Envelope {
    /// The server waits for the content.
    Open,
    /// The server waits for content, though it accepted nobody to get it.
    OpenForNobody,
    /// Everybody has an outcome, and the server may still hold parts of the envelope.
    Closed,
}

impl Session<'_> {
    /// Works through `queue`.
    pub(crate) async fn run<'a>(&mut self, queue: &mut VecDeque<Pending<'a>>, desk: &mut Desk<'a>) -> End {
        let mut next = self.begin(queue, desk).await;
        while let Some(pending) = next {
            if desk.reporter.is_closed() {
                // its envelope may be out, and is nothing without content (RFC 5321 §4.1.1.4)
                return End::Dropped(Step::Mail);
            }
            match self.transact(pending, queue, desk).await {
                Ok(following) => next = following,
                Err(end) => return end,
            }
        }
        End::Finished
    }

    /// Takes the next delivery that this server can take from the queue; with PIPELINING, writes its envelope too.
    async fn begin<'a>(
        &mut self,
        queue: &mut VecDeque<Pending<'a>>,
        desk: &mut Desk<'a>,
    ) -> Option<Pending<'a>> {
        while self.begun < self.settings.limits.messages_per_connection.max(1) && !desk.out_of_time() {
            let mut pending = queue.pop_front()?;
            if !desk.reporter.begin(&mut pending).await {
                queue.push_front(pending);
                return None;
            }
            match command::obstacle(&pending.delivery, &self.offered) {
                Some(failure) => pending.fail(&failure),
                None => self.leave_out_utf8(&mut pending),
            }
            if pending.open().next().is_some()
                && let Err(failure) = desk.packs.prepare(&pending.delivery).await
            {
                pending.fail(&failure);
            }
            if pending.open().next().is_none() {
                desk.reporter.report(pending, Some(&self.peer)).await;
                continue;
            }
            self.begun += 1;
            if self.offered.pipelining {
                self.write_envelope(&pending);
            }
            return Some(pending);
        }
        None
    }

    /// A server without SMTPUTF8 gets the message for those recipients whose addresses can do without.
    fn leave_out_utf8(&self, pending: &mut Pending<'_>) {
        if self.offered.smtputf8 {
            return;
        }
        let open: Vec<usize> = pending.open().collect();
        for at in open {
            if command::needs_smtputf8(&pending.delivery.recipients[at].address) {
                let (outcome, reply) = Failure::NeedsSmtpUtf8.verdict();
                pending.settle(at, outcome, reply);
            }
        }
    }

    fn write_envelope(&mut self, pending: &Pending<'_>) {
        let out = &mut self.connection.out;
        let from = out.len();
        if self.dirty {
            out.extend_from_slice(b"RSET\r\n");
        }
        let open: Vec<usize> = pending.open().collect();
        command::mail(&pending.delivery, &open, &self.offered, out);
        for at in open {
            command::recipient(&pending.delivery.recipients[at].address, out);
        }
        out.extend_from_slice(b"DATA\r\n");
        tracing::debug!(commands = %out[from..].escape_ascii(), "sent");
    }

    /// Takes `pending` through its transaction, and gives the delivery whose envelope went out behind it.
    async fn transact<'a>(
        &mut self,
        mut pending: Pending<'a>,
        queue: &mut VecDeque<Pending<'a>>,
        desk: &mut Desk<'a>,
    ) -> Result<Option<Pending<'a>>, End> {
        let limit = self.settings.limits.envelope;
        let envelope = timeout(limit, self.envelope(&mut pending)).await;
        match envelope.unwrap_or(Err(Failure::TimedOut(Step::Mail))) {
            Ok(Envelope::Open) => self.hand_over(pending, queue, desk).await,
            Ok(Envelope::OpenForNobody) => {
                desk.reporter.report(pending, Some(&self.peer)).await;
                // RFC 2920 §3.1: nothing but the dot, or the server would wait for ever
                self.connection.out.extend_from_slice(b".\r\n");
                let next = self.follow(queue, desk).await;
                match self.ending().await {
                    Ok(_) => {
                        self.ended += 1;
                        Ok(self.follow_late(next, queue, desk).await)
                    }
                    Err(_) => {
                        put_back(next, queue);
                        Err(End::Dropped(Step::End))
                    }
                }
            }
            Ok(Envelope::Closed) => {
                (self.dirty, self.ended) = (true, self.ended + 1);
                desk.reporter.report(pending, Some(&self.peer)).await;
                Ok(self.begin(queue, desk).await)
            }
            Err(failure) => Err(self.give_back(pending, failure, queue, desk).await),
        }
    }

    /// MAIL, RCPT and DATA, or the replies to those that went out together.
    async fn envelope(&mut self, pending: &mut Pending<'_>) -> Result<Envelope, Failure> {
        let lockstep = !self.offered.pipelining;
        if !lockstep {
            self.flush(Step::Mail).await?;
        }
        if self.dirty {
            if let Some(reply) = self.exchange(Step::Reset, |out| out.extend_from_slice(b"RSET\r\n")).await? {
                return Err(Failure::Refused(Step::Reset, reply));
            }
            self.dirty = false;
        }
        let open: Vec<usize> = pending.open().collect();
        let offered = self.offered;
        let write = |out: &mut Vec<u8>| command::mail(&pending.delivery, &open, &offered, out);
        let mailed = match self.exchange(Step::Mail, write).await? {
            None => true,
            Some(reply) => {
                pending.fail(&Failure::Refused(Step::Mail, reply));
                false
            }
        };
        if lockstep && !mailed {
            return Ok(Envelope::Closed);
        }
        let mut accepted = 0;
        for at in open {
            let write = |out: &mut Vec<u8>| command::recipient(&pending.delivery.recipients[at].address, out);
            match self.exchange(Step::Recipient, write).await? {
                // what a server says to RCPT after it refused MAIL has no meaning
                _ if !mailed => {}
                None => accepted += 1,
                Some(reply) => {
                    let (outcome, reply) = Failure::Refused(Step::Recipient, reply).verdict();
                    pending.settle(at, outcome, reply);
                }
            }
        }
        if lockstep && accepted == 0 {
            return Ok(Envelope::Closed);
        }
        // RFC 2920 §3.1: that nobody was accepted does not mean that DATA was refused
        match self.exchange(Step::Data, |out| out.extend_from_slice(b"DATA\r\n")).await? {
            None if accepted == 0 => Ok(Envelope::OpenForNobody),
            None => Ok(Envelope::Open),
            Some(reply) => {
                pending.fail(&Failure::Refused(Step::Data, reply));
                Ok(Envelope::Closed)
            }
        }
    }

    /// The reply to one command, which is sent now unless it went out with its group. `Some` is the server's refusal.
    async fn exchange(
        &mut self,
        step: Step,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Option<Reply>, Failure> {
        if !self.offered.pipelining {
            write(&mut self.connection.out);
            tracing::debug!(commands = %self.connection.out.escape_ascii(), "sent");
            self.flush(step).await?;
        }
        let reply = self.reply(step).await?;
        judge(step, reply, self.settings.limits.reply_text_octets)
    }

    /// The content, and what the server says to it.
    async fn hand_over<'a>(
        &mut self,
        mut pending: Pending<'a>,
        queue: &mut VecDeque<Pending<'a>>,
        desk: &mut Desk<'a>,
    ) -> Result<Option<Pending<'a>>, End> {
        let limit = self.settings.limits.content;
        let written = timeout(limit, self.write_content(&pending.delivery, &mut desk.packs)).await;
        if let Err(cut) = written.unwrap_or(Err(Cut::Broken(Failure::TimedOut(Step::Content)))) {
            return Err(self.cut_off(pending, cut, queue, desk).await);
        }
        let next = self.follow(queue, desk).await;
        match self.ending().await {
            Ok(reply) if reply.code() == 421 => {
                put_back(next, queue);
                Err(self.give_back(pending, Failure::Refused(Step::End, reply), queue, desk).await)
            }
            Ok(reply) => {
                match reply.class() {
                    ReplyClass::Completed => pending.settle_rest(Outcome::Delivered, &reply),
                    ReplyClass::Intermediate | ReplyClass::Transient | ReplyClass::Permanent => {
                        pending.fail(&Failure::Refused(Step::End, reply));
                    }
                }
                self.ended += 1;
                desk.reporter.report(pending, Some(&self.peer)).await;
                Ok(self.follow_late(next, queue, desk).await)
            }
            Err(failure) => {
                put_back(next, queue);
                // not on another host: this one may have taken it (RFC 1047)
                pending.fail(&failure);
                desk.reporter.report(pending, Some(&self.peer)).await;
                Err(End::Dropped(Step::End))
            }
        }
    }

    /// What comes of content that did not get out whole.
    async fn cut_off<'a>(
        &mut self,
        mut pending: Pending<'a>,
        cut: Cut,
        queue: &mut VecDeque<Pending<'a>>,
        desk: &mut Desk<'a>,
    ) -> End {
        let failure = match cut {
            Cut::Unreadable(failure) => failure,
            // a server that has had enough may say so before it closes
            Cut::Broken(failure) => match self.parting_reply().await {
                Some(reply) if reply.class() == ReplyClass::Permanent => Failure::Refused(Step::End, reply),
                Some(reply) => {
                    return self
                        .give_back(pending, Failure::Refused(Step::Content, reply), queue, desk)
                        .await;
                }
                None => return self.give_back(pending, failure, queue, desk).await,
            },
        };
        pending.fail(&failure);
        desk.reporter.report(pending, Some(&self.peer)).await;
        End::Dropped(Step::Content)
    }

    /// A refusal that lies ready although the server was not done reading.
    async fn parting_reply(&mut self) -> Option<Reply> {
        let raw = self.reply(Step::Content).await.ok()?;
        (400..600).contains(&raw.code).then(|| raw.into_reply(self.settings.limits.reply_text_octets))
    }

    /// Sends the final dot with what else lies in `out`, and gives the reply to it. On an error, nobody knows whether the
    /// server has the message.
    async fn ending(&mut self) -> Result<Reply, Failure> {
        let unanswered = |failure: Failure| Failure::Unanswered(failure.verdict().1.text().to_owned());
        // where the write failed the dot may have got through all the same, and the reply to it be here
        let sent = self.flush(Step::End).await;
        let step = if sent.is_ok() { Step::End } else { Step::Content };
        let raw = match (self.reply(step).await, sent) {
            (Ok(raw), _) => raw,
            (Err(failure), Ok(())) | (Err(_), Err(failure)) => return Err(unanswered(failure)),
        };
        if raw.code / 100 == 3 {
            return Err(unanswered(Failure::OutOfPlace(Step::End, raw.code)));
        }
        Ok(raw.into_reply(self.settings.limits.reply_text_octets))
    }

    /// With PIPELINING, writes what goes out with the final dot: the next envelope, or QUIT.
    async fn follow<'a>(
        &mut self,
        queue: &mut VecDeque<Pending<'a>>,
        desk: &mut Desk<'a>,
    ) -> Option<Pending<'a>> {
        if !self.offered.pipelining {
            return None;
        }
        let next = self.begin(queue, desk).await;
        if next.is_none() {
            self.connection.out.extend_from_slice(b"QUIT\r\n");
            self.quit = true;
        }
        next
    }

    /// The delivery to go on with, once the one before is done.
    async fn follow_late<'a>(
        &mut self,
        next: Option<Pending<'a>>,
        queue: &mut VecDeque<Pending<'a>>,
        desk: &mut Desk<'a>,
    ) -> Option<Pending<'a>> {
        if self.offered.pipelining { next } else { self.begin(queue, desk).await }
    }

    /// Puts a delivery that this server has certainly not taken back at the queue's head, unless each of its recipients has
    /// an outcome.
    async fn give_back<'a>(
        &mut self,
        pending: Pending<'a>,
        failure: Failure,
        queue: &mut VecDeque<Pending<'a>>,
        desk: &mut Desk<'a>,
    ) -> End {
        if pending.open().next().is_some() {
            queue.push_front(pending);
        } else {
            self.ended += 1;
            desk.reporter.report(pending, Some(&self.peer)).await;
        }
        End::Broken(failure)
    }
}

fn put_back<'a>(next: Option<Pending<'a>>, queue: &mut VecDeque<Pending<'a>>) {
    if let Some(next) = next {
        queue.push_front(next);
    }
}
