use harness::{Act, Client, Edge, Script, Setup, Sink, Step, numbered_message};

#[test]
fn a_message_deferred_twice_arrives_by_the_schedule() {
    let sink = Sink::scripted(Script::default().first(2, Step::Dot, Act::Say("451 4.3.0 try again".into())));
    let edge = Edge::start(
        &Setup::default().route("*", &sink.route()).section("[retry]\nschedule = [\"1s\", \"2s\"]"),
    );
    let message = numbered_message(1, 3_000);
    let id = Client::submit(edge.smtp(), "a@app.example", &["u@b.example"], &message);
    let trace = edge.settled(&id);
    assert_eq!(trace["deliveries"][0]["attempts"].as_array().unwrap().len(), 3);
    assert!(sink.wait_for(1)[0].data.ends_with(&message));
    assert_eq!(sink.count(), 1);
}
