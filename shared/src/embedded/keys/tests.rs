use std::fs;

use super::*;
use crate::port::KeyAlgorithm;
use crate::system::SystemClock;

/// The PKCS #8 of RFC 8410 §10.3.
const ED25519: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";

fn keys() -> (tempfile::TempDir, FileKeys, Domain) {
    let folder = tempfile::tempdir().unwrap();
    let keys = FileKeys::open(folder.path(), &SystemClock).unwrap();
    (folder, keys, "example.org".parse().unwrap())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_key_is_a_pem_file_that_its_owner_alone_can_read() {
    let (folder, keys, domain) = keys();
    let key = SigningKey { algorithm: KeyAlgorithm::Ed25519, pkcs8: from_pem(ED25519).unwrap() };
    assert!(keys.put(&domain, "S1", &key).await.unwrap());
    let path = folder.path().join("example.org/s1.pem");
    assert_eq!(fs::read_to_string(&path).unwrap(), ED25519);
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    assert_eq!(fs::read_dir(folder.path().join(".new")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_key_that_others_can_read_is_not_used() {
    let (folder, keys, domain) = keys();
    let path = folder.path().join("example.org/s1.pem");
    fs::create_dir(path.parent().unwrap()).unwrap();
    fs::write(&path, ED25519).unwrap();
    for wrong in [0o640, 0o604, 0o610] {
        fs::set_permissions(&path, fs::Permissions::from_mode(wrong)).unwrap();
        let error = keys.get(&domain, "s1").await.unwrap_err().chain();
        assert!(error.contains("chmod 600") && error.contains("s1.pem"), "{error}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(keys.get(&domain, "s1").await.unwrap().unwrap().algorithm, KeyAlgorithm::Ed25519);
    fs::write(&path, "not a key").unwrap();
    assert!(keys.get(&domain, "s1").await.unwrap_err().chain().contains("no PKCS #8 PEM file"));
}

#[tokio::test]
async fn a_key_of_another_algorithm_than_it_says_is_not_stored() {
    let (_folder, keys, domain) = keys();
    for pkcs8 in [from_pem(ED25519).unwrap(), vec![], vec![0x30], vec![0x30, 0x84, 0x02, 0x01]] {
        let key = SigningKey { algorithm: KeyAlgorithm::Rsa, pkcs8 };
        assert!(matches!(keys.put(&domain, "s1", &key).await, Err(PortError::Refused { .. })));
    }
    assert_eq!(keys.get(&domain, "s1").await.unwrap(), None);
}

#[test]
fn a_secret_is_not_in_a_leftover_file_for_ever() {
    let (folder, keys, _) = keys();
    let (old, new) = (keys.new.join("key.1.0"), keys.new.join("key.1.1"));
    for path in [&old, &new] {
        fs::write(path, ED25519).unwrap();
    }
    let long_ago = files::system_time(SystemClock.now() - std::time::Duration::from_secs(7200));
    File::options().write(true).open(&old).unwrap().set_modified(long_ago).unwrap();
    FileKeys::open(folder.path(), &SystemClock).unwrap();
    assert!(!old.exists() && new.exists(), "a file that may still be written stays");
}
