use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use hyper::Uri;
use thiserror::Error;

/// How clients may prove who they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthSettings {
    /// Where AUTH is offered without TLS.
    pub without_tls: WithoutTls,
    /// Whether CRAM-MD5 is offered. It works for the credentials whose secret is kept for it.
    pub cram_md5: bool,
    /// Whose tokens are taken, by XOAUTH2 and OAUTHBEARER.
    pub issuers: Vec<Issuer>,
}

/// Where AUTH is offered without TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WithoutTls {
    /// Nowhere.
    #[default]
    Never,
    /// To clients on this machine.
    Loopback,
}

/// An issuer of tokens (JWT, RFC 7519).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// Its name, as the claim `iss` has it, to the letter.
    pub issuer: String,
    /// What the claim `aud` must have among its values.
    pub audience: String,
    /// Where its keys are.
    pub keys: KeySource,
    /// The claim whose value is the name of a credential; `email`, or else `sub`, where none is set.
    pub name_claim: Option<String>,
}

/// Where a set of keys (JWKS, RFC 7517 §5) is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A URL with the scheme https.
    Https(Uri),
    /// A file.
    File(PathBuf),
}

/// A text that is no [`KeySource`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no set of keys; use an https:// URL or the path of a file")]
pub struct KeySourceError(String);

impl FromStr for KeySource {
    type Err = KeySourceError;

    fn from_str(text: &str) -> Result<Self, KeySourceError> {
        let wrong = || KeySourceError(text.to_owned());
        match text.split_once("://") {
            None if text.is_empty() => Err(wrong()),
            None => Ok(Self::File(text.into())),
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => {
                let url: Uri = text.parse().map_err(|_| wrong())?;
                url.host().is_some_and(|host| !host.is_empty()).then_some(Self::Https(url)).ok_or_else(wrong)
            }
            Some(_) => Err(wrong()),
        }
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Https(url) => url.fmt(f),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_by_https_or_from_a_file() {
        let url = "https://id.example/keys".parse::<KeySource>().unwrap();
        assert!(matches!(&url, KeySource::Https(url) if url.host() == Some("id.example")));
        assert_eq!("keys.json".parse(), Ok(KeySource::File("keys.json".into())));
        for wrong in ["", "http://id.example/keys", "https://", "ftp://id.example/"] {
            assert!(wrong.parse::<KeySource>().is_err(), "{wrong}");
        }
    }
}
