//! What is counted: an observation, in the words of a report.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use shared::mail::Domain;

use crate::deliver::{PolicyFound, TlsObservation};

/// One kind of session with the servers of a domain. What was seen of two sessions is the same where these are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) domain: Domain,
    pub(super) policy: Policy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<Failure>,
}

/// The policy that a session was held to (RFC 8460 §4.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Policy {
    policy_type: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    policy_string: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    mx_host: Vec<String>,
}

/// A failure, with what its domain's owner needs to find it (RFC 8460 §4.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Failure {
    result_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sending_mta_ip: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    receiving_mx_hostname: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    receiving_ip: Option<IpAddr>,
}

impl From<TlsObservation> for Seen {
    fn from(seen: TlsObservation) -> Self {
        let failure = seen.result.err().map(|result| Failure {
            result_type: result.as_str().to_owned(),
            sending_mta_ip: seen.sending_ip,
            receiving_mx_hostname: (!seen.mx_host.is_empty()).then_some(seen.mx_host),
            receiving_ip: seen.receiving_ip,
        });
        Self { domain: seen.policy_domain, policy: seen.policy.into(), failure }
    }
}

impl From<PolicyFound> for Policy {
    fn from(found: PolicyFound) -> Self {
        let (policy_type, policy_string) = match found {
            PolicyFound::Tlsa(records) => ("tlsa", records),
            PolicyFound::Sts(lines) => ("sts", lines),
            PolicyFound::None => ("no-policy-found", Vec::new()),
        };
        let pattern = |line: &String| line.strip_prefix("mx:").map(|pattern| pattern.trim().to_owned());
        let mx_host = policy_string.iter().filter_map(pattern).collect();
        Self { policy_type: policy_type.to_owned(), policy_string, mx_host }
    }
}
