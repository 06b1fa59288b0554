//! Other people's software that tests hold ours against. It comes from Debian's packages. Where it is not installed, the test run
//! says which cases it left out, and where `CI` is set, that is a failure.

use std::io::Write;
use std::process::{Command, Stdio};

/// Gets those that cannot be installed beside Postfix; does nothing where they are there.
const UNPACK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/receivers/unpack");

/// A program of somebody else that a case needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Python 3 with its standard library (smtplib).
    Python,
    /// swaks.
    Swaks,
    /// swaks with TLS.
    SwaksTls,
    /// curl.
    Curl,
    /// msmtp.
    Msmtp,
    /// The command of GNU SASL.
    Gsasl,
    /// The nodemailer library, and Node.js.
    Nodemailer,
    /// Postfix, started as root.
    Postfix,
    /// Exim and OpenSMTPD of Debian, which are fetched on the way, as root.
    Receivers,
    /// The dkimpy library for Python 3, with PyNaCl for Ed25519.
    Dkimpy,
}

impl Peer {
    /// What is missing, and how to get it.
    fn missing(self) -> Option<&'static str> {
        let checks: &[(&str, &[&str], &str)] = match self {
            Self::Python => &[("/usr/bin/python3", &["-c", "import smtplib"], "install python3")],
            Self::Swaks => &[("test", &["-x", "/usr/bin/swaks"], "install swaks")],
            Self::SwaksTls => &[
                ("test", &["-x", "/usr/bin/swaks"], "install swaks"),
                ("perl", &["-MNet::SSLeay", "-e", "1"], "install libnet-ssleay-perl"),
            ],
            Self::Curl => &[("curl", &["--version"], "install curl")],
            Self::Msmtp => &[("msmtp", &["--version"], "install msmtp")],
            Self::Gsasl => &[("gsasl", &["--version"], "install gsasl")],
            Self::Nodemailer => &[
                ("node", &["--version"], "install nodejs"),
                ("node", &["-e", "require('/usr/share/nodejs/nodemailer')"], "install node-nodemailer"),
            ],
            Self::Postfix => &[
                ("test", &["-x", "/usr/sbin/postfix"], "install postfix"),
                ("sh", &["-c", "test $(id -u) = 0"], "run as root, which postfix needs to start"),
            ],
            Self::Receivers => &[
                ("sh", &["-c", "test $(id -u) = 0"], "run as root, which chroot needs"),
                (
                    UNPACK,
                    &[],
                    "run tests/receivers/unpack, which needs apt and a mirror of Debian, and see why it fails",
                ),
            ],
            Self::Dkimpy => {
                &[("/usr/bin/python3", &["-c", "import dkim, nacl"], "install python3-dkim and python3-nacl")]
            }
        };
        checks.iter().find(|(program, arguments, _)| !succeeds(program, arguments)).map(|check| check.2)
    }
}

/// Whether the peers that `case` needs are here. Where one is not, says which case is left out and what to do about it.
///
/// # Panics
/// If one is not, and `CI` is set.
pub fn peers_present(case: &str, peers: &[Peer]) -> bool {
    let missing: Vec<&str> = peers.iter().filter_map(|peer| peer.missing()).collect();
    if !missing.is_empty() {
        let text = format!("left out: {case}: {}", missing.join(", "));
        assert!(std::env::var_os("CI").is_none(), "{text}");
        // not by a macro: the test runner would keep what those print to itself
        let _ = writeln!(std::io::stderr(), "{text}");
    }
    missing.is_empty()
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
