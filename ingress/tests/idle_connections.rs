//! What a connection costs that says nothing; a process of its own, so that nothing else moves its memory.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, unreachable_pub, reason = "shared with the other tests, which use the rest")]
#[path = "cases/support"]
mod support {
    pub mod client;
    pub mod ports;
}

use std::io::{Read, Write};

use ingress::Limits;
use shared::testkit::{Fate, Mode};
use support::client::Edge;

const CONNECTIONS: usize = 400;
const OCTETS_MAX: usize = 30 * 1024;

fn resident_octets() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// A connection that has tried to send a message and then falls silent.
fn open(edge: &Edge) -> std::net::TcpStream {
    let mut stream = std::net::TcpStream::connect(edge.address).unwrap();
    let mut buffer = [0; 512];
    let message = "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n";
    let content = "x".repeat(4000) + "\r\n.\r\n";
    for (text, replies) in [("", 1), ("EHLO c.example\r\n", 1), (message, 3), (&content, 1)] {
        stream.write_all(text.as_bytes()).unwrap();
        let mut heard = 0;
        while heard < replies {
            let n = stream.read(&mut buffer).unwrap();
            assert!(n > 0, "the connection was closed");
            // a reply's last line has a space behind its code
            heard +=
                buffer[..n].split_inclusive(|byte| *byte == b'\n').filter(|line| line[3] == b' ').count();
        }
    }
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_costs_less_than_30_kib() {
    let edge = Edge::start(Limits::default()).await;
    // nothing is accepted, so nothing is kept but what the connections hold
    edge.world.spool.set(Mode::Always(Fate::Refused));
    // what is allocated once is allocated now
    let mut open_connections: Vec<_> = (0..50).map(|_| open(&edge)).collect();
    let before = resident_octets();
    open_connections.extend((0..CONNECTIONS).map(|_| open(&edge)));
    let each = resident_octets().saturating_sub(before) / CONNECTIONS;
    assert!(each < OCTETS_MAX, "{each} octets");
    drop(open_connections);
}
