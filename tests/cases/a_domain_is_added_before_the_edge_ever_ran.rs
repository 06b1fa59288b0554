use std::path::Path;
use std::process::{Command, Output};

use harness::program;

fn spoolway(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(program()).args(arguments).current_dir(folder).env_clear().output().unwrap()
}

#[test]
fn a_new_data_folder_takes_domains_and_every_command_finds_them() {
    let folder = tempfile::TempDir::new().unwrap();
    let list = spoolway(folder.path(), &["domain", "list"]);
    assert_eq!(list.status.code(), Some(66), "only looking makes nothing");
    assert!(!folder.path().join(".spoolway").exists());

    let added = spoolway(folder.path(), &["domain", "add", "example.com", "--json"]);
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    for command in [&["domain", "list"][..], &["domain", "show", "example.com"], &["queue"]] {
        let output = spoolway(folder.path(), command);
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let view: serde_json::Value = serde_json::from_slice(&added.stdout).unwrap();
    let selector = view["records"][0]["selector"].as_str().unwrap();
    assert!(folder.path().join(format!(".spoolway/keys/example.com/{selector}.pem")).is_file());
}

#[test]
fn a_configuration_says_where_keys_go_before_its_first_serve() {
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::write(folder.path().join("edge.toml"), "hostname = \"mx.example.com\"\ndata = \"var\"\n")
        .unwrap();
    let added = spoolway(folder.path(), &["domain", "add", "example.com", "--config", "edge.toml"]);
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    let list = spoolway(folder.path(), &["domain", "list", "--config", "edge.toml"]);
    assert!(String::from_utf8_lossy(&list.stdout).contains("example.com"));
    assert!(folder.path().join("var/keys/example.com").is_dir() && !folder.path().join(".spoolway").exists());
}
