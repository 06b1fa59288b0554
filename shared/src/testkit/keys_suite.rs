//! The contract of the signing keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::Ed25519KeyPair;

use super::fixture::{Belief, Pair};
use super::samples::{domain, unique};
use super::{Faults, Faulty, Fixture, Mode};
use crate::port::{KeyAlgorithm, Keys, SigningKey};

/// Checks the contract of [`Keys`].
pub async fn keys_suite(fixture: &dyn Fixture<dyn Keys>) {
    a_key_is_found_by_its_domain_and_selector(fixture).await;
    a_key_that_is_there_is_never_overwritten(fixture).await;
    a_deletion_tells_whether_there_was_a_key(fixture).await;
    keys_outlive_their_handles(fixture).await;
}

/// A new Ed25519 key.
fn ed25519() -> SigningKey {
    let pair = Ed25519KeyPair::generate().expect("a key can be made");
    let pkcs8 = pair.to_pkcs8v1().expect("a key can be encoded").as_ref().to_vec();
    SigningKey { algorithm: KeyAlgorithm::Ed25519, pkcs8 }
}

/// A new RSA key.
fn rsa() -> SigningKey {
    let pair =
        aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).expect("a key can be made");
    let pkcs8 = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).expect("a key can be encoded");
    SigningKey { algorithm: KeyAlgorithm::Rsa, pkcs8: pkcs8.as_ref().to_vec() }
}

async fn a_key_is_found_by_its_domain_and_selector(fixture: &dyn Fixture<dyn Keys>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let (here, there) = (domain("example.org"), domain("b\u{fc}cher.example"));
    let keys = [(&here, "s1", ed25519()), (&here, "s1.sub_2-x", rsa()), (&there, "s1", rsa())];
    for (domain, selector, key) in &keys {
        assert_eq!(b.get(domain, selector).await.expect("get"), None);
        assert!(a.put(domain, selector, key).await.expect("put"));
    }
    for (domain, selector, key) in &keys {
        assert_eq!(b.get(domain, selector).await.expect("get").as_ref(), Some(key));
    }
    assert_eq!(b.get(&domain("org"), "s1").await.expect("get"), None);
    for selector in ["", "../example.org/s1", "/etc/passwd", "a..b", "a b", "s1\0"] {
        assert!(
            !matches!(a.get(&here, selector).await, Ok(Some(_))),
            "no key can have the selector {selector:?}"
        );
        a.put(&here, selector, &keys[0].2).await.expect_err("no key can have such a selector");
    }
}

async fn a_key_that_is_there_is_never_overwritten(fixture: &dyn Fixture<dyn Keys>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let (domain, first) = (domain("example.org"), ed25519());
    assert!(a.put(&domain, "s", &first).await.expect("put"));
    for other in [ed25519(), rsa(), first.clone()] {
        assert!(!b.put(&domain, "s", &other).await.expect("a key that is there is no error"));
    }
    assert_eq!(a.get(&domain, "s").await.expect("get"), Some(first));
}

async fn a_deletion_tells_whether_there_was_a_key(fixture: &dyn Fixture<dyn Keys>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let domain = domain("example.org");
    assert!(!b.delete(&domain, "s").await.expect("delete"));
    a.put(&domain, "s", &ed25519()).await.expect("put");
    assert!(b.delete(&domain, "s").await.expect("delete"));
    assert!(!a.delete(&domain, "s").await.expect("delete"));
    assert_eq!(a.get(&domain, "s").await.expect("get"), None);
    assert!(a.put(&domain, "s", &ed25519()).await.expect("a deleted key's place is free"));
}

async fn keys_outlive_their_handles(fixture: &dyn Fixture<dyn Keys>) {
    let pair = Pair::open(fixture).await;
    let (domain, key) = (domain("example.org"), ed25519());
    pair.a.put(&domain, "s", &key).await.expect("put");
    let (_store, keys) = pair.reopen().await;
    assert_eq!(keys.get(&domain, "s").await.expect("get"), Some(key));
}

/// Checks that keys which were said to be stored are, and that those which were refused are not.
pub async fn keys_under_faults(fixture: &dyn Fixture<dyn Keys>, seed: u64) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let faults = Faults::new(seed);
    let keys: Arc<dyn Keys> = Faulty::<dyn Keys>::new(a, &faults);
    faults.set(Mode::Random { probability: 0.3 });
    let domain = domain("example.org");
    let mut beliefs = BTreeMap::new();
    for _ in 0..40 {
        let (selector, key) = (unique("s"), ed25519());
        let answer = keys.put(&domain, &selector, &key).await;
        assert!(!matches!(answer, Ok(false)), "there was no such key");
        beliefs.insert(selector, (Belief::of(&answer), key));
    }
    assert!(faults.failed() > 0, "the seed draws no fault at all");
    for (selector, (belief, key)) in beliefs {
        let found = b.get(&domain, &selector).await.expect("get");
        belief.check("a key", found.is_some());
        assert!(found.is_none_or(|found| found == key));
    }
}
