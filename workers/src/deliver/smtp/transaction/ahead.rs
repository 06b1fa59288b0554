//! What goes out before the replies to what was said before are here, and what becomes of it where they never come.

use std::collections::VecDeque;

use super::super::session::Session;
use super::Desk;
use crate::deliver::outcome::{Failure, Step};
use crate::deliver::pending::{Passage, Pending};

impl Session {
    /// Writes all of a small message.
    pub(super) fn write_ahead(&mut self, content: &[u8]) {
        let out = &mut self.connection.out;
        out.extend_from_slice(format!("BDAT {} LAST\r\n", content.len()).as_bytes());
        out.extend_from_slice(content);
    }

    /// With PIPELINING, writes what goes out behind content that went by `passage`: as many whole messages as may be ahead of their
    /// replies, or the next envelope; or QUIT, where nothing follows, the session is not kept, and there is no `more` to do for the same
    /// message.
    pub(super) async fn follow<'a>(
        &mut self,
        passage: Passage,
        more: bool,
        queue: &mut VecDeque<Pending<'a>>,
        desk: &mut Desk<'a>,
    ) {
        if !self.offered.pipelining || self.quit {
            return;
        }
        let mut last = desk.flight.back().map_or(passage, |pending| pending.passage);
        // behind an envelope nothing may go before its content
        while (desk.flight.is_empty() || last == Passage::Ahead)
            && desk.flight.len() < self.settings.limits.ahead
        {
            // the dot ends a transaction, whatever is said to it; a chunk that is refused may not
            match self.begin(last != Passage::Data, queue, desk).await {
                Some(next) => {
                    last = next.passage;
                    desk.flight.push_back(next);
                }
                None => {
                    if !more && !self.is_worth_keeping() {
                        self.connection.out.extend_from_slice(b"QUIT\r\n");
                        self.quit = true;
                    }
                    return;
                }
            }
        }
    }

    /// Whether `failure` says that the server has nothing of what went out whole: by its own word, or because it was gone before.
    pub(super) fn was_spared(&self, failure: &Failure) -> bool {
        match failure {
            Failure::Refused(_, reply) => reply.code() == 421,
            Failure::Lost(_) => self.unheard,
            _ => false,
        }
    }

    /// Puts everything that is out behind the delivery that is worked on back at the queue's head: the server has none of it.
    pub(super) fn recall_flight<'a>(&self, queue: &mut VecDeque<Pending<'a>>, desk: &mut Desk<'a>) {
        while let Some(pending) = desk.flight.pop_back() {
            queue.push_front(pending);
        }
    }

    /// Hands back what is out behind a delivery whose fate is unknown: a message that is out whole shares it (RFC 1047).
    pub(super) async fn lose_flight<'a>(&self, queue: &mut VecDeque<Pending<'a>>, desk: &mut Desk<'a>) {
        while let Some(mut pending) = desk.flight.pop_back() {
            if pending.passage == Passage::Ahead {
                pending.fail(&Failure::Lost(Step::End).unanswered());
                desk.reporter.report(pending, Some(&self.peer)).await;
            } else {
                queue.push_front(pending);
            }
        }
    }
}
