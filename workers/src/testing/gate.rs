use std::future::pending;
use std::sync::Mutex;

use tokio_util::sync::CancellationToken;

/// Counts the lines that a worker crosses at its ports, and stops it for good at one of them.
#[derive(Default)]
pub(crate) struct Gate(Mutex<State>);

#[derive(Default)]
struct State {
    crossed: usize,
    stop_at: Option<usize>,
    stopped: CancellationToken,
}

impl Gate {
    /// Called by each fake before and after what it does.
    pub(crate) async fn cross(&self) {
        let stopped = {
            let mut state = self.0.lock().unwrap();
            state.crossed += 1;
            let stopped = state.stop_at.is_some_and(|at| state.crossed >= at);
            if stopped {
                state.stopped.cancel();
            }
            stopped
        };
        if stopped {
            pending::<()>().await;
        }
    }

    /// From now on, stops at the `at`-th line, counted from here; cancels the token then.
    pub(crate) fn stop_at(&self, at: usize) -> CancellationToken {
        let stopped = CancellationToken::new();
        *self.0.lock().unwrap() = State { crossed: 0, stop_at: Some(at), stopped: stopped.clone() };
        stopped
    }

    /// Stops nobody any more.
    pub(crate) fn open(&self) {
        *self.0.lock().unwrap() = State::default();
    }
}
