//! The bounds of the SMTP client.

use std::time::Duration;

use super::CONNECTIONS_MAX;

const MINUTE: Duration = Duration::from_secs(60);

/// What the SMTP client waits for, keeps and tries at most. Every time counts for a whole reply, not for one read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientLimits {
    /// For a TCP connection to be there.
    pub connect: Duration,
    /// For a TLS handshake.
    pub handshake: Duration,
    /// For the greeting (RFC 5321 §4.5.3.2.1).
    pub greeting: Duration,
    /// For the reply to EHLO, HELO, STARTTLS and RSET, which RFC 5321 gives no time of their own.
    pub command: Duration,
    /// For the reply to MAIL (RFC 5321 §4.5.3.2.2).
    pub mail: Duration,
    /// For the reply to RCPT (RFC 5321 §4.5.3.2.3).
    pub recipient: Duration,
    /// For the reply to DATA (RFC 5321 §4.5.3.2.4).
    pub data: Duration,
    /// For the server to take one block of content (RFC 5321 §4.5.3.2.5).
    pub block: Duration,
    /// For the reply to the final dot (RFC 5321 §4.5.3.2.6).
    pub end: Duration,
    /// For the reply to QUIT, which decides nothing.
    pub quit: Duration,
    /// For MAIL, every RCPT and DATA of one transaction together.
    pub envelope: Duration,
    /// For the content of one message as a whole.
    pub content: Duration,
    /// How long one call goes on to begin transactions; what is left is deferred.
    pub call: Duration,
    /// Octets of a reply line that are kept; the rest of a longer line is thrown away (RFC 5321 §4.5.3.1.5 asks for 512).
    pub reply_line_octets: usize,
    /// Lines of one reply; more are a protocol error.
    pub reply_lines: usize,
    /// Octets of one reply, thrown away or not; more are a protocol error.
    pub reply_octets: usize,
    /// Octets of a reply's text that are kept with an outcome.
    pub reply_text_octets: usize,
    /// Messages over one connection.
    pub messages_per_connection: usize,
    /// Recipients in one transaction.
    pub recipients_per_transaction: usize,
    /// Hosts of one domain that are looked up.
    pub hosts: usize,
    /// Addresses that are connected to for one call.
    pub addresses: usize,
    /// Connections of one call that may break under a message, before what is left is deferred.
    pub connections_lost: usize,
    /// How long an address of several has to answer before the next one is tried beside it (RFC 8305 §5).
    pub stagger: Duration,
    /// Messages that may go out behind one that is not answered yet. Should the connection break, all that are out whole are in doubt.
    pub ahead: usize,
    /// How long a connection is kept for the next message to its site; none is kept where it is zero.
    pub keep: Duration,
    /// Connections that are kept for one site.
    pub kept_per_site: usize,
    /// Connections that are kept in all.
    pub kept: usize,
    /// Connections in all, kept or in use; beyond them, one that is kept makes room for each new one.
    pub connections: usize,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            handshake: MINUTE,
            greeting: 5 * MINUTE,
            command: 5 * MINUTE,
            mail: 5 * MINUTE,
            recipient: 5 * MINUTE,
            data: 2 * MINUTE,
            block: 3 * MINUTE,
            end: 10 * MINUTE,
            quit: Duration::from_secs(1),
            envelope: 15 * MINUTE,
            content: 60 * MINUTE,
            call: 30 * MINUTE,
            reply_line_octets: 1_000,
            reply_lines: 128,
            reply_octets: 64 * 1024,
            reply_text_octets: 1_000,
            messages_per_connection: 100,
            recipients_per_transaction: shared::limits::RECIPIENTS_MAX,
            hosts: 16,
            addresses: 6,
            connections_lost: 3,
            stagger: Duration::from_millis(250),
            ahead: 3,
            keep: Duration::from_secs(5),
            kept_per_site: 20,
            kept: CONNECTIONS_MAX,
            connections: CONNECTIONS_MAX,
        }
    }
}
