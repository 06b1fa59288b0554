//! A table of settings being read.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::environment::{self, Environment};
use super::nearest::nearest;
use super::{Mistake, Setting};

/// What is noted while settings are read.
pub(super) struct Notes {
    environment: Environment,
    mistakes: Vec<Mistake>,
    unset: Vec<String>,
}

impl Notes {
    pub(super) fn new(environment: Environment) -> Self {
        Self { environment, mistakes: Vec::new(), unset: Vec::new() }
    }

    /// The keys that are not set, or every mistake, in the order they were found.
    pub(super) fn finish(mut self) -> Result<Vec<String>, Vec<Mistake>> {
        self.mistakes.extend(self.environment.unknown());
        if self.mistakes.is_empty() { Ok(self.unset) } else { Err(self.mistakes) }
    }
}

/// One table of the settings. Whatever of it is not asked for is a mistake.
pub struct Section<'a> {
    notes: &'a mut Notes,
    path: String,
    table: Table,
    asked: BTreeSet<String>,
    /// Whether the environment can set the keys of this table one by one.
    by_environment: bool,
    /// Whether lists may be written as one text, as in a table that came from the environment.
    lists_as_text: bool,
}

/// A value as it was found, and what to call it in a mistake.
struct Found {
    name: String,
    value: Value,
}

impl<'a> Section<'a> {
    pub(super) fn root(notes: &'a mut Notes, table: Table) -> Self {
        Self {
            notes,
            path: String::new(),
            table,
            asked: BTreeSet::new(),
            by_environment: true,
            lists_as_text: false,
        }
    }

    /// The setting `key`, or `default` where it is not set.
    pub fn value<T: Setting>(&mut self, key: &str, default: T) -> T {
        self.optional(key).unwrap_or(default)
    }

    /// The setting `key`, if it is set.
    pub fn optional<T: Setting>(&mut self, key: &str) -> Option<T> {
        let Found { name, value } = self.take(key, |text| Ok(Value::String(text.to_owned())))?;
        self.parse(&name, &value)
    }

    /// The setting `key`. Not to set it is a mistake; then, and where its value is wrong, `stand_in` lets the reading go on.
    pub fn required<T: Setting>(&mut self, key: &str, stand_in: T) -> T {
        let Some(Found { name, value }) = self.take(key, |text| Ok(Value::String(text.to_owned()))) else {
            self.mistake(key, "it is not set", format!("use {}", T::RIGHT));
            return stand_in;
        };
        self.parse(&name, &value).unwrap_or(stand_in)
    }

    /// The list `key`, or `default` where it is not set.
    pub fn list<T: Setting>(&mut self, key: &str, default: Vec<T>) -> Vec<T> {
        let Some(Found { name, value }) = self.take(key, |text| Ok(environment::list(text))) else {
            return default;
        };
        let items = match value {
            Value::Array(items) => items,
            Value::String(text) if self.lists_as_text => {
                text.split_whitespace().map(|item| Value::String(item.to_owned())).collect()
            }
            _ => {
                self.note(
                    name,
                    "it is one value where a list is wanted",
                    format!("use a list of {}", T::RIGHT),
                );
                return default;
            }
        };
        items.iter().filter_map(|item| self.parse(&name, item)).collect()
    }

    /// The table `key`, whose own keys are free to choose, in their order; `None` where it is not set.
    pub fn table<T: Setting>(&mut self, key: &str) -> Option<Vec<(String, T)>> {
        let Found { name, value } = self.take(key, environment::table)?;
        let Value::Table(table) = value else {
            self.note(name, "it is not a table", format!("give each key {}", T::RIGHT));
            return None;
        };
        let mut pairs = Vec::with_capacity(table.len());
        for (inner, value) in table {
            if let Some(value) = self.parse(&format!("{name}.{}", quoted(&inner)), &value) {
                pairs.push((inner, value));
            }
        }
        Some(pairs)
    }

    /// Reads the table `[key]`, empty where it is not there, by `read`.
    pub fn section<T>(&mut self, key: &str, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        self.asked.insert(key.to_owned());
        let path = self.path_of(key);
        let table = match self.table.remove(key) {
            Some(Value::Table(table)) => table,
            Some(_) => {
                self.note(path.clone(), "it is not a table", format!("write `[{path}]` above its keys"));
                Table::new()
            }
            None => Table::new(),
        };
        self.below(path, table, self.by_environment).read(read)
    }

    /// Reads each table of the list `[[key]]` by `read`; `None` where there is none.
    pub fn sections<T>(&mut self, key: &str, read: impl FnMut(&mut Section<'_>) -> T) -> Option<Vec<T>> {
        let found = self.take(key, environment::tables)?;
        self.each(key, found, read)
    }

    /// The same of a list within a table. Where that came from the environment, each is a text that begins with its value of `first`.
    pub fn sections_within<T>(
        &mut self,
        key: &str,
        first: &str,
        read: impl FnMut(&mut Section<'_>) -> T,
    ) -> Option<Vec<T>> {
        let Found { name, value } = self.take(key, environment::tables)?;
        let value = match value {
            Value::String(text) if self.lists_as_text => match environment::short_tables(&text, first) {
                Ok(tables) => tables,
                Err(right) => {
                    self.note(name, "it cannot be read", right);
                    return None;
                }
            },
            other => other,
        };
        self.each(key, Found { name, value }, read)
    }

    fn each<T>(
        &mut self,
        key: &str,
        Found { name, value }: Found,
        mut read: impl FnMut(&mut Section<'_>) -> T,
    ) -> Option<Vec<T>> {
        let tables = match value {
            Value::Array(tables) => tables,
            _ => Vec::new(),
        };
        let mut all = Vec::with_capacity(tables.len());
        for (index, table) in tables.into_iter().enumerate() {
            if let Value::Table(table) = table {
                all.push(self.below(format!("{name}[{}]", index + 1), table, false).read(&mut read));
            }
        }
        if all.is_empty() {
            self.note(name.clone(), "it is not a list of tables", format!("write `[[{key}]]` above each"));
            return None;
        }
        Some(all)
    }

    /// Reads each table `[key.NAME]` by `read`, with its name.
    pub fn named<T>(&mut self, key: &str, mut read: impl FnMut(&str, &mut Section<'_>) -> T) -> Vec<T> {
        let Some(Found { name, value }) = self.take(key, environment::named_tables) else {
            return Vec::new();
        };
        let Value::Table(tables) = value else {
            self.note(name.clone(), "it is not a table", format!("write `[{name}.\"NAME\"]` above the keys"));
            return Vec::new();
        };
        let mut all = Vec::with_capacity(tables.len());
        for (inner, table) in tables {
            let path = format!("{name}.{}", quoted(&inner));
            match table {
                Value::Table(table) => {
                    all.push(self.below(path, table, false).read(|section| read(&inner, section)));
                }
                _ => self.note(path.clone(), "it is not a table", format!("write `[{path}]` above its keys")),
            }
        }
        all
    }

    /// Notes that what `key` is set to cannot be used, although it could be read.
    pub fn mistake(&mut self, key: &str, wrong: impl Into<String>, right: impl Into<String>) {
        let path = self.path_of(key);
        let name = match self.by_environment.then(|| self.notes.environment.get(&path)).flatten() {
            Some((variable, _)) => variable,
            None => path,
        };
        self.note(name, wrong, right);
    }

    pub(super) fn read<T>(mut self, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        let value = read(&mut self);
        self.note_unknown();
        value
    }

    fn below(&mut self, path: String, table: Table, by_environment: bool) -> Section<'_> {
        let lists_as_text = !by_environment;
        Section { notes: self.notes, path, table, asked: BTreeSet::new(), by_environment, lists_as_text }
    }

    /// What `key` is set to, by the environment or else by the text.
    fn take(&mut self, key: &str, form: impl Fn(&str) -> Result<Value, &'static str>) -> Option<Found> {
        self.asked.insert(key.to_owned());
        let path = self.path_of(key);
        let here = self.table.remove(key);
        if self.by_environment
            && let Some((name, text)) = self.notes.environment.get(&path)
        {
            return match form(&text) {
                Ok(value) => Some(Found { name, value }),
                Err(right) => {
                    self.note(name, "it cannot be read", right);
                    None
                }
            };
        }
        if here.is_none() {
            self.notes.unset.push(path.clone());
        }
        here.map(|value| Found { name: path, value })
    }

    fn parse<T: Setting>(&mut self, name: &str, value: &Value) -> Option<T> {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => value.to_string(),
            Value::Array(_) | Value::Table(_) => {
                self.note(name, "it holds several values where one is wanted", format!("use {}", T::RIGHT));
                return None;
            }
        };
        let parsed = T::read(&text);
        if parsed.is_none() {
            self.note(name, format!("`{}` cannot be used", text.escape_debug()), format!("use {}", T::RIGHT));
        }
        parsed
    }

    fn note_unknown(&mut self) {
        for key in std::mem::take(&mut self.table).keys() {
            let right = match nearest(key, self.asked.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    format!("the keys here are {}", Vec::from_iter(self.asked.iter().cloned()).join(", "))
                }
            };
            let path = self.path_of(key);
            self.note(path, "there is no such setting", right);
        }
    }

    fn note(&mut self, key: impl Into<String>, wrong: impl Into<String>, right: impl Into<String>) {
        self.notes.mistakes.push(Mistake { key: key.into(), wrong: wrong.into(), right: right.into() });
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// A key as TOML writes it.
fn quoted(key: &str) -> String {
    let bare =
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if bare { key.to_owned() } else { format!("\"{key}\"") }
}
