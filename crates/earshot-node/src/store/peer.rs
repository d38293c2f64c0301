//! What a peer keeps: its network, and of each user who has logged in here the vault, the buddy
//! list with the last good copy, and the history.
//!
//! One thread does it all, in the order in which it was told; what came meanwhile shares one flush.
//! Idle it waits on a channel and costs nothing. Invariants: a receipt says *saved* only when a
//! power cut would not undo it; the history is open exactly between `OpenHistory` and
//! `CloseHistory`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime};

use earshot_proto::ids::{CallId, MessageId, UserName};
use earshot_proto::peer::{NetworkRecord, Record, UserFiles, chat};
use earshot_proto::port::SaveFailure;
use earshot_proto::secure::local_vault::LockedVault;
use earshot_proto::secure::seal::SealKey;
use earshot_proto::time::UnixTime;

use super::files::{self, DataDir};
use super::history::{Entry, History, HistoryFailure, Page, PastCalls, Summary};
use super::preferences::Preferences;
use crate::api::errors::ErrorCode;
use crate::driver::{Keep, Receipt};

const NETWORK: &str = "network";
/// In it each user has a directory, called by the user's place on the ring in hexadecimal.
const USERS: &str = "users";
const VAULT: &str = "vault";
const BUDDIES: &str = "buddies";
const BUDDIES_BEFORE: &str = "buddies.last-good";
const HISTORY: &str = "history.db";
/// Records made safe by one flush at most.
const BATCH_MAX: usize = 256;

/// What is on disk when a peer starts.
pub struct Kept {
    /// The network joined before.
    pub network: Option<NetworkRecord>,
    /// Those who have logged in here.
    pub users: Vec<UserFiles>,
}

impl Kept {
    /// Reads what is there.
    ///
    /// # Errors
    /// [`ErrorCode::DamagedData`] names the file that cannot be understood.
    pub fn read(data: &DataDir) -> Result<Self, ErrorCode> {
        let network = files::read(&data.file(NETWORK))?
            .map(|bytes| minicbor::decode(&bytes).map_err(|_| damaged(NETWORK)))
            .transpose()?;
        let mut users = Vec::new();
        for directory in files::directories(&data.file(USERS))? {
            users.extend(read_user(&directory)?);
        }
        Ok(Self { network, users })
    }
}

/// What is kept of a user; `None` where a first login was cut short before its vault was safe.
fn read_user(directory: &Path) -> Result<Option<UserFiles>, ErrorCode> {
    let Some(bytes) = files::read(&directory.join(VAULT))? else { return Ok(None) };
    let vault = LockedVault::read(&bytes).map_err(|_| damaged(VAULT))?;
    let mut buddies = Vec::new();
    for name in [BUDDIES, BUDDIES_BEFORE] {
        buddies.extend(files::read(&directory.join(name))?);
    }
    Ok(Some(UserFiles { vault, buddies }))
}

fn damaged(name: &str) -> ErrorCode {
    ErrorCode::DamagedData { file: name.to_owned() }
}

/// Gives the peer what the history knows, when it was opened; called on the disk's thread, and
/// waited for.
pub type Opened = Box<dyn Fn(chat::History) + Send>;

/// The peer's disk, as the loop sees it: a place to put records.
pub struct PeerDisk {
    jobs: mpsc::Sender<Job>,
}

/// The peer's disk, as its owner sees it: a place to ask. Dropped, it first keeps what it was
/// given.
pub struct DiskDesk {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

enum Job {
    Keep(Box<Record>, Receipt),
    Ask(Question),
    Prefer(Box<Preferences>, Answer<()>),
}

type Answer<T> = tokio::sync::oneshot::Sender<Result<T, ErrorCode>>;

enum Question {
    Page { with: UserName, before: Option<MessageId>, limit: u32, answer: Answer<Option<Page>> },
    Unread { with: UserName, up_to: MessageId, answer: Answer<Option<Vec<MessageId>>> },
    Summaries { answer: Answer<Vec<Summary>> },
    Calls { before: Option<CallId>, limit: u32, answer: Answer<Option<PastCalls>> },
}

/// Starts the disk's thread.
///
/// # Errors
/// The operating system's, where it gives no thread.
pub fn start(data: DataDir, opened: Opened) -> io::Result<(PeerDisk, DiskDesk)> {
    let (jobs, todo) = mpsc::channel();
    let disk = Disk { data, history: None, opened };
    let thread = std::thread::Builder::new().name("disk".into()).spawn(move || disk.run(&todo))?;
    let desk = DiskDesk { jobs: Some(jobs.clone()), thread: Some(thread) };
    Ok((PeerDisk { jobs }, desk))
}

impl Keep<Record> for PeerDisk {
    fn save(&mut self, record: Record, receipt: Receipt) {
        // What cannot be handed over is dropped, and a dropped receipt says that the record is
        // lost.
        let _ = self.jobs.send(Job::Keep(Box::new(record), receipt));
    }
}

impl DiskDesk {
    /// A page of a conversation; `None` when `before` is no message of it.
    ///
    /// # Errors
    /// [`ErrorCode::NotLoggedIn`] while no history is open.
    pub async fn page(
        &self,
        with: UserName,
        before: Option<MessageId>,
        limit: u32,
    ) -> Result<Option<Page>, ErrorCode> {
        self.ask(|answer| Question::Page { with, before, limit, answer }).await
    }

    /// What came from a user and is not read, up to that message; `None` when there is no such
    /// message.
    ///
    /// # Errors
    /// [`ErrorCode::NotLoggedIn`] while no history is open.
    pub async fn unread(
        &self,
        with: UserName,
        up_to: MessageId,
    ) -> Result<Option<Vec<MessageId>>, ErrorCode> {
        self.ask(|answer| Question::Unread { with, up_to, answer }).await
    }

    /// All conversations.
    ///
    /// # Errors
    /// [`ErrorCode::NotLoggedIn`] while no history is open.
    pub async fn summaries(&self) -> Result<Vec<Summary>, ErrorCode> {
        self.ask(|answer| Question::Summaries { answer }).await
    }

    /// A page of past calls; `None` when `before` is none of them.
    ///
    /// # Errors
    /// [`ErrorCode::NotLoggedIn`] while no history is open.
    pub async fn calls(
        &self,
        before: Option<CallId>,
        limit: u32,
    ) -> Result<Option<PastCalls>, ErrorCode> {
        self.ask(|answer| Question::Calls { before, limit, answer }).await
    }

    /// Keeps what a person has set and chosen.
    ///
    /// # Errors
    /// [`ErrorCode::DiskFull`] or [`ErrorCode::FileRefused`]; then what was set before is kept.
    pub async fn prefer(&self, preferences: Preferences) -> Result<(), ErrorCode> {
        self.job(|answer| Job::Prefer(Box::new(preferences), answer)).await
    }

    async fn ask<T>(&self, question: impl FnOnce(Answer<T>) -> Question) -> Result<T, ErrorCode> {
        self.job(|answer| Job::Ask(question(answer))).await
    }

    async fn job<T>(&self, job: impl FnOnce(Answer<T>) -> Job) -> Result<T, ErrorCode> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        if let Some(jobs) = &self.jobs {
            // A disk that has stopped drops the job, and with it the answer's sender.
            let _ = jobs.send(job(answer));
        }
        answered.await.unwrap_or(Err(ErrorCode::Leaving))
    }
}

impl Drop for DiskDesk {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // It panicked: its receipts were dropped, so everybody knows.
            let _ = thread.join();
        }
    }
}

struct Disk {
    data: DataDir,
    history: Option<History>,
    opened: Opened,
}

impl Disk {
    fn run(mut self, todo: &mpsc::Receiver<Job>) {
        while let Ok(job) = todo.recv() {
            let mut entries = Vec::new();
            let mut job = Some(job);
            while let Some(next) = job.take() {
                match next {
                    Job::Keep(record, receipt) => match entry(record) {
                        Ok(entry) => entries.push((entry, receipt)),
                        Err(record) => {
                            self.flush(&mut entries);
                            self.keep(*record, receipt);
                        }
                    },
                    Job::Ask(question) => {
                        self.flush(&mut entries);
                        self.answer(question);
                    }
                    // Whoever asked may not wait any more.
                    Job::Prefer(preferences, answer) => {
                        drop(answer.send(preferences.write(&self.data)));
                    }
                }
                if entries.len() < BATCH_MAX {
                    job = todo.try_recv().ok();
                }
            }
            self.flush(&mut entries);
        }
    }

    /// Puts what has gathered into the history, with one flush.
    fn flush(&mut self, entries: &mut Vec<(Entry, Receipt)>) {
        if entries.is_empty() {
            return;
        }
        let kept = match &mut self.history {
            Some(history) => history.keep(entries.iter().map(|(entry, _)| entry)),
            None => Err(HistoryFailure::Broken("it is closed".into())),
        };
        let failure = kept.err().map(|error| {
            tracing::warn!(%error, "The history could not be written");
            failure_of(&error)
        });
        for (_, receipt) in entries.drain(..) {
            match failure {
                None => receipt.saved(),
                Some(failure) => receipt.failed(failure),
            }
        }
    }

    fn keep(&mut self, record: Record, receipt: Receipt) {
        let done = match record {
            Record::Network(network) => {
                let bytes = minicbor::to_vec(network).expect("a Vec takes all");
                replace(&self.data.file(NETWORK), &bytes)
            }
            Record::Vault(user, bytes) => self.replace_vault(&user, &bytes),
            Record::Buddies(user, bytes) => self.replace_buddies(&user, &bytes),
            Record::OpenHistory(user, key) => self.open(&user, &key),
            Record::CloseHistory => {
                self.history = None;
                Ok(())
            }
            Record::Message(_) | Record::Delivered { .. } | Record::Call(_) => {
                unreachable!("these are entries of the history")
            }
        };
        match done {
            Ok(()) => receipt.saved(),
            Err(failure) => receipt.failed(failure),
        }
    }

    fn of(&self, user: &UserName) -> PathBuf {
        user_directory(self.data.path(), user)
    }

    /// The vault is the first that is written of a user, so it makes room for the rest.
    fn replace_vault(&self, user: &UserName, bytes: &[u8]) -> Result<(), SaveFailure> {
        let directory = self.of(user);
        files::make_directories(&directory).map_err(|error| files::failure(&error))?;
        replace(&directory.join(VAULT), bytes)
    }

    fn replace_buddies(&self, user: &UserName, bytes: &[u8]) -> Result<(), SaveFailure> {
        let directory = self.of(user);
        let (file, before) = (directory.join(BUDDIES), directory.join(BUDDIES_BEFORE));
        files::move_away(&file, &before).map_err(|error| files::failure(&error))?;
        replace(&file, bytes)
    }

    fn open(&mut self, user: &UserName, key: &SealKey) -> Result<(), SaveFailure> {
        let opened = History::open(&self.of(user).join(HISTORY), key).and_then(|history| {
            let under_way = history.under_way()?;
            Ok((history, under_way))
        });
        match opened {
            Ok((history, under_way)) => {
                self.history = Some(history);
                (self.opened)(under_way);
                Ok(())
            }
            Err(error) => {
                tracing::warn!(%error, "The history could not be opened");
                Err(failure_of(&error))
            }
        }
    }

    fn answer(&self, question: Question) {
        let Some(history) = &self.history else {
            return match question {
                Question::Page { answer, .. } => drop(answer.send(Err(ErrorCode::NotLoggedIn))),
                Question::Unread { answer, .. } => drop(answer.send(Err(ErrorCode::NotLoggedIn))),
                Question::Summaries { answer } => drop(answer.send(Err(ErrorCode::NotLoggedIn))),
                Question::Calls { answer, .. } => drop(answer.send(Err(ErrorCode::NotLoggedIn))),
            };
        };
        // Whoever asked may not wait any more.
        match question {
            Question::Page { with, before, limit, answer } => {
                drop(answer.send(history.page(&with, before, limit).map_err(told)));
            }
            Question::Unread { with, up_to, answer } => {
                drop(answer.send(history.unread(&with, up_to).map_err(told)));
            }
            Question::Summaries { answer } => {
                drop(answer.send(history.summaries().map_err(told)));
            }
            Question::Calls { before, limit, answer } => {
                drop(answer.send(history.calls(before, limit).map_err(told)));
            }
        }
    }
}

/// Where in a data directory lies what is kept of a user.
#[must_use]
pub fn user_directory(data: &Path, user: &UserName) -> PathBuf {
    data.join(USERS).join(data_encoding::HEXLOWER.encode(&user.ring_key().0))
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), SaveFailure> {
    files::replace(path, bytes).map_err(|error| {
        tracing::warn!(%error, file = %path.display(), "A file could not be written");
        files::failure(&error)
    })
}

/// The history's entry of a record, or the record back if it belongs elsewhere.
fn entry(record: Box<Record>) -> Result<Entry, Box<Record>> {
    match *record {
        Record::Message(message) => Ok(Entry::Message(message)),
        Record::Delivered { id, delivery, .. } => Ok(Entry::Delivered(id, delivery)),
        Record::Call(log) => {
            let (started, ended) = (wall_of(log.started), wall_of(log.ended));
            Ok(Entry::Call(log, started, ended))
        }
        record @ (Record::Network(_)
        | Record::Vault(..)
        | Record::Buddies(..)
        | Record::OpenHistory(..)
        | Record::CloseHistory) => Err(Box::new(record)),
    }
}

/// The civil time of a moment in the recent past.
fn wall_of(moment: Instant) -> UnixTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let ago = Instant::now().saturating_duration_since(moment);
    UnixTime(since.as_millis() as u64).minus(ago)
}

fn failure_of(failure: &HistoryFailure) -> SaveFailure {
    match failure {
        HistoryFailure::DiskFull => SaveFailure::DiskFull,
        HistoryFailure::Damaged | HistoryFailure::Broken(_) => SaveFailure::Broken,
    }
}

fn told(failure: HistoryFailure) -> ErrorCode {
    let file = HISTORY.to_owned();
    match failure {
        HistoryFailure::DiskFull => ErrorCode::DiskFull,
        HistoryFailure::Damaged => ErrorCode::DamagedData { file },
        HistoryFailure::Broken(problem) => ErrorCode::FileRefused { file, problem },
    }
}
