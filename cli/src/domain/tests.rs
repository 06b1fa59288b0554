use shared::testkit::{Fate, Faults, Faulty, Mode, SeededIds, TempStores};

use super::*;
use crate::samples::{NOW, stores, text};

struct Edge {
    open: TempStores,
    /// How the directory fails.
    directory: Arc<Faults>,
    ports: Ports,
}

/// As much of a key as tells that it is one: its version and its algorithm.
fn key(algorithm: KeyAlgorithm) -> SigningKey {
    let oid: &[u8] = match algorithm {
        KeyAlgorithm::Rsa => &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1],
        KeyAlgorithm::Ed25519 => &[0x2b, 0x65, 0x70],
    };
    let octets = u8::try_from(oid.len()).unwrap();
    let start = [0x30, octets + 7, 2, 1, 0, 0x30, octets + 2, 6, octets];
    SigningKey { algorithm, pkcs8: [&start, oid].concat() }
}

async fn edge() -> Edge {
    let (open, faults) = (stores().await, Faults::new(0));
    let ports = Ports {
        directory: Faulty::<dyn Directory>::new(open.stores.directory.clone(), &faults),
        keys: open.stores.keys.clone(),
        ids: Arc::new(SeededIds::new(0)),
        now: NOW,
        generate: |algorithm| {
            let public = match algorithm {
                KeyAlgorithm::Rsa => "R".repeat(392),
                KeyAlgorithm::Ed25519 => "E".repeat(44),
            };
            Ok((key(algorithm), public))
        },
    };
    Edge { open, directory: faults, ports }
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

    /// The selectors of all keys that there are, used or not.
    fn selectors(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.open.folder().join("keys/example.com")).unwrap();
        let name = |file: std::fs::DirEntry| file.path().file_stem().unwrap().to_string_lossy().into_owned();
        let mut selectors: Vec<String> = files.map(|file| name(file.unwrap())).collect();
        selectors.sort_unstable();
        selectors
    }

    async fn entries(&self) -> Vec<shared::port::Entry> {
        self.open.stores.directory.list(EntryKind::Domain, None, ENTRY_PAGE).await.unwrap()
    }
}

#[tokio::test]
async fn a_domain_gets_two_keys_and_the_records_to_publish() {
    let edge = edge().await;
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
        serde_json::from_str(&edge().await.add(Some("mail"), true).await.unwrap()).unwrap();
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
    let edge = edge().await;
    edge.add(None, false).await.unwrap();
    let (keys, entries) = (edge.selectors(), edge.entries().await);
    let failure = edge.add(Some("other"), false).await.unwrap_err();
    assert_eq!(failure.exit, Exit::Exists);
    assert_eq!((edge.selectors(), edge.entries().await), (keys, entries));
}

#[tokio::test]
async fn a_crash_between_keys_and_entry_does_no_harm() {
    let edge = edge().await;
    edge.directory.set_for("put", Mode::Always(Fate::Refused));
    assert_eq!(edge.add(None, false).await.unwrap_err().exit, Exit::Io);
    assert_eq!(edge.show("example.com").await.unwrap_err().exit, Exit::NoInput);

    edge.directory.set(Mode::Sound);
    let told = edge.add(None, false).await.unwrap();
    let digits = SeededIds::new(0).random() & 0xffff;
    assert!(told.contains(&format!("\ns20231114r{digits:04x}._domainkey.example.com. IN TXT")), "{told}");
    assert_eq!(edge.selectors().len(), 4, "the keys that nothing uses stay");
}

#[tokio::test]
async fn a_selector_of_ones_own_is_checked_and_not_changed() {
    let edge = edge().await;
    for wrong in ["", "-a", "a.b", "a b", &"a".repeat(63)] {
        assert_eq!(edge.add(Some(wrong), false).await.unwrap_err().exit, Exit::Usage, "{wrong}");
    }
    let taken = key(KeyAlgorithm::Ed25519);
    edge.ports.keys.put(&"example.com".parse().unwrap(), "mailr", &taken).await.unwrap();
    assert_eq!(edge.add(Some("mail"), false).await.unwrap_err().exit, Exit::Exists);
    assert_eq!(edge.ports.keys.get(&"example.com".parse().unwrap(), "mailr").await.unwrap(), Some(taken));
}

#[tokio::test]
async fn no_domains_are_told_with_how_to_add_one() {
    assert_eq!(
        edge().await.list().await,
        "No domain is signed for. Add one with `spoolway domain add NAME`.\n"
    );
}
