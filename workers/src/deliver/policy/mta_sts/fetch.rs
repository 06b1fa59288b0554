//! The fetch of a policy (RFC 8461 §3.3).

use std::sync::Arc;

use hyper::StatusCode;
use shared::mail::Domain;
use shared::port::Clock;
use thiserror::Error;

use super::text::{PolicyError, StsPolicy};
use crate::deliver::https::{Https, HttpsError, Page};
use crate::deliver::policy::ResultType;
use crate::limits::policy::{STS_FETCH_TIMEOUT, STS_POLICY_OCTETS_MAX};

/// Why there is no policy.
#[derive(Debug, Error)]
pub(super) enum FetchError {
    #[error("there was no answer in time")]
    Late,
    #[error(transparent)]
    Https(#[from] HttpsError),
    #[error("the answer was {0}; policies come with 200, and redirections are not followed")]
    Status(StatusCode),
    #[error("the answer is not of the type text/plain")]
    MediaType,
    #[error("it is no policy")]
    Policy(#[source] PolicyError),
}

impl FetchError {
    /// What a report calls it.
    pub(super) fn result_type(&self) -> ResultType {
        match self {
            Self::Https(HttpsError::Certificate(_)) => ResultType::StsWebpkiInvalid,
            Self::Policy(_) => ResultType::StsPolicyInvalid,
            Self::Late
            | Self::Https(HttpsError::Address(_) | HttpsError::Failed(_))
            | Self::Status(_)
            | Self::MediaType => ResultType::StsPolicyFetchError,
        }
    }
}

/// The policy that `domain` serves now.
pub(super) async fn policy(
    https: &Https,
    clock: &Arc<dyn Clock>,
    domain: &Domain,
    port: u16,
) -> Result<StsPolicy, FetchError> {
    let host = format!("mta-sts.{domain}");
    let get = https.get(&host, port, "/.well-known/mta-sts.txt", STS_POLICY_OCTETS_MAX);
    let page = clock.timeout(STS_FETCH_TIMEOUT, get).await.ok_or(FetchError::Late)??;
    // RFC 8461 §3.3: nothing but 200, and no redirect is followed
    if page.status != StatusCode::OK {
        return Err(FetchError::Status(page.status));
    }
    // RFC 8461 §3.2: so that no upload of a user's can be taken for a policy
    if !is_plain_text(&page) {
        return Err(FetchError::MediaType);
    }
    StsPolicy::parse(&page.body).map_err(FetchError::Policy)
}

fn is_plain_text(page: &Page) -> bool {
    let kind = page.content_type.as_deref().unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/plain"))
}
