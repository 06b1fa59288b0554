use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::mail::{TenantId, Timestamp};
use crate::port::{Claim, Outgoing};
use crate::system::SystemClock;
use crate::testkit::ManualClock;

fn keys(error: &WireError) -> Vec<&'static str> {
    error.problems.iter().map(|problem| problem.key).collect()
}

#[tokio::test]
async fn every_mistake_is_told_with_its_key_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let urls = StoreUrls {
        spool: "s4://bucket".to_owned(),
        queue_inbound: format!("file:{}?visibility=soon&max_receives=0&colour=red", path("queue.db")),
        queue_outbound: format!("file:{}?max_receives=2000", path("queue.db")),
        state: format!("file:{}?visibility=60s", path("state.db")),
        directory: "file:".to_owned(),
        keys: format!("file:{}", path("file")),
        counters: format!("file:{}", folder.path().display()),
    };
    let error = Stores::open(&urls, Arc::new(SystemClock)).await.err().unwrap();
    assert_eq!(urls.check().err().as_ref(), Some(&error));
    let mut found = keys(&error);
    found.dedup();
    assert_eq!(
        found,
        [
            "stores.spool",
            "stores.queue_inbound",
            "stores.queue_outbound",
            "stores.state",
            "stores.directory",
            "stores.keys",
            "stores.counters"
        ]
    );
    assert_eq!(error.problems.len(), 9, "{error}");
    assert!(
        error.to_string().contains("stores.queue_inbound: `colour` is no parameter of a queue"),
        "{error}"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was made");
}

#[tokio::test]
async fn the_default_puts_everything_below_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("not/yet/there");
    let urls = StoreUrls::below(&data);
    urls.check().unwrap();
    assert!(!data.exists(), "a check makes nothing");
    let error = Stores::open_existing(&urls, Arc::new(SystemClock)).await.err().unwrap();
    assert!(error.to_string().contains("is this the right data folder?"), "{error}");
    assert!(!data.exists(), "looking makes nothing");
    let stores = Stores::open(&urls, Arc::new(SystemClock)).await.unwrap();
    stores.spool.probe().await.unwrap();
    let mut found: Vec<_> = std::fs::read_dir(&data)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    found.retain(|name| !name.contains(".db-"));
    found.sort();
    assert_eq!(found, ["keys", "spool", "spoolway.db"]);
    Stores::open_existing(&urls, Arc::new(SystemClock)).await.unwrap();
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_one_mistake_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let urls = StoreUrls::below(&file.join("data"));
    let error = Stores::open(&urls, Arc::new(SystemClock)).await.err().unwrap();
    assert_eq!(keys(&error), ["stores.spool"], "{error}");
    assert_eq!(error.to_string(), format!("stores.spool: {} is there and is not a folder", file.display()));
}

#[tokio::test]
async fn parameters_of_a_queue_are_kept_to() {
    let folder = tempfile::tempdir().unwrap();
    let below = StoreUrls::below(folder.path());
    let urls = StoreUrls {
        queue_inbound: format!("{}?visibility=60s&max_receives=1", below.queue_inbound),
        ..below
    };
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_000)));
    let stores = Stores::open(&urls, clock.clone()).await.unwrap();
    let job =
        Outgoing { body: "job".to_owned(), delay: Duration::ZERO, tenant: TenantId::default(), priority: 0 };
    for queue in [&stores.inbound, &stores.outbound] {
        queue.send(vec![job.clone()]).await.unwrap();
        assert_eq!(queue.receive(1, Duration::ZERO).await.unwrap().len(), 1);
    }
    // after a minute the one comes back, and is dead by then; the other is held
    clock.advance(Duration::from_secs(60));
    assert!(stores.inbound.receive(1, Duration::ZERO).await.unwrap().is_empty());
    assert_eq!(stores.inbound.depth().await.unwrap().dead, 1);
    assert_eq!(stores.outbound.depth().await.unwrap().in_flight, 1);
}

#[tokio::test]
async fn who_takes_over_goes_on_at_once_where_the_one_before_died() {
    let folder = tempfile::tempdir().unwrap();
    let urls = StoreUrls::below(folder.path());
    let clock = Arc::new(SystemClock);
    let (first, second) = (
        Stores::open(&urls, clock.clone()).await.unwrap(),
        Stores::open(&urls, clock.clone()).await.unwrap(),
    );
    let lock = first.take_over().await.unwrap();
    let job =
        Outgoing { body: "job".to_owned(), delay: Duration::ZERO, tenant: TenantId::default(), priority: 0 };
    let late = Outgoing { delay: Duration::from_secs(600), ..job.clone() };
    first.outbound.send(vec![job, late]).await.unwrap();
    assert_eq!(first.outbound.receive(1, Duration::ZERO).await.unwrap()[0].receives, 1);
    let (now, lease) = (crate::port::Clock::now(&*clock), Duration::from_secs(600));
    first.deliveries.claim("job", "first", now, lease).await.unwrap();
    first.deliveries.claim("done", "first", now, lease).await.unwrap();
    first.deliveries.finish("done", "first", now + lease).await.unwrap();
    let error = second.take_over().await.unwrap_err();
    assert!(error.to_string().contains("another spoolway"), "{error}");
    assert!(
        second.outbound.receive(1, Duration::ZERO).await.unwrap().is_empty(),
        "nothing was given back yet"
    );
    drop(lock);
    let _lock = second.take_over().await.unwrap();
    let received = second.outbound.receive(10, Duration::ZERO).await.unwrap();
    assert_eq!(received.iter().map(|entry| entry.receives).collect::<Vec<_>>(), [2], "a delay is kept to");
    let claim = second.deliveries.claim("job", "second", now, lease).await.unwrap();
    assert_eq!(claim, Claim::Taken { again: true });
    assert_eq!(second.deliveries.claim("done", "second", now, lease).await.unwrap(), Claim::Finished);
}

#[tokio::test]
async fn a_store_that_is_not_needed_is_neither_looked_at_nor_made_and_refuses_every_call() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let below = StoreUrls::below(&data);
    let urls = StoreUrls {
        spool: "s4://bucket".to_owned(),
        queue_inbound: "file:".to_owned(),
        keys: "nonsense".to_owned(),
        ..below
    };
    let needs = Needs::of(&[Store::QueueOutbound, Store::State]);
    urls.check_needed(needs).unwrap();
    let stores = Stores::open_needed(&urls, needs, Arc::new(SystemClock)).await.unwrap();
    let _locks = stores.take_over().await.unwrap();
    stores.outbound.probe().await.unwrap();
    stores.deliveries.settled(&[]).await.unwrap();
    let error = stores.spool.probe().await.unwrap_err();
    assert!(matches!(error, crate::port::PortError::Refused { .. }), "{error:?}");
    assert!(error.chain().ends_with("this role has no such store: stores.spool"), "{}", error.chain());
    let error = stores.inbound.depth().await.unwrap_err().chain();
    assert!(error.ends_with("this role has no such store: stores.queue_inbound"), "{error}");
    assert!(!data.join("spool").exists() && !data.join("keys").exists());
    let error = urls.check_needed(needs.and(Needs::of(&[Store::Keys, Store::Spool]))).unwrap_err();
    assert_eq!(keys(&error), ["stores.spool", "stores.keys"], "{error}");
}

#[tokio::test]
async fn who_has_no_store_on_disk_takes_over_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let urls = StoreUrls::below(folder.path());
    let needs = Needs::of(&[Store::Directory, Store::Keys]);
    let clock = Arc::new(SystemClock);
    let (first, second) = (
        Stores::open_needed(&urls, needs, clock.clone()).await.unwrap(),
        Stores::open_needed(&urls, needs, clock.clone()).await.unwrap(),
    );
    assert!(first.take_over().await.unwrap().is_empty() && second.take_over().await.unwrap().is_empty());
}

#[tokio::test]
async fn stores_in_the_cloud_are_named_by_their_schemes_and_each_mistake_is_told() {
    let good = StoreUrls {
        spool: "s3://mail-packs/edge".to_owned(),
        queue_inbound: "sqs:https://sqs.eu-west-1.amazonaws.com/123456789012/in".to_owned(),
        queue_outbound: "sqs:http://127.0.0.1:4566/000000000000/out".to_owned(),
        state: "dynamodb:state".to_owned(),
        directory: "dynamodb:directory".to_owned(),
        keys: "ssm:/spoolway/keys".to_owned(),
        counters: "dynamodb:state".to_owned(),
    };
    good.check().unwrap();
    assert!(!good.packs_need_a_sweep(), "a bucket deletes by itself");
    let wrong = StoreUrls {
        spool: "s3:bucket".to_owned(),
        queue_inbound: "sqs:in".to_owned(),
        queue_outbound: "dynamodb:out".to_owned(),
        state: "dynamodb:a table".to_owned(),
        directory: "dynamodb:".to_owned(),
        keys: "ssm:/a?b=c".to_owned(),
        counters: "s3://bucket".to_owned(),
    };
    let error = wrong.check().unwrap_err();
    let told: Vec<_> = error.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "stores.spool: `s3:bucket` has no bucket: use s3://<bucket> or s3://<bucket>/<prefix>",
            "stores.queue_inbound: `sqs:in` has no queue's URL: use sqs:https://<the queue's URL>",
            "stores.queue_outbound: `dynamodb:out` is no store that this program knows: use file:<path> or sqs:<the queue's URL>",
            "stores.state: `dynamodb:a table` has no name that AWS could know: use dynamodb:<table>",
            "stores.directory: `dynamodb:` has no name that AWS could know: use dynamodb:<table>",
            "stores.keys: `ssm:/a?b=c` has parameters, and this store has none: use ssm:/<path>",
            "stores.counters: `s3://bucket` is no store that this program knows: use file:<path> or dynamodb:<table>",
        ]
    );
}
