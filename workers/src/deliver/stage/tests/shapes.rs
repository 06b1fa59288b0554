//! Shapes that mail comes in: everything to one site, one message to each of many, one message to a thousand.

use futures::future::join_all;
use shared::job::{DELIVERIES_MAX, DeliverJob, Delivery, Job};
use shared::mail::TenantId;

use crate::deliver::to_jobs;
use crate::testing::{World, delivery};
use crate::{Stage, Verdict};

/// Works all of `deliveries` off, some jobs at a time, and tells of how many calls of the transport and how many attempts that took.
async fn deliver(deliveries: Vec<Delivery>) -> (usize, usize) {
    let (world, count) = (World::new(), deliveries.len());
    let worker = world.worker();
    let jobs: Vec<String> = deliveries
        .chunks(DELIVERIES_MAX)
        .map(|some| DeliverJob::new(some.to_vec(), false).encode())
        .collect();
    for some in jobs.chunks(96) {
        let verdicts = join_all(some.iter().map(|job| worker.run(job))).await;
        assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Done));
    }
    assert_eq!(world.deliveries.items.lock().unwrap().len(), count);
    assert!(world.deliveries.items.lock().unwrap().values().all(|item| item.due_at.is_none()));
    let calls = world.transport.calls.lock().unwrap().len();
    (calls, world.transport.begun.lock().unwrap().len())
}

#[tokio::test]
async fn a_hundred_thousand_messages_to_one_site_take_a_call_a_job() {
    let of = |n: u32| {
        let mut one = delivery("a.example", &["ok"]);
        one.key.message.n = n;
        one
    };
    assert_eq!(deliver((0..100_000).map(of).collect()).await, (100_000 / DELIVERIES_MAX, 100_000));
}

#[tokio::test]
async fn ten_thousand_sites_with_a_message_each_take_a_call_each() {
    let of = |n: usize| delivery(&format!("site{n}.example"), &["ok"]);
    assert_eq!(deliver((0..10_000).map(of).collect()).await, (10_000, 10_000));
}

#[tokio::test]
async fn a_message_to_a_thousand_at_fifty_domains_takes_a_call_a_domain() {
    let names: Vec<String> = (0..20).map(|n| format!("ok{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let of = |n: usize| delivery(&format!("domain{n}.example"), &names);
    assert_eq!(deliver((0..50).map(of).collect()).await, (50, 50));
}

#[test]
fn jobs_of_what_is_due_have_one_tenant_each() {
    let of = |n: usize| Delivery {
        tenant: TenantId(if n.is_multiple_of(2) { "a" } else { "b" }.to_owned()),
        ..delivery("a.example", &["ok"])
    };
    let mut due: Vec<Delivery> = (0..100).map(of).collect();
    due.sort_by(|a, b| crate::deliver::job_order(a).cmp(&crate::deliver::job_order(b)));
    for job in to_jobs(due) {
        assert!(job.deliveries.iter().all(|one| one.tenant == job.deliveries[0].tenant));
    }
}
