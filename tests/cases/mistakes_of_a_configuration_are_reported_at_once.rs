use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use harness::program;

#[test]
fn every_mistake_is_named_with_its_key_and_the_exit_code_is_78() {
    let folder = tempfile::TempDir::new().unwrap();
    let config = folder.path().join("bad.toml");
    std::fs::write(
        &config,
        "hostname = \"not a host\"\nhostnam = \"typo\"\n[[listener]]\naddress = \"nowhere\"\n\
         [routes]\n\"*\" = \"pigeon\"\n[retry]\nlifetime = \"soon\"\n[stores]\nspool = \"ftp:x\"\n",
    )
    .unwrap();
    for check in [&["--check"][..], &[]] {
        let output = Command::new(program())
            .args(["serve", "--config", config.to_str().unwrap()])
            .args(check)
            .current_dir(folder.path())
            .env_clear()
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{text}");
        for key in ["hostname", "hostnam", "listener", "routes", "retry.lifetime", "stores.spool"] {
            assert!(text.contains(key), "{key} is missing in\n{text}");
        }
    }
}

/// A user whom no permission is waived for, as it is for root.
const NOBODY: u32 = 65534;

#[test]
fn a_data_folder_that_the_user_cannot_write_is_told_before_anything_starts() {
    let folder = tempfile::TempDir::new().unwrap();
    let program = open_to_all(&folder);
    for check in [&["--check"][..], &[]] {
        let mut command = Command::new(&program);
        command.arg("serve").args(check).current_dir("/").env_clear();
        command.envs([("SPOOLWAY_HOSTNAME", "mx.example.com"), ("SPOOLWAY_DATA", "/spoolway-test/data")]);
        command.env("SPOOLWAY_LISTENER", "address=127.0.0.1:0");
        if std::fs::metadata(folder.path()).unwrap().uid() == 0 {
            command.uid(NOBODY);
        }
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{text}");
        assert!(text.contains("1 mistake\n  SPOOLWAY_DATA: / cannot be written"), "{text}");
    }
}

/// The program in `folder`, where every user may run it; where it was built, that need not be so.
fn open_to_all(folder: &tempfile::TempDir) -> PathBuf {
    let here = folder.path().join("spoolway");
    if std::fs::hard_link(program(), &here).is_err() {
        std::fs::copy(program(), &here).unwrap();
    }
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    here
}
