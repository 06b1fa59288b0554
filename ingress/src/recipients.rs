//! Whom a listener of kind `mx` takes mail for.
//!
//! The directory says it: one address, a pattern, or every address of a domain. What it said is kept for a short while, so that a
//! recipient who was added or removed is known within that time.

mod bounces;

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use shared::directory::{RecipientEntry, RecipientPattern, Recipients as Names};
use shared::limits::RECIPIENT_PATTERNS_MAX;
use shared::mail::{Domain, Mailbox, Timestamp};
use shared::port::{Clock, Directory, EntryKind, PortError, PortResult};
use shared::return_path::ReturnPaths;

use self::bounces::Bounces;
use crate::Settings;
use crate::limits::{
    DIRECTORY_WAIT, RECIPIENT_DOMAINS_KEPT_MAX, RECIPIENT_PAGE, RECIPIENTS_KEPT, RECIPIENTS_KEPT_MAX,
};

const LOOK_UP: &str = "the look-up of a recipient";

/// What is known of a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// Mail is taken.
    Yes,
    /// The domain is ours, and nobody there has this address.
    NoSuchRecipient,
    /// Mail for the domain is not taken at all.
    NotOurDomain,
}

/// The recipients of an edge, as its directory and its settings have them.
pub(crate) struct Recipients {
    directory: Arc<dyn Directory>,
    clock: Arc<dyn Clock>,
    relay_domains: HashSet<Domain>,
    own_domain: Option<Domain>,
    bounces: Option<Bounces>,
    domains: Kept<Domain, Arc<Rules>>,
    /// Whether there is an entry, by its name.
    addresses: Kept<String, bool>,
}

/// What holds for all of a domain.
#[derive(Debug, Default)]
struct Rules {
    ours: bool,
    patterns: Vec<RecipientPattern>,
}

impl Recipients {
    pub(crate) fn new(settings: &Settings, directory: Arc<dyn Directory>, clock: Arc<dyn Clock>) -> Self {
        let bounces = settings
            .bounces
            .clone()
            .map(|domain| Bounces::new(ReturnPaths::new(domain, Arc::clone(&directory), Arc::clone(&clock))));
        Self {
            directory,
            clock,
            bounces,
            relay_domains: settings.relay_domains.iter().cloned().collect(),
            own_domain: Domain::parse(&settings.hostname).ok(),
            domains: Kept::new(RECIPIENT_DOMAINS_KEPT_MAX),
            addresses: Kept::new(RECIPIENTS_KEPT_MAX),
        }
    }

    /// Whether mail for `recipient` is taken from anybody. A domain is ours if it stands in `relay_domains`, all of which is taken,
    /// or has a recipient in the directory. The postmaster of each, and of the edge's own name, is always there (RFC 5321 §4.5.1).
    /// An error says nothing of the recipient: the client is to try again.
    pub(crate) async fn check(&self, recipient: &Mailbox) -> PortResult<Known> {
        let domain = recipient.domain();
        let is_postmaster = recipient.local_part().eq_ignore_ascii_case("postmaster");
        let bounces = self.bounces.as_ref().filter(|bounces| bounces.domain() == domain);
        let for_programs = bounces.filter(|bounces| bounces.have(recipient));
        let is_own = bounces.is_some() || self.own_domain.as_ref() == Some(domain);
        if for_programs.is_none() && (self.relay_domains.contains(domain) || (is_postmaster && is_own)) {
            return Ok(Known::Yes);
        }
        let look = async {
            match for_programs {
                Some(bounces) => bounces.check(recipient).await,
                None => self.look_up(recipient, is_postmaster).await,
            }
        };
        self.clock
            .timeout(DIRECTORY_WAIT, look)
            .await
            .unwrap_or_else(|| Err(PortError::refused(LOOK_UP, "the directory does not answer")))
            .map(|known| {
                if known == Known::NotOurDomain && bounces.is_some() { Known::NoSuchRecipient } else { known }
            })
    }

    async fn look_up(&self, recipient: &Mailbox, is_postmaster: bool) -> PortResult<Known> {
        let names = Names::of(recipient.domain());
        let rules = self.rules(recipient.domain(), &names).await?;
        if !rules.ours {
            return Ok(Known::NotOurDomain);
        }
        let is_there = is_postmaster
            || rules.patterns.iter().any(|pattern| pattern.matches(recipient))
            || self.has_entry(names.name_of(recipient)).await?;
        Ok(if is_there { Known::Yes } else { Known::NoSuchRecipient })
    }

    async fn rules(&self, domain: &Domain, names: &Names) -> PortResult<Arc<Rules>> {
        let now = self.clock.now();
        if let Some(rules) = self.domains.get(domain, now) {
            return Ok(rules);
        }
        let rules = Arc::new(self.read_rules(names).await?);
        self.domains.keep(domain.clone(), Arc::clone(&rules), now);
        Ok(rules)
    }

    /// Reads the patterns, which lie before all other recipients of the domain, and no further.
    async fn read_rules(&self, names: &Names) -> PortResult<Rules> {
        let mut rules = Rules::default();
        let mut after = names.before_all().to_owned();
        while rules.patterns.len() < RECIPIENT_PATTERNS_MAX {
            let page = self.directory.list(EntryKind::Recipient, Some(&after), RECIPIENT_PAGE).await?;
            for entry in page.iter().take_while(|entry| names.has(&entry.name)) {
                rules.ours = true;
                if !names.has_pattern(&entry.name) {
                    return Ok(rules);
                }
                let entry = RecipientEntry::try_from(entry.clone());
                rules.patterns.push(entry.map_err(|error| PortError::refused(LOOK_UP, error))?.recipient);
            }
            match page.last().filter(|last| names.has(&last.name)) {
                Some(last) => after.clone_from(&last.name),
                None => break,
            }
        }
        Ok(rules)
    }

    async fn has_entry(&self, name: String) -> PortResult<bool> {
        let now = self.clock.now();
        if let Some(is_there) = self.addresses.get(&name, now) {
            return Ok(is_there);
        }
        let is_there = self.directory.get(EntryKind::Recipient, &name).await?.is_some();
        self.addresses.keep(name, is_there, now);
        Ok(is_there)
    }
}

/// Answers, each for [`RECIPIENTS_KEPT`]; of too many, those that were asked for the longest time ago are forgotten.
struct Kept<K: Hash + Eq, V>(Mutex<LruCache<K, (V, Timestamp)>>);

impl<K: Hash + Eq, V: Clone> Kept<K, V> {
    fn new(max: std::num::NonZeroUsize) -> Self {
        Self(Mutex::new(LruCache::sparse(max)))
    }

    fn get(&self, key: &K, now: Timestamp) -> Option<V> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (value, since) = kept.get(key)?;
        // a clock that was set back makes no answer last longer
        let is_good = *since <= now && now.since(*since) < RECIPIENTS_KEPT;
        is_good.then(|| value.clone())
    }

    /// `asked_at` is when the answer was asked for, as it may be as old as that.
    fn keep(&self, key: K, value: V, asked_at: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(key, (value, asked_at));
    }
}

#[cfg(test)]
mod tests;
