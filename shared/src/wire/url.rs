//! What a store URL says: `file:<path>?<parameter>=<value>&…`.

use std::path::PathBuf;
use std::time::Duration;

use crate::embedded::QueueSettings;
use crate::limits::{RECEIVES_MAX, VISIBILITY_MAX, VISIBILITY_MIN};

type Parameters<'a> = Vec<(&'a str, &'a str)>;

/// The path of a `file:` URL and what stands behind its question mark.
fn split(url: &str) -> Result<(PathBuf, Parameters<'_>), String> {
    let (scheme, rest) = url.split_once(':').unwrap_or(("", url));
    if scheme != "file" {
        return Err(format!("`{url}` is no store that this program knows: use file:<path>"));
    }
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    // file:///path, with the empty authority of RFC 8089
    let path = match path.strip_prefix("//") {
        Some(absolute) if absolute.starts_with('/') => absolute,
        Some(_) => return Err(format!("`{url}` names a host: use file:<path> or file:///<path>")),
        None => path,
    };
    if path.is_empty() {
        return Err(format!("`{url}` has no path: use file:<path>"));
    }
    let parameters = query.split('&').filter(|parameter| !parameter.is_empty());
    Ok((path.into(), parameters.map(|one| one.split_once('=').unwrap_or((one, ""))).collect()))
}

/// A store without parameters.
pub(super) fn plain(url: &str) -> Result<PathBuf, Vec<String>> {
    let (path, parameters) = split(url).map_err(|message| vec![message])?;
    let unknown = |(name, _): &(&str, &str)| format!("`{name}` is no parameter of this store: it has none");
    let problems: Vec<_> = parameters.iter().map(unknown).collect();
    if problems.is_empty() { Ok(path) } else { Err(problems) }
}

/// A queue.
pub(super) fn queue(url: &str) -> Result<(PathBuf, QueueSettings), Vec<String>> {
    let (path, parameters) = split(url).map_err(|message| vec![message])?;
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
    if problems.is_empty() { Ok((path, settings)) } else { Err(problems) }
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
