//! A recipient whose server said 250, and whose outcome was recorded, gets no second copy, whatever is killed and repeated.

use harness::{Act, Client, Edge, Script, Setup, Sink, Step, eventually, numbered_message};

#[test]
fn recorded_recipients_get_no_second_copy_after_a_kill() {
    let good = Sink::start();
    let stuck = Sink::scripted(Script::default().first(1, Step::Greeting, Act::Hang));
    let setup = Setup::default().route("good.example", &good.route()).route("stuck.example", &stuck.route());
    let mut edge = Edge::start(&setup);
    let id = Client::submit(
        edge.smtp(),
        "a@app.example",
        &["x@good.example", "y@stuck.example"],
        &numbered_message(1, 2_000),
    );
    // one job carries both deliveries: its first half is recorded while its second half hangs
    eventually("the first half is recorded", || {
        edge.json(&["trace", &id])["deliveries"]
            .as_array()?
            .iter()
            .find(|delivery| delivery["destination"] == "good.example")
            .map(drop)
    });
    edge.kill();
    edge.restart();
    let sunk = stuck.wait_for(1);
    assert_eq!(sunk[0].to, ["y@stuck.example"]);
    edge.settled(&id);
    assert_eq!(good.count(), 1, "the recorded recipient got a second copy");
}

#[test]
fn only_the_recipients_without_a_final_outcome_are_tried_again() {
    let sink =
        Sink::scripted(Script::default().first(1, Step::Rcpt, Act::Say("451 4.7.1 greylisted".into())));
    let edge =
        Edge::start(&Setup::default().route("*", &sink.route()).section("[retry]\nschedule = [\"1s\"]"));
    let id = Client::submit(
        edge.smtp(),
        "a@app.example",
        &["x@b.example", "y@b.example"],
        &numbered_message(1, 2_000),
    );
    edge.settled(&id);
    let to: Vec<_> = sink.sunk().into_iter().map(|copy| copy.to).collect();
    assert_eq!(to, [vec!["y@b.example".to_owned()], vec!["x@b.example".to_owned()]]);
}
