//! `spoolway credential`: what apps authenticate with, and what they may send.

use std::io::Write;
use std::num::NonZeroUsize;
use std::sync::Arc;

use serde::Serialize;
use shared::directory::{CredentialEntry, DecoyKey, Rate, ScramVerifier, Secret, SenderPattern};
use shared::mail::{TenantId, Timestamp};
use shared::port::{Directory, EntryKind, Ids};

use crate::args::NewCredential;
use crate::exit::{Exit, Failure, Outcome};
use crate::limits::ENTRY_PAGE;
use crate::screen::{Screen, Table, Tone, moment, octets, plain, write_json};
use crate::trace::rfc3339;

/// What the command needs of an edge.
pub(crate) struct Ports {
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) now: Timestamp,
}

/// Makes a credential, and shows its secret this once.
pub(crate) async fn add(
    ports: &Ports,
    new: NewCredential,
    json: bool,
    screen: Screen,
    out: &mut dyn Write,
) -> Outcome {
    let NewCredential { name, tenant, from, rate, quota, recipients, size, cram_md5 } = new;
    if find(ports, &name).await?.is_some() {
        let text =
            format!("{name} is there already; `spoolway credential rotate {name}` gives it a new secret");
        return Err(Failure::new(Exit::Exists, text));
    }
    let (secret, verifier) = secret(ports)?;
    let entry = CredentialEntry {
        name,
        tenant: tenant.map_or_else(TenantId::default, TenantId),
        verifier: Some(verifier),
        cram_md5: cram_md5.then(|| secret.clone()),
        senders: from,
        rate,
        quota,
        recipients: recipients.map(NonZeroUsize::get),
        message_octets: size.map(|size| size.0),
        created: ports.now,
        revoked: None,
    };
    keep_decoy_key(ports).await?;
    ports.directory.put(entry.clone().into()).await?;
    tell(&entry, &secret, json, screen, out)
}

/// Gives a credential a new secret. The old one stops working within a minute.
pub(crate) async fn rotate(
    ports: &Ports,
    name: &str,
    json: bool,
    screen: Screen,
    out: &mut dyn Write,
) -> Outcome {
    let entry = known(ports, name).await?;
    let (secret, verifier) = secret(ports)?;
    let cram_md5 = entry.cram_md5.as_ref().map(|_| secret.clone());
    let entry = CredentialEntry { verifier: Some(verifier), cram_md5, revoked: None, ..entry };
    keep_decoy_key(ports).await?;
    ports.directory.put(entry.clone().into()).await?;
    tell(&entry, &secret, json, screen, out)
}

/// Makes a credential useless, and keeps it for those who ask what it was.
pub(crate) async fn revoke(ports: &Ports, name: &str, json: bool, out: &mut dyn Write) -> Outcome {
    let entry = known(ports, name).await?;
    let entry = CredentialEntry { revoked: Some(entry.revoked.unwrap_or(ports.now)), ..entry };
    ports.directory.put(entry.clone().into()).await?;
    if json {
        return write_json(out, &View::from(&entry));
    }
    Ok(writeln!(out, "{} is revoked; within a minute nothing accepts it any more.", plain(name))?)
}

/// Deletes a credential.
pub(crate) async fn remove(ports: &Ports, name: &str, json: bool, out: &mut dyn Write) -> Outcome {
    let entry = known(ports, name).await?;
    ports.directory.delete(EntryKind::Credential, name).await?;
    if json {
        return write_json(out, &View::from(&entry));
    }
    Ok(writeln!(out, "{} is removed; within a minute nothing accepts it any more.", plain(name))?)
}

/// All credentials.
pub(crate) async fn list(ports: &Ports, json: bool, screen: Screen, out: &mut dyn Write) -> Outcome {
    let mut entries = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = ports.directory.list(EntryKind::Credential, after.as_deref(), ENTRY_PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.name.clone());
        for entry in page {
            entries.push(CredentialEntry::try_from(entry)?);
        }
    }
    let views: Vec<View<'_>> = entries.iter().map(View::from).collect();
    if json {
        return write_json(out, &views);
    }
    if views.is_empty() {
        let text =
            "There is no credential. Add one with `spoolway credential add NAME --from '@example.com'`.";
        return Ok(writeln!(out, "{text}")?);
    }
    let mut table = Table::new(&["name", "tenant", "may send as", "limits", "since"], &[]);
    for view in &views {
        let since = match view.revoked {
            Some(at) => format!("revoked {}", moment(at)),
            None => moment(view.created),
        };
        let cells = vec![
            plain(view.name).into_owned(),
            plain(&view.tenant.0).into_owned(),
            view.senders(),
            view.limits(),
            since,
        ];
        table.row(cells);
    }
    Ok(table.write(out, screen)?)
}

/// One credential.
pub(crate) async fn show(
    ports: &Ports,
    name: &str,
    json: bool,
    screen: Screen,
    out: &mut dyn Write,
) -> Outcome {
    let entry = known(ports, name).await?;
    let view = View::from(&entry);
    if json { write_json(out, &view) } else { write_view(&view, screen, out) }
}

/// Makes the key of names that are not there, where the edge has none.
async fn keep_decoy_key(ports: &Ports) -> Outcome<()> {
    if ports.directory.get(EntryKind::Fleet, DecoyKey::NAME).await?.is_none() {
        ports.directory.put(DecoyKey::generate(&*ports.ids).into()).await?;
    }
    Ok(())
}

fn secret(ports: &Ports) -> Outcome<(Secret, ScramVerifier)> {
    let secret = Secret::generate(&*ports.ids);
    let verifier = ScramVerifier::generate(&secret, &*ports.ids);
    let verifier = verifier.map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    Ok((secret, verifier))
}

async fn find(ports: &Ports, name: &str) -> Outcome<Option<CredentialEntry>> {
    let entry = ports.directory.get(EntryKind::Credential, name).await?;
    Ok(entry.map(CredentialEntry::try_from).transpose()?)
}

async fn known(ports: &Ports, name: &str) -> Outcome<CredentialEntry> {
    find(ports, name).await?.ok_or_else(|| {
        let name = plain(name);
        Failure::new(
            Exit::NoInput,
            format!("there is no credential {name}; `spoolway credential list` names all"),
        )
    })
}

/// A credential as it is shown: without what proves its secret.
#[derive(Serialize)]
struct View<'a> {
    name: &'a str,
    tenant: &'a TenantId,
    from: &'a [SenderPattern],
    rate: Option<Rate>,
    quota: Option<Rate>,
    recipients: Option<usize>,
    size: Option<u64>,
    cram_md5: bool,
    #[serde(serialize_with = "rfc3339::serialize")]
    created: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "rfc3339::option::serialize")]
    revoked: Option<Timestamp>,
    /// Only where it has just been made.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
}

impl<'a> From<&'a CredentialEntry> for View<'a> {
    fn from(entry: &'a CredentialEntry) -> Self {
        Self {
            name: &entry.name,
            tenant: &entry.tenant,
            from: &entry.senders,
            rate: entry.rate,
            quota: entry.quota,
            recipients: entry.recipients,
            size: entry.message_octets,
            cram_md5: entry.cram_md5.is_some(),
            created: entry.created,
            revoked: entry.revoked,
            secret: None,
        }
    }
}

impl View<'_> {
    fn senders(&self) -> String {
        let senders: Vec<String> = self.from.iter().map(ToString::to_string).collect();
        senders.join(" ")
    }

    fn limits(&self) -> String {
        let limits = [
            self.rate.map(|rate| rate.to_string()),
            self.quota.map(|quota| quota.to_string()),
            self.recipients.map(|most| format!("{most} recipients")),
            self.size.map(octets),
        ];
        let limits: Vec<String> = limits.into_iter().flatten().collect();
        if limits.is_empty() { "those of the edge".to_owned() } else { limits.join(", ") }
    }
}

fn write_view(view: &View<'_>, screen: Screen, out: &mut dyn Write) -> Outcome {
    writeln!(out, "{}", screen.tint(Tone::Heading, &plain(view.name)))?;
    writeln!(out, "  tenant       {}", plain(&view.tenant.0))?;
    writeln!(out, "  may send as  {}", view.senders())?;
    writeln!(out, "  limits       {}", view.limits())?;
    writeln!(out, "  CRAM-MD5     {}", if view.cram_md5 { "yes" } else { "no" })?;
    writeln!(out, "  made         {}", moment(view.created))?;
    if let Some(revoked) = view.revoked {
        writeln!(out, "  revoked      {}", moment(revoked))?;
    }
    Ok(())
}

fn tell(
    entry: &CredentialEntry,
    secret: &Secret,
    json: bool,
    screen: Screen,
    out: &mut dyn Write,
) -> Outcome {
    let view = View { secret: Some(&secret.0), ..View::from(entry) };
    if json {
        return write_json(out, &view);
    }
    write_view(&view, screen, out)?;
    writeln!(out, "  secret       {}\n", secret.0)?;
    Ok(writeln!(out, "The secret is not kept and cannot be shown again.")?)
}

#[cfg(test)]
mod tests;
