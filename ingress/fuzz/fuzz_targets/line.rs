//! Lines end at CRLF and nowhere else, whatever pieces they come in. The first octet is the size of the pieces.
#![no_main]

use ingress::smtp::{Line, Splitter};
use libfuzzer_sys::fuzz_target;

const OCTETS_MAX: usize = 40;
const AUTH_OCTETS_MAX: usize = 60;

fn lines(pieces: std::slice::Chunks<'_, u8>) -> Vec<Option<Vec<u8>>> {
    let mut splitter = Splitter::new(OCTETS_MAX, AUTH_OCTETS_MAX);
    let mut lines = Vec::new();
    for mut input in pieces {
        while let Some(line) = splitter.next(&mut input) {
            lines.push(match line {
                Line::Text(text) => Some(text.to_vec()),
                Line::Bare | Line::TooLong => None,
            });
        }
        assert!(input.is_empty());
        assert!(splitter.held() <= 2 * AUTH_OCTETS_MAX);
    }
    lines
}

fuzz_target!(|data: &[u8]| {
    let Some((piece, input)) = data.split_first() else { return };
    let whole = lines(input.chunks(usize::MAX));
    assert_eq!(whole, lines(input.chunks(usize::from(*piece).max(1))));
    assert_eq!(whole.len(), input.windows(2).filter(|end| end == b"\r\n").count());
    for line in whole.into_iter().flatten() {
        let is_auth = line.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"AUTH "));
        let most = if is_auth { AUTH_OCTETS_MAX } else { OCTETS_MAX };
        assert!(line.len() + 2 <= most && !line.contains(&b'\r') && !line.contains(&b'\n'));
    }
});
