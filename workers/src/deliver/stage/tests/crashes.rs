//! A worker that dies at any line, and another one that takes over.

use shared::job::{DeliverJob, Delivery, Job};
use shared::mail::Notify;
use shared::port::RecipientStatus::{Bounced, Delivered};

use crate::testing::{World, delivery, drive};
use crate::{Stage, Verdict};

/// Kills the worker at its `line`-th crossing of a port; tells whether it came that far.
pub(super) async fn killed_at(world: &World, line: usize, body: &str) -> bool {
    let stopped = world.gate.stop_at(line);
    let worker = world.worker();
    let killed = tokio::select! {
        biased;
        () = stopped.cancelled() => true,
        verdict = drive(&world.clock, worker.run(body)) => {
            assert_eq!(verdict, Verdict::Done);
            false
        }
    };
    world.gate.open();
    killed
}

fn deliveries() -> Vec<Delivery> {
    vec![
        delivery("a.example", &["ok", "never", "flaky"]),
        delivery("b.example", &["ok"]),
        delivery("x.smart.example", &["flaky"]),
    ]
}

#[tokio::test]
async fn killed_at_any_line_nothing_is_lost_or_repeated_after_its_record() {
    for check in [false, true] {
        let body = DeliverJob::new(deliveries(), check).encode();
        let mut line = 0;
        loop {
            line += 1;
            let world = World::new();
            let killed = killed_at(&world, line, &body).await;
            // the queue delivers what was not acknowledged again; a fresh worker has it
            if killed {
                world.run_until_done(&body).await;
            }
            world.run_to_the_end().await;
            // that nobody is sent to after the record is asserted by the transport at each send
            assert_eq!(world.statuses("a.example"), [Delivered, Bounced, Delivered], "line {line}");
            assert_eq!(world.statuses("b.example"), [Delivered], "line {line}");
            assert_eq!(world.statuses("x.smart.example"), [Delivered], "line {line}");
            assert_eq!(world.reports().len(), 1, "line {line}");
            assert!(world.inbound.len() >= 1, "line {line}: the report is on its way");
            for address in ["ok@a.example", "ok@b.example", "flaky@a.example", "flaky@x.smart.example"] {
                let most = if killed { 2 } else { 1 };
                assert!((1..=most).contains(&world.taken(address)), "line {line}: {address}");
            }
            if !killed {
                break;
            }
        }
        assert!(line > 20, "the worker crosses more lines than {line}");
    }
}

#[tokio::test]
async fn killed_twice_in_a_row_it_is_still_so() {
    let body = DeliverJob::new(deliveries(), false).encode();
    for first in [1, 4, 7, 9, 12, 15, 18, 21] {
        for second in 1..30 {
            let world = World::new();
            if killed_at(&world, first, &body).await {
                world.clock.advance(crate::limits::LEASE);
                if killed_at(&world, second, &body).await {
                    world.run_until_done(&body).await;
                }
            }
            world.run_to_the_end().await;
            assert_eq!(world.statuses("a.example"), [Delivered, Bounced, Delivered], "{first} {second}");
            assert_eq!(world.statuses("x.smart.example"), [Delivered], "{first} {second}");
            assert_eq!(world.reports().len(), 1, "{first} {second}");
        }
    }
}

/// A delivery to somebody who is late, and one to somebody who has it, of both of which the sender wants to hear.
fn newsworthy() -> Vec<Delivery> {
    let mut late = delivery("a.example", &["flaky", "ok"]);
    late.recipients[0].notify = Some(Notify { delay: true, ..Notify::default() });
    late.recipients[1].notify = Some(Notify { success: true, ..Notify::default() });
    vec![late]
}

#[tokio::test]
async fn killed_at_any_line_a_delay_and_a_success_are_told_once() {
    for check in [false, true] {
        let body = DeliverJob::new(newsworthy(), check).encode();
        let mut line = 0;
        loop {
            line += 1;
            let world = World::new();
            world.clock.advance(crate::limits::DELAY_NOTICE);
            let killed = killed_at(&world, line, &body).await;
            if killed {
                world.run_until_done(&body).await;
            }
            world.run_to_the_end().await;
            assert_eq!(world.statuses("a.example"), [Delivered, Delivered], "line {line}");
            assert_eq!(world.actions(), ["delayed", "relayed"], "line {line}");
            if !killed {
                break;
            }
        }
        assert!(line > 10, "the worker crosses more lines than {line}");
    }
}
