//! The directory in SQLite.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::database::Database;
use crate::limits::{NAME_OCTETS_MAX, VALUE_OCTETS_MAX};
use crate::port::{Directory, Entry, EntryKind, PortError, PortResult};

const OPEN: &str = "the opening of the directory";
const READ: &str = "the read of a directory entry";
const PUT: &str = "the write of a directory entry";
const DELETE: &str = "the deletion of a directory entry";

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS directory (
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (kind, name)
    ) WITHOUT ROWID;
";

/// Directory entries in a database.
pub struct SqliteDirectory {
    database: Database,
}

impl SqliteDirectory {
    /// The directory in `database`.
    pub fn new(database: &Database) -> PortResult<Self> {
        database.define(OPEN, SCHEMA)?;
        Ok(Self { database: database.clone() })
    }
}

#[async_trait]
impl Directory for SqliteDirectory {
    async fn get(&self, kind: EntryKind, name: &str) -> PortResult<Option<Entry>> {
        let name = name.to_owned();
        let get = move |db: &Connection| {
            let mut select =
                db.prepare_cached("SELECT name, value FROM directory WHERE kind = ?1 AND name = ?2")?;
            select.query_row(params![kind.as_str(), name], |row| entry(kind, row)).optional()
        };
        self.database.read(READ, get).await
    }

    async fn put(&self, entry: Entry) -> PortResult<()> {
        let value = entry.value.to_string();
        if entry.name.len() > NAME_OCTETS_MAX || value.len() > VALUE_OCTETS_MAX {
            let limits =
                format!("a name has at most {NAME_OCTETS_MAX} octets, and a value {VALUE_OCTETS_MAX}");
            return Err(PortError::refused(PUT, limits));
        }
        let put = move |db: &Connection| {
            let mut put = db
                .prepare_cached("INSERT OR REPLACE INTO directory (kind, name, value) VALUES (?1, ?2, ?3)")?;
            put.execute(params![entry.kind.as_str(), entry.name, value]).map(drop)
        };
        self.database.write(PUT, put).await
    }

    async fn list(&self, kind: EntryKind, after: Option<&str>, limit: usize) -> PortResult<Vec<Entry>> {
        let (after, limit) = (after.map(str::to_owned), i64::try_from(limit).unwrap_or(i64::MAX));
        let list = move |db: &Connection| {
            let mut select = db.prepare_cached(
                "SELECT name, value FROM directory WHERE kind = ?1 AND (?2 IS NULL OR name > ?2) ORDER BY name LIMIT ?3",
            )?;
            let entries = select.query_map(params![kind.as_str(), after, limit], |row| entry(kind, row))?;
            entries.collect()
        };
        self.database.read(READ, list).await
    }

    async fn delete(&self, kind: EntryKind, name: &str) -> PortResult<bool> {
        let name = name.to_owned();
        let delete = move |db: &Connection| {
            let mut delete = db.prepare_cached("DELETE FROM directory WHERE kind = ?1 AND name = ?2")?;
            Ok(delete.execute(params![kind.as_str(), name])? > 0)
        };
        self.database.write(DELETE, delete).await
    }
}

fn entry(kind: EntryKind, row: &Row<'_>) -> rusqlite::Result<Entry> {
    let value = serde_json::from_str(row.get_ref(1)?.as_str()?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, error.into())
    })?;
    Ok(Entry { kind, name: row.get(0)?, value })
}
