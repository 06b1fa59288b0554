//! The keys of `[tls_reports]`.

use shared::config::{Section, Setting};
use shared::mail::Mailbox;

/// Whom reports of TLS (RFC 8460) are from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsReports {
    pub(crate) from: Mailbox,
    /// The hostname stands for it where it is not set.
    pub(crate) organization: Option<String>,
}

pub(super) fn tls_reports(section: &mut Section<'_>) -> Option<TlsReports> {
    let from: Option<From> = section.optional("from");
    let organization: Option<String> = section.optional("organization");
    if from.is_none() && organization.is_some() {
        section.mistake("organization", "no report is made without `from`", "set `from`, or leave it out");
    }
    from.map(|From(from)| TlsReports { from, organization })
}

struct From(Mailbox);

impl Setting for From {
    const RIGHT: &'static str = "a mail address, such as tls-reports@example.net";

    fn read(text: &str) -> Option<Self> {
        Mailbox::parse(text).ok().filter(Mailbox::is_ascii).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::{Reader, Role, read};

    fn told(role: Role, environment: &[(&str, &str)]) -> Vec<String> {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let stores =
            [("STATE", "dynamodb:t"), ("DIRECTORY", "dynamodb:t"), ("QUEUE_OUTBOUND", "sqs:https://q")];
        let stores =
            stores.into_iter().map(|(name, url)| (format!("SPOOLWAY_STORES_{name}"), url.to_owned()));
        match read("", environment.chain(stores), Reader::Function(role)) {
            Ok(_) => Vec::new(),
            Err(mistakes) => mistakes.into_iter().map(|mistake| mistake.key).collect(),
        }
    }

    #[test]
    fn a_sweep_that_reports_has_a_name_and_the_stores_that_take_a_report() {
        assert_eq!(told(Role::Sweep, &[]), [""; 0]);
        assert_eq!(
            told(Role::Sweep, &[("SPOOLWAY_TLS_REPORTS_FROM", "tls@example.net")]),
            ["hostname", "stores.spool", "stores.queue_inbound", "stores.counters"]
        );
        assert_eq!(
            told(Role::Sweep, &[("SPOOLWAY_TLS_REPORTS_ORGANIZATION", "Example")]),
            ["SPOOLWAY_TLS_REPORTS_ORGANIZATION"]
        );
    }
}
