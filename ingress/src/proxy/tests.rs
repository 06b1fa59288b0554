use std::pin::Pin;
use std::task::{Context, Poll};

use proptest::prelude::*;
use shared::testkit::ManualClock;
use tokio::io::ReadBuf;

use super::*;

const LIMIT: Duration = Duration::from_secs(5);

/// A stream that gives what it has in pieces of the lengths it is told, one after another.
struct Pieces {
    left: Vec<u8>,
    lengths: Vec<usize>,
}

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let piece = self.lengths.pop().unwrap_or(usize::MAX).min(into.remaining()).min(self.left.len());
        into.put_slice(&self.left.drain(..piece).collect::<Vec<_>>());
        Poll::Ready(Ok(()))
    }
}

/// What is read of `input`, and what is left of it.
fn read_of(input: &[u8], lengths: Vec<usize>) -> (Result<Proxied, String>, Vec<u8>) {
    let mut stream = Pieces { left: input.to_vec(), lengths };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    let read = runtime.block_on(read_header(&mut stream, LIMIT, &clock));
    (read.map_err(|error| error.to_string()), stream.left)
}

fn all_of(input: &[u8]) -> Result<Proxied, String> {
    let (read, left) = read_of(input, Vec::new());
    assert!(read.is_err() || left.is_empty());
    read
}

fn client(client: &str, local: &str) -> Proxied {
    Proxied::Client { client: client.parse().unwrap(), local: local.parse().unwrap() }
}

fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [&V2[..], &[command, family], &length, rest].concat()
}

const IPV4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 0xc3, 0x50, 0, 25];

fn ipv6() -> Vec<u8> {
    let (from, to): (std::net::Ipv6Addr, std::net::Ipv6Addr) =
        ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
    [&from.octets()[..], &to.octets(), &[0xc3, 0x50, 0, 25]].concat()
}

fn with_checksum(mut header: Vec<u8>) -> Vec<u8> {
    let length = u16::from_be_bytes([header[14], header[15]]) + 7;
    header[14..16].copy_from_slice(&length.to_be_bytes());
    header.extend([0x03, 0, 4, 0, 0, 0, 0]);
    let (crc, at) = (crc32c::crc32c(&header), header.len() - 4);
    header[at..].copy_from_slice(&crc.to_be_bytes());
    header
}

#[test]
fn a_line_of_version_1_tells_both_ends() {
    assert_eq!(
        all_of(b"PROXY TCP4 192.0.2.1 198.51.100.2 50000 25\r\n"),
        Ok(client("192.0.2.1:50000", "198.51.100.2:25"))
    );
    assert_eq!(
        all_of(b"PROXY TCP6 2001:db8::1 2001:db8::2 0 65535\r\n"),
        Ok(client("[2001:db8::1]:0", "[2001:db8::2]:65535"))
    );
    let longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    assert!(all_of(format!("PROXY TCP6 {longest} {longest} 65535 65535\r\n").as_bytes()).is_ok());
}

#[test]
fn octets_of_version_2_tell_both_ends_whatever_tlvs_they_have() {
    let (v4, v6) = (client("192.0.2.1:50000", "198.51.100.2:25"), "[2001:db8::1]:50000");
    assert_eq!(all_of(&v2(0x21, 0x11, &IPV4)), Ok(v4));
    assert_eq!(all_of(&v2(0x21, 0x21, &ipv6())), Ok(client(v6, "[2001:db8::2]:25")));
    // what AWS adds: the id of its endpoint
    let endpoint = b"\xea\x00\x17\x01vpce-0123456789abcdef0";
    assert_eq!(all_of(&v2(0x21, 0x11, &[&IPV4[..], endpoint].concat())), Ok(v4));
    assert_eq!(all_of(&with_checksum(v2(0x21, 0x11, &[&IPV4[..], endpoint].concat()))), Ok(v4));
    assert_eq!(all_of(&with_checksum(v2(0x21, 0x11, &IPV4))), Ok(v4));
    assert_eq!(all_of(&v2(0x21, 0x11, &[&IPV4[..], &[4, 0, 0]].concat())), Ok(v4));
}

#[test]
fn a_connection_of_the_balancer_itself_is_known_as_one() {
    for header in [
        &b"PROXY UNKNOWN\r\n"[..],
        b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n",
        &v2(0x20, 0x00, b""),
        &v2(0x20, 0x11, &IPV4),
        &v2(0x20, 0xff, b"anything at all"),
    ] {
        assert_eq!(all_of(header), Ok(Proxied::Local), "{}", header.escape_ascii());
    }
}

#[test]
fn a_line_that_is_not_exactly_one_of_version_1_is_refused() {
    for line in [
        "PROXY TCP4 192.0.2.1 198.51.100.2 50000 25\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 50000 25 \r\n",
        "PROXY TCP4  192.0.2.1 198.51.100.2 50000 25\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 50000\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 50000 25 7\r\n",
        "PROXY TCP4 192.0.2.01 198.51.100.2 50000 25\r\n",
        "PROXY TCP4 192.0.2.256 198.51.100.2 50000 25\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 65536 25\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 +5000 25\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 05000 25\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 -1 25\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 50000 25\r\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::2 50000 25\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.2 50000 25\r\n",
        "PROXY TCP6 fe80::1%eth0 2001:db8::2 50000 25\r\n",
        "PROXY TCP5 192.0.2.1 198.51.100.2 50000 25\r\n",
        "PROXY tcp4 192.0.2.1 198.51.100.2 50000 25\r\n",
        "proxy TCP4 192.0.2.1 198.51.100.2 50000 25\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY UNKNOWN\n",
        "PROXYTCP4 192.0.2.1 198.51.100.2 50000 25\r\n",
        " PROXY TCP4 192.0.2.1 198.51.100.2 50000 25\r\n",
        "EHLO client.example\r\n",
        "\r\n\r\n\0\r\nQUIT\r",
    ] {
        let told = all_of(line.as_bytes());
        assert!(
            told.as_ref().is_err_and(|error| error.starts_with("it is no PROXY header: ")),
            "{line}: {told:?}"
        );
    }
}

#[test]
fn octets_that_are_not_exactly_a_header_of_version_2_are_refused() {
    let tlvs = |tlvs: &[u8]| v2(0x21, 0x11, &[&IPV4[..], tlvs].concat());
    let good = with_checksum(v2(0x21, 0x11, &IPV4));
    let mut forged = good.clone();
    forged[19] ^= 1;
    let twice = [&IPV4[..], &[3, 0, 4, 0, 0, 0, 0], &[3, 0, 4, 0, 0, 0, 0]].concat();
    for (what, header) in [
        ("version 1", v2(0x11, 0x11, &IPV4)),
        ("version 3", v2(0x31, 0x11, &IPV4)),
        ("command 2", v2(0x22, 0x11, &IPV4)),
        ("no family", v2(0x21, 0x00, b"")),
        ("UDP", v2(0x21, 0x12, &IPV4)),
        ("a UNIX socket", v2(0x21, 0x31, &[0; 216])),
        ("short addresses", v2(0x21, 0x11, &IPV4[..11])),
        ("IPv4 for IPv6", v2(0x21, 0x21, &IPV4)),
        ("a cut TLV", tlvs(&[0xea, 0])),
        ("a cut value", tlvs(&[0xea, 0, 2, 1])),
        ("a short checksum", tlvs(&[3, 0, 3, 0, 0, 0])),
        ("two checksums", v2(0x21, 0x11, &twice)),
        ("a forged address", forged),
        ("too many TLVs", tlvs(&vec![0; 3 * 2000])),
    ] {
        let told = all_of(&header);
        assert!(
            told.as_ref().is_err_and(|error| error.starts_with("it is no PROXY header: ")),
            "{what}: {told:?}"
        );
    }
}

#[test]
fn a_line_of_more_than_107_octets_is_refused_without_being_read() {
    let line = format!("PROXY UNKNOWN {}\r\n", "x".repeat(91));
    assert_eq!(line.len(), 107);
    assert_eq!(all_of(line.as_bytes()), Ok(Proxied::Local));
    let (told, left) = read_of(&[b"PROXY UNKNOWN ".as_slice(), &[b'x'; 1000]].concat(), Vec::new());
    assert_eq!((told, left.len()), (Err("it is no PROXY header: it is too long".to_owned()), 1014 - 107));
}

#[test]
fn a_header_that_is_cut_off_is_told_from_one_that_is_wrong() {
    for header in [b"PROXY TCP4 192.0.2.1 198.51.100.2 50000 25\r\n".to_vec(), v2(0x21, 0x11, &IPV4)] {
        for end in 0..header.len() {
            let told = all_of(&header[..end]);
            assert_eq!(told, Err("the connection ended before its PROXY header did".to_owned()), "{end}");
        }
    }
}

#[tokio::test]
async fn a_header_that_does_not_come_is_not_waited_for() {
    let clock = Arc::new(ManualClock::default());
    let (mut near, _far) = tokio::io::duplex(64);
    let reading = tokio::spawn({
        let clock: Arc<dyn Clock> = Arc::clone(&clock) as _;
        async move { read_header(&mut near, LIMIT, &clock).await }
    });
    clock.until_asleep(1).await;
    clock.advance(LIMIT);
    assert!(matches!(reading.await.unwrap(), Err(ProxyError::TimedOut)));
}

#[test]
fn a_second_header_is_known_as_one() {
    assert!(begins_header(b"PROXY TCP4 1") && begins_header(&v2(0x21, 0x11, &IPV4)));
    assert!(!begins_header(b"EHLO a\r\n") && !begins_header(b"PROXYS\r\n") && !begins_header(b"\r\n\r\n"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn however_a_header_is_cut_what_follows_it_is_left(
        lengths in proptest::collection::vec(1_usize..20, 0..40),
        which in 0_usize..4,
        behind in proptest::collection::vec(any::<u8>(), 0..50),
    ) {
        let headers = [
            b"PROXY TCP4 192.0.2.1 198.51.100.2 50000 25\r\n".to_vec(),
            b"PROXY UNKNOWN\r\n".to_vec(),
            v2(0x20, 0, b""),
            with_checksum(v2(0x21, 0x11, &IPV4)),
        ];
        let (read, left) = read_of(&[&headers[which][..], &behind].concat(), lengths);
        prop_assert_eq!(read, all_of(&headers[which]));
        prop_assert_eq!(left, behind);
    }

    #[test]
    fn no_octets_are_a_panic_and_only_a_header_is_one(
        start in prop_oneof![Just(V1.to_vec()), Just(V2.to_vec()), Just(v2(0x21, 0x11, &[])[..14].to_vec())],
        rest in prop_oneof![proptest::collection::vec(any::<u8>(), 0..200), "[TCP46 0-9.:\r\n]{0,100}".prop_map(Vec::from)],
    ) {
        let input = [&start[..], &rest].concat();
        let (read, left) = read_of(&input, Vec::new());
        if read.is_ok() {
            let header = &input[..input.len() - left.len()];
            prop_assert_eq!(read, all_of(header));
            prop_assert!(header.len() <= PROXY_V2_OCTETS_MAX);
        }
    }
}
