//! Happy eyeballs (RFC 8305 §5) over the addresses of equally good hosts: the next one is tried when the one before has failed or has
//! not answered for a moment; the first connection wins, and the others are given up.

use std::net::IpAddr;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use shared::port::{Clock, Ids};
use tokio::net::{TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;

use super::connection::within;
use crate::deliver::mx::{Target, Targets};
use crate::deliver::outcome::Failure;
use crate::deliver::policy::{DestinationTls, HostPolicy};
use crate::deliver::{ClientLimits, Source};

/// How connections are made.
#[derive(Clone, Copy)]
pub(crate) struct Dialer<'a> {
    pub(crate) limits: &'a ClientLimits,
    /// How sure a session must be of its host; one that cannot be is not connected to.
    pub(crate) tls: &'a DestinationTls<'a>,
    pub(crate) source: Option<&'a Source>,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) ids: &'a dyn Ids,
    /// Once cancelled, whatever is waited for has taken too long.
    pub(crate) cut: &'a CancellationToken,
}

/// A connection, and what is asked of the session over it.
pub(crate) struct Reached {
    pub(crate) policy: HostPolicy,
    pub(crate) tcp: TcpStream,
}

impl Dialer<'_> {
    /// The first connection to any of the addresses that `targets` gives until its next descent; or what came of the last of them,
    /// where there was one.
    pub(crate) async fn first(
        &self,
        targets: &mut Targets<'_>,
    ) -> Result<(Target, Reached), Option<(Target, Failure)>> {
        let mut racing = FuturesUnordered::new();
        let mut begun: Vec<Target> = Vec::new();
        let (mut more, mut wait, mut lost) = (true, Duration::ZERO, None);
        loop {
            let next = async {
                if wait > Duration::ZERO {
                    self.clock.sleep(wait).await;
                }
                targets.next().await
            };
            tokio::select! {
                biased;
                Some((target, connected)) = racing.next(), if !racing.is_empty() => {
                    begun.retain(|other| *other != target);
                    match connected {
                        Ok(reached) => {
                            targets.put_back(begun);
                            return Ok((target, reached));
                        }
                        Err(failure) => {
                            tracing::debug!(host = %target.host, peer = %target.address, ?failure, "no connection");
                            // RFC 8305 §5: the next one need not wait for one that has failed
                            (lost, wait) = (Some((target, failure)), Duration::ZERO);
                        }
                    }
                }
                next = next, if more => match next {
                    Some(target) => {
                        begun.push(target.clone());
                        wait = self.limits.stagger;
                        racing.push(async { let reached = self.reach(&target).await; (target, reached) });
                    }
                    None => more = false,
                },
                else => return Err(lost),
            }
        }
    }

    async fn reach(&self, target: &Target) -> Result<Reached, Failure> {
        let policy = self.tls.of_host(target).await?;
        Ok(Reached { policy, tcp: self.connect(target).await? })
    }

    /// A connection to `target`, from an address of the source where there is one.
    pub(crate) async fn connect(&self, target: &Target) -> Result<TcpStream, Failure> {
        let unreachable = |error: std::io::Error| Failure::Unreachable(error.kind().to_string());
        let socket = if target.address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let socket = socket.map_err(unreachable)?;
        if let Some(source) = self.source {
            let own = source.address(target.address.ip(), self.ids);
            let own: IpAddr = own.ok_or_else(|| {
                Failure::Unreachable(format!("source {} has no address of the host's family", source.name))
            })?;
            if let Err(error) = socket.bind((own, 0).into()) {
                tracing::error!(source = source.name, address = %own, %error, "a source address cannot be used");
                return Err(Failure::Unreachable(format!(
                    "the source address {own} cannot be used: {error}"
                )));
            }
        }
        let tcp = match within(self.limits.connect, self.cut, socket.connect(target.address)).await {
            Some(Ok(tcp)) => tcp,
            Some(Err(error)) => return Err(unreachable(error)),
            None => return Err(Failure::Unreachable("timed out".to_owned())),
        };
        // each write is a whole group already; without this, it might wait for the acknowledgement of the one before
        tcp.set_nodelay(true).map_err(unreachable)?;
        Ok(tcp)
    }
}
