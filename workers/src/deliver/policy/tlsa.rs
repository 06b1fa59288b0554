//! The numbers of TLSA records.

/// Certificate usages (RFC 6698 §2.1.1, RFC 7218 §2.1).
pub(crate) const DANE_TA: u8 = 2;
pub(crate) const DANE_EE: u8 = 3;
/// Selectors (RFC 6698 §2.1.2).
pub(crate) const CERTIFICATE: u8 = 0;
pub(crate) const PUBLIC_KEY: u8 = 1;
/// Matching types (RFC 6698 §2.1.3).
pub(crate) const FULL: u8 = 0;
pub(crate) const SHA2_256: u8 = 1;
pub(crate) const SHA2_512: u8 = 2;
