use harness::{Client, Edge, Setup, Sink, numbered_message};

#[test]
fn fifty_megabytes_pass_byte_for_byte_in_bounded_memory() {
    let sink = Sink::start();
    let edge = Edge::start(&Setup::default().route("*", &sink.route()));
    // the first message has the edge allocate what it allocates once
    Client::submit(edge.smtp(), "a@app.example", &["u@b.example"], &numbered_message(1, 4_096));
    sink.wait_for(1);
    let before = peak_resident_mib(edge.pid());
    let message = numbered_message(2, 50_000_000);
    Client::submit(edge.smtp(), "a@app.example", &["u@b.example"], &message);
    let sunk = sink.wait_for(2);
    assert!(sunk[1].data.ends_with(&message));
    let added = peak_resident_mib(edge.pid()) - before;
    assert!(added <= 32, "a 50 MB message added {added} MiB");
}

fn peak_resident_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}
