//! The bounds of an invocation of a function. It is killed at its deadline, so it lets go of its work in three steps before that. Each
//! margin is a time or a share of what the invocation has, whichever is less: a function that may run for seconds has work to do, too.

use std::time::Duration;

/// Records of one event that are worked on at a time.
pub const JOBS_MAX: usize = 10;
/// How long before the deadline nothing more is begun (of the 900 s that a function may have, the quarter below is less): a message of
/// some size is sent, and the final dot answered by a slow server, within this. What RFC 5321 §4.5.3.2 allows a server beyond it, a
/// function does not have: such a delivery is in doubt, and tried again.
pub const DRAIN_MARGIN: Duration = Duration::from_secs(300);
/// The same as a part of the time the invocation has.
pub const DRAIN_PART: u32 = 4;
/// How long before the deadline no server is waited for any more, so that what is in doubt can be recorded.
pub const CUT_MARGIN: Duration = Duration::from_secs(10);
/// The same as a part.
pub const CUT_PART: u32 = 8;
/// How long before the deadline whatever still runs is dropped, as if the process had died.
pub const DROP_MARGIN: Duration = Duration::from_secs(4);
/// The same as a part.
pub const DROP_PART: u32 = 16;
/// How long the queue has to take a record back; one that it does not take comes back once its visibility has run out.
pub const RELEASE_TIME: Duration = Duration::from_secs(2);
