//! Whether a token (JWT, RFC 7519) is good, and whom it names.

use std::sync::Arc;

use jsonwebtoken::{Header, Validation, decode, decode_header};
use serde_json::{Map, Value};
use shared::mail::Timestamp;
use shared::port::Clock;
use thiserror::Error;

use super::Issuer;
use super::fetch::Fetch;
use super::key_set::KeySet;
use crate::limits::CLOCK_SKEW_MAX;

type Claims = Map<String, Value>;

/// Checks the tokens of the issuers that are listed.
pub(super) struct Tokens {
    issuers: Vec<(Issuer, Arc<KeySet>)>,
    clock: Arc<dyn Clock>,
}

/// Why a token is not good. The client is told nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum TokenError {
    #[error("the token cannot be read")]
    Malformed,
    #[error("the token is of no issuer that is listed")]
    Issuer,
    #[error("no key of the issuer fits the token's key and algorithm")]
    Key,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token is for another audience")]
    Audience,
    #[error("the token has expired, or does not say when it does")]
    Expired,
    #[error("the token is not valid yet")]
    Early,
    #[error("the token names nobody, or an address that its issuer has not verified")]
    Nameless,
    #[error("the issuer's keys cannot be had")]
    Unavailable,
}

impl Tokens {
    pub(super) fn new(issuers: &[Issuer], fetch: &Arc<dyn Fetch>, clock: Arc<dyn Clock>) -> Self {
        let with_keys = |issuer: &Issuer| {
            let keys = KeySet::new(issuer.keys.clone(), Arc::clone(fetch), Arc::clone(&clock));
            (issuer.clone(), Arc::new(keys))
        };
        Self { issuers: issuers.iter().map(with_keys).collect(), clock }
    }

    /// The name in a good token.
    pub(super) async fn name(&self, token: &str) -> Result<String, TokenError> {
        let header = decode_header(token).map_err(|_| TokenError::Malformed)?;
        // an extension that must be understood, and none is (RFC 7515 §4.1.11)
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        // not to be believed yet: it says whose keys to try
        let said: Claims =
            jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(|_| TokenError::Malformed)?;
        let said = said.get("iss").and_then(Value::as_str).ok_or(TokenError::Malformed)?;
        let mut why = TokenError::Issuer;
        // an issuer may be listed for more than one audience
        for (issuer, keys) in self.issuers.iter().filter(|(issuer, _)| issuer.issuer == said) {
            let claims = match verified(token, &header, keys).await {
                Ok(claims) => claims,
                Err(error) => return Err(error),
            };
            match check(issuer, &claims, self.clock.now()) {
                Ok(name) => return Ok(name),
                Err(error) => why = error,
            }
        }
        Err(why)
    }
}

/// The claims, if the signature is one of the issuer's.
async fn verified(token: &str, header: &Header, keys: &Arc<KeySet>) -> Result<Claims, TokenError> {
    let id = header.kid.as_deref();
    let keys = keys.keys(id).await.ok_or(TokenError::Unavailable)?;
    let fitting: Vec<_> = keys.iter().filter(|key| key.fits(id, header.alg)).collect();
    if fitting.is_empty() {
        return Err(TokenError::Key);
    }
    let mut validation = Validation::new(header.alg);
    // the claims are checked below, by the clock of the port
    (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = (false, false, false);
    validation.required_spec_claims.clear();
    let claims = fitting.iter().find_map(|key| decode::<Claims>(token, &key.key, &validation).ok());
    claims.map(|token| token.claims).ok_or(TokenError::Signature)
}

/// What RFC 7519 §4.1 asks of the claims; the name, if they are right.
fn check(issuer: &Issuer, claims: &Claims, now: Timestamp) -> Result<String, TokenError> {
    let text = |claim: &str| claims.get(claim).and_then(Value::as_str);
    if text("iss") != Some(&issuer.issuer) {
        return Err(TokenError::Issuer);
    }
    let audience = Some(issuer.audience.as_str());
    let is_for_us = match claims.get("aud") {
        Some(Value::Array(all)) => all.iter().any(|one| one.as_str() == audience),
        Some(one) => one.as_str() == audience,
        None => false,
    };
    if !is_for_us {
        return Err(TokenError::Audience);
    }
    // not before the first moment of the second in which it expires
    let expires = moment(claims.get("exp")).flatten().ok_or(TokenError::Expired)?;
    if now >= expires + CLOCK_SKEW_MAX {
        return Err(TokenError::Expired);
    }
    match moment(claims.get("nbf")) {
        Some(Some(begins)) if now + CLOCK_SKEW_MAX >= begins => {}
        None => {}
        Some(_) => return Err(TokenError::Early),
    }
    let name = match &issuer.name_claim {
        Some(claim) => text(claim).map(|name| (claim.as_str(), name)),
        None => text("email").map(|name| ("email", name)).or_else(|| text("sub").map(|name| ("sub", name))),
    };
    match name {
        // whoever may write any address into an account would be anybody
        Some(("email", _)) if claims.get("email_verified").is_some_and(|said| !is_true(said)) => {
            Err(TokenError::Nameless)
        }
        Some((_, name)) if !name.is_empty() => Ok(name.to_owned()),
        _ => Err(TokenError::Nameless),
    }
}

/// Some issuers write it as a text.
fn is_true(said: &Value) -> bool {
    *said == true || *said == "true"
}

/// A NumericDate (RFC 7519 §2): seconds since the epoch, perhaps with a fraction. The inner `None`: it is there and is none.
fn moment(claim: Option<&Value>) -> Option<Option<Timestamp>> {
    let seconds = claim?.as_f64().filter(|seconds| seconds.is_finite());
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float that is too large becomes the largest number"
    )]
    Some(seconds.map(|seconds| Timestamp::from_millis((seconds * 1000.0) as i64)))
}
