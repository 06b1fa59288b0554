use super::*;

const WRONG: &str = "535 5.7.8";
const ADDRESS: &str = "421 4.7.0";
const NAME: &str = "454 4.7.0";

fn limits() -> Limits {
    Limits::default()
}

#[tokio::test]
async fn an_address_that_fails_too_often_is_refused_before_any_work() {
    let world = World::new().await;
    for at in 0..limits().auth_failures_each {
        assert_eq!(world.plain("app", "wrong").await, WRONG, "{at}");
    }
    let (derivations, lookups) = (world.derivations(), world.lookups());
    for name in ["app", "other"] {
        assert_eq!(world.plain(name, SECRET).await, ADDRESS);
        assert_eq!(world.run("LOGIN", &[name.as_bytes()]).await.0, ADDRESS);
        let first = format!("n,,n={name},r=x");
        assert_eq!(world.run("SCRAM-SHA-256", &[first.as_bytes()]).await.0, ADDRESS);
    }
    assert_eq!(world.run("OAUTHBEARER", &[b"n,,\x01auth=Bearer t\x01\x01"]).await.0, ADDRESS);
    assert_eq!((world.derivations(), world.lookups()), (derivations, lookups));
    assert_eq!(world.plain_from("192.0.2.2", "app", SECRET).await, "235 app", "others are not concerned");
    world.clock.advance(limits().auth_failures_window);
    assert_eq!(world.plain("app", SECRET).await, "235 app");
}

#[tokio::test]
async fn an_ipv6_network_is_one_address() {
    let world = World::new().await;
    for at in 0..limits().auth_failures_each {
        assert_eq!(world.plain_from(&format!("2001:db8::{at:x}"), "app", "wrong").await, WRONG);
    }
    assert_eq!(world.plain_from("2001:db8::ffff:1", "app", SECRET).await, ADDRESS);
    assert_eq!(world.plain_from("2001:db8:0:1::1", "app", SECRET).await, "235 app");
}

#[tokio::test]
async fn a_name_that_fails_too_often_is_refused_whether_or_not_it_is_there() {
    let world = World::new().await;
    // an app that is known at its address
    assert_eq!(world.plain_from("198.51.100.1", "app", SECRET).await, "235 app");
    for name in ["app", "nobody"] {
        for at in 0..limits().auth_failures_name {
            let client = format!("10.0.{at}.1");
            assert_eq!(world.plain_from(&client, name, "wrong").await, WRONG, "{at}");
        }
        assert_eq!(world.plain_from("203.0.113.1", name, SECRET).await, NAME);
    }
    assert_eq!(
        world.plain_from("198.51.100.1", "app", SECRET).await,
        "235 app",
        "what others try locks nobody out"
    );
    assert_eq!(world.plain_from("198.51.100.1", "app", "wrong").await, WRONG);
    assert_eq!(world.plain_from("198.51.100.1", "app", SECRET).await, NAME, "its own failure counts");
}

#[tokio::test]
async fn failures_that_are_spread_out_are_no_attack() {
    let world = World::new().await;
    for _ in 0..4 {
        for _ in 0..limits().auth_failures_each - 1 {
            assert_eq!(world.plain("app", "wrong").await, WRONG);
        }
        world.clock.advance(limits().auth_failures_window);
    }
    assert_eq!(world.plain("app", SECRET).await, "235 app");
}

#[tokio::test]
async fn to_leave_before_the_end_is_to_fail() {
    let world = World::new().await;
    for (client, mechanism, message) in [
        ("192.0.2.7", "SCRAM-SHA-256", &b"n,,n=app,r=x"[..]),
        ("192.0.2.8", "OAUTHBEARER", b"n,,\x01auth=Bearer bad\x01\x01"),
    ] {
        for at in 0..limits().auth_failures_each {
            assert_eq!(world.run_from(client, mechanism, &[message]).await.0, "334", "{mechanism} {at}");
        }
        assert_eq!(world.run_from(client, mechanism, &[message]).await.0, ADDRESS, "{mechanism}");
    }
}

#[tokio::test]
async fn only_who_has_claimed_and_not_proved_fails_by_leaving() {
    let world = World::new().await;
    for _ in 0..=limits().auth_failures_each {
        // gone before a word was said, and gone as soon as both sides were proved
        let mut exchange = world.begin("PLAIN", &tls());
        assert!(matches!(exchange.step(None).await, Step::Challenge(_)));
        assert_eq!(super::bindings::login_without_its_end(&world).await, "334");
    }
    assert_eq!(world.plain("app", SECRET).await, "235 app");
}
