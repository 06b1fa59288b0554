use super::*;
use crate::limits::{CREDENTIAL_AGE_MAX, PROOF_AGE_MAX};

const WRONG: &str = "535 5.7.8";
const MOMENT: Duration = Duration::from_millis(1);

#[tokio::test]
async fn a_credential_is_asked_for_once_in_a_while() {
    let world = World::new().await;
    for _ in 0..3 {
        assert_eq!(world.plain("app", SECRET).await, "235 app");
        assert_eq!(world.plain("nobody", SECRET).await, WRONG);
    }
    assert_eq!(world.lookups(), 2, "one for each name, the absent one too");
    world.clock.advance(CREDENTIAL_AGE_MAX);
    assert_eq!(world.plain("app", SECRET).await, "235 app");
    assert_eq!(world.lookups(), 3);
}

#[tokio::test]
async fn a_revoked_credential_stops_within_a_minute() {
    let world = World::new().await;
    assert_eq!(world.plain("app", SECRET).await, "235 app");
    world.revoke("app").await;
    world.clock.advance(CREDENTIAL_AGE_MAX - MOMENT);
    assert_eq!(world.plain("app", SECRET).await, "235 app");
    world.clock.advance(MOMENT);
    assert_eq!(world.plain("app", SECRET).await, WRONG);
    assert!(world.auth.credentials().get("app").await.unwrap().is_none());
    assert!(CREDENTIAL_AGE_MAX <= Duration::from_secs(30));
}

#[tokio::test]
async fn a_revocation_in_the_future_begins_at_its_time_though_the_entry_is_remembered() {
    let world = World::new().await;
    let soon = world.clock.now() + Duration::from_secs(5);
    world.put(CredentialEntry { revoked: Some(soon), ..credential("app") }).await;
    assert_eq!(world.plain("app", SECRET).await, "235 app");
    world.clock.advance(Duration::from_secs(5));
    assert_eq!(world.plain("app", SECRET).await, WRONG);
}

#[tokio::test]
async fn a_new_credential_works_once_its_absence_is_forgotten() {
    let world = World::new().await;
    assert_eq!(world.plain("new", SECRET).await, WRONG);
    world.put(credential("new")).await;
    assert_eq!(world.plain("new", SECRET).await, WRONG);
    world.clock.advance(CREDENTIAL_AGE_MAX);
    assert_eq!(world.plain("new", SECRET).await, "235 new");
}

#[tokio::test]
async fn a_clock_that_is_set_back_makes_nothing_live_longer() {
    let world = World::new().await;
    assert_eq!(world.plain("app", SECRET).await, "235 app");
    world.revoke("app").await;
    world.clock.set(world.clock.now() - Duration::from_secs(3600));
    world
        .put(CredentialEntry { revoked: Some(shared::mail::Timestamp::from_millis(0)), ..credential("app") })
        .await;
    assert_eq!(world.plain("app", SECRET).await, WRONG);
}

#[tokio::test]
async fn a_secret_that_was_right_is_not_derived_again_at_once() {
    let world = World::new().await;
    for _ in 0..3 {
        assert_eq!(world.plain("app", SECRET).await, "235 app");
        assert_eq!(world.run("LOGIN", &[b"app", SECRET.as_bytes()]).await.0, "235 app");
    }
    assert_eq!(world.derivations(), 1);
    for secret in ["wrong", "wrong"] {
        assert_eq!(world.plain("app", secret).await, WRONG);
    }
    assert_eq!(world.derivations(), 3, "a wrong one is, each time");
    world.clock.advance(PROOF_AGE_MAX);
    assert_eq!(world.plain("app", SECRET).await, "235 app");
    assert_eq!(world.derivations(), 4);
}

#[tokio::test]
async fn a_secret_that_was_replaced_is_wrong_as_soon_as_the_entry_is_read() {
    let world = World::new().await;
    assert!(world.auth.credentials().get("app").await.unwrap().is_some());
    // the entry is older than the proof, which is still remembered when the entry is read again
    world.clock.advance(CREDENTIAL_AGE_MAX - MOMENT);
    assert_eq!(world.plain("app", SECRET).await, "235 app");
    let verifier = Some(ScramVerifier::of("another", b"salt of 16 bytes", 4096).unwrap());
    world.put(CredentialEntry { verifier, ..credential("app") }).await;
    world.clock.advance(MOMENT);
    assert_eq!(world.plain("app", SECRET).await, WRONG);
    assert_eq!(world.plain("app", "another").await, "235 app");
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_is_no_absence() {
    let world = World::new().await;
    let entry = Entry {
        kind: EntryKind::Credential,
        name: "broken".to_owned(),
        value: serde_json::json!({"tenant": 1}),
    };
    world.stores.stores.directory.put(entry).await.unwrap();
    assert_eq!(world.plain("broken", SECRET).await, "454 4.7.0");
}
