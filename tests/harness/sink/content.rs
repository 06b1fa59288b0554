//! The content of a message, by DATA or BDAT, and what is said to it.

use std::io::{Read as _, Write as _};
use std::time::Instant;

use super::{Act, Session, Step, Sunk};

impl Session {
    pub(super) fn content(&mut self, mut sunk: Sunk) -> Option<()> {
        loop {
            let line = self.line()?;
            if line == b".\r\n" {
                break;
            }
            sunk.data.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
        self.conclude(sunk)
    }

    /// One chunk (RFC 3030 §2), which is read whatever is said to it.
    pub(super) fn chunk(&mut self, line: &str, envelope: &mut Sunk) -> Option<()> {
        let mut words = line.split(' ').skip(1);
        let octets: u64 = words.next()?.parse().ok()?;
        let is_last = words.next().is_some_and(|word| word.eq_ignore_ascii_case("LAST"));
        let from = envelope.data.len();
        let read = self.wire.by_ref().take(octets).read_to_end(&mut envelope.data).ok()?;
        if read as u64 != octets {
            return None;
        }
        self.shared.partition.wait();
        if envelope.to.is_empty() {
            envelope.data.truncate(from);
            return self.say("503 5.5.1 no recipients");
        }
        if !is_last {
            return self.say("250 2.0.0 go on");
        }
        self.conclude(Sunk { chunked: true, ..std::mem::take(envelope) })
    }

    fn conclude(&mut self, sunk: Sunk) -> Option<()> {
        let sunk = Sunk { at: Instant::now(), tls: self.tls, ..sunk };
        match self.act(Step::Dot) {
            None => {
                self.keep(sunk);
                self.say("250 2.0.0 taken")
            }
            Some(Act::Say(line)) => {
                if line.starts_with('2') {
                    self.keep(sunk);
                }
                self.say(&line)?;
                if line.starts_with("421") { self.part() } else { Some(()) }
            }
            Some(Act::Drop) => {
                self.keep(sunk);
                None
            }
            Some(Act::Drip(pause)) => {
                self.keep(sunk);
                for octet in b"250 2.0.0 taken\r\n" {
                    self.wire.get_mut().write_all(&[*octet]).ok()?;
                    std::thread::sleep(pause);
                }
                Some(())
            }
            Some(Act::Hang) => {
                let _ = self.wire.read_to_end(&mut Vec::new());
                None
            }
        }
    }

    fn keep(&self, sunk: Sunk) {
        self.shared.sunk.lock().expect("no test panics while it holds the lock").push(sunk);
    }
}
