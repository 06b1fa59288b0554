//! How a session comes by TLS (RFC 3207), or goes without it where its policy lets it.

use tokio_util::sync::CancellationToken;

use super::Session;
use crate::deliver::TransportSettings;
use crate::deliver::mx::Target;
use crate::deliver::outcome::{Failure, Step, judge};
use crate::deliver::policy::{DestinationTls, HostPolicy, Origin, ResultType};

/// How far STARTTLS came.
enum Started<'a> {
    /// Under TLS, and with a flaw where the certificate was only looked at.
    Secured(Box<Session<'a>>, Result<(), ResultType>),
    /// The server has no TLS, at all or now; the session can go on in clear text.
    NotOffered(Box<Session<'a>>, Failure),
    /// TLS was begun and did not come about; the connection is gone.
    Broken(Failure, ResultType),
}

impl<'a> Session<'a> {
    /// Opens a session with `target`, under TLS as `tls` asks for it. What may go in clear text and meets broken TLS is tried again
    /// without, and remembered.
    pub(crate) async fn open(
        settings: &'a TransportSettings,
        tls: &DestinationTls<'_>,
        target: &Target,
        cut: &CancellationToken,
    ) -> Result<Self, Failure> {
        let policy = tls.of_host(target).await?;
        let session = Self::greet(settings, target, cut).await?;
        if tls.goes_without(&policy, target) {
            return Ok(session);
        }
        let sending = session.connection.local_ip();
        let observe = |result| tls.observe(target, policy.found.clone(), result, sending);
        match session.start_tls(tls, &policy).await? {
            Started::Secured(session, result) => {
                count("secured");
                observe(result);
                Ok(*session)
            }
            Started::NotOffered(session, failure) => {
                observe(Err(ResultType::StartTlsNotSupported));
                if policy.may_be_clear() { Ok(*session) } else { Err(failure) }
            }
            Started::Broken(failure, result) => {
                count("failed");
                tracing::debug!(host = %target.host, peer = %target.address, ?failure, "no TLS");
                observe(Err(result));
                if !policy.may_be_clear() {
                    return Err(failure);
                }
                tls.note_broken(target);
                Self::greet(settings, target, cut).await
            }
        }
    }

    async fn start_tls(
        mut self,
        tls: &DestinationTls<'_>,
        policy: &HostPolicy,
    ) -> Result<Started<'a>, Failure> {
        let limits = &self.settings.limits;
        if !self.offered.starttls {
            return Ok(Started::NotOffered(Box::new(self), no_tls(policy)));
        }
        let connector = tls.connector(policy).await?;
        self.say(Step::StartTls, b"STARTTLS\r\n").await?;
        let reply = self.reply(Step::StartTls).await?;
        if let Some(reply) = judge(Step::StartTls, reply, limits.reply_text_octets)? {
            // RFC 3207 §4: a server that has no TLS right now goes on without
            count("refused");
            let failure = Failure::Refused(Step::StartTls, reply);
            return Ok(Started::NotOffered(Box::new(self), failure));
        }
        let ip = self.peer.target.address.ip();
        let flaw = match self.connection.secure(&connector, ip, limits).await {
            Ok((connection, description, flaw)) => {
                self.connection = connection;
                self.peer.tls = Some(description);
                flaw
            }
            Err((failure, result)) => return Ok(Started::Broken(failure, result)),
        };
        // what was offered in clear text no longer counts (RFC 3207 §4.2)
        match self.hello().await {
            Ok(()) if policy.require_tls && !self.offered.require_tls => {
                Err(Failure::NeedsRequireTls("the server does not offer it".to_owned()))
            }
            Ok(()) => Ok(Started::Secured(Box::new(self), flaw.map_or(Ok(()), Err))),
            // in TLS 1.3 a server may turn the handshake down after the client thinks it done (RFC 8446 §2)
            Err(failure @ Failure::Lost(_)) => Ok(Started::Broken(failure, ResultType::ValidationFailure)),
            Err(failure) => Err(failure),
        }
    }
}

/// What it comes to that a server offers no TLS, where there must be.
fn no_tls(policy: &HostPolicy) -> Failure {
    let text = "the server offers no TLS";
    match &policy.origin {
        Origin::RequireTls => Failure::NeedsRequireTls(text.to_owned()),
        origin => Failure::TlsPolicy(format!("{text} ({origin})")),
    }
}

fn count(result: &'static str) {
    metrics::counter!("spoolway_deliver_tls_total", "result" => result).increment(1);
}
