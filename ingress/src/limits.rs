//! Every bound of this crate, with where it comes from.

use std::num::NonZeroUsize;
use std::time::Duration;

use shared::directory::Rate;

/// Recipients of a message that are not counted as memory.
pub(crate) const RECIPIENTS_UNCOUNTED: usize = 16;
/// Octets of memory that a recipient takes beside its address.
pub(crate) const RECIPIENT_OCTETS: u32 = 128;
/// Longest value of ENVID, in octets (RFC 3461 §4.4).
pub(crate) const ENVID_OCTETS_MAX: usize = 100;
/// Longest value of ORCPT, in octets (RFC 3461 §4.2).
pub(crate) const ORCPT_OCTETS_MAX: usize = 500;
/// The highest value of MT-PRIORITY, and with a minus the lowest (RFC 6710 §3).
pub(crate) const PRIORITY_MAX: i8 = 9;
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
/// Windows of credentials whose tokens are counted, two for each credential; the one that has been quiet longest is forgotten first.
pub(crate) const ALLOWANCES_MAX: NonZeroUsize = NonZeroUsize::new(8192).expect("it is not zero");
/// How long the directory has for a recipient.
pub(crate) const DIRECTORY_WAIT: Duration = Duration::from_secs(10);
/// How long what the directory says of a recipient is believed.
pub(crate) const RECIPIENTS_KEPT: Duration = Duration::from_secs(60);
/// Recipients that are remembered, those included that are not there; some 150 octets each.
pub(crate) const RECIPIENTS_KEPT_MAX: NonZeroUsize = NonZeroUsize::new(64 * 1024).expect("it is not zero");
/// Domains whose patterns are remembered.
pub(crate) const RECIPIENT_DOMAINS_KEPT_MAX: NonZeroUsize = NonZeroUsize::new(4096).expect("it is not zero");
/// Entries of a domain that are read at a time, to find its patterns.
pub(crate) const RECIPIENT_PAGE: usize = 25;
/// How long sessions have to say 421 once the time for the drain is up.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(1);
/// How often files with certificates are read, to see whether they are new ones.
pub(crate) const CERTIFICATE_FILES_EVERY: Duration = Duration::from_secs(60);
/// How often secrets with certificates are fetched: each time costs a request.
pub(crate) const CERTIFICATE_SECRETS_EVERY: Duration = Duration::from_secs(15 * 60);
/// How long before a certificate expires it is warned about.
pub(crate) const CERTIFICATE_WARNED_BEFORE: Duration = Duration::from_secs(14 * 86_400);
/// How often.
pub(crate) const CERTIFICATE_WARNED_EVERY: Duration = Duration::from_secs(86_400);
/// Longest file of certificates or keys, in octets; a bundle of all public authorities has a quarter of it.
pub(crate) const CERTIFICATE_OCTETS_MAX: u64 = 1024 * 1024;
/// Tickets for resumption that a client of TLS 1.3 gets: mail clients open one connection after another, so one is enough.
pub(crate) const TICKETS: usize = 1;

/// The longest time that a message may be held, whatever is configured: with the time that it is tried for behind it, it must stay
/// below the 60 days that a bucket keeps held packs.
pub const HOLD_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Longest PROXY header of version 1 in octets, its CRLF included (proxy-protocol.txt §2.1).
pub(crate) const PROXY_V1_OCTETS_MAX: usize = 107;
/// Octets that every PROXY header of version 2 begins with (§2.2).
pub(crate) const PROXY_V2_FIXED_OCTETS: usize = 16;
/// Longest PROXY header of version 2 in octets: its addresses, and what balancers add in TLVs, with much room to spare.
pub(crate) const PROXY_V2_OCTETS_MAX: usize = 4096;

/// Most names of a client's reverse DNS that are looked up to confirm them; a host has one or two.
pub(crate) const PTR_NAMES_MAX: usize = 5;
/// Most block lists that are asked about a client.
pub const DNSBLS_MAX: usize = 20;
/// Clients whose facts from the DNS are remembered, at some 200 octets each.
pub(crate) const CHECKED_CLIENTS_KEPT: NonZeroUsize = NonZeroUsize::new(16 * 1024).expect("it is not zero");
/// Shortest time that they are, and the time where the DNS did not answer.
pub(crate) const FACTS_KEPT_MIN: Duration = Duration::from_secs(60);
/// Longest such time.
pub(crate) const FACTS_KEPT_MAX: Duration = Duration::from_secs(3600);
/// How long it is remembered that a name does not exist; most of the zones of block lists say about as much.
pub(crate) const ABSENCE_KEPT: Duration = Duration::from_secs(300);
/// How long facts of the DNS are waited for, from when the client connected, unless it is set otherwise.
pub(crate) const CHECKS_TIMEOUT: Duration = Duration::from_secs(3);

/// Addresses of which it is remembered how often they came, at about 50 octets each and rate.
pub(crate) const RATED_ADDRESSES_KEPT: NonZeroUsize = NonZeroUsize::new(64 * 1024).expect("it is not zero");
/// Least time between two lines of the log about one limit: a flood must not become one of lines.
pub(crate) const OVER_LIMIT_LOG_PAUSE: Duration = Duration::from_secs(10);

/// Memory that a session is counted as, in octets: an idle one takes 4.3 KiB (README), and it can hold a read of commands that
/// waits (`command_read_octets`) and replies not yet taken.
pub const SESSION_OCTETS: u32 = 12 * 1024;
/// What TLS adds to that, in octets: rustls keeps a record of 16 KiB each way (RFC 8446 §5.1), and some state.
pub const TLS_OCTETS: u32 = 36 * 1024;

/// Characters of a client certificate's name that are told of it.
pub(crate) const CERTIFICATE_NAME_CHARS: usize = 64;

/// What a session, a message and the whole server may use up. The defaults are what the RFCs ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Longest command line in octets, CRLF included: 512 (RFC 5321 §4.5.3.1.4), and for the parameters of MAIL
    /// 26 of SIZE (RFC 1870 §3), 17 of BODY (RFC 6152 §2), 10 of SMTPUTF8 (RFC 6531 §3.1), 116 of RET and ENVID (RFC 3461 §4.3,
    /// §4.4), 11 of REQUIRETLS (RFC 8689 §2), 34 of HOLDUNTIL (RFC 4865 §4), 15 of MT-PRIORITY (RFC 6710 §4), 17 of BY
    /// (RFC 2852 §3) and 500 of AUTH (RFC 4954 §3). Those of RCPT, 29 of NOTIFY and 507 of ORCPT (RFC 3461 §4.1, §4.2), are fewer.
    pub command_line_octets: usize,
    /// Longest line of AUTH and of its exchange in octets, CRLF included: 12,288 of base64 (RFC 4954 §4).
    pub auth_line_octets: usize,
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
    /// The command without mail (any but RCPT, DATA, BDAT and QUIT) behind which a session ends. A message that was accepted sets the
    /// count to zero.
    pub idle_commands: u32,
    /// The refused recipient with which a session ends. A message that was accepted sets the count to zero.
    pub refused_recipients: u32,
    /// The failed login with which a session ends.
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
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long it waits for the client to take a reply.
    pub reply_timeout: Duration,
    /// How long it reads on after an error reply that ends the session, so that the reply is not lost to a reset.
    pub linger: Duration,
    /// Most sessions at a time.
    pub connections: usize,
    /// Most sessions at a time of one client outside the trusted networks; of one IPv6 network of 64 bits.
    pub connections_each: usize,
    /// Longest time that a message may be held (RFC 4865); zero where none is, and the extension is not offered.
    pub hold: Duration,
    /// Most sessions at a time of one network outside the trusted ones: 24 bits in IPv4, 48 in IPv6.
    pub connections_network: usize,
    /// How often a client outside the trusted networks may connect; `None` for as often as it likes. All of a period's share may
    /// come at once.
    pub connection_rate: Option<Rate>,
    /// How many messages such a client may send, unless it has authenticated; `None` for any number.
    pub message_rate: Option<Rate>,
    /// Memory for all sessions, in octets, each counted as [`SESSION_OCTETS`], and [`TLS_OCTETS`] more under TLS.
    pub session_memory_octets: u64,
    /// Least octets of content a second that a client must send on average, once `least_content_grace` is over; 0 for any.
    pub least_content_rate: u32,
    /// How long content may come as slowly as it likes.
    pub least_content_grace: Duration,
    /// How long the server keeps its greeting back, to see who talks before it; zero for not at all.
    pub greeting_delay: Duration,
    /// How long a load balancer has for its PROXY header.
    pub proxy_timeout: Duration,
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
            command_line_octets: 512 + 26 + 17 + 10 + 116 + 11 + 34 + 15 + 17 + 500,
            auth_line_octets: 12_288 + 2,
            path_octets: 256,
            recipients: 1000,
            message_octets: 64 * 1024 * 1024,
            received_lines: 50,
            bad_commands: 20,
            idle_commands: 100,
            refused_recipients: 100,
            auth_failures: 3,
            auth_failures_each: 20,
            auth_failures_name: 100,
            auth_failures_window: Duration::from_secs(600),
            command_timeout: Duration::from_secs(300),
            content_timeout: Duration::from_secs(180),
            content_total_timeout: Duration::from_secs(3600),
            handshake_timeout: Duration::from_secs(30),
            reply_timeout: Duration::from_secs(300),
            linger: Duration::from_secs(2),
            connections: 10_000,
            connections_each: 100,
            hold: HOLD_MAX,
            connections_network: 500,
            connection_rate: Some(Rate { messages: 300, period: Duration::from_secs(60) }),
            message_rate: None,
            session_memory_octets: 512 * 1024 * 1024,
            least_content_rate: 50,
            least_content_grace: Duration::from_secs(60),
            greeting_delay: Duration::ZERO,
            proxy_timeout: Duration::from_secs(5),
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
