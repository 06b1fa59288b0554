//! FUTURERELEASE from the socket to the operator who thinks again.

use harness::{Client, Edge, Setup, Sink, eventually};

#[test]
fn a_held_message_is_not_sent_and_can_be_cancelled_until_its_release() {
    let sink = Sink::start();
    let edge = Edge::start(&Setup::default().route("*", &sink.route()));
    let mut client = Client::connect(edge.smtp());
    let offered = client.command("EHLO client.example").unwrap();
    assert!(offered.contains("FUTURERELEASE 2592000 "), "{offered}");
    for line in ["MAIL FROM:<app@example.com> HOLDFOR=3600", "RCPT TO:<u@b.example>"] {
        assert!(client.command(line).unwrap().starts_with("250"), "{line}");
    }
    assert!(client.command("DATA").unwrap().starts_with("354"));
    client.write(b"From: app@example.com\r\n\r\nlater\r\n.\r\n").unwrap();
    let reply = client.reply().unwrap();
    let id = reply.strip_prefix("250 2.0.0 queued as ").unwrap();
    eventually("the message is held", || {
        let told = String::from_utf8(edge.run(&["trace", id]).stdout).unwrap();
        told.contains("held      until").then_some(())
    });
    // mail that came later goes first
    Client::submit(edge.smtp(), "app@example.com", &["v@b.example"], b"From: app@example.com\r\n\r\nnow\r\n");
    assert_eq!(sink.wait_for(1)[0].to, ["v@b.example"]);

    let cancelled = edge.run(&["cancel", id]);
    assert!(cancelled.status.success(), "{}", String::from_utf8_lossy(&cancelled.stderr));
    let told = String::from_utf8(edge.run(&["trace", id]).stdout).unwrap();
    assert!(told.contains("cancelled u@b.example"), "{told}");
}
