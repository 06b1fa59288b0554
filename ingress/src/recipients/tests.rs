use std::time::Duration;

use shared::testkit::{Fate, Faults, Faulty, ManualClock, Mode, TempStores};

use super::*;

struct World {
    stores: TempStores,
    clock: Arc<ManualClock>,
    faults: Arc<Faults>,
    recipients: Arc<Recipients>,
}

/// An edge called `edge.example` that relays for `relay.example`, and whose directory has `recipients`.
async fn world(recipients: &[&str]) -> World {
    let clock = Arc::new(ManualClock::default());
    let stores = TempStores::open(clock.clone()).await;
    let faults = Faults::new(0);
    let settings = Settings {
        hostname: "edge.example".to_owned(),
        relay_domains: vec!["relay.example".parse().unwrap()],
        bounces: Some("bounces.example".parse().unwrap()),
        ..Settings::default()
    };
    let directory = Faulty::<dyn Directory>::new(stores.stores.directory.clone(), &faults);
    let recipients_of = Arc::new(Recipients::new(&settings, directory, clock.clone()));
    let world = World { stores, clock, faults, recipients: recipients_of };
    for recipient in recipients {
        world.add(recipient).await;
    }
    world
}

impl World {
    async fn add(&self, recipient: &str) {
        let entry = RecipientEntry { recipient: recipient.parse().unwrap(), created: self.clock.now() };
        self.stores.stores.directory.put(entry.into()).await.unwrap();
    }

    async fn check(&self, recipient: &str) -> Known {
        self.recipients.check(&recipient.parse().unwrap()).await.unwrap()
    }

    /// How often the directory was asked.
    fn asked(&self) -> u64 {
        self.faults.calls("get") + self.faults.calls("list")
    }
}

#[tokio::test]
async fn a_recipient_is_one_that_is_listed_or_that_a_pattern_has() {
    let world =
        world(&["app@example.com", "sales-*@example.com", "*@all.example", "b@b\u{fc}cher.example"]).await;
    for taken in [
        "app@example.com",
        "APP@Example.Com",
        "\"app\"@example.com",
        "sales-eu@example.com",
        "anybody@all.example",
        "b@xn--bcher-kva.example",
    ] {
        assert_eq!(world.check(taken).await, Known::Yes, "{taken}");
    }
    for unknown in ["app+tag@example.com", "sales@example.com", "*@example.com", "\" app\"@example.com"] {
        assert_eq!(world.check(unknown).await, Known::NoSuchRecipient, "{unknown}");
    }
    for foreign in ["app@example.org", "app@sub.example.com", "a@example.com.au", "a@sub.all.example"] {
        assert_eq!(world.check(foreign).await, Known::NotOurDomain, "{foreign}");
    }
}

#[tokio::test]
async fn relay_domains_are_taken_whole_and_nobody_is_asked() {
    let world = world(&[]).await;
    world.faults.set(Mode::Always(Fate::Refused));
    assert_eq!(world.check("anybody@Relay.Example").await, Known::Yes);
    assert_eq!(world.check("POSTMASTER@edge.example").await, Known::Yes);
    assert_eq!(world.asked(), 0);
}

#[tokio::test]
async fn the_postmaster_of_each_domain_of_ours_is_there() {
    let world = world(&["app@example.com"]).await;
    assert_eq!(world.check("Postmaster@example.com").await, Known::Yes);
    assert_eq!(world.check("postmaster@example.org").await, Known::NotOurDomain);
    assert_eq!(world.check("root@edge.example").await, Known::NotOurDomain);
}

#[tokio::test]
async fn answers_are_kept_for_a_minute_and_no_longer() {
    let world = world(&["app@example.com"]).await;
    for _ in 0..3 {
        assert_eq!(world.check("app@example.com").await, Known::Yes);
        assert_eq!(world.check("other@example.com").await, Known::NoSuchRecipient);
        assert_eq!(world.check("app@example.org").await, Known::NotOurDomain);
    }
    assert_eq!(world.asked(), 4, "two domains and two addresses");

    world.add("other@example.com").await;
    world.add("*@example.org").await;
    world.stores.stores.directory.delete(EntryKind::Recipient, "example.com app").await.unwrap();
    world.clock.advance(Duration::from_secs(59));
    assert_eq!(world.check("app@example.com").await, Known::Yes);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.check("app@example.com").await, Known::NoSuchRecipient);
    assert_eq!(world.check("other@example.com").await, Known::Yes);
    assert_eq!(world.check("app@example.org").await, Known::Yes);
}

#[tokio::test]
async fn a_directory_that_fails_says_nothing_of_a_recipient() {
    let world = world(&["app@example.com"]).await;
    for operation in ["list", "get"] {
        world.faults.set_for(operation, Mode::Always(Fate::Refused));
        assert!(world.recipients.check(&"app@example.com".parse().unwrap()).await.is_err());
        world.faults.set(Mode::Sound);
    }
    assert_eq!(world.check("app@example.com").await, Known::Yes, "a failure is not kept");
}

#[tokio::test]
async fn a_directory_that_hangs_is_not_waited_for_without_end() {
    let world = world(&["app@example.com"]).await;
    world.faults.set(Mode::Stuck);
    let recipients = Arc::clone(&world.recipients);
    let check = tokio::spawn(async move { recipients.check(&"app@example.com".parse().unwrap()).await });
    world.clock.advance_to_next_waking().await;
    assert!(check.await.unwrap().is_err());
}

#[tokio::test]
async fn a_domain_may_have_many_recipients_and_all_patterns_that_are_allowed() {
    let patterns: Vec<String> =
        (0..RECIPIENT_PATTERNS_MAX).map(|n| format!("p{n:03}-*@example.com")).collect();
    let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
    let world = world(&patterns).await;
    world.add("app@example.com").await;
    for recipient in ["p000-x@example.com", "p099-x@example.com", "app@example.com"] {
        assert_eq!(world.check(recipient).await, Known::Yes, "{recipient}");
    }
    assert_eq!(world.check("p100-x@example.com").await, Known::NoSuchRecipient);
}

#[tokio::test]
async fn at_the_domain_of_return_paths_only_what_is_signed_is_taken() {
    let world = world(&["abuse@elsewhere.example"]).await;
    let directory = world.stores.stores.directory.clone();
    let paths = ReturnPaths::new("bounces.example".parse().unwrap(), directory, world.clock.clone());
    paths.ensure_key(&shared::testkit::SeededIds::new(1)).await.unwrap();
    let pack = shared::testkit::samples::pack_id();
    let message = shared::mail::MessageId { pack, n: 0 };
    let path = shared::return_path::ReturnPath { message, recipient: 3 };
    let signed = paths.sign(path).await.unwrap().unwrap().to_string();
    let forged = signed.replacen("-0-3-", "-0-4-", 1);
    for (recipient, known) in [
        (signed.as_str(), Known::Yes),
        (&signed.to_uppercase(), Known::Yes),
        (&forged, Known::NoSuchRecipient),
        ("b+made-up@bounces.example", Known::NoSuchRecipient),
        ("complaints@bounces.example", Known::Yes),
        ("postmaster@bounces.example", Known::Yes),
        ("ann@bounces.example", Known::NoSuchRecipient),
        ("ann@elsewhere.test", Known::NotOurDomain),
    ] {
        assert_eq!(world.check(recipient).await, known, "{recipient}");
    }
    // who is listed there is a recipient like any other
    world.add("abuse@bounces.example").await;
    world.clock.advance(RECIPIENTS_KEPT);
    assert_eq!(world.check("abuse@bounces.example").await, Known::Yes);
}

#[tokio::test]
async fn a_relay_domain_of_that_name_takes_no_path_that_is_not_signed() {
    let stores = TempStores::open(Arc::new(ManualClock::default())).await;
    let domain: Domain = "bounces.example".parse().unwrap();
    let settings =
        Settings { relay_domains: vec![domain.clone()], bounces: Some(domain), ..Settings::default() };
    let recipients =
        Recipients::new(&settings, stores.stores.directory.clone(), Arc::new(ManualClock::default()));
    for (recipient, known) in
        [("b+made-up@bounces.example", Known::NoSuchRecipient), ("ann@bounces.example", Known::Yes)]
    {
        assert_eq!(recipients.check(&recipient.parse().unwrap()).await.unwrap(), known, "{recipient}");
    }
}
