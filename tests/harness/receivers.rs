//! Mail servers of others in root folders of their own: `tests/receivers/unpack` has put their programs below `target/receivers`.

mod exim;
mod opensmtpd;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

pub use exim::Exim;
pub use opensmtpd::OpenSmtpd;
use tempfile::TempDir;

use super::{ServerIdentity, eventually, loopback};

/// The port of all of them, and of Postfix; their addresses tell them apart.
pub(crate) const PORT: u16 = 2526;
/// User and group ids that nothing else on a machine should have.
const USERS: [u32; 2] = [61_801, 61_802];
/// Where a server finds its certificate and key.
const CHAIN: &str = "/etc/chain.pem";
const KEY: &str = "/etc/key.pem";

/// What a server has in its log of the mail that it took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Received {
    /// Messages.
    pub messages: usize,
    /// Of those, how many came under TLS 1.3.
    pub under_tls_1_3: usize,
    /// Connections with at least one message.
    pub connections: usize,
}

impl Received {
    /// Counts messages, of which the session and whether it has TLS 1.3 are known.
    pub(crate) fn count<S: Ord>(messages: impl Iterator<Item = (S, bool)>) -> Self {
        let (mut received, mut sessions) = (Self::default(), BTreeSet::new());
        for (session, secure) in messages {
            received.messages += 1;
            received.under_tls_1_3 += usize::from(secure);
            sessions.insert(session);
        }
        received.connections = sessions.len();
        received
    }
}

/// A root folder with a server in it, which ends when this is dropped.
struct Jail {
    folder: TempDir,
    ip: Ipv4Addr,
    child: Option<Child>,
}

impl Jail {
    /// The folder `name` of those that were unpacked, with `identity` for the server, and `users` for the system to know.
    fn new(name: &str, users: &[&str], identity: &ServerIdentity) -> Self {
        let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/receivers").join(name);
        let folder =
            TempDir::with_prefix(format!("spoolway-{name}-")).expect("a temporary folder can be made");
        let jail = Self { folder, ip: loopback(), child: None };
        let copied = Command::new("cp").arg("-a").arg(unpacked.join(".")).arg(jail.path("/")).status();
        assert!(copied.is_ok_and(|status| status.success()), "{} can be copied", unpacked.display());
        // servers go in as root and look around as somebody else
        allow(&jail.path("/"), 0o755);
        let mut passwd = "root:x:0:0::/:/bin/false\n".to_owned();
        let mut group = "root:x:0:\n".to_owned();
        for (user, id) in users.iter().zip(USERS) {
            passwd += &format!("{user}:x:{id}:{id}::/:/bin/false\n");
            group += &format!("{user}:x:{id}:\n");
        }
        jail.write("/etc/passwd", &passwd);
        jail.write("/etc/group", &group);
        jail.write("/etc/hosts", "127.0.0.1 localhost\n");
        for (from, to) in [(identity.chain(), CHAIN), (identity.key(), KEY)] {
            fs::copy(from, jail.path(to)).expect("a folder of ours can be written");
        }
        allow(&jail.path(KEY), 0o600);
        jail
    }

    /// A file in it, by the name that it has for the server.
    fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside.trim_start_matches('/'))
    }

    fn write(&self, inside: &str, text: &str) {
        fs::write(self.path(inside), text).expect("a folder of ours can be written");
    }

    fn make_folder(&self, inside: &str) {
        fs::create_dir_all(self.path(inside)).expect("a folder of ours can be written");
    }

    /// Makes a file or folder in it the first user's.
    fn give(&self, inside: &str) {
        chown(self.path(inside), Some(USERS[0]), Some(USERS[0])).expect("root can give files away");
    }

    /// Starts the server, which stays in the foreground, and waits until it listens.
    #[track_caller]
    fn start(&mut self, program: &str, arguments: &[&str]) {
        let log = File::create(self.path("/log")).expect("a folder of ours can be written");
        let child = Command::new("/usr/sbin/chroot")
            .arg(self.folder.path())
            .arg(program)
            .args(arguments)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be cloned"))
            .stderr(log)
            .spawn();
        self.child = Some(child.expect("there is a chroot command"));
        eventually(&format!("{program} listens"), || {
            let child = self.child.as_mut().expect("it was just started");
            if let Some(status) = child.try_wait().expect("a child can be asked") {
                self.child = None;
                panic!("{program} ended at once: {status}\n{}", self.text("/log"));
            }
            TcpStream::connect((self.ip, PORT)).ok()
        });
    }

    fn address(&self) -> SocketAddr {
        (self.ip, PORT).into()
    }

    fn text(&self, inside: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(inside)).unwrap_or_default()).into_owned()
    }
}

impl Drop for Jail {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // both servers end their own processes at SIGTERM
        let _ = Command::new("kill").arg("-TERM").arg(child.id().to_string()).status();
        let _ = child.wait();
    }
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a folder of ours is ours");
}
