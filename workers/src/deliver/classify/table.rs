//! The table: rows in the order in which they are asked, the first that fits counts. Specific rows stand first, then words that
//! mean the same everywhere, then the registry of enhanced codes, then the bare reply codes.

use std::sync::LazyLock;

use serde::Deserialize;
use shared::mail::EnhancedCode;
use thiserror::Error;

use super::pattern::{CodePattern, PatternError, StatusPattern, TextPattern};
use super::{FailureClass, FailureScope, Retry};
use crate::deliver::outcome::Step;

const FILES: [(&str, &str); 9] = [
    ("google", include_str!("table/google.toml")),
    ("microsoft", include_str!("table/microsoft.toml")),
    ("yahoo", include_str!("table/yahoo.toml")),
    ("providers", include_str!("table/providers.toml")),
    ("filters", include_str!("table/filters.toml")),
    ("servers", include_str!("table/servers.toml")),
    ("words", include_str!("table/words.toml")),
    ("registry", include_str!("table/registry.toml")),
    ("codes", include_str!("table/codes.toml")),
];

static SHIPPED: LazyLock<Table> = LazyLock::new(|| Table::parse(&FILES).unwrap_or_default());

/// Why a file is no part of the table.
#[derive(Debug, Error)]
pub(super) enum TableError {
    #[error("{file}: {error}")]
    Syntax { file: String, error: toml::de::Error },
    #[error("{file}: {error}")]
    Pattern { file: String, error: PatternError },
    #[error("{file}: {name:?} is no step of the dialogue")]
    Step { file: String, name: String },
    #[error("{file}: a row of {source_of_it:?} fits every reply")]
    Boundless { file: String, source_of_it: String },
    #[error("{file}: rows without a source")]
    NoSource { file: String },
}

/// One line of the table. A kind of pattern of which there is none fits everything.
#[derive(Debug)]
pub(super) struct Row {
    codes: Vec<CodePattern>,
    status: Vec<StatusPattern>,
    steps: Vec<Step>,
    text: Vec<TextPattern>,
    pub(super) class: FailureClass,
    pub(super) scope: Option<FailureScope>,
    pub(super) permanent: Option<bool>,
    pub(super) retry: Option<Retry>,
    pub(super) source: Box<str>,
}

impl Row {
    fn fits(&self, code: u16, status: Option<EnhancedCode>, step: Step, text: &[u8]) -> bool {
        (self.codes.is_empty() || self.codes.iter().any(|pattern| pattern.matches(code)))
            && (self.steps.is_empty() || self.steps.contains(&step))
            && (self.status.is_empty()
                || status.is_some_and(|status| self.status.iter().any(|pattern| pattern.matches(status))))
            && (self.text.is_empty() || self.text.iter().any(|pattern| pattern.matches(text)))
    }
}

/// All rows, in order.
#[derive(Debug, Default)]
pub(super) struct Table(Vec<Row>);

impl Table {
    /// The table that is part of the program. A test sees to it that it can be read.
    pub(super) fn shipped() -> &'static Self {
        &SHIPPED
    }

    fn parse(files: &[(&str, &str)]) -> Result<Self, TableError> {
        let mut rows = Vec::new();
        for &(file, text) in files {
            let parsed: RawFile =
                toml::from_str(text).map_err(|error| TableError::Syntax { file: file.to_owned(), error })?;
            for group in parsed.group {
                for row in group.rows {
                    rows.push(row.into_row(file, &group.source)?);
                }
            }
        }
        Ok(Self(rows))
    }

    /// The first row that fits. `text` is in lower case.
    pub(super) fn find(
        &self,
        code: u16,
        status: Option<EnhancedCode>,
        step: Step,
        text: &[u8],
    ) -> Option<&Row> {
        self.0.iter().find(|row| row.fits(code, status, step, text))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    group: Vec<RawGroup>,
}

/// Rows that come from the same place.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGroup {
    source: String,
    rows: Vec<RawRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRow {
    #[serde(default)]
    codes: Vec<String>,
    #[serde(default)]
    status: Vec<String>,
    #[serde(default)]
    steps: Vec<String>,
    #[serde(default)]
    text: Vec<String>,
    class: FailureClass,
    scope: Option<FailureScope>,
    permanent: Option<bool>,
    retry: Option<Retry>,
}

impl RawRow {
    fn into_row(self, file: &str, source: &str) -> Result<Row, TableError> {
        let pattern = |error| TableError::Pattern { file: file.to_owned(), error };
        if source.trim().is_empty() {
            return Err(TableError::NoSource { file: file.to_owned() });
        }
        if self.codes.is_empty() && self.status.is_empty() && self.text.is_empty() {
            return Err(TableError::Boundless { file: file.to_owned(), source_of_it: source.to_owned() });
        }
        let step = |name: &String| {
            step_named(name).ok_or_else(|| TableError::Step { file: file.to_owned(), name: name.clone() })
        };
        Ok(Row {
            codes: all(&self.codes, CodePattern::parse).map_err(pattern)?,
            status: all(&self.status, StatusPattern::parse).map_err(pattern)?,
            steps: self.steps.iter().map(step).collect::<Result<_, _>>()?,
            text: all(&self.text, TextPattern::parse).map_err(pattern)?,
            class: self.class,
            scope: self.scope,
            permanent: self.permanent,
            retry: self.retry,
            source: source.into(),
        })
    }
}

fn all<T>(texts: &[String], parse: impl Fn(&str) -> Result<T, PatternError>) -> Result<Vec<T>, PatternError> {
    texts.iter().map(|text| parse(text)).collect()
}

fn step_named(name: &str) -> Option<Step> {
    Some(match name {
        "greeting" => Step::Greeting,
        "ehlo" => Step::Hello,
        "starttls" => Step::StartTls,
        "mail" => Step::Mail,
        "rcpt" => Step::Recipient,
        "data" => Step::Data,
        "end" => Step::End,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Table, TableError> {
        Table::parse(&[("test", text)])
    }

    #[test]
    fn the_shipped_table_can_be_read() {
        let table = Table::parse(&FILES).unwrap_or_else(|error| panic!("{error}"));
        assert!(table.0.len() > 100);
    }

    #[test]
    fn a_broken_table_says_what_is_wrong_and_where() {
        let row = |fields: &str| format!("[[group]]\nsource = \"x\"\nrows = [{{ {fields} }}]");
        for (text, expected) in [
            (row("codes = [\"5\"], class = \"silly\""), "silly"),
            (row("codes = [\"5x\"], class = \"unknown\""), "\"5x\" is no pattern of a reply code"),
            (row("text = [\"User\"], class = \"unknown\""), "\"User\" is no pattern of a text"),
            (row("codes = [\"5\"], steps = [\"quit\"], class = \"unknown\""), "\"quit\" is no step"),
            (row("class = \"unknown\""), "fits every reply"),
            (row("codes = [\"5\"], class = \"unknown\", colour = 1"), "colour"),
            (row("codes = [\"5\"], class = \"unknown\"").replace("\"x\"", "\"\""), "without a source"),
        ] {
            let error = parsed(&text).unwrap_err().to_string();
            assert!(error.starts_with("test: ") && error.contains(expected), "{error}");
        }
    }
}
