use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::{CHAIN, Jail, KEY, PORT, Received, allow};
use crate::ServerIdentity;

/// A private OpenSMTPD on its own loopback address; it is stopped when it is dropped.
pub struct OpenSmtpd {
    jail: Jail,
}

impl OpenSmtpd {
    /// Starts an instance that offers STARTTLS with `identity`, takes all mail, and passes it on to `relay`.
    #[track_caller]
    pub fn start(relay: SocketAddr, identity: &ServerIdentity) -> Self {
        let mut jail = Jail::new("opensmtpd", &["opensmtpd", "opensmtpq"], identity);
        for folder in ["/var/lib/opensmtpd/empty", "/var/spool/smtpd", "/etc/ssl/certs"] {
            jail.make_folder(folder);
        }
        allow(&jail.path("/var/spool/smtpd"), 0o711);
        // it does not start without authorities
        std::fs::copy(identity.chain(), jail.path("/etc/ssl/certs/ca-certificates.crt"))
            .expect("a folder of ours can be written");
        let (ip, relay) = (jail.ip, format!("smtp://{relay}"));
        let configuration = format!(
            "pki opensmtpd.test cert \"{CHAIN}\"\npki opensmtpd.test key \"{KEY}\"\n\
             listen on {ip} port {PORT} tls pki opensmtpd.test hostname opensmtpd.test\n\
             action \"onward\" relay host {relay}\nmatch from any for any action \"onward\"\n"
        );
        jail.write("/etc/smtpd.conf", &configuration);
        jail.write("/etc/mailname", "opensmtpd.test\n");
        jail.start("/usr/sbin/smtpd", &["-d"]);
        Self { jail }
    }

    /// Where it speaks SMTP.
    pub fn address(&self) -> SocketAddr {
        self.jail.address()
    }

    /// What it has logged so far.
    pub fn log_text(&self) -> String {
        self.jail.text("/log")
    }

    /// What it took, by its log, whose lines begin with the id of a session.
    pub fn received(&self) -> Received {
        let log = self.log_text();
        let (mut secure, mut messages) = (BTreeSet::new(), Vec::new());
        for line in log.lines() {
            let Some((session, told)) = line.split_once(" smtp ") else { continue };
            if told.starts_with("tls ciphers=TLSv1.3:") {
                secure.insert(session);
            } else if told.starts_with("message ") {
                messages.push((session, secure.contains(session)));
            }
        }
        Received::count(messages.into_iter())
    }
}
