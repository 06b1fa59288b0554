//! A listener of the kind `mx` and the directory's recipients.

use std::net::SocketAddr;

use harness::{Client, Edge, Setup, Sink, loopback};

fn answer(client: &mut Client, line: &str) -> String {
    client.command(line).expect("the edge answers")
}

#[test]
fn recipients_are_those_that_the_directory_has() {
    let (sink, mx) = (Sink::start(), SocketAddr::from((loopback(), 2526)));
    let setup = Setup::default()
        .section(&format!("[[listener]]\naddress = \"{mx}\"\nkind = \"mx\"\n"))
        .route("*", &sink.route());
    let edge = Edge::start(&setup);
    let added = edge.run(&["recipient", "add", "app@example.com", "sales-*@example.com", "*@example.net"]);
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));

    let mut client = Client::connect(mx);
    let offered = answer(&mut client, "EHLO far.example");
    assert!(!offered.contains("AUTH") && !offered.contains("FUTURERELEASE"), "{offered}");
    assert!(answer(&mut client, "MAIL FROM:<anybody@far.example>").starts_with("250"));
    for (recipient, reply) in [
        ("App@example.com", "250"),
        ("sales-eu@example.com", "250"),
        ("whoever@example.net", "250"),
        ("postmaster@example.com", "250"),
        ("nobody@example.com", "550 5.1.1"),
        ("app+detail@example.com", "550 5.1.1"),
        ("app@example.org", "550 5.7.1"),
    ] {
        let told = answer(&mut client, &format!("RCPT TO:<{recipient}>"));
        assert!(told.starts_with(reply), "{recipient}: {told}");
    }
    assert!(answer(&mut client, "DATA").starts_with("354"));
    client.write(b"From: anybody@far.example\r\n\r\nhello\r\n.\r\n").unwrap();
    assert!(client.reply().unwrap().starts_with("250"));
    let taken: usize = sink.wait_for(2).iter().map(|copy| copy.to.len()).sum();
    assert_eq!(taken, 4, "each recipient that was taken has the message");
}
