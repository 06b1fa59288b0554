use std::time::Duration;

use shared::job::Delivery;
use shared::mail::Reply;
use shared::port::Postponed;
use shared::testkit::{ManualClock, SeededIds, TempStores, samples};
use workers::deliver::shaping::{Rules, ShaperPorts};

use super::*;
use crate::exit::Exit;
use crate::samples::{NOW, text};

const RULES: &str = r#"
    [[rule]]
    name = "ours"
    domain = "a.example"
    message_rate = ["5/m", "100/h"]
    [[rule.on]]
    code = "421"
    then = "suspend"
    for = "1h"
    [[rule]]
    name = "shop"
    tenant = "shop"
    message_rate = "2/m"
"#;

struct World {
    ports: Ports,
    stores: TempStores,
    asked: Asked,
}

async fn world() -> World {
    let clock = Arc::new(ManualClock::at(NOW));
    let stores = TempStores::open(clock.clone()).await;
    let rules = LiveRules::fixed(Rules::read(Some(RULES)).unwrap());
    let ports = ShaperPorts {
        counters: stores.stores.counters.clone(),
        deliveries: stores.stores.deliveries.clone(),
        clock,
        ids: Arc::new(SeededIds::new(1)),
    };
    let shaper = Arc::new(Shaper::new(rules, ports));
    let site = Some(Site::of_hosts(["mx1.a.example", "mx2.a.example"]));
    let (domain, route) = (samples::domain("a.example"), "mx".to_owned());
    let ports = Ports { shaper, deliveries: stores.stores.deliveries.clone(), now: NOW };
    World { ports, stores, asked: Asked { domain, tenant: None, route, site, source: None } }
}

impl World {
    async fn explain(&self) -> String {
        let mut out = Vec::new();
        explain(&self.ports, &self.asked, false, Screen::default(), &mut out).await.unwrap();
        text(out)
    }

    async fn json(&self) -> serde_json::Value {
        let mut out = Vec::new();
        explain(&self.ports, &self.asked, true, Screen::default(), &mut out).await.unwrap();
        serde_json::from_slice(&out).unwrap()
    }
}

#[tokio::test]
async fn each_number_is_told_with_its_rule_and_who_wrote_it() {
    let mut world = world().await;
    world.asked.tenant = Some("shop".to_owned());
    let told = world.explain().await;
    let rows: Vec<Vec<&str>> = told
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    for row in [
        vec!["connections", "20", "-", "-", "default", "built in"],
        vec!["messages_per_connection", "100", "-", "-", "default", "built in"],
        vec!["message_rate", "5/m", "-", "5", "ours", "the operator's file"],
        vec!["message_rate", "100/h", "-", "100", "ours", "the operator's file"],
        vec!["message_rate of shop", "2/m", "-", "2", "shop", "the operator's file"],
    ] {
        assert!(rows.contains(&row), "{row:?} is missing in\n{told}");
    }
    assert!(told.contains("mx1.a.example\n") && told.contains("mx2.a.example\n"), "{told}");
    assert!(told.ends_with("No mail for it is put off.\n"), "{told}");
}

#[tokio::test]
async fn a_suspension_and_the_mail_that_waits_for_it_are_told() {
    let world = world().await;
    let place = Place { domain: &world.asked.domain, site: world.asked.site.as_ref().unwrap(), source: None };
    let reply = Reply::new(421, (7, 0), "too much\u{1b}[31m of you");
    world.ports.shaper.observe(&place, &TenantId::default(), &reply, None).await;
    let until = NOW + Duration::from_secs(3600);
    for (n, domain) in [(0, "a.example"), (60, "a.example"), (0, "b.example")] {
        let delivery = Delivery { postponed: 1, ..samples::delivery(&[&format!("u@{domain}")]) };
        let until = until + Duration::from_secs(n);
        let waiting = Waiting { reason: "suspended".to_owned(), text: "it said no".to_owned(), until };
        let postponed = Postponed { delivery, waiting, due_at: until, forget_at: until };
        world.stores.stores.deliveries.postpone(vec![postponed]).await.unwrap().remove(0).unwrap();
    }
    let told = world.explain().await;
    for part in [
        "suspended until 2023-11-14 23:15:20 UTC, within 1 h\n",
        "  rule        ours\n",
        "  after       421 4.7.0 too much\u{fffd}[31m of you\n",
        "2 messages waiting: suspended\n",
        "  why         it said no\n",
        "  until       2023-11-14 23:15:20 UTC, the last 2023-11-14 23:16:20 UTC\n",
    ] {
        assert!(told.contains(part), "{part:?} is missing in\n{told}");
    }
    let json = world.json().await;
    assert_eq!(json["shaping"]["measures"][0]["what"], "suspended");
    assert_eq!(json["shaping"]["measures"][0]["rule"], "ours");
    assert_eq!(json["waiting"][0]["deliveries"], 2);
    assert_eq!(json["waiting"][0]["first_until"], "2023-11-14T23:15:20Z");
}

#[tokio::test]
async fn mail_that_goes_to_no_server_is_not_shaped() {
    let mut world = world().await;
    (world.asked.site, world.asked.route) = (None, "inbox".to_owned());
    let told = world.explain().await;
    assert!(told.contains("  route       inbox\n") && told.contains("nothing is shaped"), "{told}");
    assert!(world.json().await["shaping"].is_null());
}

#[test]
fn a_file_of_rules_is_good_or_all_its_mistakes_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.toml");
    std::fs::write(&file, RULES).unwrap();
    let mut out = Vec::new();
    check(&file, false, &mut out).unwrap();
    assert_eq!(text(out), "rules are good\n");
    std::fs::write(&file, "[[rule]]\nname = \"a\"\nconections = 5\n[[rule]]\nname = \"b\"\nconnections = -1")
        .unwrap();
    let failure = check(&file, false, &mut Vec::new()).unwrap_err();
    assert_eq!(failure.exit, Exit::Config);
    assert!(failure.text.contains("rules.toml has 4 mistakes\n"), "{}", failure.text);
    let mut out = Vec::new();
    let failure = check(&file, true, &mut out).unwrap_err();
    assert_eq!((failure.exit, failure.text.as_str()), (Exit::Config, ""));
    let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!((json["good"].as_bool(), json["mistakes"].as_array().map(Vec::len)), (Some(false), Some(4)));
    let gone = check(Path::new("/nowhere/rules.toml"), false, &mut Vec::new()).unwrap_err();
    assert_eq!(gone.exit, Exit::NoInput);
}
