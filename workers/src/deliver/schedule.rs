//! When to try again, and when to give up (RFC 5321 §4.5.4.1).

use std::collections::HashMap;
use std::time::Duration;

use shared::job::Delivery;
use shared::mail::{ByMode, Domain, Reply, Timestamp};

use crate::limits::{
    DELAY_NOTICE, GREYLISTED_FOR, GREYLISTED_PAUSE, LAST_TRY_MARGIN, RETRY_JITTER, RETRY_LIFETIME,
    RETRY_PAUSE_MAX, RETRY_SCHEDULE,
};

/// When deferred mail is tried again.
#[derive(Debug, Clone, PartialEq)]
pub struct RetrySettings {
    /// The pause after each attempt; the last one repeats.
    pub schedule: Vec<Duration>,
    /// How long after its 250, or the release of a held one, a message is given up.
    pub lifetime: Duration,
    /// By how much of itself each pause is spread to either side: 0.2 is ± 20 %.
    pub jitter: f64,
    /// How long after its 250 the sender of a message that is still deferred is told, where NOTIFY=DELAY asks for it.
    pub delay_notice: Duration,
    /// What is different for a destination.
    pub domains: HashMap<Domain, DomainRetry>,
}

/// What is different for one destination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DomainRetry {
    /// In place of the general schedule.
    pub schedule: Option<Vec<Duration>>,
    /// In place of the general lifetime.
    pub lifetime: Option<Duration>,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            schedule: RETRY_SCHEDULE.to_vec(),
            lifetime: RETRY_LIFETIME,
            jitter: RETRY_JITTER,
            delay_notice: DELAY_NOTICE,
            domains: HashMap::new(),
        }
    }
}

impl RetrySettings {
    /// The longest time that any message is tried.
    pub fn lifetime_max(&self) -> Duration {
        self.domains.values().filter_map(|own| own.lifetime).fold(self.lifetime, Duration::max)
    }

    /// When a message for `domain` that was accepted, or released, at `released_at` is given up.
    pub fn expires_at(&self, domain: &Domain, released_at: Timestamp) -> Timestamp {
        let own = self.domains.get(domain).and_then(|own| own.lifetime);
        released_at + own.unwrap_or(self.lifetime)
    }

    /// When to make the attempt after `delivery`, which was deferred at `now`; `None` if that was the last one. The last one is
    /// made at the expiry; and one when the sender is to be told of a delay, so that what is told is true then. With `soon` a server waits
    /// for it, and it is not late for that. `chance` is from 0 up to 1.
    pub(super) fn next_try(
        &self,
        delivery: &Delivery,
        now: Timestamp,
        soon: bool,
        chance: f64,
    ) -> Option<Timestamp> {
        let expires_at = self.expiry(delivery);
        if now + LAST_TRY_MARGIN >= expires_at {
            return None;
        }
        let own = self.domains.get(&delivery.key.domain).and_then(|own| own.schedule.as_ref());
        let schedule = own.unwrap_or(&self.schedule);
        let step = usize::try_from(delivery.attempt.saturating_sub(1)).unwrap_or(usize::MAX);
        let pause = schedule.get(step).or(schedule.last()).copied().unwrap_or(RETRY_SCHEDULE[6]);
        // one that is greylisted for longer than that is refused, whatever the server calls it
        let soon = soon && now.since(delivery.released_at()) < GREYLISTED_FOR;
        let pause = if soon { pause.min(GREYLISTED_PAUSE) } else { pause };
        let jitter = if self.jitter.is_nan() { 0.0 } else { self.jitter.clamp(0.0, 1.0) };
        let spread = 1.0 + jitter * (2.0 * chance - 1.0);
        let pause = pause.min(RETRY_PAUSE_MAX).mul_f64(spread.clamp(0.0, 2.0));
        let (delay_at, deliver_by) = self.notices_at(delivery);
        let notice =
            [delay_at, deliver_by].into_iter().flatten().filter(|at| *at > now + LAST_TRY_MARGIN).min();
        let next = (now + pause).min(expires_at);
        Some(notice.map_or(next, |at| next.min(at)))
    }

    /// Until when an attempt at `delivery` may be put off at `now`: to its expiry, or to when its sender is to be told of a delay. `None`
    /// where it is time for that, and what it waits for must be told as what an attempt came to.
    pub(super) fn wait_max(&self, delivery: &Delivery, now: Timestamp) -> Option<Timestamp> {
        let (delay_at, deliver_by) = self.notices_at(delivery);
        let ends = [Some(self.expiry(delivery)), delay_at, deliver_by];
        let end = ends.into_iter().flatten().min()?;
        (now + LAST_TRY_MARGIN < end).then_some(end)
    }

    /// When the sender is to be told of a delay: because NOTIFY says so, and because a deliver-by time of mode N has passed
    /// (RFC 2852 §4). `None` where nobody wants it, and where it was told.
    fn notices_at(&self, delivery: &Delivery) -> (Option<Timestamp>, Option<Timestamp>) {
        let told = &delivery.notices;
        // nobody is told of mail from the null path (RFC 5321 §4.5.5), nor where all say NEVER
        let may_be_told = delivery.from.mailbox().is_some()
            && delivery.recipients.iter().any(super::record::may_be_told_of_delay);
        if !may_be_told {
            return (None, None);
        }
        let wanted =
            delivery.recipients.iter().any(|recipient| recipient.notify.is_some_and(|notify| notify.delay));
        let delay = (wanted && told.delay.is_none()).then(|| delivery.released_at() + self.delay_notice);
        let notified = delivery.options.deliver_by.is_some_and(|by| by.mode == ByMode::Notify);
        let deliver_by = delivery.deliver_by().filter(|_| notified && told.deliver_by.is_none());
        (delay, deliver_by)
    }

    /// Which of the two it is time for at `now`, if the message is still deferred then.
    pub(super) fn notices_due(&self, delivery: &Delivery, now: Timestamp) -> (bool, bool) {
        // an attempt that was to be made then may come a little early, as a queue counts in seconds
        let due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now + LAST_TRY_MARGIN);
        let (delay, deliver_by) = self.notices_at(delivery);
        (due(delay), due(deliver_by))
    }

    /// When `delivery` is given up. A domain's own lifetime goes before what the delivery says; the general one can only
    /// shorten it, so that a shorter lifetime holds for what is pending too. So does a deliver-by time of mode R.
    pub(super) fn expiry(&self, delivery: &Delivery) -> Timestamp {
        let lifetime = self.lifetime_end(delivery);
        returned_at(delivery).map_or(lifetime, |at| at.min(lifetime))
    }

    fn lifetime_end(&self, delivery: &Delivery) -> Timestamp {
        let configured = self.expires_at(&delivery.key.domain, delivery.released_at());
        match self.domains.get(&delivery.key.domain) {
            Some(DomainRetry { lifetime: Some(_), .. }) => configured,
            Some(_) | None => configured.min(delivery.expires_at),
        }
    }

    /// What is said of a recipient whose time is up, `last` being the last reply: X.4.7, delivery time expired (RFC 3463 §3.5). By
    /// RFC 2852 §4 it is 5.4.7 where the sender set the time.
    pub(super) fn expiry_reply(&self, delivery: &Delivery, last: &Reply) -> Reply {
        if returned_at(delivery).is_some_and(|at| at <= self.lifetime_end(delivery)) {
            let text = format!("the time the sender set for the delivery is up; the last reply was: {last}");
            return Reply::new(554, (4, 7), text);
        }
        Reply::new(451, (4, 7), format!("delivery time expired; the last reply was: {last}"))
    }
}

/// When the sender wants the message back (RFC 2852, mode R).
fn returned_at(delivery: &Delivery) -> Option<Timestamp> {
    delivery.options.deliver_by.filter(|by| by.mode == ByMode::Return)?;
    delivery.deliver_by()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60;
    const HOUR: u64 = 3600;

    fn tried(attempt: u32) -> Delivery {
        Delivery { attempt, ..crate::testing::delivery("a.example", &["later"]) }
    }

    fn pause(settings: &RetrySettings, attempt: u32, chance: f64) -> Duration {
        let delivery = tried(attempt);
        let now = delivery.accepted_at;
        settings.next_try(&delivery, now, false, chance).unwrap().since(now)
    }

    #[test]
    fn the_age_of_a_held_message_counts_from_its_release() {
        let mut held = tried(1);
        held.options.hold = Some(shared::mail::Hold::For(30 * 24 * 3600));
        let released_at = held.accepted_at + Duration::from_secs(30 * 24 * HOUR);
        let settings = RetrySettings::default();
        held.expires_at = released_at + settings.lifetime;
        assert_eq!(settings.expiry(&held), released_at + settings.lifetime);
        assert!(settings.next_try(&held, released_at, false, 0.5).is_some());
    }

    #[test]
    fn pauses_are_those_of_the_schedule_give_or_take_a_fifth() {
        let settings = RetrySettings::default();
        let table = [
            (1, MINUTE),
            (2, 5 * MINUTE),
            (3, 15 * MINUTE),
            (4, 30 * MINUTE),
            (5, HOUR),
            (6, 2 * HOUR),
            (7, 4 * HOUR),
            (8, 4 * HOUR),
            (99, 4 * HOUR),
            (u32::MAX, 4 * HOUR),
        ];
        for (attempt, seconds) in table {
            let seconds = Duration::from_secs(seconds);
            assert_eq!(pause(&settings, attempt, 0.5), seconds);
            assert_eq!(pause(&settings, attempt, 0.0), seconds.mul_f64(0.8));
            let most = pause(&settings, attempt, 0.999_999);
            assert!(most > seconds.mul_f64(1.19) && most <= seconds.mul_f64(1.2));
        }
    }

    #[test]
    fn what_is_greylisted_is_tried_within_minutes_for_the_first_hours() {
        let settings = RetrySettings { jitter: 0.0, ..RetrySettings::default() };
        let pause = |attempt: u32, minutes: u64| {
            let delivery = tried(attempt);
            let now = delivery.accepted_at + Duration::from_secs(minutes * MINUTE);
            settings.next_try(&delivery, now, true, 0.5).unwrap().since(now).as_secs()
        };
        assert_eq!(pause(1, 0), MINUTE, "the schedule is sooner");
        assert_eq!(pause(3, 10), 5 * MINUTE);
        assert_eq!(pause(9, 119), 5 * MINUTE);
        assert_eq!(pause(9, 120), 4 * HOUR, "it is no greylist that takes so long");
    }

    #[test]
    fn the_last_try_is_at_the_expiry_and_none_comes_after_it() {
        let settings = RetrySettings::default();
        let delivery = tried(20);
        let expires_at = delivery.expires_at;
        let next = |now| settings.next_try(&delivery, now, false, 0.5);
        assert_eq!(next(expires_at - Duration::from_secs(HOUR)), Some(expires_at));
        assert_eq!(next(expires_at - LAST_TRY_MARGIN), None);
        assert_eq!(next(expires_at), None);
        assert_eq!(next(expires_at + Duration::from_secs(HOUR)), None);
    }

    #[test]
    fn a_domain_may_have_its_own_schedule_and_lifetime() {
        let mut settings = RetrySettings::default();
        let own = DomainRetry {
            schedule: Some(vec![Duration::from_secs(7)]),
            lifetime: Some(Duration::from_secs(10 * 24 * HOUR)),
        };
        settings.domains.insert("a.example".parse().unwrap(), own);
        assert_eq!(pause(&settings, 5, 0.5), Duration::from_secs(7));
        let delivery = tried(1);
        assert_eq!(settings.expiry(&delivery), delivery.accepted_at + Duration::from_secs(10 * 24 * HOUR));
        assert!(settings.next_try(&delivery, delivery.expires_at, false, 0.5).is_some());
    }

    #[test]
    fn a_shorter_general_lifetime_holds_for_what_is_pending_and_a_longer_one_does_not() {
        let delivery = tried(1);
        let settings = |days: u64| RetrySettings {
            lifetime: Duration::from_secs(days * 24 * HOUR),
            ..RetrySettings::default()
        };
        assert_eq!(settings(1).expiry(&delivery), delivery.accepted_at + Duration::from_secs(24 * HOUR));
        assert_eq!(settings(9).expiry(&delivery), delivery.expires_at);
    }

    #[test]
    fn odd_settings_never_panic() {
        for jitter in [f64::NAN, f64::INFINITY, -1.0, 7.0] {
            for schedule in [vec![], vec![Duration::MAX], vec![Duration::ZERO]] {
                let settings = RetrySettings { jitter, schedule, ..RetrySettings::default() };
                let delivery = tried(1);
                assert!(settings.next_try(&delivery, delivery.accepted_at, false, 0.9).is_some());
            }
        }
    }
}
