//! How the command ends: the codes of sysexits.h, and what is said about it.

use std::fmt;
use std::process::ExitCode;

use shared::directory::EntryError;
use shared::port::PortError;

/// An exit code other than 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// The command line is wrong (`EX_USAGE`).
    Usage = 64,
    /// What was given in was refused for what it is (`EX_DATAERR`).
    Data = 65,
    /// A file, a data folder or a message is not there (`EX_NOINPUT`).
    NoInput = 66,
    /// A server, a port or a data folder cannot be had (`EX_UNAVAILABLE`).
    Unavailable = 69,
    /// A fault of this program (`EX_SOFTWARE`).
    Internal = 70,
    /// It is there already and is never overwritten (`EX_CANTCREAT`).
    Exists = 73,
    /// A file or a store could not be read or written (`EX_IOERR`).
    Io = 74,
    /// Not now; try again (`EX_TEMPFAIL`).
    Later = 75,
    /// The operating system forbids it (`EX_NOPERM`).
    Forbidden = 77,
    /// The configuration is wrong (`EX_CONFIG`).
    Config = 78,
}

/// The table of the codes for `--help`, whose lines fit on the narrowest usual terminal.
pub(crate) const CODES: &str = "\
Exit codes:
   0  done                           70  a fault of this program
  64  the command line is wrong      73  it is there already
  65  the data was refused           74  cannot read or write a file or store
  66  no such file, folder, message  75  not now, try again
  69  a server, port or data folder  77  not permitted
      cannot be had                  78  the configuration is wrong";

/// Why the command did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) text: String,
}

/// What a command comes to.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self { exit, text: text.into() }
    }

    /// `what` did not work, by the operating system's word.
    pub(crate) fn io(what: impl fmt::Display, error: &std::io::Error) -> Self {
        let exit = match error.kind() {
            std::io::ErrorKind::NotFound => Exit::NoInput,
            std::io::ErrorKind::PermissionDenied => Exit::Forbidden,
            _ => Exit::Io,
        };
        Self::new(exit, format!("{what}: {error}"))
    }
}

impl From<PortError> for Failure {
    fn from(error: PortError) -> Self {
        Self::new(Exit::Io, error.chain())
    }
}

impl From<EntryError> for Failure {
    fn from(error: EntryError) -> Self {
        Self::new(Exit::Io, error.to_string())
    }
}

/// Output that cannot be written: a full disk, or a pipe that nobody reads.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            // whoever read has seen enough, as `head` does
            std::io::ErrorKind::BrokenPipe => Self::new(Exit::Io, ""),
            _ => Self::io("the output cannot be written", &error),
        }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        std::io::Error::from(error).into()
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
