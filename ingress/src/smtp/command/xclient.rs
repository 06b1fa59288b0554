//! XCLIENT: a proxy says for whom it speaks. An extension of Postfix, as its XCLIENT_README has it.

use std::net::{IpAddr, Ipv6Addr};

use super::CommandError;
use super::parameter::{number, once, xtext};

/// What a trusted proxy says of its client. What it does not say stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct XClient {
    /// ADDR.
    pub ip: Option<IpAddr>,
    /// PORT.
    pub port: Option<u16>,
    /// NAME, as the proxy's DNS has it; the empty string is `[UNAVAILABLE]`.
    pub name: Option<String>,
    /// HELO.
    pub helo: Option<String>,
    /// PROTO: whether it was ESMTP.
    pub esmtp: Option<bool>,
    /// LOGIN: whom the proxy has authenticated; the empty string is nobody.
    pub login: Option<String>,
}

impl XClient {
    /// Reads what stands behind `XCLIENT `.
    pub(super) fn parse(argument: &str) -> Result<Self, CommandError> {
        const FORM: CommandError = CommandError::Form("XCLIENT attribute=value");
        if argument.is_empty() {
            return Err(FORM);
        }
        let mut said = Self::default();
        for attribute in argument.split(' ') {
            let (name, value) = attribute.split_once('=').ok_or(FORM)?;
            let value = xtext(value).ok_or(CommandError::Parameter)?;
            let unknown = ["[UNAVAILABLE]", "[TEMPUNAVAIL]"].iter().any(|no| value.eq_ignore_ascii_case(no));
            let text = || if unknown { String::new() } else { value.clone() };
            match name.to_ascii_uppercase().as_str() {
                "ADDR" if unknown => {}
                "ADDR" => once(&mut said.ip, address(&value).ok_or(CommandError::Parameter)?)?,
                "PORT" if unknown => {}
                "PORT" => once(&mut said.port, number(&value, 5).ok_or(CommandError::Parameter)?)?,
                "NAME" => once(&mut said.name, text())?,
                "HELO" => once(&mut said.helo, text())?,
                "LOGIN" => once(&mut said.login, text())?,
                "PROTO" => once(&mut said.esmtp, value.eq_ignore_ascii_case("ESMTP"))?,
                "DESTADDR" | "DESTPORT" | "REVERSE_NAME" => {}
                _ => return Err(CommandError::UnknownParameter),
            }
        }
        Ok(said)
    }
}

/// An address of IPv6 has a tag before it.
fn address(value: &str) -> Option<IpAddr> {
    match value.get(..5).filter(|tag| tag.eq_ignore_ascii_case("ipv6:")) {
        Some(_) => value[5..].parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => value.parse().ok(),
    }
}
