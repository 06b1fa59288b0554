//! Counts what is asked of AWS, as AWS bills it: each try of each operation, and what DynamoDB says it took.

use std::sync::Arc;

use aws_sdk_dynamodb::types::ConsumedCapacity;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

use crate::limits::aws::SQS_BILLED_OCTETS;

/// An interceptor that counts requests.
#[derive(Debug)]
pub(super) struct Meter;

impl Intercept for Meter {
    fn name(&self) -> &'static str {
        "Meter"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(operation) = config.load::<Metadata>() else { return Ok(()) };
        let labels =
            [("service", operation.service().to_owned()), ("operation", operation.name().to_owned())];
        let octets = context.request().body().content_length().unwrap_or(0);
        metrics::counter!("spoolway_aws_requests_total", &labels).increment(1);
        metrics::counter!("spoolway_aws_request_octets_total", &labels).increment(octets);
        if operation.service().eq_ignore_ascii_case("sqs") {
            let units = octets.div_ceil(SQS_BILLED_OCTETS).max(1);
            metrics::counter!("spoolway_aws_sqs_units_total", &labels).increment(units);
        }
        Ok(())
    }
}

/// Counts the capacity that an operation took, in thousandths of a unit, as an eventually consistent read takes half of one.
pub(super) fn capacity<'a>(
    operation: &'static str,
    kind: &'static str,
    taken: impl IntoIterator<Item = &'a ConsumedCapacity>,
) {
    let units: f64 = taken.into_iter().filter_map(ConsumedCapacity::capacity_units).sum();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
    let thousandths = (units.max(0.0) * 1000.0).round() as u64;
    let labels: Arc<[_]> = Arc::from([("operation", operation), ("kind", kind)]);
    metrics::counter!("spoolway_aws_dynamodb_milliunits_total", &*labels).increment(thousandths);
}
