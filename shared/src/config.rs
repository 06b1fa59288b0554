//! Reads settings: TOML text and environment variables in, typed values out, or every mistake at once.
//!
//! Each setting has a key such as `retry.lifetime` and may also be given as an environment variable, which wins:
//! `SPOOLWAY_RETRY_LIFETIME`. A variable that names no setting is a mistake, like an unknown key. Forms in a variable:
//!
//! - a list: items separated by commas, `10.0.0.0/8,192.0.2.0/24`
//! - a table: pairs separated by commas, `*=mx,example.org=smtp://relay.example:25`
//! - a list of tables: `;` between tables, spaces between the items of a list in one,
//!   `address=0.0.0.0:25; address=127.0.0.1:2525, bare_lf=crlf`. In one of them, a key of a table has that table's name in front,
//!   `auth.name=edge`, and a list of tables is items with spaces between, each with its first key's value in front of the others,
//!   `hosts=smtp.example.net?port=587&weight=1 smtp2.example.net`
//! - tables with names: the same with `name:` in front, `example.org: lifetime=2d, schedule=1m 5m`

mod environment;
mod nearest;
mod section;
mod setting;

use std::fmt;

pub use section::Section;
pub use setting::{Octets, Setting};

use environment::Environment;

/// What every environment variable of ours begins with.
pub const PREFIX: &str = "SPOOLWAY_";

/// One thing that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The key, or the environment variable that set it, or the line of the text.
    pub key: String,
    /// What is wrong.
    pub wrong: String,
    /// What would be right.
    pub right: String,
}

/// `key: what is wrong; what would be right`.
impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.key, self.wrong, self.right)
    }
}

/// What was read.
#[derive(Debug)]
pub struct Read<T> {
    /// The settings.
    pub value: T,
    /// The keys that were asked for and neither the text nor the environment has.
    pub unset: Vec<String>,
}

/// Reads `toml`, with `environment` laid over it, by `read`, which asks for each key that there is. A value that is wrong is noted and
/// its default is used in its place, so that one run finds all that is wrong.
///
/// `environment` may be the whole environment of the process: only names that begin with [`PREFIX`] are looked at.
pub fn read<T>(
    toml: &str,
    environment: impl IntoIterator<Item = (String, String)>,
    read: impl FnOnce(&mut Section<'_>) -> T,
) -> Result<Read<T>, Vec<Mistake>> {
    let table: toml::Table = toml.parse().map_err(|error| vec![syntax_mistake(toml, &error)])?;
    let mut notes = section::Notes::new(Environment::new(environment));
    let value = Section::root(&mut notes, table).read(read);
    notes.finish().map(|unset| Read { value, unset })
}

fn syntax_mistake(text: &str, error: &toml::de::Error) -> Mistake {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
    let line = before.matches('\n').count() + 1;
    Mistake {
        key: format!("line {line}"),
        wrong: error.message().replace('\n', ", "),
        right: "the file is TOML, see https://toml.io".to_owned(),
    }
}

#[cfg(test)]
mod tests;
