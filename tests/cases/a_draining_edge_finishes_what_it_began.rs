use harness::{Client, Edge, Setup, Sink, eventually, numbered_message};

#[test]
fn sigterm_finishes_the_transaction_under_way_and_refuses_the_next_command() {
    let sink = Sink::start();
    let mut edge = Edge::start(&Setup::default().route("*", &sink.route()));
    let message = numbered_message(1, 3_000);
    let mut busy = Client::connect(edge.smtp());
    busy.command("EHLO client.example").unwrap();
    for command in ["MAIL FROM:<a@app.example>", "RCPT TO:<u@b.example>"] {
        assert!(busy.command(command).unwrap().starts_with("250"));
    }
    assert!(busy.command("DATA").unwrap().starts_with("354"));
    let mut idle = Client::connect(edge.smtp());
    idle.command("EHLO client.example").unwrap();
    edge.signal();
    eventually("no new connection is greeted", || Client::try_connect(edge.smtp()).is_none().then_some(()));
    assert!(idle.command("NOOP").is_none_or(|reply| reply.starts_with("421")));
    busy.write(&message).unwrap();
    busy.write(b".\r\n").unwrap();
    assert!(busy.reply().unwrap().starts_with("250 2.0.0 queued as "));
    assert!(busy.command("MAIL FROM:<a@app.example>").is_none_or(|reply| reply.starts_with("421")));
    assert_eq!(edge.wait().code(), Some(0));
    edge.restart();
    sink.wait_for(1);
}
