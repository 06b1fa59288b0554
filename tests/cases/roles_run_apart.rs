//! A process with some of the roles does their work, and has the stores of no other.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use harness::{eventually, loopback, program};
use serde_json::Value;

/// A process that ends with its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn who_only_prepares_listens_for_no_mail_and_makes_no_store_of_others() {
    let (folder, ip) = (tempfile::TempDir::new().unwrap(), loopback());
    let mut command = Command::new(program());
    command.args(["serve", "--role", "prepare", "--json"]).current_dir(folder.path()).env_clear();
    command.env("SPOOLWAY_HOSTNAME", "edge.example").env("SPOOLWAY_HTTP_ADDRESS", format!("{ip}:9025"));
    // what a role does not use may be wrong
    command.env("SPOOLWAY_STORES_COUNTERS", "nonsense").env("SPOOLWAY_ROLES", "ingress");
    let mut child = Killed(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let running: Value = serde_json::from_str(&line).expect("it says what is running");
    assert_eq!(running["smtp"], Value::Array(Vec::new()));
    let health = eventually("it tells its health", || {
        let mut stream = TcpStream::connect((ip, 9025)).ok()?;
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        Some(answer)
    });
    let report: Value = serde_json::from_str(health.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(report["parts"], serde_json::json!({ "outbound": "healthy" }), "{health}");
}

#[test]
fn a_role_that_there_is_not_is_a_mistake_of_the_command_line() {
    let output = Command::new(program()).args(["serve", "--role", "prepare,delivery"]).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("use ingress, prepare, deliver or sweep"));
}
