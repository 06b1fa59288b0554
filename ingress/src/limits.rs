//! Every bound of this crate, with where it comes from.

use std::time::Duration;

/// Recipients of a message that are not counted as memory.
pub(crate) const RECIPIENTS_UNCOUNTED: usize = 16;
/// Octets of memory that a recipient takes beside its address.
pub(crate) const RECIPIENT_OCTETS: u32 = 128;
/// Longest name that a client may greet with, in octets: that of a domain (RFC 5321 §4.5.3.1.2).
pub(crate) const CLIENT_NAME_OCTETS_MAX: usize = 255;
/// With less room for a message than this, in octets, more is asked for before the next read.
pub(crate) const ROOM_OCTETS_MIN: usize = 4 * 1024;
/// Most octets of memory that are asked for at once while a message grows.
pub(crate) const GROWTH_OCTETS_MAX: usize = 64 * 1024;
/// An empty buffer of replies that is longer than this, in octets, is freed.
pub(crate) const REPLIES_OCTETS_KEPT: usize = 1024;
/// How long to wait after the first accept that failed: the system is out of something. It doubles each time.
pub(crate) const ACCEPT_PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest such wait.
pub(crate) const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long what the directory says of a credential is believed: a revoked one stops within 60 s, with time for a session's next MAIL.
pub(crate) const CREDENTIAL_AGE_MAX: Duration = Duration::from_secs(30);
/// Credentials that are remembered, names that are not there included; some 1 KiB each.
pub(crate) const CREDENTIALS_KEPT_MAX: usize = 4096;
/// How long the directory has for an answer, its own retries included.
pub(crate) const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest name that a client may authenticate with, in octets (RFC 4616 §2).
pub(crate) const AUTH_NAME_OCTETS_MAX: usize = 255;
/// Octets of chance in the server's half of a SCRAM nonce.
pub(crate) const NONCE_OCTETS: usize = 18;
/// How long a secret that was right is not derived again.
pub(crate) const PROOF_AGE_MAX: Duration = Duration::from_secs(30);
/// Secrets that were right and are remembered, as tags of 32 octets.
pub(crate) const PROOFS_KEPT_MAX: usize = 4096;
/// Secrets verified at a time, each on a thread for about a millisecond; enough for any processor's cores, too few to starve the disk's.
pub(crate) const VERIFICATIONS_MAX: usize = 16;
/// How long a login waits for its turn.
pub(crate) const VERIFICATION_TIMEOUT: Duration = Duration::from_secs(10);
/// Addresses and names whose failed logins are counted, each; the one that has been quiet longest is forgotten first.
pub(crate) const FAILURES_KEPT_MAX: usize = 16 * 1024;
/// Pairs of address and name whose last login was good.
pub(crate) const GOOD_KEPT_MAX: usize = 16 * 1024;
/// How long such a pair is exempt from what others at the address, or with the name, fail at.
pub(crate) const GOOD_AGE_MAX: Duration = Duration::from_secs(86_400);
/// By how much the clocks of an issuer of tokens and of this machine may differ.
pub(crate) const CLOCK_SKEW_MAX: Duration = Duration::from_secs(60);
/// How old an issuer's keys may be before they are asked for again.
pub(crate) const KEY_SET_AGE_MAX: Duration = Duration::from_secs(3600);
/// How long they are used where the issuer does not answer.
pub(crate) const KEY_SET_KEPT_MAX: Duration = Duration::from_secs(86_400);
/// The pause between two requests for one issuer's keys, however many tokens name keys that are not known.
pub(crate) const KEY_SET_PAUSE: Duration = Duration::from_secs(30);
/// How long such a request may take.
pub(crate) const KEY_SET_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest set of keys, in octets.
pub(crate) const KEY_SET_OCTETS_MAX: usize = 256 * 1024;
/// Keys of a set that are used.
pub(crate) const KEYS_MAX: usize = 64;
/// How long sessions have to say 421 once the time for the drain is up.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(1);

/// What a session, a message and the whole server may use up. The defaults are what the RFCs ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Longest command line in octets, CRLF included: 512 (RFC 5321 §4.5.3.1.4), and for the parameters of MAIL
    /// 26 of SIZE (RFC 1870 §3), 17 of BODY (RFC 6152 §2) and 10 of SMTPUTF8 (RFC 6531 §3.1).
    pub command_line_octets: usize,
    /// Longest path in octets, angle brackets included (RFC 5321 §4.5.3.1.3).
    pub path_octets: usize,
    /// Most recipients of a message; at least 100 (RFC 5321 §4.5.3.1.8).
    pub recipients: usize,
    /// Longest message in octets, as the SIZE keyword announces (RFC 1870 §4); at least 64 KiB (RFC 5321 §4.5.3.1.7).
    pub message_octets: u64,
    /// Most Received lines before a message is taken to loop (RFC 5321 §6.3).
    pub received_lines: u32,
    /// The bad command after which a session ends. A message that was accepted sets the count to zero.
    pub bad_commands: u32,
    /// The failed login after which a session ends.
    pub auth_failures: u32,
    /// Failed logins of one address, or one IPv6 network of 64 bits, after which it is refused until the window is over. An app that was
    /// set up wrongly shows it in a few; whoever guesses at 160 bits needs rather more.
    pub auth_failures_each: u32,
    /// Failed logins with one name, from wherever, likewise. More than for an address: one wrong machine must not reach it.
    pub auth_failures_name: u32,
    /// How long failed logins count, from the first.
    pub auth_failures_window: Duration,
    /// How long the server waits for the whole of the next command; at least 5 minutes (RFC 5321 §4.5.3.2.7).
    pub command_timeout: Duration,
    /// How long it waits for more content; the client's own limit is 3 minutes a block (RFC 5321 §4.5.3.2.5).
    pub content_timeout: Duration,
    /// How long all of a message's content may take, however steadily it drips.
    pub content_total_timeout: Duration,
    /// How long it waits for the client to take a reply.
    pub reply_timeout: Duration,
    /// How long it reads on after an error reply that ends the session, so that the reply is not lost to a reset.
    pub linger: Duration,
    /// Most sessions at a time.
    pub connections: usize,
    /// Most sessions at a time of one client outside the trusted networks; of one IPv6 network of 64 bits.
    pub connections_each: usize,
    /// Connections that the system holds until they are accepted.
    pub backlog: u32,
    /// How many octets of commands are read at once; what a session can hold unread is about this much.
    pub command_read_octets: usize,
    /// How many octets of content are read at once.
    pub content_read_octets: usize,
    /// Replies are written out once they are this long, even if more commands wait (RFC 2920 §3.2).
    pub replies_octets: usize,
    /// Memory for all messages, in octets: for content from DATA to its answer, and for the recipients of long envelopes.
    pub memory_octets: u32,
    /// How much of that a message asks for at first, and at least whenever it needs more.
    pub memory_step_octets: u32,
    /// How long a message waits for memory before it is refused with 452.
    pub memory_wait: Duration,
    /// A longer message is streamed to the spool; a shorter one is kept in memory until it is committed.
    pub in_memory_octets: usize,
    /// Memory counted for a streamed message: two pieces of `in_memory_octets`, and what the spool's writer holds back.
    pub streamed_memory_octets: u32,
    /// Most messages in a pack.
    pub pack_messages: usize,
    /// Most octets of content in a pack.
    pub pack_octets: usize,
    /// Most octets of a pack's header, by which its readers are bound.
    pub pack_header_octets: usize,
    /// Commits under way at a time.
    pub commits_in_flight: usize,
    /// How long a commit may take; after that its outcome is unknown. The client waits 10 minutes
    /// (RFC 5321 §4.5.3.2.6).
    pub commit_timeout: Duration,
    /// How long a drain waits for transactions under way.
    pub drain: Duration,
    /// How long a drain waits for the next command of a session that has no transaction.
    pub drain_idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            command_line_octets: 512 + 26 + 17 + 10,
            path_octets: 256,
            recipients: 1000,
            message_octets: 64 * 1024 * 1024,
            received_lines: 50,
            bad_commands: 20,
            auth_failures: 3,
            auth_failures_each: 20,
            auth_failures_name: 100,
            auth_failures_window: Duration::from_secs(600),
            command_timeout: Duration::from_secs(300),
            content_timeout: Duration::from_secs(180),
            content_total_timeout: Duration::from_secs(3600),
            reply_timeout: Duration::from_secs(300),
            linger: Duration::from_secs(2),
            connections: 10_000,
            connections_each: 100,
            backlog: 1024,
            command_read_octets: 8 * 1024,
            content_read_octets: 64 * 1024,
            replies_octets: 16 * 1024,
            memory_octets: 64 * 1024 * 1024,
            memory_step_octets: 32 * 1024,
            memory_wait: Duration::from_secs(30),
            in_memory_octets: 256 * 1024,
            streamed_memory_octets: 512 * 1024,
            pack_messages: 64,
            pack_octets: 4 * 1024 * 1024,
            pack_header_octets: shared::limits::PACK_HEADER_OCTETS_MAX,
            commits_in_flight: 1,
            commit_timeout: Duration::from_secs(60),
            drain: Duration::from_secs(25),
            drain_idle: Duration::from_secs(5),
        }
    }
}
