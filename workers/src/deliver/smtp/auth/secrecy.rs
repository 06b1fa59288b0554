//! The secrets of smart hosts, from files or from who keeps them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use shared::mail::Timestamp;
use shared::port::{Clock, SecretText, Secrets};

use crate::deliver::SecretSource;
use crate::limits::{SECRET_KEPT_FOR, SECRET_OCTETS_MAX};

/// Reads secrets, and has each read again soon, so that one that was changed is known without a restart.
#[derive(Clone)]
pub(crate) struct Secrecy {
    secrets: Arc<dyn Secrets>,
    clock: Arc<dyn Clock>,
    read: Arc<Mutex<HashMap<SecretSource, (Timestamp, SecretText)>>>,
}

impl Secrecy {
    pub(crate) fn new(secrets: Arc<dyn Secrets>, clock: Arc<dyn Clock>) -> Self {
        Self { secrets, clock, read: Arc::default() }
    }

    /// The secret; or why it cannot be had, without any of it.
    pub(crate) async fn get(&self, source: &SecretSource) -> Result<SecretText, String> {
        let now = self.clock.now();
        if let Some((since, secret)) = self.lock().get(source)
            && now.since(*since) < SECRET_KEPT_FOR
        {
            return Ok(secret.clone());
        }
        let secret = match source {
            SecretSource::File(path) => of_file(path).await?,
            SecretSource::Secret(name) => match self.secrets.get(name).await {
                Ok(Some(secret)) => secret,
                Ok(None) => return Err(format!("there is no secret {name}")),
                Err(error) => return Err(format!("the secret {name} cannot be read: {}", error.chain())),
            },
        };
        let secret = one_line(&secret).ok_or("the secret is empty or of more than one line")?;
        self.lock().insert(source.clone(), (now, secret.clone()));
        Ok(secret)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SecretSource, (Timestamp, SecretText)>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells why the secret in a file cannot be used, without any of it.
pub async fn check_secret_file(path: &Path) -> Result<(), String> {
    match one_line(&of_file(path).await?) {
        Some(_) => Ok(()),
        None => Err(format!("{} is empty or has more than one line", path.display())),
    }
}

/// The secret in a text, whose line end is a text editor's and no part of it.
fn one_line(text: &SecretText) -> Option<SecretText> {
    let secret = text.as_str().trim_end_matches(['\r', '\n']);
    let usable = !secret.is_empty() && !secret.contains(['\0', '\r', '\n', '\x01']);
    usable.then(|| SecretText::new(secret))
}

async fn of_file(path: &Path) -> Result<SecretText, String> {
    let unreadable = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    let metadata = tokio::fs::metadata(path).await.map_err(unreadable)?;
    if !metadata.is_file() || metadata.len() > SECRET_OCTETS_MAX {
        return Err(format!("{} is no file with a secret", path.display()));
    }
    tokio::fs::read_to_string(path).await.map(SecretText::new).map_err(unreadable)
}
