//! However many connections there are: who is served can hand in mail, as the stores never lack a file descriptor.

use harness::{Client, Edge, Setup, Sink, numbered_message};

#[test]
fn a_flood_of_connections_keeps_nobody_who_is_served_from_handing_in_mail() {
    let sink = Sink::start();
    let setup =
        Setup::default().route("*", &sink.route()).section("[deliver]\nconnections = 32").descriptors(256);
    let edge = Edge::start(&setup);
    let mut early = Client::connect(edge.smtp());
    early.command("EHLO client.example").unwrap();
    let flood: Vec<_> = (0..300).map(|_| Client::try_connect(edge.smtp())).collect();
    assert!(flood.iter().any(Option::is_none), "there is room for all of them: the flood is too small");
    for number in 0..3 {
        let reply = early.send("a@app.example", &["u@b.example"], &numbered_message(number, 2_000)).unwrap();
        assert!(reply.starts_with("250 2.0.0 queued as "), "{reply}");
    }
    sink.wait_for(3);
}
