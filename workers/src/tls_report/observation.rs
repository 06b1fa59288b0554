//! What is counted.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use shared::mail::Domain;

/// A session with a server, or the failure of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsObservation {
    /// The domain whose policy it was: the recipients'.
    pub policy_domain: Domain,
    /// The policy.
    pub policy: PolicyFound,
    /// What it came to.
    pub failure: Option<TlsFailure>,
}

/// A failure, with what its domain's owner needs to find it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TlsFailure {
    /// What failed.
    pub result_type: ResultType,
    /// Where we came from, where it got as far as a connection.
    #[serde(default, rename = "sending-mta-ip", skip_serializing_if = "Option::is_none")]
    pub sending_ip: Option<IpAddr>,
    /// The server's name.
    #[serde(default, rename = "receiving-mx-hostname", skip_serializing_if = "Option::is_none")]
    pub mx_host: Option<String>,
    /// The server's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiving_ip: Option<IpAddr>,
    /// In words of our own.
    #[serde(default, rename = "failure-reason-code", skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The policy that a session was held to (RFC 8460 §4.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "policy-type", rename_all = "kebab-case")]
pub enum PolicyFound {
    /// DANE: the TLSA records, as zone files write them.
    Tlsa {
        /// One a record.
        #[serde(rename = "policy-string")]
        records: Vec<String>,
    },
    /// MTA-STS: the policy's lines, and its `mx` patterns.
    Sts {
        /// One a line.
        #[serde(rename = "policy-string")]
        lines: Vec<String>,
        /// The patterns.
        #[serde(rename = "mx-host")]
        mx: Vec<String>,
    },
    /// Neither.
    NoPolicyFound,
}

/// What failed (RFC 8460 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResultType {
    /// The server offers no STARTTLS, or refused it (§4.3.1).
    StarttlsNotSupported,
    /// Its certificate is for other names (§4.3.1).
    CertificateHostMismatch,
    /// Its certificate has expired (§4.3.1).
    CertificateExpired,
    /// Nobody we trust has signed its certificate (§4.3.1).
    CertificateNotTrusted,
    /// Any other failure of TLS (§4.3.1).
    ValidationFailure,
    /// No TLSA record is usable, or none fits (§4.3.2.1).
    TlsaInvalid,
    /// DNSSEC does not hold (§4.3.2.1).
    DnssecInvalid,
    /// DANE is asked for by us, and there are no TLSA records (§4.3.2.1).
    DaneRequired,
    /// The policy could not be fetched (§4.3.2.2).
    StsPolicyFetchError,
    /// The policy could not be read (§4.3.2.2).
    StsPolicyInvalid,
    /// The certificate of the policy's host does not hold (§4.3.2.2).
    StsWebpkiInvalid,
}
