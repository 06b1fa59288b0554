//! A message ends at its first CRLF.CRLF, and its content does not depend on the pieces it comes in. The first octet picks
//! what a bare LF comes to and the size of the pieces.
#![no_main]

use ingress::smtp::{BareLf, ContentLimits, Decoder, Fault};
use libfuzzer_sys::fuzz_target;

type Decoded = (bool, usize, Option<Fault>, Vec<u8>);

fn decode(bare_lf: BareLf, input: &[u8], piece: usize) -> Decoded {
    let limits = ContentLimits { octets: 200, received_lines: 2 };
    let mut decoder = Decoder::new(bare_lf, limits);
    let (mut content, mut used, mut ended) = (Vec::new(), 0, false);
    for mut piece in input.chunks(piece) {
        let before = piece.len();
        ended = decoder.decode(&mut piece, &mut content);
        used += before - piece.len();
        assert!(content.len() as u64 <= limits.octets);
        if ended {
            break;
        }
        assert!(piece.is_empty());
    }
    let fault = decoder.content().fault();
    (ended, used, fault, if fault.is_none() { content } else { Vec::new() })
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, input)) = data.split_first() else { return };
    let bare_lf = if choice & 1 == 0 { BareLf::Refuse } else { BareLf::Crlf };
    let whole = decode(bare_lf, input, usize::MAX);
    assert_eq!(whole, decode(bare_lf, input, usize::from(choice >> 1).max(1)));
    let end = [b"\r\n", input].concat().windows(5).position(|end| end == b"\r\n.\r\n").map(|at| at + 3);
    assert_eq!(whole.0.then_some(whole.1), end);
    if let (true, used, None, content) = whole
        && bare_lf == BareLf::Refuse
    {
        // stuffing the content again gives back what was sent, but for dots that no client had to stuff
        let sent: Vec<u8> = input[..used - 3].to_vec();
        let unstuffed: Vec<u8> = sent
            .split_inclusive(|byte| *byte == b'\n')
            .flat_map(|line| line.strip_prefix(b".").unwrap_or(line).to_vec())
            .collect();
        assert_eq!(content, unstuffed);
    }
});
