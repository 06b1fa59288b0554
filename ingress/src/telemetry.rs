//! The metrics of this crate.

use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use shared::mail::Reply;

const CONNECTIONS: &str = "spoolway_ingress_connections_total";
const SESSIONS: &str = "spoolway_ingress_sessions";
const MESSAGES: &str = "spoolway_ingress_messages_total";
const OCTETS: &str = "spoolway_ingress_message_octets_total";
const REFUSALS: &str = "spoolway_ingress_refusals_total";
const OVER_LIMIT: &str = "spoolway_ingress_over_limit_total";
const CHECKS: &str = "spoolway_ingress_checks_total";
const COUNTERS_FAILED: &str = "spoolway_ingress_counters_failed_total";
const COMMITS: &str = "spoolway_ingress_commits_total";
const COMMIT_MESSAGES: &str = "spoolway_ingress_commit_messages";
const COMMIT_SECONDS: &str = "spoolway_ingress_commit_seconds";

/// Tells the installed recorder what each metric means.
pub fn describe() {
    describe_counter!(CONNECTIONS, "connections accepted");
    describe_gauge!(SESSIONS, "sessions open now");
    describe_counter!(MESSAGES, "messages accepted with 250");
    describe_counter!(OCTETS, Unit::Bytes, "content of the messages accepted with 250");
    describe_counter!(REFUSALS, "replies of 4yz and 5yz, by code");
    describe_counter!(OVER_LIMIT, "clients over a limit against abuse, by limit");
    describe_counter!(
        CHECKS,
        "clients looked up in the DNS, by check (reverse_dns or a block list's zone) and result"
    );
    describe_counter!(COUNTERS_FAILED, "times that the counters of credentials did not answer");
    describe_counter!(COMMITS, "packs committed, by result: ok or failed");
    describe_histogram!(COMMIT_MESSAGES, "messages that shared a commit");
    describe_histogram!(COMMIT_SECONDS, Unit::Seconds, "how long a commit took");
    crate::tls::describe();
    crate::auth::describe();
}

/// How many clients were over `limit`.
pub(crate) fn over_limit(limit: &'static str) -> Counter {
    counter!(OVER_LIMIT, "limit" => limit)
}

/// Counts that the counters of credentials did not answer.
pub(crate) fn counters_failed() {
    counter!(COUNTERS_FAILED).increment(1);
}

/// How often a look at the DNS for a client came to `result`.
pub(crate) fn checked(check: &str, result: &'static str) -> Counter {
    counter!(CHECKS, "check" => check.to_owned(), "result" => result)
}

/// Handles to the metrics that each message touches. They belong to the recorder that is installed when it is made.
pub(crate) struct Telemetry {
    pub(crate) connections: Counter,
    pub(crate) sessions: Gauge,
    messages: Counter,
    octets: Counter,
    committed: Counter,
    commits_failed: Counter,
    commit_messages: Histogram,
    commit_seconds: Histogram,
}

impl Telemetry {
    pub(crate) fn new() -> Self {
        Self {
            connections: counter!(CONNECTIONS),
            sessions: gauge!(SESSIONS),
            messages: counter!(MESSAGES),
            octets: counter!(OCTETS),
            committed: counter!(COMMITS, "result" => "ok"),
            commits_failed: counter!(COMMITS, "result" => "failed"),
            commit_messages: histogram!(COMMIT_MESSAGES),
            commit_seconds: histogram!(COMMIT_SECONDS),
        }
    }

    pub(crate) fn accepted(&self, octets: u64) {
        self.messages.increment(1);
        self.octets.increment(octets);
    }

    #[expect(clippy::unused_self, reason = "each code is a metric of its own, and refusals are rare")]
    pub(crate) fn refused(&self, reply: &Reply) {
        counter!(REFUSALS, "code" => reply.code().to_string()).increment(1);
    }

    pub(crate) fn commit(&self, messages: usize, took: Duration, ok: bool) {
        if ok { &self.committed } else { &self.commits_failed }.increment(1);
        #[expect(clippy::cast_precision_loss, reason = "a pack has few messages")]
        self.commit_messages.record(messages as f64);
        self.commit_seconds.record(took);
    }
}
