//! From the content to the reply that says what came of it, and what goes out in the same flight.

use std::collections::VecDeque;

use shared::mail::{Reply, ReplyClass};
use tokio::time::timeout;

use super::super::content::Cut;
use super::super::session::Session;
use super::{Desk, End};
use crate::deliver::Hop;
use crate::deliver::outcome::{Failure, Step};
use crate::deliver::pending::{Passage, Pending};

impl Session {
    /// The content, and what the server says to it.
    pub(super) async fn hand_over<'a>(
        &mut self,
        pending: Pending<'a>,
        accepted: &[usize],
        queue: &mut VecDeque<Pending<'a>>,
        desk: &mut Desk<'a>,
    ) -> Result<(), End> {
        let limit = self.settings.limits.content;
        let content = self.write_content(&pending.delivery, pending.passage, &mut desk.packs);
        let written = timeout(limit, content).await;
        if let Err(cut) = written.unwrap_or(Err(Cut::Broken(Failure::TimedOut(Step::Content)))) {
            return Err(self.cut_off(pending, cut, queue, desk).await);
        }
        let more = pending.open().count() > accepted.len();
        self.follow(pending.passage, more, queue, desk).await;
        let answer = self.ending().await;
        self.conclude(pending, accepted, answer, queue, desk).await
    }

    /// What the server's `answer` to the content comes to for those it `accepted`.
    pub(super) async fn conclude<'a>(
        &mut self,
        pending: Pending<'a>,
        accepted: &[usize],
        answer: Result<Reply, Failure>,
        queue: &mut VecDeque<Pending<'a>>,
        desk: &mut Desk<'a>,
    ) -> Result<(), End> {
        let mut pending = pending;
        match answer {
            Ok(reply) if reply.code() == 421 && !accepted.is_empty() => {
                Err(self.give_back(pending, Failure::Refused(Step::End, reply), queue, desk).await)
            }
            Ok(reply) => {
                match reply.class() {
                    ReplyClass::Completed => pending.take(accepted, &reply, self.hop()),
                    ReplyClass::Intermediate | ReplyClass::Transient | ReplyClass::Permanent => {
                        let failure = Failure::Refused(Step::End, reply);
                        accepted.iter().for_each(|at| pending.fail_one(*at, &failure));
                        // a chunk that is refused need not end its transaction
                        self.dirty = pending.passage != Passage::Data;
                    }
                }
                self.ended += 1;
                self.put_down(pending, queue, desk).await;
                Ok(())
            }
            Err(failure) => {
                // not on another host: this one may have taken it (RFC 1047)
                pending.fail(&failure);
                desk.reporter.report(pending, Some(&self.peer)).await;
                Err(End::Dropped(Step::End))
            }
        }
    }

    /// Ends a DATA that the server granted though it accepted nobody.
    pub(super) async fn end_for_nobody<'a>(
        &mut self,
        pending: Pending<'a>,
        queue: &mut VecDeque<Pending<'a>>,
        desk: &mut Desk<'a>,
    ) -> Result<(), End> {
        self.put_down(pending, queue, desk).await;
        // RFC 2920 §3.1: nothing but the dot, or the server would wait for ever
        self.connection.out.extend_from_slice(b".\r\n");
        self.follow(Passage::Data, false, queue, desk).await;
        match self.ending().await {
            Ok(_) => {
                self.ended += 1;
                Ok(())
            }
            Err(_) => Err(End::Dropped(Step::End)),
        }
    }

    /// Who has a message that this server took.
    fn hop(&self) -> Hop {
        Hop::Server { dsn: self.offered.dsn, deliver_by: self.offered.deliver_by.is_some() }
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

    /// Sends the end of the content with what else lies in `out`, and gives the reply to it. On an error, nobody knows whether
    /// the server has the message.
    pub(super) async fn ending(&mut self) -> Result<Reply, Failure> {
        // where the write failed the dot may have got through all the same, and the reply to it be here
        let sent = self.flush(Step::End).await;
        let step = if sent.is_ok() { Step::End } else { Step::Content };
        let raw = match (self.reply(step).await, sent) {
            (Ok(raw), _) => raw,
            (Err(failure), Ok(())) | (Err(_), Err(failure)) => return Err(failure.unanswered()),
        };
        if raw.code / 100 == 3 {
            return Err(Failure::OutOfPlace(Step::End, raw.code).unanswered());
        }
        Ok(raw.into_reply(self.settings.limits.reply_text_octets))
    }

    /// Hands a delivery back whose transaction has ended; or puts it at the queue's head, where the server took only some of its
    /// recipients in one transaction.
    pub(super) async fn put_down<'a>(
        &mut self,
        pending: Pending<'a>,
        queue: &mut VecDeque<Pending<'a>>,
        desk: &mut Desk<'a>,
    ) {
        if pending.is_open() {
            queue.push_front(pending);
        } else {
            desk.reporter.report(pending, Some(&self.peer)).await;
        }
    }

    /// Puts a delivery that this server has certainly not taken back at the queue's head, unless each of its recipients has
    /// an outcome.
    pub(super) async fn give_back<'a>(
        &mut self,
        pending: Pending<'a>,
        failure: Failure,
        queue: &mut VecDeque<Pending<'a>>,
        desk: &mut Desk<'a>,
    ) -> End {
        self.recall_flight(queue, desk);
        if pending.is_open() {
            queue.push_front(pending);
        } else {
            self.ended += 1;
            desk.reporter.report(pending, Some(&self.peer)).await;
        }
        End::Broken(failure)
    }
}
