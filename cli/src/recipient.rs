//! `spoolway recipient`: whom listeners of the kind `mx` take mail for.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use serde::Serialize;
use shared::directory::{RecipientEntry, RecipientPattern, Recipients};
use shared::limits::RECIPIENT_PATTERNS_MAX;
use shared::mail::{Domain, Timestamp};
use shared::port::{Directory, Entry, EntryKind};

use crate::exit::{Exit, Failure, Outcome};
use crate::limits::ENTRY_PAGE;
use crate::screen::{Screen, Table, count, moment, write_json};
use crate::trace::rfc3339;

/// What the command needs of an edge.
pub(crate) struct Ports {
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) now: Timestamp,
}

/// Adds recipients. One that is there already stays as it is. Where a domain would have too many patterns, none is added.
pub(crate) async fn add(
    ports: &Ports,
    recipients: &[RecipientPattern],
    json: bool,
    out: &mut dyn Write,
) -> Outcome {
    let mut new = BTreeMap::new();
    for recipient in recipients {
        let name = recipient.entry_name();
        if ports.directory.get(EntryKind::Recipient, &name).await?.is_none() {
            new.insert(name, recipient);
        }
    }
    check_patterns(ports, new.values().copied()).await?;
    let mut added = Vec::new();
    for recipient in new.into_values() {
        let entry = RecipientEntry { recipient: recipient.clone(), created: ports.now };
        ports.directory.put(Entry::from(entry)).await?;
        added.push(recipient.to_string());
    }
    if json {
        return write_json(out, &added);
    }
    Ok(writeln!(
        out,
        "{} added; mail for them is taken within a minute.",
        count(added.len() as u64, "recipient")
    )?)
}

/// Removes recipients.
pub(crate) async fn remove(
    ports: &Ports,
    recipients: &[RecipientPattern],
    json: bool,
    out: &mut dyn Write,
) -> Outcome {
    let mut removed = Vec::new();
    for recipient in recipients {
        if ports.directory.delete(EntryKind::Recipient, &recipient.entry_name()).await? {
            removed.push(recipient.to_string());
        }
    }
    if removed.is_empty() {
        let text = "none of them is there; `spoolway recipient list DOMAIN` names all";
        return Err(Failure::new(Exit::NoInput, text));
    }
    if json {
        return write_json(out, &removed);
    }
    Ok(writeln!(out, "{} removed.", count(removed.len() as u64, "recipient"))?)
}

/// The recipients of a domain, its patterns first.
pub(crate) async fn list(
    ports: &Ports,
    domain: &Domain,
    json: bool,
    screen: Screen,
    out: &mut dyn Write,
) -> Outcome {
    let entries = entries(ports, domain).await?;
    let views: Vec<View> = entries.iter().map(View::from).collect();
    if json {
        return write_json(out, &views);
    }
    if views.is_empty() {
        let text = format!("No recipient at {domain}. Add one with `spoolway recipient add ADDRESS`.");
        return Ok(writeln!(out, "{text}")?);
    }
    let mut table = Table::new(&["recipient", "added"], &[]);
    for view in views {
        table.row(vec![view.recipient, moment(view.created)]);
    }
    Ok(table.write(out, screen)?)
}

/// Refuses more patterns than ingresses read for a domain.
async fn check_patterns(ports: &Ports, new: impl Iterator<Item = &RecipientPattern>) -> Outcome<()> {
    let mut more: BTreeMap<&Domain, usize> = BTreeMap::new();
    for recipient in new.filter(|recipient| recipient.is_many()) {
        *more.entry(recipient.domain()).or_default() += 1;
    }
    for (domain, more) in more {
        let there = patterns(ports, domain).await?;
        if there + more > RECIPIENT_PATTERNS_MAX {
            let text = format!(
                "{domain} has {there} patterns, and with {more} more it would have over {RECIPIENT_PATTERNS_MAX}, which no domain \
                 may; none was added; use wider ones"
            );
            return Err(Failure::new(Exit::Data, text));
        }
    }
    Ok(())
}

async fn patterns(ports: &Ports, domain: &Domain) -> Outcome<usize> {
    Ok(entries(ports, domain).await?.iter().filter(|entry| entry.recipient.is_many()).count())
}

async fn entries(ports: &Ports, domain: &Domain) -> Outcome<Vec<RecipientEntry>> {
    let names = Recipients::of(domain);
    let mut after = names.before_all().to_owned();
    let mut found = Vec::new();
    loop {
        let page = ports.directory.list(EntryKind::Recipient, Some(&after), ENTRY_PAGE).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after.clone_from(&last.name);
        for entry in page {
            if !names.has(&entry.name) {
                return Ok(found);
            }
            found.push(RecipientEntry::try_from(entry)?);
        }
    }
}

#[derive(Serialize)]
struct View {
    recipient: String,
    #[serde(serialize_with = "rfc3339::serialize")]
    created: Timestamp,
}

impl From<&RecipientEntry> for View {
    fn from(entry: &RecipientEntry) -> Self {
        Self { recipient: entry.recipient.to_string(), created: entry.created }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{NOW, stores, text};

    #[tokio::test]
    async fn recipients_are_added_listed_and_removed() {
        let open = stores().await;
        let ports = Ports { directory: open.stores.directory.clone(), now: NOW };
        let read = |text: &str| text.parse::<RecipientPattern>().unwrap();
        let all = [read("app@example.com"), read("sales-*@example.com"), read("x@example.org")];
        let mut out = Vec::new();
        add(&ports, &all, false, &mut out).await.unwrap();
        add(&ports, &all, false, &mut out).await.unwrap();
        let domain = "example.com".parse().unwrap();
        list(&ports, &domain, true, Screen::default(), &mut out).await.unwrap();
        remove(&ports, &all[..1], false, &mut out).await.unwrap();
        list(&ports, &domain, false, Screen::default(), &mut out).await.unwrap();
        let told = text(out);
        assert!(
            told.starts_with(
                "3 recipients added; mail for them is taken within a minute.\n0 recipients added"
            ),
            "{told}"
        );
        assert!(told.find("sales-*@example.com").unwrap() < told.find("app@example.com").unwrap(), "{told}");
        assert!(told.contains("1 recipient removed.") && !told.contains("x@example.org"), "{told}");
        assert_eq!(remove(&ports, &all[..1], false, &mut Vec::new()).await.unwrap_err().exit, Exit::NoInput);
        let many: Vec<_> =
            (0..RECIPIENT_PATTERNS_MAX).map(|n| read(&format!("list{n}-*@example.com"))).collect();
        assert_eq!(add(&ports, &many, false, &mut Vec::new()).await.unwrap_err().exit, Exit::Data);
        let mut out = Vec::new();
        list(&ports, &domain, false, Screen::default(), &mut out).await.unwrap();
        assert!(!text(out).contains("list"), "all or none");
    }
}
