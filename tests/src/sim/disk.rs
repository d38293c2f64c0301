//! The disk of a host: in memory, with crash points.
//!
//! A record is safe when its `Saved` was answered. A crash before that keeps or loses it by lot,
//! file by file: what was written to one file survives in order, of several files any may be ahead.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use earshot_proto::authority::{self, Row};
use earshot_proto::entropy::Stream;
use earshot_proto::ids::{MessageId, UserName};
use earshot_proto::peer::call::view::LogEntry;
use earshot_proto::peer::chat::{History, Outgoing};
use earshot_proto::peer::command::{Delivery, MessageView};
use earshot_proto::peer::{self, NetworkRecord, UserFiles};
use earshot_proto::port::SaveId;
use earshot_proto::secure::local_vault::LockedVault;
use earshot_proto::super_peer::{self, EnrolmentRecord};

/// A record of any role.
pub(super) enum Kept {
    Peer(peer::Record),
    SuperPeer(super_peer::Record),
    Authority(authority::Record),
    Script,
}

/// The file that a record belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum File {
    Network,
    Vault,
    Buddies,
    History,
    Enrolment,
    Traffic,
    Rows,
}

impl Kept {
    fn file(&self) -> File {
        match self {
            Self::Peer(peer::Record::Network(_)) => File::Network,
            Self::Peer(peer::Record::Vault(..)) => File::Vault,
            Self::Peer(peer::Record::Buddies(..)) => File::Buddies,
            Self::Peer(
                peer::Record::OpenHistory(..)
                | peer::Record::CloseHistory
                | peer::Record::Message(_)
                | peer::Record::Delivered { .. }
                | peer::Record::Call(_),
            ) => File::History,
            Self::SuperPeer(super_peer::Record::Enrolment(_)) => File::Enrolment,
            Self::SuperPeer(super_peer::Record::Traffic(_)) => File::Traffic,
            Self::Authority(_) | Self::Script => File::Rows,
        }
    }

    /// What it is, and its size where it has one, for the log.
    pub(super) fn word(&self) -> String {
        match self {
            Self::Peer(peer::Record::Network(record)) => {
                format!("network {}", record.super_peers.len())
            }
            Self::Peer(peer::Record::Vault(_, bytes)) => format!("vault {}", bytes.len()),
            Self::Peer(peer::Record::Buddies(_, bytes)) => format!("buddies {}", bytes.len()),
            Self::Peer(peer::Record::OpenHistory(..)) => "open history".into(),
            Self::Peer(peer::Record::CloseHistory) => "close history".into(),
            Self::Peer(peer::Record::Message(m)) => format!("message {}", m.view.text.len()),
            Self::Peer(peer::Record::Delivered { delivery, .. }) => format!("{delivery:?}"),
            Self::Peer(peer::Record::Call(entry)) => format!("call {:?}", entry.end.reason),
            Self::SuperPeer(super_peer::Record::Enrolment(e)) => {
                format!("enrolment {}", e.nodes.len())
            }
            Self::SuperPeer(super_peer::Record::Traffic(t)) => format!("traffic {}", t.bytes),
            Self::Authority(record) => format!("rows {}", record.rows.len()),
            Self::Script => "something".into(),
        }
    }

    /// Its plain bytes as they would lie on a disk of a super-peer or an authority.
    pub(super) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Peer(peer::Record::Message(message)) => message.view.text.clone().into_bytes(),
            Self::Peer(
                peer::Record::Network(_)
                | peer::Record::OpenHistory(..)
                | peer::Record::CloseHistory
                | peer::Record::Delivered { .. }
                | peer::Record::Call(_),
            ) => Vec::new(),
            Self::Peer(peer::Record::Vault(_, bytes) | peer::Record::Buddies(_, bytes)) => {
                bytes.clone()
            }
            Self::SuperPeer(super_peer::Record::Enrolment(record)) => {
                minicbor::to_vec(record).expect("a Vec takes all")
            }
            Self::SuperPeer(super_peer::Record::Traffic(record)) => {
                minicbor::to_vec(record).expect("a Vec takes all")
            }
            Self::Authority(record) => record.rows.iter().flat_map(Row::to_bytes).collect(),
            Self::Script => Vec::new(),
        }
    }
}

/// The messages and calls of one user on one machine.
#[derive(Clone, Debug, Default)]
pub(super) struct Story {
    /// Messages in the order in which they were written here.
    pub(super) messages: Vec<Outgoing>,
    /// Calls that have ended.
    pub(super) calls: Vec<LogEntry>,
}

impl Story {
    fn keep(&mut self, message: Outgoing) {
        if self.messages.iter().all(|known| known.view.id != message.view.id) {
            self.messages.push(message);
        }
    }

    fn delivered(&mut self, id: MessageId, delivery: Delivery) {
        if let Some(message) = self.messages.iter_mut().find(|m| m.view.id == id) {
            message.view.delivery = message.view.delivery.max(delivery);
        }
    }

    /// What a peer is told of messages under way.
    pub(super) fn history(&self) -> History {
        let mine = |m: &&Outgoing| m.view.client_id.is_some();
        let outbox = self.messages.iter().filter(mine);
        let outbox = outbox.filter(|m| m.view.delivery == Delivery::Waiting).cloned().collect();
        let mut numbers: BTreeMap<UserName, u64> = BTreeMap::new();
        for message in self.messages.iter().filter(mine) {
            let number = numbers.entry(message.view.with.clone()).or_default();
            *number = (*number).max(message.number);
        }
        let recent = self.messages.iter().map(|m| m.view.id).collect();
        let own = self.messages.iter().filter(mine);
        let client_ids = own.filter_map(|m| Some((m.view.client_id.clone()?, m.view.id))).collect();
        History { outbox, recent, numbers: numbers.into_iter().collect(), client_ids }
    }

    /// The messages as a window shows them after a start.
    pub(super) fn screen(&self) -> Vec<MessageView> {
        self.messages.iter().map(|message| message.view.clone()).collect()
    }
}

/// What is kept of one user.
#[derive(Default)]
pub(super) struct UserDisk {
    pub(super) vault: Vec<u8>,
    /// The newest first, and the one before.
    pub(super) buddies: Vec<Vec<u8>>,
}

impl UserDisk {
    /// As a peer takes it in at its start.
    pub(super) fn read(&self) -> Option<UserFiles> {
        let vault = LockedVault::read(&self.vault).ok()?;
        Some(UserFiles { vault, buddies: self.buddies.clone() })
    }
}

/// What is on the disk.
#[derive(Default)]
pub(super) struct Disk {
    pub(super) network: Option<NetworkRecord>,
    pub(super) users: BTreeMap<UserName, UserDisk>,
    stories: BTreeMap<[u8; 32], Story>,
    open: Option<[u8; 32]>,
    pub(super) enrolled: Option<EnrolmentRecord>,
    pub(super) traffic: Option<super_peer::terms::Traffic>,
    pub(super) rows: BTreeMap<(&'static str, Vec<u8>), Row>,
    pending: VecDeque<(SaveId, Kept)>,
    /// Every write fails from now on.
    pub(super) full: bool,
    /// When the last write of those before is done.
    busy_until: Duration,
}

impl Disk {
    /// Takes a record; it is safe only after [`Disk::written`].
    pub(super) fn write(&mut self, id: SaveId, record: Kept) {
        self.pending.push_back((id, record));
    }

    /// When a write that takes `slow` and is asked for at `now` is done: one after the other.
    pub(super) fn queue(&mut self, now: Duration, slow: Duration) -> Duration {
        self.busy_until = self.busy_until.max(now) + slow;
        self.busy_until
    }

    /// The record is safe now. Answers the history if this opened one.
    pub(super) fn written(&mut self, id: SaveId) -> Option<Story> {
        let place = self.pending.iter().position(|(pending, _)| *pending == id)?;
        let (_, record) = self.pending.remove(place)?;
        let opens = matches!(record, Kept::Peer(peer::Record::OpenHistory(..)));
        self.apply(record);
        opens.then(|| self.story().cloned().unwrap_or_default())
    }

    /// The record could not be written.
    pub(super) fn drop_write(&mut self, id: SaveId) {
        self.pending.retain(|(pending, _)| *pending != id);
    }

    /// The process ends, and not before all is safe that can be.
    pub(super) fn finish(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        if !self.full {
            pending.into_iter().for_each(|(_, record)| self.apply(record));
        }
    }

    /// The power goes: of what was not safe yet each file keeps a beginning, by lot.
    pub(super) fn crash(&mut self, lot: &mut Stream) {
        let mut torn = Vec::new();
        for (_, record) in std::mem::take(&mut self.pending) {
            let file = record.file();
            if torn.contains(&file) {
                continue;
            }
            if lot.below(2) == 0 {
                self.apply(record);
            } else {
                torn.push(file);
            }
        }
        self.open = None;
        self.busy_until = Duration::ZERO;
    }

    /// The history that is open.
    #[must_use]
    pub(super) fn story(&self) -> Option<&Story> {
        self.stories.get(&self.open?)
    }

    fn apply(&mut self, record: Kept) {
        match record {
            Kept::Peer(record) => self.apply_peers(record),
            Kept::SuperPeer(super_peer::Record::Enrolment(record)) => self.enrolled = Some(record),
            Kept::SuperPeer(super_peer::Record::Traffic(record)) => self.traffic = Some(record),
            Kept::Authority(record) => {
                for row in record.rows {
                    self.rows.insert((row.table(), row.key()), row);
                }
            }
            Kept::Script => {}
        }
    }

    fn apply_peers(&mut self, record: peer::Record) {
        match record {
            peer::Record::Network(record) => self.network = Some(record),
            peer::Record::Vault(user, bytes) => self.users.entry(user).or_default().vault = bytes,
            peer::Record::Buddies(user, bytes) => {
                let lists = &mut self.users.entry(user).or_default().buddies;
                lists.insert(0, bytes);
                lists.truncate(2);
            }
            peer::Record::OpenHistory(_, key) => {
                self.open = Some(*key.secret());
                self.stories.entry(*key.secret()).or_default();
            }
            peer::Record::CloseHistory => self.open = None,
            peer::Record::Message(message) => self.change(|story| story.keep(message)),
            peer::Record::Delivered { id, delivery, .. } => {
                self.change(|story| story.delivered(id, delivery));
            }
            peer::Record::Call(entry) => self.change(|story| story.calls.push(entry)),
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut Story)) {
        if let Some(story) = self.open.and_then(|open| self.stories.get_mut(&open)) {
            change(story);
        }
    }
}
