use std::net::SocketAddr;

use super::{CHAIN, Jail, KEY, PORT, Received};
use crate::ServerIdentity;

const LOG: &str = "/var/log/exim4/mainlog";

/// A private Exim on its own loopback address; it is stopped when it is dropped.
pub struct Exim {
    jail: Jail,
}

impl Exim {
    /// Starts an instance that offers STARTTLS with `identity`, takes all mail, and passes it on to `relay`.
    #[track_caller]
    pub fn start(relay: SocketAddr, identity: &ServerIdentity) -> Self {
        let mut jail = Jail::new("exim", &["Debian-exim"], identity);
        for folder in ["/var/spool/exim4", "/var/log/exim4", "/run/exim4"] {
            jail.make_folder(folder);
            jail.give(folder);
        }
        jail.give(KEY);
        let (ip, to, port) = (jail.ip, relay.ip(), relay.port());
        // sessions without mail, and what became of mail that was begun, are in the log as well
        let configuration = format!(
            "primary_hostname = exim.test\nkeep_environment =\nlocal_interfaces = {ip}\ndaemon_smtp_ports = {PORT}\n\
             tls_advertise_hosts = *\ntls_certificate = {CHAIN}\ntls_privatekey = {KEY}\nhost_lookup =\n\
             log_file_path = /var/log/exim4/%slog\n\
             log_selector = +pid +tls_cipher +smtp_connection +smtp_no_mail +smtp_incomplete_transaction\n\
             smtp_accept_max = 100\nsmtp_accept_queue_per_connection = 0\n\
             acl_smtp_rcpt = accept\nacl_smtp_data = accept\nbegin routers\nonward:\n driver = manualroute\n\
             route_list = * {to}\n self = send\n transport = onward\nbegin transports\nonward:\n driver = smtp\n\
             port = {port}\n hosts_avoid_tls = *\n"
        );
        jail.make_folder("/etc/exim4");
        jail.write("/etc/exim4/exim4.conf", &configuration);
        jail.start("/usr/sbin/exim4", &["-bdf", "-q5m"]);
        Self { jail }
    }

    /// Where it speaks SMTP.
    pub fn address(&self) -> SocketAddr {
        self.jail.address()
    }

    /// What it has logged so far.
    pub fn log_text(&self) -> String {
        self.jail.text(LOG)
    }

    /// What it took, by its log: a process has one connection, and the line of an arrival tells of TLS.
    pub fn received(&self) -> Received {
        let log = self.log_text();
        let arrivals = log.lines().filter(|line| line.contains(" <= "));
        Received::count(arrivals.map(|line| {
            let pid = line.split(['[', ']']).nth(1).unwrap_or_default();
            (pid, line.contains(" X=TLS1.3:"))
        }))
    }
}
