//! The history: messages and calls in one SQLCipher file. DESIGN 2.8; SQLCipher 4 (AES-256,
//! HMAC-SHA-512 pages).
//!
//! Invariant: what [`History::keep`] has answered is on disk (WAL, `synchronous = FULL`); a message
//! that comes twice is one row.

use std::path::Path;

use earshot_proto::ids::{MessageId, UserName};
use earshot_proto::peer::call::view::{Direction, LogEntry};
use earshot_proto::peer::chat::{self, Outgoing};
use earshot_proto::peer::command::{Delivery, MessageView};
use earshot_proto::secure::seal::SealKey;
use earshot_proto::time::UnixTime;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};

/// Version of the tables, kept in `user_version`.
const SCHEMA: i64 = 1;
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
    /// With whom.
    pub with: UserName,
    /// Messages that came and were not read.
    pub unread: u32,
    /// When the last one was written.
    pub last_at: UnixTime,
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
            db.execute_batch(TABLES)?;
            db.pragma_update(None, "user_version", SCHEMA)?;
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
                        "INSERT OR IGNORE INTO call (id, peer, outgoing, started, ended, reason)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                        params![
                            entry.call.0,
                            entry.peer.as_str(),
                            entry.direction == Direction::Out,
                            started.0 as i64,
                            ended.0 as i64,
                            format!("{:?}", entry.end.reason),
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
        Ok(chat::History { outbox, recent, numbers })
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
                "SELECT with_user, sum(NOT mine AND delivery < 2), max(written) FROM message
                 GROUP BY with_user ORDER BY max(place) DESC",
            )?
            .query_map([], |row| {
                let last_at = UnixTime(row.get::<_, i64>(2)? as u64);
                Ok(Summary { with: name(row, 0)?, unread: row.get(1)?, last_at })
            })?
            .collect::<rusqlite::Result<_>>()
            .map_err(HistoryFailure::from)
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
mod tests {
    use super::*;
    use earshot_proto::entropy::Entropy;

    fn key(seed: u8) -> SealKey {
        SealKey::draw(&mut Entropy::new([seed; 32]).secrets)
    }

    fn path(name: &str) -> std::path::PathBuf {
        let path =
            std::env::temp_dir().join(format!("earshot-history-{name}-{}", std::process::id()));
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
        }
        path
    }

    fn bob() -> UserName {
        UserName::new("bob").expect("a name")
    }

    fn message(number: u8, mine: bool) -> Entry {
        Entry::Message(Outgoing {
            number: u64::from(number),
            view: MessageView {
                id: MessageId([number; 16]),
                with: bob(),
                mine,
                written: UnixTime(1000 + u64::from(number)),
                text: format!("message {number}"),
                delivery: if mine { Delivery::Waiting } else { Delivery::Arrived },
                client_id: mine.then(|| format!("c-{number}")),
            },
        })
    }

    #[test]
    fn a_message_that_comes_twice_is_one_row_and_pages_run_backwards() {
        let mut history = History::open(&path("pages"), &key(1)).expect("a new file");
        for number in 1..=5 {
            history.keep(&[message(number, false), message(number, false)]).expect("kept");
        }
        let page = history.page(&bob(), None, 3).expect("read").expect("a page");
        let texts: Vec<&str> = page.messages.iter().map(|m| m.text.as_str()).collect();
        assert_eq!((texts, page.more), (vec!["message 5", "message 4", "message 3"], true));
        let older = history.page(&bob(), Some(MessageId([3; 16])), 3).expect("read");
        assert_eq!(older.map(|p| (p.messages.len(), p.more)), Some((2, false)));
        assert_eq!(history.page(&bob(), Some(MessageId([9; 16])), 3).expect("read"), None);
    }

    #[test]
    fn what_waits_is_known_after_a_restart_and_delivery_never_goes_back() {
        let path = path("restart");
        let mut history = History::open(&path, &key(1)).expect("a new file");
        history.keep(&[message(1, true), message(2, true)]).expect("kept");
        let read = Entry::Delivered(MessageId([1; 16]), Delivery::Read);
        let late = Entry::Delivered(MessageId([1; 16]), Delivery::Arrived);
        history.keep(&[read, late]).expect("kept");
        drop(history);
        let history = History::open(&path, &key(1)).expect("the same file");
        let under_way = history.under_way().expect("read");
        assert_eq!(under_way.outbox.len(), 1);
        assert_eq!(under_way.numbers, [(bob(), 2)]);
        let page = history.page(&bob(), None, 10).expect("read").expect("a page");
        assert_eq!(page.messages[1].delivery, Delivery::Read);
    }

    #[test]
    fn unread_messages_are_counted_and_named() {
        let mut history = History::open(&path("unread"), &key(1)).expect("a new file");
        history.keep(&[message(1, false), message(2, false), message(3, true)]).expect("kept");
        let summary = history.summaries().expect("read");
        assert_eq!((summary[0].unread, summary[0].last_at), (2, UnixTime(1003)));
        let ids = history.unread(&bob(), MessageId([1; 16])).expect("read");
        assert_eq!(ids, Some(vec![MessageId([1; 16])]));
    }

    #[test]
    fn without_the_key_the_file_says_nothing() {
        let path = path("sealed");
        let mut history = History::open(&path, &key(1)).expect("a new file");
        history.keep(&[message(7, false)]).expect("kept");
        drop(history);
        assert!(History::open(&path, &key(2)).is_err());
        let bytes = std::fs::read(&path).expect("there");
        assert!(!bytes.windows(9).any(|w| w == b"message 7") && !bytes.starts_with(b"SQLite"));
    }
}
