//! `spoolway suppress`: whom a tenant's mail is not sent to.

mod file;
mod run;
mod transfer;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use shared::directory::{SuppressionEntry, SuppressionReason};
use shared::mail::{Domain, Mailbox, TenantId, Timestamp};
use shared::port::{Directory, Entry, EntryKind};

use crate::exit::{Exit, Failure, Outcome};
use crate::limits::ENTRY_PAGE;
use crate::screen::{Screen, Table, count, moment, plain, write_json};
use crate::trace::rfc3339;

pub(crate) use run::{bounces, suppress};
pub(crate) use transfer::{export, import};

/// What the command needs of an edge.
pub(crate) struct Ports {
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) now: Timestamp,
}

/// What `add` is told beside the addresses.
pub(crate) struct Terms {
    pub(crate) tenant: TenantId,
    pub(crate) reason: SuppressionReason,
    pub(crate) source: String,
    /// For how long; `None` is for good.
    pub(crate) lasts: Option<Duration>,
}

/// Suppresses addresses. One that is suppressed already gets the new terms.
pub(crate) async fn add(
    ports: &Ports,
    addresses: &[Mailbox],
    terms: &Terms,
    json: bool,
    out: &mut dyn Write,
) -> Outcome {
    let mut added = Vec::with_capacity(addresses.len());
    for address in addresses {
        let Terms { tenant, reason, source, lasts } = terms;
        let mut entry = SuppressionEntry::new(tenant.clone(), address.clone(), *reason, source, ports.now);
        entry.expires = lasts.map(|lasts| ports.now + lasts);
        ports.directory.put(Entry::from(entry.clone())).await?;
        added.push(View::from(&entry));
    }
    if json {
        return write_json(out, &added);
    }
    let told = count(added.len() as u64, "suppression");
    Ok(writeln!(out, "{told} for the mail of {}, in force within ten seconds.", terms.tenant)?)
}

/// Removes suppressions.
pub(crate) async fn remove(
    ports: &Ports,
    addresses: &[Mailbox],
    tenant: &TenantId,
    json: bool,
    out: &mut dyn Write,
) -> Outcome {
    let mut removed = Vec::new();
    for address in addresses {
        let name = SuppressionEntry::name_of(tenant, address);
        if ports.directory.delete(EntryKind::Suppression, &name).await? {
            removed.push(address.to_string());
        }
    }
    if removed.is_empty() {
        let text =
            format!("none of them is suppressed; `spoolway suppress list --tenant {tenant}` names all");
        return Err(Failure::new(Exit::NoInput, text));
    }
    if json {
        return write_json(out, &removed);
    }
    Ok(writeln!(out, "{} removed; mail is sent there again.", count(removed.len() as u64, "suppression"))?)
}

/// The suppressions of a tenant, or of a tenant at a domain.
pub(crate) async fn list(
    ports: &Ports,
    tenant: &TenantId,
    domain: Option<&Domain>,
    json: bool,
    screen: Screen,
    out: &mut dyn Write,
) -> Outcome {
    let mut prefix = SuppressionEntry::before_all(tenant);
    if let Some(domain) = domain {
        prefix = format!("{prefix}{domain} ");
    }
    let mut views = Vec::new();
    let mut pages = Pages::of(ports, Some(prefix));
    while let Some(page) = pages.next().await? {
        views.extend(page.iter().map(View::from));
    }
    if json {
        return write_json(out, &views);
    }
    if views.is_empty() {
        return Ok(writeln!(out, "No address is suppressed for the mail of {tenant}.")?);
    }
    let mut table = Table::new(&["address", "reason", "since", "until", "source"], &[]);
    for view in views {
        let until = match view.expires {
            Some(at) if at <= ports.now => format!("{} (over)", moment(at)),
            Some(at) => moment(at),
            None => "for good".to_owned(),
        };
        let source = plain(&view.source).into_owned();
        table.row(vec![view.address, view.reason.to_string(), moment(view.since), until, source]);
    }
    Ok(table.write(out, screen)?)
}

/// The entries whose names begin with a prefix, page by page.
struct Pages<'a> {
    ports: &'a Ports,
    prefix: Option<String>,
    after: Option<String>,
    over: bool,
}

impl<'a> Pages<'a> {
    fn of(ports: &'a Ports, prefix: Option<String>) -> Self {
        Self { ports, after: prefix.clone(), prefix, over: false }
    }

    async fn next(&mut self) -> Outcome<Option<Vec<SuppressionEntry>>> {
        if self.over {
            return Ok(None);
        }
        let after = self.after.as_deref();
        let page = self.ports.directory.list(EntryKind::Suppression, after, ENTRY_PAGE).await?;
        self.over = page.len() < ENTRY_PAGE;
        self.after = page.last().map(|last| last.name.clone());
        let prefix = self.prefix.as_deref().unwrap_or_default();
        let mut entries = Vec::with_capacity(page.len());
        for entry in page {
            if !entry.name.starts_with(prefix) {
                self.over = true;
                break;
            }
            entries.push(SuppressionEntry::try_from(entry)?);
        }
        Ok(Some(entries))
    }
}

/// A suppression as it is shown; fields are added, never changed.
#[derive(Serialize)]
struct View {
    tenant: TenantId,
    address: String,
    reason: SuppressionReason,
    source: String,
    #[serde(serialize_with = "rfc3339::serialize")]
    since: Timestamp,
    #[serde(with = "rfc3339::option")]
    expires: Option<Timestamp>,
}

impl From<&SuppressionEntry> for View {
    fn from(entry: &SuppressionEntry) -> Self {
        let SuppressionEntry { tenant, address, reason, source, since, expires } = entry.clone();
        Self { tenant, address: address.to_string(), reason, source, since, expires }
    }
}

#[cfg(test)]
mod tests;
