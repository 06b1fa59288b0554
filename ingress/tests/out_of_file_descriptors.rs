//! A server that cannot accept for want of file descriptors; a process of its own, whose limit it lowers.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, unreachable_pub, reason = "shared with the other tests, which use the rest")]
#[path = "cases/support"]
mod support {
    pub mod client;
    pub mod ports;
}

use ingress::Limits;
use support::client::Edge;
use tokio::net::TcpSocket;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_beyond_the_systems_limit_wait_and_are_served_when_others_end() {
    let edge = Edge::start(Limits::default()).await;
    let first = edge.connect().await;
    // the client's sockets are there before the limit, so it is the server that lacks descriptors
    let sockets: Vec<_> = (0..5).map(|_| TcpSocket::new_v4().unwrap()).collect();
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count();
    let limit = format!("--nofile={}", open + 2);
    let pid = std::process::id().to_string();
    let lowered = std::process::Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap();
    assert!(lowered.success());
    let mut waiting = Vec::new();
    for socket in sockets {
        waiting.push(edge.connect_through(socket).await);
    }
    let mut last = waiting.pop().unwrap();
    assert!(last.is_silent().await, "the limit is not low enough to show anything");
    drop((first, waiting));
    last.expect("220").await;
    last.ask("QUIT", "221").await;
}
