use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use harness::{Client, eventually, loopback, numbered_message, program};

#[test]
fn dev_needs_nothing_and_lets_nothing_leave() {
    let folder = tempfile::TempDir::new().unwrap();
    let address = format!("{}:2525", loopback());
    let mut child = Command::new(program())
        .args(["dev", "--smtp", &address, "--hostname", "dev.example"])
        .current_dir(folder.path())
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut start = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    while !start.contains("send") {
        assert!(output.read_line(&mut start).unwrap() > 0, "it ended early:\n{start}");
    }
    for part in [address.as_str(), ".spoolway", "inbox"] {
        assert!(start.contains(part), "{part} is missing in\n{start}");
    }
    let smtp = address.parse().unwrap();
    eventually("it listens", || Client::try_connect(smtp));
    let message = numbered_message(1, 500);
    let id = Client::submit(smtp, "a@app.example", &["u@gmail.example", "v@other.example"], &message);
    let file = folder.path().join(format!(".spoolway/inbox/{id}.eml"));
    let kept = eventually("both deliveries are in the file", || {
        let kept = std::fs::read(&file).ok()?;
        let text = String::from_utf8_lossy(&kept);
        (text.contains("Delivered-To: u@gmail.example") && text.contains("Delivered-To: v@other.example"))
            .then_some(kept)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(kept.starts_with(b"Return-Path: <a@app.example>\r\n"));
    assert!(kept.ends_with(&message));
}

#[test]
fn dev_refuses_to_be_an_open_relay() {
    let folder = tempfile::TempDir::new().unwrap();
    let output = Command::new(program())
        .args(["dev", "--smtp", "0.0.0.0:2525"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("loopback"));
    assert!(!folder.path().join(".spoolway").exists(), "it left something behind");
}
