//! Suppressions in and out, as many as there are: nothing is held but a few lines.

use std::io::{BufRead, Write};

use serde_json::json;
use shared::directory::SuppressionEntry;
use shared::mail::TenantId;
use shared::port::Entry;
use tokio::task::JoinSet;

use super::file::{COLUMNS, Lines, row};
use super::{Pages, Ports, Terms, View};
use crate::exit::{Exit, Failure, Outcome};
use crate::limits::{IMPORT_LINE_OCTETS_MAX, IMPORT_MISTAKES_TOLD, IMPORT_PROGRESS, IMPORT_WRITES_MAX};
use crate::screen::{count, write_json};

/// Suppresses what `lines` name, and tells how far it is each [`IMPORT_PROGRESS`] lines. Lines that are wrong are told, and keep no
/// other from being taken.
pub(crate) async fn import(
    ports: &Ports,
    mut lines: impl BufRead,
    terms: &Terms,
    json: bool,
    out: &mut dyn Write,
    progress: &mut dyn Write,
) -> Outcome {
    let mut reader = Lines::new(terms, ports.now);
    let (mut number, mut taken, mut wrong) = (0_u64, 0_u64, 0_u64);
    let mut writes = JoinSet::new();
    let mut line = Vec::new();
    while next_line(&mut lines, &mut line)? {
        number += 1;
        match reader.read(&String::from_utf8_lossy(&line)) {
            Ok(None) => {}
            Ok(Some(entry)) => {
                if writes.len() >= IMPORT_WRITES_MAX {
                    joined(writes.join_next().await)?;
                }
                let directory = ports.directory.clone();
                writes.spawn(async move { directory.put(Entry::from(entry)).await });
                taken += 1;
            }
            Err(why) => {
                wrong += 1;
                if wrong <= IMPORT_MISTAKES_TOLD {
                    writeln!(progress, "line {number}: {why}")?;
                }
            }
        }
        if number % IMPORT_PROGRESS == 0 {
            writeln!(progress, "{taken} taken of {number} lines")?;
        }
    }
    while let Some(done) = writes.join_next().await {
        joined(Some(done))?;
    }
    if json {
        write_json(out, &json!({ "taken": taken, "wrong": wrong }))?;
    } else {
        writeln!(out, "{} taken, in force within ten seconds.", count(taken, "suppression"))?;
    }
    if wrong > 0 {
        let text = format!("{} could not be read; the others were taken", count(wrong, "line"));
        return Err(Failure::new(Exit::Data, text));
    }
    Ok(())
}

fn joined(done: Option<Result<shared::port::PortResult<()>, tokio::task::JoinError>>) -> Outcome {
    match done {
        Some(Ok(written)) => Ok(written?),
        Some(Err(error)) => Err(Failure::new(Exit::Internal, error.to_string())),
        None => Ok(()),
    }
}

/// Reads a line, of which no more is kept than the longest that can be right; tells whether there was one.
fn next_line(lines: &mut impl BufRead, line: &mut Vec<u8>) -> Outcome<bool> {
    line.clear();
    let mut any = false;
    loop {
        let some = lines.fill_buf()?;
        if some.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = some.iter().position(|octet| *octet == b'\n');
        let own = &some[..end.unwrap_or(some.len())];
        let room = IMPORT_LINE_OCTETS_MAX.saturating_sub(line.len());
        line.extend_from_slice(&own[..own.len().min(room)]);
        let used = end.map_or(some.len(), |end| end + 1);
        lines.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}

/// Writes all suppressions, or those of a tenant, for [`import`].
pub(crate) async fn export(
    ports: &Ports,
    tenant: Option<TenantId>,
    json: bool,
    out: &mut dyn Write,
) -> Outcome {
    if !json {
        writeln!(out, "{}", COLUMNS.join(","))?;
    }
    let mut pages = Pages::of(ports, tenant.as_ref().map(SuppressionEntry::before_all));
    while let Some(page) = pages.next().await? {
        for entry in &page {
            if json {
                serde_json::to_writer(&mut *out, &View::from(entry))?;
                writeln!(out)?;
            } else {
                writeln!(out, "{}", row(entry))?;
            }
        }
    }
    Ok(())
}
