//! BDAT (RFC 3030 §2).

use super::CommandError;
use super::parameter::number;

/// A chunk that follows its command at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// How many octets it has.
    pub octets: u64,
    /// Whether it is the last one of the message.
    pub last: bool,
}

impl Chunk {
    /// Reads what stands behind `BDAT `.
    pub(super) fn parse(argument: &str) -> Result<Self, CommandError> {
        let (octets, last) = argument.split_once(' ').map_or((argument, ""), |(octets, last)| (octets, last));
        let octets = number(octets, 20).ok_or(CommandError::ChunkSize)?;
        match last {
            "" => Ok(Self { octets, last: false }),
            last if last.eq_ignore_ascii_case("LAST") => Ok(Self { octets, last: true }),
            _ => Err(CommandError::ChunkSize),
        }
    }
}
