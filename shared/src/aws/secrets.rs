//! Secrets: SecureStrings of the SSM parameter store, and those of Secrets Manager.

use async_trait::async_trait;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use aws_sdk_ssm::operation::get_parameter::GetParameterError;

use super::Aws;
use super::error::of_read;
use crate::port::{PortError, PortResult, SecretText, Secrets};

const GET: &str = "the read of a secret";

/// Secrets in the SSM parameter store, by the name of the parameter.
pub struct SsmSecrets {
    client: aws_sdk_ssm::Client,
}

impl SsmSecrets {
    /// Nothing is asked of SSM yet.
    pub fn new(aws: &Aws) -> Self {
        Self { client: aws.ssm() }
    }
}

#[async_trait]
impl Secrets for SsmSecrets {
    async fn get(&self, name: &str) -> PortResult<Option<SecretText>> {
        match self.client.get_parameter().name(name).with_decryption(true).send().await {
            Ok(got) => Ok(got.parameter.and_then(|parameter| parameter.value).map(SecretText::new)),
            Err(error) if error.as_service_error().is_some_and(GetParameterError::is_parameter_not_found) => {
                Ok(None)
            }
            Err(error) => Err(of_read(GET, error)),
        }
    }
}

/// Secrets of Secrets Manager, by name or ARN: the current version.
pub struct SecretsManager {
    client: aws_sdk_secretsmanager::Client,
}

impl SecretsManager {
    /// Nothing is asked of Secrets Manager yet.
    pub fn new(aws: &Aws) -> Self {
        Self { client: aws.secrets_manager() }
    }
}

#[async_trait]
impl Secrets for SecretsManager {
    async fn get(&self, name: &str) -> PortResult<Option<SecretText>> {
        let got = match self.client.get_secret_value().secret_id(name).send().await {
            Ok(got) => got,
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(GetSecretValueError::is_resource_not_found_exception) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(of_read(GET, error)),
        };
        if let Some(text) = got.secret_string {
            return Ok(Some(SecretText::new(text)));
        }
        let octets = got.secret_binary.map(aws_smithy_types::Blob::into_inner).unwrap_or_default();
        let text = String::from_utf8(octets).map_err(|_| PortError::refused(GET, "it is no text"))?;
        Ok(Some(SecretText::new(text)))
    }
}
