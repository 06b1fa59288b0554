//! The program, as a user starts it.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::{Identity, eventually_within, loopback};

/// What a test says of the edge it wants.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    routes: Vec<(String, String)>,
    sections: String,
    top: String,
    descriptors: Option<u32>,
    authorities: Option<PathBuf>,
}

impl Setup {
    /// Mail for `pattern` leaves by `route`.
    #[must_use]
    pub fn route(mut self, pattern: &str, route: &str) -> Self {
        self.routes.push((pattern.to_owned(), route.to_owned()));
        self
    }

    /// More settings: whole sections of TOML.
    #[must_use]
    pub fn section(mut self, toml: &str) -> Self {
        self.sections.push_str(toml);
        self.sections.push('\n');
        self
    }

    /// More settings that stand before every section.
    #[must_use]
    pub fn top(mut self, toml: &str) -> Self {
        self.top.push_str(toml);
        self.top.push('\n');
        self
    }

    /// One that trusts nobody's network and has `identity`'s certificate, so that clients must log in, and can.
    pub fn with_logins(identity: &Identity) -> Self {
        Self::default().top("trusted_networks = [\"192.0.2.0/24\"]").section(&identity.section())
    }

    /// One more listener, on which TLS comes first.
    #[must_use]
    pub fn implicit_tls(self, address: SocketAddr) -> Self {
        self.section(&format!("[[listener]]\naddress = \"{address}\"\ntls = \"implicit\"\n"))
    }

    /// Gives the process no more than `limit` file descriptors.
    #[must_use]
    pub fn descriptors(mut self, limit: u32) -> Self {
        self.descriptors = Some(limit);
        self
    }

    /// Of HTTPS servers, the process believes those whose authority is in this file, and no others.
    #[must_use]
    pub fn authorities(mut self, file: PathBuf) -> Self {
        self.authorities = Some(file);
        self
    }

    fn toml(&self, folder: &Path, ip: Ipv4Addr) -> String {
        let data = folder.display();
        let mut toml = format!("hostname = \"edge.example\"\n{}\n", self.top);
        if !self.top.contains("trusted_networks") {
            toml = format!("trusted_networks = [\"127.0.0.0/8\"]\n{toml}");
        }
        let mut routes = String::new();
        for (pattern, route) in &self.routes {
            let _ = writeln!(routes, "\"{pattern}\" = \"{route}\"");
        }
        let _ = write!(
            toml,
            "data = \"{data}\"\n\n[[listener]]\naddress = \"{ip}:2525\"\n\n[routes]\n{routes}\n\
             [http]\naddress = \"{ip}:9025\"\n\n[log]\nformat = \"json\"\n\n{}",
            self.sections
        );
        toml
    }
}

/// A running edge. It is killed, and its folder removed, when it is dropped.
pub struct Edge {
    child: Option<Child>,
    folder: TempDir,
    ip: Ipv4Addr,
    descriptors: Option<u32>,
    authorities: Option<PathBuf>,
}

impl Edge {
    /// Starts `spoolway serve` and waits until it greets.
    #[track_caller]
    pub fn start(setup: &Setup) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let ip = loopback();
        fs::write(folder.path().join("spoolway.toml"), setup.toml(folder.path(), ip))
            .expect("a folder of ours can be written");
        let (descriptors, authorities) = (setup.descriptors, setup.authorities.clone());
        let mut edge = Self { child: None, folder, ip, descriptors, authorities };
        edge.restart();
        edge
    }

    /// Starts it once more on the same folder and addresses.
    #[track_caller]
    pub fn restart(&mut self) {
        assert!(self.child.is_none(), "the edge is running");
        let log =
            OpenOptions::new().create(true).append(true).open(self.log()).expect("the log can be written");
        let mut command = self.command(&["serve", "--config"]);
        if let Some(limit) = self.descriptors {
            let mut limited = Command::new("prlimit");
            limited.arg(format!("--nofile={limit}")).arg(command.get_program()).args(command.get_args());
            limited.current_dir(self.folder.path());
            command = limited;
        }
        if let Some(file) = &self.authorities {
            command.env("SSL_CERT_FILE", file);
        }
        let child = command
            .arg(self.folder.path().join("spoolway.toml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be cloned"))
            .stderr(log)
            .spawn()
            .expect("the program can be started");
        self.child = Some(child);
        let smtp = self.smtp();
        eventually_within(Duration::from_secs(30), "the edge listens", || {
            let child = self.child.as_mut().expect("it was just started");
            if let Some(status) = child.try_wait().expect("a child can be asked") {
                panic!("the edge ended at once: {status}\n{}", self.log_tail());
            }
            TcpStream::connect(smtp).ok()
        });
    }

    /// Where it speaks SMTP.
    pub fn smtp(&self) -> SocketAddr {
        (self.ip, 2525).into()
    }

    /// Where it answers HTTP.
    pub fn http(&self) -> SocketAddr {
        (self.ip, 9025).into()
    }

    /// Its data folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the edge is running").id()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("the edge is running");
        child.kill().expect("a child of ours can be killed");
        child.wait().expect("a child of ours can be waited for");
    }

    /// SIGTERM, without waiting.
    pub fn signal(&self) {
        let status = Command::new("kill")
            .arg("-TERM")
            .arg(self.pid().to_string())
            .status()
            .expect("there is a kill command");
        assert!(status.success(), "a child of ours can be signalled");
    }

    /// Waits until the program ends by itself.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the edge is running");
        eventually_within(Duration::from_secs(40), "the edge ends", || {
            child.try_wait().expect("a child can be asked")
        })
    }

    /// Runs another command of the program beside the running edge.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        command.arg("--config").arg(self.folder.path().join("spoolway.toml"));
        command.stdin(Stdio::null()).output().expect("the program can be started")
    }

    /// What a command prints with `--json`.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("the output is JSON")
    }

    /// Waits until every recipient of a message has its final outcome, and gives its trace.
    #[track_caller]
    pub fn settled(&self, id: &str) -> Value {
        super::eventually("the message is settled", || {
            let output = self.run(&["trace", id, "--json"]);
            let trace: Value = serde_json::from_slice(&output.stdout).ok()?;
            (trace["status"] == "settled").then_some(trace)
        })
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Its whole log so far.
    pub fn log_text(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.arg0("spoolway").args(arguments).current_dir(self.folder.path()).env_clear();
        command
    }
}

/// The program under test: the bench, which can be it, or what cargo built beside the test that runs.
pub fn program() -> PathBuf {
    let own = std::env::current_exe().expect("a process knows its program");
    if own.file_name().is_some_and(|name| name == "bench") {
        return own;
    }
    let folder = own.parent().and_then(Path::parent).expect("tests lie in target/<profile>/deps");
    folder.join("spoolway-under-test")
}

impl Drop for Edge {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
        if std::thread::panicking() {
            let mut kept = File::options().write(true).open("/dev/stderr").ok();
            if let Some(stderr) = &mut kept {
                let _ = std::io::Write::write_all(
                    stderr,
                    format!("the edge's log ends:\n{}\n", self.log_tail()).as_bytes(),
                );
            }
        }
    }
}
