use shared::mail::Hold;
use shared::port::Clock;
use shared::testkit::{ManualClock, SeededIds, TempStores, ZoneResolver, samples};

use super::*;

/// Commits these messages at the same time; the stores, and what was answered to each, in their order.
async fn committed(messages: Vec<NewMessage>) -> (TempStores, Vec<MessageId>) {
    let clock = Arc::new(ManualClock::at(samples::NOW));
    let stores = TempStores::open(clock.clone()).await;
    let ports = Ports {
        spool: stores.stores.spool.clone(),
        inbound: stores.stores.inbound.clone(),
        directory: stores.stores.directory.clone(),
        counters: stores.stores.counters.clone(),
        resolver: Arc::new(ZoneResolver::parse("").unwrap()),
        clock: clock as Arc<dyn Clock>,
        ids: Arc::new(SeededIds::new(1)),
    };
    let telemetry = Arc::new(Telemetry::new());
    let committer = Arc::new(Committer::new(ports, Limits::default(), telemetry));
    let commit = |message| {
        let committer = Arc::clone(&committer);
        let bytes = Bytes::from_static(b"\r\nbody\r\n");
        tokio::spawn(async move { committer.commit(message, ContentFacts::default(), bytes, None).await })
    };
    let commits: Vec<_> = messages.into_iter().map(commit).collect();
    let mut ids = Vec::with_capacity(commits.len());
    for commit in commits {
        ids.push(commit.await.unwrap().expect("a sound store takes it"));
    }
    (stores, ids)
}

fn message(hold: Option<Hold>) -> NewMessage {
    let mut message = samples::message("sender@example.com", &["user@example.org"]);
    message.envelope.options.hold = hold;
    message
}

#[tokio::test]
async fn held_messages_share_packs_that_say_until_when_and_no_others_are_in_them() {
    let holds = [None, Some(60), None, Some(3600), Some(7), None, Some(0)];
    let (stores, ids) = committed(holds.iter().map(|hold| message(hold.map(Hold::For))).collect()).await;
    for (hold, id) in holds.iter().zip(&ids) {
        let until = hold.filter(|hold| *hold > 0).map(|_| samples::NOW + Duration::from_secs(3600));
        assert_eq!(id.pack.held_until(), until, "kept until the last of them is released");
        assert!(stores.stores.spool.get(id.pack, 0..1).await.unwrap().is_some());
    }
    let mut packs: Vec<PackId> = ids.iter().map(|id| id.pack).collect();
    packs.sort_unstable();
    packs.dedup();
    assert_eq!(packs.len(), 2, "they share what they can");
}

#[tokio::test]
async fn a_flood_of_either_kind_does_not_keep_the_other_from_being_committed() {
    let limits = Limits::default();
    let mut messages: Vec<NewMessage> =
        (0..limits.pack_messages * 3).map(|_| message(Some(Hold::For(60)))).collect();
    messages.push(message(None));
    let (stores, ids) = committed(messages).await;
    let jobs = stores.stores.inbound.receive(10, Duration::ZERO).await.unwrap();
    let packs: Vec<PackId> = jobs.iter().map(|job| PrepareJob::decode(&job.body).unwrap().pack).collect();
    let place = packs.iter().position(|pack| *pack == ids.last().unwrap().pack);
    assert!(place.is_some_and(|place| place < 2), "{place:?} of {}", packs.len());
}

#[tokio::test]
async fn the_job_of_a_pack_is_as_urgent_as_its_most_urgent_message() {
    let mut urgent = message(None);
    urgent.envelope.options.priority = 6;
    let (stores, ids) = committed(vec![message(Some(Hold::For(60))), urgent, message(None)]).await;
    let first = stores.stores.inbound.receive(1, Duration::ZERO).await.unwrap();
    assert_eq!(PrepareJob::decode(&first[0].body).unwrap().pack, ids[1].pack);
}

#[tokio::test]
async fn the_job_of_a_mixed_pack_is_that_of_whoever_has_the_least_in_it() {
    let of = |name: &str| NewMessage { tenant: TenantId(name.to_owned()), ..message(None) };
    let (stores, ids) = committed(["a", "a", "b", "a"].map(of).into()).await;
    assert!(ids.iter().all(|id| id.pack == ids[0].pack), "they share a pack");
    let job = stores.stores.inbound.receive(1, Duration::ZERO).await.unwrap().remove(0);
    assert_eq!(job.tenant, Some(TenantId("b".to_owned())));
}
