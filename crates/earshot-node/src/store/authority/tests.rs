//! Accounts on disk: kept, cut at every write, and opened again.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{fs, io};

use earshot_proto::authority::{Admits, Row, Token};
use earshot_proto::port::SaveId;
use earshot_proto::time::UnixTime;

use super::*;
use crate::driver::news::{News, ResidentId};

/// Lengths in a write-ahead log (sqlite.org/fileformat2.html, section 4): SQLite writes each of
/// these at once.
const WAL_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
const PAGE: usize = 4096;

/// A directory that goes away with its owner.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("earshot-accounts-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a scratch directory");
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("accounts.db")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("the scratch directory is ours");
    }
}

/// The bytes of database and log at one moment.
#[derive(Clone)]
struct Files {
    database: Vec<u8>,
    log: Vec<u8>,
}

impl Files {
    fn of(scratch: &Scratch) -> Self {
        let log = scratch.0.join("accounts.db-wal");
        Self { database: fs::read(scratch.file()).expect("the database"), log: read_if_there(&log) }
    }

    fn open(&self) -> Result<Vec<Row>, StoreFailure> {
        let scratch = Scratch::new();
        fs::write(scratch.file(), &self.database).expect("written");
        fs::write(scratch.0.join("accounts.db-wal"), &self.log).expect("written");
        AuthorityStore::open(&scratch.file()).map(|(_, rows)| rows)
    }
}

fn read_if_there(path: &Path) -> Vec<u8> {
    match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(e) => panic!("{}: {e}", path.display()),
    }
}

/// A row as large as an account, told apart by its number.
fn row(number: u32, version: u32) -> Row {
    let mut hash = [0; 32];
    hash[..4].copy_from_slice(&number.to_be_bytes());
    Row::Token(Token { hash, admits: Admits::User, uses_left: version, until: UnixTime(9) })
}

/// The record of step `n`: a new row, the last serial number, and two changed rows elsewhere in the
/// table.
fn record(n: u32) -> Record {
    let rows = vec![row(scattered(n), 1), Row::Serial(n.into()), row(7, n), row(u32::MAX, n)];
    Record { rows }
}

/// Numbers that lie far apart for neighbours (Knuth's multiplicative hash).
const fn scattered(n: u32) -> u32 {
    n.wrapping_mul(2_654_435_761)
}

/// The number of the last record that `rows` hold; panics when one before it, or a part of one, is
/// missing.
fn last_of(rows: &[Row]) -> u32 {
    let serial = rows.iter().find_map(|row| if let Row::Serial(n) = row { Some(*n) } else { None });
    let last = u32::try_from(serial.unwrap_or(0)).expect("few records");
    for n in 1..=last {
        assert!(rows.contains(&record(n).rows[0]), "record {n} of {last} is lost");
    }
    let whole = last == 0 || record(last).rows.iter().all(|row| rows.contains(row));
    assert!(whole, "record {last} is there in parts");
    last
}

#[test]
fn rows_come_back_as_they_were_kept_and_the_last_of_a_key_wins() {
    let scratch = Scratch::new();
    let (mut store, rows) = AuthorityStore::open(&scratch.file()).expect("opens");
    assert!(rows.is_empty());
    for n in 1..=3 {
        store.keep([&record(n)]).expect("keeps");
    }
    drop(store);
    let (_, rows) = AuthorityStore::open(&scratch.file()).expect("opens");
    assert_eq!(last_of(&rows), 3);
    assert_eq!(rows.len(), 3 + 3, "three new ones, two changed ones, one serial");
}

#[test]
fn a_second_process_is_told_that_the_accounts_are_in_use() {
    let scratch = Scratch::new();
    let (_first, _) = AuthorityStore::open(&scratch.file()).expect("opens");
    let second = AuthorityStore::open(&scratch.file()).err();
    assert!(matches!(second, Some(StoreFailure::InUse)), "{second:?}");
}

#[test]
fn a_file_that_is_not_ours_or_damaged_is_told() {
    let scratch = Scratch::new();
    fs::write(scratch.file(), [7; 9000]).expect("written");
    let opened = AuthorityStore::open(&scratch.file()).err();
    assert!(matches!(opened, Some(StoreFailure::Damaged(_))), "{opened:?}");
    let scratch = Scratch::new();
    let (mut store, _) = AuthorityStore::open(&scratch.file()).expect("opens");
    store.keep([&record(1)]).expect("keeps");
    drop(store);
    let mut files = Files::of(&scratch);
    assert!(files.log.is_empty(), "closing moves the log into the database");
    let serial = Row::Serial(1).to_bytes();
    let at = files.database.windows(serial.len()).position(|bytes| bytes == serial);
    files.database[at.expect("the row is in the file")] ^= 1;
    let opened = files.open().err();
    assert!(matches!(opened, Some(StoreFailure::Damaged(_))), "{opened:?}");
}

/// The writes that lead from one state of a file to the next, in order, as (offset, bytes).
fn writes(
    before: &[u8],
    after: &[u8],
    sizes: impl Iterator<Item = usize>,
) -> Vec<(usize, Vec<u8>)> {
    let (mut at, mut writes) = (0, Vec::new());
    for size in sizes {
        let end = (at + size).min(after.len());
        if at >= end {
            break;
        }
        if before.get(at..end) != Some(&after[at..end]) {
            writes.push((at, after[at..end].to_vec()));
        }
        at = end;
    }
    writes
}

fn write(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if file.len() < at + bytes.len() {
        file.resize(at + bytes.len(), 0);
    }
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Every state in which a power cut may leave a file while `writes` are on their way and none is
/// yet synced: the first `k` done, the next torn in its middle, or all done but one (disks
/// reorder).
fn cuts(before: &[u8], writes: &[(usize, Vec<u8>)]) -> Vec<Vec<u8>> {
    let mut states = vec![before.to_vec()];
    let mut done = before.to_vec();
    for (k, (at, bytes)) in writes.iter().enumerate() {
        let mut torn = done.clone();
        write(&mut torn, *at, &bytes[..bytes.len() / 2]);
        let mut all_but_one = before.to_vec();
        for (_, (at, bytes)) in writes.iter().enumerate().filter(|(i, _)| *i != k) {
            write(&mut all_but_one, *at, bytes);
        }
        write(&mut done, *at, bytes);
        states.extend([torn, all_but_one, done.clone()]);
    }
    states
}

fn log_writes(before: &[u8], after: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let frames = [FRAME_HEADER, PAGE].into_iter().cycle();
    writes(before, after, std::iter::once(WAL_HEADER).chain(frames))
}

fn page_writes(before: &[u8], after: &[u8]) -> Vec<(usize, Vec<u8>)> {
    writes(before, after, std::iter::repeat(PAGE))
}

#[test]
fn whatever_write_the_power_cuts_every_acknowledged_record_is_there() {
    let scratch = Scratch::new();
    let (mut store, _) = AuthorityStore::open(&scratch.file()).expect("opens");
    // A table of many pages, so that one record writes several.
    let many = (1_000..3_000).map(|n| row(scattered(n), 1)).collect();
    store.keep([&Record { rows: many }]).expect("keeps");
    // Checkpoints, which move the log into the database, come every few records instead of every
    // thousand.
    store.connection.pragma_update(None, "wal_autocheckpoint", 12).expect("set");
    let (mut before, mut checkpoints, mut restarts, mut opened) = (Files::of(&scratch), 0, 0, 0);
    for n in 1..=14 {
        store.keep([&record(n)]).expect("keeps");
        let after = Files::of(&scratch);
        // While the log is written: record n is not acknowledged, all before it are.
        for log in cuts(&before.log, &log_writes(&before.log, &after.log)) {
            let files = Files { database: before.database.clone(), log };
            let last = last_of(&files.open().expect("opens after a cut in the log"));
            assert!(last == n - 1 || last == n, "record {last} instead of {n} or the one before");
            opened += 1;
        }
        // While the checkpoint is written: the log is synced, so record n is there as well.
        for database in cuts(&before.database, &page_writes(&before.database, &after.database)) {
            let files = Files { database, log: after.log.clone() };
            let last = last_of(&files.open().expect("opens after a cut in the database"));
            assert_eq!(last, n, "the synced log holds it");
            opened += 1;
        }
        checkpoints += u32::from(before.database != after.database);
        restarts += u32::from(n > 1 && before.log[..WAL_HEADER] != after.log[..WAL_HEADER]);
        before = after;
    }
    assert!(checkpoints >= 2 && restarts >= 2, "{checkpoints} checkpoints, {restarts} restarts");
    assert!(opened > 300, "only {opened} cuts were tried");
}

#[test]
fn cutting_what_was_synced_does_lose_records_so_the_cuts_are_real() {
    let scratch = Scratch::new();
    let (mut store, _) = AuthorityStore::open(&scratch.file()).expect("opens");
    store.keep([&record(1)]).expect("keeps");
    store.keep([&record(2)]).expect("keeps");
    let mut files = Files::of(&scratch);
    assert_eq!(last_of(&files.open().expect("opens")), 2);
    files.log.truncate(files.log.len() - PAGE / 2);
    assert_eq!(last_of(&files.open().expect("opens")), 1);
}

#[test]
fn a_keeper_keeps_what_it_was_given_before_it_goes() {
    let scratch = Scratch::new();
    let (store, _) = AuthorityStore::open(&scratch.file()).expect("opens");
    let (answers, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let mut keeper = store.into_keeper().expect("a thread");
    for n in 1..=50 {
        let receipt = Receipt::new(ResidentId(1), SaveId(n.into()), answers.clone());
        keeper.save(record(n), receipt);
    }
    drop(keeper);
    for n in 1..=50u64 {
        let news = heard.try_recv().expect("an answer to each");
        assert!(matches!(news, News::Saved(_, SaveId(id)) if id == n), "record {n}");
    }
    let (_, rows) = AuthorityStore::open(&scratch.file()).expect("opens");
    assert_eq!(last_of(&rows), 50);
}
