//! Credentials, and clients that log in with them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ingress::{AuthSettings, Limits, Settings, WithoutTls};
use shared::directory::{CredentialEntry, ScramVerifier};
use shared::mail::{TenantId, Timestamp};

use super::client::settings;

const SECRET: &str = "0123456789abcdefghjkmnpqrstvwxyz";

/// A submission listener on which clients must authenticate, and may without TLS.
pub(crate) fn for_credentials(limits: Limits) -> Settings {
    let auth = AuthSettings { without_tls: WithoutTls::Loopback, ..AuthSettings::default() };
    Settings { auth, trusted_networks: Vec::new(), ..settings(limits) }
}

/// A credential `app` that may send from these.
pub(crate) fn credential(senders: &[&str]) -> CredentialEntry {
    CredentialEntry {
        name: "app".to_owned(),
        tenant: TenantId::default(),
        verifier: Some(ScramVerifier::of(SECRET, b"salt of 16 bytes", 4096).unwrap()),
        cram_md5: None,
        senders: senders.iter().map(|sender| sender.parse().unwrap()).collect(),
        rate: None,
        quota: None,
        recipients: None,
        message_octets: None,
        created: Timestamp::from_millis(0),
        revoked: None,
    }
}

/// The line by which a client logs in with it.
pub(crate) fn log_in() -> String {
    format!("AUTH PLAIN {}", STANDARD.encode(format!("\0app\0{SECRET}")))
}
