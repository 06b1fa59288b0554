//! What came after DATA is what leaves, with new header lines only in front; the envelope is never derived from the headers.

use harness::{Client, Edge, Setup, Sink};

#[test]
fn every_octet_after_data_leaves_as_it_came() {
    let sink = Sink::start();
    let edge = Edge::start(&Setup::default().route("*", &sink.route()));
    let odd: &[u8] = b"FROM:odd   spacing  <a@b.example>\r\nTo: header@elsewhere.example\r\nBcc: hidden@elsewhere.example\r\n\
        X-8bit: \xc3\xa9\xff\r\nX-Folded: one\r\n\ttwo\r\n  three\r\n\r\n.\r\n..\r\n...three\r\n\r\n\x00\x01\x7f \t\r\n\r\n\r\n";
    let long = [b"Subject: long\r\n\r\n".as_slice(), "x".repeat(5_000).as_bytes(), b"\r\n"].concat();
    for original in [odd, &long, b"\r\nno header at all\r\n", b"Subject: no body\r\n"] {
        let arrived = sink.count();
        Client::submit(edge.smtp(), "envelope@sender.example", &["envelope@recipient.example"], original);
        let copy = sink.wait_for(arrived + 1).pop().unwrap();
        assert!(copy.data.ends_with(original), "{}", String::from_utf8_lossy(&copy.data));
        let prefix = &copy.data[..copy.data.len() - original.len()];
        assert!(
            prefix.starts_with(b"Received: from client.example ([127."),
            "{}",
            String::from_utf8_lossy(prefix)
        );
        assert!(prefix.ends_with(b"\r\n") && !prefix.windows(4).any(|octets| octets == b"\r\n\r\n"));
        assert_eq!(
            (copy.from.as_str(), &copy.to[..]),
            ("envelope@sender.example", &["envelope@recipient.example".to_owned()][..])
        );
    }
}
