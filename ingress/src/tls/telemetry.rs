//! The metrics of TLS.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use shared::mail::Timestamp;

use super::certificate::CertificateFacts;

const HANDSHAKES: &str = "spoolway_ingress_tls_handshakes_total";
const RELOADS: &str = "spoolway_ingress_tls_reloads_total";
const EXPIRES: &str = "spoolway_ingress_tls_certificate_expires_seconds";

/// Tells the installed recorder what each metric means.
pub(crate) fn describe() {
    describe_counter!(
        HANDSHAKES,
        "TLS handshakes, by result: full, resumed, closed (by the client), timeout or failed"
    );
    describe_counter!(RELOADS, "changes of certificates, by result: ok or refused");
    describe_gauge!(EXPIRES, Unit::Seconds, "time until a certificate in use expires; negative afterwards");
}

pub(super) fn handshake(result: &'static str) {
    counter!(HANDSHAKES, "result" => result).increment(1);
}

pub(super) fn reload(result: &'static str) {
    counter!(RELOADS, "result" => result).increment(1);
}

pub(super) fn expires(facts: &CertificateFacts, now: Timestamp) {
    let name = facts.names.first().cloned().unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "2^53 milliseconds are enough")]
    let seconds = (facts.expires.millis() - now.millis()) as f64 / 1000.0;
    gauge!(EXPIRES, "certificate" => name).set(seconds);
}
