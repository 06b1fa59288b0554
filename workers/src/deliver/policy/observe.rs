//! What became of TLS with each host, for whoever counts it (RFC 8460).

use std::fmt;
use std::fmt::Write as _;
use std::net::IpAddr;

use shared::mail::Domain;
use shared::port::Tlsa;

/// Is told of each session, and of each policy that could not be had. Called on the way of mail: it must not wait.
pub trait ObserveTls: Send + Sync {
    /// Takes note.
    fn observe(&self, observation: TlsObservation);
}

/// Nobody counts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl ObserveTls for Unobserved {
    fn observe(&self, _: TlsObservation) {}
}

/// What became of TLS with one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsObservation {
    /// The domain of the recipients.
    pub policy_domain: Domain,
    /// The policy of that domain.
    pub policy: PolicyFound,
    /// The MX host; empty where it is the policy that could not be had.
    pub mx_host: String,
    /// The address that the connection came from, where there was one.
    pub sending_ip: Option<IpAddr>,
    /// The address that it went to, likewise.
    pub receiving_ip: Option<IpAddr>,
    /// Whether TLS came about as the policy asks for.
    pub result: Result<(), ResultType>,
}

/// The policy that was found (RFC 8460 §4.2, `policy-type` and `policy-string`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PolicyFound {
    /// TLSA records, in their presentation format.
    Tlsa(Vec<String>),
    /// An MTA-STS policy, line by line; no lines where it could not be had.
    Sts(Vec<String>),
    /// None.
    None,
}

/// How TLS failed (RFC 8460 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResultType {
    /// The server offers no STARTTLS, or refused it.
    StartTlsNotSupported,
    /// The certificate is for other names.
    CertificateHostMismatch,
    /// The certificate has expired, or is not valid yet.
    CertificateExpired,
    /// Nobody who is trusted vouches for the certificate.
    CertificateNotTrusted,
    /// Anything else: the handshake failed, or the host is not in the policy.
    ValidationFailure,
    /// No TLSA record fits the certificate.
    TlsaInvalid,
    /// No answer of the DNS could be proved.
    DnssecInvalid,
    /// There are no TLSA records, and the operator asks for DANE.
    DaneRequired,
    /// The MTA-STS policy could not be fetched.
    StsPolicyFetchError,
    /// The MTA-STS policy cannot be read.
    StsPolicyInvalid,
    /// The certificate of the server of the MTA-STS policy does not hold.
    StsWebpkiInvalid,
}

impl ResultType {
    /// Its name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StartTlsNotSupported => "starttls-not-supported",
            Self::CertificateHostMismatch => "certificate-host-mismatch",
            Self::CertificateExpired => "certificate-expired",
            Self::CertificateNotTrusted => "certificate-not-trusted",
            Self::ValidationFailure => "validation-failure",
            Self::TlsaInvalid => "tlsa-invalid",
            Self::DnssecInvalid => "dnssec-invalid",
            Self::DaneRequired => "dane-required",
            Self::StsPolicyFetchError => "sts-policy-fetch-error",
            Self::StsPolicyInvalid => "sts-policy-invalid",
            Self::StsWebpkiInvalid => "sts-webpki-invalid",
        }
    }
}

impl fmt::Display for ResultType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A TLSA record in its presentation format (RFC 6698 §2.2).
pub(super) fn tlsa_text(record: &Tlsa) -> String {
    let mut text = format!("{} {} {} ", record.usage, record.selector, record.matching);
    for octet in &record.data {
        let _ = write!(text, "{octet:02x}");
    }
    text
}
