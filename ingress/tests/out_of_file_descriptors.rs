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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_beyond_the_systems_limit_wait_and_are_served_when_others_end() {
    let edge = Edge::start(Limits::default()).await;
    let first = edge.connect().await;
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count();
    let limit = format!("--nofile={}", open + 6);
    let pid = std::process::id().to_string();
    let lowered = std::process::Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap();
    assert!(lowered.success());
    // five of the rest go to the client side, so not all of these can be accepted
    let mut waiting = Vec::new();
    for _ in 0..5 {
        waiting.push(edge.connect_silently().await);
    }
    let mut last = waiting.pop().unwrap();
    assert!(last.is_silent().await, "the limit is not low enough to show anything");
    drop((first, waiting));
    last.expect("220").await;
    last.ask("QUIT", "221").await;
}
