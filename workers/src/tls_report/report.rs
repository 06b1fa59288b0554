//! The report of a domain's day (RFC 8460 §4.4).

use serde::Serialize;
use serde_json::Value;
use shared::mail::{Domain, Timestamp};

use super::ReportsSettings;
use super::observation::{Failure, Policy, Seen};
use super::tally::day;
use crate::limits::tls_report::FAILURES_TOLD_MAX;

/// What a day came to with one domain.
#[derive(Debug, Clone)]
pub(super) struct DayOf {
    pub(super) domain: Domain,
    /// A moment of the day.
    pub(super) at: Timestamp,
    pub(super) policies: Vec<PolicyDay>,
}

/// What it came to under one policy.
#[derive(Debug, Clone)]
pub(super) struct PolicyDay {
    policy: Policy,
    successes: u64,
    failures: Vec<(Failure, u64)>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Report<'a> {
    organization_name: &'a str,
    date_range: DateRange,
    contact_info: &'a str,
    report_id: &'a str,
    policies: Vec<PolicyReport<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct DateRange {
    start_datetime: String,
    end_datetime: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct PolicyReport<'a> {
    policy: Value,
    summary: Summary,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failure_details: Vec<Details<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Summary {
    total_successful_session_count: u64,
    total_failure_session_count: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Details<'a> {
    #[serde(flatten)]
    failure: &'a Failure,
    failed_session_count: u64,
}

impl DayOf {
    pub(super) fn new(domain: Domain, at: Timestamp) -> Self {
        Self { domain, at, policies: Vec::new() }
    }

    /// Adds what was seen `n` times. Those of one policy come one after the other.
    pub(super) fn add(&mut self, seen: Seen, n: u64) {
        if self.policies.last().is_none_or(|last| last.policy != seen.policy) {
            self.policies.push(PolicyDay { policy: seen.policy, successes: 0, failures: Vec::new() });
        }
        let Some(last) = self.policies.last_mut() else { return };
        match seen.failure {
            None => last.successes += n,
            Some(failure) => last.failures.push((failure, n)),
        }
    }

    /// First and last second of the day, in RFC 3339.
    pub(super) fn range(&self) -> (String, String) {
        let day = day(self.at);
        (format!("{day}T00:00:00Z"), format!("{day}T23:59:59Z"))
    }

    /// The name of the report's file (RFC 8460 §5.1), without its extension.
    pub(super) fn file_name(&self, submitter: &str) -> String {
        let (first, last) = self.range();
        let seconds = |text: &str| Timestamp::parse_utc(text).map_or(0, |at| at.millis() / 1000);
        format!("{submitter}!{}!{}!{}", self.domain, seconds(&first), seconds(&last))
    }

    /// The report, as JSON. Of very many kinds of failure the most frequent are told one by one.
    pub(super) fn to_json(&self, settings: &ReportsSettings, id: &str) -> String {
        let (start_datetime, end_datetime) = self.range();
        let report = Report {
            organization_name: &settings.organization,
            date_range: DateRange { start_datetime, end_datetime },
            contact_info: settings.from.as_str(),
            report_id: id,
            policies: self.policies.iter().map(|day| self.policy(day)).collect(),
        };
        serde_json::to_string(&report).expect("a report is plain data")
    }

    fn policy<'a>(&self, day: &'a PolicyDay) -> PolicyReport<'a> {
        let mut policy = serde_json::to_value(&day.policy).expect("a policy is plain data");
        policy["policy-domain"] = self.domain.as_str().into();
        let mut failures: Vec<&(Failure, u64)> = day.failures.iter().collect();
        failures.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        PolicyReport {
            policy,
            summary: Summary {
                total_successful_session_count: day.successes,
                total_failure_session_count: day.failures.iter().map(|(_, n)| n).sum(),
            },
            failure_details: failures
                .into_iter()
                .take(FAILURES_TOLD_MAX)
                .map(|(failure, n)| Details { failure, failed_session_count: *n })
                .collect(),
        }
    }
}
