use std::io::Write as _;
use std::process::{Command, Output, Stdio};

/// Runs a client to its end with `input` as its standard input, and gives what it printed.
pub fn feed(command: &mut Command, input: &str) -> Output {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("the client can be started");
    // one that gives up early does not read it all
    let _ = child.stdin.take().expect("it is piped").write_all(input.as_bytes());
    child.wait_with_output().expect("a child of ours can be waited for")
}

/// # Panics
/// If the client failed.
#[track_caller]
pub fn succeeded(what: &str, output: &Output) {
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{what}:\n{out}\n{error}");
}
