//! What the numbers of a TLSA record mean; `None` where they mean nothing that SMTP has a use for (RFC 7672 §3.1.3).

use shared::port::Tlsa;

/// What the record vouches for (RFC 6698 §2.1.1, by the names of RFC 7218 §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Usage {
    /// An authority above the server's certificate.
    DaneTa,
    /// The server's certificate.
    DaneEe,
}

/// Which part of a certificate counts (RFC 6698 §2.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Selector {
    /// All of it.
    Certificate,
    /// Its public key.
    PublicKey,
}

/// How that part is compared (RFC 6698 §2.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Matching {
    /// As it is.
    Full,
    /// By its SHA-256.
    Sha256,
    /// By its SHA-512.
    Sha512,
}

pub(crate) fn usage(record: &Tlsa) -> Option<Usage> {
    match record.usage {
        2 => Some(Usage::DaneTa),
        3 => Some(Usage::DaneEe),
        _ => None,
    }
}

pub(crate) fn selector(record: &Tlsa) -> Option<Selector> {
    match record.selector {
        0 => Some(Selector::Certificate),
        1 => Some(Selector::PublicKey),
        _ => None,
    }
}

pub(crate) fn matching(record: &Tlsa) -> Option<Matching> {
    match record.matching {
        0 => Some(Matching::Full),
        1 => Some(Matching::Sha256),
        2 => Some(Matching::Sha512),
        _ => None,
    }
}
