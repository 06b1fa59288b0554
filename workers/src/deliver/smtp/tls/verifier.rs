//! The seam to rustls: somebody judges the certificate, and what they say is kept.

use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

/// Decides whether the certificates that a server shows will do.
pub(super) trait Judge: Debug + Send + Sync {
    /// What they prove.
    fn judge(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Proved, Error>;
}

/// What a certificate proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proved {
    /// Nothing: nobody looked.
    Nothing,
    /// The server's name, by an authority that is trusted.
    Name,
    /// That a TLSA record means it (RFC 7672 §3.1.1).
    DaneEe,
    /// That whoever a TLSA record means vouches for the server's name (RFC 7672 §3.1.2).
    DaneTa,
}

/// Looks at certificates by a judge; without one it takes every certificate. That the server has its key is always checked.
#[derive(Debug)]
pub(super) struct Verifier {
    provider: Arc<CryptoProvider>,
    judge: Option<Box<dyn Judge>>,
    /// Whether the verdict is kept and has no consequences.
    lenient: bool,
    verdict: OnceLock<Result<Proved, Error>>,
}

impl Verifier {
    pub(super) fn new(provider: Arc<CryptoProvider>, judge: Option<Box<dyn Judge>>, lenient: bool) -> Self {
        Self { provider, judge, lenient, verdict: OnceLock::new() }
    }

    /// What came of the first certificate.
    pub(super) fn verdict(&self) -> Option<Result<Proved, Error>> {
        self.verdict.get().cloned()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = match &self.judge {
            Some(judge) => judge.judge(end_entity, intermediates, now),
            None => Ok(Proved::Nothing),
        };
        // a connector with a judge makes one handshake
        let _ = self.verdict.set(verdict.clone());
        match verdict {
            Err(error) if !self.lenient => Err(error),
            Ok(_) | Err(_) => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
