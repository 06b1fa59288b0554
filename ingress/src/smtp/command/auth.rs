//! AUTH (RFC 4954 §4), and the lines of an exchange.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::CommandError;

/// AUTH with its argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// The SASL mechanism, in upper case.
    pub mechanism: String,
    /// The initial response, where there is one.
    pub initial: Option<Response>,
}

/// What a client says in an exchange, decoded. It holds secrets and is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Response(pub Vec<u8>);

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Response")
    }
}

impl Auth {
    /// Reads what stands behind `AUTH `.
    pub(super) fn parse(argument: &str) -> Result<Self, CommandError> {
        const FORM: CommandError = CommandError::Form("AUTH mechanism [initial-response]");
        let (mechanism, initial) = match argument.split_once(' ') {
            Some((mechanism, initial)) => (mechanism, Some(initial)),
            None => (argument, None),
        };
        // RFC 4422 §3.1
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !(1..=20).contains(&mechanism.len()) || !mechanism.bytes().all(is_name) {
            return Err(FORM);
        }
        let initial = match initial {
            None => None,
            Some("=") => Some(Response(Vec::new())),
            Some(text) if text.contains(' ') || text.is_empty() => return Err(FORM),
            Some(text) => Some(response(text.as_bytes()).ok_or(CommandError::Base64)?),
        };
        Ok(Self { mechanism: mechanism.to_ascii_uppercase(), initial })
    }
}

/// A line of an exchange; `None` where it is not base64.
pub(in crate::smtp) fn response(line: &[u8]) -> Option<Response> {
    BASE64_STANDARD.decode(line).ok().map(Response)
}
