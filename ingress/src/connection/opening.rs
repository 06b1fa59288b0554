//! From an accepted socket to a session: where the client is, whether it may come in, TLS from the first octet, and who speaks first.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use shared::mail::Reply;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tracing::debug;

use super::reading::read_away;
use super::stream::Stream;
use super::{Connection, Dialogue, Drain};
use crate::edge::Edge;
use crate::over_limit::{Limit, Over};
use crate::places::Place;
use crate::proxy::{self, Proxied};
use crate::server::ListenerConfig;
use crate::tls::{ListenerTls, TlsFacts};

/// A connection that has a place and no session yet.
pub(crate) struct Opening {
    pub(crate) socket: TcpStream,
    /// Who is at the other end of the socket.
    pub(crate) peer: SocketAddr,
    pub(crate) place: Place,
    pub(crate) listener: Arc<ListenerConfig>,
    pub(crate) edge: Arc<Edge>,
}

/// Where a client is, and whether that is believed enough to be trusted.
#[derive(Debug, Clone, Copy)]
struct Whereabouts {
    ip: IpAddr,
    trusted: bool,
}

impl Opening {
    /// The session, unless the client may have none; it has been told so then, where it was owed a word.
    pub(crate) async fn open(mut self, drain: &Drain) -> Option<Box<Connection>> {
        let whereabouts = match self.locate().await {
            Ok(whereabouts) => whereabouts,
            Err(over) => {
                self.refuse(self.peer.ip(), &over).await;
                return None;
            }
        };
        let Self { socket, mut place, listener, edge, .. } = self;
        let (stream, tls) = if listener.tls == ListenerTls::Implicit {
            if let Err(over) = place.add_tls() {
                // what it would be told, it could not read
                edge.over_limits.tell(over.limit, whereabouts.ip, edge.ports.clock.now());
                return None;
            }
            let acceptor = listener.acceptor.as_ref()?;
            let accepted = tokio::select! {
                accepted = acceptor.accept(socket) => accepted,
                () = drain.soft.cancelled() => return None,
            };
            let (stream, facts) = accepted.ok()?;
            (Stream::Tls(stream), Some(facts))
        } else {
            (Stream::Plain(socket), None)
        };
        Self::greet(stream, tls, place, whereabouts, listener, edge).await
    }

    /// Keeps the greeting back where that is set, and sees who talks before it.
    async fn greet(
        mut stream: Stream,
        tls: Option<TlsFacts>,
        place: Place,
        whereabouts: Whereabouts,
        listener: Arc<ListenerConfig>,
        edge: Arc<Edge>,
    ) -> Option<Box<Connection>> {
        let Whereabouts { ip, trusted } = whereabouts;
        let delay = edge.limits.greeting_delay;
        if !delay.is_zero() && !trusted {
            let mut octet = [0];
            let spoke = edge.ports.clock.timeout(delay, stream.read(&mut octet)).await;
            match spoke {
                None => {}
                Some(Ok(1..)) => {
                    let over = Over::from(Limit::EarlyTalker);
                    count(&edge, ip, &over);
                    say(&mut stream, &over.reply).await;
                    let _ = read_away(&mut stream, &edge.limits).await;
                    return None;
                }
                Some(Ok(0) | Err(_)) => return None,
            }
        }
        let dialogue = Dialogue::begin(ip, trusted, tls.map(Box::new), &listener, edge);
        Some(Box::new(Connection::new(stream, place, dialogue, listener)))
    }

    /// Finds out where the client is. Whoever is not trusted is counted.
    async fn locate(&mut self) -> Result<Whereabouts, Over> {
        let clock = &self.edge.ports.clock;
        let whereabouts = if self.listener.proxy {
            if !self.edge.policy.is_balancer(self.peer.ip()) {
                return Err(Limit::ProxyHeader.into());
            }
            let header = proxy::read_header(&mut self.socket, self.edge.limits.proxy_timeout, clock).await;
            match header {
                Ok(Proxied::Client { client, .. }) => {
                    Whereabouts { ip: client.ip(), trusted: self.edge.policy.trusts(client.ip()) }
                }
                // it may stand for anybody
                Ok(Proxied::Local) => Whereabouts { ip: self.peer.ip(), trusted: false },
                Err(error) => {
                    debug!(peer = %self.peer, %error, "no PROXY header");
                    return Err(Limit::ProxyHeader.into());
                }
            }
        } else {
            let ip = self.peer.ip();
            Whereabouts { ip, trusted: self.edge.policy.trusts(ip) }
        };
        if !whereabouts.trusted {
            self.edge.rates.connect(whereabouts.ip, clock.now())?;
            if self.listener.proxy {
                self.place.count_for(whereabouts.ip)?;
            }
        }
        Ok(whereabouts)
    }

    /// A client of TLS could not read a word; one without a PROXY header is owed none.
    async fn refuse(&mut self, client: IpAddr, over: &Over) {
        if over.limit == Limit::ProxyHeader {
            self.edge.over_limits.tell(over.limit, client, self.edge.ports.clock.now());
            return;
        }
        count(&self.edge, client, over);
        if self.listener.tls != ListenerTls::Implicit {
            say(&mut self.socket, &over.reply).await;
        }
    }
}

/// Counts a client that is refused, as one that is turned away at the door.
fn count(edge: &Edge, client: IpAddr, over: &Over) {
    edge.telemetry.refused(&over.reply);
    edge.over_limits.tell(over.limit, client, edge.ports.clock.now());
}

/// Says a last line. A fresh socket has room for it, so this does not wait for the client.
async fn say<S: tokio::io::AsyncWrite + Unpin>(stream: &mut S, reply: &Reply) {
    let mut line = Vec::new();
    reply.write_to(&mut line);
    // who is gone does not care any more
    let _ = stream.write_all(&line).await;
    let _ = stream.shutdown().await;
}
