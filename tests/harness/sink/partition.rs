//! A sink that is cut off: it says nothing for a while, or is gone.

use std::fs;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How a sink is cut off, and whom it talks to.
#[derive(Default)]
pub(super) struct Partition {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    frozen: bool,
    closed: bool,
    open: Vec<(SocketAddr, TcpStream)>,
}

impl Partition {
    /// Returns once it is not frozen.
    pub(super) fn wait(&self) {
        let waited = self.changed.wait_while(self.state(), |state| state.frozen);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn freeze(&self) {
        self.state().frozen = true;
    }

    pub(super) fn thaw(&self) {
        self.state().frozen = false;
        self.changed.notify_all();
    }

    /// Breaks all connections there are. Whoever takes new ones is to look at [`is_closed`](Self::is_closed).
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        for (_, socket) in &state.open {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    pub(super) fn open(&self) {
        self.state().closed = false;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Notes a connection, and gives the name to [`leave`](Self::leave) it by. One that comes while it is closed is broken at once.
    pub(super) fn enter(&self, socket: &TcpStream) -> Option<SocketAddr> {
        let (peer, socket) = (socket.peer_addr().ok()?, socket.try_clone().ok()?);
        let mut state = self.state();
        if state.closed {
            let _ = socket.shutdown(Shutdown::Both);
        }
        state.open.push((peer, socket));
        Some(peer)
    }

    pub(super) fn leave(&self, peer: Option<SocketAddr>) {
        self.state().open.retain(|(known, _)| Some(*known) != peer);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many connections to `address`, of IPv4, neither side has closed; taken or not, as the kernel tells them. Its table is no snapshot:
/// one that closes while it is read, and the one that takes its place, may both be in it. They are not twice.
pub(super) fn established(address: SocketAddr) -> usize {
    (0..3).map(|_| listed(address)).min().unwrap_or(0)
}

fn listed(address: SocketAddr) -> usize {
    let SocketAddr::V4(address) = address else { return 0 };
    let local = format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port());
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let is_open = |line: &&str| {
        let mut fields = line.split_whitespace().skip(1);
        fields.next() == Some(&local) && fields.nth(1) == Some("01")
    };
    table.lines().filter(is_open).count()
}
