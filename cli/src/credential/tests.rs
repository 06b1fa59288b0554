use shared::testkit::{SeededIds, TempStores};

use super::*;
use crate::samples::{NOW, stores, text};

struct Edge {
    _open: TempStores,
    ports: Ports,
}

async fn edge() -> Edge {
    let open = stores().await;
    let ports =
        Ports { directory: open.stores.directory.clone(), ids: Arc::new(SeededIds::new(0)), now: NOW };
    Edge { _open: open, ports }
}

fn new(name: &str) -> NewCredential {
    NewCredential {
        name: name.to_owned(),
        tenant: Some("shop".to_owned()),
        from: vec!["@example.com".parse().unwrap()],
        rate: Some("100/s".parse().unwrap()),
        quota: Some("100000/day".parse().unwrap()),
        recipients: NonZeroUsize::new(50),
        size: None,
        cram_md5: false,
    }
}

impl Edge {
    async fn add(&self, new: NewCredential) -> Outcome<serde_json::Value> {
        let mut out = Vec::new();
        add(&self.ports, new, true, Screen::default(), &mut out).await?;
        Ok(serde_json::from_slice(&out).unwrap())
    }

    async fn stored(&self, name: &str) -> CredentialEntry {
        find(&self.ports, name).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_credential_has_a_secret_that_is_shown_once_and_not_kept() {
    let edge = edge().await;
    let mut out = Vec::new();
    add(&edge.ports, new("app"), false, Screen::default(), &mut out).await.unwrap();
    let told = text(out);
    let secret = told.lines().find_map(|line| line.strip_prefix("  secret       ")).unwrap().to_owned();
    assert_eq!(secret.len(), 32);
    assert!(told.contains("  limits       100/s, 100000/day, 50 recipients\n"), "{told}");
    let entry = edge.stored("app").await;
    assert!(entry.verifier.as_ref().unwrap().proves(&secret));
    let kept = shared::port::Entry::from(entry).value.to_string();
    assert!(!kept.contains(&secret), "{kept}");
    for json in [false, true] {
        let mut out = Vec::new();
        show(&edge.ports, "app", json, Screen::default(), &mut out).await.unwrap();
        list(&edge.ports, json, Screen::default(), &mut out).await.unwrap();
        assert!(!text(out).contains(&secret));
    }
}

#[tokio::test]
async fn a_credential_is_not_made_twice_and_gets_another_secret_by_rotation() {
    let edge = edge().await;
    let first = edge.add(new("app")).await.unwrap()["secret"].as_str().unwrap().to_owned();
    assert_eq!(edge.add(new("app")).await.unwrap_err().exit, Exit::Exists);
    let mut out = Vec::new();
    rotate(&edge.ports, "app", true, Screen::default(), &mut out).await.unwrap();
    let told: serde_json::Value = serde_json::from_slice(&out).unwrap();
    let verifier = edge.stored("app").await.verifier.unwrap();
    assert!(verifier.proves(told["secret"].as_str().unwrap()) && !verifier.proves(&first));
}

#[tokio::test]
async fn a_revoked_credential_stays_to_be_seen_and_a_removed_one_does_not() {
    let edge = edge().await;
    edge.add(new("app")).await.unwrap();
    revoke(&edge.ports, "app", false, &mut Vec::new()).await.unwrap();
    assert_eq!(edge.stored("app").await.revoked, Some(NOW));
    let mut out = Vec::new();
    list(&edge.ports, false, Screen::default(), &mut out).await.unwrap();
    assert!(text(out).contains("revoked 2023-"));
    remove(&edge.ports, "app", false, &mut Vec::new()).await.unwrap();
    assert_eq!(revoke(&edge.ports, "app", false, &mut Vec::new()).await.unwrap_err().exit, Exit::NoInput);
}

#[tokio::test]
async fn a_secret_is_kept_only_where_cram_md5_asks_for_it() {
    let edge = edge().await;
    let told = edge.add(NewCredential { cram_md5: true, ..new("old") }).await.unwrap();
    let kept = edge.stored("old").await.cram_md5.unwrap();
    assert_eq!(kept.0, told["secret"].as_str().unwrap());
    assert!(!format!("{kept:?}").contains(&kept.0));
}

#[tokio::test]
async fn the_edge_has_one_key_for_names_that_are_not_there_from_its_first_secret_on() {
    let edge = edge().await;
    let directory = &edge.ports.directory;
    let key = async || directory.get(EntryKind::Fleet, DecoyKey::NAME).await.unwrap();
    assert_eq!(key().await, None);
    edge.add(new("app")).await.unwrap();
    let first = key().await.unwrap();
    assert!(DecoyKey::try_from(first.clone()).is_ok());
    edge.add(new("other")).await.unwrap();
    assert_eq!(key().await, Some(first));
    // one whose credentials are older than such keys
    directory.delete(EntryKind::Fleet, DecoyKey::NAME).await.unwrap();
    rotate(&edge.ports, "app", true, Screen::default(), &mut Vec::new()).await.unwrap();
    assert!(key().await.is_some());
}
