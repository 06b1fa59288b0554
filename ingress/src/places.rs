//! Places for sessions: so many in all, so many for each stranger and for each of their networks, and memory for each of them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Limits;
use crate::limits::{SESSION_OCTETS, TLS_OCTETS};
use crate::over_limit::{Limit, Over};

/// The places of a server.
pub(crate) struct Places {
    free: Arc<Semaphore>,
    /// A permit is a KiB: a semaphore has not enough of them for octets.
    memory: Arc<Semaphore>,
    shared: Arc<Strangers>,
}

/// A place, given back when it is dropped.
pub(crate) struct Place {
    _one: OwnedSemaphorePermit,
    memory: OwnedSemaphorePermit,
    all_memory: Arc<Semaphore>,
    strangers: Arc<Strangers>,
    /// The client outside the trusted networks that it is counted for.
    of: Option<IpAddr>,
}

/// How many places each stranger has, and each network of them. What has none is not in it.
struct Strangers {
    each_max: usize,
    network_max: usize,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    each: HashMap<IpAddr, usize>,
    network: HashMap<IpAddr, usize>,
}

impl Places {
    pub(crate) fn new(limits: &Limits) -> Self {
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        let strangers = Strangers {
            each_max: limits.connections_each.max(1),
            network_max: limits.connections_network.max(1),
            held: Mutex::default(),
        };
        Self {
            free: semaphore(limits.connections),
            memory: semaphore(usize::try_from(limits.session_memory_octets / 1024).unwrap_or(usize::MAX)),
            shared: Arc::new(strangers),
        }
    }

    /// A place for a client whose connection this is, or why it gets none.
    pub(crate) fn take(&self, client: IpAddr, trusted: bool) -> Result<Place, Over> {
        let mut place = self.enter()?;
        if !trusted {
            place.count_for(client)?;
        }
        Ok(place)
    }

    /// A place for a connection of which it is not known yet whose it is: [`Place::count_for`] is for later.
    pub(crate) fn enter(&self) -> Result<Place, Over> {
        let one = Arc::clone(&self.free).try_acquire_owned().map_err(|_| Limit::Connections)?;
        let memory = kibibytes(&self.memory, SESSION_OCTETS).ok_or(Limit::SessionMemory)?;
        let (all_memory, strangers) = (Arc::clone(&self.memory), Arc::clone(&self.shared));
        Ok(Place { _one: one, memory, all_memory, strangers, of: None })
    }
}

impl Place {
    /// Counts the place for `client`, which is in no trusted network, and no more for whom it was counted before; or says why
    /// it cannot have one more.
    pub(crate) fn count_for(&mut self, client: IpAddr) -> Result<(), Over> {
        self.count_for_nobody();
        self.strangers.add(client)?;
        self.of = Some(client);
        Ok(())
    }

    /// Counts the place for nobody but the server: its client turned out to be in a trusted network.
    pub(crate) fn count_for_nobody(&mut self) {
        if let Some(client) = self.of.take() {
            self.strangers.remove(client);
        }
    }

    /// Takes the memory of a TLS session, before the handshake; tells whether there was any.
    pub(crate) fn add_tls(&mut self) -> Result<(), Over> {
        self.memory.merge(kibibytes(&self.all_memory, TLS_OCTETS).ok_or(Limit::SessionMemory)?);
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.count_for_nobody();
    }
}

fn kibibytes(memory: &Arc<Semaphore>, octets: u32) -> Option<OwnedSemaphorePermit> {
    Arc::clone(memory).try_acquire_many_owned(octets.div_ceil(1024)).ok()
}

impl Strangers {
    fn add(&self, client: IpAddr) -> Result<(), Over> {
        let mut held = self.held();
        if held.each.get(&stranger(client)).is_some_and(|has| *has >= self.each_max) {
            return Err(Limit::ConnectionsEach.into());
        }
        if held.network.get(&network(client)).is_some_and(|has| *has >= self.network_max) {
            return Err(Limit::ConnectionsNetwork.into());
        }
        *held.each.entry(stranger(client)).or_default() += 1;
        *held.network.entry(network(client)).or_default() += 1;
        Ok(())
    }

    fn remove(&self, client: IpAddr) {
        let mut held = self.held();
        give_back(&mut held.each, stranger(client));
        give_back(&mut held.network, network(client));
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn give_back(held: &mut HashMap<IpAddr, usize>, key: IpAddr) {
    if let Some(has) = held.get_mut(&key) {
        *has -= 1;
        if *has == 0 {
            held.remove(&key);
        }
    }
}

/// What one stranger can have many addresses of: in IPv6, a network of 64 bits (RFC 6177 §2).
pub(crate) fn stranger(client: IpAddr) -> IpAddr {
    masked(client, 32, 64)
}

/// What one owner of strangers' addresses mostly has at least: 24 bits of IPv4, 48 of IPv6 (RFC 6177 §2).
fn network(client: IpAddr) -> IpAddr {
    masked(client, 24, 48)
}

fn masked(client: IpAddr, v4: u32, v6: u32) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & (u32::MAX << (32 - v4)))),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << (128 - v6)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(connections: usize, connections_each: usize, connections_network: usize) -> Limits {
        Limits { connections, connections_each, connections_network, ..Limits::default() }
    }

    /// What each of the clients gets, while all of them stay: `None` for a place.
    fn told(places: &Places, clients: &[&str]) -> Vec<Option<Limit>> {
        let take = |client: &&str| places.take(client.parse().unwrap(), false);
        let taken: Vec<_> = clients.iter().map(take).collect();
        taken.iter().map(|place| place.as_ref().err().map(|over| over.limit)).collect()
    }

    fn is_empty(places: &Places) -> bool {
        let held = places.shared.held();
        held.each.is_empty() && held.network.is_empty()
    }

    #[test]
    fn a_stranger_has_so_many_places_whatever_address_of_its_network_it_uses() {
        let places = Places::new(&limits(100, 2, 100));
        let no = Some(Limit::ConnectionsEach);
        for _ in 0..2 {
            assert_eq!(
                told(&places, &["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2"]),
                [None, None, no, None]
            );
            let network = ["2001:db8::1", "2001:db8::2", "2001:db8::ffff:ffff:ffff:ffff", "2001:db8:0:1::1"];
            assert_eq!(told(&places, &network), [None, None, no, None]);
        }
        assert!(is_empty(&places), "nobody is remembered who has no place");
    }

    #[test]
    fn a_network_of_strangers_has_so_many_places() {
        let places = Places::new(&limits(100, 2, 3));
        let no = Some(Limit::ConnectionsNetwork);
        let near = ["192.0.2.1", "192.0.2.2", "192.0.2.255", "192.0.2.3", "192.0.3.1"];
        assert_eq!(told(&places, &near), [None, None, None, no, None]);
        let near =
            ["2001:db8:1::1", "2001:db8:1:1::1", "2001:db8:1:ffff::1", "2001:db8:1:2::1", "2001:db8:2::1"];
        assert_eq!(told(&places, &near), [None, None, None, no, None]);
        assert!(is_empty(&places));
    }

    #[test]
    fn who_is_trusted_may_have_every_place_there_is() {
        let places = Places::new(&limits(3, 1, 1));
        let taken: Vec<_> = (0..4).map(|_| places.take("192.0.2.1".parse().unwrap(), true)).collect();
        assert_eq!(taken.iter().filter(|place| place.is_ok()).count(), 3);
        assert_eq!(taken[3].as_ref().err().map(|over| over.limit), Some(Limit::Connections));
    }

    #[test]
    fn a_place_goes_over_to_the_client_that_a_balancer_names() {
        let places = Places::new(&limits(100, 1, 100));
        let (one, other): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let (mut first, mut second) = (places.enter().unwrap(), places.enter().unwrap());
        first.count_for(one).unwrap();
        assert_eq!(second.count_for(one).unwrap_err().limit, Limit::ConnectionsEach);
        first.count_for(other).unwrap();
        second.count_for(one).unwrap();
        second.count_for_nobody();
        drop(first);
        assert!(is_empty(&places));
    }

    #[test]
    fn sessions_have_places_for_as_long_as_there_is_memory_and_tls_takes_more_of_it() {
        let octets = u64::from(2 * SESSION_OCTETS + TLS_OCTETS);
        let places = Places::new(&Limits { session_memory_octets: octets, ..limits(100, 100, 100) });
        let client = "192.0.2.1".parse().unwrap();
        let mut first = places.take(client, true).unwrap();
        first.add_tls().unwrap();
        let mut second = places.take(client, true).unwrap();
        assert_eq!(second.add_tls().unwrap_err().limit, Limit::SessionMemory);
        assert_eq!(told(&places, &["192.0.2.1"]), [Some(Limit::SessionMemory)]);
        drop(first);
        second.add_tls().unwrap();
        assert_eq!(told(&places, &["192.0.2.1"]), [None]);
    }
}
