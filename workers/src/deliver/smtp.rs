//! The SMTP client: takes a queue of deliveries to the first of several servers that will have them.
//!
//! A failure of a host (no connection, a bad greeting, a broken connection, 421) sends what is left to the next address; a
//! failure of a message or a recipient is its outcome, and no other host is asked (RFC 5321 §5.1 leaves that open).

mod capabilities;
mod command;
mod connection;
mod content;
mod dots;
pub(super) mod reply;
mod session;
pub(super) mod tls;
mod transaction;

use std::collections::VecDeque;

pub(super) use content::{Packs, ends_early, unreadable};
use session::Session;
pub(super) use transaction::Desk;
use transaction::End;

use super::TransportSettings;
use super::mx::Targets;
use super::outcome::Failure;
use super::pending::{Peer, Pending};
use super::policy::DestinationTls;

/// Takes each of `queue` to one of `targets`, and hands each back.
pub(super) async fn deliver<'a>(
    settings: &TransportSettings,
    tls: &DestinationTls<'_>,
    mut targets: Targets<'_>,
    mut queue: VecDeque<Pending<'a>>,
    desk: &mut Desk<'a>,
) {
    let mut failure = None;
    let mut peer = None;
    let mut lost = 0;
    let mut current = targets.next().await;
    while let Some(target) = current.as_ref().filter(|_| !queue.is_empty()) {
        if desk.out_of_time() {
            failure = Some(Failure::OutOfTime);
            break;
        }
        // nothing has begun yet: whoever stops us need not wait for a server that is slow to greet
        let opened = tokio::select! {
            biased;
            () = desk.reporter.closed() => return,
            opened = Session::open(settings, tls, target, &desk.cut) => opened,
        };
        let mut session = match opened {
            Ok(session) => session,
            Err(why) => {
                tracing::debug!(host = %target.host, peer = %target.address, ?why, "no session");
                count("failed");
                failure = Some(why.or(failure));
                peer = Some(Peer { target: target.clone(), tls: None });
                current = targets.next().await;
                continue;
            }
        };
        count("opened");
        let end = session.run(&mut queue, desk).await;
        peer = Some(session.peer.clone());
        match end {
            End::Finished => session.leave().await,
            // it got somewhere, so the host works: some take only a few messages over one connection
            End::Broken(why) if session.ended > 0 => failure = Some(why),
            End::Broken(why) => {
                match targets.next().await {
                    Some(next) => current = Some(next),
                    None => {
                        desk.reporter.fail(queue.pop_front(), &why, peer.as_ref()).await;
                        lost += 1;
                    }
                }
                failure = Some(why);
            }
            End::Dropped(step) => {
                lost += 1;
                failure = Some(Failure::Lost(step));
            }
        }
        if lost >= settings.limits.connections_lost {
            break;
        }
    }
    let failure = targets.conclude(failure);
    desk.reporter.fail(queue, &failure, peer.as_ref()).await;
}

fn count(result: &'static str) {
    metrics::counter!("spoolway_deliver_connections_total", "result" => result).increment(1);
}
