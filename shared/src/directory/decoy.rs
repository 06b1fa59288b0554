//! What stands in for the credentials that are not there.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::EntryError;
use crate::limits::DECOY_KEY_OCTETS;
use crate::port::{Entry, EntryKind, Ids};

/// The key that all containers of an edge make the salts of unknown names with: were each to use its own, whoever asks two of
/// them would learn which names are known. It is made along with a credential or a secret, where there is none yet, and stays.
#[derive(Clone, PartialEq, Eq)]
pub struct DecoyKey(pub [u8; DECOY_KEY_OCTETS]);

impl DecoyKey {
    /// The name of its entry.
    pub const NAME: &str = "decoy-key";

    /// A new one.
    pub fn generate(ids: &dyn Ids) -> Self {
        Self(ids.octets())
    }
}

impl std::fmt::Debug for DecoyKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DecoyKey(..)")
    }
}

impl From<DecoyKey> for Entry {
    fn from(DecoyKey(octets): DecoyKey) -> Self {
        let value = serde_json::Value::String(BASE64_STANDARD.encode(octets));
        Self { kind: EntryKind::Fleet, name: DecoyKey::NAME.to_owned(), value }
    }
}

impl TryFrom<Entry> for DecoyKey {
    type Error = EntryError;

    fn try_from(Entry { kind, name, value }: Entry) -> Result<Self, EntryError> {
        let read = || -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
            let octets = BASE64_STANDARD.decode(value.as_str().ok_or("it is no text")?)?;
            let octets = octets.try_into().map_err(|_| "it is of another length")?;
            Ok(Self(octets))
        };
        read().map_err(|cause| EntryError { kind, name, cause })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written_and_never_shown() {
        let key = DecoyKey([7; DECOY_KEY_OCTETS]);
        assert_eq!(format!("{key:?}"), "DecoyKey(..)");
        assert_eq!(DecoyKey::try_from(Entry::from(key.clone())).unwrap(), key);
        let short = Entry { value: "AAAA".into(), ..Entry::from(key) };
        assert!(DecoyKey::try_from(short).is_err());
    }
}
