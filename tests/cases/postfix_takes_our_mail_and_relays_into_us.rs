use harness::{Client, Edge, Peer, Postfix, Setup, Sink, numbered_message, peers_present};

#[test]
fn mail_passes_from_us_through_postfix_and_back_into_us() {
    if !peers_present("mail_passes_from_us_through_postfix_and_back_into_us", &[Peer::Postfix]) {
        return;
    }
    let sink = Sink::start();
    let far = Edge::start(&Setup::default().route("*", &sink.route()));
    let postfix = Postfix::start(sink.address(), &[("loop.example", far.smtp())]);
    let near = Edge::start(&Setup::default().route("*", &format!("smtp://{}", postfix.address())));
    for (number, octets) in [(1, 2_000), (2, 2_000_000)] {
        let message = numbered_message(number, octets);
        let id =
            Client::submit(near.smtp(), "a@app.example", &["u@direct.example", "v@loop.example"], &message);
        near.settled(&id);
    }
    let sunk = sink.wait_for(4);
    for (number, octets) in [(1, 2_000), (2, 2_000_000)] {
        let message = numbered_message(number, octets);
        let copies: Vec<_> = sunk.iter().filter(|copy| copy.data.ends_with(&message)).collect();
        assert_eq!(copies.len(), 2, "message {number}");
    }
    let looped = sunk.iter().filter(|copy| copy.to == ["v@loop.example"]);
    for copy in looped {
        let text = String::from_utf8_lossy(&copy.data[..2_000]).into_owned();
        assert_eq!(text.matches("Received: from").count(), 3, "two of ours and one of Postfix:\n{text}");
    }
}
