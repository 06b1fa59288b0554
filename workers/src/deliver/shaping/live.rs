//! The rules in force: read at the start, and again when their file changes or somebody asks.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use shared::config::Mistake;
use shared::port::Clock;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::rules::Rules;
use crate::limits::shaping::{RULES_EVERY, RULES_OCTETS_MAX};

/// Where an operator's own rules are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum OwnRules {
    /// There are none.
    #[default]
    None,
    /// In a TOML file, which may change.
    File(PathBuf),
    /// They are this TOML text, for who has no file.
    Text(String),
}

/// Rules that may change while they are in use.
pub struct LiveRules {
    file: Option<PathBuf>,
    rules: RwLock<Arc<Rules>>,
    /// The text of the file as it was last looked at, good or not; `None` where it could not be read.
    seen: Mutex<Option<String>>,
    asked: Notify,
}

impl LiveRules {
    /// The built-in rules, and an operator's `own`; or every mistake in those.
    pub fn load(own: OwnRules) -> Result<Self, Vec<Mistake>> {
        let (file, text) = match own {
            OwnRules::None => (None, None),
            OwnRules::File(file) => {
                let text = read(&file)?;
                (Some(file), Some(text))
            }
            OwnRules::Text(text) => (None, Some(text)),
        };
        let rules = Rules::read(text.as_deref())?;
        Ok(Self { file, rules: RwLock::new(Arc::new(rules)), seen: Mutex::new(text), asked: Notify::new() })
    }

    /// These rules, which never change.
    pub fn fixed(rules: Rules) -> Self {
        let (seen, asked) = (Mutex::default(), Notify::new());
        Self { file: None, rules: RwLock::new(Arc::new(rules)), seen, asked }
    }

    /// The rules in force.
    pub fn now(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks [`LiveRules::watch`] to read the file again now.
    pub fn reload(&self) {
        self.asked.notify_one();
    }

    /// Reads the file again whenever it changes, and when [`LiveRules::reload`] asks, until `stop` is cancelled. Where it is wrong, the
    /// rules in force stay so, and the log says what is wrong.
    pub async fn watch(&self, clock: &dyn Clock, stop: CancellationToken) {
        loop {
            let asked = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.asked.notified() => true,
                () = clock.sleep(RULES_EVERY) => false,
            };
            self.look(asked);
        }
    }

    /// Reads the file again, where it has changed or somebody `asked`.
    fn look(&self, asked: bool) {
        let Some(file) = &self.file else { return };
        let read = read(file);
        let text = read.as_ref().ok().cloned();
        let known =
            std::mem::replace(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner), text.clone());
        if !asked && known == text {
            return;
        }
        match read.and_then(|text| Rules::read(Some(&text))) {
            Ok(rules) => {
                *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
                tracing::info!(file = %file.display(), "the rules of shaping were read again");
            }
            Err(mistakes) => {
                for mistake in mistakes {
                    tracing::error!(file = %file.display(), %mistake, "the rules of shaping are wrong; those from before stay in force");
                }
            }
        }
    }
}

/// The text of a file of rules.
fn read(file: &Path) -> Result<String, Vec<Mistake>> {
    let mistake = |wrong: String| {
        let right = "name a TOML file that this user may read".to_owned();
        vec![Mistake { key: file.display().to_string(), wrong, right }]
    };
    let mut text = String::new();
    let read = std::fs::File::open(file)
        .and_then(|open| open.take(RULES_OCTETS_MAX + 1).read_to_string(&mut text))
        .map_err(|error| mistake(format!("it cannot be read: {error}")))?;
    if read as u64 > RULES_OCTETS_MAX {
        return Err(mistake(format!("it has more than {RULES_OCTETS_MAX} octets")));
    }
    Ok(text)
}
