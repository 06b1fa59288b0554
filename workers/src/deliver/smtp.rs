//! The SMTP client: takes a queue of deliveries to the first of several servers that will have them.
//!
//! A failure of a host (no connection, a bad greeting, a broken connection, 421) sends what is left to the next address; a
//! failure of a message or a recipient is its outcome, and no other host is asked (RFC 5321 §5.1 leaves that open). A session that was
//! kept and turns out to be gone before anything was answered is no failure at all.

mod auth;
mod capabilities;
mod command;
mod connection;
mod content;
mod dial;
mod dots;
pub(super) mod reply;
mod session;
pub(super) mod tls;
mod transaction;

use std::collections::VecDeque;
use std::sync::Arc;

pub(super) use auth::Secrecy;
pub use auth::check_secret_file;
pub(super) use content::{Packs, ends_early, unreadable};
use dial::Dialer;
pub(super) use session::Session;
use shared::port::Ids;
pub(super) use transaction::Desk;
use transaction::End;

use super::mx::{Target, Targets};
use super::outcome::Failure;
use super::pending::{Peer, Pending};
use super::policy::DestinationTls;
use super::pool::{Key, Pool};
use super::{SmartHosts, Source, TransportSettings};

/// By what the deliveries of one call leave.
pub(super) struct Way<'a> {
    pub(super) settings: &'a Arc<TransportSettings>,
    pub(super) pool: &'a Arc<Pool>,
    /// Whether connections to the site are counted.
    pub(super) is_bounded: bool,
    /// How sure to be of each host.
    pub(super) tls: &'a DestinationTls<'a>,
    pub(super) secrecy: &'a Secrecy,
    pub(super) ids: &'a dyn Ids,
    /// From where; `None` is wherever the system chooses.
    pub(super) source: Option<&'a Source>,
    /// The smart hosts, where those are the targets.
    pub(super) relay: Option<&'a SmartHosts>,
}

/// What became of the hosts so far.
#[derive(Default)]
struct Course {
    failure: Option<Failure>,
    peer: Option<Peer>,
    /// A host that did not get anywhere with the delivery at the queue's head, and why.
    refused: Option<(Target, Failure)>,
    /// Connections that broke under a message.
    lost: usize,
}

impl Course {
    fn note(&mut self, target: Target, failure: Failure) {
        tracing::debug!(host = %target.host, peer = %target.address, ?failure, "no session");
        count("failed");
        self.failure = Some(failure.or(self.failure.take()));
        self.peer = Some(Peer { target, tls: None, source: None });
        self.refused = None;
    }
}

/// Takes each of `queue` to one of `targets`, and hands each back.
pub(super) async fn deliver<'a>(
    way: &Way<'_>,
    mut targets: Targets<'_>,
    mut queue: VecDeque<Pending<'a>>,
    desk: &mut Desk<'a>,
) {
    let mut course = Course::default();
    let key = Key {
        site: targets.site().clone(),
        relay: way.relay.map(|relay| relay.name.clone()),
        source: way.source.map(|source| source.name.clone()),
    };
    while !queue.is_empty() && course.lost < way.settings.limits.connections_lost {
        if desk.out_of_time() {
            course.failure = Some(Failure::OutOfTime);
            break;
        }
        // nothing has begun yet: whoever stops us need not wait for a server that is slow to greet
        let session = tokio::select! {
            biased;
            () = desk.reporter.closed() => {
                for pending in queue {
                    desk.reporter.let_go(pending, course.peer.as_ref()).await;
                }
                return;
            }
            session = way.session(&key, &mut targets, desk, &mut course) => session,
        };
        let Some(mut session) = session else {
            // every other host has had its chance: one message is given up, and the others may fare better with the last one
            let Some((target, why)) = course.refused.take() else { break };
            desk.reporter.fail(queue.pop_front(), &why, course.peer.as_ref()).await;
            course.lost += 1;
            targets.again(target);
            continue;
        };
        let end = session.run(&mut queue, desk).await;
        let target = session.peer.target.clone();
        match end {
            End::Broken(why) if session.unheard => {
                tracing::debug!(host = %target.host, peer = %target.address, ?why, "a kept session was gone");
                count("stale");
                continue;
            }
            End::Finished => {
                course.peer = Some(session.peer.clone());
                targets.again(target);
                // where something is left, it is one that this session cannot have
                let is_done = queue.is_empty();
                way.put_away(&key, session, is_done).await;
                continue;
            }
            // it got somewhere, so the host works: some take only a few messages over one connection
            End::Broken(why) if session.ended > 0 => {
                course.failure = Some(why);
                targets.again(target);
            }
            End::Broken(why) => {
                course.refused = Some((target, why.clone()));
                course.failure = Some(why);
            }
            End::Dropped(step) => {
                course.lost += 1;
                course.failure = Some(Failure::Lost(step));
                targets.again(target);
            }
        }
        course.peer = Some(session.peer.clone());
    }
    let failure = targets.conclude(course.failure);
    desk.reporter.fail(queue, &failure, course.peer.as_ref()).await;
}

impl Way<'_> {
    /// Whether TLS is spoken from the first octet.
    fn is_tls_from_start(&self) -> bool {
        self.relay.is_some_and(|relay| relay.implicit_tls)
    }

    /// A session: one that was kept, or a new one with the first of `targets` that has one to give.
    async fn session(
        &self,
        key: &Key,
        targets: &mut Targets<'_>,
        desk: &Desk<'_>,
        course: &mut Course,
    ) -> Option<Session> {
        if let Some(mut session) = self.kept(key, targets.hosts()).await {
            session.wake(self, &desk.cut);
            return Some(session);
        }
        if self.is_bounded {
            // one that is kept and will not do has the place of the one that is to be opened
            self.pool.part_with_one(&key.site, key.source.as_deref()).await;
        }
        let limits = &self.settings.limits;
        let dialer = Dialer {
            limits,
            tls: self.tls,
            source: self.source,
            clock: desk.reporter.clock,
            ids: self.ids,
            cut: &desk.cut,
        };
        loop {
            if desk.out_of_time() {
                return None;
            }
            match dialer.first(targets).await {
                Ok((target, reached)) => match Session::open(self, &dialer, &target, reached).await {
                    Ok(session) => {
                        count("opened");
                        return Some(session);
                    }
                    Err(failure) => course.note(target, failure),
                },
                Err(lost) => {
                    if let Some((target, failure)) = lost {
                        course.note(target, failure);
                    }
                    if !targets.descend() {
                        return None;
                    }
                }
            }
        }
    }

    /// A session that was kept, with a host to which this mail may go as that session is.
    async fn kept(&self, key: &Key, hosts: &[String]) -> Option<Session> {
        for target in self.pool.targets(key, hosts) {
            let Ok(policy) = self.tls.of_host(&target).await else { continue };
            if let Some(session) = self.pool.take(key, &target, &policy) {
                return Some(session);
            }
        }
        None
    }

    /// Keeps a session that is good for more, and takes leave of any other.
    async fn put_away(&self, key: &Key, session: Session, is_done: bool) {
        if is_done && session.is_worth_keeping() {
            self.pool.keep(key.clone(), session);
        } else {
            session.leave().await;
        }
    }
}

fn count(result: &'static str) {
    metrics::counter!("spoolway_deliver_connections_total", "result" => result).increment(1);
}
