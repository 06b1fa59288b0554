//! DATA (RFC 5321 §4.1.1.4) and BDAT (RFC 3030), to the reply that a message ends with.

use shared::mail::{Body, MessageId, Reply};

use super::super::chunks::Chunks;
use super::super::command::Chunk;
use super::super::content::{Content, ContentLimits, Fault};
use super::super::data::Decoder;
use super::super::replies;
use super::{Action, Counts, Output, Phase, Session, Setback, Transaction};

/// The content of a message as far as it has come.
#[derive(Debug)]
pub(super) struct Receiving {
    by: By,
    setback: Option<Setback>,
}

#[derive(Debug)]
enum By {
    Data(Decoder),
    Chunks(Chunks),
}

impl Receiving {
    fn content(&self) -> &Content {
        match &self.by {
            By::Data(decoder) => decoder.content(),
            By::Chunks(chunks) => chunks.content(),
        }
    }

    fn is_lost(&self) -> bool {
        self.setback.is_some() || self.content().fault().is_some()
    }

    /// What is wrong with the message itself will be wrong next time too, so it comes before what ails us.
    fn refusal(&self) -> Option<Reply> {
        let fault: Option<Fault> = self.content().fault();
        fault.map(replies::fault).or_else(|| self.setback.as_ref().map(replies::setback))
    }
}

impl Session {
    fn content_limits(&self, transaction: &Transaction) -> ContentLimits {
        let received_lines = self.config.limits.received_lines;
        ContentLimits { octets: transaction.terms.message_octets, received_lines }
    }

    pub(super) fn data(&mut self, out: &mut Output) -> Option<Action> {
        let Some(transaction) = &self.transaction else {
            return self.without_mail(out);
        };
        if transaction.receiving.is_some() {
            return self
                .bad(replies::out_of_order("the message has begun by BDAT, go on so or send RSET"), out);
        }
        if transaction.envelope.options.body == Body::BinaryMime {
            return self.bad(replies::out_of_order("BODY=BINARYMIME needs BDAT"), out);
        }
        if transaction.envelope.recipients.is_empty() {
            out.say(replies::no_recipients());
            return None;
        }
        let decoder = Decoder::new(self.config.bare_lf, self.content_limits(transaction));
        if let Some(transaction) = &mut self.transaction {
            transaction.receiving = Some(Receiving { by: By::Data(decoder), setback: None });
        }
        self.phase = Phase::Data;
        out.say(replies::begin_content());
        Some(Action::Begin)
    }

    pub(super) fn data_content(&mut self, input: &mut &[u8], out: &mut Output) -> Action {
        let receiving = self.transaction.as_mut().and_then(|transaction| transaction.receiving.as_mut());
        let Some(receiving) = receiving else { return Action::Read };
        let By::Data(decoder) = &mut receiving.by else { return Action::Read };
        let ended = decoder.decode(input, &mut out.content);
        if receiving.is_lost() {
            out.content = Vec::new();
        }
        if ended { self.end_content(out) } else { Action::Read }
    }

    /// The octets of a chunk follow whatever is said to its command, and are read in any case.
    pub(super) fn chunk(&mut self, chunk: Chunk, out: &mut Output) -> Option<Action> {
        let Chunk { octets, last } = chunk;
        let mut refusal = None;
        match &self.transaction {
            None => {
                if !self.given_up {
                    self.counts.bad_commands += 1;
                }
                refusal = Some(Box::new(replies::out_of_order("send MAIL first")));
            }
            Some(transaction) if transaction.envelope.recipients.is_empty() => {
                refusal = Some(Box::new(replies::no_recipients()));
            }
            Some(_) => {}
        }
        if self.counts.bad_commands >= self.config.limits.bad_commands {
            return Some(self.close(replies::too_many_errors(), out));
        }
        let begins = refusal.is_none() && self.begin_chunks();
        self.phase = Phase::Chunk { left: octets, last, octets, refusal };
        begins.then_some(Action::Begin)
    }

    /// Whether this is the first chunk of the message.
    fn begin_chunks(&mut self) -> bool {
        let bare_lf = self.config.bare_lf;
        let Some(limits) = self.transaction.as_ref().map(|transaction| self.content_limits(transaction))
        else {
            return false;
        };
        let Some(transaction) = &mut self.transaction else { return false };
        if transaction.receiving.is_some() {
            return false;
        }
        let bare_lf = (transaction.envelope.options.body != Body::BinaryMime).then_some(bare_lf);
        let by = By::Chunks(Chunks::new(bare_lf, limits));
        transaction.receiving = Some(Receiving { by, setback: None });
        true
    }

    pub(super) fn chunk_content(&mut self, input: &mut &[u8], out: &mut Output) -> Option<Action> {
        let Phase::Chunk { left, refusal, .. } = &mut self.phase else { return None };
        let here = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
        let (bytes, rest) = input.split_at(here);
        *input = rest;
        *left -= here as u64;
        let receiving = self.transaction.as_mut().and_then(|transaction| transaction.receiving.as_mut());
        let receiving = receiving.filter(|_| refusal.is_none());
        if let Some(Receiving { by: By::Chunks(chunks), .. }) = receiving {
            chunks.take(bytes, &mut out.content);
        }
        if self.is_discarding() {
            out.content = Vec::new();
        }
        let Phase::Chunk { left, last, octets, refusal } = &mut self.phase else { return None };
        if *left > 0 {
            return Some(Action::Read);
        }
        let (last, octets, refusal) = (*last, *octets, refusal.take());
        self.phase = Phase::Commands;
        if let Some(refusal) = refusal {
            out.say(*refusal);
            return None;
        }
        let lost = self.transaction.as_ref().and_then(|transaction| transaction.receiving.as_ref());
        if last || lost.is_some_and(Receiving::is_lost) {
            return Some(self.end_content(out));
        }
        out.say(replies::chunk_ok(octets));
        None
    }

    fn end_content(&mut self, out: &mut Output) -> Action {
        self.phase = Phase::Commands;
        let Some(transaction) = self.transaction.take() else { return Action::Discard };
        let Transaction { envelope, receiving, .. } = *transaction;
        let Some(mut receiving) = receiving else { return Action::Discard };
        if let By::Chunks(chunks) = &mut receiving.by {
            chunks.end();
        }
        self.content_octets = receiving.content().octets();
        if let Some(refusal) = receiving.refusal() {
            self.given_up = true;
            out.content = Vec::new();
            out.say(refusal);
            return Action::Discard;
        }
        Action::Commit(envelope, receiving.content().facts())
    }

    /// Answers [`Action::Commit`]: the message is durable under this id, or it is not known to be.
    pub fn committed(&mut self, outcome: Result<MessageId, Setback>, out: &mut Output) {
        match outcome {
            Ok(id) => {
                self.counts = Counts { auth_failures: self.counts.auth_failures, ..Counts::default() };
                out.say(replies::queued(id));
            }
            Err(setback) => out.say(replies::setback(&setback)),
        }
    }

    /// Has the message being received read to its end, thrown away and refused for `setback`.
    pub fn refuse_content(&mut self, setback: Setback) {
        let receiving = self.transaction.as_mut().and_then(|transaction| transaction.receiving.as_mut());
        if let Some(receiving) = receiving {
            receiving.setback.get_or_insert(setback);
        }
    }

    /// Whether content comes next and not a command.
    pub fn is_in_content(&self) -> bool {
        matches!(self.phase, Phase::Data | Phase::Chunk { .. })
    }

    /// Whether the client waits for a reply before it sends content.
    pub fn is_waited_for(&self) -> bool {
        matches!(self.phase, Phase::Data)
    }

    /// Whether the content being received will be thrown away.
    pub fn is_discarding(&self) -> bool {
        if matches!(self.phase, Phase::Chunk { refusal: Some(_), .. }) {
            return true;
        }
        let receiving = self.transaction.as_ref().and_then(|transaction| transaction.receiving.as_ref());
        receiving.is_some_and(Receiving::is_lost)
    }

    /// How many octets of the message being received have come, while more of them come next.
    pub fn content_so_far(&self) -> Option<u64> {
        let receiving = self.transaction.as_ref().and_then(|transaction| transaction.receiving.as_ref());
        receiving.filter(|_| self.is_in_content()).map(|receiving| receiving.content().octets())
    }

    /// How many octets the message that ended last has.
    pub fn content_octets(&self) -> u64 {
        self.content_octets
    }
}
