//! Command lines as values (RFC 5321 §4.1.1, §4.1.2), with the parameters of the extensions.

mod auth;
mod chunk;
mod mail;
mod parameter;
mod path;
mod rcpt;
mod xclient;

use crate::limits::CLIENT_NAME_OCTETS_MAX;

pub(super) use auth::response;
pub use auth::{Auth, Response};
pub use chunk::Chunk;
pub use mail::Mail;
pub use path::ForwardPath;
pub use rcpt::Rcpt;
pub use xclient::XClient;

/// A command that is well formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// EHLO with the client's name, as given.
    Ehlo(String),
    /// HELO likewise.
    Helo(String),
    /// STARTTLS (RFC 3207).
    StartTls,
    /// AUTH (RFC 4954).
    Auth(Auth),
    /// MAIL.
    Mail(Box<Mail>),
    /// RCPT.
    Rcpt(Box<Rcpt>),
    /// DATA.
    Data,
    /// BDAT (RFC 3030).
    Bdat(Chunk),
    /// RSET.
    Rset,
    /// NOOP, whatever its argument.
    Noop,
    /// QUIT.
    Quit,
    /// HELP, whatever its argument.
    Help,
    /// VRFY, whatever its argument.
    Vrfy,
    /// EXPN, whatever its argument.
    Expn,
    /// XCLIENT, an extension of Postfix.
    XClient(Box<XClient>),
}

/// Why a line is not a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandError {
    /// It begins with a word that is no command.
    Unknown,
    /// It begins like a request of HTTP.
    Http,
    /// It has letters that no command has, controls and line ends, or what is not UTF-8.
    Malformed,
    /// The command is known and its form is this one.
    Form(&'static str),
    /// BDAT says no size, so that nobody can tell where the next command begins.
    ChunkSize,
    /// The initial response of AUTH is not base64.
    Base64,
    /// MAIL's address is malformed.
    Sender,
    /// RCPT's address is malformed.
    Recipient,
    /// An address outside ASCII without SMTPUTF8.
    NotAscii,
    /// A parameter that no extension we offer has.
    UnknownParameter,
    /// A parameter given twice, or with a value it cannot have.
    Parameter,
}

impl Command {
    /// Reads a line without its CRLF. A path may have up to `path_octets` octets.
    pub fn parse(line: &[u8], path_octets: usize) -> Result<Self, CommandError> {
        let line = std::str::from_utf8(line).map_err(|_| CommandError::Malformed)?;
        // RFC 5198 §2 keeps the others out of text too, and some take them for line ends
        if line.contains(|letter: char| letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}')) {
            return Err(CommandError::Malformed);
        }
        // white space before the CRLF is tolerated (RFC 5321 §4.1.1)
        let line = line.trim_end_matches(' ');
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        let is = |name: &str| verb.eq_ignore_ascii_case(name);
        let bare =
            |command, form| if argument.is_empty() { Ok(command) } else { Err(CommandError::Form(form)) };
        match verb.len() {
            4 if is("EHLO") => client_name(argument).map(Self::Ehlo).ok_or(CommandError::Form("EHLO domain")),
            4 if is("HELO") => client_name(argument).map(Self::Helo).ok_or(CommandError::Form("HELO domain")),
            4 if is("MAIL") => Mail::parse(argument, path_octets).map(Box::new).map(Self::Mail),
            4 if is("RCPT") => Rcpt::parse(argument, path_octets).map(Box::new).map(Self::Rcpt),
            4 if is("DATA") => bare(Self::Data, "DATA"),
            4 if is("BDAT") => Chunk::parse(argument).map(Self::Bdat),
            4 if is("AUTH") => Auth::parse(argument).map(Self::Auth),
            4 if is("RSET") => bare(Self::Rset, "RSET"),
            4 if is("QUIT") => bare(Self::Quit, "QUIT"),
            4 if is("NOOP") => Ok(Self::Noop),
            4 if is("HELP") => Ok(Self::Help),
            4 if is("EXPN") => Ok(Self::Expn),
            4 if is("VRFY") && argument.is_empty() => Err(CommandError::Form("VRFY address")),
            4 if is("VRFY") => Ok(Self::Vrfy),
            8 if is("STARTTLS") => bare(Self::StartTls, "STARTTLS"),
            7 if is("XCLIENT") => XClient::parse(argument).map(Box::new).map(Self::XClient),
            _ if is_http(line) => Err(CommandError::Http),
            _ => Err(CommandError::Unknown),
        }
    }
}

/// A browser can be made to send anything to any port, so whoever speaks HTTP gets no second line.
fn is_http(line: &str) -> bool {
    line.rsplit_once(' ').is_some_and(|(_, version)| version.starts_with("HTTP/"))
}

/// One printable word. It is not held to the form of a domain: so many clients have an underscore or nothing
/// sensible there, and no server may refuse mail for a name that is not true (RFC 5321 §4.1.4).
fn client_name(argument: &str) -> Option<String> {
    let fits = (1..=CLIENT_NAME_OCTETS_MAX).contains(&argument.len())
        && argument.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| argument.to_owned())
}

#[cfg(test)]
mod tests;
