//! No line panics, and what is read of an address reads the same again.
#![no_main]

use ingress::smtp::{Command, ForwardPath};
use libfuzzer_sys::fuzz_target;
use shared::mail::Mailbox;

fuzz_target!(|line: &[u8]| {
    let mailbox = match Command::parse(line, 256) {
        Ok(Command::Mail(mail)) => mail.from.mailbox().cloned(),
        Ok(Command::Rcpt(rcpt)) => match rcpt.to {
            ForwardPath::Mailbox(mailbox) => Some(mailbox),
            ForwardPath::Postmaster => None,
        },
        Ok(Command::Ehlo(name) | Command::Helo(name)) => {
            assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()));
            None
        }
        Ok(_) | Err(_) => None,
    };
    if let Some(mailbox) = mailbox {
        assert!(!mailbox.as_str().contains(|c: char| c.is_ascii_control()));
        assert_eq!(Mailbox::parse(mailbox.as_str()), Ok(mailbox));
    }
});
