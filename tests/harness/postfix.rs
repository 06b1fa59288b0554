use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::{Received, ServerIdentity, eventually, loopback};

/// A private Postfix on its own loopback address; it is stopped when it is dropped.
pub struct Postfix {
    folder: TempDir,
    ip: Ipv4Addr,
}

impl Postfix {
    /// Starts an instance that passes mail for each domain on to its server, and all other mail to `relay`.
    #[track_caller]
    pub fn start(relay: SocketAddr, transports: &[(&str, SocketAddr)]) -> Self {
        Self::start_with(relay, transports, "")
    }

    /// The same with more lines of `main.cf`, which win.
    #[track_caller]
    pub fn start_with(relay: SocketAddr, transports: &[(&str, SocketAddr)], more: &str) -> Self {
        let folder = TempDir::with_prefix("spoolway-postfix-").expect("a temporary folder can be made");
        let postfix = Self { folder, ip: loopback() };
        postfix.configure(relay, transports, more);
        let output = postfix.control("start").output().expect("postfix can be run");
        assert!(
            output.status.success(),
            "postfix did not start: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        eventually("postfix listens", || std::net::TcpStream::connect(postfix.address()).ok());
        postfix
    }

    /// One that offers STARTTLS with `identity`, takes all mail, and passes it on to `relay`.
    #[track_caller]
    pub fn start_with_tls(relay: SocketAddr, identity: &ServerIdentity) -> Self {
        let more = format!(
            "smtpd_tls_security_level = may\nsmtpd_tls_cert_file = {}\nsmtpd_tls_key_file = {}\nsmtpd_tls_loglevel = 1\n",
            identity.chain().display(),
            identity.key().display()
        );
        Self::start_with(relay, &[], &more)
    }

    /// Where it speaks SMTP.
    pub fn address(&self) -> SocketAddr {
        (self.ip, 2526).into()
    }

    /// The process id of its master.
    pub fn pid(&self) -> u32 {
        eventually("postfix writes its process id", || {
            fs::read_to_string(self.folder.path().join("spool/pid/master.pid")).ok()?.trim().parse().ok()
        })
    }

    /// Waits until its log has a line with all of these, and gives it.
    #[track_caller]
    pub fn logged(&self, parts: &[&str]) -> String {
        eventually(&format!("postfix logs {parts:?}"), || {
            let log = fs::read_to_string(self.log()).ok()?;
            log.lines().find(|line| parts.iter().all(|part| line.contains(part))).map(str::to_owned)
        })
    }

    /// Postfix writes nowhere but below `/var`.
    fn log(&self) -> PathBuf {
        let name = self.folder.path().file_name().expect("a temporary folder has a name");
        PathBuf::from(format!("/var/log/{}.log", name.to_string_lossy()))
    }

    /// What it has logged so far.
    pub fn log_text(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// What it took, by its log: a process has one connection at a time.
    pub fn received(&self) -> Received {
        let log = self.log_text();
        let (mut sessions, mut messages) = (HashMap::new(), Vec::new());
        let mut connections = 0;
        for line in log.lines() {
            let Some((_, rest)) = line.split_once("postfix/smtpd[") else { continue };
            let Some((pid, told)) = rest.split_once("]: ") else { continue };
            if told.starts_with("connect from") {
                connections += 1;
                sessions.insert(pid, (connections, false));
            } else if told.contains("TLS connection established") && told.contains(": TLSv1.3 ") {
                sessions.entry(pid).and_modify(|session| session.1 = true);
            } else if told.contains(": client=") {
                messages.push(sessions.get(pid).copied().unwrap_or_default());
            }
        }
        Received::count(messages.into_iter())
    }

    fn control(&self, verb: &str) -> Command {
        let mut command = Command::new("/usr/sbin/postfix");
        command.arg("-c").arg(self.folder.path().join("etc")).arg(verb);
        command
    }

    fn configure(&self, relay: SocketAddr, transports: &[(&str, SocketAddr)], more: &str) {
        let folder = self.folder.path();
        let shell = format!(
            "set -e; chmod 755 {0}; mkdir -p {0}/etc {0}/spool {0}/data; cp -r /etc/postfix/. {0}/etc/; chown postfix {0}/data; \
             sed -i -E 's/^smtp[[:space:]]+inet/{1}:2526 inet/' {0}/etc/master.cf; \
             sed -i -E '/^[^#[:space:]]/ s/^(([^[:space:]]+[[:space:]]+){{4}})y/\\1n/' {0}/etc/master.cf",
            folder.display(),
            self.ip
        );
        let output = Command::new("sh").arg("-c").arg(shell).output().expect("there is a shell");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut inline = String::new();
        for (domain, server) in transports {
            let _ = write!(inline, "{{{domain} = smtp:[{}]:{}}} ", server.ip(), server.port());
        }
        if !inline.is_empty() {
            inline = format!("transport_maps = inline:{{ {inline}}}\n");
        }
        let main = format!(
            "compatibility_level = 3.6\nqueue_directory = {0}/spool\ndata_directory = {0}/data\n\
             command_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\nmaillog_file = {1}\n\
             myhostname = postfix.example\nmydestination =\nalias_maps =\nmynetworks = 127.0.0.0/8\n\
             inet_interfaces = loopback-only\ninet_protocols = ipv4\nrelayhost = [{2}]:{3}\n\
             {inline}smtpd_tls_security_level = none\nsmtp_tls_security_level = none\n\
             smtputf8_enable = yes\nmessage_size_limit = 104857600\nmailbox_size_limit = 0\n\
             smtpd_client_connection_count_limit = 0\nsmtp_destination_concurrency_limit = 50\n{more}",
            folder.display(),
            self.log().display(),
            relay.ip(),
            relay.port(),
        );
        fs::write(folder.join("etc/main.cf"), main).expect("a folder of ours can be written");
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let _ = self.control("stop").output();
        let _ = fs::remove_file(self.log());
    }
}
