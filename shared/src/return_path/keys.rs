//! Who signs return paths, and who tells whether one is signed: both by the keys in the directory.

use std::sync::{Arc, Mutex, PoisonError};

use super::ReturnPath;
use crate::directory::ReturnPathKey;
use crate::limits::{
    RETURN_PATH_KEY_SETTLES, RETURN_PATH_KEYS_KEPT, RETURN_PATH_KEYS_LOOK, RETURN_PATH_KEYS_MAX,
};
use crate::mail::{Domain, Mailbox, Timestamp};
use crate::port::{Clock, Directory, Entry, EntryKind, Ids, PortResult};

/// The return paths of an edge.
pub struct ReturnPaths {
    domain: Domain,
    directory: Arc<dyn Directory>,
    clock: Arc<dyn Clock>,
    kept: Mutex<Option<Kept>>,
}

#[derive(Clone)]
struct Kept {
    since: Timestamp,
    /// The oldest first.
    keys: Arc<[ReturnPathKey]>,
}

impl ReturnPaths {
    /// The return paths at `domain`, by the keys in `directory`.
    pub fn new(domain: Domain, directory: Arc<dyn Directory>, clock: Arc<dyn Clock>) -> Self {
        Self { domain, directory, clock, kept: Mutex::new(None) }
    }

    /// The domain that all of them are at.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The address for `path`; `None` where there is no key to sign it with.
    pub async fn sign(&self, path: ReturnPath) -> PortResult<Option<Mailbox>> {
        let now = self.clock.now();
        let keys = self.keys(now).await?;
        let settled = |key: &&ReturnPathKey| key.created + RETURN_PATH_KEY_SETTLES <= now;
        let Some(key) = keys.iter().rev().find(settled).or(keys.first()) else { return Ok(None) };
        Ok(Mailbox::parse(&format!("{}@{}", path.sign(key), self.domain)).ok())
    }

    /// What `address` tells, if it is a path that was signed here.
    pub async fn verify(&self, address: &Mailbox) -> PortResult<Option<ReturnPath>> {
        if *address.domain() != self.domain {
            return Ok(None);
        }
        let local_part = address.local_part();
        let Some(path) = ReturnPath::read(local_part) else { return Ok(None) };
        let is_signed = |keys: &[ReturnPathKey]| keys.iter().any(|key| path.is_signed(local_part, key));
        let now = self.clock.now();
        if is_signed(&self.keys(now).await?) {
            return Ok(Some(path));
        }
        // another process may have made a key just now
        if self.kept().as_ref().is_some_and(|kept| now.since(kept.since) < RETURN_PATH_KEYS_LOOK) {
            return Ok(None);
        }
        Ok(is_signed(&self.load(now).await?).then_some(path))
    }

    /// Makes a new key, which signs in a minute, and drops the oldest ones where there are too many; tells how many there are.
    pub async fn rotate(&self, ids: &dyn Ids) -> PortResult<usize> {
        let now = self.clock.now();
        let known = self.load(now).await?;
        self.directory.put(Entry::from(ReturnPathKey::generate(ids, now))).await?;
        let surplus = (known.len() + 1).saturating_sub(RETURN_PATH_KEYS_MAX);
        for old in &known[..surplus] {
            self.directory.delete(EntryKind::Fleet, &old.name).await?;
        }
        Ok(self.load(now).await?.len())
    }

    /// Makes the first key, where there is none.
    pub async fn ensure_key(&self, ids: &dyn Ids) -> PortResult<()> {
        if self.load(self.clock.now()).await?.is_empty() { self.rotate(ids).await.map(drop) } else { Ok(()) }
    }

    async fn keys(&self, now: Timestamp) -> PortResult<Arc<[ReturnPathKey]>> {
        let kept = self.kept().clone();
        // a clock that was set back makes nothing last longer
        let fresh = kept.filter(|kept| kept.since <= now && now.since(kept.since) < RETURN_PATH_KEYS_KEPT);
        match fresh {
            Some(kept) => Ok(kept.keys),
            None => self.load(now).await,
        }
    }

    async fn load(&self, now: Timestamp) -> PortResult<Arc<[ReturnPathKey]>> {
        // two that were made at a time may be one too many
        let limit = 2 * RETURN_PATH_KEYS_MAX;
        let before = Some(ReturnPathKey::BEFORE_ALL);
        let entries = self.directory.list(EntryKind::Fleet, before, limit).await?;
        let own = entries.into_iter().take_while(|entry| entry.name.starts_with(ReturnPathKey::BEFORE_ALL));
        let mut keys = Vec::new();
        for entry in own {
            match ReturnPathKey::try_from(entry) {
                Ok(key) => keys.push(key),
                Err(wrong) => tracing::error!("{wrong}"),
            }
        }
        let keys: Arc<[ReturnPathKey]> = keys.into();
        *self.kept() = Some(Kept { since: now, keys: Arc::clone(&keys) });
        Ok(keys)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::mail::{MessageId, PackId};
    use crate::testkit::{ManualClock, SeededIds, TempStores};

    fn path(recipient: u32) -> ReturnPath {
        let pack = PackId::derived(Timestamp::from_millis(1_700_000_000_000), "a pack");
        ReturnPath { message: MessageId { pack, n: 0 }, recipient }
    }

    async fn edge() -> (Arc<ManualClock>, TempStores, impl Fn() -> ReturnPaths) {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_000)));
        let open = TempStores::open(clock.clone()).await;
        let (directory, own) = (open.stores.directory.clone(), clock.clone());
        let process =
            move || ReturnPaths::new("bounces.example.net".parse().unwrap(), directory.clone(), own.clone());
        (clock, open, process)
    }

    #[tokio::test]
    async fn without_a_key_nothing_is_signed_and_the_first_one_signs_at_once() {
        let (_clock, _open, process) = edge().await;
        let (one, other) = (process(), process());
        assert_eq!(one.sign(path(0)).await.unwrap(), None);
        other.ensure_key(&SeededIds::new(1)).await.unwrap();
        other.ensure_key(&SeededIds::new(2)).await.unwrap();
        let signed = other.sign(path(0)).await.unwrap().unwrap();
        // whoever knows of no key yet looks again, but not for each path
        assert_eq!(one.verify(&signed).await.unwrap(), None);
        _clock.advance(RETURN_PATH_KEYS_LOOK);
        assert_eq!(one.verify(&signed).await.unwrap(), Some(path(0)));
        let elsewhere = signed.to_string().replace("bounces.", "bounce.").parse().unwrap();
        assert_eq!(one.verify(&elsewhere).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_new_key_signs_once_all_have_seen_it_and_old_ones_vouch_until_they_are_too_many() {
        let (clock, _open, process) = edge().await;
        let (signer, verifier) = (process(), process());
        signer.ensure_key(&SeededIds::new(0)).await.unwrap();
        let mut signed = vec![signer.sign(path(0)).await.unwrap().unwrap()];
        for n in 1..=4 {
            clock.advance(Duration::from_secs(3600));
            let kept = signer.rotate(&SeededIds::new(n)).await.unwrap();
            assert_eq!(kept, RETURN_PATH_KEYS_MAX.min(usize::try_from(n).unwrap() + 1));
            let before = signer.sign(path(0)).await.unwrap().unwrap();
            assert_eq!(before, signed[signed.len() - 1], "the old one still");
            clock.advance(RETURN_PATH_KEY_SETTLES);
            let after = signer.sign(path(0)).await.unwrap().unwrap();
            assert_ne!(after, before);
            signed.push(after);
        }
        let good = verifier.verify(&signed[0]).await.unwrap();
        assert_eq!(good, None, "its key is dropped");
        for one in &signed[1..] {
            assert_eq!(verifier.verify(one).await.unwrap(), Some(path(0)));
        }
    }
}
