//! Twenty SIGKILLs at random instants under load: what got 250 arrives, byte for byte. A message may arrive twice only where
//! a kill fell between the remote's 250 and its record.

use std::time::{Duration, Instant};

use harness::{
    Edge, Load, LoadOf, Setup, Sink, by_number, eventually_within, numbered_message, second_copies,
};

const KILLS: usize = 20;
/// Every tenth message is over 256 KiB, and so streamed.
const LOAD: LoadOf = LoadOf {
    sessions: 8,
    pause: Duration::from_millis(5),
    octets: |number| if number.is_multiple_of(10) { 300_000 } else { 2_000 },
    to: |_| "user@example.org".to_owned(),
};
/// How long after the remote's 250 a record may still be on its way to the disk, or the sink be reading what the dead process wrote.
const RECORD_TAKES_AT_MOST: Duration = Duration::from_secs(2);

#[test]
fn killed_twenty_times_under_load_it_loses_nothing_it_said_250_to() {
    let sink = Sink::start();
    let mut edge = Edge::start(&Setup::default().route("*", &sink.route()));
    let load = Load::begin(edge.smtp(), LOAD);
    let mut kills = Vec::new();
    for _ in 0..KILLS {
        let accepted = load.accepted();
        eventually_within(Duration::from_secs(30), "some more mail is accepted", || {
            (load.accepted() > accepted + 20).then_some(())
        });
        std::thread::sleep(random_pause());
        edge.kill();
        kills.push(Instant::now());
        edge.restart();
    }
    let accepted = load.end();
    let arrived = eventually_within(Duration::from_secs(120), "every accepted message arrives", || {
        let arrived = by_number(sink.sunk());
        accepted.keys().all(|number| arrived.contains_key(number)).then_some(arrived)
    });
    for number in accepted.keys() {
        let original = numbered_message(*number, (LOAD.octets)(*number));
        assert!(
            arrived[number].iter().all(|copy| copy.data.ends_with(&original)),
            "message {number} was changed"
        );
    }
    let twice = second_copies(&arrived, &kills, RECORD_TAKES_AT_MOST);
    println!("{} accepted, {} arrived, {twice} second copies, {KILLS} kills", accepted.len(), arrived.len());
}

/// Up to 400 ms, from the clock's last digits: the instants are to differ from run to run.
fn random_pause() -> Duration {
    let nanos = std::time::UNIX_EPOCH.elapsed().expect("it is after 1970").subsec_nanos();
    Duration::from_millis(u64::from(nanos / 1000 % 400))
}
