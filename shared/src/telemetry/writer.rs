//! Gathers log lines and writes them from a thread of its own: a write a line would be a system call for each message on
//! the path of the message.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::limits::telemetry::{LOG_GATHER, LOG_OCTETS_MAX};

/// Where lines go; cheap to clone.
#[derive(Clone)]
pub(super) struct Lines(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    closing: bool,
}

/// Writes what is still waiting when it is dropped.
pub(super) struct WriterGuard {
    lines: Lines,
    thread: Option<JoinHandle<()>>,
}

/// Begins to write lines to `sink`.
pub(super) fn start(sink: impl Write + Send + 'static) -> io::Result<(Lines, WriterGuard)> {
    let lines = Lines(Arc::new(Shared { state: Mutex::new(State::default()), changed: Condvar::new() }));
    let writer = lines.clone();
    let thread = std::thread::Builder::new().name("log".to_owned()).spawn(move || writer.write_to(sink))?;
    Ok((lines.clone(), WriterGuard { lines, thread: Some(thread) }))
}

impl Lines {
    fn state(&self) -> MutexGuard<'_, State> {
        // lines are whole or not there at all, so a panic elsewhere has broken nothing
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, mut sink: impl Write) {
        let mut lines = Vec::new();
        loop {
            let mut state = self.state();
            while state.waiting.is_empty() && !state.closing {
                state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if !state.closing {
                let gather = self.0.changed.wait_timeout_while(state, LOG_GATHER, |state| {
                    !state.closing && state.waiting.len() < LOG_OCTETS_MAX
                });
                state = gather.unwrap_or_else(PoisonError::into_inner).0;
            }
            std::mem::swap(&mut state.waiting, &mut lines);
            let closing = state.closing;
            drop(state);
            self.0.changed.notify_all();
            // there is nowhere left to tell that the log cannot be written
            let _ = sink.write_all(&lines).and_then(|()| sink.flush());
            lines.clear();
            if closing {
                return;
            }
        }
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let full = |state: &mut State| state.waiting.len() >= LOG_OCTETS_MAX && !state.closing;
        let state = self.0.changed.wait_while(self.state(), full);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let wake = state.waiting.is_empty() || state.waiting.len() + line.len() >= LOG_OCTETS_MAX;
        state.waiting.extend_from_slice(line);
        drop(state);
        if wake {
            self.0.changed.notify_all();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for WriterGuard {
    fn drop(&mut self) {
        self.lines.state().closing = true;
        self.lines.0.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A sink that a test can read.
    #[derive(Clone, Default)]
    pub(in crate::telemetry) struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Kept {
        pub(in crate::telemetry) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_line_is_lost_however_many_threads_write_more_than_the_buffer_holds() {
        let kept = Kept::default();
        let (lines, guard) = start(kept.clone()).unwrap();
        let line = |thread: usize, n: usize| format!("{thread} {n} {}\n", "x".repeat(200));
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let mut lines = lines.clone();
                scope.spawn(move || {
                    for n in 0..4_000 {
                        lines.write_all(line(thread, n).as_bytes()).unwrap();
                    }
                });
            }
        });
        drop(guard);
        let text = kept.text();
        assert!(text.len() > 2 * LOG_OCTETS_MAX);
        for thread in 0..4 {
            let own = text.split_inclusive('\n').filter(|line| line.starts_with(&format!("{thread} ")));
            assert!(own.eq((0..4_000).map(|n| line(thread, n))), "the lines of thread {thread}");
        }
    }

    #[test]
    fn a_line_is_written_without_another_one_behind_it() {
        let kept = Kept::default();
        let (mut lines, _guard) = start(kept.clone()).unwrap();
        lines.write_all(b"alone\n").unwrap();
        while kept.text() != "alone\n" {
            std::thread::yield_now();
        }
    }
}
