//! Transactions, one after the other over one session (RFC 5321 §3.3), in as few round trips as RFC 2920 allows: with PIPELINING
//! the content of one message and MAIL, RCPT and DATA of the next go out together.
//!
//! BDAT (RFC 3030) carries what DATA cannot, and with PIPELINING every small message: it goes out whole, from MAIL to the last chunk,
//! before the first reply is here, and the next ones behind it. A server that refuses MAIL or RCPT throws the chunk away (RFC 3030 §2),
//! and the RSET between two such messages keeps the one from ever ending in the other's transaction.

mod ahead;
mod handover;

use std::collections::VecDeque;

use shared::mail::{Reply, Timestamp};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::command::{self, Terms};
use super::content::Packs;
use super::session::Session;
use crate::deliver::outcome::{Failure, Step, judge};
use crate::deliver::pending::{Passage, Pending, Reporter};
use crate::limits::CONTENT_OCTETS;

/// What the transactions of one call share.
pub(crate) struct Desk<'a> {
    pub(crate) packs: Packs,
    pub(crate) reporter: Reporter<'a>,
    /// No transaction begins after this.
    pub(crate) until: Timestamp,
    /// Once cancelled, no server is waited for any more.
    pub(crate) cut: CancellationToken,
    /// What is out behind the delivery that is worked on: whole messages, and at the end perhaps an envelope.
    pub(crate) flight: VecDeque<Pending<'a>>,
}

impl Desk<'_> {
    pub(crate) fn out_of_time(&self) -> bool {
        self.now() >= self.until
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.reporter.clock.now()
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

/// What MAIL, RCPT and DATA came to, with the places of those who were accepted.
enum Envelope {
    /// The server waits for the content.
    Open(Vec<usize>),
    /// The server waits for content, though it accepted nobody to get it.
    OpenForNobody,
    /// The content went ahead; the server is to say what came of it.
    Sent(Vec<usize>),
    /// Everybody of this transaction has an outcome, and the server may still hold parts of the envelope.
    Closed,
}

impl Session {
    /// Works through `queue`.
    pub(crate) async fn run<'a>(&mut self, queue: &mut VecDeque<Pending<'a>>, desk: &mut Desk<'a>) -> End {
        loop {
            let pending = match desk.flight.pop_front() {
                Some(pending) => pending,
                None => match self.begin(false, queue, desk).await {
                    Some(pending) => pending,
                    None => return End::Finished,
                },
            };
            let is_out = pending.passage == Passage::Ahead && self.connection.out.is_empty();
            if desk.reporter.is_closed() && !is_out {
                // its envelope may be out, and is nothing without content (RFC 5321 §4.1.1.4)
                desk.reporter.let_go(pending, Some(&self.peer)).await;
                return End::Dropped(Step::Mail);
            }
            if let Err(end) = self.transact(pending, queue, desk).await {
                self.lose_flight(queue, desk).await;
                return end;
            }
        }
    }

    /// Takes the next delivery that this server can take from the queue; with PIPELINING, writes its envelope too. `behind` tells that
    /// nobody knows yet whether the transaction before has ended.
    async fn begin<'a>(
        &mut self,
        behind: bool,
        queue: &mut VecDeque<Pending<'a>>,
        desk: &mut Desk<'a>,
    ) -> Option<Pending<'a>> {
        while self.has_room() && !self.quit && !desk.out_of_time() {
            let mut pending = queue.pop_front()?;
            if !self.may_meet(&pending) || !desk.reporter.begin(&mut pending).await {
                queue.push_front(pending);
                return None;
            }
            match command::obstacle(&pending.delivery, &self.offered, desk.now()) {
                Some(failure) => pending.fail(&failure),
                None => self.leave_out_utf8(&mut pending),
            }
            let mut content = Vec::new();
            if pending.is_open() {
                pending.passage = self.passage(&pending);
                let ready = match pending.passage {
                    Passage::Ahead => desk.packs.read_whole(&pending.delivery, &mut content).await,
                    Passage::Data | Passage::Chunk => desk.packs.prepare(&pending.delivery).await,
                };
                if let Err(failure) = ready {
                    pending.fail(&failure);
                }
            }
            if !pending.is_open() {
                desk.reporter.report(pending, Some(&self.peer)).await;
                continue;
            }
            self.begun += 1;
            pending.reset = self.dirty || behind;
            if self.offered.pipelining {
                self.write_envelope(&pending, desk.now());
            }
            if pending.passage == Passage::Ahead {
                self.write_ahead(&content);
            }
            return Some(pending);
        }
        None
    }

    /// Whether another transaction may begin, by our own limit and by the server's (RFC 9422 §4.1).
    pub(super) fn has_room(&self) -> bool {
        let own = self.settings.limits.messages_per_connection.max(1);
        self.begun < self.offered.limits.mail.map_or(own, |limit| own.min(limit))
    }

    /// Whether the server lets this session have the recipients' domain too (RFC 9422 §4.3). It is then one of those it had.
    fn may_meet(&mut self, pending: &Pending<'_>) -> bool {
        let Some(limit) = self.offered.limits.domains else { return true };
        let domain = &pending.delivery.key.domain;
        if self.domains.contains(domain) {
            return true;
        }
        let room = self.domains.len() < limit;
        if room {
            self.domains.push(domain.clone());
        }
        room
    }

    /// How the content is to go.
    fn passage(&self, pending: &Pending<'_>) -> Passage {
        let whole = self.places(pending).len() == pending.open().count();
        let small = command::octets(&pending.delivery) <= CONTENT_OCTETS;
        if self.offered.chunking && self.offered.pipelining && whole && small {
            Passage::Ahead
        } else if command::is_binary(&pending.delivery) {
            Passage::Chunk
        } else {
            Passage::Data
        }
    }

    /// Who is to be named in the next transaction: all that are left, or as many as we want at once and the server takes (RFC 9422 §4.2).
    fn places(&self, pending: &Pending<'_>) -> Vec<usize> {
        let own = self.settings.limits.recipients_per_transaction.max(1);
        pending.open().take(self.offered.limits.recipients.map_or(own, |limit| own.min(limit))).collect()
    }

    /// A server without SMTPUTF8 gets the message for those recipients whose addresses can do without.
    fn leave_out_utf8(&self, pending: &mut Pending<'_>) {
        if self.offered.smtputf8 {
            return;
        }
        let open: Vec<usize> = pending.open().collect();
        for at in open {
            if command::needs_smtputf8(&pending.delivery.recipients[at].address) {
                pending.fail_one(at, &Failure::NeedsSmtpUtf8);
            }
        }
    }

    fn write_envelope(&mut self, pending: &Pending<'_>, now: Timestamp) {
        let places = self.places(pending);
        let Self { connection, offered, .. } = self;
        let out = &mut connection.out;
        let from = out.len();
        if pending.reset {
            out.extend_from_slice(b"RSET\r\n");
        }
        let terms = Terms { places: &places, offered, now };
        terms.mail(&pending.delivery, out);
        for at in &places {
            terms.recipient(&pending.delivery, *at, out);
        }
        if pending.passage == Passage::Data {
            out.extend_from_slice(b"DATA\r\n");
        }
        tracing::debug!(commands = %out[from..].escape_ascii(), "sent");
    }

    /// Takes `pending` through its transaction.
    async fn transact<'a>(
        &mut self,
        pending: Pending<'a>,
        queue: &mut VecDeque<Pending<'a>>,
        desk: &mut Desk<'a>,
    ) -> Result<(), End> {
        let mut pending = pending;
        if pending.passage == Passage::Ahead {
            self.follow(Passage::Ahead, false, queue, desk).await;
        }
        let limit = self.settings.limits.envelope;
        let envelope = timeout(limit, self.envelope(&mut pending, desk.now())).await;
        match envelope.unwrap_or(Err(Failure::TimedOut(Step::Mail))) {
            Ok(Envelope::Open(accepted)) => self.hand_over(pending, &accepted, queue, desk).await,
            Ok(Envelope::Sent(accepted)) => {
                let answer = self.ending().await;
                self.conclude(pending, &accepted, answer, queue, desk).await
            }
            Ok(Envelope::OpenForNobody) => self.end_for_nobody(pending, queue, desk).await,
            Ok(Envelope::Closed) => {
                (self.dirty, self.ended) = (true, self.ended + 1);
                self.put_down(pending, queue, desk).await;
                Ok(())
            }
            // it is out as a whole, so that only a refusal says that the server does not have it
            Err(failure) if pending.passage == Passage::Ahead && !self.was_spared(&failure) => {
                pending.fail(&failure.unanswered());
                desk.reporter.report(pending, Some(&self.peer)).await;
                Err(End::Dropped(Step::End))
            }
            Err(failure) => Err(self.give_back(pending, failure, queue, desk).await),
        }
    }

    /// MAIL, RCPT and DATA, or the replies to those that went out together.
    async fn envelope(&mut self, pending: &mut Pending<'_>, now: Timestamp) -> Result<Envelope, Failure> {
        let lockstep = !self.offered.pipelining;
        if !lockstep {
            self.flush(Step::Mail).await?;
        }
        if pending.reset {
            if let Some(reply) = self.exchange(Step::Reset, |out| out.extend_from_slice(b"RSET\r\n")).await? {
                return Err(Failure::Refused(Step::Reset, reply));
            }
            self.dirty = false;
        }
        let places = self.places(pending);
        let offered = self.offered;
        let terms = Terms { places: &places, offered: &offered, now };
        let write = |out: &mut Vec<u8>| terms.mail(&pending.delivery, out);
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
        let mut accepted = Vec::new();
        for at in &places {
            let write = |out: &mut Vec<u8>| terms.recipient(&pending.delivery, *at, out);
            match self.exchange(Step::Recipient, write).await? {
                // what a server says to RCPT after it refused MAIL has no meaning
                _ if !mailed => {}
                None => accepted.push(*at),
                Some(reply) => pending.fail_one(*at, &Failure::Refused(Step::Recipient, reply)),
            }
        }
        self.content_turn(pending, accepted).await
    }

    /// What stands between the last RCPT and the content.
    async fn content_turn(
        &mut self,
        pending: &mut Pending<'_>,
        accepted: Vec<usize>,
    ) -> Result<Envelope, Failure> {
        match pending.passage {
            Passage::Ahead => return Ok(Envelope::Sent(accepted)),
            // DATA is out by now, and is to be answered
            Passage::Data if self.offered.pipelining => {}
            Passage::Data | Passage::Chunk if accepted.is_empty() => return Ok(Envelope::Closed),
            Passage::Chunk => return Ok(Envelope::Open(accepted)),
            Passage::Data => {}
        }
        // RFC 2920 §3.1: that nobody was accepted does not mean that DATA was refused
        match self.exchange(Step::Data, |out| out.extend_from_slice(b"DATA\r\n")).await? {
            None if accepted.is_empty() => Ok(Envelope::OpenForNobody),
            None => Ok(Envelope::Open(accepted)),
            Some(reply) => {
                let failure = Failure::Refused(Step::Data, reply);
                accepted.iter().for_each(|at| pending.fail_one(*at, &failure));
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
}
