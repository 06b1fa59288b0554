//! How often an address may connect, and how many messages it may send.
//!
//! Each address has a bucket for each of the two (GCRA: one moment in time is all that is kept of it). The limits are those of one
//! process; what credentials may send is counted for all of them elsewhere.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lru::LruCache;
use shared::directory::Rate;
use shared::mail::{Reply, Timestamp};

use crate::Limits;
use crate::limits::RATED_ADDRESSES_KEPT;
use crate::over_limit::{Limit, Over};
use crate::places::stranger;

/// The rates of clients outside the trusted networks.
pub(crate) struct Rates {
    connections: Option<Buckets>,
    messages: Option<Buckets>,
}

impl Rates {
    pub(crate) fn new(limits: &Limits) -> Self {
        let buckets = |rate: Option<Rate>| rate.map(|rate| Buckets::new(rate, RATED_ADDRESSES_KEPT));
        Self { connections: buckets(limits.connection_rate), messages: buckets(limits.message_rate) }
    }

    /// Counts a connection from `client`, or says why there may be none now.
    pub(crate) fn connect(&self, client: IpAddr, now: Timestamp) -> Result<(), Over> {
        take(self.connections.as_ref(), client, now, Limit::ConnectionRate, |wait| {
            Reply::new(421, (7, 0), format!("your address connects too often, try again in {wait} s"))
        })
    }

    /// Counts a message from `client`, which has not authenticated, or says why there may be none now.
    pub(crate) fn message(&self, client: IpAddr, now: Timestamp) -> Result<(), Over> {
        take(self.messages.as_ref(), client, now, Limit::MessageRate, |wait| {
            Reply::new(450, (7, 1), format!("too many messages from your address, try again in {wait} s"))
        })
    }
}

fn take(
    buckets: Option<&Buckets>,
    client: IpAddr,
    now: Timestamp,
    limit: Limit,
    reply: impl FnOnce(u64) -> Reply,
) -> Result<(), Over> {
    let taken = buckets.map_or(Ok(()), |buckets| buckets.take(stranger(client), now));
    taken.map_err(|wait| Over {
        limit,
        reply: reply(wait.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)),
    })
}

/// A bucket for each address.
struct Buckets {
    period_micros: i128,
    step_micros: i128,
    /// When, in microseconds, the bucket of an address is full again.
    full_at: Mutex<LruCache<IpAddr, i128>>,
}

impl Buckets {
    fn new(rate: Rate, kept: NonZeroUsize) -> Self {
        let period_micros = i128::try_from(rate.period.as_micros()).unwrap_or(i128::MAX / 4);
        let step_micros = period_micros / i128::from(rate.messages.max(1));
        Self { period_micros, step_micros, full_at: Mutex::new(LruCache::sparse(kept)) }
    }

    /// Takes one out of the address's bucket, or tells when there is one again.
    fn take(&self, client: IpAddr, now: Timestamp) -> Result<(), Duration> {
        let now = i128::from(now.millis()) * 1000;
        let mut all = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = now + self.period_micros;
        let mut full_at = all.get(&client).map_or(now, |at| now.max(*at));
        if full_at > latest {
            // the clock was set back: that must lock nobody out
            full_at = latest;
            all.put(client, latest);
        }
        let next = full_at + self.step_micros;
        let wait = next - latest;
        if wait > 0 {
            return Err(Duration::from_micros(u64::try_from(wait).unwrap_or(u64::MAX)));
        }
        all.put(client, next);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000) + Duration::from_secs(seconds)
    }

    fn rates(connection: Option<&str>, message: Option<&str>) -> Rates {
        let rate = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        Rates::new(&Limits {
            connection_rate: rate(connection),
            message_rate: rate(message),
            ..Limits::default()
        })
    }

    fn told(taken: Result<(), Over>) -> String {
        taken.map_or_else(|over| over.reply.to_string(), |()| "ok".to_owned())
    }

    #[test]
    fn a_periods_share_may_come_at_once_and_comes_back_evenly() {
        let (rates, client) = (rates(Some("6/m"), None), "192.0.2.1".parse().unwrap());
        for _ in 0..6 {
            assert_eq!(told(rates.connect(client, at(0))), "ok");
        }
        let over = "421 4.7.0 your address connects too often, try again in";
        assert_eq!(told(rates.connect(client, at(0))), format!("{over} 10 s"));
        assert_eq!(told(rates.connect(client, at(9))), format!("{over} 1 s"));
        assert_eq!(told(rates.connect(client, at(10))), "ok", "what was refused has cost nothing");
        assert_eq!(told(rates.connect(client, at(10))), format!("{over} 10 s"));
        for _ in 0..6 {
            assert_eq!(told(rates.connect(client, at(1000))), "ok");
        }
        assert_eq!(
            told(rates.connect(client, at(1000))),
            format!("{over} 10 s"),
            "no more than one share is saved up"
        );
    }

    #[test]
    fn messages_are_counted_apart_and_networks_of_64_bits_together() {
        let rates = rates(Some("1/h"), Some("1/h"));
        let (one, other): (IpAddr, IpAddr) =
            ("2001:db8::1".parse().unwrap(), "2001:db8::2:2:2:2".parse().unwrap());
        assert_eq!(told(rates.connect(one, at(0))), "ok");
        assert_eq!(told(rates.message(one, at(0))), "ok");
        assert_eq!(
            told(rates.message(other, at(0))),
            "450 4.7.1 too many messages from your address, try again in 3600 s"
        );
        assert_eq!(rates.message(other, at(0)).unwrap_err().limit, Limit::MessageRate);
        assert_eq!(told(rates.message("192.0.2.1".parse().unwrap(), at(0))), "ok");
        assert!(rates.message("::ffff:192.0.2.1".parse().unwrap(), at(0)).is_err(), "one host");
    }

    #[test]
    fn without_a_rate_nothing_is_counted() {
        let rates = rates(None, None);
        assert!((0..10_000).all(|_| rates.connect([192, 0, 2, 1].into(), at(0)).is_ok()));
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let (rates, client) = (rates(Some("1/m"), None), "192.0.2.1".parse().unwrap());
        assert_eq!(told(rates.connect(client, at(100_000))), "ok");
        assert!(rates.connect(client, at(0)).is_err());
        assert_eq!(told(rates.connect(client, at(60))), "ok");
    }

    #[test]
    fn so_many_addresses_are_remembered_and_those_in_use_the_longest() {
        let buckets = Buckets::new("2/h".parse().unwrap(), NonZeroUsize::new(100).unwrap());
        let address = |n: u32| IpAddr::from(std::net::Ipv4Addr::from_bits(n));
        let busy = address(u32::MAX);
        assert_eq!((buckets.take(busy, at(0)), buckets.take(busy, at(0))), (Ok(()), Ok(())));
        for n in 0..49 {
            buckets.take(address(n), at(0)).unwrap();
        }
        assert!(buckets.take(busy, at(0)).is_err(), "remembered");
        for n in 100..10_000 {
            buckets.take(address(n), at(0)).unwrap();
        }
        assert_eq!(buckets.take(busy, at(0)), Ok(()), "forgotten");
    }
}
