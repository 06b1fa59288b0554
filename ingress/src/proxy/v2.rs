//! Version 2: octets (§2.2).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Proxied, V2};
use crate::limits::PROXY_V2_FIXED_OCTETS as FIXED;

/// Octets of the whole header, by its fixed part.
pub(super) fn length(fixed: &[u8]) -> usize {
    FIXED + usize::from(u16::from_be_bytes([fixed[14], fixed[15]]))
}

/// Reads a whole header. Its checksum, if it has one, becomes zeros.
pub(super) fn parse(header: &mut [u8]) -> Result<Proxied, &'static str> {
    if !header.starts_with(V2) || header.len() != length(header) {
        return Err("it does not begin like one");
    }
    match header[12] {
        // the rest must be ignored
        0x20 => return Ok(Proxied::Local),
        0x21 => {}
        byte if byte >> 4 == 2 => return Err("its command is unknown"),
        _ => return Err("its version is not 2"),
    }
    let family = header[13];
    let addresses = match family {
        0x11 => 12,
        0x21 => 36,
        _ => return Err("it is not for TCP over IPv4 or IPv6"),
    };
    let ends = header.get(FIXED..FIXED + addresses).ok_or("it has not all of its addresses")?;
    let (client, local) = if family == 0x11 { ipv4(ends) } else { ipv6(ends) }.ok_or("an address is none")?;
    check_tlvs(header, FIXED + addresses)?;
    Ok(Proxied::Client { client, local })
}

fn ipv4(ends: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let (client, ends) = ends.split_first_chunk::<4>()?;
    let (local, ports) = ends.split_first_chunk::<4>()?;
    let (client_port, local_port) = both_ports(ports)?;
    Some(((Ipv4Addr::from(*client), client_port).into(), (Ipv4Addr::from(*local), local_port).into()))
}

fn ipv6(ends: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let (client, ends) = ends.split_first_chunk::<16>()?;
    let (local, ports) = ends.split_first_chunk::<16>()?;
    let (client_port, local_port) = both_ports(ports)?;
    Some(((Ipv6Addr::from(*client), client_port).into(), (Ipv6Addr::from(*local), local_port).into()))
}

fn both_ports(ports: &[u8]) -> Option<(u16, u16)> {
    let (client, local) = ports.split_first_chunk::<2>()?;
    Some((u16::from_be_bytes(*client), u16::from_be_bytes(*local.first_chunk::<2>()?)))
}

/// The TLVs fill the header to its end; what they say is ignored, but for the checksum.
fn check_tlvs(header: &mut [u8], from: usize) -> Result<(), &'static str> {
    let mut at = from;
    let mut checksum = None;
    while at < header.len() {
        let &[kind, high, low, ..] = &header[at..] else { return Err("a TLV is cut off") };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let value = header.get_mut(at + 3..at + 3 + length).ok_or("a TLV is cut off")?;
        // PP2_TYPE_CRC32C, over the whole header (§2.2.3)
        if kind == 0x03 {
            let said = <[u8; 4]>::try_from(&*value).map_err(|_| "its checksum has not four octets")?;
            if checksum.replace(u32::from_be_bytes(said)).is_some() {
                return Err("it has two checksums");
            }
            // the field counts as zeros
            value.fill(0);
        }
        at += 3 + length;
    }
    match checksum {
        Some(said) if said != crc32c::crc32c(header) => Err("its checksum is wrong"),
        Some(_) | None => Ok(()),
    }
}
