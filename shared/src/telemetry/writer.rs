//! Gathers log lines and writes them from a thread of its own: a write a line would be a system call for each message on
//! the path of the message.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::limits::telemetry::{LOG_GATHER, LOG_OCTETS_MAX, LOG_PATIENCE};

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
    /// Nothing has been written for so long that nobody waits for it any more.
    stuck: bool,
    /// Lines thrown away since the last one that was written.
    lost: u64,
    ended: bool,
}

/// Writes what is still waiting when it is dropped.
pub(super) struct WriterGuard {
    lines: Lines,
    thread: Option<JoinHandle<()>>,
}

/// Begins to write lines to `sink`.
///
/// A sink that takes nothing for [`LOG_PATIENCE`] loses lines; when it takes some again, `lost` is the line that tells how many.
pub(super) fn start(
    sink: impl Write + Send + 'static,
    lost: fn(u64) -> String,
) -> io::Result<(Lines, WriterGuard)> {
    let lines = Lines(Arc::new(Shared { state: Mutex::new(State::default()), changed: Condvar::new() }));
    let writer = lines.clone();
    let thread =
        std::thread::Builder::new().name("log".to_owned()).spawn(move || writer.write_to(sink, lost))?;
    Ok((lines.clone(), WriterGuard { lines, thread: Some(thread) }))
}

impl Lines {
    fn state(&self) -> MutexGuard<'_, State> {
        // lines are whole or not there at all, so a panic elsewhere has broken nothing
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, mut sink: impl Write, lost_line: fn(u64) -> String) {
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
            let (closing, lost) = (state.closing, std::mem::take(&mut state.lost));
            drop(state);
            self.0.changed.notify_all();
            if lost > 0 {
                lines.extend_from_slice(lost_line(lost).as_bytes());
            }
            // there is nowhere left to tell that the log cannot be written
            let _ = sink.write_all(&lines).and_then(|()| sink.flush());
            lines.clear();
            let mut state = self.state();
            state.stuck = false;
            state.ended = closing;
            drop(state);
            if closing {
                self.0.changed.notify_all();
                return;
            }
        }
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let full =
            |state: &mut State| state.waiting.len() >= LOG_OCTETS_MAX && !state.closing && !state.stuck;
        let state = self.0.changed.wait_timeout_while(self.state(), LOG_PATIENCE, full);
        let mut state = state.unwrap_or_else(PoisonError::into_inner).0;
        if state.waiting.len() >= LOG_OCTETS_MAX {
            // whoever reads the log has stopped to, and mail does not stop for that
            state.stuck = true;
            state.lost += 1;
            return Ok(line.len());
        }
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
        let not_ended = |state: &mut State| !state.ended;
        let last = self.lines.0.changed.wait_timeout_while(self.lines.state(), LOG_PATIENCE, not_ended);
        let ended = last.unwrap_or_else(PoisonError::into_inner).0.ended;
        if let Some(thread) = self.thread.take().filter(|_| ended) {
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

    fn lost(count: u64) -> String {
        format!("{count} lost\n")
    }

    #[test]
    fn no_line_is_lost_however_many_threads_write_more_than_the_buffer_holds() {
        let kept = Kept::default();
        let (lines, guard) = start(kept.clone(), lost).unwrap();
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

    /// A sink that takes nothing until it is let go.
    struct Stopped(Kept, Arc<Mutex<()>>);

    impl Write for Stopped {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            drop(self.1.lock().unwrap());
            self.0.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_log_that_nobody_reads_holds_nobody_up_for_long_and_tells_what_is_missing() {
        let (kept, stop) = (Kept::default(), Arc::new(Mutex::new(())));
        let stopped = stop.lock().unwrap();
        let (mut lines, guard) = start(Stopped(kept.clone(), Arc::clone(&stop)), lost).unwrap();
        let line = format!("{}\n", "x".repeat(999));
        for _ in 0..3 * LOG_OCTETS_MAX / line.len() {
            lines.write_all(line.as_bytes()).unwrap();
        }
        let state = lines.state();
        assert!(state.lost > 0 && state.waiting.len() <= LOG_OCTETS_MAX + line.len());
        drop(state);
        drop(stopped);
        drop(guard);
        assert!(kept.text().ends_with(" lost\n"), "nobody is told of it");
    }

    #[test]
    fn a_process_ends_though_nobody_reads_its_log() {
        let stop = Arc::new(Mutex::new(()));
        let _stopped = stop.lock().unwrap();
        let (mut lines, guard) = start(Stopped(Kept::default(), Arc::clone(&stop)), lost).unwrap();
        lines.write_all(b"never read\n").unwrap();
        drop(guard);
    }

    #[test]
    fn a_line_is_written_without_another_one_behind_it() {
        let kept = Kept::default();
        let (mut lines, _guard) = start(kept.clone(), lost).unwrap();
        lines.write_all(b"alone\n").unwrap();
        while kept.text() != "alone\n" {
            std::thread::yield_now();
        }
    }
}
