//! The history: messages and calls in one SQLCipher file. DESIGN 2.8; SQLCipher 4 (AES-256,
//! HMAC-SHA-512 pages).
//!
//! Invariant: what [`History::keep`] has answered is on disk (WAL, `synchronous = FULL`); a message
//! that comes twice is one row.

use std::path::Path;

use earshot_proto::ids::{CallId, MessageId, UserName};
use earshot_proto::peer::call::reason::{By, EndReason};
use earshot_proto::peer::call::view::{Direction, LogEntry};
use earshot_proto::peer::chat::{self, CLIENT_IDS_MAX, Outgoing};
use earshot_proto::peer::command::{Delivery, MessageView};
use earshot_proto::secure::seal::SealKey;
use earshot_proto::time::UnixTime;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};

/// Version of the tables, kept in `user_version`.
const SCHEMA: i64 = 2;
/// Ids of the last messages that the peer is given at the start.
const RECENT: i64 = 2000;

/// Why the history cannot do what it is asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryFailure {
    /// The key does not fit, or bytes of the file are changed.
    #[error("the history is damaged, or its key does not fit")]
    Damaged,
    /// No space is left.
    #[error("the disk is full")]
    DiskFull,
    /// Anything else that the database says.
    #[error("{0}")]
    Broken(String),
}

impl From<rusqlite::Error> for HistoryFailure {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged,
            Some(_) | None => Self::Broken(error.to_string()),
        }
    }
}

/// The history of one user.
pub struct History {
    db: Connection,
}

/// A page of a conversation.
#[derive(Debug, PartialEq)]
pub struct Page {
    /// Newest first.
    pub messages: Vec<MessageView>,
    /// There are older ones.
    pub more: bool,
}

/// A conversation in short.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Messages that came and were not read.
    pub unread: u32,
    /// The last one.
    pub last: MessageView,
}

/// A page of past calls.
#[derive(Debug, PartialEq)]
pub struct PastCalls {
    /// Newest first.
    pub calls: Vec<PastCall>,
    /// There are older ones.
    pub more: bool,
}

/// A call that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct PastCall {
    /// Its id.
    pub id: CallId,
    /// The other one.
    pub peer: UserName,
    /// Who called.
    pub direction: Direction,
    /// When it began.
    pub started: UnixTime,
    /// How long they talked, if they did: milliseconds.
    pub talked_ms: Option<u64>,
    /// Why it ended.
    pub reason: EndReason,
    /// Whose doing that was.
    pub by: By,
}

/// One thing to keep.
#[derive(Debug)]
pub enum Entry {
    /// A message.
    Message(Outgoing),
    /// A message got further.
    Delivered(MessageId, Delivery),
    /// A call has ended; when it began and ended by the wall clock.
    Call(LogEntry, UnixTime, UnixTime),
}

impl History {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// [`HistoryFailure`].
    pub fn open(path: &Path, key: &SealKey) -> Result<Self, HistoryFailure> {
        let db = Connection::open(path)?;
        let key = data_encoding::HEXLOWER.encode(key.secret());
        db.pragma_update(None, "key", format!("x'{key}'"))?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        // A small cache: a history is read a page at a time, and an idle peer must stay small.
        db.pragma_update(None, "cache_size", -256)?;
        let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version < SCHEMA {
            let steps = [TABLES, WHO_ENDED].into_iter().skip(version.max(0) as usize);
            let steps: String = steps.collect();
            db.execute_batch(&format!("BEGIN; {steps} PRAGMA user_version = {SCHEMA}; COMMIT;"))?;
        }
        Ok(Self { db })
    }

    /// Keeps all of these or none, on disk when it answers.
    ///
    /// # Errors
    /// [`HistoryFailure`].
    pub fn keep<'a>(
        &mut self,
        entries: impl IntoIterator<Item = &'a Entry>,
    ) -> Result<(), HistoryFailure> {
        let transaction = self.db.transaction()?;
        for entry in entries {
            match entry {
                Entry::Message(message) => insert(&transaction, message)?,
                Entry::Delivered(id, delivery) => {
                    transaction.execute(
                        "UPDATE message SET delivery = max(delivery, ?2) WHERE id = ?1",
                        params![id.0, rank(*delivery)],
                    )?;
                }
                Entry::Call(entry, started, ended) => {
                    transaction.execute(
                        "INSERT OR IGNORE INTO call
                         (id, peer, outgoing, started, ended, reason, ended_by, talked)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                        params![
                            entry.call.0,
                            entry.peer.as_str(),
                            entry.direction == Direction::Out,
                            started.0 as i64,
                            ended.0 as i64,
                            format!("{:?}", entry.end.reason),
                            format!("{:?}", entry.end.by),
                            entry.end.facts.talked.map(|talked| talked.as_millis() as i64),
                        ],
                    )?;
                }
            }
        }
        Ok(transaction.commit()?)
    }

    /// What the peer must know at the start.
    ///
    /// # Errors
    /// [`HistoryFailure`].
    pub fn under_way(&self) -> Result<chat::History, HistoryFailure> {
        let outbox = self
            .db
            .prepare("SELECT * FROM message WHERE mine AND delivery = 0 AND client_id IS NOT NULL ORDER BY place")?
            .query_map([], outgoing)?
            .collect::<rusqlite::Result<_>>()?;
        let recent = self
            .db
            .prepare("SELECT id FROM message ORDER BY place DESC LIMIT ?1")?
            .query_map([RECENT], |row| row.get(0).map(MessageId))?
            .collect::<rusqlite::Result<_>>()?;
        let numbers = self
            .db
            .prepare("SELECT with_user, max(number) FROM message WHERE mine GROUP BY with_user")?
            .query_map([], |row| Ok((name(row, 0)?, row.get::<_, i64>(1)? as u64)))?
            .collect::<rusqlite::Result<_>>()?;
        let mut client_ids: Vec<_> = self
            .db
            .prepare(
                "SELECT client_id, id FROM message WHERE mine AND client_id IS NOT NULL
                 ORDER BY place DESC LIMIT ?1",
            )?
            .query_map([CLIENT_IDS_MAX as i64], |row| {
                Ok((row.get(0)?, row.get(1).map(MessageId)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        client_ids.reverse();
        Ok(chat::History { outbox, recent, numbers, client_ids })
    }

    /// The messages of a conversation before that one (or the last), newest first. `None`: no such
    /// message.
    ///
    /// # Errors
    /// [`HistoryFailure`].
    pub fn page(
        &self,
        with: &UserName,
        before: Option<MessageId>,
        limit: u32,
    ) -> Result<Option<Page>, HistoryFailure> {
        let before = match before {
            None => i64::MAX,
            Some(id) => match self.place(with, id)? {
                Some(place) => place,
                None => return Ok(None),
            },
        };
        let mut messages: Vec<MessageView> = self
            .db
            .prepare_cached(
                "SELECT * FROM message WHERE with_user = ?1 AND place < ?2 ORDER BY place DESC LIMIT ?3",
            )?
            .query_map(params![with.as_str(), before, i64::from(limit) + 1], |row| {
                outgoing(row).map(|message| message.view)
            })?
            .collect::<rusqlite::Result<_>>()?;
        let more = messages.len() > limit as usize;
        messages.truncate(limit as usize);
        Ok(Some(Page { messages, more }))
    }

    /// Ids of the messages of a user that are not read, up to that one. `None`: no such message.
    ///
    /// # Errors
    /// [`HistoryFailure`].
    pub fn unread(
        &self,
        with: &UserName,
        up_to: MessageId,
    ) -> Result<Option<Vec<MessageId>>, HistoryFailure> {
        let Some(place) = self.place(with, up_to)? else { return Ok(None) };
        self.db
            .prepare_cached(
                "SELECT id FROM message WHERE with_user = ?1 AND place <= ?2 AND NOT mine AND delivery < 2
                 ORDER BY place",
            )?
            .query_map(params![with.as_str(), place], |row| row.get(0).map(MessageId))?
            .collect::<rusqlite::Result<_>>()
            .map(Some)
            .map_err(HistoryFailure::from)
    }

    /// All conversations, the latest first.
    ///
    /// # Errors
    /// [`HistoryFailure`].
    pub fn summaries(&self) -> Result<Vec<Summary>, HistoryFailure> {
        self.db
            .prepare_cached(
                // Beside max() SQLite takes the other columns from the row that has the maximum.
                "SELECT sum(NOT mine AND delivery < 2) AS unread, max(place), * FROM message
                 GROUP BY with_user ORDER BY max(place) DESC",
            )?
            .query_map([], |row| {
                Ok(Summary { unread: row.get("unread")?, last: outgoing(row)?.view })
            })?
            .collect::<rusqlite::Result<_>>()
            .map_err(HistoryFailure::from)
    }

    /// The calls before that one (or the last), newest first. `None`: no such call.
    ///
    /// # Errors
    /// [`HistoryFailure`].
    pub fn calls(
        &self,
        before: Option<CallId>,
        limit: u32,
    ) -> Result<Option<PastCalls>, HistoryFailure> {
        let started = "SELECT started FROM call WHERE id = ?1";
        let before = match before {
            None => (i64::MAX, Vec::new()),
            Some(id) => {
                let found = self.db.query_row(started, [id.0], |row| row.get(0)).optional()?;
                let Some(started) = found else { return Ok(None) };
                (started, id.0.to_vec())
            }
        };
        let mut calls: Vec<PastCall> = self
            .db
            .prepare_cached(
                "SELECT * FROM call WHERE (started, id) < (?1, ?2)
                 ORDER BY started DESC, id DESC LIMIT ?3",
            )?
            .query_map(params![before.0, before.1, i64::from(limit) + 1], past_call)?
            .collect::<rusqlite::Result<_>>()?;
        let more = calls.len() > limit as usize;
        calls.truncate(limit as usize);
        Ok(Some(PastCalls { calls, more }))
    }

    fn place(&self, with: &UserName, id: MessageId) -> rusqlite::Result<Option<i64>> {
        let place = "SELECT place FROM message WHERE id = ?1 AND with_user = ?2";
        self.db.query_row(place, params![id.0, with.as_str()], |row| row.get(0)).optional()
    }
}

const TABLES: &str = "
CREATE TABLE message (
    place     INTEGER PRIMARY KEY AUTOINCREMENT,
    id        BLOB NOT NULL UNIQUE,
    with_user TEXT NOT NULL,
    mine      INTEGER NOT NULL,
    number    INTEGER NOT NULL,
    written   INTEGER NOT NULL,
    text      TEXT NOT NULL,
    delivery  INTEGER NOT NULL,
    client_id TEXT
) STRICT;
CREATE INDEX message_of_user ON message (with_user, place);
CREATE TABLE call (
    id       BLOB PRIMARY KEY,
    peer     TEXT NOT NULL,
    outgoing INTEGER NOT NULL,
    started  INTEGER NOT NULL,
    ended    INTEGER NOT NULL,
    reason   TEXT NOT NULL
) STRICT;
";

/// What version 2 keeps besides: calls of before were ended by nobody that is known.
const WHO_ENDED: &str = "
ALTER TABLE call ADD COLUMN ended_by TEXT NOT NULL DEFAULT 'Network';
ALTER TABLE call ADD COLUMN talked INTEGER;
CREATE INDEX call_by_start ON call (started, id);
";

fn insert(db: &Connection, message: &Outgoing) -> rusqlite::Result<()> {
    let view = &message.view;
    db.prepare_cached(
        "INSERT OR IGNORE INTO message (id, with_user, mine, number, written, text, delivery, client_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        view.id.0,
        view.with.as_str(),
        view.mine,
        message.number as i64,
        view.written.0 as i64,
        view.text,
        rank(view.delivery),
        view.client_id,
    ])?;
    Ok(())
}

fn outgoing(row: &Row<'_>) -> rusqlite::Result<Outgoing> {
    let delivery = match row.get::<_, i64>("delivery")? {
        0 => Delivery::Waiting,
        1 => Delivery::Arrived,
        _ => Delivery::Read,
    };
    let column = row.as_ref().column_index("with_user")?;
    Ok(Outgoing {
        number: row.get::<_, i64>("number")? as u64,
        view: MessageView {
            id: MessageId(row.get("id")?),
            with: name(row, column)?,
            mine: row.get("mine")?,
            written: UnixTime(row.get::<_, i64>("written")? as u64),
            text: row.get("text")?,
            delivery,
            client_id: row.get("client_id")?,
        },
    })
}

fn past_call(row: &Row<'_>) -> rusqlite::Result<PastCall> {
    let column = row.as_ref().column_index("peer")?;
    let (reason, by): (String, String) = (row.get("reason")?, row.get("ended_by")?);
    let outgoing = row.get("outgoing")?;
    Ok(PastCall {
        id: CallId(row.get("id")?),
        peer: name(row, column)?,
        direction: if outgoing { Direction::Out } else { Direction::In },
        started: UnixTime(row.get::<_, i64>("started")? as u64),
        talked_ms: row.get::<_, Option<i64>>("talked")?.map(|ms| ms as u64),
        // Words of a newer version are told as the nearest that we know.
        reason: named(&EndReason::ALL, &reason).unwrap_or(EndReason::Internal),
        by: named(&[By::Me, By::Them], &by).unwrap_or(By::Network),
    })
}

/// The one of these that is written so.
fn named<T: Copy + std::fmt::Debug>(all: &[T], text: &str) -> Option<T> {
    all.iter().copied().find(|one| format!("{one:?}") == text)
}

fn name(row: &Row<'_>, column: usize) -> rusqlite::Result<UserName> {
    let text: String = row.get(column)?;
    UserName::new(&text).map_err(|bad| {
        let kind = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(bad))
    })
}

const fn rank(delivery: Delivery) -> i64 {
    match delivery {
        Delivery::Waiting => 0,
        Delivery::Arrived => 1,
        Delivery::Read => 2,
    }
}

#[cfg(test)]
mod tests;
