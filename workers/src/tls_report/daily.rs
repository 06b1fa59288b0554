//! Once a day: the counts of the day before, told to those who ask for them.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use shared::mail::{Mailbox, Timestamp};
use shared::port::{
    Claim, Clock, Count, Deliveries, Ids, PortResult, Queue, ResolveError, Resolver, Spool, Tallies, chain,
};

use super::observation::Seen;
use super::report::DayOf;
use super::rua::{self, Destination};
use super::tally::{book, day};
use super::{Post, ReportsSettings, mail};
use crate::limits::RETAIN;
use crate::limits::tls_report::{
    COUNTS_PAGE, DAY, DAY_SETTLES, REPORTS_SPREAD, RUN_LEASE, RUN_PAUSE, TOLD_WITHIN,
};

/// What reports need of the world.
#[derive(Clone)]
pub struct ReportsPorts {
    /// What was counted.
    pub tallies: Arc<dyn Tallies>,
    /// Whose turn it is to report a day.
    pub deliveries: Arc<dyn Deliveries>,
    /// Who wants reports.
    pub resolver: Arc<dyn Resolver>,
    /// Takes reports by mail.
    pub spool: Arc<dyn Spool>,
    /// Takes their jobs.
    pub inbound: Arc<dyn Queue>,
    /// Takes reports by HTTPS.
    pub post: Arc<dyn Post>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub ids: Arc<dyn Ids>,
}

/// The reports of an edge. Any number of processes may have them: one of them reports a day.
pub struct Reports {
    settings: ReportsSettings,
    ports: ReportsPorts,
    /// The last days that are known to be done.
    done: Mutex<BTreeSet<String>>,
}

/// What became of one domain's report.
enum Told {
    /// Whoever wants it has it, or nobody does.
    Done,
    /// Somebody has yet to get it.
    NotYet,
}

impl Reports {
    /// Reports as `settings` say.
    pub fn new(settings: ReportsSettings, ports: ReportsPorts) -> Self {
        Self { settings, ports, done: Mutex::default() }
    }

    /// Reports the days that are due and that nobody has reported; to be called now and then. It may be dropped anywhere: what was put in
    /// by mail is not put in twice, and what was posted may be posted again under the same id.
    pub async fn run_once(&self) {
        let now = self.ports.clock.now();
        let midnight = midnight(now);
        for ended_at in [midnight - DAY, midnight] {
            let age = now.since(ended_at);
            if (DAY_SETTLES + self.spread()..TOLD_WITHIN).contains(&age) {
                self.report(ended_at - DAY, age).await;
            }
        }
    }

    /// Reports the day of `at`, which ended `age` ago.
    async fn report(&self, at: Timestamp, age: Duration) {
        if self.is_done(at) {
            return;
        }
        let now = self.ports.clock.now();
        let job = format!("tls-report {}", day(at));
        let holder = format!("{:016x}", self.ports.ids.random());
        match self.ports.deliveries.claim(&job, &holder, now, RUN_LEASE).await {
            Ok(Claim::Taken { .. }) => {}
            Ok(Claim::Held { .. }) => return,
            Ok(Claim::Finished) => return self.set_done(at),
            Err(cause) => return tracing::warn!(cause = chain(&cause), "TLS reports could not be claimed"),
        }
        let ended = match self.tell_all(at).await {
            Ok(0) => self.ports.deliveries.finish(&job, &holder, now + RETAIN).await,
            Ok(_) if age + RUN_PAUSE + RUN_LEASE < TOLD_WITHIN => {
                // the claim runs out, and whoever takes it then tells those who are left
                self.ports.deliveries.claim(&job, &holder, now, RUN_PAUSE).await.map(drop)
            }
            Ok(left) => {
                tracing::warn!(left, "TLS reports that could not be told are given up");
                self.ports.deliveries.finish(&job, &holder, now + RETAIN).await
            }
            Err(cause) => Err(cause),
        };
        if let Err(cause) = ended {
            tracing::warn!(cause = chain(&cause), "TLS reports are not done yet");
        }
    }

    /// Tells the day of each domain that was seen in it; gives how many are yet to be told.
    async fn tell_all(&self, at: Timestamp) -> PortResult<usize> {
        let book = book(at);
        let mut left = 0;
        let mut after: Option<String> = None;
        let mut current: Option<(DayOf, Vec<String>)> = None;
        loop {
            let page = self.ports.tallies.read(&book, after.as_deref(), COUNTS_PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            for Count { key, detail, n } in page {
                let Ok(seen) = serde_json::from_str::<Seen>(&detail) else {
                    tracing::error!(key, "a count of TLS cannot be read, and is left out");
                    continue;
                };
                if current.as_ref().is_none_or(|(of, _)| of.domain != seen.domain) {
                    left += self.finish_domain(&book, current.take()).await?;
                }
                let (of, keys) =
                    current.get_or_insert_with(|| (DayOf::new(seen.domain.clone(), at), Vec::new()));
                of.add(seen, n);
                keys.push(key);
            }
        }
        left += self.finish_domain(&book, current).await?;
        Ok(left)
    }

    async fn finish_domain(&self, book: &str, current: Option<(DayOf, Vec<String>)>) -> PortResult<usize> {
        let Some((of, keys)) = current else { return Ok(0) };
        match self.tell(&of).await {
            Told::Done => self.ports.tallies.clear(book, &keys).await.map(|()| 0),
            Told::NotYet => Ok(1),
        }
    }

    async fn tell(&self, of: &DayOf) -> Told {
        let records = match self.ports.resolver.txt(&rua::record_name(of.domain.as_str())).await {
            Ok(answer) => answer.records,
            Err(ResolveError::NoSuchName { .. }) => return Told::Done,
            Err(cause) => {
                tracing::debug!(domain = %of.domain, %cause, "who wants a TLS report cannot be looked up");
                return Told::NotYet;
            }
        };
        let destinations = rua::read(&records);
        if destinations.is_empty() {
            return Told::Done;
        }
        let id = self.report_id(of);
        let Ok(gzipped) = gzip(&of.to_json(&self.settings, &id)) else { return Told::NotYet };
        let mailboxes = |to: &Destination| match to {
            Destination::Mail(mailbox) => Some(mailbox.clone()),
            Destination::Https(_) => None,
        };
        let mailboxes: Vec<Mailbox> = destinations.iter().filter_map(mailboxes).collect();
        let mut told = Told::Done;
        if !mailboxes.is_empty() {
            match mail::put_in(&self.ports, &self.settings, of, &id, &gzipped, &mailboxes).await {
                Ok(message) => self.note(of, "mail", &message.to_string()),
                Err(cause) => {
                    tracing::warn!(domain = %of.domain, cause = chain(&cause), "a TLS report could not be put in");
                    told = Told::NotYet;
                }
            }
        }
        for to in destinations {
            let Destination::Https(uri) = to else { continue };
            match self.ports.post.post(&uri, gzipped.clone()).await {
                Ok(()) => self.note(of, "https", &uri.to_string()),
                Err(cause) => {
                    tracing::warn!(domain = %of.domain, cause = chain(&cause), "a TLS report could not be posted");
                    told = Told::NotYet;
                }
            }
        }
        told
    }

    #[expect(clippy::unused_self, reason = "it stands beside what it notes")]
    fn note(&self, of: &DayOf, by: &'static str, to: &str) {
        metrics::counter!("spoolway_tls_reports_total", "by" => by).increment(1);
        tracing::info!(domain = %of.domain, by, to, "a TLS report is on its way");
    }

    /// The same each time that the day of a domain is told (RFC 8460 §4.4), so that one that comes twice is known again.
    fn report_id(&self, of: &DayOf) -> String {
        format!("{}.{}@{}", day(of.at), of.domain, self.settings.hostname)
    }

    /// Not all edges of this world report in the same minute.
    fn spread(&self) -> Duration {
        let hash = digest(&SHA256, self.settings.hostname.as_bytes());
        let part = hash.as_ref().iter().take(2).fold(0_u32, |sum, octet| sum << 8 | u32::from(*octet));
        REPORTS_SPREAD * part / 0x1_0000
    }

    fn is_done(&self, at: Timestamp) -> bool {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).contains(&day(at))
    }

    fn set_done(&self, at: Timestamp) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.retain(|known| *known >= day(at - DAY));
        done.insert(day(at));
    }
}

fn midnight(now: Timestamp) -> Timestamp {
    let day = i64::try_from(DAY.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(now.millis() - now.millis().rem_euclid(day))
}

fn gzip(text: &str) -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes())?;
    encoder.finish().map(Bytes::from)
}

#[cfg(test)]
mod tests;
