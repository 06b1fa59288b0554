//! The clients of the AWS SDK: made once, with times, retries and connections set.

use std::sync::OnceLock;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_types::service_config::ServiceConfigKey;

use super::meter::Meter;
use crate::limits::aws::{
    ATTEMPT_TIMEOUT, ATTEMPTS_MAX, CONNECT_TIMEOUT, CONNECTION_IDLE, CONNECTIONS_IDLE_MAX, OPERATION_TIMEOUT,
    POLL_TIMEOUT, STORE_TIMEOUT,
};

/// One configuration from the standard chain, and the client of each service that is asked for.
///
/// Region, credentials and endpoints come from where every AWS tool has them: environment, profile, container, instance.
/// Nothing is asked of any service before the first request.
pub struct Aws {
    config: SdkConfig,
    s3: OnceLock<aws_sdk_s3::Client>,
    sqs: OnceLock<aws_sdk_sqs::Client>,
    dynamodb: OnceLock<aws_sdk_dynamodb::Client>,
    ssm: OnceLock<aws_sdk_ssm::Client>,
    secrets_manager: OnceLock<aws_sdk_secretsmanager::Client>,
}

impl Aws {
    /// Reads the standard chain.
    pub async fn load() -> Self {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .pool_idle_timeout(CONNECTION_IDLE)
            .pool_max_idle_per_host(CONNECTIONS_IDLE_MAX)
            .build_https();
        let config = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(http)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX))
            .timeout_config(timeouts(ATTEMPT_TIMEOUT))
            .load()
            .await;
        Self::new(config)
    }

    /// The clients of a configuration that somebody else has made; times and retries are its own.
    pub fn new(config: SdkConfig) -> Self {
        Self {
            config,
            s3: OnceLock::new(),
            sqs: OnceLock::new(),
            dynamodb: OnceLock::new(),
            ssm: OnceLock::new(),
            secrets_manager: OnceLock::new(),
        }
    }

    pub(super) fn s3(&self) -> aws_sdk_s3::Client {
        let make = || {
            let config = aws_sdk_s3::config::Builder::from(&self.config)
                // an emulator seldom has a name for each bucket
                .force_path_style(self.has_endpoint("S3"))
                .timeout_config(timeouts(STORE_TIMEOUT))
                .interceptor(Meter);
            aws_sdk_s3::Client::from_conf(config.build())
        };
        self.s3.get_or_init(make).clone()
    }

    pub(super) fn sqs(&self) -> aws_sdk_sqs::Client {
        let make = || {
            let config = aws_sdk_sqs::config::Builder::from(&self.config).interceptor(Meter);
            aws_sdk_sqs::Client::from_conf(config.build())
        };
        self.sqs.get_or_init(make).clone()
    }

    /// What a receive differs in: it may wait for 20 s, and nobody's 250 waits for it.
    pub(super) fn for_receives() -> aws_sdk_sqs::config::Builder {
        aws_sdk_sqs::Config::builder().timeout_config(timeouts(POLL_TIMEOUT))
    }

    pub(super) fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let make = || {
            let config = aws_sdk_dynamodb::config::Builder::from(&self.config).interceptor(Meter);
            aws_sdk_dynamodb::Client::from_conf(config.build())
        };
        self.dynamodb.get_or_init(make).clone()
    }

    pub(super) fn ssm(&self) -> aws_sdk_ssm::Client {
        let make = || {
            let config = aws_sdk_ssm::config::Builder::from(&self.config).interceptor(Meter);
            aws_sdk_ssm::Client::from_conf(config.build())
        };
        self.ssm.get_or_init(make).clone()
    }

    pub(super) fn secrets_manager(&self) -> aws_sdk_secretsmanager::Client {
        let make = || {
            let config = aws_sdk_secretsmanager::config::Builder::from(&self.config).interceptor(Meter);
            aws_sdk_secretsmanager::Client::from_conf(config.build())
        };
        self.secrets_manager.get_or_init(make).clone()
    }

    /// Whether the service is one that answers elsewhere than at AWS.
    fn has_endpoint(&self, service: &'static str) -> bool {
        let own = || {
            let key = ServiceConfigKey::builder().service_id(service).profile("endpoint_url");
            let key = key.env("AWS_ENDPOINT_URL").build().ok()?;
            self.config.service_config()?.load_config(key)
        };
        self.config.endpoint_url().is_some() || own().is_some()
    }
}

fn timeouts(attempt: std::time::Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(attempt)
        .operation_timeout(OPERATION_TIMEOUT.max(attempt * 2))
        .build()
}
