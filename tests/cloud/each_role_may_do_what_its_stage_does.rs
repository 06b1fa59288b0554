//! Least privilege, shown by calls that are allowed and calls that are refused.

use std::process::{Command, Stdio};

use harness::{Emulator, infra};

#[test]
fn each_role_is_allowed_what_its_code_calls_and_refused_what_it_must_not() {
    if std::env::var_os("SPOOLWAY_TEST_ENDPOINT").is_some() {
        // the script has an emulator of its own; elsewhere, roles are somebody else's
        return;
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let Some(emulator) = Emulator::shared("each_role_is_allowed_what_its_code_calls") else { return };
    let folder = tempfile::tempdir().unwrap();
    let proof = Command::new(infra().join("local/prove-roles"))
        .args(["--port", &port.to_string()])
        .env("SPOOLWAY_LOCAL_STATE", folder.path())
        .env("SPOOLWAY_LOCAL_VENV", emulator.tools().unwrap().parent().unwrap())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&proof.stdout).into_owned();
    assert!(proof.status.success(), "{told}\n{}", String::from_utf8_lossy(&proof.stderr));
    for stage in ["ingress", "prepare", "deliver", "sweep"] {
        let refused = |line: &str| line.split_whitespace().take(3).eq(["ok", stage, "refused"]);
        assert!(told.lines().any(refused), "{stage} is refused something:\n{told}");
    }
    println!("{told}");
}
