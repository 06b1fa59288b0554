use super::*;

const GOOD: &str = "235 app";
const WRONG: &str = "535 5.7.8";
const MALFORMED: &str = "501 5.5.2";

#[tokio::test]
async fn mechanisms_are_offered_as_the_channel_and_the_settings_allow() {
    let world = World::new().await;
    let bound = Channel { exporter: Some([0; 32]), ..tls() };
    assert_eq!(
        world.auth.mechanisms(&bound),
        ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "OAUTHBEARER", "XOAUTH2", "CRAM-MD5", "PLAIN", "LOGIN"]
    );
    assert_eq!(world.auth.mechanisms(&tls())[0], "SCRAM-SHA-256");
    let clear = Channel { exporter: Some([0; 32]), loopback: true, ..Channel::default() };
    assert_eq!(world.auth.mechanisms(&clear), [""; 0]);
    assert!(world.auth.begin("PLAIN", CLIENT.parse().unwrap(), &clear).is_none());

    let world =
        World::with(AuthSettings { without_tls: WithoutTls::Loopback, ..AuthSettings::default() }).await;
    assert_eq!(world.auth.mechanisms(&clear), ["SCRAM-SHA-256", "PLAIN", "LOGIN"]);
    assert_eq!(world.auth.mechanisms(&Channel::default()), [""; 0]);
    for unknown in ["CRAM-MD5", "XOAUTH2", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1", "ANONYMOUS", ""] {
        assert!(world.auth.begin(unknown, CLIENT.parse().unwrap(), &clear).is_none(), "{unknown}");
    }
    assert!(world.auth.begin("plain", CLIENT.parse().unwrap(), &clear).is_some(), "case does not matter");
}

#[tokio::test]
async fn plain_works_with_and_without_an_initial_response() {
    let world = World::new().await;
    let message = format!("\0app\0{SECRET}");
    assert_eq!(world.run("PLAIN", &[message.as_bytes()]).await, (GOOD.to_owned(), vec![]));

    let mut exchange = world.begin("PLAIN", &tls());
    assert!(matches!(exchange.step(None).await, Step::Challenge(empty) if empty.is_empty()));
    let Step::Granted(grant) = exchange.step(Some(message.into_bytes())).await else { panic!() };
    assert_eq!((grant.mechanism, grant.entry.tenant.0.as_str()), ("PLAIN", "tenant"));
    assert_eq!(told(&exchange.step(Some(Vec::new())).await), MALFORMED, "it is over");
}

#[tokio::test]
async fn login_asks_for_name_and_secret_or_begins_with_the_name() {
    let world = World::new().await;
    let mut exchange = world.begin("LOGIN", &tls());
    for (response, challenge) in [(None, "Username:"), (Some(b"app".to_vec()), "Password:")] {
        assert!(
            matches!(exchange.step(response).await, Step::Challenge(text) if text == challenge.as_bytes())
        );
    }
    assert_eq!(told(&exchange.step(Some(SECRET.into())).await), GOOD);

    let (end, challenges) = world.run("LOGIN", &[b"app", SECRET.as_bytes()]).await;
    assert_eq!((end.as_str(), challenges), (GOOD, vec!["Password:".to_owned()]));
    assert_eq!(world.run("LOGIN", &[b"app", b"wrong"]).await.0, WRONG);
    assert_eq!(world.run("LOGIN", &[b""]).await.0, MALFORMED);
    assert_eq!(world.run("LOGIN", &[b"a\0b"]).await.0, MALFORMED);
}

#[tokio::test]
async fn an_unknown_name_and_a_wrong_secret_are_told_alike_and_cost_alike() {
    let world = World::new().await;
    world.put(CredentialEntry { verifier: None, ..credential("token-only") }).await;
    let mut seen = Vec::new();
    for (name, secret) in
        [("app", "wrong"), ("nobody", "wrong"), ("somebody", SECRET), ("token-only", SECRET)]
    {
        let before = (world.derivations(), world.lookups());
        seen.push(world.plain(name, secret).await);
        seen.push(world.run("LOGIN", &[name.as_bytes(), secret.as_bytes()]).await.0);
        assert_eq!((world.derivations(), world.lookups()), (before.0 + 2, before.1 + 1), "{name}");
    }
    assert_eq!(seen, [WRONG; 8]);
}

#[tokio::test]
async fn scram_shows_an_unknown_name_a_salt_that_stays_the_same() {
    let world = World::new().await;
    let mut firsts = Vec::new();
    for name in ["app", "nobody", "nobody", "anybody"] {
        let first = format!("n,,n={name},r=nonce");
        let (end, challenges) = world.run("SCRAM-SHA-256", &[first.as_bytes()]).await;
        assert_eq!(end, "334");
        let parts: Vec<String> = challenges[0].split(',').map(str::to_owned).collect();
        assert!(
            parts[0].starts_with("r=nonce") && parts[0].len() == "r=nonce".len() + 24 && parts[2] == "i=4096"
        );
        firsts.push(parts[1].clone());
    }
    assert_eq!(firsts[0].len(), firsts[1].len());
    assert_eq!(firsts[1], firsts[2]);
    assert!(firsts[1] != firsts[0] && firsts[1] != firsts[3]);
}

#[tokio::test]
async fn an_unknown_name_has_the_same_salt_in_every_container() {
    let world = World::new().await;
    let mut seen = Vec::new();
    for (container, name) in [(&world.auth, "nobody"), (&world.other, "nobody"), (&world.other, "anybody")] {
        let mut exchange = container.begin("SCRAM-SHA-256", CLIENT.parse().unwrap(), &tls()).unwrap();
        let first = format!("n,,n={name},r=nonce");
        let Step::Challenge(challenge) = exchange.step(Some(first.into_bytes())).await else { panic!() };
        let challenge = String::from_utf8(challenge).unwrap();
        seen.push(challenge.split(',').nth(1).unwrap().to_owned());
    }
    assert_eq!(seen[0], seen[1]);
    assert_ne!(seen[1], seen[2]);
}

#[tokio::test]
async fn cram_md5_works_where_the_secret_is_kept_for_it_alone() {
    let world = World::new().await;
    let secret = Secret("tanstaaftanstaaf".to_owned());
    world.put(CredentialEntry { cram_md5: Some(secret), ..credential("tim") }).await;
    for (name, secret, end) in [
        ("tim", "tanstaaftanstaaf", "235 tim"),
        ("tim", "tanstaaf", WRONG),
        ("app", SECRET, WRONG),
        ("app", "", WRONG),
        ("nobody", "", WRONG),
    ] {
        let mut exchange = world.begin("CRAM-MD5", &tls());
        let Step::Challenge(challenge) = exchange.step(None).await else { panic!() };
        let challenge = String::from_utf8(challenge).unwrap();
        assert!(challenge.starts_with('<') && challenge.ends_with("@edge.example>"), "{challenge}");
        let response = format!("{name} {}", hmac_md5(secret, &challenge));
        assert_eq!(told(&exchange.step(Some(response.into())).await), end, "{name} {secret}");
    }
    assert_eq!(world.run("CRAM-MD5", &[b"tim 00"]).await.0, MALFORMED, "it takes no initial response");
}

fn hmac_md5(secret: &str, message: &str) -> String {
    use hmac::{KeyInit as _, Mac as _};
    let mut mac = hmac::Hmac::<md5::Md5>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().iter().map(|octet| format!("{octet:02x}")).collect()
}

#[tokio::test]
async fn nobody_acts_for_another() {
    let world = World::new().await;
    let plain = |authzid: &str| format!("{authzid}\0app\0{SECRET}");
    assert_eq!(world.run("PLAIN", &[plain("app").as_bytes()]).await.0, GOOD);
    assert_eq!(world.run("PLAIN", &[plain("root").as_bytes()]).await.0, WRONG);
    assert_eq!(world.run("SCRAM-SHA-256", &[b"n,a=app,n=app,r=x"]).await.0, "334");
    assert_eq!(world.run("SCRAM-SHA-256", &[b"n,a=root,n=app,r=x"]).await.0, WRONG);
}

#[tokio::test]
async fn what_is_not_of_the_form_is_told_so() {
    let world = World::new().await;
    for (mechanism, message) in [
        ("PLAIN", &b"app"[..]),
        ("PLAIN", b""),
        ("PLAIN", b"\0app\0\xff\xfe"),
        ("SCRAM-SHA-256", b"n,,n=app"),
        ("SCRAM-SHA-256", b"p=tls-exporter,,n=app,r=x"),
        ("XOAUTH2", b"user=app"),
        ("OAUTHBEARER", b"n,,\x01\x01"),
    ] {
        assert_eq!(world.run_from("2001:db8::1", mechanism, &[message]).await.0, MALFORMED, "{mechanism}");
    }
    let long = format!("\0{}\0{SECRET}", "a".repeat(256));
    assert_eq!(world.run("PLAIN", &[long.as_bytes()]).await.0, MALFORMED);
}

#[tokio::test]
async fn a_directory_that_is_down_is_not_the_clients_fault() {
    let world = World::new().await;
    world.faults.set(shared::testkit::Mode::Always(shared::testkit::Fate::Refused));
    for _ in 0..30 {
        assert_eq!(world.plain("app", SECRET).await, "454 4.7.0");
    }
    world.faults.set(shared::testkit::Mode::Stuck);
    let (auth, clock) = (Arc::clone(&world.auth), Arc::clone(&world.clock));
    let login = tokio::spawn(async move {
        let mut exchange = auth.begin("PLAIN", CLIENT.parse().unwrap(), &tls()).unwrap();
        told(&exchange.step(Some(format!("\0app\0{SECRET}").into())).await)
    });
    clock.until_asleep(1).await;
    clock.advance(crate::limits::LOOKUP_TIMEOUT);
    assert_eq!(login.await.unwrap(), "454 4.7.0");
    world.faults.set(shared::testkit::Mode::Sound);
    assert_eq!(world.plain("app", SECRET).await, GOOD);
}

#[tokio::test]
async fn nothing_that_can_be_shown_shows_a_secret() {
    let world = World::new().await;
    let secret = Secret("kept".to_owned());
    world.put(CredentialEntry { cram_md5: Some(secret), ..credential("app") }).await;
    let mut exchange = world.begin("PLAIN", &tls());
    let Step::Granted(grant) = exchange.step(Some(format!("\0app\0{SECRET}").into())).await else { panic!() };
    let shown = format!("{grant:?}");
    assert!(!shown.contains("kept") && !shown.contains(SECRET) && !shown.contains("stored_key"), "{shown}");
}
