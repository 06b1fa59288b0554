//! Mail that keeps coming while a test disturbs the edge.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Client, numbered_message};

/// What is sent, and how fast.
#[derive(Debug, Clone, Copy)]
pub struct LoadOf {
    /// Sessions at a time.
    pub sessions: usize,
    /// How long each of them rests behind a message.
    pub pause: Duration,
    /// The octets of a message, by its number.
    pub octets: fn(u64) -> usize,
    /// Its recipient.
    pub to: fn(u64) -> String,
}

/// Sessions that send one [`numbered_message`] after the other, and connect again when they are cut off.
pub struct Load {
    accepted: Arc<Mutex<HashMap<u64, String>>>,
    ended: Arc<AtomicBool>,
    sessions: Vec<JoinHandle<()>>,
}

impl Load {
    /// Begins to send to `edge`.
    pub fn begin(edge: SocketAddr, of: LoadOf) -> Self {
        let (accepted, ended) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let next = Arc::new(AtomicU64::new(1));
        let session = |_| {
            let (accepted, ended, next) = (Arc::clone(&accepted), Arc::clone(&ended), Arc::clone(&next));
            std::thread::spawn(move || {
                while !ended.load(Ordering::SeqCst) {
                    if send_until_it_breaks(edge, of, &accepted, &ended, &next).is_none() {
                        std::thread::sleep(Duration::from_millis(10));
                    }
                }
            })
        };
        let sessions = (0..of.sessions).map(session).collect();
        Self { accepted, ended, sessions }
    }

    /// How many messages got 250 so far.
    pub fn accepted(&self) -> usize {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Stops, and gives the number and the id of each message that got 250.
    ///
    /// # Panics
    /// If the edge answered a message with anything but 250 or 4yz.
    pub fn end(self) -> HashMap<u64, String> {
        self.ended.store(true, Ordering::SeqCst);
        for session in self.sessions {
            session.join().expect("every session ends well");
        }
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn send_until_it_breaks(
    edge: SocketAddr,
    of: LoadOf,
    accepted: &Mutex<HashMap<u64, String>>,
    ended: &AtomicBool,
    next: &AtomicU64,
) -> Option<()> {
    let mut client = Client::try_connect(edge)?;
    client.command("EHLO load.example")?;
    while !ended.load(Ordering::SeqCst) {
        let number = next.fetch_add(1, Ordering::SeqCst);
        let message = numbered_message(number, (of.octets)(number));
        let reply = client.send("app@example.com", &[&(of.to)(number)], &message)?;
        match reply.strip_prefix("250 2.0.0 queued as ") {
            Some(id) => {
                let mut accepted = accepted.lock().unwrap_or_else(PoisonError::into_inner);
                accepted.insert(number, id.to_owned());
            }
            // 451 and 421 promise nothing
            None => assert!(reply.starts_with('4'), "{reply}"),
        }
        std::thread::sleep(of.pause);
    }
    Some(())
}
