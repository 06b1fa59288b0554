//! The prepare stage: a pack in, jobs of deliveries out. It reads each message once, from the first octet to the last, in pieces: the
//! checksum and the body hash of DKIM are made in the same pass, and nothing of the bytes is kept.
//!
//! - Nothing of a pack is sent before all of it was read and found whole.
//! - Preparing a pack twice is harmless. Its jobs are named by what they carry; where the pack was claimed before, they are marked
//!   `check`. A prefix is made of the message and the keys alone, so that a second run makes the same.
//! - A message that is held (RFC 4865) becomes deliveries in the state, due at its release, and no job. Whether it is held is a matter of
//!   the message alone, and not of the time it is prepared at: a second run must not send what the first one holds.
//! - The envelope comes from the pack's header and never from a message's.

mod content;
mod hold;
mod prefix;
mod return_paths;
mod scan;
mod signers;
mod split;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use shared::job::{Job, JobError, PrepareJob};
use shared::mail::{Mailbox, MessageId, PackId};
use shared::pack::{PackError, PackReader, PackedMessage};
use shared::port::{BATCH_MAX, Claim, Clock, Deliveries, Directory, Keys, PortError, Queue, Spool, chain};
use shared::return_path::ReturnPaths;
use thiserror::Error;
use tracing::{error, info, warn};

use self::content::Content;
use self::scan::{Scan, Unsigned};
use self::signers::Signers;
use self::split::Jobs;
use crate::dkim::{BodyHash, Canonicalization, SignedFields};
use crate::limits::{HELD_PAUSE, LEASE, RETAIN, RETRY_LIFETIME, prepare as limits};
use crate::{Stage, Verdict};

/// What the stage works with.
#[derive(Clone)]
pub struct PreparePorts {
    /// Where the packs are.
    pub spool: Arc<dyn Spool>,
    /// Where the jobs go.
    pub outbound: Arc<dyn Queue>,
    /// Where packs are claimed.
    pub deliveries: Arc<dyn Deliveries>,
    /// The domains that are signed for.
    pub directory: Arc<dyn Directory>,
    /// Their keys.
    pub keys: Arc<dyn Keys>,
    /// What submissions leave with for MAIL FROM, so that their bounces come back here; `None` leaves MAIL FROM as it is.
    pub return_paths: Option<Arc<ReturnPaths>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// How the stage works.
#[derive(Debug, Clone)]
pub struct PrepareSettings {
    /// Our name in Received lines and Message-IDs.
    pub hostname: String,
    /// How long delivery of a message is tried.
    pub lifetime: Duration,
    /// How long beyond that what is held is remembered.
    pub retain: Duration,
    /// Who claims the packs; tells this process from every other.
    pub holder: String,
    /// How long a pack is claimed; longer than preparing the largest takes.
    pub lease: Duration,
}

impl Default for PrepareSettings {
    fn default() -> Self {
        Self {
            hostname: "localhost".to_owned(),
            lifetime: RETRY_LIFETIME,
            retain: RETAIN,
            holder: "prepare".to_owned(),
            lease: LEASE,
        }
    }
}

/// The stage.
pub struct Prepare {
    settings: PrepareSettings,
    ports: PreparePorts,
    signers: Signers,
    runs: AtomicU64,
}

/// Why a pack is not prepared.
#[derive(Debug, Error)]
enum Failure {
    #[error("the job is not one of this stage")]
    Job(#[from] JobError),
    #[error(transparent)]
    Pack(#[from] PackError),
    #[error("the store of claims did not answer")]
    Claim(#[source] PortError),
    #[error("the signing keys could not be read")]
    Keys(#[source] PortError),
    #[error("the keys of return paths could not be read")]
    ReturnPaths(#[source] PortError),
    #[error("held deliveries could not be written")]
    Hold(#[source] PortError),
    #[error("jobs could not be sent")]
    Send(#[source] PortError),
}

/// A message that is ready to be split.
struct Prepared {
    id: MessageId,
    message: PackedMessage,
    prefix: String,
    subject: String,
    signed: Vec<String>,
    unsigned: Option<Unsigned>,
    /// One for each recipient, sorted by domain; or none.
    return_paths: Vec<Mailbox>,
}

#[async_trait]
impl Stage for Prepare {
    fn name(&self) -> &'static str {
        "prepare"
    }

    async fn run(&self, body: &str) -> Verdict {
        let pack = match PrepareJob::decode(body) {
            Ok(job) => job.pack,
            Err(wrong) => return self.failed(None, &wrong.into()).await,
        };
        // two runs in one process are two holders: one must not take the other's claim for its own
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let holder = format!("{}#{run}", self.settings.holder);
        let claim = claim_name(pack);
        let now = self.ports.clock.now();
        let again = match self.ports.deliveries.claim(&claim, &holder, now, self.settings.lease).await {
            Ok(Claim::Taken { again }) => again,
            Ok(Claim::Finished) => return Verdict::Done,
            Ok(Claim::Held { until }) => {
                return Verdict::Again { after: until.since(now).max(HELD_PAUSE.0) };
            }
            Err(wrong) => return self.failed(Some(pack), &Failure::Claim(wrong)).await,
        };
        match self.prepare(pack, &holder, again).await {
            Ok(()) => Verdict::Done,
            Err(failure) => {
                // where this fails too, the lease runs out
                let _ = self.ports.deliveries.abandon(&claim, &holder).await;
                self.failed(Some(pack), &failure).await
            }
        }
    }
}

impl Prepare {
    /// The stage, at rest.
    pub fn new(settings: PrepareSettings, ports: PreparePorts) -> Self {
        let signers = Signers::new(ports.directory.clone(), ports.keys.clone(), ports.clock.clone());
        Self { settings, ports, signers, runs: AtomicU64::new(0) }
    }

    async fn prepare(&self, pack: PackId, holder: &str, again: bool) -> Result<(), Failure> {
        let mut reader = PackReader::new(self.ports.spool.clone(), pack);
        let header = reader.header().await?;
        let mut prepared = Vec::with_capacity(header.messages.len());
        for message in header.messages {
            prepared.push(self.prepare_message(&mut reader, message).await?);
        }
        let released_at = self.hold(&mut prepared).await.map_err(Failure::Hold)?;
        // killed before the last job is sent: the next run finds the claim taken before, and marks all of its jobs
        let sent = self.send(&mut prepared, again).await?;
        let tried_from = released_at.max(self.ports.clock.now());
        let forget_at = tried_from + self.settings.lifetime + limits::FORGET_AFTER_LIFETIME;
        let finished = self.ports.deliveries.finish(&claim_name(pack), holder, forget_at).await;
        finished.map_err(Failure::Claim)?;
        tell(pack, &prepared, sent, again);
        Ok(())
    }

    async fn prepare_message(
        &self,
        reader: &mut PackReader,
        message: PackedMessage,
    ) -> Result<Prepared, Failure> {
        let id = MessageId { pack: reader.id(), n: message.n };
        let mut content = Content::new(reader, &message);
        let section = content.header().await?;
        let mut scan = Scan::of(&section.octets, section.whole);
        let (mut signers, mut unsigned) = (None, None);
        if message.client.submission {
            match scan.author_domain() {
                Ok(domain) => match self.signers.find(&domain).await.map_err(Failure::Keys)? {
                    Some(found) => signers = Some(found),
                    None => unsigned = Some(Unsigned::NotOurDomain),
                },
                Err(reason) => unsigned = Some(reason),
            }
        }
        let mut hash = signers.as_ref().map(|_| BodyHash::new(Canonicalization::Relaxed));
        while let Some(piece) = content.piece().await? {
            if let Some(hash) = &mut hash {
                hash.update(&piece);
            }
        }
        let mut prefix = prefix::received(&self.settings.hostname, id, &message);
        prefix::dns(&mut prefix, &self.settings.hostname, &message.client);
        if message.client.submission {
            prefix::complete(&mut prefix, &self.settings.hostname, id, message.received_at, &scan);
        }
        let mut signed = Vec::new();
        if let (Some(signers), Some(hash)) = (signers, hash) {
            match SignedFields::pick(&[prefix.as_bytes(), &section.octets]) {
                Ok(picked) => {
                    let hash = hash.finish();
                    for signer in signers.iter() {
                        // the time is that of the message, so that another run makes the same signature
                        match signer.sign(&picked, &hash, message.received_at, &mut prefix) {
                            Ok(()) => signed.push(signer.name()),
                            Err(wrong) => error!(message_id = %id, key = signer.name(), "{wrong}"),
                        }
                    }
                    if signed.is_empty() {
                        unsigned = Some(Unsigned::NoKey);
                    }
                }
                Err(_) => unsigned = Some(Unsigned::TooManyFields),
            }
            // RSA takes most of a millisecond: let others have their turn
            tokio::task::yield_now().await;
        }
        if scan.opens_with_body {
            prefix.push_str("\r\n");
        }
        let mut message = message;
        // RFC 8689 §4.1: REQUIRETLS goes before the field
        message.content.tls_not_required = scan.tls_not_required && !message.envelope.options.require_tls;
        let return_paths = self.return_paths(id, &message).await.map_err(Failure::ReturnPaths)?;
        let subject = scan.take_subject();
        Ok(Prepared { id, prefix, subject, signed, unsigned, return_paths, message })
    }

    /// Sends the jobs of a pack that was found whole; tells how many.
    async fn send(&self, prepared: &mut [Prepared], check: bool) -> Result<usize, Failure> {
        let mut jobs = Jobs::of(prepared, self.bounces(), self.settings.lifetime, check);
        let (mut sent, mut failed) = (0, None);
        loop {
            let batch: Vec<_> = jobs.by_ref().take(BATCH_MAX).collect();
            if batch.is_empty() {
                return failed.map_or(Ok(sent), |cause| Err(Failure::Send(cause)));
            }
            sent += batch.len();
            let results = self.ports.outbound.send(batch).await.map_err(Failure::Send)?;
            // a job that the queue does not take must not keep those behind it from going
            failed = results.into_iter().filter_map(Result::err).last().or(failed);
        }
    }

    /// Says what went wrong, and when to try again.
    async fn failed(&self, pack: Option<PackId>, failure: &Failure) -> Verdict {
        let pack_id = pack.map(|pack| pack.to_string()).unwrap_or_default();
        let cause = chain(failure);
        let (result, after) = match failure {
            Failure::Job(_) => {
                error!(cause, "a job of the inbound queue cannot be read");
                ("malformed", limits::AGAIN_AFTER_BROKEN)
            }
            Failure::Pack(PackError::Corrupt(_)) => {
                error!(pack_id, cause, "a pack is corrupt and is set aside; nothing of it is delivered");
                if let Some(pack) = pack
                    && let Err(wrong) = self.ports.spool.set_aside(pack).await
                {
                    error!(pack_id, cause = wrong.chain(), "the corrupt pack could not be set aside");
                }
                ("corrupt", limits::AGAIN_AFTER_BROKEN)
            }
            Failure::Pack(PackError::Missing) => {
                error!(pack_id, cause, "a pack cannot be prepared");
                ("missing", limits::AGAIN_AFTER_MISSING)
            }
            Failure::Pack(PackError::Spool(_))
            | Failure::Claim(_)
            | Failure::Keys(_)
            | Failure::ReturnPaths(_)
            | Failure::Hold(_)
            | Failure::Send(_) => {
                warn!(pack_id, cause, "a pack cannot be prepared yet");
                ("failed", limits::AGAIN_AFTER)
            }
        };
        metrics::counter!("spoolway_prepare_packs_total", "result" => result).increment(1);
        Verdict::Again { after }
    }
}

fn claim_name(pack: PackId) -> String {
    format!("P#{pack}")
}

/// Logs and counts what was prepared.
fn tell(pack: PackId, prepared: &[Prepared], jobs: usize, again: bool) {
    let mut octets = 0;
    for Prepared { id, message, signed, unsigned, .. } in prepared {
        octets += message.length;
        let unsigned = unsigned.map(Unsigned::as_str);
        info!(
            message_id = %id,
            tenant = %message.tenant,
            size = message.length,
            signed = signed.len(),
            unsigned,
            again,
            "prepared"
        );
        if let Some(reason) = unsigned {
            metrics::counter!("spoolway_prepare_unsigned_total", "reason" => reason).increment(1);
        }
    }
    tracing::debug!(pack_id = %pack, messages = prepared.len(), jobs, "a pack is prepared");
    metrics::counter!("spoolway_prepare_packs_total", "result" => "prepared").increment(1);
    metrics::counter!("spoolway_prepare_messages_total").increment(prepared.len() as u64);
    metrics::counter!("spoolway_prepare_octets_total").increment(octets);
    metrics::counter!("spoolway_prepare_jobs_total").increment(jobs as u64);
}
