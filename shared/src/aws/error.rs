//! What an error of the SDK says about the effect: the one place that decides between `Refused` and `Unknown`.
//!
//! The SDK tries an operation more than once and shows the last try's error only, so an earlier one may have had its effect. `Refused`
//! is what no try can have done: a request that was never built, and an answer that the service would have given to each try.

use std::error::Error;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::port::PortError;

/// Error codes that say "not now" and not "no".
const PASSING: [&str; 10] = [
    "Throttl",
    "ThroughputExceeded",
    "LimitExceeded",
    "SlowDown",
    "RequestTimeout",
    "TransactionInProgress",
    "ConditionalRequestConflict",
    "OperationAborted",
    // an upload that our own try before may have completed
    "NoSuchUpload",
    "Expired",
];

/// The error of a write.
pub(super) fn of_write<E>(what: &'static str, error: SdkError<E, HttpResponse>) -> PortError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    match &error {
        SdkError::ConstructionFailure(_) => PortError::refused(what, error),
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            let code = service.err().code().unwrap_or_default();
            let passing = PASSING.iter().any(|word| code.contains(word));
            if (400..500).contains(&status) && !passing && status != 408 && status != 429 {
                PortError::refused(what, error)
            } else {
                PortError::unknown(what, error)
            }
        }
        _ => PortError::unknown(what, error),
    }
}

/// The error of a read, which has no effect.
pub(super) fn of_read<E>(what: &'static str, error: SdkError<E, HttpResponse>) -> PortError
where
    E: Error + Send + Sync + 'static,
{
    PortError::refused(what, error)
}

/// Whether there is no such object.
pub(super) fn is_missing<E>(error: &SdkError<E, HttpResponse>) -> bool {
    status(error) == Some(404)
}

/// Whether another write of the same key is under way.
pub(super) fn is_conflict<E>(error: &SdkError<E, HttpResponse>) -> bool {
    status(error) == Some(409)
}

/// Whether the range that was asked for begins behind the end.
pub(super) fn is_beyond<E>(error: &SdkError<E, HttpResponse>) -> bool {
    status(error) == Some(416)
}

/// The status of the answer, where there was one.
fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// Whether a condition of the request did not hold. S3 may say so within an answer that began as 200.
pub(super) fn is_unmet<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    status(error) == Some(412) || error.code() == Some("PreconditionFailed")
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::operation::delete_message::DeleteMessageError;
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    fn answered(status: u16, code: &str) -> PortError {
        let response = HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::empty());
        let error = DeleteMessageError::generic(ErrorMetadata::builder().code(code).build());
        of_write("a test", SdkError::service_error(error, response))
    }

    fn is_refused(error: &PortError) -> bool {
        matches!(error, PortError::Refused { .. })
    }

    #[test]
    fn a_clear_no_is_refused_and_everything_that_an_earlier_try_may_have_done_is_not_known() {
        for (status, code) in [(400, "ValidationException"), (403, "AccessDenied"), (404, "NoSuchBucket")] {
            assert!(is_refused(&answered(status, code)), "{code}");
        }
        for (status, code) in [
            (400, "ProvisionedThroughputExceededException"),
            (400, "RequestTimeout"),
            (400, "ThrottlingException"),
            (403, "RequestThrottled"),
            (429, "TooManyRequests"),
            (500, "InternalError"),
            (503, "SlowDown"),
        ] {
            assert!(!is_refused(&answered(status, code)), "{code}");
        }
        let lost: SdkError<DeleteMessageError, HttpResponse> = SdkError::timeout_error("no answer");
        assert!(!is_refused(&of_write("a test", lost)));
        let unbuilt: SdkError<DeleteMessageError, HttpResponse> = SdkError::construction_failure("no bucket");
        assert!(is_refused(&of_write("a test", unbuilt)));
    }
}
