use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use harness::{Client, Edge, Setup, eventually, numbered_message};

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n").as_bytes())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn health_is_200_until_the_spool_cannot_be_written() {
    let edge = Edge::start(&Setup::default().route("*", "discard"));
    assert!(get(edge.http(), "/health").starts_with("HTTP/1.1 200"));
    break_folder(&edge.folder().join("spool"));
    let answer = eventually("the answer turns", || {
        let answer = get(edge.http(), "/health");
        answer.starts_with("HTTP/1.1 503").then_some(answer)
    });
    assert!(answer.contains("spool"), "{answer}");
}

/// Even root cannot write below a file.
fn break_folder(folder: &Path) {
    std::fs::remove_dir_all(folder).unwrap();
    std::fs::write(folder, "in the way").unwrap();
}

#[test]
fn metrics_count_what_happened() {
    let edge = Edge::start(&Setup::default().route("*", "discard"));
    Client::submit(edge.smtp(), "a@app.example", &["u@b.example"], &numbered_message(1, 500));
    let metrics = eventually("the message is counted", || {
        let metrics = get(edge.http(), "/metrics");
        metrics.contains("spoolway_ingress_messages_total 1").then_some(metrics)
    });
    assert!(metrics.contains("# HELP") && metrics.contains("# TYPE"), "{metrics}");
}
