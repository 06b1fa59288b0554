//! Every bound of the stages behind the queues, in one place. Those that an operator may change are the defaults of a setting.

mod client;
pub mod lambda;
pub mod policy;
pub mod prepare;
pub mod shaping;
pub(crate) mod tls_report;

use std::time::Duration;

pub use client::ClientLimits;
pub use shared::limits::ORDERS_MAX;

/// How long a claim holds unless it is renewed; it is renewed three times in that time.
pub const LEASE: Duration = Duration::from_secs(60);
/// How long what is settled, and what is known of finished jobs, is remembered.
pub const RETAIN: Duration = Duration::from_secs(14 * DAY);
/// Most groups of deliveries (one connection each) under way at a time in one process.
pub const CONNECTIONS_MAX: usize = 256;
/// How many times what stays free a tenant may have of something: of jobs at a time, and of connections. With 3, one that is alone has
/// three quarters of all, and the rest is for whoever comes.
pub const SHARE_OF_FREE: usize = 3;

/// Time between tries; the last one repeats.
pub const RETRY_SCHEDULE: [Duration; 7] = [
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(HOUR),
    Duration::from_secs(2 * HOUR),
    Duration::from_secs(4 * HOUR),
];
/// How long a message is tried (RFC 5321 §4.5.4.1: at least 4-5 days).
pub const RETRY_LIFETIME: Duration = Duration::from_secs(5 * DAY);
/// By how much of itself each pause is spread to either side.
pub const RETRY_JITTER: f64 = 0.2;
/// Longest pause before the next try of what is greylisted: most greylists want five minutes (RFC 6647 §5).
pub(crate) const GREYLISTED_PAUSE: Duration = Duration::from_secs(5 * 60);
/// How old a message may be to be tried that soon.
pub(crate) const GREYLISTED_FOR: Duration = Duration::from_secs(2 * 3600);
/// Longest pause between two tries, whatever is configured.
pub const RETRY_PAUSE_MAX: Duration = Duration::from_secs(30 * DAY);
/// An attempt that ends this close to the expiry is the last one.
pub const LAST_TRY_MARGIN: Duration = Duration::from_secs(5);
/// How long after its time a retry that went to the queue is taken for lost.
pub const RETRY_GRACE: Duration = Duration::from_secs(5 * 60);
/// Retries for one destination that are at most this far apart share a job.
pub const RETRY_MERGE: Duration = Duration::from_secs(60);

/// Most outcomes written at once, and most that wait for it.
pub const RECORDS_MAX: usize = 64;
/// Tries at writing an outcome, before it lets others go first.
pub const RECORD_TRIES: u32 = 8;
/// Such rounds, which with the pauses between them take an hour: giving up costs a second copy, and a full disk is not made room
/// on in seconds.
pub const RECORD_ROUNDS: u32 = 160;
/// Tries at any other call of a port.
pub const PORT_TRIES: u32 = 4;
/// The pause before the second try; it doubles each time.
pub const PORT_PAUSE: Duration = Duration::from_millis(100);
/// The longest such pause.
pub const PORT_PAUSE_MAX: Duration = Duration::from_secs(10);

/// How long orders of operators are gone by before they are read again. With a third of [`LEASE`], after which those under way are
/// looked for, and a queue's own delays, an order is in force within a minute.
pub const ORDERS_FRESH: Duration = Duration::from_secs(15);
/// For how long after it was given the sweep puts an order on what an attempt has just left; longer than an old reading of the
/// orders, and the lag of an index.
pub const ORDERS_SETTLE: Duration = Duration::from_secs(3 * 60);
/// Orders, or deliveries to put one on, asked for at a time.
pub const ORDERS_PAGE: usize = 200;
/// How long a job is left alone of which not all was begun, as an order came for it.
pub const ORDERED_PAUSE: Duration = Duration::from_secs(1);

/// How long a job is left alone that somebody else holds: at least and at most.
pub const HELD_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15 * 60));
/// How long a job is left alone that a port or a panic got in the way of.
pub const FAILED_PAUSE: Duration = Duration::from_secs(30);
/// How long a job that was not done is left alone at least, after its first receive; it doubles with each further one, so that the
/// receives a queue allows (50 unless set otherwise) outlast an outage of more than eight hours.
pub const AGAIN_PAUSE: Duration = Duration::from_secs(5);
/// The longest such pause, and so about how long after an outage the last job comes back.
pub const AGAIN_PAUSE_MAX: Duration = Duration::from_secs(15 * 60);
/// How soon a recipient is tried again whose bounce could not be put in.
pub const REPORT_PAUSE: Duration = Duration::from_secs(5 * 60);

/// How long after its 250 a message is late enough for a delay DSN, where NOTIFY=DELAY asks for one.
pub const DELAY_NOTICE: Duration = Duration::from_secs(4 * HOUR);
/// How long after a delivery leaves something to tell it is looked whether that of the message's other deliveries is there, too.
pub const GATHERED_FOR: Duration = Duration::from_secs(10);
/// How long it waits for those which have an attempt before them.
pub const GATHERED_WITHIN: Duration = Duration::from_secs(2 * 60);
/// Whose next attempt is due within that time may be known soon: as long as a delivery that was sent is leased.
pub const GATHERED_SOON: Duration = SWEEP_LEASE;
/// Time between two looks at what is to be told.
pub const REMIND_PAUSE: Duration = Duration::from_secs(5);
/// How long a message whose job was sent is not sent again, at least; else half as long as it has waited, up to [`AGAIN_PAUSE_MAX`].
pub const REMINDER_LEASE: Duration = Duration::from_secs(30);
/// How long a reminder is kept of an attempt that never came to be on record.
pub const REMINDER_MAX: Duration = Duration::from_secs(DAY);
/// Books that reminders stand in: each takes a thousand writes a second (DynamoDB, of one partition).
pub const REMINDER_BOOKS: u8 = 8;
/// Reminders read at a time.
pub const REMINDERS_PAGE: usize = 1000;
/// Such pages of a book a sweep.
pub const REMINDERS_PAGES_MAX: usize = 10;
/// Deliveries of a message in which a DSN is noted at a time.
pub const NOTED_AT_A_TIME: usize = 16;
/// Most reminders that a job carries, within the octets of a job.
pub const REMINDERS_A_JOB: usize = 400;
/// Largest message that a DSN returns whole where RET=FULL asks for it, in octets; of a larger one it carries the header.
pub const DSN_FULL_OCTETS_MAX: u64 = 64 * 1024;
/// Most octets of the original's header that a DSN carries.
pub const DSN_HEADER_OCTETS_MAX: u64 = 64 * 1024;
/// Most characters of a remote's reply, or of a subject, in a DSN.
pub const DSN_REPLY_CHARS_MAX: usize = 512;
/// Most octets in JSON of the reply that a recipient's state keeps. With the next two, the item of a delivery stays within what DynamoDB
/// takes, whatever the servers say.
pub const RECIPIENT_REPLY_OCTETS_MAX: usize = 1000;
/// The same of the reply that an attempt's record keeps.
pub const ATTEMPT_REPLY_OCTETS_MAX: usize = 500;
/// The same of a reply that is kept beside the state's for a DSN to tell.
pub const UNTOLD_REPLY_OCTETS_MAX: usize = 300;
/// Where a header line of a DSN is folded, in octets, if it has a space there (RFC 5322 §2.1.1).
pub const FOLD_OCTETS: usize = 76;
/// Longest line of mail, in octets without its CRLF (RFC 5322 §2.1.1).
pub const LINE_OCTETS_MAX: usize = 998;
/// Longest line of quoted-printable, in octets without its CRLF (RFC 2045 §6.7).
pub const QUOTED_LINE_OCTETS_MAX: usize = 76;

/// Most octets that are read of a message that came back: its report stands in front of what it returns of the message.
pub const REPORT_OCTETS_MAX: u64 = 64 * 1024;
/// Most groups of fields in a report that are looked at.
pub const REPORT_GROUPS_MAX: usize = 101;
/// Longest field of a report, in octets; more of it is not read.
pub const REPORT_FIELD_OCTETS_MAX: usize = 2048;
/// Most texts in a complaint that look like return paths, of which each is checked.
pub const REPORT_PATHS_MAX: usize = 8;
/// How long a bounce waits for the record of the delivery that it is about.
pub const REPORT_WAITS_FOR_RECORD: Duration = Duration::from_secs(HOUR);

/// How long it is believed that a tenant has no suppressions.
pub const SUPPRESSIONS_KEPT: Duration = Duration::from_secs(10);
/// Most tenants of whom that is remembered.
pub const SUPPRESSION_TENANTS_KEPT_MAX: usize = 4096;
/// Recipients of one delivery that are looked up at a time.
pub const SUPPRESSION_READS_MAX: usize = 16;

/// Most fields that one signature covers. A message with more of the kinds that are signed is no honest message.
pub const SIGNED_FIELDS_MAX: usize = 128;
/// Longest line of a signature, in octets without its CRLF: RFC 5322 §2.1.1 asks for at most 78.
pub const SIGNATURE_LINE_OCTETS_MAX: usize = 76;
/// Octets of canonical body that are gathered before they are hashed.
pub const GATHERED_OCTETS: usize = 4096;

/// Octets of content that are sent at once. A smaller message goes out in one write, with what follows it.
pub const CONTENT_OCTETS: u64 = 64 * 1024;
/// Octets of replies that are read at once; replies are short.
pub const REPLY_READ_OCTETS: usize = 2048;
/// Longest AUTH command of the client, in octets with its CRLF (RFC 5321 §4.5.3.1.4).
pub const AUTH_LINE_OCTETS_MAX: usize = 512;
/// Fewest rounds of PBKDF2 that the client does for a server (RFC 7677 §4).
pub const SCRAM_ITERATIONS_MIN: u32 = 4096;
/// How long a secret for a smart host is used before it is read again.
pub const SECRET_KEPT_FOR: Duration = Duration::from_secs(60);
/// Longest file with a secret, in octets: bearer tokens have thousands.
pub const SECRET_OCTETS_MAX: u64 = 64 * 1024;

/// Messages that can be put into the inbox at once without waiting for each other, at best.
pub const INBOX_LOCKS: usize = 64;
/// Octets of an inbox's file that are written at once.
pub const INBOX_BLOCK_OCTETS: u64 = 256 * 1024;
/// Longest head of an inbox's file that is read back, in octets: far more than the lines of every recipient a message can have.
pub const INBOX_HEAD_OCTETS_MAX: u64 = 4 * 1024 * 1024;

/// Octets of a deliver job beside its deliveries, rounded up.
pub const JOB_FRAME_OCTETS: usize = 256;

/// Jobs a poll loop runs at a time; a tenant alone gets three quarters of them, see [`SHARE_OF_FREE`].
pub const JOBS_MAX: usize = 256;
/// How long a received job stays invisible; it is asked for again three times in that time.
pub const VISIBILITY: Duration = Duration::from_secs(90);
/// How long one receive waits for a job (at most 20 s by the queue's contract).
pub const RECEIVE_WAIT: Duration = Duration::from_secs(20);
/// How long a poll loop with little room waits for more, as one receive of many jobs costs no more than one of few.
pub const ROOM_PAUSE: Duration = Duration::from_millis(100);
/// How long running jobs may go on once the loop is to end.
pub const DRAIN: Duration = Duration::from_secs(20);
/// How long the loop waits at its very end for receipts to be given back.
pub const DRAIN_RELEASE: Duration = Duration::from_secs(3);
/// The longest pause after receives that failed.
pub const RECEIVE_PAUSE_MAX: Duration = Duration::from_secs(30);
/// The longest time a queue keeps a received job (12 h by the queue's contract), less a little.
pub const RELEASE_MAX: Duration = Duration::from_secs(11 * HOUR);

/// Time between two sweeps.
pub const SWEEP_PAUSE: Duration = Duration::from_secs(60);
/// How long a due delivery that was sent is not sent again.
pub const SWEEP_LEASE: Duration = Duration::from_secs(15 * 60);
/// Due deliveries taken from one shard at a time: with 64 shards, what a sweep holds in memory.
pub const SWEEP_PAGE: usize = 32;
/// Jobs that wait in the outbound queue before a sweep adds no more than [`SWEEP_PAGE`] of each shard: what is sent to a queue that is
/// full runs into the end of its lease there, and is sent again.
pub const SWEEP_BACKLOG_MAX: u64 = 4096;
/// Shards asked at a time.
pub const SWEEP_SHARDS_MAX: usize = 8;
/// Claims and items forgotten by one call, and calls a sweep.
pub const FORGET_PAGE: usize = 1000;
/// Calls of `forget` a sweep.
pub const FORGET_PAGES_MAX: usize = 100;
/// How long packs are kept: longer than [`RETRY_LIFETIME`] by days, so that a DSN finds the headers.
pub const PACK_RETAIN: Duration = Duration::from_secs(8 * DAY);
/// Time between two walks through all packs.
pub const PACK_WALK_PAUSE: Duration = Duration::from_secs(HOUR);
/// Packs listed by one call.
pub const PACK_PAGE: usize = 1000;
/// Pages of packs looked through in one sweep.
pub const PACK_PAGES_MAX: usize = 20;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
