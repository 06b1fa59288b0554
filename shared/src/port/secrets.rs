use std::fmt;

use async_trait::async_trait;

use super::PortResult;

/// Texts that somebody else keeps, such as certificates with their keys. They are only read.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// The secret of that name, if there is one, as it is now.
    async fn get(&self, name: &str) -> PortResult<Option<SecretText>>;
}

/// A secret's text. It is never printed: `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// Takes a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for whoever needs it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText")
    }
}
