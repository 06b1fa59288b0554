use super::{
    Cancel, DeliveryState, Feedback, Held, Next, Postponed, RecipientState, RecipientStatus, Record,
    Standing, Telling, Untried,
};
use crate::job::Delivery;
use crate::limits::{ATTEMPTS_MAX, FEEDBACK_MAX};
use crate::mail::{Mailbox, Reply, Timestamp};

/// What [`Deliveries::record`](super::Deliveries::record) and its kin make of an item, the same in every store.
impl DeliveryState {
    /// The item after its first record.
    pub fn begin(record: Record) -> Self {
        let Record { delivery, attempt, recipients, next, .. } = record;
        let original = original(&delivery, &recipients);
        let mut state = Self {
            key: delivery.key,
            tenant: delivery.tenant,
            from: delivery.from,
            return_path: delivery.return_path,
            subject: delivery.subject,
            size: delivery.length,
            signed: delivery.signed,
            unsigned: delivery.unsigned,
            accepted_at: delivery.accepted_at,
            expires_at: delivery.expires_at,
            held_until: None,
            waiting: None,
            recipients,
            attempts: vec![attempt],
            orders: Vec::new(),
            due_at: None,
            pending: None,
            original,
            feedback: Vec::new(),
        };
        state.set_next(next);
        state
    }

    /// The item of a delivery that is held.
    pub fn hold(Held { delivery, until, forget_at }: Held) -> Self {
        let untried = Untried { delivery, due_at: until, forget_at };
        Self { held_until: Some(until), ..Self::untried(untried) }
    }

    /// The item of a delivery whose first attempt is put off.
    pub fn postpone(Postponed { delivery, waiting, due_at, forget_at }: Postponed) -> Self {
        Self { waiting: Some(waiting), ..Self::untried(Untried { delivery, due_at, forget_at }) }
    }

    /// Puts the next attempt off, unless it has been made, was put off as often already, or is not to be made; tells whether that
    /// changes the item.
    pub fn put_off(&mut self, postponed: Postponed) -> bool {
        let Postponed { delivery, waiting, due_at, .. } = postponed;
        let made = self.attempts.iter().any(|attempt| attempt.number >= delivery.attempt);
        let turn = |delivery: &Delivery| (delivery.attempt, delivery.postponed);
        let open = self.pending.as_deref().is_some_and(|pending| turn(pending) < turn(&delivery));
        if made || !open {
            return false;
        }
        // what is to be returned waits for no site; its turn passes all the same, as whoever writes this ends the claim of it
        let returned = matches!(self.standing(), Standing::Returned { .. });
        let due_at = if returned { self.due_at.map_or(due_at, |at| at.min(due_at)) } else { due_at };
        let until = waiting.until;
        self.set_next(Next::Due { at: due_at, delivery: Box::new(delivery) });
        self.waiting = (self.pending.is_some() && !returned).then_some(waiting);
        self.obey_standing(until);
        true
    }

    /// Whether `delivery` is a turn that has passed: its attempt or a later one is on record, or it was put off since.
    pub fn has_passed(&self, delivery: &Delivery) -> bool {
        let put_off = self.pending.as_deref().is_some_and(|pending| {
            pending.attempt == delivery.attempt && pending.postponed > delivery.postponed
        });
        put_off || self.attempts.iter().any(|attempt| attempt.number >= delivery.attempt)
    }

    /// Whether it is held still. A lease moves the due time away from the release, and nothing moves it back.
    pub fn is_held(&self) -> bool {
        self.held_until.is_some() && self.due_at == self.held_until && self.attempts.is_empty()
    }

    /// Cancels the delivery, if it is held; else it stays as it is.
    pub fn cancel(&mut self, reply: &Reply) -> Cancel {
        if !self.is_held() {
            let cancelled = |state: &RecipientState| state.status == RecipientStatus::Cancelled;
            return if self.recipients.iter().all(cancelled) { Cancel::Done } else { Cancel::Released };
        }
        for state in self.recipients.iter_mut().filter(|state| !state.status.is_final()) {
            (state.status, state.reply) = (RecipientStatus::Cancelled, Some(reply.clone()));
        }
        (self.due_at, self.pending) = (None, None);
        Cancel::Done
    }

    /// Adds what came to be known later; tells whether it was new.
    pub fn note(&mut self, feedback: Feedback) -> bool {
        let is_same = |known: &Feedback| known.report == feedback.report && known.address == feedback.address;
        if self.feedback.iter().any(is_same) {
            return false;
        }
        self.feedback.push(feedback);
        // the first tells how it began, and the latest how it stands
        if self.feedback.len() > FEEDBACK_MAX {
            self.feedback.remove(1);
        }
        true
    }

    /// Notes which DSN tells what is to be told; tells whether that changes the item, and whether all that it names was to be told.
    pub fn tell(&mut self, telling: &Telling) -> (bool, bool) {
        let Telling { report, action, recipients, put_in } = telling;
        let (mut changed, mut told) = (false, 0);
        for known in &mut self.recipients {
            let ended_at = known.untold.as_ref().filter(|one| one.action == *action).map(|one| one.ended_at);
            let is_named =
                |(address, at): &(Mailbox, Timestamp)| Some(*at) == ended_at && *address == known.address;
            if !recipients.iter().any(is_named) {
                continue;
            }
            told += 1;
            changed |= *put_in || known.report != Some(*report);
            known.report = Some(*report);
            if *put_in {
                known.untold = None;
            }
        }
        self.keep_original(None);
        (changed, told == recipients.len())
    }

    /// Adds a record to the item.
    pub fn add(&mut self, record: Record) {
        let Record { delivery, attempt, recipients, next, .. } = record;
        let original = original(&delivery, &recipients);
        let (number, ended_at) = (attempt.number, attempt.ended_at);
        let later_is_known = self.attempts.last().is_some_and(|last| last.number > number);
        let is_known = self.attempts.iter().any(|known| known.number == number);
        for mut told in recipients {
            match self.recipients.iter_mut().find(|known| known.address == told.address) {
                None => self.recipients.push(told),
                Some(known) if known.status.is_final() => {}
                // of two deferrals, the later attempt's is the last word; and of one attempt that was made or written twice, the first
                Some(_) if (later_is_known || is_known) && !told.status.is_final() => {}
                Some(known) => {
                    told.follow(known);
                    *known = told;
                }
            }
        }
        self.keep_original(original);
        if let Err(place) = self.attempts.binary_search_by_key(&number, |known| known.number) {
            self.attempts.insert(place, attempt);
            // the first tells how it began, and the latest how it stands
            if self.attempts.len() > ATTEMPTS_MAX {
                self.attempts.remove(1);
            }
        }
        if later_is_known {
            self.drop_settled();
        } else {
            self.set_next(next);
        }
        self.obey_standing(ended_at);
    }

    /// Keeps what DSNs return of the message for as long as there is something to be told.
    fn keep_original(&mut self, newer: Option<Box<Delivery>>) {
        let untold = self.recipients.iter().any(|recipient| recipient.untold.is_some());
        self.original = newer.or(self.original.take()).filter(|_| untold);
    }

    fn set_next(&mut self, next: Next) {
        self.waiting = None;
        (self.due_at, self.pending) = match next {
            Next::Settled => (None, None),
            Next::Due { at, delivery } => (Some(at), Some(delivery)),
        };
        self.drop_settled();
    }

    /// Two workers may have tried the same recipients: whoever has a final status is not tried again, and where
    /// nobody is left, nothing is due.
    fn drop_settled(&mut self) {
        let Some(pending) = &mut self.pending else { return };
        let is_settled = |address: &Mailbox| {
            let state = self.recipients.iter().find(|state| state.address == *address);
            state.is_some_and(|state| state.status.is_final())
        };
        pending.recipients.retain(|recipient| !is_settled(&recipient.address));
        if pending.recipients.is_empty() {
            (self.due_at, self.pending, self.waiting) = (None, None, None);
        }
    }
}

impl RecipientState {
    /// Takes the place of an earlier state. Of who is deferred still, what was told and what is to be told is no less true.
    fn follow(&mut self, earlier: &Self) {
        if self.status.is_final() || self.untold.is_some() {
            return;
        }
        self.untold.clone_from(&earlier.untold);
        if earlier.untold.is_some() || self.report.is_none() {
            self.report = earlier.report;
        }
    }
}

/// What DSNs return of the message of a delivery, where there is something to be told of it.
fn original(delivery: &Delivery, recipients: &[RecipientState]) -> Option<Box<Delivery>> {
    let untold = recipients.iter().any(|recipient| recipient.untold.is_some());
    untold.then(|| Box::new(Delivery { recipients: Vec::new(), ..delivery.clone() }))
}
