//! Other people's software that tests hold ours against. It comes from Debian's packages. Where it is not installed, the test run
//! says which cases it left out, and where `CI` is set, that is a failure.

use std::io::Write;
use std::process::{Command, Stdio};

/// Whether `cases` can run: `installed` tells that of `peer`, which Debian's `package` brings.
///
/// # Panics
/// If it is not installed and `CI` is set.
pub fn available(peer: &str, package: &str, cases: &str, installed: bool) -> bool {
    if !installed {
        let missing = format!("left out: {cases}: {peer} is not installed (Debian's package {package})");
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        // not by a macro: the test runner would keep what those print to itself
        let _ = writeln!(std::io::stderr(), "{missing}");
    }
    installed
}

/// Whether a program can be run and is content.
pub fn runs(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
