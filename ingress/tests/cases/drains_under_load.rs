//! Going away while clients go on sending, in clear text and under TLS: not one transaction is dropped.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use ingress::{Limits, ListenerTls, Settings};
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio_rustls::client::TlsStream;

use super::support::client::{Client, Edge, Wire, settings, within};
use super::support::tls::Identity;

const CLIENTS: usize = 20;
/// Messages of a session, behind which its client connects anew. One stays for as long as it may, so that it is told of the drain; the
/// others differ, or those whose messages share commits would all connect at once.
const SESSIONS: [usize; 5] = [usize::MAX, 1, 2, 4, 7];
/// Commits before the server is told to go.
const COMMITS: u64 = 30;

/// What a client has been told.
struct Told {
    /// Where it waits in its first session until all clients have one.
    start: Option<Arc<Barrier>>,
    queued: Vec<String>,
    /// How many of its sessions ended with 421.
    drained: usize,
}

/// Whether the session goes on.
type GoesOn = bool;

impl Told {
    /// A command outside of a transaction. An end that nobody tells of fails.
    async fn may_begin<S: Wire>(&mut self, client: &mut Client<S>, command: &str) -> GoesOn {
        client.send(format!("{command}\r\n")).await;
        let reply = client.reply().await.pop().unwrap_or_default();
        if reply.starts_with("421 4.3.2") {
            self.drained += 1;
            return false;
        }
        assert!(reply.starts_with('2'), "{command}: {reply}");
        true
    }

    /// Messages one after the other. Once one has begun, it must be taken.
    async fn send<S: Wire>(&mut self, client: &mut Client<S>, session: usize) -> GoesOn {
        if !self.may_begin(client, "EHLO client.example").await {
            return false;
        }
        if let Some(start) = self.start.take() {
            within(start.wait()).await;
        }
        for _ in 0..session {
            if !self.may_begin(client, "MAIL FROM:<a@b.example>").await {
                return false;
            }
            client.ask("RCPT TO:<c@d.example>", "250").await;
            client.ask("DATA", "354").await;
            client.send("Subject: half a message\r\n").await;
            client.send("\r\nand the other half\r\n").await;
            let reply = client.ask(".", "250 2.0.0 queued as ").await;
            self.queued.push(reply["250 2.0.0 queued as ".len()..].to_owned());
        }
        self.may_begin(client, "QUIT").await
    }

    /// Upgrades a session that was greeted.
    async fn start_tls(
        &mut self,
        identity: &Identity,
        mut client: Client,
    ) -> Option<Client<TlsStream<TcpStream>>> {
        let goes_on = self.may_begin(&mut client, "EHLO client.example").await
            && self.may_begin(&mut client, "STARTTLS").await;
        if !goes_on {
            return None;
        }
        Some(Client::new(identity.connect(client.into_inner()).await))
    }
}

/// Sends in one session after the other until the server is gone.
async fn load(
    tls: ListenerTls,
    address: SocketAddr,
    identity: Arc<Identity>,
    session: usize,
    start: Arc<Barrier>,
) -> Told {
    let mut told = Told { start: Some(start), queued: Vec::new(), drained: 0 };
    loop {
        // until it is greeted, a client knows by itself that nothing was taken
        let Ok(socket) = within(TcpStream::connect(address)).await else { return told };
        let goes_on = if tls == ListenerTls::Implicit {
            let Ok(stream) = identity.try_connect(socket).await else { return told };
            let mut client = Client::new(stream);
            let Some(_greeting) = client.try_line().await else { return told };
            told.send(&mut client, session).await
        } else {
            let mut client = Client::new(socket);
            let Some(_greeting) = client.try_line().await else { return told };
            if tls == ListenerTls::Off {
                told.send(&mut client, session).await
            } else {
                match told.start_tls(&identity, client).await {
                    Some(mut client) => told.send(&mut client, session).await,
                    None => false,
                }
            }
        };
        if !goes_on {
            return told;
        }
    }
}

async fn drain_under_load(tls: ListenerTls) {
    let identity = Arc::new(Identity::new().await);
    let mut settings = Settings { tls: Some(identity.tls.clone()), ..settings(Limits::default()) };
    settings.listeners[0].tls = tls;
    let edge = Edge::start_with(settings).await;
    let start = Arc::new(Barrier::new(CLIENTS));
    let sessions = SESSIONS.into_iter().cycle().take(CLIENTS);
    let clients: Vec<_> = sessions
        .map(|session| {
            tokio::spawn(load(tls, edge.address, Arc::clone(&identity), session, Arc::clone(&start)))
        })
        .collect();
    within(edge.world.spool.until_called("put", COMMITS)).await;
    edge.drain.cancel();
    let (mut queued, mut drained) = (BTreeSet::new(), 0);
    for client in clients {
        let told = within(client).await.unwrap();
        drained += told.drained;
        for id in told.queued {
            assert!(queued.insert(id), "an id was given twice");
        }
    }
    within(edge.serving).await.unwrap();
    assert_eq!(edge.world.messages_with_jobs().await, queued, "what has its 250, and nothing else");
    assert!(queued.len() as u64 >= COMMITS);
    assert!(drained >= CLIENTS / SESSIONS.len(), "{drained} sessions heard 421");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_clear_text_every_250_is_kept_and_no_transaction_is_cut_off() {
    drain_under_load(ListenerTls::Off).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_starttls_every_250_is_kept_and_no_transaction_is_cut_off() {
    drain_under_load(ListenerTls::StartTls).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_implicit_tls_every_250_is_kept_and_no_transaction_is_cut_off() {
    drain_under_load(ListenerTls::Implicit).await;
}
