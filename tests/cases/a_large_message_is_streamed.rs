//! A message of 50 MB costs no 50 MB of memory, neither on its way in nor on its way out.

use std::fs;

use harness::{Client, Edge, Script, Setup, Sink, eventually, numbered_message};

const OCTETS: usize = 50_000_000;
/// What it may add, in MiB: buffers, and the allocator's share.
const ADDED_AT_MOST: u64 = 32;

#[test]
fn fifty_megabytes_pass_byte_for_byte_in_bounded_memory() {
    pass(&[], |client, message| {
        assert!(client.command("MAIL FROM:<a@app.example>").unwrap().starts_with("250"));
        assert!(client.command("RCPT TO:<u@b.example>").unwrap().starts_with("250"));
        client.data(message).unwrap()
    });
}

#[test]
fn fifty_megabytes_pass_by_chunks_in_bounded_memory() {
    let keywords = ["PIPELINING", "CHUNKING", "BINARYMIME", "8BITMIME"];
    pass(&keywords, |client, message| {
        assert!(client.command("MAIL FROM:<a@app.example> BODY=BINARYMIME").unwrap().starts_with("250"));
        assert!(client.command("RCPT TO:<u@b.example>").unwrap().starts_with("250"));
        client.write(format!("BDAT {} LAST\r\n", message.len()).as_bytes()).unwrap();
        client.write(message).unwrap();
        client.reply().unwrap()
    });
}

/// Has a message sent by `send` to a server that offers `keywords`, and looks at the memory of each way by itself.
fn pass(keywords: &[&'static str], send: impl FnOnce(&mut Client, &[u8]) -> String) {
    let script = if keywords.is_empty() { Script::default() } else { Script::default().offering(keywords) };
    let sink = Sink::scripted(script);
    let edge = Edge::start(&Setup::default().route("*", &sink.route()).section("[deliver]\nkeep = \"0s\""));
    // the first message has the edge allocate what it allocates once
    Client::submit(edge.smtp(), "a@app.example", &["u@b.example"], &numbered_message(1, 4_096));
    sink.wait_for(1);
    let message = numbered_message(2, OCTETS);

    // it does not leave before it is in
    sink.freeze();
    let before = start_over(edge.pid());
    let mut client = Client::connect(edge.smtp());
    client.command("EHLO client.example").unwrap();
    let reply = send(&mut client, &message);
    assert!(reply.starts_with("250 2.0.0 queued"), "{reply}");
    let added = peak_mib(edge.pid()) - before;
    assert!(added <= ADDED_AT_MOST, "a 50 MB message added {added} MiB on its way in");

    eventually("it is about to leave", || (sink.connections() == 2).then_some(()));
    let before = start_over(edge.pid());
    sink.thaw();
    let sunk = sink.wait_for(2);
    assert!(sunk[1].data.ends_with(&message));
    assert_eq!(sunk[1].chunked, !keywords.is_empty());
    let added = peak_mib(edge.pid()) - before;
    assert!(added <= ADDED_AT_MOST, "a 50 MB message added {added} MiB on its way out");
}

/// Has the kernel count the peak of the process's memory from now on, and tells what it is now. Where the kernel does not (a container may
/// not write there), the peak is that of the process's whole life, which is bounded no less.
fn start_over(pid: u32) -> u64 {
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
    peak_mib(pid)
}

fn peak_mib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}
