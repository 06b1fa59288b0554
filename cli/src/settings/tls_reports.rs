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
