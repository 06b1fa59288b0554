use super::*;
use crate::limits::{CREDENTIAL_AGE_MAX, LOOKUP_TIMEOUT, PROOF_AGE_MAX};
use shared::testkit::Mode;

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

/// Sessions that ask for a credential while the directory keeps them waiting, the first of which reads.
async fn waiting(world: &World, count: usize) -> Vec<tokio::task::JoinHandle<String>> {
    let before = world.lookups();
    world.faults.set(Mode::Stuck);
    let ask = |_| {
        let auth = Arc::clone(&world.auth);
        tokio::spawn(async move {
            match auth.credentials().get("app").await {
                Ok(Some(entry)) => entry.name.clone(),
                Ok(None) => "none".to_owned(),
                Err(error) => error.chain(),
            }
        })
    };
    let sessions = (0..count).map(ask).collect();
    world.until_lookups(before + 1).await;
    sessions
}

#[tokio::test]
async fn sessions_that_ask_at_once_share_one_read() {
    let world = World::new().await;
    for round in 1..=2 {
        let sessions = waiting(&world, 40).await;
        world.faults.set(Mode::Sound);
        for session in sessions {
            assert_eq!(session.await.unwrap(), "app");
        }
        assert_eq!(world.lookups(), round);
        world.clock.advance(CREDENTIAL_AGE_MAX);
    }
}

#[tokio::test]
async fn where_the_session_that_reads_goes_away_another_reads() {
    let world = World::new().await;
    let mut sessions = waiting(&world, 3).await;
    sessions.remove(0).abort();
    world.until_lookups(2).await;
    world.faults.set(Mode::Sound);
    for session in sessions {
        assert_eq!(session.await.unwrap(), "app");
    }
    assert_eq!(world.lookups(), 2);
}

#[tokio::test]
async fn a_directory_that_does_not_answer_is_waited_for_once_and_then_asked_again() {
    let world = World::new().await;
    let sessions = waiting(&world, 40).await;
    world.clock.advance(LOOKUP_TIMEOUT);
    for session in sessions {
        let told = session.await.unwrap();
        assert!(told.ends_with("the directory does not answer"), "{told}");
    }
    assert_eq!(world.lookups(), 1);
    world.faults.set(Mode::Sound);
    assert_eq!(world.plain("app", SECRET).await, "235 app");
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
