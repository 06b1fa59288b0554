//! Which refusals say of an address that it takes no mail, now or later. The one place that decides it; it asks for no more than a
//! reply and the step it came at.

use shared::mail::{EnhancedCode, Reply, ReplyClass};

use super::outcome::Step;

/// Words of servers that refuse a mailbox without an enhanced code.
const WORDS: [&str; 12] = [
    "user unknown",
    "unknown user",
    "unknown recipient",
    "recipient unknown",
    "no such user",
    "no such recipient",
    "no such mailbox",
    "no mailbox here",
    "mailbox not found",
    "user not found",
    "does not exist",
    "doesn't exist",
];

/// Whether `reply` at `step` is the end of the address itself, and not of this message, this sender or this day. Of what is in doubt it
/// is not: a suppression that is wrong loses mail that would have arrived.
pub(super) fn is_hard(step: Step, reply: &Reply) -> bool {
    if reply.class() != ReplyClass::Permanent {
        return false;
    }
    match reply.enhanced() {
        // RFC 3463 §3.2, §3.3 and RFC 7505 §4.2: no such mailbox, moved without a new address, null MX, disabled for good
        Some(EnhancedCode(1, 1 | 6 | 10) | EnhancedCode(2, 1)) => true,
        Some(EnhancedCode(subject, detail)) if (subject, detail) != (0, 0) => false,
        // RFC 5321 §4.2.2: 550 is said for policy too, so its words must name the mailbox
        Some(_) | None => {
            let at_recipient = step == Step::Recipient && matches!(reply.code(), 550 | 551 | 553);
            let text = reply.text().to_ascii_lowercase();
            at_recipient && WORDS.iter().any(|words| text.contains(words))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: u16, text: &str) -> bool {
        is_hard(Step::Recipient, &Reply::received(code, text).unwrap())
    }

    #[test]
    fn a_mailbox_that_is_not_there_is_told_from_everything_else() {
        for (code, text) in [
            (550, "5.1.1 The email account that you tried to reach does not exist"),
            (550, "5.1.6 moved"),
            (556, "5.1.10 the domain takes no mail"),
            (550, "5.2.1 The email account that you tried to reach is inactive"),
            (550, "no such user here"),
            (550, "5.0.0 User unknown"),
            (553, "sorry, this recipient does not exist in my validrcptto list"),
        ] {
            assert!(said(code, text), "{code} {text}");
        }
        for (code, text) in [
            (450, "4.1.1 try later"),
            (450, "4.2.1 over its rate"),
            (550, "5.1.2 bad domain"),
            (550, "5.7.1 user unknown to us may not relay"),
            (550, "blocked, see https://list.example"),
            (552, "5.2.2 mailbox full"),
            (550, "mailbox unavailable"),
            (554, "no such user here"),
        ] {
            assert!(!said(code, text), "{code} {text}");
        }
        assert!(is_hard(Step::End, &Reply::new(550, (1, 1), "no user")));
        assert!(!is_hard(Step::Mail, &Reply::plain(550, "no such user")), "that is the sender");
    }
}
