use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

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
fn health_is_200_but_while_the_spool_cannot_be_written() {
    let edge = Edge::start(&Setup::default().route("*", "discard"));
    assert!(get(edge.http(), "/health").starts_with("HTTP/1.1 200"));
    let (spool, aside) = (edge.folder().join("spool"), edge.folder().join("aside"));
    // even root cannot write below a file
    std::fs::rename(&spool, &aside).unwrap();
    std::fs::write(&spool, "in the way").unwrap();
    let answer = eventually("the answer turns", || {
        let answer = get(edge.http(), "/health");
        answer.starts_with("HTTP/1.1 503").then_some(answer)
    });
    assert!(answer.contains("spool"), "{answer}");
    let mut client = Client::connect(edge.smtp());
    client.command("EHLO client.example").unwrap();
    let mut send = || client.send("a@app.example", &["u@b.example"], &numbered_message(1, 500)).unwrap();
    assert!(send().starts_with("451 4.3.0"));
    std::fs::remove_file(&spool).unwrap();
    std::fs::rename(&aside, &spool).unwrap();
    eventually("the answer turns back", || {
        get(edge.http(), "/health").starts_with("HTTP/1.1 200").then_some(())
    });
    assert!(send().starts_with("250 2.0.0 queued as "));
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
