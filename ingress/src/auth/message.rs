//! What one message of PLAIN, XOAUTH2 or OAUTHBEARER claims, as rsasl reads it.
//!
//! rsasl asks for its verdict in the middle of a step, and the directory answers later. So a session of rsasl reads one message,
//! says what was in it, and the exchange goes on from there.

use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::mechanisms::oauthbearer::OAUTHBEARER;
use rsasl::mechanisms::oauthbearer::properties::OAuthBearerValidate;
use rsasl::mechanisms::plain::PLAIN;
use rsasl::mechanisms::xoauth2::XOAUTH2;
use rsasl::mechanisms::xoauth2::properties::XOAuth2Validate;
use rsasl::prelude::{Mechanism, Mechname, Registry, SASLConfig, SASLServer, SessionError, Validation};
use rsasl::property::{AuthId, AuthzId, OAuthBearerToken, Password};
use rsasl::validate::{Validate, ValidationError};

use super::scram::saslname;

static MECHANISMS: &[Mechanism] = &[PLAIN, XOAUTH2, OAUTHBEARER];

/// What a client claims.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Claim {
    /// Whom it authenticates as.
    pub(super) name: Option<String>,
    /// Whom it wants to act as.
    pub(super) authzid: Option<String>,
    /// Its secret.
    pub(super) secret: Option<String>,
    /// Its token.
    pub(super) token: Option<String>,
}

impl Claim {
    /// `authzid NUL authcid NUL passwd` (RFC 4616 §2).
    pub(super) fn plain(message: &[u8]) -> Option<Self> {
        let claim = read("PLAIN", message)?;
        (claim.name.is_some() && claim.secret.is_some()).then_some(claim)
    }

    /// `user=NAME ^A auth=Bearer TOKEN ^A ^A`.
    pub(super) fn xoauth2(message: &[u8]) -> Option<Self> {
        let claim = read("XOAUTH2", message)?;
        (claim.name.is_some() && claim.token.is_some()).then_some(claim)
    }

    /// `n,a=NAME,^A host=… ^A port=… ^A auth=Bearer TOKEN ^A ^A` (RFC 7628 §3.1).
    pub(super) fn oauthbearer(message: &[u8]) -> Option<Self> {
        let claim = read("OAUTHBEARER", message)?;
        let (scheme, token) = claim.token.as_deref()?.split_once(' ')?;
        let token = scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start().to_owned());
        let authzid = claim.authzid.as_deref().map(saslname);
        if authzid == Some(None) {
            return None;
        }
        Some(Self { token: Some(token?), authzid: authzid.flatten(), ..Self::default() })
    }
}

fn read(mechanism: &str, message: &[u8]) -> Option<Claim> {
    let registry = Registry::with_mechanisms(MECHANISMS);
    let config = SASLConfig::builder().with_registry(registry).with_callback(Reader).ok()?;
    let server = SASLServer::<Claimed>::new(config);
    let mut session = server.start_suggested(Mechname::parse(mechanism.as_bytes()).ok()?).ok()?;
    session.step(Some(message), &mut Vec::new()).ok()?;
    session.validation()
}

struct Claimed;

impl Validation for Claimed {
    type Value = Claim;
}

struct Reader;

impl SessionCallback for Reader {
    fn callback(
        &self,
        _session: &SessionData,
        _context: &Context<'_>,
        request: &mut Request<'_>,
    ) -> Result<(), SessionError> {
        // the verdict on a token comes later
        if request.is::<OAuthBearerValidate>() {
            request.satisfy::<OAuthBearerValidate>(&Ok(()))?;
        } else if request.is::<XOAuth2Validate>() {
            request.satisfy::<XOAuth2Validate>(&Ok(()))?;
        }
        Ok(())
    }

    fn validate(
        &self,
        _session: &SessionData,
        context: &Context<'_>,
        validate: &mut Validate<'_>,
    ) -> Result<(), ValidationError> {
        let some = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        let secret = context.get_ref::<Password>().and_then(|octets| std::str::from_utf8(octets).ok());
        validate.finalize::<Claimed>(Claim {
            name: some(context.get_ref::<AuthId>()),
            authzid: some(context.get_ref::<AuthzId>()),
            secret: some(secret),
            token: some(context.get_ref::<OAuthBearerToken>()),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(claim: Option<Claim>) -> Option<[Option<String>; 4]> {
        claim.map(|Claim { name, authzid, secret, token }| [name, authzid, secret, token])
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn plain_is_three_texts() {
        // the examples of RFC 4616 §4
        assert_eq!(
            parts(Claim::plain(b"\0tim\0tanstaaftanstaaf")),
            Some([some("tim"), None, some("tanstaaftanstaaf"), None])
        );
        assert_eq!(
            parts(Claim::plain(b"Ursel\0Kurt\0xipj3plmq")),
            Some([some("Kurt"), some("Ursel"), some("xipj3plmq"), None])
        );
        for wrong in [
            &b""[..],
            b"tim",
            b"\0tim",
            b"\0\0secret",
            b"\0tim\0",
            b"\0tim\0a\0b",
            b"\0t\xff\0secret",
            b"\0tim\0\xff\xff",
            b"\xff\0tim\0secret",
            b"\0tim\0sec\x07ret",
        ] {
            assert!(Claim::plain(wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn oauthbearer_is_as_in_rfc_7628() {
        // the example of RFC 7628 §4.1
        let example = b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01\
                        auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01";
        let token = some("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==");
        assert_eq!(parts(Claim::oauthbearer(example)), Some([None, some("user@example.com"), None, token]));
        assert_eq!(
            parts(Claim::oauthbearer(b"n,,\x01auth=bearer t\x01\x01")),
            Some([None, None, None, some("t")])
        );
        assert_eq!(
            parts(Claim::oauthbearer(b"n,a=a=2Cb,\x01auth=Bearer t\x01\x01")),
            Some([None, some("a,b"), None, some("t")])
        );
        for wrong in [
            &b""[..],
            b"n,,\x01auth=Bearer t",
            b"n,,\x01auth=Basic t\x01\x01",
            b"n,,\x01host=a\x01\x01",
            b"n,,\x01auth=\x01\x01",
            b"p=tls-exporter,,\x01auth=Bearer t\x01\x01",
            b"n,a=a=2D,\x01auth=Bearer t\x01\x01",
        ] {
            assert!(Claim::oauthbearer(wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn xoauth2_is_a_name_and_a_token() {
        assert_eq!(
            parts(Claim::xoauth2(b"user=app\x01auth=Bearer t\x01\x01")),
            Some([some("app"), None, None, some("t")])
        );
        for wrong in
            [&b""[..], b"user=app", b"user=\x01auth=Bearer t\x01\x01", b"user=app\x01auth=Bearer \x01\x01"]
        {
            assert!(Claim::xoauth2(wrong).is_none(), "{wrong:?}");
        }
    }
}
