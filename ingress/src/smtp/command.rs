//! Command lines as values (RFC 5321 §4.1.1, §4.1.2), with the parameters of SIZE, 8BITMIME and SMTPUTF8.

use shared::mail::{Body, Domain, MailOptions, Mailbox, ReversePath};

use crate::limits::CLIENT_NAME_OCTETS_MAX;

/// A command that is well formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// EHLO with the client's name, as given.
    Ehlo(String),
    /// HELO likewise.
    Helo(String),
    /// MAIL.
    Mail(Mail),
    /// RCPT.
    Rcpt(ForwardPath),
    /// DATA.
    Data,
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
}

/// MAIL with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The reverse path, without a source route.
    pub from: ReversePath,
    /// SIZE in octets (RFC 1870).
    pub size: Option<u64>,
    /// BODY and SMTPUTF8.
    pub options: MailOptions,
    /// Whether it had parameters, which only a session that said EHLO may use.
    pub extended: bool,
}

/// What RCPT names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardPath {
    /// A mailbox, without a source route.
    Mailbox(Mailbox),
    /// `<postmaster>`, which needs no domain (RFC 5321 §4.5.1).
    Postmaster,
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
            4 if is("MAIL") => mail(argument, path_octets),
            4 if is("RCPT") => rcpt(argument, path_octets),
            4 if is("DATA") => bare(Self::Data, "DATA"),
            4 if is("RSET") => bare(Self::Rset, "RSET"),
            4 if is("QUIT") => bare(Self::Quit, "QUIT"),
            4 if is("NOOP") => Ok(Self::Noop),
            4 if is("HELP") => Ok(Self::Help),
            4 if is("EXPN") => Ok(Self::Expn),
            4 if is("VRFY") && argument.is_empty() => Err(CommandError::Form("VRFY address")),
            4 if is("VRFY") => Ok(Self::Vrfy),
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

/// What stands behind `keyword`, which is ASCII, in any case.
fn strip_keyword<'a>(text: &'a str, keyword: &str) -> Option<&'a str> {
    text.get(..keyword.len())
        .filter(|start| start.eq_ignore_ascii_case(keyword))
        .map(|_| &text[keyword.len()..])
}

fn mail(argument: &str, path_octets: usize) -> Result<Command, CommandError> {
    const FORM: CommandError = CommandError::Form("MAIL FROM:<address>");
    let (path, parameters) = strip_keyword(argument, "FROM:").and_then(split_path).ok_or(FORM)?;
    if path.len() + 2 > path_octets {
        return Err(CommandError::Sender);
    }
    let from = if path.is_empty() {
        ReversePath::Null
    } else {
        ReversePath::Mailbox(mailbox(path).ok_or(CommandError::Sender)?)
    };
    let mut mail = Mail { from, size: None, options: MailOptions::default(), extended: false };
    mail_parameters(&mut mail, parameters)?;
    if !mail.options.smtputf8 && !path.is_ascii() {
        return Err(CommandError::NotAscii);
    }
    Ok(Command::Mail(mail))
}

fn mail_parameters(mail: &mut Mail, text: &str) -> Result<(), CommandError> {
    let mut body = None;
    for parameter in parameters(text)? {
        let (keyword, value) = parameter?;
        mail.extended = true;
        match (keyword.to_ascii_uppercase().as_str(), value) {
            ("SIZE", Some(value)) => {
                let size = size(value).ok_or(CommandError::Parameter)?;
                once(mail.size.replace(size).is_none())?;
            }
            ("BODY", Some(value)) => once(body.replace(body_of(value)?).is_none())?,
            ("SMTPUTF8", None) => once(!std::mem::replace(&mut mail.options.smtputf8, true))?,
            ("SIZE" | "BODY" | "SMTPUTF8", _) => return Err(CommandError::Parameter),
            _ => return Err(CommandError::UnknownParameter),
        }
    }
    mail.options.body = body.unwrap_or_default();
    Ok(())
}

fn once(first: bool) -> Result<(), CommandError> {
    if first { Ok(()) } else { Err(CommandError::Parameter) }
}

/// `1*20DIGIT` (RFC 1870 §3); what does not fit is as large as can be.
fn size(value: &str) -> Option<u64> {
    let digits = (1..=20).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| value.parse().unwrap_or(u64::MAX))
}

/// RFC 6152 §2.
fn body_of(value: &str) -> Result<Body, CommandError> {
    if value.eq_ignore_ascii_case("7BIT") {
        Ok(Body::SevenBit)
    } else if value.eq_ignore_ascii_case("8BITMIME") {
        Ok(Body::EightBitMime)
    } else {
        Err(CommandError::Parameter)
    }
}

fn rcpt(argument: &str, path_octets: usize) -> Result<Command, CommandError> {
    const FORM: CommandError = CommandError::Form("RCPT TO:<address>");
    let (path, rest) = strip_keyword(argument, "TO:").and_then(split_path).ok_or(FORM)?;
    if path.len() + 2 > path_octets {
        return Err(CommandError::Recipient);
    }
    let to = if path.eq_ignore_ascii_case("postmaster") {
        ForwardPath::Postmaster
    } else {
        ForwardPath::Mailbox(mailbox(path).ok_or(CommandError::Recipient)?)
    };
    match parameters(rest)?.next() {
        None => Ok(Command::Rcpt(to)),
        Some(parameter) => parameter.and(Err(CommandError::UnknownParameter)),
    }
}

/// What stands between the angle brackets that `text` begins with, and what stands behind them.
fn split_path(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('<')?;
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some((&inner[..at], &inner[at + 1..])),
            _ => {}
        }
    }
    None
}

/// A mailbox, perhaps behind a source route, which is read and then forgotten (RFC 5321 §4.1.1.3, Appendix C).
fn mailbox(path: &str) -> Option<Mailbox> {
    let Some(route) = path.strip_prefix('@') else { return Mailbox::parse(path).ok() };
    let (first, mailbox) = route.split_once(':')?;
    let mut domains = first.split(',').enumerate().map(|(n, domain)| match n {
        0 => Some(domain),
        _ => domain.strip_prefix('@'),
    });
    let is_name = |domain: &str| !domain.starts_with('[') && Domain::parse(domain).is_ok();
    if domains.all(|domain| domain.is_some_and(is_name)) { Mailbox::parse(mailbox).ok() } else { None }
}

type Parameter<'a> = (&'a str, Option<&'a str>);

/// `*(SP keyword ["=" value])` (RFC 5321 §4.1.2).
fn parameters(text: &str) -> Result<impl Iterator<Item = Result<Parameter<'_>, CommandError>>, CommandError> {
    if !text.is_empty() && !text.starts_with(' ') {
        return Err(CommandError::Parameter);
    }
    Ok(text.split(' ').skip(1).map(|parameter| {
        let (keyword, value) = match parameter.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (parameter, None),
        };
        let keyword_fits = keyword
            .bytes()
            .enumerate()
            .all(|(n, byte)| byte.is_ascii_alphanumeric() || (n > 0 && byte == b'-'));
        let value_fits = value.is_none_or(|value| !value.is_empty() && !value.contains('='));
        if keyword.is_empty() || !keyword_fits || !value_fits {
            return Err(CommandError::Parameter);
        }
        Ok((keyword, value))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, CommandError> {
        Command::parse(line.as_bytes(), 256)
    }

    fn from(line: &str) -> Result<String, CommandError> {
        match parse(line)? {
            Command::Mail(mail) => Ok(mail.from.to_string()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn verbs_are_read_in_any_case_and_trailing_space_is_tolerated() {
        for line in ["DATA", "data", "Data  "] {
            assert_eq!(parse(line), Ok(Command::Data));
        }
        assert_eq!(parse("ehlo [192.0.2.1]"), Ok(Command::Ehlo("[192.0.2.1]".to_owned())));
        assert_eq!(parse("DATA x"), Err(CommandError::Form("DATA")));
        assert_eq!(parse("EHLO"), Err(CommandError::Form("EHLO domain")));
        assert_eq!(parse("EHLO a b"), Err(CommandError::Form("EHLO domain")));
        for line in ["", " ", "DATAX", "DAT", "STARTTLS", "BDAT 1 LAST"] {
            assert_eq!(parse(line), Err(CommandError::Unknown), "{line}");
        }
        assert_eq!(parse("GET / HTTP/1.1"), Err(CommandError::Http));
        assert_eq!(Command::parse(b"NOOP \xff", 256), Err(CommandError::Malformed));
        assert_eq!(parse("NOOP\0"), Err(CommandError::Malformed));
        for letter in ['\u{85}', '\u{9b}', '\u{2028}', '\u{2029}'] {
            assert_eq!(parse(&format!("MAIL FROM:<a{letter}b@c.d> SMTPUTF8")), Err(CommandError::Malformed));
        }
    }

    #[test]
    fn paths_are_read_strictly() {
        assert_eq!(from("MAIL FROM:<a@b.c>"), Ok("a@b.c".to_owned()));
        assert_eq!(from("mail from:<>"), Ok(String::new()));
        assert_eq!(from("MAIL FROM:<@x.y,@z:a@b.c>"), Ok("a@b.c".to_owned()));
        assert_eq!(from(r#"MAIL FROM:<"a>\" b"@b.c>"#), Ok(r#""a>\" b"@b.c"#.to_owned()));
        for line in [
            "MAIL",
            "MAIL FROM",
            "MAIL FROM:a@b.c",
            "MAIL FROM: <a@b.c>",
            "MAIL FROM:<a@b.c",
            "MAIL TO:<a@b.c>",
        ] {
            assert_eq!(from(line), Err(CommandError::Form("MAIL FROM:<address>")), "{line}");
        }
        for path in [
            "a",
            "a@",
            "@b.c",
            "a@b@c",
            "@x:",
            "@x,y:a@b.c",
            "@[1.2.3.4]:a@b.c",
            "@:a@b.c",
            "postmaster",
            " a@b.c",
        ] {
            assert_eq!(from(&format!("MAIL FROM:<{path}>")), Err(CommandError::Sender), "{path}");
            if path != "postmaster" {
                assert_eq!(parse(&format!("RCPT TO:<{path}>")), Err(CommandError::Recipient), "{path}");
            }
        }
        assert_eq!(parse("RCPT TO:<>"), Err(CommandError::Recipient));
        assert_eq!(parse("RCPT TO:<PostMaster>"), Ok(Command::Rcpt(ForwardPath::Postmaster)));
    }

    #[test]
    fn a_path_of_the_limit_is_read_and_one_octet_more_is_not() {
        let domain = format!("{0}.{0}.{0}.{1}", "d".repeat(60), "e".repeat(50));
        let path = |local: usize| format!("MAIL FROM:<{}@{domain}>", "a".repeat(local));
        let fits = 256 - 2 - 1 - domain.len();
        assert!(from(&path(fits)).is_ok());
        assert_eq!(from(&path(fits + 1)), Err(CommandError::Sender));
    }

    #[test]
    fn parameters_are_known_given_once_and_well_formed() {
        let Ok(Command::Mail(mail)) = parse("MAIL FROM:<a@b.c> size=100 Body=8bitmime SMTPUTF8") else {
            panic!()
        };
        assert_eq!((mail.size, mail.extended), (Some(100), true));
        assert_eq!(
            mail.options,
            MailOptions { body: Body::EightBitMime, smtputf8: true, ..MailOptions::default() }
        );
        for wrong in [
            "SIZE",
            "SIZE=",
            "SIZE=x",
            "SIZE=-1",
            "SIZE=1 SIZE=1",
            "BODY",
            "BODY=BINARYMIME",
            "SMTPUTF8=1",
            "SMTPUTF8 SMTPUTF8",
            "BODY=7BIT body=7BIT",
            "=1",
            " SIZE=1",
            "-A",
            "A=b=c",
            "A_B",
        ] {
            assert_eq!(from(&format!("MAIL FROM:<a@b.c> {wrong}")), Err(CommandError::Parameter), "{wrong}");
        }
        assert_eq!(from("MAIL FROM:<a@b.c>SIZE=1"), Err(CommandError::Parameter));
        assert_eq!(from("MAIL FROM:<a@b.c> SIZE=1 RET=HDRS"), Err(CommandError::UnknownParameter));
        assert_eq!(parse("RCPT TO:<a@b.c> NOTIFY=NEVER"), Err(CommandError::UnknownParameter));
        let Ok(Command::Mail(mail)) = parse("MAIL FROM:<a@b.c> SIZE=99999999999999999999") else { panic!() };
        assert_eq!(mail.size, Some(u64::MAX));
    }

    #[test]
    fn addresses_outside_ascii_need_smtputf8() {
        assert_eq!(from("MAIL FROM:<d\u{f6}rte@b.c>"), Err(CommandError::NotAscii));
        assert_eq!(from("MAIL FROM:<d\u{f6}rte@b.c> SMTPUTF8"), Ok("d\u{f6}rte@b.c".to_owned()));
    }
}
