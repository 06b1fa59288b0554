//! The ids of packs, messages and jobs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use super::Timestamp;

/// A text that is not an id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not {1}")]
pub struct IdError(String, &'static str);

/// A pack: a UUIDv7 (RFC 9562 §5.7), sortable by the time it was made and not to be guessed.
/// As text, 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackId(Uuid);

impl PackId {
    /// The pack of this UUID.
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The id that `seed` always gives for `at`: for a pack that may be written twice and must be one
    /// pack all the same. Whoever knows the seed can guess it; seeds hold a message id, which nobody else knows.
    pub fn derived(at: Timestamp, seed: &str) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, seed.as_bytes());
        Self(derived(at, digest.as_ref()))
    }

    /// This id for a pack whose messages are held until `until` (RFC 4865). It says so itself, by version 8 (RFC 9562 §5.8) and the
    /// release in the place of the time, so that whoever keeps the pack knows how long without being told.
    #[must_use]
    pub fn held(self, until: Timestamp) -> Self {
        let mut octets = self.0.into_bytes();
        let millis = u64::try_from(until.millis()).unwrap_or(0).to_be_bytes();
        octets[..6].copy_from_slice(&millis[2..]);
        octets[6] = (octets[6] & 0x0f) | 0x80;
        Self(Uuid::from_bytes(octets))
    }

    /// Until when the messages of the pack are held; `None` where they are not.
    pub fn held_until(self) -> Option<Timestamp> {
        let octets = self.0.as_bytes();
        let millis = octets[..6].iter().fold(0, |millis, octet| millis << 8 | i64::from(*octet));
        (octets[6] >> 4 == 8).then_some(Timestamp::from_millis(millis))
    }

    /// Two hexadecimal digits that spread packs evenly over folders or key prefixes.
    pub fn shard(self) -> String {
        format!("{:02x}", self.0.as_bytes()[15])
    }
}

impl fmt::Display for PackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

impl FromStr for PackId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = || IdError(text.to_owned(), "a pack id (32 lower-case hexadecimal digits)");
        if text.len() != 32 || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(wrong());
        }
        Uuid::try_parse(text).map(Self).map_err(|_| wrong())
    }
}

/// A UUIDv7 whose random part is the beginning of `digest`.
fn derived(at: Timestamp, digest: &[u8]) -> Uuid {
    let mut random = [0; 10];
    random.copy_from_slice(&digest[..10]);
    let millis = u64::try_from(at.millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

/// A message: its pack and its number in it. As text `<pack id>-<n>`; this is what 250 answers with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MessageId {
    /// The pack that holds the message.
    pub pack: PackId,
    /// Its place in the pack, from 0.
    pub n: u32,
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.pack, self.n)
    }
}

impl FromStr for MessageId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = || IdError(text.to_owned(), "a message id (<pack id>-<n>)");
        let (pack, n) = text.split_once('-').ok_or_else(wrong)?;
        if !n.bytes().all(|byte| byte.is_ascii_digit()) || (n.len() > 1 && n.starts_with('0')) {
            return Err(wrong());
        }
        Ok(Self { pack: pack.parse().map_err(|_| wrong())?, n: n.parse().map_err(|_| wrong())? })
    }
}

/// A job, named by what it carries: preparing a pack twice gives the same ids.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(String);

impl JobId {
    /// The id of a job that is told from every other by `parts`, in their order. It begins with `at`, as those of its time are
    /// looked up together.
    pub fn derived<'a>(at: Timestamp, parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        for part in parts {
            context.update(part.as_bytes());
            context.update(b"\n");
        }
        Self(derived(at, context.finish().as_ref()).simple().to_string())
    }

    /// The id as text: 32 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! text_form {
    ($($id:ident),*) => {$(
        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl TryFrom<String> for $id {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }
        impl From<$id> for String {
            fn from(id: $id) -> Self {
                id.to_string()
            }
        }
    )*};
}
text_form!(PackId, MessageId);

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_is_its_pack_and_its_number() {
        let pack = PackId::derived(Timestamp::from_millis(1_700_000_000_000), "seed");
        let id = MessageId { pack, n: 12 };
        assert_eq!(id.to_string(), format!("{pack}-12"));
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in [
            "",
            "-",
            "0-1",
            &format!("{pack}"),
            &format!("{pack}-"),
            &format!("{pack}-01"),
            &format!("{pack}-+1"),
        ] {
            assert!(wrong.parse::<MessageId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_id_of_a_held_pack_tells_until_when_and_stays_its_own() {
        let (at, until) =
            (Timestamp::from_millis(1_700_000_000_000), Timestamp::from_millis(1_702_000_000_123));
        let [one, other] = ["one", "other"].map(|seed| PackId::derived(at, seed));
        assert_eq!((one.held_until(), one.held(until).held_until()), (None, Some(until)));
        assert_ne!(one.held(until), other.held(until));
        assert_eq!(
            (one.held(until).to_string().parse(), one.held(until).shard()),
            (Ok(one.held(until)), one.shard())
        );
    }

    #[test]
    fn derived_ids_repeat_and_tell_their_parts_apart() {
        let at = Timestamp::from_millis(1_700_000_000_000);
        assert_eq!(PackId::derived(at, "a"), PackId::derived(at, "a"));
        assert_ne!(PackId::derived(at, "a"), PackId::derived(at, "b"));
        assert!(PackId::derived(at, "z") < PackId::derived(at + std::time::Duration::from_millis(1), "a"));
        assert_ne!(JobId::derived(at, ["ab", "c"]), JobId::derived(at, ["a", "bc"]));
    }
}
