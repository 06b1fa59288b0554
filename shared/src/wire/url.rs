//! What a store URL says: a scheme and what it needs, such as `file:<path>?<parameter>=<value>&…`.

use std::path::PathBuf;
use std::time::Duration;

use super::plan::{KeysAt, QueueAt, SpoolAt, TableAt};
use super::secrets::SecretAt;
use crate::embedded::QueueSettings;
use crate::limits::{RECEIVES_MAX, VISIBILITY_MAX, VISIBILITY_MIN};

type Parameters<'a> = Vec<(&'a str, &'a str)>;

/// A URL's scheme, which picks the adapter, and the rest.
fn scheme(url: &str) -> (&str, &str) {
    url.split_once(':').unwrap_or(("", url))
}

/// Where a spool is.
pub(super) fn spool(url: &str) -> Result<SpoolAt, Vec<String>> {
    match scheme(url) {
        ("file", rest) => plain(url, rest).map(SpoolAt::File),
        ("s3", rest) => bucket(url, rest),
        _ => Err(unknown(url, "file:<path> or s3://<bucket>")),
    }
}

/// Where a queue is.
pub(super) fn queue(url: &str) -> Result<QueueAt, Vec<String>> {
    match scheme(url) {
        ("file", rest) => file_queue(url, rest),
        ("sqs", rest) if rest.ends_with(".fifo") => {
            Err(vec![format!("`{url}` is a queue that keeps an order: use a standard queue")])
        }
        ("sqs", rest) if rest.starts_with("https://") || rest.starts_with("http://") => {
            named(url, rest, ".-_/:[]", 2048, "sqs:https://<the queue's URL>").map(QueueAt::Sqs)
        }
        ("sqs", _) => Err(vec![format!("`{url}` has no queue's URL: use sqs:https://<the queue's URL>")]),
        _ => Err(unknown(url, "file:<path> or sqs:<the queue's URL>")),
    }
}

/// Where state, the directory or counters are.
pub(super) fn table(url: &str) -> Result<TableAt, Vec<String>> {
    match scheme(url) {
        ("file", rest) => plain(url, rest).map(TableAt::File),
        ("dynamodb", rest) => named(url, rest, ".-_", 255, "dynamodb:<table>").map(TableAt::DynamoDb),
        _ => Err(unknown(url, "file:<path> or dynamodb:<table>")),
    }
}

/// Where signing keys are.
pub(super) fn keys(url: &str) -> Result<KeysAt, Vec<String>> {
    match scheme(url) {
        ("file", rest) => plain(url, rest).map(KeysAt::File),
        ("ssm", rest) => named(url, rest, ".-_/", 512, "ssm:/<path>").map(KeysAt::Ssm),
        _ => Err(unknown(url, "file:<path> or ssm:/<path>")),
    }
}

/// Where a secret is.
pub(super) fn secret(url: &str) -> Result<SecretAt, Vec<String>> {
    match scheme(url) {
        ("ssm", rest) => named(url, rest, ".-_/", 1011, "ssm:/<path>").map(SecretAt::Ssm),
        ("secretsmanager", rest) => {
            let right = "secretsmanager:<name or ARN>";
            named(url, rest, ".-_/:+=@", 2048, right).map(SecretAt::SecretsManager)
        }
        _ => Err(vec![format!("`{url}` names no secret: use ssm:/<path> or secretsmanager:<name or ARN>")]),
    }
}

/// `s3://<bucket>/<prefix>`
fn bucket(url: &str, rest: &str) -> Result<SpoolAt, Vec<String>> {
    let right = "s3://<bucket> or s3://<bucket>/<prefix>";
    let Some(place) = rest.strip_prefix("//") else {
        return Err(vec![format!("`{url}` has no bucket: use {right}")]);
    };
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    let bucket = named(url, bucket, ".-", 63, right)?;
    let prefix = if prefix.is_empty() { String::new() } else { named(url, prefix, ".-_/", 512, right)? };
    Ok(SpoolAt::S3(bucket, prefix))
}

/// A name of letters, digits and `marks`, as AWS has them, and no parameters.
fn named(url: &str, name: &str, marks: &str, max: usize, right: &str) -> Result<String, Vec<String>> {
    let good = |character: char| character.is_ascii_alphanumeric() || marks.contains(character);
    if name.contains('?') {
        return Err(vec![format!("`{url}` has parameters, and this store has none: use {right}")]);
    }
    if name.is_empty() || name.len() > max || !name.chars().all(good) {
        return Err(vec![format!("`{url}` has no name that AWS could know: use {right}")]);
    }
    Ok(name.to_owned())
}

/// Whether packs that lie there grow old by themselves: only a folder has nobody else to delete them.
pub(super) fn keeps_packs_for_ever(url: &str) -> bool {
    scheme(url).0 == "file"
}

fn unknown(url: &str, right: &str) -> Vec<String> {
    vec![format!("`{url}` is no store that this program knows: use {right}")]
}

/// The path of a `file:` URL and what stands behind its question mark.
fn file<'a>(url: &str, rest: &'a str) -> Result<(PathBuf, Parameters<'a>), Vec<String>> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    // file:///path, with the empty authority of RFC 8089
    let path = match path.strip_prefix("//") {
        Some(absolute) if absolute.starts_with('/') => absolute,
        Some(_) => return Err(vec![format!("`{url}` names a host: use file:<path> or file:///<path>")]),
        None => path,
    };
    if path.is_empty() {
        return Err(vec![format!("`{url}` has no path: use file:<path>")]);
    }
    let parameters = query.split('&').filter(|parameter| !parameter.is_empty());
    Ok((path.into(), parameters.map(|one| one.split_once('=').unwrap_or((one, ""))).collect()))
}

/// A `file:` URL without parameters.
fn plain(url: &str, rest: &str) -> Result<PathBuf, Vec<String>> {
    let (path, parameters) = file(url, rest)?;
    let unknown = |(name, _): &(&str, &str)| format!("`{name}` is no parameter of this store: it has none");
    let problems: Vec<_> = parameters.iter().map(unknown).collect();
    if problems.is_empty() { Ok(path) } else { Err(problems) }
}

fn file_queue(url: &str, rest: &str) -> Result<QueueAt, Vec<String>> {
    let (path, parameters) = file(url, rest)?;
    let mut settings = QueueSettings::default();
    let mut problems = Vec::new();
    for (name, value) in parameters {
        match name {
            "visibility" => {
                match duration(value).filter(|span| (VISIBILITY_MIN..=VISIBILITY_MAX).contains(span)) {
                    Some(visibility) => settings.visibility = visibility,
                    None => problems.push(format!(
                        "visibility=`{value}` is no time from 60s to 12h: use one such as 120s"
                    )),
                }
            }
            "max_receives" => match value.parse().ok().filter(|n| (1..=RECEIVES_MAX).contains(n)) {
                Some(receives) => settings.receives_max = receives,
                None => {
                    problems.push(format!("max_receives=`{value}` is no number from 1 to {RECEIVES_MAX}"));
                }
            },
            _ => {
                problems.push(format!("`{name}` is no parameter of a queue: use visibility or max_receives"));
            }
        }
    }
    if problems.is_empty() { Ok(QueueAt::File(path, settings)) } else { Err(problems) }
}

/// Reads `250ms`, `30s`, `5m` or `2h`.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let unit = match &text[digits..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(unit)?))
}
