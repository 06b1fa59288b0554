//! A line of a file of suppressions: an address, a row of CSV (RFC 4180, without line ends in quotes), or an object of JSON.

use serde::Deserialize;
use shared::directory::SuppressionEntry;
use shared::mail::{Mailbox, TenantId, Timestamp};

use super::Terms;

/// The columns that are written, in their order.
pub(super) const COLUMNS: [&str; 6] = ["tenant", "address", "reason", "source", "since", "expires"];

/// Reads line after line; the first one may name the columns.
pub(super) struct Lines<'a> {
    terms: &'a Terms,
    now: Timestamp,
    columns: Vec<String>,
    first: bool,
}

/// What a line says; what it leaves out is as the options of the command say.
#[derive(Debug, Default, Deserialize)]
struct Said {
    #[serde(default)]
    tenant: String,
    #[serde(default, alias = "email")]
    address: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    since: String,
    #[serde(default)]
    expires: Option<String>,
}

impl<'a> Lines<'a> {
    /// A reader of lines, of which none was read.
    pub(super) fn new(terms: &'a Terms, now: Timestamp) -> Self {
        Self { terms, now, columns: vec!["address".to_owned()], first: true }
    }

    /// What `line` says; `None` where it is empty or names the columns.
    pub(super) fn read(&mut self, line: &str) -> Result<Option<SuppressionEntry>, String> {
        let line = line.trim_start_matches('\u{feff}').trim();
        if line.is_empty() {
            return Ok(None);
        }
        let first = std::mem::take(&mut self.first);
        let said = if line.starts_with('{') {
            serde_json::from_str(line).map_err(|error| error.to_string())?
        } else if let Ok(address) = line.parse::<Mailbox>() {
            Said { address: address.to_string(), ..Said::default() }
        } else {
            let fields = split(line)?;
            let names: Vec<String> = fields.iter().map(|field| field.trim().to_ascii_lowercase()).collect();
            if first && names.iter().any(|name| name == "address" || name == "email") {
                self.columns = names;
                return Ok(None);
            }
            self.row(fields)
        };
        self.entry(&said).map(Some)
    }

    fn row(&self, fields: Vec<String>) -> Said {
        let mut said = Said::default();
        for (name, field) in self.columns.iter().zip(fields) {
            match name.as_str() {
                "tenant" => said.tenant = field,
                "address" | "email" => said.address = field,
                "reason" => said.reason = field,
                "source" => said.source = field,
                "since" => said.since = field,
                "expires" => said.expires = Some(field),
                // a column of others, which says nothing to us
                _ => {}
            }
        }
        said
    }

    fn entry(&self, said: &Said) -> Result<SuppressionEntry, String> {
        let address = said.address.trim();
        let address: Mailbox = address.parse().map_err(|error| format!("`{address}`: {error}"))?;
        let tenant = match said.tenant.trim() {
            "" => self.terms.tenant.clone(),
            named => TenantId(crate::args::tenant(named)?),
        };
        let reason = match said.reason.trim() {
            "" => self.terms.reason,
            // others' lists have words of their own
            text => text.parse().unwrap_or(self.terms.reason),
        };
        let time = |text: &str| match text.trim() {
            "" => Ok(None),
            text => Timestamp::parse_utc(text)
                .map(Some)
                .ok_or_else(|| format!("`{text}` is no time such as 2026-11-25T08:00:00Z")),
        };
        let source = if said.source.is_empty() { &self.terms.source } else { &said.source };
        let since = time(&said.since)?.unwrap_or(self.now);
        let mut entry = SuppressionEntry::new(tenant, address, reason, source, since);
        entry.expires = time(said.expires.as_deref().unwrap_or_default())?;
        Ok(entry)
    }
}

/// The fields of a row.
fn split(line: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let field = if let Some(quoted) = rest.strip_prefix('"') {
            let mut field = String::new();
            let mut behind = quoted;
            loop {
                let end = behind.find('"').ok_or("a quote does not end")?;
                field.push_str(&behind[..end]);
                behind = &behind[end + 1..];
                match behind.strip_prefix('"') {
                    Some(more) => {
                        field.push('"');
                        behind = more;
                    }
                    None => break,
                }
            }
            rest = behind;
            field
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            let field = rest[..end].to_owned();
            rest = &rest[end..];
            field
        };
        fields.push(field);
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None if rest.is_empty() => return Ok(fields),
            None => return Err("a quote ends in the middle of a field".to_owned()),
        }
    }
}

/// `entry` as a row.
pub(super) fn row(entry: &SuppressionEntry) -> String {
    let SuppressionEntry { tenant, address, reason, source, since, expires } = entry;
    let expires = expires.map(|at| at.to_string()).unwrap_or_default();
    let fields = [&tenant.0, address.as_str(), reason.as_str(), source, &since.to_string(), &expires];
    fields.map(quoted).join(",")
}

fn quoted(field: &str) -> String {
    if field.contains([',', '"']) || field.trim() != field {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}
