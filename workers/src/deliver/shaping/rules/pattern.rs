//! What a rule is for: a suffix of hosts, or domains.

use std::fmt;

use shared::config::Setting;
use shared::mail::Domain;

/// One destination of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// Sites with a host of this name or below it, in lower case.
    Host(String),
    /// This domain.
    Domain(Domain),
    /// The domains below this one.
    Subdomains(Domain),
}

impl Pattern {
    /// How specific the pattern is, where it fits: a domain more than the domains below one, those more than a host, a longer one more
    /// than a shorter one.
    pub(super) fn specificity(&self, hosts: &[String], domain: &Domain) -> Option<(u8, usize)> {
        let is_below = |name: &str, parent: &str| {
            name.strip_suffix(parent).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        match self {
            Self::Host(suffix) => {
                hosts.iter().any(|host| is_below(host, suffix)).then_some((1, suffix.len()))
            }
            Self::Subdomains(parent) => {
                let (name, parent) = (domain.as_str(), parent.as_str());
                (name != parent && is_below(name, parent)).then_some((2, parent.len()))
            }
            Self::Domain(own) => (own == domain).then_some((3, own.as_str().len())),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(suffix) => write!(f, "hosts of {suffix}"),
            Self::Domain(domain) => write!(f, "{domain}"),
            Self::Subdomains(parent) => write!(f, "*.{parent}"),
        }
    }
}

/// A suffix of hosts as a file writes it.
pub(super) struct HostSuffix(pub(super) Pattern);

impl Setting for HostSuffix {
    const RIGHT: &'static str = "the end of the names of MX hosts such as google.com";

    fn read(text: &str) -> Option<Self> {
        let domain = Domain::parse(text.strip_prefix("*.").unwrap_or(text)).ok()?;
        Some(Self(Pattern::Host(domain.as_str().to_ascii_lowercase())))
    }
}

/// A domain as a file writes it.
pub(super) struct DomainPattern(pub(super) Pattern);

impl Setting for DomainPattern {
    const RIGHT: &'static str = "a domain such as example.org, or *.example.org for those below it";

    fn read(text: &str) -> Option<Self> {
        let pattern = match text.strip_prefix("*.") {
            Some(parent) => Pattern::Subdomains(Domain::parse(parent).ok()?),
            None => Pattern::Domain(Domain::parse(text).ok()?),
        };
        Some(Self(pattern))
    }
}
