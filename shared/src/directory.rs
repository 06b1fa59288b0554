//! What the directory's entries say, as values: the one place that knows the JSON of each kind.

mod credential;
mod decoy;
mod domain;
mod filter;
mod order;
mod recipient;
mod return_path_key;
mod scram;
mod suppression;

use thiserror::Error;

pub use credential::{
    CredentialEntry, Rate, RateError, ScramVerifier, Secret, SenderPattern, SenderPatternError,
};
pub use decoy::DecoyKey;
pub use domain::{DomainEntry, Selector};
pub use filter::{AddressPattern, DomainPattern, Filter, FilterError, WaitingStatus};
pub use order::OrderEntry;
pub use recipient::{RecipientEntry, RecipientPattern, RecipientPatternError, Recipients};
pub use return_path_key::ReturnPathKey;
pub use scram::{SecretError, saslprep};
pub use suppression::{SuppressionEntry, SuppressionReason, SuppressionReasonError, is_same_address};

use crate::port::EntryKind;

/// An entry that is not of the shape its kind has.
#[derive(Debug, Error)]
#[error("the {kind} entry `{name}` cannot be read; delete it and add it again", kind = kind.as_str())]
pub struct EntryError {
    /// Its kind.
    pub kind: EntryKind,
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    #[source]
    pub(crate) cause: Box<dyn std::error::Error + Send + Sync>,
}
