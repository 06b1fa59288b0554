//! Sessions that are kept for the next message to their site, whoever brings it: of another group, another job, another domain.
//!
//! Only sessions that ended clean are kept, and each is looked at before it is used again. What waits here is bounded, and closed with
//! QUIT soon.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use shared::mail::Timestamp;
use shared::port::Clock;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::mx::Target;
use super::policy::HostPolicy;
use super::smtp::Session;
use super::{ClientLimits, Site};

/// What sessions must have in common for one to stand in for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) site: Site,
    /// The name of the smart-host route: of two to the same hosts, each has a login of its own.
    pub(super) relay: Option<String>,
    /// The name of the source it is made from.
    pub(super) source: Option<String>,
}

impl Key {
    fn is_of(&self, site: &Site, source: Option<&str>) -> bool {
        self.site == *site && self.source.as_deref() == source
    }
}

/// The sessions of a process that wait.
pub(super) struct Pool {
    limits: ClientLimits,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Sessions that are open, here or in use.
    open: Arc<AtomicUsize>,
    /// Sessions that are taking leave.
    leaving: TaskTracker,
    /// Whose they are, each with what is cancelled once it is closed.
    going: Mutex<Vec<(Key, CancellationToken)>>,
}

#[derive(Default)]
struct State {
    /// In the order of their coming.
    kept: VecDeque<Kept>,
    /// Whether somebody closes those that have waited long enough.
    tended: bool,
}

struct Kept {
    key: Key,
    session: Session,
    since: Timestamp,
}

/// Counts a session for as long as it is open.
pub(super) struct Slot(Arc<AtomicUsize>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    pub(super) fn new(limits: ClientLimits, clock: Arc<dyn Clock>) -> Arc<Self> {
        let (state, open, leaving) = (Mutex::default(), Arc::default(), TaskTracker::new());
        Arc::new(Self { limits, clock, state, open, leaving, going: Mutex::default() })
    }

    /// The servers that there are sessions of `key` with, in the order of `hosts`. How sure a session is of one host says nothing of
    /// another: whoever wants one finds out first how sure it must be.
    pub(super) fn targets(&self, key: &Key, hosts: &[String]) -> Vec<Target> {
        let state = self.lock();
        let rank = |target: &Target| hosts.iter().position(|host| *host == target.host);
        let kept = state.kept.iter().rev().filter(|kept| kept.key == *key).map(|kept| kept.session.target());
        let mut targets: Vec<(usize, &Target)> = Vec::new();
        for (rank, target) in kept.filter_map(|target| Some((rank(target)?, target))) {
            if !targets.iter().any(|(_, known)| *known == target) {
                targets.push((rank, target));
            }
        }
        targets.sort_by_key(|(rank, _)| *rank);
        targets.into_iter().map(|(_, target)| target.clone()).collect()
    }

    /// A session of `key` with `target` that is as sure of it as `policy` asks for, and good for another message.
    pub(super) fn take(&self, key: &Key, target: &Target, policy: &HostPolicy) -> Option<Session> {
        loop {
            let mut session = self.find(key, target, policy)?;
            if session.is_quiet() {
                count("reused");
                return Some(session);
            }
            // it closed, or said that it will (RFC 5321 §3.8): nothing was under way
            count("gone");
        }
    }

    fn find(&self, key: &Key, target: &Target, policy: &HostPolicy) -> Option<Session> {
        let mut state = self.lock();
        let now = self.clock.now();
        let fits = |kept: &Kept| {
            kept.key == *key
                && kept.session.target() == target
                && kept.session.satisfies(policy)
                && now.since(kept.since) < self.limits.keep
        };
        // the one that waited least is the likeliest to be there still
        let at = state.kept.iter().rposition(fits)?;
        state.kept.remove(at).map(|kept| kept.session)
    }

    /// Keeps `session` until somebody takes it, or it has waited long enough.
    pub(super) fn keep(self: &Arc<Self>, key: Key, mut session: Session) {
        session.rest();
        let mut state = self.lock();
        let of_site = |kept: &Kept| kept.key.site == key.site;
        if state.kept.iter().filter(|kept| of_site(kept)).count() >= self.limits.kept_per_site {
            let oldest = state.kept.iter().position(of_site);
            self.part(oldest.and_then(|at| state.kept.remove(at)));
        }
        if state.kept.len() >= self.limits.kept {
            self.part(state.kept.pop_front());
        }
        state.kept.push_back(Kept { key, session, since: self.clock.now() });
        if !std::mem::replace(&mut state.tended, true) {
            let (pool, clock) = (Arc::downgrade(self), Arc::clone(&self.clock));
            tokio::spawn(tend(pool, clock));
        }
    }

    /// Until when each of the sessions is kept that there are with `site` from `source`.
    pub(super) fn kept_until(&self, site: &Site, source: Option<&str>) -> Vec<Timestamp> {
        let state = self.lock();
        let kept = state.kept.iter().filter(|kept| kept.key.is_of(site, source));
        kept.map(|kept| kept.since + self.limits.keep).collect()
    }

    /// Takes leave of the one of them that has waited longest, and returns when that is done. Where none waits, those are waited for that
    /// take leave already.
    pub(super) async fn part_with_one(&self, site: &Site, source: Option<&str>) {
        let oldest = {
            let mut state = self.lock();
            let at = state.kept.iter().position(|kept| kept.key.is_of(site, source));
            at.and_then(|at| state.kept.remove(at))
        };
        if let Some(kept) = oldest {
            count("displaced");
            return kept.session.leave().await;
        }
        let going: Vec<CancellationToken> = {
            let going = self.going.lock().unwrap_or_else(PoisonError::into_inner);
            going.iter().filter(|(key, _)| key.is_of(site, source)).map(|(_, gone)| gone.clone()).collect()
        };
        for gone in going {
            gone.cancelled().await;
        }
    }

    /// Makes room for a session that is to be opened.
    pub(super) fn open(&self) -> Slot {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.limits.connections {
            let oldest = self.lock().kept.pop_front();
            self.part(oldest);
        }
        Slot(Arc::clone(&self.open))
    }

    /// Closes every session that waits; returns once they are gone.
    pub(super) async fn close(&self) {
        let all = std::mem::take(&mut self.lock().kept);
        self.part(all);
        self.leaving.close();
        self.leaving.wait().await;
        self.leaving.reopen();
    }

    /// Says QUIT on each, and waits for none.
    fn part(&self, sessions: impl IntoIterator<Item = Kept>) {
        for kept in sessions {
            count("closed");
            let gone = CancellationToken::new();
            let mut going = self.going.lock().unwrap_or_else(PoisonError::into_inner);
            going.retain(|(_, gone)| !gone.is_cancelled());
            going.push((kept.key, gone.clone()));
            self.leaving.spawn(async move {
                let _gone = gone.drop_guard();
                kept.session.leave().await;
            });
        }
    }

    /// Closes those that have waited long enough; how long until the next one will have, if there is one.
    fn close_idle(&self) -> Option<std::time::Duration> {
        let mut state = self.lock();
        let now = self.clock.now();
        while let Some(first) = state.kept.front() {
            let waited = now.since(first.since);
            if waited < self.limits.keep {
                return Some(self.limits.keep - waited);
            }
            self.part(state.kept.pop_front());
        }
        state.tended = false;
        None
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes sessions as their time comes, until none is left.
async fn tend(pool: Weak<Pool>, clock: Arc<dyn Clock>) {
    while let Some(wait) = pool.upgrade().and_then(|pool| pool.close_idle()) {
        clock.sleep(wait).await;
    }
}

fn count(result: &'static str) {
    metrics::counter!("spoolway_deliver_kept_connections_total", "result" => result).increment(1);
}
