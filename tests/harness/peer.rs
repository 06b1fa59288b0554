//! The mail software of others, from Debian's packages.

use std::path::Path;
use std::process::Command;

/// A program of somebody else that a case needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Python 3 with its standard library (smtplib).
    Python,
    /// swaks.
    Swaks,
    /// Postfix, started as root.
    Postfix,
    /// The dkimpy library for Python 3.
    Dkimpy,
}

impl Peer {
    fn missing(self) -> Option<&'static str> {
        let answers = |program: &str, arguments: &[&str]| {
            Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
        };
        match self {
            Self::Python if !answers("/usr/bin/python3", &["-c", "import smtplib"]) => {
                Some("python3 is not installed")
            }
            Self::Swaks if !Path::new("/usr/bin/swaks").exists() => Some("swaks is not installed"),
            Self::Postfix if !Path::new("/usr/sbin/postfix").exists() => Some("postfix is not installed"),
            Self::Postfix if !answers("sh", &["-c", "test $(id -u) = 0"]) => {
                Some("postfix needs root to start")
            }
            Self::Dkimpy if !answers("/usr/bin/python3", &["-c", "import dkim, nacl"]) => {
                Some("python3-dkim is not installed")
            }
            Self::Python | Self::Swaks | Self::Postfix | Self::Dkimpy => None,
        }
    }
}

/// Whether the peers that `case` needs are here. Where one is not, says which case is left out and why; where `CI` is set, that is a failure.
///
/// # Panics
/// If `CI` is set and a peer is missing.
pub fn peers_present(case: &str, peers: &[Peer]) -> bool {
    let missing: Vec<&str> = peers.iter().filter_map(|peer| peer.missing()).collect();
    if missing.is_empty() {
        return true;
    }
    let text = format!("left out: {case}: {}", missing.join(", "));
    assert!(std::env::var_os("CI").is_none(), "{text}");
    let stderr = std::fs::File::options().write(true).open("/dev/stderr");
    if let Ok(mut stderr) = stderr {
        // past the test runner's capture, so that a plain run shows it
        let _ = std::io::Write::write_all(&mut stderr, format!("{text}\n").as_bytes());
    }
    false
}
