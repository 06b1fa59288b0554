//! DKIM (RFC 6376; Ed25519 by RFC 8463): canonicalization, body hash, keys, signatures. Pure: no I/O, no time of
//! its own. A body is hashed piece by piece as it is read; only the header section is needed in one place.
//!
//! Signatures are relaxed/relaxed, without `l=` and `i=`, and oversigned: see [`SignedFields`].

mod canonical;
mod key;
mod sign;
mod verify;

pub use canonical::{BodyHash, Canonicalization};
pub use key::{KeyError, PublicKey, generate};
pub use sign::{SignError, SignedFields, Signer, TooManyFields};
pub use verify::{Verification, verify};
