//! Signing keys in the SSM parameter store: `<prefix>/<domain>/<selector>`, SecureStrings with PKCS #8 in PEM.

use async_trait::async_trait;
use aws_config::retry::RetryConfig;
use aws_sdk_ssm::Client;
use aws_sdk_ssm::operation::delete_parameter::DeleteParameterError;
use aws_sdk_ssm::operation::get_parameter::GetParameterError;
use aws_sdk_ssm::operation::put_parameter::PutParameterError;
use aws_sdk_ssm::types::ParameterType;

use super::Aws;
use super::error::{of_read, of_write};
use crate::mail::Domain;
use crate::pkcs8::{algorithm, check_selector, from_pem, to_pem};
use crate::port::{Keys, PortError, PortResult, SigningKey};

const GET: &str = "the read of a signing key";
const PUT: &str = "the write of a signing key";
const DELETE: &str = "the deletion of a signing key";

/// Signing keys below a path of the parameter store.
pub struct SsmKeys {
    client: Client,
    prefix: String,
}

impl SsmKeys {
    /// The keys below `prefix`, such as `/spoolway/keys`. Nothing is asked of SSM yet.
    pub fn new(aws: &Aws, prefix: &str) -> Self {
        Self { client: aws.ssm(), prefix: format!("/{}", prefix.trim_matches('/')) }
    }

    fn name(&self, what: &'static str, domain: &Domain, selector: &str) -> PortResult<String> {
        check_selector(what, selector)?;
        Ok(format!("{}/{domain}/{}", self.prefix, selector.to_ascii_lowercase()))
    }
}

#[async_trait]
impl Keys for SsmKeys {
    async fn get(&self, domain: &Domain, selector: &str) -> PortResult<Option<SigningKey>> {
        let name = self.name(GET, domain, selector)?;
        let got = match self.client.get_parameter().name(&name).with_decryption(true).send().await {
            Ok(got) => got,
            Err(error) if error.as_service_error().is_some_and(GetParameterError::is_parameter_not_found) => {
                return Ok(None);
            }
            Err(error) => return Err(of_read(GET, error)),
        };
        let pem = got.parameter.and_then(|parameter| parameter.value).unwrap_or_default();
        let wrong = || PortError::refused(GET, format!("{name} is no PKCS #8 PEM of an RSA or Ed25519 key"));
        let pkcs8 = from_pem(&pem).ok_or_else(wrong)?;
        let algorithm = algorithm(&pkcs8).ok_or_else(wrong)?;
        Ok(Some(SigningKey { algorithm, pkcs8 }))
    }

    async fn put(&self, domain: &Domain, selector: &str, key: &SigningKey) -> PortResult<bool> {
        let name = self.name(PUT, domain, selector)?;
        if algorithm(&key.pkcs8) != Some(key.algorithm) {
            let wrong = "the key is not PKCS #8 of the algorithm it is said to be for";
            return Err(PortError::refused(PUT, wrong));
        }
        let put = self.client.put_parameter().name(name).value(to_pem(&key.pkcs8));
        let put = put.r#type(ParameterType::SecureString).overwrite(false);
        // once: a second try would find what the first has written, and call it another one's
        let once = aws_sdk_ssm::Config::builder().retry_config(RetryConfig::disabled());
        match put.customize().config_override(once).send().await {
            Ok(_) => Ok(true),
            Err(error)
                if error.as_service_error().is_some_and(PutParameterError::is_parameter_already_exists) =>
            {
                Ok(false)
            }
            Err(error) => Err(of_write(PUT, error)),
        }
    }

    async fn delete(&self, domain: &Domain, selector: &str) -> PortResult<bool> {
        let name = self.name(DELETE, domain, selector)?;
        match self.client.delete_parameter().name(name).send().await {
            Ok(_) => Ok(true),
            Err(error)
                if error.as_service_error().is_some_and(DeleteParameterError::is_parameter_not_found) =>
            {
                Ok(false)
            }
            Err(error) => Err(of_write(DELETE, error)),
        }
    }
}
