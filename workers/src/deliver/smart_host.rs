//! Smart-host routes: servers that the operator named, how sure a session with one must be of it, and who we are there.

use std::fmt;
use std::path::PathBuf;

/// A route by smart hosts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SmartHosts {
    /// What routes, attempts and logs call it.
    pub name: String,
    /// The hosts, of which each connection draws one; the others stand in where it fails.
    pub hosts: Vec<SmartHost>,
    /// How sure a session must be of its server.
    pub tls: SmartHostTls,
    /// Whether TLS is spoken from the first octet (RFC 8314 §3.3), in place of STARTTLS.
    pub implicit_tls: bool,
    /// Who we are there; `None` is nobody.
    pub login: Option<Login>,
}

/// One smart host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SmartHost {
    /// Name, IPv4 or IPv6 address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Its share of the connections, as in RFC 2782: one of weight 3 gets three times as many as one of weight 1; one of weight 0 stands
    /// in for the others.
    pub weight: u16,
}

/// How sure a session with a smart host must be of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SmartHostTls {
    /// TLS, with a certificate for the host's name from an authority that is trusted.
    Verify,
    /// TLS, whoever is at the other end.
    Require,
    /// TLS where it can be had.
    May,
    /// Clear text.
    Off,
}

/// A name and its secret at a smart host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Login {
    /// How it is proved; `None` is the safest that the server offers of SCRAM-SHA-256, PLAIN and LOGIN.
    pub mechanism: Option<Mechanism>,
    /// The user's name.
    pub name: String,
    /// Where the password or the bearer token is. It is read again for each connection, at most every minute.
    pub secret: SecretSource,
    /// Whether it is told to a server whose certificate was not verified.
    pub unverified: bool,
}

/// A way to prove who one is (RFC 4954).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// RFC 7677: the password never leaves this machine, and the server proves that it knows it.
    ScramSha256,
    /// RFC 4616.
    Plain,
    /// As common as it is undocumented; name and password in turn.
    Login,
    /// A bearer token in place of a password, as some large providers ask for.
    XOauth2,
}

/// Where a secret is. It holds none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SecretSource {
    /// A file whose first line it is.
    File(PathBuf),
    /// A name for [`shared::port::Secrets`].
    Secret(String),
}

impl SmartHosts {
    /// The route `smtp://host:port`: one host, with TLS where it can be had.
    pub(super) fn only(host: &str, port: u16) -> Self {
        let host = SmartHost { host: host.to_owned(), port, weight: 1 };
        Self {
            name: host.to_string(),
            hosts: vec![host],
            tls: SmartHostTls::May,
            implicit_tls: false,
            login: None,
        }
    }
}

impl fmt::Display for SmartHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::XOauth2 => "XOAUTH2",
        })
    }
}
