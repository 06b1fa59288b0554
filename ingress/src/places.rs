//! Places for sessions: so many in all, and so many for each stranger.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shared::mail::Reply;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places of a server.
pub(crate) struct Places {
    free: Arc<Semaphore>,
    each_max: usize,
    /// How many places each stranger has; one who has none is not in it.
    strangers: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A place, given back when it is dropped.
pub(crate) struct Place {
    _one: OwnedSemaphorePermit,
    _of: Option<Stranger>,
}

struct Stranger {
    client: IpAddr,
    strangers: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Places {
    pub(crate) fn new(all_max: usize, each_max: usize) -> Self {
        let free = Arc::new(Semaphore::new(all_max.min(Semaphore::MAX_PERMITS)));
        Self { free, each_max, strangers: Arc::default() }
    }

    /// A place for a client, or why it gets none.
    pub(crate) fn take(&self, client: IpAddr, trusted: bool) -> Result<Place, Reply> {
        let none = || Reply::new(421, (3, 2), "too many connections, try again later");
        let one = Arc::clone(&self.free).try_acquire_owned().map_err(|_| none())?;
        let of = if trusted { None } else { Some(self.take_as_stranger(network(client))?) };
        Ok(Place { _one: one, _of: of })
    }

    fn take_as_stranger(&self, client: IpAddr) -> Result<Stranger, Reply> {
        let mut strangers = lock(&self.strangers);
        let has = strangers.entry(client).or_default();
        if *has >= self.each_max.max(1) {
            return Err(Reply::new(421, (7, 0), "too many connections from your address, try again later"));
        }
        *has += 1;
        Ok(Stranger { client, strangers: Arc::clone(&self.strangers) })
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut strangers = lock(&self.strangers);
        if let Some(has) = strangers.get_mut(&self.client) {
            *has -= 1;
            if *has == 0 {
                strangers.remove(&self.client);
            }
        }
    }
}

fn lock(strangers: &Mutex<HashMap<IpAddr, usize>>) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
    strangers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one stranger can have many addresses of: in IPv6, a network of 64 bits (RFC 6177 §2).
pub(crate) fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(places: &Places, clients: &[&str]) -> Vec<Result<(), u16>> {
        let take = |client: &&str| places.take(client.parse().unwrap(), false);
        let taken: Vec<_> = clients.iter().map(take).collect();
        taken.iter().map(|place| place.as_ref().map(drop).map_err(Reply::code)).collect()
    }

    #[test]
    fn a_stranger_has_so_many_places_whatever_address_of_its_network_it_uses() {
        let places = Places::new(100, 2);
        let (yes, no) = (Ok(()), Err(421));
        for _ in 0..2 {
            assert_eq!(
                codes(&places, &["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2"]),
                [yes, yes, no, yes]
            );
            let network = ["2001:db8::1", "2001:db8::2", "2001:db8::ffff:ffff:ffff:ffff", "2001:db8:0:1::1"];
            assert_eq!(codes(&places, &network), [yes, yes, no, yes]);
        }
        assert!(lock(&places.strangers).is_empty(), "nobody is remembered who has no place");
    }

    #[test]
    fn who_is_trusted_may_have_every_place_there_is() {
        let places = Places::new(3, 1);
        let taken: Vec<_> = (0..4).map(|_| places.take("192.0.2.1".parse().unwrap(), true)).collect();
        assert_eq!(taken.iter().filter(|place| place.is_ok()).count(), 3);
    }
}
