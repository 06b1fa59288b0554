//! How a session comes by TLS (RFC 3207), or goes without it where its policy lets it.

use tokio::net::TcpStream;

use super::super::Way;
use super::super::dial::{Dialer, Reached};
use super::Session;
use crate::deliver::mx::Target;
use crate::deliver::outcome::{Failure, Step, judge};
use crate::deliver::pending::Peer;
use crate::deliver::policy::{Assurance, DestinationTls, HostPolicy, Origin, ResultType};

/// How far STARTTLS came.
enum Started {
    /// Under TLS, and with a flaw where the certificate was only looked at.
    Secured(Box<Session>, Result<(), ResultType>),
    /// The server has no TLS, at all or now; the session can go on in clear text.
    NotOffered(Box<Session>, Failure),
    /// TLS was begun and did not come about; the connection is gone.
    Broken(Failure, ResultType),
}

impl Session {
    /// Opens a session over `tcp`, a connection to `target`: under TLS as its policy asks for it, and logged in where the way has a login.
    /// What may go in clear text and meets broken TLS is tried again without, over another connection, and remembered.
    pub(crate) async fn open(
        way: &Way<'_>,
        dialer: &Dialer<'_>,
        target: &Target,
        Reached { policy, tcp }: Reached,
    ) -> Result<Self, Failure> {
        let mut session = Self::open_by(&policy, way, dialer, target, tcp).await?;
        if let Some(login) = way.relay.and_then(|relay| relay.login.as_ref()) {
            session.authenticate(login, way).await?;
        }
        Ok(session)
    }

    async fn open_by(
        policy: &HostPolicy,
        way: &Way<'_>,
        dialer: &Dialer<'_>,
        target: &Target,
        tcp: TcpStream,
    ) -> Result<Self, Failure> {
        let tls = way.tls;
        let session = Self::new(way, policy, dialer.cut, target, tcp);
        let sending = session.connection.local();
        let observe = |result| tls.observe(target, policy.found.clone(), result, sending);
        let implicit = way.is_tls_from_start() && policy.assurance != Assurance::Clear;
        let started = if implicit {
            session.tls_from_start(tls, policy).await?
        } else {
            let session = session.greet().await?;
            if tls.goes_without(policy, target) {
                return Ok(session);
            }
            session.start_tls(tls, policy).await?
        };
        match started {
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
                if implicit || !policy.may_be_clear() {
                    return Err(failure);
                }
                tls.note_broken(target);
                let tcp = dialer.connect(target).await?;
                Self::new(way, policy, dialer.cut, target, tcp).greet().await
            }
        }
    }

    /// TLS from the first octet (RFC 8314 §3.3), and then the greeting.
    async fn tls_from_start(self, tls: &DestinationTls<'_>, policy: &HostPolicy) -> Result<Started, Failure> {
        let (session, flaw) = match self.secure(tls, policy).await? {
            Ok(secured) => secured,
            Err((failure, result)) => return Ok(Started::Broken(failure, result)),
        };
        let session = session.greet().await?;
        session.settled_under_tls(policy, flaw)
    }

    async fn start_tls(mut self, tls: &DestinationTls<'_>, policy: &HostPolicy) -> Result<Started, Failure> {
        if !self.offered.starttls {
            return Ok(Started::NotOffered(Box::new(self), no_tls(policy)));
        }
        self.say(Step::StartTls, b"STARTTLS\r\n").await?;
        let reply = self.reply(Step::StartTls).await?;
        if let Some(reply) = judge(Step::StartTls, reply, self.settings.limits.reply_text_octets)? {
            // RFC 3207 §4: a server that has no TLS right now goes on without
            count("refused");
            let failure = Failure::Refused(Step::StartTls, reply);
            return Ok(Started::NotOffered(Box::new(self), failure));
        }
        let (mut session, flaw) = match self.secure(tls, policy).await? {
            Ok(secured) => secured,
            Err((failure, result)) => return Ok(Started::Broken(failure, result)),
        };
        // what was offered in clear text no longer counts (RFC 3207 §4.2)
        match session.hello().await {
            Ok(()) => session.settled_under_tls(policy, flaw),
            // in TLS 1.3 a server may turn the handshake down after the client thinks it done (RFC 8446 §2)
            Err(failure @ Failure::Lost(_)) => Ok(Started::Broken(failure, ResultType::ValidationFailure)),
            Err(failure) => Err(failure),
        }
    }

    /// The same session under TLS, with the flaw of its certificate where nothing hangs on it; or how the handshake failed.
    async fn secure(
        self,
        tls: &DestinationTls<'_>,
        policy: &HostPolicy,
    ) -> Result<Result<(Self, Option<ResultType>), (Failure, ResultType)>, Failure> {
        let connector = tls.connector(policy).await?;
        let ip = self.peer.target.address.ip();
        let secured = self.connection.secure(&connector, ip, &self.settings.limits).await;
        Ok(secured.map(|(connection, description, flaw)| {
            let peer = Peer { tls: Some(description), ..self.peer };
            (Self { connection, peer, ..self }, flaw)
        }))
    }

    fn settled_under_tls(self, policy: &HostPolicy, flaw: Option<ResultType>) -> Result<Started, Failure> {
        if policy.require_tls && !self.offered.require_tls {
            return Err(Failure::NeedsRequireTls("the server does not offer it".to_owned()));
        }
        Ok(Started::Secured(Box::new(self), flaw.map_or(Ok(()), Err)))
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
