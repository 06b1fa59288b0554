//! The bounds of shaping.

use std::num::NonZeroUsize;
use std::time::Duration;

/// Rules of one file.
pub const RULES_MAX: usize = 10_000;
/// Octets of a file of rules.
pub const RULES_OCTETS_MAX: u64 = 4 * 1024 * 1024;
/// How often it is looked whether the file of rules has changed.
pub const RULES_EVERY: Duration = Duration::from_secs(30);
/// Days of a warm-up.
pub const WARM_UP_DAYS_MAX: usize = 366;
/// A day of a warm-up.
pub const DAY: Duration = Duration::from_secs(24 * 3600);
/// What a site is slowed down to, unless the rule says otherwise.
pub const SLOW_DOWN: f64 = 0.5;
/// The least that replies can slow a site down to.
pub const SLOW_DOWN_MIN: f64 = 0.05;
/// Replies of the same kind that are this close together slow down once: they came over connections that were open.
pub const SLOW_DOWN_EVERY: Duration = Duration::from_secs(30);
/// Shortest time for which a reply can suspend or slow down.
pub const SUSPENSION_MIN: Duration = Duration::from_secs(1);
/// Longest one.
pub const SUSPENSION_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long what is known of suspensions is believed, and so how late another worker may learn of one.
pub const SUSPENSION_AGE: Duration = Duration::from_secs(5);
/// By how much of itself a suspension must be longer than the one in force to be written.
pub const SUSPENSION_STEP: u32 = 10;
/// Characters of the reply that are kept with a suspension.
pub const SUSPENSION_REPLY_CHARS_MAX: usize = 200;
/// Tenants of one site that can be suspended at a time.
pub const SUSPENDED_TENANTS_MAX: usize = 32;
/// Sites that a process remembers things of; the one that has been quiet longest is forgotten first.
pub const SITES_MAX: NonZeroUsize = NonZeroUsize::new(8192).expect("it is not zero");

/// How long mail waits for its turn in a process, all in all; what must wait longer goes back to the queue.
pub const WAIT_MAX: Duration = Duration::from_secs(4);
/// Groups of one site that wait so in a process; a tenant alone has three quarters of that, and of the next. Further ones go back to the
/// queue at once, and leave their places to other sites.
pub const WAITERS_EACH_MAX: usize = 160;
/// Groups of all sites that do: fewer than the jobs of a process ([`JOBS_MAX`](super::JOBS_MAX)), so that some places are always left.
pub const WAITERS_MAX: usize = 192;

/// How long a connection's place at a site is held unless that is renewed, and so for how long a dead worker keeps it.
pub const SLOT_LEASE: Duration = Duration::from_secs(60);
/// Places that are asked for one after the other before a site is taken for full.
pub const SLOT_PROBES_MAX: u32 = 8;
/// How often a place is asked for again while one is waited for.
pub const SLOT_PAUSE: Duration = Duration::from_millis(500);

/// How long the place of a connection that is no longer kept is held still: so long it may take to say QUIT and hear the answer.
pub const SLOT_GRACE: Duration = Duration::from_secs(2);

/// Shortest time for which mail goes back to the queue.
pub const POSTPONE_MIN: Duration = Duration::from_secs(2);
/// What goes back for one reason comes back spread over this time at most; longer, it would be late where there is room again.
pub const POSTPONE_SPREAD_MAX: Duration = Duration::from_secs(15 * 60);
/// Groups come back this long after one another from a suspension.
pub const POSTPONE_SPACE: Duration = Duration::from_millis(250);
/// Mail of one group whose turns are at most this far apart goes back in one job.
pub const POSTPONE_MERGE: Duration = Duration::from_secs(5);
/// By how much of itself at most a wait is made longer by chance, and by no more than [`POSTPONE_MERGE`].
pub const POSTPONE_JITTER: f64 = 0.1;
/// How long a connection is thought to be in use at a site that nothing is known of: two round trips of a server that is far. Who comes
/// back too soon waits once more; who comes back too late leaves connections idle.
pub const PACE: Duration = Duration::from_millis(250);
/// How much the last connection counts in how long they are thought to be in use.
pub const PACE_SHARE: f64 = 0.2;
