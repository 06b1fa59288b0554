//! Version 1: a line of text (§2.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::{Proxied, V1};

/// Reads a whole line, its CRLF included.
pub(super) fn parse(line: &[u8]) -> Result<Proxied, &'static str> {
    let line = line.strip_suffix(b"\r\n").ok_or("its line does not end in CRLF")?;
    let line = line.strip_prefix(V1).ok_or("it does not begin like one")?;
    if line == b"UNKNOWN" || line.starts_with(b"UNKNOWN ") {
        // what follows must be ignored
        return Ok(Proxied::Local);
    }
    let line = std::str::from_utf8(line).map_err(|_| "it is not ASCII")?;
    let words: Vec<&str> = line.split(' ').collect();
    let &[protocol, client, local, client_port, local_port] = &words[..] else {
        return Err("it has not six words");
    };
    let ip = match protocol {
        "TCP4" => ip::<Ipv4Addr>,
        "TCP6" => ip::<Ipv6Addr>,
        _ => return Err("its protocol is unknown"),
    };
    let client = SocketAddr::new(ip(client)?, port(client_port)?);
    let local = SocketAddr::new(ip(local)?, port(local_port)?);
    Ok(Proxied::Client { client, local })
}

fn ip<T: FromStr + Into<IpAddr>>(text: &str) -> Result<IpAddr, &'static str> {
    text.parse::<T>().map(Into::into).map_err(|_| "an address is none of its protocol")
}

/// A port in decimal without leading zeros.
fn port(text: &str) -> Result<u16, &'static str> {
    let port = text.parse::<u16>().map_err(|_| "a port is none")?;
    if text.starts_with('+') || (text.len() > 1 && text.starts_with('0')) {
        return Err("a port is not written as ports are");
    }
    Ok(port)
}
