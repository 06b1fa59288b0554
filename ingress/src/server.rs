//! Listening sockets, and the life of the server.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::connection::{Drain, Opening};
use crate::edge::Edge;
use crate::limits::{ACCEPT_PAUSE_MAX, ACCEPT_PAUSE_MIN, LAST_WORDS};
use crate::over_limit::Over;
use crate::places::{Place, Places};
use crate::smtp::Config;
use crate::tls::Acceptor;
use crate::{Listener, ListenerKind, ListenerTls, Ports, Settings};

/// Why the server cannot listen.
#[derive(Debug, Error)]
#[error("cannot listen on {address}; choose another address, or stop what listens there")]
pub struct BindError {
    /// Where.
    pub address: SocketAddr,
    /// Why not.
    #[source]
    pub source: io::Error,
}

/// The SMTP server, listening.
pub struct Server {
    edge: Arc<Edge>,
    doors: Vec<Door>,
}

/// A listening socket with what its sessions have in common.
struct Door {
    socket: TcpListener,
    address: SocketAddr,
    listener: Arc<ListenerConfig>,
}

/// What the sessions of a listener have in common.
pub(crate) struct ListenerConfig {
    pub(crate) kind: ListenerKind,
    pub(crate) tls: ListenerTls,
    pub(crate) acceptor: Option<Acceptor>,
    pub(crate) proxy: bool,
    pub(crate) config: Arc<Config>,
}

impl Server {
    /// Listens on every address of `settings`, or on none.
    #[expect(clippy::unused_async, reason = "sockets can only be registered within a runtime")]
    pub async fn bind(settings: Settings, ports: Ports) -> Result<Self, BindError> {
        let open = |listener: &Listener| {
            let address = listener.address;
            let socket =
                listen(address, settings.limits.backlog).map_err(|source| BindError { address, source })?;
            let address = socket.local_addr().map_err(|source| BindError { address, source })?;
            let config = Config {
                hostname: settings.hostname.clone(),
                bare_lf: listener.bare_lf,
                limits: settings.limits.clone(),
            };
            let listener = ListenerConfig {
                kind: listener.kind,
                tls: listener.tls,
                acceptor: settings.tls.as_ref().map(|tls| tls.acceptor(settings.limits.handshake_timeout)),
                proxy: listener.proxy,
                config: Arc::new(config),
            };
            Ok(Door { socket, address, listener: Arc::new(listener) })
        };
        let doors = settings.listeners.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { edge: Arc::new(Edge::new(&settings, ports)), doors })
    }

    /// Where it listens, in the order of the settings, with the ports that the system chose.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.doors.iter().map(|door| door.address).collect()
    }

    /// Serves until `drain` is cancelled, and then until all sessions have ended or the time for that is up. From then on no
    /// connection is accepted, the next command outside a transaction gets 421, and transactions under way are
    /// finished and committed.
    pub async fn serve(self, drain: CancellationToken) {
        let Self { edge, doors } = self;
        let sessions = TaskTracker::new();
        let drain = Drain { soft: drain, hard: CancellationToken::new() };
        let places = Arc::new(Places::new(&edge.limits));
        let mut accepting = JoinSet::new();
        for door in doors {
            let (edge, drain, places) = (Arc::clone(&edge), drain.clone(), Arc::clone(&places));
            accepting.spawn(door.accept_all(edge, drain, sessions.clone(), places));
        }
        drain.soft.cancelled().await;
        accepting.join_all().await;
        sessions.close();
        info!(sessions = sessions.len(), "draining");
        let clock = &edge.ports.clock;
        if clock.timeout(edge.limits.drain, sessions.wait()).await.is_none() {
            warn!(
                sessions = sessions.len(),
                "the time for the drain is up; the remaining sessions are ended"
            );
            drain.hard.cancel();
            clock.timeout(LAST_WORDS, sessions.wait()).await;
        }
    }
}

/// Accepted sockets inherit the options of the one that listens, which saves a system call for each.
fn listen(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    TcpListener::from_std(socket.into())
}

impl Door {
    /// Behind a balancer, whose place it is can only be told once its header has been read.
    fn place(&self, places: &Places, edge: &Edge, peer: SocketAddr) -> Result<Place, Over> {
        if self.listener.proxy {
            places.enter()
        } else {
            places.take(peer.ip(), edge.policy.trusts(peer.ip()))
        }
    }

    /// A fresh socket has room for one line, so this does not wait for the client. One that waits for TLS could not read it.
    fn turn_away(&self, stream: &TcpStream, edge: &Edge, peer: SocketAddr, over: &Over) {
        edge.telemetry.refused(&over.reply);
        edge.over_limits.tell(over.limit, peer.ip(), edge.ports.clock.now());
        if self.listener.tls != ListenerTls::Implicit {
            let mut line = Vec::new();
            over.reply.write_to(&mut line);
            let _ = stream.try_write(&line);
        }
    }

    async fn accept_all(self, edge: Arc<Edge>, drain: Drain, sessions: TaskTracker, places: Arc<Places>) {
        let mut drained = pin!(drain.soft.cancelled());
        let mut backoff = ACCEPT_PAUSE_MIN;
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut drained => return,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    backoff = ACCEPT_PAUSE_MIN;
                    edge.telemetry.connections.increment(1);
                    let place = match self.place(&places, &edge, peer) {
                        Ok(place) => place,
                        Err(over) => {
                            self.turn_away(&stream, &edge, peer, &over);
                            continue;
                        }
                    };
                    let listener = Arc::clone(&self.listener);
                    let opening = Opening { socket: stream, peer, place, listener, edge: Arc::clone(&edge) };
                    let (edge, drain) = (Arc::clone(&edge), drain.clone());
                    sessions.spawn(async move {
                        let _open = Open::new(&edge);
                        // what a session does once is boxed: the task of one that waits is small
                        if let Some(connection) = Box::pin(opening.open(&drain)).await {
                            connection.run(drain).await;
                        }
                    });
                }
                Err(error) if is_of_the_client(&error) => {}
                Err(error) => {
                    warn!(address = %self.address, %error, "cannot accept connections; trying again");
                    edge.ports.clock.sleep(backoff).await;
                    backoff = ACCEPT_PAUSE_MAX.min(backoff * 2);
                }
            }
        }
    }
}

/// Whether accept failed for one connection only, so that the next can be had at once.
fn is_of_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::Interrupted
            | ErrorKind::WouldBlock
    )
}

/// Counts an open session for as long as it lives.
struct Open<'a>(&'a Edge);

impl<'a> Open<'a> {
    fn new(edge: &'a Edge) -> Self {
        edge.telemetry.sessions.increment(1);
        Self(edge)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.telemetry.sessions.decrement(1);
    }
}
