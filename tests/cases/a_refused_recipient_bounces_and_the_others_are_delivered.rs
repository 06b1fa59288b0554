use harness::{Act, Client, Edge, Script, Setup, Sink, Step, numbered_message};

#[test]
fn one_transaction_has_an_outcome_for_each_recipient() {
    let sink = Sink::scripted(Script::default().first(1, Step::Rcpt, Act::Say("550 5.1.1 unknown".into())));
    let edge = Edge::start(&Setup::default().route("app.example", "inbox").route("*", &sink.route()));
    let to = ["first@b.example", "second@b.example", "third@b.example"];
    let id = Client::submit(edge.smtp(), "a@app.example", &to, &numbered_message(1, 500));
    let trace = edge.settled(&id);
    let recipients = trace["deliveries"][0]["recipients"].as_array().unwrap();
    let statuses: Vec<_> = recipients.iter().map(|recipient| recipient["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["bounced", "delivered", "delivered"]);
    assert_eq!(sink.sunk()[0].to, to[1..]);
}
