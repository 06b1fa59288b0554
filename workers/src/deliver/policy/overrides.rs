//! What the operator says of TLS with a destination.

use shared::mail::{AddressError, Domain};

/// Which versions of TLS will do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TlsVersion {
    /// 1.2 and later; there is no older one here (RFC 8996).
    #[default]
    V1_2,
    /// 1.3 and later.
    V1_3,
}

/// How TLS is to be with a destination, whatever its domain publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// Where it can be had, with any certificate.
    May,
    /// Always, with any certificate.
    Require,
    /// Always, with a certificate for the name of the host.
    Verify,
    /// Always, with a server that TLSA records vouch for.
    Dane,
    /// Never.
    Forbid,
}

/// A rule for a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsOverride {
    /// How TLS is to be.
    pub mode: TlsMode,
    /// The least version.
    pub min_version: TlsVersion,
}

/// The rules, by pattern: `example.org`, `*.example.org` (its subdomains) and `*`; the most specific wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsOverrides {
    rules: Vec<(String, TlsOverride)>,
}

impl TlsOverrides {
    /// Adds a rule; a later one for the same pattern takes the place of an earlier one.
    pub fn add(&mut self, pattern: &str, rule: TlsOverride) -> Result<(), AddressError> {
        let pattern = match pattern.strip_prefix("*.") {
            _ if pattern == "*" => "*".to_owned(),
            Some(parent) => format!("*.{}", Domain::parse(parent)?),
            None => Domain::parse(pattern)?.to_string(),
        };
        self.rules.retain(|(known, _)| *known != pattern);
        self.rules.push((pattern, rule));
        Ok(())
    }

    /// The rule for `name`, a domain in A-labels, and its pattern.
    pub(super) fn find(&self, name: &str) -> Option<(&str, TlsOverride)> {
        let fits = |pattern: &str| match pattern.strip_prefix('*') {
            Some(parent) => name.ends_with(parent),
            None => pattern == name,
        };
        let fitting = self.rules.iter().filter(|(pattern, _)| fits(pattern));
        // of two patterns that fit one domain, the longer one is the more specific
        let best = fitting.max_by_key(|(pattern, _)| pattern.trim_start_matches("*.").len());
        best.map(|(pattern, rule)| (pattern.as_str(), *rule))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_rule_wins() {
        let mut rules = TlsOverrides::default();
        assert_eq!(rules.find("example.org"), None);
        let modes =
            [("*", TlsMode::May), ("*.example.org", TlsMode::Verify), ("a.example.org", TlsMode::Dane)];
        for (pattern, mode) in modes {
            rules.add(pattern, TlsOverride { mode, min_version: TlsVersion::V1_2 }).unwrap();
        }
        for (name, pattern) in
            [("example.org", "*"), ("b.example.org", "*.example.org"), ("a.example.org", "a.example.org")]
        {
            assert_eq!(rules.find(name).unwrap().0, pattern);
        }
        assert!(rules.add("no domain", modes_rule()).is_err());
    }

    fn modes_rule() -> TlsOverride {
        TlsOverride { mode: TlsMode::May, min_version: TlsVersion::V1_2 }
    }
}
