use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};

/// A loopback address that nobody else in this run, and hardly anyone on this machine, uses: servers get the ports they
/// ask for, and tests run beside each other.
pub fn loopback() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let octet = |number: u32| u8::try_from(number % 250).unwrap_or(0) + 2;
    Ipv4Addr::new(127, octet(std::process::id()), octet(next / 250), octet(next))
}
