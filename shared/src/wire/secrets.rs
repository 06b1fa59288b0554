//! Secrets, by URL: each names its own place.

use async_trait::async_trait;
use tokio::sync::OnceCell;

use super::url;
use crate::aws::{Aws, SecretsManager, SsmSecrets};
use crate::port::{PortError, PortResult, SecretText, Secrets};

/// Where a secret can be.
pub(super) enum SecretAt {
    /// A parameter's name.
    Ssm(String),
    /// A secret's name or ARN.
    SecretsManager(String),
}

/// Secrets whose names are URLs: `ssm:/<path>` or `secretsmanager:<name or ARN>`. AWS is set up when the first one is asked for.
#[derive(Default)]
pub struct SecretUrls {
    aws: OnceCell<Aws>,
}

/// Tells what is wrong with the URL of a secret, and what would be right, with a colon between.
pub fn check_secret(url: &str) -> Result<(), String> {
    url::secret(url).map(drop).map_err(|wrong| wrong.concat())
}

impl SecretUrls {
    async fn aws(&self) -> &Aws {
        self.aws.get_or_init(Aws::load).await
    }
}

#[async_trait]
impl Secrets for SecretUrls {
    async fn get(&self, name: &str) -> PortResult<Option<SecretText>> {
        match url::secret(name) {
            Ok(SecretAt::Ssm(name)) => SsmSecrets::new(self.aws().await).get(&name).await,
            Ok(SecretAt::SecretsManager(name)) => SecretsManager::new(self.aws().await).get(&name).await,
            Err(wrong) => Err(PortError::refused("the read of a secret", wrong.concat())),
        }
    }
}
