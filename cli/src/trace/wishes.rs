//! What the sender asked for beside the delivery itself, in the words of the protocol.

use shared::mail::{ByMode, MailOptions, Notify, Recipient, Ret};

/// The parameters of MAIL that have no line of their own; empty where there are none.
pub(super) fn of_message(options: &MailOptions) -> String {
    let mut words = Vec::new();
    match options.ret {
        Some(Ret::Full) => words.push("RET=FULL".to_owned()),
        Some(Ret::Hdrs) => words.push("RET=HDRS".to_owned()),
        None => {}
    }
    if let Some(envid) = &options.envid {
        words.push(format!("ENVID={envid}"));
    }
    if options.priority != 0 {
        words.push(format!("MT-PRIORITY={}", options.priority));
    }
    if let Some(by) = options.deliver_by {
        let end = match by.mode {
            ByMode::Return => "and else back",
            ByMode::Notify => "and else a notice",
        };
        let trace = if by.trace { ", traced" } else { "" };
        words.push(format!("within {} s, {end}{trace}", by.seconds));
    }
    if options.require_tls {
        words.push("REQUIRETLS".to_owned());
    }
    words.join(", ")
}

/// The parameters of RCPT.
pub(super) fn of_recipient(recipient: &Recipient) -> String {
    let notify = recipient.notify.map(|notify| format!("NOTIFY={}", words(notify)));
    let original =
        recipient.original.as_ref().map(|original| format!("ORCPT={};{}", original.kind, original.address));
    [notify, original].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn words(notify: Notify) -> String {
    let all = [(notify.success, "SUCCESS"), (notify.failure, "FAILURE"), (notify.delay, "DELAY")];
    let wanted: Vec<&str> = all.into_iter().filter(|(wanted, _)| *wanted).map(|(_, word)| word).collect();
    if wanted.is_empty() { "NEVER".to_owned() } else { wanted.join(",") }
}
