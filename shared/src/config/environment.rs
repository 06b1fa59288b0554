//! The environment's half of the settings, and the forms in which a variable writes lists and tables.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use super::nearest::nearest;
use super::{Mistake, PREFIX};

/// Kubernetes sets `SPOOLWAY_SERVICE_HOST`, `SPOOLWAY_PORT_25_TCP` and the like for a service named `spoolway`. They are not
/// meant for us, and no setting begins with these words.
const FOREIGN: [&str; 2] = ["SPOOLWAY_SERVICE_", "SPOOLWAY_PORT"];

/// The variables that begin with [`PREFIX`], and the names that settings have.
pub(super) struct Environment {
    variables: BTreeMap<String, String>,
    known: BTreeSet<String>,
}

impl Environment {
    pub(super) fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let ours =
            |name: &str| name.starts_with(PREFIX) && !FOREIGN.iter().any(|word| name.starts_with(word));
        let variables = variables.into_iter().filter(|(name, _)| ours(name)).collect();
        Self { variables, known: BTreeSet::new() }
    }

    /// The variable for the setting of this path, and its text, if it is set.
    pub(super) fn get(&mut self, path: &str) -> Option<(String, String)> {
        let name = format!("{PREFIX}{}", path.replace('.', "_").to_ascii_uppercase());
        let text = self.variables.get(&name).cloned();
        self.known.insert(name.clone());
        text.map(|text| (name, text))
    }

    /// A mistake for each variable that nobody asked for.
    pub(super) fn unknown(&self) -> impl Iterator<Item = Mistake> {
        self.variables.keys().filter(|name| !self.known.contains(*name)).map(|name| Mistake {
            key: name.clone(),
            wrong: "there is no such setting".to_owned(),
            right: match nearest(name, self.known.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "unset it".to_owned(),
            },
        })
    }
}

/// `a,b,c`
pub(super) fn list(text: &str) -> Value {
    Value::Array(items(text, ',').map(|item| Value::String(item.to_owned())).collect())
}

/// `key=value,key=value`
pub(super) fn table(text: &str) -> Result<Value, &'static str> {
    pairs(text).map(Value::Table).ok_or("write it as key=value,key=value")
}

/// `key=value, key=value; key=value`
pub(super) fn tables(text: &str) -> Result<Value, &'static str> {
    let tables: Option<Vec<Value>> =
        items(text, ';').map(|entry| nested(entry, ',').map(Value::Table)).collect();
    tables.map(Value::Array).ok_or("write it as key=value, key=value; key=value")
}

/// `name: key=value, key=value; name: key=value`
pub(super) fn named_tables(text: &str) -> Result<Value, &'static str> {
    let entries = items(text, ';').map(|entry| {
        // a name may have colons itself, a key has none
        let colon = entry[..entry.find('=')?].rfind(':')?;
        Some((entry[..colon].trim().to_owned(), Value::Table(nested(&entry[colon + 1..], ',')?)))
    });
    let entries: Option<Table> = entries.collect();
    entries.map(Value::Table).ok_or("write it as name: key=value, key=value; name: key=value")
}

/// `value?key=value&key=value value`, a table each, with the first value under the key `first`
pub(super) fn short_tables(text: &str, first: &str) -> Result<Value, &'static str> {
    let table = |item: &str| {
        let (value, rest) = item.split_once('?').unwrap_or((item, ""));
        let mut table = nested(rest, '&')?;
        table.insert(first.to_owned(), Value::String(value.to_owned()));
        Some(Value::Table(table))
    };
    let tables: Option<Vec<Value>> = text.split_whitespace().map(table).collect();
    tables.map(Value::Array).ok_or("write it as value?key=value&key=value, with spaces between several")
}

fn items(text: &str, separator: char) -> impl Iterator<Item = &str> {
    text.split(separator).map(str::trim).filter(|item| !item.is_empty())
}

fn pairs(text: &str) -> Option<Table> {
    let pair = |item: &str| {
        let (key, value) = item.split_once('=')?;
        Some((key.trim().to_owned(), Value::String(value.trim().to_owned())))
    };
    items(text, ',').map(pair).collect()
}

/// Pairs whose keys may be those of a table within: `auth.name=edge`
fn nested(text: &str, separator: char) -> Option<Table> {
    let mut whole = Table::new();
    for item in items(text, separator) {
        let (key, value) = item.split_once('=')?;
        let mut path = key.trim().split('.');
        let own = path.next_back()?;
        let mut table = &mut whole;
        for outer in path {
            let Value::Table(inner) = table.entry(outer).or_insert_with(|| Value::Table(Table::new())) else {
                return None;
            };
            table = inner;
        }
        table.insert(own.to_owned(), Value::String(value.trim().to_owned()));
    }
    Some(whole)
}
