//! New certificates take the place of old ones while sessions are open.

use std::time::Duration;

use shared::port::Clock as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::world::{Session, World, shown};
use crate::limits::{CERTIFICATE_FILES_EVERY, CERTIFICATE_SECRETS_EVERY};
use crate::tls::{CertificateSource, Tls};

/// A watch that runs, and is ended by [`Watch::end`].
struct Watch(CancellationToken, JoinHandle<()>);

impl Watch {
    fn start(tls: &Tls) -> Self {
        let (stop, tls) = (CancellationToken::new(), tls.clone());
        let watch = {
            let stop = stop.clone();
            async move { tls.watch(stop).await }
        };
        Self(stop, tokio::spawn(watch))
    }

    async fn end(self) {
        self.0.cancel();
        self.1.await.unwrap();
    }
}

/// Lets the watch have one look.
async fn look(world: &World) {
    world.clock.until_asleep(1).await;
    world.clock.advance(CERTIFICATE_FILES_EVERY);
    let next = world.clock.now() + CERTIFICATE_FILES_EVERY;
    world.clock.until_asleep_until(next).await;
}

#[tokio::test]
async fn a_new_certificate_is_used_and_open_sessions_go_on() {
    let world = World::new();
    let (old, new) = (world.issue(&["mx.example"]), world.issue(&["mx.example"]));
    let tls = world.with(vec![world.put("a", &old)]).await;
    let watch = Watch::start(&tls);
    let mut open = Session::open(&tls, world.any_client(), "mx.example").await.unwrap();
    look(&world).await;
    assert_eq!(shown(&world, &tls, "mx.example").await, old.der());
    world.put("a", &new);
    assert_eq!(shown(&world, &tls, "mx.example").await, old.der());
    look(&world).await;
    assert_eq!(shown(&world, &tls, "mx.example").await, new.der());
    open.talk().await;
    assert_eq!(open.shown(), old.der());
    watch.end().await;
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_and_the_old_certificate_stays() {
    let world = World::new();
    let (old, new) = (world.issue(&["mx.example"]), world.issue(&["mx.example"]));
    let tls = world.with(vec![world.put("a", &old)]).await;
    let watch = Watch::start(&tls);
    let expired = world.issue_with(&["mx.example"], |params| params.not_after = params.not_before);
    for (chain, key) in [(&new.chain, &old.key), (&expired.chain, &expired.key), (&String::new(), &old.key)] {
        world.file("a.crt", chain);
        world.file("a.key", key);
        look(&world).await;
        assert_eq!(shown(&world, &tls, "mx.example").await, old.der());
    }
    std::fs::remove_file(world.folder.path().join("a.crt")).unwrap();
    look(&world).await;
    assert_eq!(shown(&world, &tls, "mx.example").await, old.der());
    world.put("a", &new);
    look(&world).await;
    assert_eq!(shown(&world, &tls, "mx.example").await, new.der());
    watch.end().await;
}

#[tokio::test]
async fn a_reload_that_is_asked_for_waits_for_no_clock() {
    let world = World::new();
    let (old, new) = (world.issue(&["mx.example"]), world.issue(&["mx.example"]));
    let tls = world.with(vec![world.put("a", &old)]).await;
    let watch = Watch::start(&tls);
    world.put("a", &new);
    tls.reload();
    tokio::time::timeout(Duration::from_secs(30), async {
        while shown(&world, &tls, "mx.example").await != new.der() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the new certificate is used");
    watch.end().await;
}

#[tokio::test]
async fn secrets_are_fetched_less_often_and_an_outage_changes_nothing() {
    let world = World::new();
    let (old, new) = (world.issue(&["mx.example"]), world.issue(&["mx.example"]));
    let name = "ssm:/edge";
    world.secrets.set(name, Some(&format!("{}{}", old.chain, old.key)));
    let tls = world.with(vec![CertificateSource::Secret(name.to_owned())]).await;
    let watch = Watch::start(&tls);
    world.secrets.set(name, Some(&format!("{}{}", new.chain, new.key)));
    look(&world).await;
    assert_eq!(shown(&world, &tls, "mx.example").await, old.der());
    world.secrets.set(name, None);
    world.clock.advance(CERTIFICATE_SECRETS_EVERY);
    look(&world).await;
    assert_eq!(shown(&world, &tls, "mx.example").await, old.der());
    world.secrets.set(name, Some(&format!("{}{}", new.chain, new.key)));
    world.clock.advance(CERTIFICATE_SECRETS_EVERY);
    look(&world).await;
    assert_eq!(shown(&world, &tls, "mx.example").await, new.der());
    watch.end().await;
}

#[tokio::test]
async fn a_secret_that_cannot_be_fetched_keeps_no_file_from_being_renewed() {
    let world = World::new();
    let (kept, old, new) =
        (world.issue(&["kept.example"]), world.issue(&["mx.example"]), world.issue(&["mx.example"]));
    let name = "ssm:/edge";
    world.secrets.set(name, Some(&format!("{}{}", kept.chain, kept.key)));
    let tls = world.with(vec![world.put("a", &old), CertificateSource::Secret(name.to_owned())]).await;
    let watch = Watch::start(&tls);
    world.secrets.set(name, None);
    world.put("a", &new);
    world.clock.until_asleep(1).await;
    world.clock.advance(CERTIFICATE_SECRETS_EVERY);
    look(&world).await;
    assert_eq!(shown(&world, &tls, "mx.example").await, new.der());
    assert_eq!(shown(&world, &tls, "kept.example").await, kept.der());
    watch.end().await;
}
