//! A remote that falls silent in the middle of a message: the edge ends in its time all the same, and the message arrives once it runs again.

use std::time::{Duration, Instant};

use harness::{Act, Client, Edge, Script, Setup, Sink, Step, eventually, numbered_message};

/// What a supervisor gives a process before it kills it.
const END_TIME: Duration = Duration::from_secs(30);

fn ends_in_time_and_delivers_once(step: Step) {
    let sink = Sink::scripted(Script::default().first(1, step, Act::Hang));
    let mut edge = Edge::start(&Setup::default().route("*", &sink.route()));
    let message = numbered_message(1, 2_000);
    let id = Client::submit(edge.smtp(), "a@app.example", &["u@b.example"], &message);
    eventually("the remote hangs", || (sink.acted() > 0).then_some(()));
    let began = Instant::now();
    edge.signal();
    assert_eq!(edge.wait().code(), Some(0));
    assert!(began.elapsed() < END_TIME, "it took {:?}", began.elapsed());
    edge.restart();
    let sunk = sink.wait_for(1);
    assert!(sunk[0].data.ends_with(&message));
    edge.settled(&id);
    assert_eq!(sink.count(), 1, "it arrived twice");
}

#[test]
fn a_remote_that_does_not_greet() {
    ends_in_time_and_delivers_once(Step::Greeting);
}

#[test]
fn a_remote_that_hangs_at_data() {
    ends_in_time_and_delivers_once(Step::Data);
}

#[test]
fn a_remote_that_hangs_at_the_final_dot() {
    ends_in_time_and_delivers_once(Step::Dot);
}
