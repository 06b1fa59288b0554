use std::sync::atomic::Ordering;

use super::*;
use crate::fakes::{FakeDirectory, FakeIds, FakeKeys, NOW, text};

struct Edge {
    directory: Arc<FakeDirectory>,
    keys: Arc<FakeKeys>,
    ports: Ports,
}

fn edge() -> Edge {
    let (directory, keys) = (Arc::new(FakeDirectory::default()), Arc::new(FakeKeys::default()));
    let ports = Ports {
        directory: directory.clone(),
        keys: keys.clone(),
        ids: Arc::new(FakeIds),
        now: NOW,
        generate: |algorithm| {
            let public = match algorithm {
                KeyAlgorithm::Rsa => "R".repeat(392),
                KeyAlgorithm::Ed25519 => "E".repeat(44),
            };
            Ok((SigningKey { algorithm, pkcs8: vec![1] }, public))
        },
    };
    Edge { directory, keys, ports }
}

impl Edge {
    async fn add(&self, selector: Option<&str>, json: bool) -> Outcome<String> {
        let mut out = Vec::new();
        let name = "example.com".parse().unwrap();
        add(&self.ports, &name, selector, json, Screen::default(), &mut out).await.map(|()| text(out))
    }

    async fn show(&self, name: &str) -> Outcome<String> {
        let mut out = Vec::new();
        show(&self.ports, &name.parse().unwrap(), false, Screen::default(), &mut out)
            .await
            .map(|()| text(out))
    }

    async fn list(&self) -> String {
        let mut out = Vec::new();
        list(&self.ports, false, Screen::default(), &mut out).await.unwrap();
        text(out)
    }

    fn selectors(&self) -> Vec<String> {
        self.keys.0.lock().unwrap().keys().map(|(_, selector)| selector.clone()).collect()
    }
}

#[tokio::test]
async fn a_domain_gets_two_keys_and_the_records_to_publish() {
    let edge = edge();
    let told = edge.add(None, false).await.unwrap();
    let rest = 392 - (255 - "v=DKIM1; k=rsa; p=".len());
    assert_eq!(
        told,
        format!(
            "\
Mail from example.com is signed from now on.

Publish these records, so that others can check the signatures:

s20231114r._domainkey.example.com. IN TXT ( \"v=DKIM1; k=rsa; p={}\" \"{}\" )
s20231114e._domainkey.example.com. IN TXT \"v=DKIM1; k=ed25519; p={}\"

If the domain has no DMARC policy yet, this one is a beginning that changes nothing:

_dmarc.example.com. IN TXT \"v=DMARC1; p=none\"

Its SPF record must name the addresses that this edge sends from.
",
            "R".repeat(392 - rest),
            "R".repeat(rest),
            "E".repeat(44)
        )
    );
    assert_eq!(edge.selectors(), ["s20231114e", "s20231114r"]);
    let shown = edge.show("example.com").await.unwrap();
    assert!(told.contains(shown.split_once("\n\n").unwrap().1), "{shown}");
    assert_eq!(
        edge.list().await,
        "domain       added                    selectors\nexample.com  2023-11-14 22:15:20 UTC  s20231114r, s20231114e\n"
    );
}

#[tokio::test]
async fn records_as_json_have_their_value_in_one_piece() {
    let told: serde_json::Value =
        serde_json::from_str(&edge().add(Some("mail"), true).await.unwrap()).unwrap();
    assert_eq!(
        told["records"][1],
        serde_json::json!({
            "name": "maile._domainkey.example.com",
            "type": "TXT",
            "value": format!("v=DKIM1; k=ed25519; p={}", "E".repeat(44)),
            "selector": "maile",
            "algorithm": "ed25519",
        })
    );
    assert_eq!(told["records"][0]["value"], format!("v=DKIM1; k=rsa; p={}", "R".repeat(392)));
}

#[tokio::test]
async fn a_domain_that_is_there_is_never_overwritten() {
    let edge = edge();
    edge.add(None, false).await.unwrap();
    let (keys, entries) = (edge.selectors(), edge.directory.entries.lock().unwrap().clone());
    let failure = edge.add(Some("other"), false).await.unwrap_err();
    assert_eq!(failure.exit, Exit::Exists);
    assert_eq!((edge.selectors(), edge.directory.entries.lock().unwrap().clone()), (keys, entries));
}

#[tokio::test]
async fn a_crash_between_keys_and_entry_does_no_harm() {
    let edge = edge();
    edge.directory.broken.store(true, Ordering::SeqCst);
    assert_eq!(edge.add(None, false).await.unwrap_err().exit, Exit::Io);
    assert_eq!(edge.show("example.com").await.unwrap_err().exit, Exit::NoInput);

    edge.directory.broken.store(false, Ordering::SeqCst);
    let told = edge.add(None, false).await.unwrap();
    assert!(told.contains("\ns20231114rabcd._domainkey.example.com. IN TXT"), "{told}");
    assert_eq!(edge.selectors().len(), 4, "the keys that nothing uses stay");
}

#[tokio::test]
async fn a_selector_of_ones_own_is_checked_and_not_changed() {
    let edge = edge();
    for wrong in ["", "-a", "a.b", "a b", &"a".repeat(63)] {
        assert_eq!(edge.add(Some(wrong), false).await.unwrap_err().exit, Exit::Usage, "{wrong}");
    }
    let taken = SigningKey { algorithm: KeyAlgorithm::Rsa, pkcs8: vec![2] };
    edge.keys.put(&"example.com".parse().unwrap(), "mailr", &taken).await.unwrap();
    assert_eq!(edge.add(Some("mail"), false).await.unwrap_err().exit, Exit::Exists);
    assert_eq!(edge.keys.get(&"example.com".parse().unwrap(), "mailr").await.unwrap(), Some(taken));
}

#[tokio::test]
async fn no_domains_are_told_with_how_to_add_one() {
    assert_eq!(edge().list().await, "No domain is signed for. Add one with `spoolway domain add NAME`.\n");
}
