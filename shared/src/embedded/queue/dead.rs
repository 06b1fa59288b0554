//! What is said about an entry that goes to the dead-letter queue.

use crate::job::{DeliverJob, Job, PrepareJob};

/// Logs and counts the end of a job that was received `receives` times in vain. Whoever reads it must be able to find the mail: it is
/// named by its pack or its messages.
pub(super) fn tell(queue: &str, receives: u32, body: &str) {
    metrics::counter!("spoolway_jobs_dead_total", "queue" => queue.to_owned()).increment(1);
    if let Ok(PrepareJob { pack }) = PrepareJob::decode(body) {
        tracing::error!(queue, receives, pack_id = %pack, "a job is dead: its pack was never prepared");
        return;
    }
    match DeliverJob::decode(body) {
        Ok(DeliverJob { id, tell: Some(tell), .. }) => {
            let message_id = tell.message;
            tracing::error!(queue, receives, job = %id, %message_id, "a job is dead: the sender is told by a later one");
        }
        Ok(job) => {
            let messages: Vec<String> =
                job.deliveries.iter().map(|delivery| delivery.key.to_string()).collect();
            let deliveries = messages.join(" ");
            tracing::error!(queue, receives, job = %job.id, deliveries, "a job is dead: its deliveries were never done");
        }
        Err(cause) => tracing::error!(queue, receives, %cause, "a job is dead: nobody can read it"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use rusqlite::Connection;

    use super::super::QueueSettings;
    use super::super::receive::{Wanted, receive};
    use super::super::store;
    use super::*;
    use crate::job::Tell;
    use crate::mail::{PackId, TenantId, Timestamp};
    use crate::port::Outgoing;
    use crate::telemetry::Metrics;
    use crate::testkit::samples;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(text);
            Ok(text.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged and counted when `body` has been received as often as it may be.
    fn told(body: &str) -> (String, String) {
        let db = Connection::open_in_memory().unwrap();
        store::define(&db).unwrap();
        let sent = Outgoing {
            body: body.to_owned(),
            delay: Duration::ZERO,
            tenant: Default::default(),
            priority: 0,
        };
        let now = Timestamp::from_millis(1_700_000_000_000);
        store::send(&db, "jobs", &[sent], now).unwrap();
        let settings = QueueSettings { visibility: Duration::ZERO, receives_max: 2 };
        let log = Log::default();
        let writer = log.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let metrics = Metrics::local(|| {
            tracing::subscriber::with_default(subscriber, || {
                let wanted = Wanted { queue: "jobs", settings, max: 1, but: &[], now };
                let receive = || receive(&db, &wanted, &mut String::new()).unwrap().entries.len();
                assert_eq!([receive(), receive(), receive(), receive()], [1, 1, 0, 0]);
            });
        });
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        (text, metrics.render())
    }

    #[test]
    fn a_dead_job_is_logged_as_an_error_by_what_it_carries_and_counted_once() {
        let pack = PackId::derived(Timestamp::from_millis(0), "x");
        let deliver = DeliverJob::new(vec![samples::delivery(&["user@example.org"])], false);
        let message = samples::delivery(&["user@example.org"]).key.message;
        let tell = Tell { message, tenant: TenantId::default(), reminders: vec!["a reminder".to_owned()] };
        let tell = DeliverJob::tell(tell, Timestamp::from_millis(0));
        let (id, key) = (deliver.id.to_string(), deliver.deliveries[0].key.to_string());
        for (body, names) in [
            (PrepareJob { pack }.encode(), vec![pack.to_string()]),
            (deliver.encode(), vec![id, key]),
            (tell.encode(), vec![tell.id.to_string(), message.to_string()]),
            ("no job".to_owned(), vec!["nobody can read it".to_owned()]),
        ] {
            let (log, metrics) = told(&body);
            assert_eq!((log.lines().count(), log.contains("ERROR")), (1, true), "{log}");
            assert!(names.iter().all(|name| log.contains(name)), "{names:?} in {log}");
            assert!(metrics.contains("spoolway_jobs_dead_total{queue=\"jobs\"} 1"), "{metrics}");
        }
    }
}
