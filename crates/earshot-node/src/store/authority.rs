//! The login authority's accounts in SQLite: rows of the authority as they are, one transaction a
//! record.
//!
//! Write-ahead log with `synchronous=FULL`: each commit ends with an fsync of the log
//! (sqlite.org/wal.html, pragma synchronous). Invariants: a receipt says *saved* only after that
//! fsync; a record's rows are all there or none; records reach the disk in the order in which they
//! were given.

use std::fs::File;
use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;

use earshot_proto::authority::{Record, Row};
use earshot_proto::port::SaveFailure;
use rusqlite::{Connection, ErrorCode, params};

use crate::driver::{Keep, Receipt};

#[cfg(test)]
mod tests;

/// Says in the file's header whose it is: "ESAU".
const APPLICATION_ID: i32 = 0x4553_4155;
/// Layout of the tables.
const FORMAT: i32 = 1;
/// Records made safe by one fsync at most: what the authority lets wait.
const BATCH_MAX: usize = 256;

/// Why the accounts cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreFailure {
    /// Bytes of the file are missing or changed, or it is no file of an authority.
    #[error("the accounts are damaged: {0}")]
    Damaged(String),
    /// Made by a newer version of this program.
    #[error("the accounts have format {got}, this program reads {FORMAT}")]
    NewerFormat {
        /// The format found.
        got: i32,
    },
    /// Another process has them open.
    #[error("the accounts are in use by another process")]
    InUse,
    /// The disk is full.
    #[error("the disk is full")]
    DiskFull,
    /// The disk refuses.
    #[error("the accounts cannot be read or written: {0}")]
    Broken(String),
}

impl From<rusqlite::Error> for StoreFailure {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged(error.to_string())
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::InUse,
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            Some(_) | None => Self::Broken(error.to_string()),
        }
    }
}

impl From<&StoreFailure> for SaveFailure {
    fn from(failure: &StoreFailure) -> Self {
        match failure {
            StoreFailure::DiskFull => Self::DiskFull,
            StoreFailure::Damaged(_)
            | StoreFailure::NewerFormat { .. }
            | StoreFailure::InUse
            | StoreFailure::Broken(_) => Self::Broken,
        }
    }
}

/// The open file.
#[derive(Debug)]
pub struct AuthorityStore {
    connection: Connection,
}

impl AuthorityStore {
    /// Opens the file, or makes it, and reads all rows; an empty answer means that it is new.
    ///
    /// # Errors
    /// [`StoreFailure`] tells damage, a second process and a refusing disk apart.
    pub fn open(path: &Path) -> Result<(Self, Vec<Row>), StoreFailure> {
        let connection = Connection::open(path)?;
        prepare(&connection)?;
        sync_directory(path)?;
        let rows = read_all(&connection)?;
        Ok((Self { connection }, rows))
    }

    /// Keeps records in one transaction; they are safe when this returns.
    ///
    /// # Errors
    /// [`StoreFailure`]: none of them is kept.
    pub fn keep<'a>(
        &mut self,
        records: impl IntoIterator<Item = &'a Record>,
    ) -> Result<(), StoreFailure> {
        let transaction = self.connection.transaction()?;
        {
            let mut put = transaction.prepare_cached(
                "INSERT INTO rows (kind, key, value) VALUES (?1, ?2, ?3)
                 ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value",
            )?;
            for row in records.into_iter().flat_map(|record| &record.rows) {
                put.execute(params![row.table(), row.key(), row.to_bytes()])?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// Keeps records from now on, on a thread of its own, for an authority in the loop.
    ///
    /// # Errors
    /// [`StoreFailure::Broken`] when no thread can be started.
    pub fn into_keeper(self) -> Result<AuthorityKeeper, StoreFailure> {
        let (sender, records) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("accounts".into())
            .spawn(move || keep_all(self, &records))
            .map_err(|e| StoreFailure::Broken(e.to_string()))?;
        Ok(AuthorityKeeper { sender: Some(sender), thread: Some(thread) })
    }
}

/// Keeps the authority's records off the loop. Dropped, it first keeps what it was given.
#[derive(Debug)]
pub struct AuthorityKeeper {
    sender: Option<mpsc::Sender<(Record, Receipt)>>,
    thread: Option<JoinHandle<()>>,
}

impl Keep<Record> for AuthorityKeeper {
    fn save(&mut self, record: Record, receipt: Receipt) {
        // What cannot be handed over is dropped, and a dropped receipt says that the record is
        // lost.
        if let Some(sender) = &self.sender {
            let _ = sender.send((record, receipt));
        }
    }
}

impl Drop for AuthorityKeeper {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            // It panicked: its receipts were dropped, so everybody knows.
            let _ = thread.join();
        }
    }
}

/// Keeps what comes until the sender is gone; what came meanwhile shares one fsync.
fn keep_all(mut store: AuthorityStore, records: &mpsc::Receiver<(Record, Receipt)>) {
    while let Ok(first) = records.recv() {
        let mut batch = vec![first];
        batch.extend(records.try_iter().take(BATCH_MAX - 1));
        match store.keep(batch.iter().map(|(record, _)| record)) {
            Ok(()) => batch.into_iter().for_each(|(_, receipt)| receipt.saved()),
            Err(failure) => {
                tracing::warn!(%failure, records = batch.len(), "Accounts not kept");
                let failure = SaveFailure::from(&failure);
                batch.into_iter().for_each(|(_, receipt)| receipt.failed(failure));
            }
        }
    }
}

fn prepare(connection: &Connection) -> Result<(), StoreFailure> {
    connection.busy_timeout(std::time::Duration::ZERO)?;
    // One process only: also spares the shared-memory file.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let synchronous: i32 = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
    if mode != "wal" || synchronous != 2 {
        return Err(StoreFailure::Broken(format!("journal {mode}, synchronous {synchronous}")));
    }
    let application: i32 = connection.pragma_query_value(None, "application_id", |r| r.get(0))?;
    let format: i32 = connection.pragma_query_value(None, "user_version", |r| r.get(0))?;
    let tables: u32 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (application, format, tables) {
        (0, 0, 0) => Ok(connection.execute_batch(&format!(
            "BEGIN IMMEDIATE;
             CREATE TABLE rows (kind TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,
                                PRIMARY KEY (kind, key)) STRICT, WITHOUT ROWID;
             PRAGMA application_id = {APPLICATION_ID};
             PRAGMA user_version = {FORMAT};
             COMMIT;"
        ))?),
        (APPLICATION_ID, FORMAT, _) => Ok(()),
        (APPLICATION_ID, got, _) if got > FORMAT => Err(StoreFailure::NewerFormat { got }),
        (_, _, _) => Err(StoreFailure::Damaged("not an authority's file".into())),
    }
}

fn read_all(connection: &Connection) -> Result<Vec<Row>, StoreFailure> {
    let sound: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if sound != "ok" {
        return Err(StoreFailure::Damaged(sound));
    }
    let mut statement = connection.prepare("SELECT kind, key, value FROM rows")?;
    let mut found = statement.query([])?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let (kind, key): (String, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let value: Vec<u8> = row.get(2)?;
        let read = Row::from_bytes(&value).ok();
        let fits = read.filter(|row| row.table() == kind && row.key() == key);
        rows.push(fits.ok_or_else(|| StoreFailure::Damaged(format!("a row of {kind}")))?);
    }
    Ok(rows)
}

/// The file's name is safe only when its directory is (fsync(2)).
fn sync_directory(path: &Path) -> Result<(), StoreFailure> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if cfg!(unix) {
        File::open(parent.unwrap_or(Path::new(".")))
            .and_then(|directory| directory.sync_all())
            .map_err(|e| StoreFailure::Broken(e.to_string()))?;
    }
    Ok(())
}
