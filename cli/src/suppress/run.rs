//! The commands, with the stores of the edge that is meant.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use shared::mail::TenantId;
use shared::return_path::ReturnPaths;
use shared::wire::Needs;

use super::{Ports, Terms, add, export, import, list, remove};
use crate::args::{BouncesAction, SuppressAction};
use crate::edge::{self, Stores};
use crate::exit::{Exit, Failure, Outcome};
use crate::screen::{Screen, count, write_json};
use crate::{beside_edge, settings_of, with_stores};

/// Runs `spoolway suppress`.
pub(crate) fn suppress(action: SuppressAction, screen: Screen, out: &mut dyn Write) -> Outcome {
    let needs = Needs::of(edge::DIRECTORY);
    let ports = |stores: Stores| Ports { directory: stores.directory, now: stores.clock.now() };
    match action {
        // addresses may be suppressed before the edge runs for the first time
        SuppressAction::Add { addresses, tenant, reason, source, lasts, place, json } => {
            let terms = Terms { tenant: TenantId(tenant.name), reason, source, lasts };
            let settings = settings_of(&place, needs)?;
            with_stores(edge::set_up_stores(&settings, needs), |stores| async move {
                add(&ports(stores), &addresses, &terms, json, out).await
            })
        }
        SuppressAction::Import { file, tenant, reason, place, json } => {
            let lines = open(&file)?;
            let terms = Terms { tenant: TenantId(tenant.name), reason, source: String::new(), lasts: None };
            let settings = settings_of(&place, needs)?;
            with_stores(edge::set_up_stores(&settings, needs), |stores| async move {
                import(&ports(stores), lines, &terms, json, out, &mut io::stderr()).await
            })
        }
        SuppressAction::Remove { addresses, tenant, place, json } => {
            beside_edge(&place, needs, |stores| async move {
                remove(&ports(stores), &addresses, &TenantId(tenant.name), json, out).await
            })
        }
        SuppressAction::List { domain, tenant, place, json } => {
            beside_edge(&place, needs, |stores| async move {
                list(&ports(stores), &TenantId(tenant.name), domain.as_ref(), json, screen, out).await
            })
        }
        SuppressAction::Export { tenant, place, json } => beside_edge(&place, needs, |stores| async move {
            export(&ports(stores), tenant.map(TenantId), json, out).await
        }),
    }
}

/// Runs `spoolway bounces`.
pub(crate) fn bounces(action: BouncesAction, out: &mut dyn Write) -> Outcome {
    let needs = Needs::of(edge::DIRECTORY);
    let BouncesAction::Rotate { place, json } = action;
    let settings = settings_of(&place, needs)?;
    let Some(domain) = settings.bounces.clone() else {
        return Err(Failure::new(Exit::Config, "bounces.domain is not set, so nothing is signed"));
    };
    with_stores(edge::set_up_stores(&settings, needs), |stores| async move {
        let paths = ReturnPaths::new(domain, Arc::clone(&stores.directory), Arc::clone(&stores.clock));
        let keys = paths.rotate(&*stores.ids).await?;
        if json {
            return write_json(out, &json!({ "keys": keys }));
        }
        let told = count(keys as u64, "key");
        Ok(writeln!(out, "A new key signs return paths within a minute; {told} in all vouch for them.")?)
    })
}

/// The lines of a file, or of standard input, read as they are asked for.
fn open(file: &Path) -> Outcome<Box<dyn BufRead>> {
    if file == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let opened = File::open(file).map_err(|error| Failure::io(file.display(), &error))?;
    Ok(Box::new(BufReader::new(opened)))
}
