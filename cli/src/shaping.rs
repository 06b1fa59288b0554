//! `spoolway shaping`: which rule gives which number, and what mail waits for.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use shared::mail::{Domain, TenantId, Timestamp};
use shared::port::{Deliveries, Waiting};
use workers::deliver::shaping::{ExplainedMeasure, Explanation, LiveRules, OwnRules, Place, Shaper};
use workers::deliver::{Site, Source};

use crate::exit::{Failure, Outcome};
use crate::pending;
use crate::screen::{Screen, Table, Tone, count, due, moment, plain, write_json};
use crate::serve;
use crate::trace::rfc3339;

/// What an explanation needs of an edge.
pub(crate) struct Ports {
    pub(crate) shaper: Arc<Shaper>,
    pub(crate) deliveries: Arc<dyn Deliveries>,
    pub(crate) now: Timestamp,
}

/// What is to be explained.
pub(crate) struct Asked {
    pub(crate) domain: Domain,
    pub(crate) tenant: Option<String>,
    /// The route of the domain.
    pub(crate) route: String,
    /// Where its mail goes, if it goes to a server that is known.
    pub(crate) site: Option<Site>,
    /// Where the tenant's mail leaves from, if the operator says so.
    pub(crate) source: Option<Arc<Source>>,
}

/// As JSON, the answer of `shaping explain --json`: fields are added, never changed.
#[derive(Serialize)]
struct View<'a> {
    domain: &'a Domain,
    route: &'a str,
    /// `null` where mail goes to no server, or the DNS does not tell to which.
    shaping: Option<Explanation>,
    waiting: Vec<WaitingView>,
}

/// Mail of the domain that waits for one reason.
#[derive(Serialize)]
struct WaitingView {
    reason: String,
    text: String,
    deliveries: u64,
    #[serde(with = "rfc3339")]
    first_until: Timestamp,
    #[serde(with = "rfc3339")]
    last_until: Timestamp,
}

/// Writes what holds for the mail of a domain.
pub(crate) async fn explain(
    ports: &Ports,
    asked: &Asked,
    json: bool,
    screen: Screen,
    out: &mut dyn Write,
) -> Outcome {
    let Asked { domain, tenant, route, site, source } = asked;
    let tenant = tenant.clone().map(TenantId);
    let shaping = match site {
        Some(site) => {
            let place = Place { domain, site, source: source.as_deref() };
            Some(ports.shaper.explain(&place, tenant.as_ref()).await)
        }
        None => None,
    };
    let waiting = waiting(ports.deliveries.as_ref(), domain, tenant.as_ref()).await?;
    let view = View { domain, route, shaping, waiting };
    if json { write_json(out, &view) } else { write(&view, ports.now, screen, out) }
}

/// What mail to `domain` waits for, the most first.
async fn waiting(
    deliveries: &dyn Deliveries,
    domain: &Domain,
    tenant: Option<&TenantId>,
) -> Outcome<Vec<WaitingView>> {
    let mut tallies: BTreeMap<(String, String), WaitingView> = BTreeMap::new();
    pending::each(deliveries, |state| {
        if state.key.domain == *domain && tenant.is_none_or(|tenant| state.tenant == *tenant) {
            tally(&mut tallies, state.waiting);
        }
    })
    .await?;
    let mut views: Vec<WaitingView> = tallies.into_values().collect();
    views.sort_by_key(|view| std::cmp::Reverse(view.deliveries));
    Ok(views)
}

fn tally(tallies: &mut BTreeMap<(String, String), WaitingView>, waiting: Option<Waiting>) {
    let Some(Waiting { reason, text, until }) = waiting else { return };
    let view = tallies.entry((reason.clone(), text.clone())).or_insert_with(|| WaitingView {
        reason,
        text,
        deliveries: 0,
        first_until: until,
        last_until: until,
    });
    view.deliveries += 1;
    view.first_until = view.first_until.min(until);
    view.last_until = view.last_until.max(until);
}

fn write(view: &View<'_>, now: Timestamp, screen: Screen, out: &mut dyn Write) -> Outcome {
    writeln!(out, "{}", screen.tint(Tone::Heading, view.domain.as_str()))?;
    writeln!(out, "  route       {}", plain(view.route))?;
    match &view.shaping {
        Some(shaping) => write_shaping(shaping, now, screen, out)?,
        None => {
            writeln!(out, "  It goes to no server, or the DNS does not tell to which: nothing is shaped.")?;
        }
    }
    if view.waiting.is_empty() {
        writeln!(out, "\nNo mail for it is put off.")?;
    }
    for waiting in &view.waiting {
        let head =
            format!("{} waiting: {}", count(waiting.deliveries, "message"), waiting.reason.replace('_', " "));
        let (first, last) = (moment(waiting.first_until), moment(waiting.last_until));
        writeln!(out, "\n{}", screen.tint(Tone::Waiting, &head))?;
        writeln!(out, "  why         {}", plain(&waiting.text))?;
        writeln!(out, "  until       {first}, the last {last}")?;
    }
    Ok(())
}

fn write_shaping(shaping: &Explanation, now: Timestamp, screen: Screen, out: &mut dyn Write) -> Outcome {
    writeln!(out, "  site        {}", plain(&shaping.site))?;
    for (index, host) in shaping.hosts.iter().enumerate() {
        writeln!(out, "  {:12}{}", if index == 0 { "hosts" } else { "" }, plain(host))?;
    }
    if shaping.counted_as != shaping.site {
        writeln!(out, "  counted as  {}", plain(&shaping.counted_as))?;
    }
    writeln!(out)?;
    let mut table = Table::new(&["number", "value", "now", "left", "rule", "from"], &[]);
    for number in &shaping.numbers {
        let of = number.tenant.as_ref().map_or(String::new(), |tenant| format!(" of {tenant}"));
        table.row(vec![
            format!("{}{of}", number.name),
            number.value.clone(),
            number.slowed_to.clone().unwrap_or_else(|| "-".to_owned()),
            number.left.map_or_else(|| "-".to_owned(), |left| left.to_string()),
            number.rule.clone(),
            number.origin.to_owned(),
        ]);
    }
    table.write(out, screen)?;
    for measure in &shaping.measures {
        write_measure(measure, now, screen, out)?;
    }
    Ok(())
}

fn write_measure(told: &ExplainedMeasure, now: Timestamp, screen: Screen, out: &mut dyn Write) -> Outcome {
    let ExplainedMeasure { what, tenant, measure } = told;
    let who = tenant.as_ref().map_or(String::new(), |tenant| format!(" {tenant}"));
    let share = if measure.factor < 1.0 { format!(" to {}", measure.factor) } else { String::new() };
    let head = format!(
        "{}{who}{share} until {}, {}",
        what.replace('_', " "),
        moment(measure.until),
        due(measure.until, now)
    );
    writeln!(out, "\n{}", screen.tint(Tone::Bad, &plain(&head)))?;
    writeln!(out, "  rule        {}", plain(&measure.rule))?;
    writeln!(out, "  since       {}", moment(measure.since))?;
    writeln!(out, "  after       {}", plain(&measure.reply))?;
    Ok(())
}

/// Tells whether a file of rules is good, or lists its mistakes.
pub(crate) fn check(file: &Path, json: bool, out: &mut dyn Write) -> Outcome {
    if let Err(error) = std::fs::metadata(file) {
        return Err(Failure::io(file.display(), &error));
    }
    match LiveRules::load(OwnRules::File(file.to_owned())) {
        Ok(_) if json => serve::announce_good(true, out),
        Ok(_) => Ok(writeln!(out, "rules are good")?),
        Err(mistakes) => Err(serve::refuse(Some(file), &mistakes, json, out)?),
    }
}

#[cfg(test)]
mod tests;
