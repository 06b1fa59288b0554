//! Every bound of this crate, in one place.

use std::time::Duration;

/// Longest local part, in octets (RFC 5321 §4.5.3.1.1).
pub const LOCAL_PART_OCTETS_MAX: usize = 64;
/// Longest domain, in octets (RFC 5321 §4.5.3.1.2).
pub const DOMAIN_OCTETS_MAX: usize = 255;
/// Longest label of a domain name, in octets (RFC 1035 §2.3.4).
pub const LABEL_OCTETS_MAX: usize = 63;

/// Most deliveries in one job.
pub const DELIVERIES_MAX: usize = 32;
/// Most octets of a job as JSON; what SQS takes, with room to spare.
pub const JOB_OCTETS_MAX: usize = 200 * 1024;
/// Most recipients in one delivery: what every server must take in one transaction (RFC 5321 §4.5.3.1.8).
pub const RECIPIENTS_MAX: usize = 100;

/// Most attempts that are remembered of one delivery. With the schedule as it comes, five days have about 40.
pub const ATTEMPTS_MAX: usize = 100;

/// Most reports that are remembered of what became of one delivery later. A member of a list behind it may send one each.
pub const FEEDBACK_MAX: usize = 20;

/// Octets of the keys that return paths are signed with: as many as their hash has.
pub const RETURN_PATH_KEY_OCTETS: usize = 32;
/// Octets of such a signature that stand in the path: 96 bits, of which no guess can be tried but by sending mail.
pub(crate) const RETURN_PATH_TAG_OCTETS: usize = 12;
/// What numbers in a return path are written to: it fits them into a local part.
pub(crate) const RETURN_PATH_RADIX: u32 = 32;
/// Digits of a pack's 128 bits there.
pub(crate) const RETURN_PATH_PACK_DIGITS: usize = 26;
/// Digits of the signature there.
pub(crate) const RETURN_PATH_TAG_DIGITS: usize = (RETURN_PATH_TAG_OCTETS * 8).div_ceil(5);
/// How long the keys of return paths are kept.
pub(crate) const RETURN_PATH_KEYS_KEPT: Duration = Duration::from_secs(10);
/// How soon they are read again for a path that none of them has signed; it bounds what forged paths cost.
pub(crate) const RETURN_PATH_KEYS_LOOK: Duration = Duration::from_secs(1);
/// How old a key must be to sign where there is another, so that whoever checks has seen it.
pub(crate) const RETURN_PATH_KEY_SETTLES: Duration = Duration::from_secs(60);
/// Most keys of return paths: the one that signs, and those whose paths are out there still.
pub const RETURN_PATH_KEYS_MAX: usize = 4;

/// Longest account of why an address is suppressed, in characters.
pub const SUPPRESSION_DETAIL_CHARS_MAX: usize = 300;

/// Most orders that are remembered of one delivery.
pub const ORDERS_KEPT: usize = 32;
/// Most orders in the directory: whoever delivers holds each delivery against all of them.
pub const ORDERS_MAX: usize = 1000;
/// Most messages that one order can name.
pub const ORDER_MESSAGES_MAX: usize = 1000;
/// Longest value of a mark among the counters, in octets.
pub const MARK_OCTETS_MAX: usize = 16 * 1024;

/// Most entries of one send or receive of a queue (SQS).
pub const BATCH_MAX: usize = 10;
/// Longest delay of a queue's entry (SQS).
pub const DELAY_MAX: Duration = Duration::from_secs(900);
/// Longest wait of one receive (SQS).
pub(crate) const RECEIVE_WAIT_MAX: Duration = Duration::from_secs(20);
/// Longest time between the receive of an entry and its being visible again (SQS).
pub(crate) const HELD_MAX: Duration = Duration::from_secs(12 * 3600);
/// Shortest visibility timeout of a queue: a worker asks for more after 30 s.
pub(crate) const VISIBILITY_MIN: Duration = Duration::from_secs(60);
/// Longest one (SQS).
pub(crate) const VISIBILITY_MAX: Duration = HELD_MAX;
/// How long a received entry stays invisible, unless the queue's URL says otherwise.
pub(crate) const VISIBILITY: Duration = Duration::from_secs(120);
/// Most receives of an entry before it is dead (SQS).
pub(crate) const RECEIVES_MAX: u32 = 1000;
/// Receives of an entry before it is dead, unless the queue's URL says otherwise.
pub(crate) const RECEIVES: u32 = 50;

/// Longest time that a setting can have, in seconds: a century, so that sums of times with moments never overflow.
pub(crate) const SETTING_SECONDS_MAX: u64 = 100 * 366 * 86_400;

/// Longest header of a pack, in octets: 64 messages of 1,000 recipients at 320 octets, rounded up.
pub const PACK_HEADER_OCTETS_MAX: usize = 32 * 1024 * 1024;
/// What a message takes in a pack's header beside its texts, in octets: names, numbers, punctuation.
pub(crate) const PACK_MESSAGE_OCTETS_MAX: usize = 640;
/// What the facts of the DNS take there beside their texts, in octets.
pub(crate) const PACK_DNS_OCTETS_MAX: usize = 64;
/// What a recipient takes there beside its address, in octets.
pub(crate) const PACK_RECIPIENT_OCTETS_MAX: usize = 16;
/// How much of a pack is asked of the spool at once, in octets.
pub const READ_AHEAD_OCTETS: u64 = 256 * 1024;

/// Longest name of a directory's entry, in octets.
pub(crate) const NAME_OCTETS_MAX: usize = 512;
/// Longest value of a directory's entry, in octets of JSON.
pub(crate) const VALUE_OCTETS_MAX: usize = 64 * 1024;
/// Octets of chance in a generated secret: 160 bits, which nobody guesses however fast they can try.
pub(crate) const SECRET_OCTETS: usize = 20;
/// Octets of the key that the salts of unknown names are made with: as many as its hash has.
pub const DECOY_KEY_OCTETS: usize = 32;

/// Octets of a generated salt.
pub const SALT_OCTETS: usize = 16;
/// Rounds of PBKDF2 of a new verifier: the least that RFC 7677 §4 allows. More of them slow the guessing of a secret that a person
/// chose; ours are 160 random bits, and each login would pay for them.
pub const SCRAM_ITERATIONS: u32 = 4096;
/// Most rounds that an entry may ask for, so that one login cannot hold a core for long.
pub const SCRAM_ITERATIONS_MAX: u32 = 1_000_000;
/// Most patterns of recipients at one domain: each message for it may be held against all of them.
pub const RECIPIENT_PATTERNS_MAX: usize = 100;
/// Longest selector of a key, in octets: with `._domainkey.` and a domain, it must fit a domain name (RFC 6376 §3.1).
pub(crate) const SELECTOR_OCTETS_MAX: usize = 128;

/// Bounds of the leases of counters.
pub(crate) mod lease {
    use std::time::Duration;

    /// How long the counters have for an answer; then a process keeps the limits for itself.
    pub(crate) const COUNTERS_WAIT: Duration = Duration::from_secs(2);
    /// How long counters that failed are left alone.
    pub(crate) const COUNTERS_REST: Duration = Duration::from_secs(5);
    /// How often it is told that they fail.
    pub(crate) const COUNTERS_WARN_EVERY: Duration = Duration::from_secs(60);
    /// A lease holds at most this share, one in so many, of what was used of the window: what may be left over of a limit.
    pub(crate) const SHARE: u64 = 20;
    /// And at most this share of what is left, so that leases shrink towards the limit.
    pub(crate) const LEFT_SHARE: u64 = 8;
}

/// Bounds of the embedded adapters.
pub(crate) mod embedded {
    use std::time::Duration;

    /// How long another process may keep a database from being written.
    pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
    /// Operations that wait for a database's writer before callers are made to wait for room.
    pub(crate) const WAITING_MAX: usize = 1024;
    /// Most operations of one transaction; it bounds how long the first one waits for the others.
    pub(crate) const TRANSACTION_MAX: usize = 256;
    /// How long operations that no client waits for are kept waiting, under load, for others to share their commit.
    pub(crate) const COMPANY_WAIT: Duration = Duration::from_millis(2);
    /// Page cache of a database's writing connection, in KiB.
    pub(crate) const WRITER_CACHE_KIB: i64 = 4096;
    /// Page cache of a database's reading connection, in KiB.
    pub(crate) const READER_CACHE_KIB: i64 = 1024;
    /// Statements that a connection keeps prepared; more than all adapters together have.
    pub(crate) const STATEMENTS_KEPT: usize = 64;
    /// Pages of 4 KiB in a database's log before they are copied into the file.
    pub(crate) const CHECKPOINT_PAGES: i64 = 4096;

    /// Tenants of a queue that one receive asks for something visible: it bounds what those cost that only have what is to be tried later.
    pub(crate) const TENANTS_ASKED_MAX: usize = 100;
    /// How often a waiting receive looks for what other processes have sent.
    pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);
    /// How long a claim that was never finished is remembered: longer than its job can be in a queue.
    pub(crate) const UNFINISHED_KEPT: Duration = Duration::from_secs(15 * 86_400);

    /// What the writer of a pack holds back before it asks for a thread to write it, in octets.
    pub(crate) const HELD_BACK_OCTETS: usize = 256 * 1024;
    /// How long a file must have been left alone to be nobody's: longer than any pause within a message.
    pub(crate) const LEFTOVER_AGE: Duration = Duration::from_secs(3600);
    /// Octets of a lock file that are read to tell who holds it; a process id has less.
    pub(crate) const OWNER_OCTETS_MAX: u64 = 64;

    /// Longest file that is taken for a key, in octets: an RSA key of 16,384 bits has less.
    pub(crate) const KEY_OCTETS_MAX: u64 = 16 * 1024;
}

/// Bounds of the adapters of AWS.
pub(crate) mod aws {
    use std::time::Duration;

    /// How long a connection may take to be made.
    pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
    /// How long one try of a small request may take.
    pub(crate) const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
    /// How long one try of a request that carries up to [`PART_OCTETS`] or a pack may take.
    pub(crate) const STORE_TIMEOUT: Duration = Duration::from_secs(15);
    /// How long one try of a receive may take: the longest poll, and its answer.
    pub(crate) const POLL_TIMEOUT: Duration = Duration::from_secs(25);
    /// How long an operation may take, its retries included; at least two tries.
    pub(crate) const OPERATION_TIMEOUT: Duration = Duration::from_secs(20);
    /// Tries of one operation.
    pub(crate) const ATTEMPTS_MAX: u32 = 3;
    /// Idle connections kept to one host.
    pub(crate) const CONNECTIONS_IDLE_MAX: usize = 64;
    /// How long an idle connection is kept: S3 ends one after 20 s or so.
    pub(crate) const CONNECTION_IDLE: Duration = Duration::from_secs(15);

    /// Octets of a part of a streamed pack; S3 takes no smaller one but the last.
    pub(crate) const PART_OCTETS: usize = 5 * 1024 * 1024;
    /// How often a write is made that meets another one of the same key.
    pub(crate) const CONFLICTS_MAX: u32 = 5;
    /// The pause between those, longer each time.
    pub(crate) const CONFLICT_PAUSE: Duration = Duration::from_millis(50);

    /// Most octets of one request of SQS: queues that were made before its limit was 1 MiB, and other servers, take 256 KiB.
    pub(crate) const BATCH_OCTETS_MAX: usize = 240 * 1024;
    /// Requests of one kind under way at a time, to one queue; what comes meanwhile shares the next.
    pub(crate) const BATCHES_MAX: usize = 2;
    /// What SQS bills as one request, in octets.
    pub(crate) const SQS_BILLED_OCTETS: u64 = 64 * 1024;

    /// Writes of one call to DynamoDB under way at a time.
    pub(crate) const WRITES_MAX: usize = 16;
    /// Keys of one read (BatchGetItem).
    pub(crate) const KEYS_MAX: usize = 100;
    /// How often a write is tried again that another one was quicker than.
    pub(crate) const RACES_MAX: usize = 20;
    /// How often what DynamoDB left out of a read is asked for again.
    pub(crate) const LEFT_OUT_MAX: u32 = 6;
    /// The pause before that, doubled each time.
    pub(crate) const LEFT_OUT_PAUSE: Duration = Duration::from_millis(50);
    /// How long a claim that was never finished is remembered: longer than its job can be in a queue.
    pub(crate) const UNFINISHED_KEPT: Duration = Duration::from_secs(15 * 86_400);
    /// Counts of a tally that are added or cleared at a time.
    pub(crate) const TALLIES_AT_A_TIME: usize = 8;
    /// How long a counter is kept behind the end of its window.
    pub(crate) const COUNTER_KEPT: Duration = Duration::from_secs(86_400);
}

/// Bounds of the DNS.
pub(crate) mod dns {
    use std::time::Duration;

    /// How long one server has for one answer, unless the settings say otherwise.
    pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
    /// How often a question is asked again, unless the settings say otherwise.
    pub(crate) const RETRIES: usize = 2;
    /// Answers that are kept while their TTL lasts, unless the settings say otherwise.
    pub(crate) const ANSWERS_KEPT: u64 = 4096;
    /// How long "there is none" is kept where the answer has no SOA that tells (RFC 2308 §5).
    pub(crate) const NEGATIVE_TTL: Duration = Duration::from_secs(60);
    /// How long a record of the testkit's signed zones may be kept, in seconds.
    #[cfg(feature = "testkit")]
    pub(crate) const TEST_TTL: u32 = 300;
    /// How long its signatures hold.
    #[cfg(feature = "testkit")]
    pub(crate) const TEST_SIGNATURES_LAST: Duration = Duration::from_secs(86_400);
    /// Links of a CNAME chain that are followed.
    pub(crate) const CNAMES_MAX: usize = 8;
}

/// Bounds of telemetry.
pub(crate) mod telemetry {
    use std::time::Duration;

    /// Most connections to the HTTP server at once; further ones wait to be accepted.
    pub(crate) const CONNECTIONS_MAX: usize = 32;
    /// Longest time for the head of a request.
    pub(crate) const HEAD_TIME: Duration = Duration::from_secs(5);
    /// Longest life of a connection.
    pub(crate) const CONNECTION_TIME: Duration = Duration::from_secs(30);
    /// Octets of a request's head, which is also all that hyper buffers of one connection.
    pub(crate) const HEAD_OCTETS_MAX: usize = 8 * 1024;
    /// Header lines of a request.
    pub(crate) const HEADERS_MAX: usize = 64;
    /// Rest after a connection could not be accepted.
    pub(crate) const ACCEPT_REST: Duration = Duration::from_millis(100);
    /// How often the samples of histograms are folded, whether or not anybody asks for them.
    pub(crate) const UPKEEP_PERIOD: Duration = Duration::from_secs(5);

    /// Longest time for one probe; a part that takes longer is unhealthy.
    pub(crate) const PROBE_TIME: Duration = Duration::from_secs(2);
    /// How long a health report is good for: probes cost a write each.
    pub(crate) const HEALTH_AGE: Duration = Duration::from_secs(3);

    /// Metrics of one directive of the embedded metric format (CloudWatch).
    pub(crate) const EMF_METRICS_MAX: usize = 100;
    /// Values of one metric in one line (CloudWatch).
    pub(crate) const EMF_VALUES_MAX: usize = 100;

    /// How long log lines are gathered before they are written: few enough writes, soon enough for a person.
    pub(crate) const LOG_GATHER: Duration = Duration::from_millis(20);
    /// How long a line waits for a log that nobody reads, and the last lines of a process. Then lines are thrown away, and counted.
    pub(crate) const LOG_PATIENCE: Duration = Duration::from_secs(2);
    /// Octets of log lines that wait to be written; whoever logs more waits too, and for so long no line is lost.
    pub(crate) const LOG_OCTETS_MAX: usize = 1024 * 1024;
}
