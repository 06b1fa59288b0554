//! What holds for any input.

use ingress::smtp::{Encryption, Offer};
use ingress::{BareLf, Limits};
use proptest::prelude::*;

use super::transcripts::{Player, config, offer};

/// Pieces of a conversation, good and bad, in any order.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let line = prop::sample::select(vec![
        "EHLO client.example\r\n",
        "HELO client.example\r\n",
        "MAIL FROM:<a@b.example>\r\n",
        "MAIL FROM:<a@b.example> SIZE=10 BODY=8BITMIME\r\n",
        "RCPT TO:<c@d.example>\r\n",
        "RCPT TO:<c@refused.example>\r\n",
        "DATA\r\n",
        "BDAT 3\r\nabc",
        "BDAT 5 LAST\r\nx\r\n.\r",
        "BDAT 0 LAST\r\n",
        "BDAT 7\r\n",
        "MAIL FROM:<a@b.example> BODY=BINARYMIME RET=HDRS ENVID=x MT-PRIORITY=3 HOLDFOR=5\r\n",
        "RCPT TO:<e@d.example> NOTIFY=SUCCESS ORCPT=rfc822;x@y.example\r\n",
        "AUTH PLAIN\r\n",
        "AUTH PLAIN AGFwcABzZWNyZXQ=\r\n",
        "AUTH LOGIN\r\n",
        "AGFwcABzZWNyZXQ=\r\n",
        "YXBw\r\n",
        "*\r\n",
        "XCLIENT ADDR=192.0.2.1\r\n",
        "STARTTLS\r\n",
        "RSET\r\n",
        "VRFY x\r\n",
        "Received: x\r\n",
        "\r\n",
        ".\r\n",
        "..\r\n",
        ".",
        "\r",
        "\n",
        "\r\n.\r\n",
        "\n.\n",
        "x",
    ]);
    prop_oneof![
        8 => line.prop_map(|line| line.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
        1 => (1..700_usize).prop_map(|n| vec![b'y'; n]),
    ]
}

fn conversation() -> impl Strategy<Value = Vec<u8>> {
    let opened = "EHLO client.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n";
    (any::<bool>(), prop::collection::vec(fragment(), 0..40)).prop_map(move |(open, fragments)| {
        let mut all = if open { opened.as_bytes().to_vec() } else { Vec::new() };
        all.extend(fragments.concat());
        all
    })
}

fn player(bare_lf: BareLf) -> Player {
    let limits = Limits { message_octets: 300, received_lines: 3, replies_octets: 100, ..Limits::default() };
    let offer = Offer {
        encryption: Encryption::Offered,
        mechanisms: vec!["PLAIN", "LOGIN"],
        xclient: true,
        ..offer()
    };
    Player::new(ingress::smtp::Config { bare_lf, limits, ..config() }, offer)
}

fn bare_lf() -> impl Strategy<Value = BareLf> {
    prop::sample::select(vec![BareLf::Refuse, BareLf::Crlf])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_of_the_input_gives_the_same_replies_and_messages(
        input in conversation(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        bare_lf in bare_lf(),
    ) {
        let mut whole = player(bare_lf);
        whole.play(&input);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        cuts.sort_unstable();
        let mut cut = player(bare_lf);
        let mut from = 0;
        for to in cuts.into_iter().chain([input.len()]) {
            cut.play(&input[from..to]);
            from = to;
        }
        prop_assert_eq!(&cut.replies, &whole.replies);
        prop_assert_eq!(&cut.messages, &whole.messages);
        prop_assert_eq!(cut.closed, whole.closed);
    }

    #[test]
    fn nothing_a_client_sends_makes_a_session_hold_more_than_its_limits(
        input in conversation(),
        piece in 1..50_usize,
        bare_lf in bare_lf(),
    ) {
        let mut player = player(bare_lf);
        for piece in input.chunks(piece) {
            player.play(piece);
            prop_assert!(player.held() <= 2 * 12_290);
            prop_assert!(player.content_held() <= 300);
        }
    }

    #[test]
    fn what_a_message_holds_is_what_was_sent_before_its_one_end(
        lines in prop::collection::vec("[.]{0,2}[a-z]{0,3}", 0..20),
        piece in 1..9_usize,
    ) {
        let content: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let stuffed: String =
            lines.iter().map(|line| if line.starts_with('.') { format!(".{line}\r\n") } else { format!("{line}\r\n") }).collect();
        let mut player = player(BareLf::Refuse);
        player.play(b"HELO client.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n");
        for piece in format!("{stuffed}.\r\nQUIT\r\n").as_bytes().chunks(piece) {
            player.play(piece);
        }
        prop_assert!(player.closed);
        prop_assert_eq!(player.messages.len(), 1);
        prop_assert_eq!(&player.messages[0].1, content.as_bytes());
    }

    #[test]
    fn any_octets_are_survived(input in prop::collection::vec(any::<u8>(), 0..2000), bare_lf in bare_lf()) {
        let mut commands = player(bare_lf);
        commands.play(&input);
        let mut content = player(bare_lf);
        content.play(b"HELO client.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n");
        content.play(&input);
    }
}

/// What the fuzzers once found worth keeping; a plain test run has no fuzzer.
#[test]
fn every_file_of_the_fuzz_corpus_comes_out_the_same_in_any_pieces() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus");
    let mut count = 0;
    for target in std::fs::read_dir(folder).unwrap() {
        for file in std::fs::read_dir(target.unwrap().path()).unwrap() {
            let input = std::fs::read(file.unwrap().path()).unwrap();
            for bare_lf in [BareLf::Refuse, BareLf::Crlf] {
                let mut whole = player(bare_lf);
                whole.play(&input);
                for piece in [1, 3, 50] {
                    let mut cut = player(bare_lf);
                    input.chunks(piece).for_each(|piece| cut.play(piece));
                    assert_eq!((cut.replies, cut.messages), (whole.replies.clone(), whole.messages.clone()));
                }
            }
            count += 1;
        }
    }
    assert!(count >= 50, "only {count} files were found in {folder}");
}
