//! The text of a policy (RFC 8461 §3.2).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::patterns::fits;
use crate::limits::policy::{STS_MAX_AGE_MAX, STS_PATTERNS_MAX};

/// What is to be done with hosts that the policy does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StsMode {
    /// They get no mail.
    Enforce,
    /// They are reported.
    Testing,
    /// There is no policy any more.
    None,
}

impl fmt::Display for StsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enforce => "enforce",
            Self::Testing => "testing",
            Self::None => "none",
        })
    }
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::deliver::policy) struct StsPolicy {
    pub(in crate::deliver::policy) mode: StsMode,
    /// The hosts of the domain: names, or `*.` and a name.
    pub(super) mx: Vec<String>,
    /// How long it holds, in seconds.
    pub(super) max_age: u64,
}

/// Why a text is no policy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum PolicyError {
    #[error("it is not in UTF-8")]
    Encoding,
    #[error("its `{0}` is missing")]
    Missing(&'static str),
    #[error("its `{0}` cannot be read")]
    Malformed(&'static str),
    #[error("it has more than {STS_PATTERNS_MAX} hosts")]
    TooManyHosts,
}

impl StsPolicy {
    /// Reads a policy. Of a key that is there more than once the first one counts, but for `mx`; unknown keys are left out.
    pub(super) fn parse(text: &[u8]) -> Result<Self, PolicyError> {
        let text = str::from_utf8(text).map_err(|_| PolicyError::Encoding)?;
        let fields: Vec<(&str, &str)> = text.lines().filter_map(field).collect();
        let first = |key: &'static str| {
            let found = fields.iter().find(|(known, _)| *known == key);
            found.map(|(_, value)| *value).ok_or(PolicyError::Missing(key))
        };
        if first("version")? != "STSv1" {
            return Err(PolicyError::Malformed("version"));
        }
        let mode = match first("mode")? {
            "enforce" => StsMode::Enforce,
            "testing" => StsMode::Testing,
            "none" => StsMode::None,
            _ => return Err(PolicyError::Malformed("mode")),
        };
        let max_age = first("max_age")?;
        let digits = (1..=10).contains(&max_age.len()) && max_age.bytes().all(|byte| byte.is_ascii_digit());
        let max_age = max_age.parse().ok().filter(|_| digits).ok_or(PolicyError::Malformed("max_age"))?;
        let mx: Vec<String> = fields
            .iter()
            .filter(|(key, _)| *key == "mx")
            .map(|(_, value)| value.trim_end_matches('.').to_ascii_lowercase())
            .collect();
        if mx.len() > STS_PATTERNS_MAX {
            return Err(PolicyError::TooManyHosts);
        }
        if mx.is_empty() && mode != StsMode::None {
            return Err(PolicyError::Missing("mx"));
        }
        Ok(Self { mode, mx, max_age: u64::min(max_age, STS_MAX_AGE_MAX) })
    }

    pub(super) fn holds_for(&self) -> Duration {
        Duration::from_secs(self.max_age)
    }

    /// Whether `host` is one of the domain's (RFC 8461 §4.1).
    pub(in crate::deliver::policy) fn fits(&self, host: &str) -> bool {
        self.mx.iter().any(|pattern| fits(pattern, host))
    }

    /// Its lines, for reports (RFC 8460 §4.2).
    pub(in crate::deliver::policy) fn strings(&self) -> Vec<String> {
        let head = ["version: STSv1".to_owned(), format!("mode: {}", self.mode)];
        let mx = self.mx.iter().map(|pattern| format!("mx: {pattern}"));
        head.into_iter().chain(mx).chain([format!("max_age: {}", self.max_age)]).collect()
    }
}

fn field(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    Some((key.trim_matches([' ', '\t']), value.trim_matches([' ', '\t'])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_with_either_line_end_and_unknown_keys() {
        for end in ["\r\n", "\n"] {
            let lines = [
                "version: STSv1",
                "mode: enforce",
                "new: thing",
                "mode: none",
                "mx: Mail.example.com",
                "mx:*.example.net",
                "max_age: 604800",
                "",
            ];
            let policy = StsPolicy::parse(lines.join(end).as_bytes()).unwrap();
            let mx = vec!["mail.example.com".to_owned(), "*.example.net".to_owned()];
            assert_eq!(policy, StsPolicy { mode: StsMode::Enforce, mx, max_age: 604_800 });
            let told = [
                "version: STSv1",
                "mode: enforce",
                "mx: mail.example.com",
                "mx: *.example.net",
                "max_age: 604800",
            ];
            assert_eq!(policy.strings(), told);
        }
        let none = StsPolicy::parse(b"version: STSv1\nmode: none\nmax_age: 9999999999").unwrap();
        assert_eq!((none.mode, none.max_age), (StsMode::None, STS_MAX_AGE_MAX));
    }

    #[test]
    fn what_is_no_policy_says_why() {
        for (text, why) in [
            (&b""[..], PolicyError::Missing("version")),
            (b"version: STSv2\nmode: none\nmax_age: 1", PolicyError::Malformed("version")),
            (b"version: STSv1\nmax_age: 1", PolicyError::Missing("mode")),
            (b"version: STSv1\nmode: strict\nmax_age: 1", PolicyError::Malformed("mode")),
            (b"version: STSv1\nmode: none", PolicyError::Missing("max_age")),
            (b"version: STSv1\nmode: none\nmax_age: -1", PolicyError::Malformed("max_age")),
            (b"version: STSv1\nmode: none\nmax_age: 12345678901", PolicyError::Malformed("max_age")),
            (b"version: STSv1\nmode: enforce\nmax_age: 1", PolicyError::Missing("mx")),
            (b"<html>\xff</html>", PolicyError::Encoding),
        ] {
            assert_eq!(StsPolicy::parse(text).unwrap_err(), why);
        }
    }
}
