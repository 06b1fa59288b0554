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
