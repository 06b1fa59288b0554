//! `spoolway domain`: the domains that mail is signed for, their keys, and the DNS records to publish.

use std::io::Write;
use std::sync::Arc;

use serde::Serialize;
use shared::directory::{DomainEntry, Selector};
use shared::mail::{Domain, Timestamp};
use shared::port::{Directory, EntryKind, Ids, KeyAlgorithm, Keys, SigningKey};

use crate::exit::{Exit, Failure, Outcome};
use crate::limits::{ENTRY_PAGE, SELECTOR_TRIES, TXT_STRING_OCTETS_MAX};
use crate::screen::{Screen, Table, Tone, count, moment, write_json};
use crate::trace::rfc3339;

/// What the command needs of an edge.
pub(crate) struct Ports {
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) keys: Arc<dyn Keys>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) now: Timestamp,
    /// Makes a key: its private half, and its public half in base64.
    pub(crate) generate: fn(KeyAlgorithm) -> Outcome<(SigningKey, String)>,
}

/// Makes keys for a domain that has none. Keys are stored before the entry that names them: a crash in between leaves keys
/// that nothing uses, and the next try takes other names.
pub(crate) async fn add(
    ports: &Ports,
    name: &Domain,
    selector: Option<&str>,
    json: bool,
    screen: Screen,
    out: &mut dyn Write,
) -> Outcome {
    if let Some(selector) = selector.filter(|selector| !is_selector(selector)) {
        let text =
            format!("`{}` is no selector; use up to 62 letters, digits and hyphens", selector.escape_debug());
        return Err(Failure::new(Exit::Usage, text));
    }
    if find(ports, name).await?.is_some() {
        let text = format!("{name} is signed for already; `spoolway domain show {name}` prints its records");
        return Err(Failure::new(Exit::Exists, text));
    }
    let mut selectors = Vec::with_capacity(2);
    for algorithm in [KeyAlgorithm::Rsa, KeyAlgorithm::Ed25519] {
        selectors.push(store_key(ports, name, selector, algorithm).await?);
    }
    let entry = DomainEntry { domain: name.clone(), selectors, created: ports.now };
    ports.directory.put(entry.clone().into()).await?;
    let view = View::from(entry);
    if json { write_json(out, &view) } else { write_added(&view, screen, out) }
}

/// The domains that are signed for.
pub(crate) async fn list(ports: &Ports, json: bool, screen: Screen, out: &mut dyn Write) -> Outcome {
    let mut views = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = ports.directory.list(EntryKind::Domain, after.as_deref(), ENTRY_PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.name.clone());
        for entry in page {
            views.push(View::from(DomainEntry::try_from(entry)?));
        }
    }
    if json {
        return write_json(out, &views);
    }
    if views.is_empty() {
        return Ok(writeln!(out, "No domain is signed for. Add one with `spoolway domain add NAME`.")?);
    }
    let mut table = Table::new(&["domain", "added", "selectors"], &[]);
    for view in &views {
        let selectors: Vec<&str> = view.records.iter().map(|record| record.selector.as_str()).collect();
        table.row(vec![view.domain.to_string(), moment(view.created), selectors.join(", ")]);
    }
    Ok(table.write(out, screen)?)
}

/// The DNS records of a domain.
pub(crate) async fn show(
    ports: &Ports,
    name: &Domain,
    json: bool,
    screen: Screen,
    out: &mut dyn Write,
) -> Outcome {
    let entry = find(ports, name).await?.ok_or_else(|| {
        let text = format!("{name} is not signed for; `spoolway domain add {name}` makes its keys");
        Failure::new(Exit::NoInput, text)
    })?;
    let view = View::from(entry);
    if json {
        return write_json(out, &view);
    }
    writeln!(
        out,
        "{} signs with {}.\n",
        screen.tint(Tone::Heading, name.as_str()),
        count(view.records.len() as u64, "key")
    )?;
    write_records(&view, out)
}

async fn find(ports: &Ports, name: &Domain) -> Outcome<Option<DomainEntry>> {
    let entry = ports.directory.get(EntryKind::Domain, name.as_str()).await?;
    Ok(entry.map(DomainEntry::try_from).transpose()?)
}

/// Makes a key and stores it under the name asked for, or under one that is free: `s`, the date, and the algorithm's
/// letter (`s20261121r`, `s20261121e`); where that is taken, with four random digits at its end.
async fn store_key(
    ports: &Ports,
    domain: &Domain,
    wanted: Option<&str>,
    algorithm: KeyAlgorithm,
) -> Outcome<Selector> {
    let letter = match algorithm {
        KeyAlgorithm::Rsa => 'r',
        KeyAlgorithm::Ed25519 => 'e',
    };
    let (key, public_key) = (ports.generate)(algorithm)?;
    let date: String = ports.now.to_string().chars().filter(char::is_ascii_digit).take(8).collect();
    let base = wanted.map_or_else(|| format!("s{date}{letter}"), |wanted| format!("{wanted}{letter}"));
    let mut selector = base.to_ascii_lowercase();
    for _ in 0..SELECTOR_TRIES {
        if ports.keys.put(domain, &selector, &key).await? {
            return Ok(Selector { selector, algorithm, public_key });
        }
        if wanted.is_some() {
            break;
        }
        selector = format!("{base}{:04x}", ports.ids.random() & 0xffff);
    }
    let text = format!("a key named {selector} is there already for {domain}; choose another --selector");
    Err(Failure::new(Exit::Exists, text))
}

/// One label, with room for the algorithm's letter (RFC 1035 §2.3.4).
fn is_selector(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 62
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

/// As JSON, the answer of `domain add` and `domain show`: fields are added, never changed.
#[derive(Debug, Serialize)]
struct View {
    domain: Domain,
    #[serde(with = "rfc3339")]
    created: Timestamp,
    records: Vec<RecordView>,
}

#[derive(Debug, Serialize)]
struct RecordView {
    name: String,
    r#type: &'static str,
    value: String,
    selector: String,
    algorithm: &'static str,
}

impl From<DomainEntry> for View {
    fn from(DomainEntry { domain, selectors, created }: DomainEntry) -> Self {
        let record = |Selector { selector, algorithm, public_key }: Selector| {
            let algorithm = match algorithm {
                KeyAlgorithm::Rsa => "rsa",
                KeyAlgorithm::Ed25519 => "ed25519",
            };
            RecordView {
                name: format!("{selector}._domainkey.{domain}"),
                r#type: "TXT",
                // RFC 6376 §3.6.1, RFC 8463 §3
                value: format!("v=DKIM1; k={algorithm}; p={public_key}"),
                selector,
                algorithm,
            }
        };
        let records = selectors.into_iter().map(record).collect();
        Self { domain, created, records }
    }
}

fn write_added(view: &View, screen: Screen, out: &mut dyn Write) -> Outcome {
    let domain = &view.domain;
    writeln!(out, "{}\n", screen.tint(Tone::Heading, &format!("Mail from {domain} is signed from now on.")))?;
    writeln!(out, "Publish these records, so that others can check the signatures:\n")?;
    write_records(view, out)?;
    writeln!(
        out,
        "\nIf the domain has no DMARC policy yet, this one is a beginning that changes nothing:\n"
    )?;
    writeln!(out, "_dmarc.{domain}. IN TXT \"v=DMARC1; p=none\"\n")?;
    Ok(writeln!(out, "Its SPF record must name the addresses that this edge sends from.")?)
}

fn write_records(view: &View, out: &mut dyn Write) -> Outcome {
    for record in &view.records {
        writeln!(out, "{}. IN {} {}", record.name, record.r#type, zone_strings(&record.value))?;
    }
    Ok(())
}

/// The value as a zone file has it: strings of at most 255 octets, which a reader joins (RFC 6376 §3.6.2.2).
fn zone_strings(value: &str) -> String {
    // a DKIM record is ASCII without quotes or backslashes
    let strings: Vec<String> = value
        .as_bytes()
        .chunks(TXT_STRING_OCTETS_MAX)
        .map(|chunk| format!("\"{}\"", String::from_utf8_lossy(chunk)))
        .collect();
    match strings.as_slice() {
        [one] => one.clone(),
        many => format!("( {} )", many.join(" ")),
    }
}

#[cfg(test)]
mod tests;
