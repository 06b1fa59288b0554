//! Which refusals say of an address that it takes no mail, now or later. The one place that decides it.

use shared::mail::{EnhancedCode, FailureClass, FailureScope, Reply};

use super::classify::Classification;
use super::outcome::Step;

/// What servers say of a mailbox for reasons of every kind: RFC 5321 §4.2.3 has the first of them for 550, and says that it may be "for
/// policy reasons".
const VAGUE: [&str; 3] = ["mailbox unavailable", "access denied", "recipient rejected"];

/// What makes such words mean the mailbox after all.
const PLAIN: [&str; 13] = [
    "user unknown",
    "unknown user",
    "unknown recipient",
    "recipient unknown",
    "no such user",
    "no such recipient",
    "no such mailbox",
    "user not found",
    "does not exist",
    "doesn't exist",
    "invalid recipient",
    "invalid-recipient",
    "is disabled",
];

/// What is said of whoever sends.
const OF_THE_SENDER: [&str; 4] = ["your account", "your ip", "sender", "sending"];

/// Whether `reply` at `step`, which was `found` to mean something, is the end of the address itself, and not of this message, this sender
/// or this day. Of what is in doubt it is not: a suppression that is wrong loses mail that would have arrived. A reply to the content is
/// one for all who were to get it; whether it can be meant for one of them is for the caller to know.
pub(super) fn is_hard(step: Step, reply: &Reply, found: &Classification) -> bool {
    let may_be = match step {
        Step::Recipient | Step::Data | Step::Content | Step::End => true,
        // those speak of a host or of the sender
        Step::Greeting | Step::Hello | Step::StartTls | Step::Auth | Step::Reset | Step::Mail => false,
    };
    if !may_be || !found.permanent || found.scope != FailureScope::Recipient {
        return false;
    }
    match found.class {
        FailureClass::InvalidRecipient | FailureClass::Inactive => names_the_mailbox(reply),
        // RFC 7505 §4.2: the domain takes no mail, for anybody
        FailureClass::BadDomain => reply.enhanced() == Some(EnhancedCode(1, 10)),
        _ => false,
    }
}

/// Whether its code or its words say what is wrong, and that it is wrong with the recipient.
fn names_the_mailbox(reply: &Reply) -> bool {
    let text = reply.text().to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|words| text.contains(words));
    if has(&OF_THE_SENDER) {
        return false;
    }
    // RFC 3463 §3.2 and §3.3: a status of the address, or of a mailbox that is disabled
    let told_by_code = matches!(reply.enhanced(), Some(EnhancedCode(1, _) | EnhancedCode(2, 1)));
    told_by_code || !has(&VAGUE) || has(&PLAIN)
}

#[cfg(test)]
mod tests {
    use super::super::classify::classify;
    use super::*;

    fn at(step: Step, reply: &Reply) -> bool {
        is_hard(step, reply, &classify(reply, step))
    }

    fn said(code: u16, text: &str) -> bool {
        at(Step::Recipient, &Reply::received(code, text).unwrap())
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
            (554, "5.7.1 <a@example.ch>: Recipient address rejected: User unknown"),
            (550, "Invalid recipient <email@example.com> (#5.1.1)"),
        ] {
            assert!(said(code, text), "{code} {text}");
        }
        for (code, text) in [
            (450, "4.1.1 try later"),
            (450, "4.2.1 over its rate"),
            (550, "5.1.2 bad domain"),
            (550, "blocked, see https://list.example"),
            (552, "5.2.2 mailbox full"),
            (552, "5.1.1 recipient rejected - extended quota violation"),
            (550, "5.1.1 <sender@example.org> sender is blacklisted"),
            (550, "mailbox unavailable"),
            (550, "Requested action not taken: mailbox unavailable (-2019901852)"),
            (550, "<a@example.org> recipient rejected"),
            (
                550,
                "mailbox unavailable (e.g., mailbox not found, no access, or command rejected for policy reasons)",
            ),
            (550, "Requested action not taken: mailbox unavailable\nFor explanation visit https://a.example"),
            (
                550,
                "5.4.1 Recipient address rejected: Access denied. For more information see https://a.example",
            ),
            (550, "5.7.1 Your account has been suspended"),
            (
                550,
                "5.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages",
            ),
        ] {
            assert!(!said(code, text), "{code} {text}");
        }
        assert!(at(Step::End, &Reply::new(550, (1, 1), "no user")));
        assert!(!at(Step::Hello, &Reply::plain(550, "your IP address does not exist")));
        assert!(!at(Step::Greeting, &Reply::plain(521, "account suspended")));
        assert!(!at(Step::Mail, &Reply::plain(550, "no such user")), "that is the sender");
    }
}
