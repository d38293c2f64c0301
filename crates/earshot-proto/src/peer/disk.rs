//! What a peer keeps on disk, and what follows when it is there. DESIGN 3 (contract of every
//! machine).
//!
//! Invariant: nothing is promised, neither to the owner nor to others, before the record that it
//! rests on is safe.

use std::time::Instant;

use crate::ids::{MessageId, UserName};
use crate::port::{Output, SaveFailure, SaveId};
use crate::secure::local_vault::{ListedAs, Listing, LockedVault};
use crate::secure::seal::SealKey;
use crate::wire::forward::Address;
use crate::wire::invite::{AlsoAt, Door, Invite};

use super::Peer;
use super::call::view::LogEntry;
use super::chat::Outgoing;
use super::command::{Answer, Delivery, Failure, MessageView, Notice};
use super::super_peers::SuperPeers;

/// What a peer keeps of a user who has logged in on this machine.
pub struct UserFiles {
    /// The vault of the last login.
    pub vault: LockedVault,
    /// The buddy list files that are there, newest first: the last and the one before.
    pub buddies: Vec<Vec<u8>>,
}

/// What a peer keeps of its network.
#[derive(Clone, Debug, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct NetworkRecord {
    /// The invite by which it was joined.
    #[n(0)]
    pub invite: Invite,
    /// The authority's door, once told.
    #[n(1)]
    pub authority: Option<Door>,
    /// The super-peers known.
    #[n(2)]
    pub super_peers: SuperPeers,
    /// Where these and the authority listen too.
    #[cbor(n(3), default)]
    pub also: Vec<AlsoAt>,
}

/// What a peer keeps on disk.
pub enum Record {
    /// The network; replaces the one before.
    Network(NetworkRecord),
    /// A user's vault file; replaces the one before.
    Vault(UserName, Vec<u8>),
    /// A user's buddy list file; the one before is kept as the last good copy.
    Buddies(UserName, Vec<u8>),
    /// Open a user's history under this key, and give what it knows to [`Peer::load_history`]
    /// before answering.
    OpenHistory(UserName, SealKey),
    /// Close the history.
    CloseHistory,
    /// A message; one that is there already changes nothing.
    Message(Outgoing),
    /// A message got further.
    Delivered {
        /// Which.
        id: MessageId,
        /// The conversation.
        with: UserName,
        /// Where it is now.
        delivery: Delivery,
    },
    /// A call has ended.
    Call(LogEntry),
}

/// What follows when a record is on disk.
pub(super) enum OnSaved {
    Nothing,
    /// The buddy list of this counter is safe, and what follows of that.
    List(u64, Box<OnSaved>),
    Answer(u64, Answer),
    Tell(u64, Answer, Box<Notice>),
    Outgoing(u64, Box<Outgoing>),
    Incoming(Address, Box<MessageView>),
    /// The owner's word on being found by name, and what held before.
    Listed(u64, Listing, Box<ListedAs>),
    /// Until when a posting may be held.
    Posting,
    SignIn,
}

impl Peer {
    pub(super) fn network_record(&self) -> Option<NetworkRecord> {
        let invite = self.joined.as_ref()?.invite.clone();
        let (authority, super_peers) = (self.authority_door, self.super_peers.clone());
        let also = self.links.also().collect();
        Some(NetworkRecord { invite, authority, super_peers, also })
    }

    pub(super) fn save(&mut self, record: Record, then: OnSaved) {
        self.last_save += 1;
        let id = SaveId(self.last_save);
        if !matches!(then, OnSaved::Nothing) {
            self.saves.insert(id, then);
        }
        self.out.push_back(Output::Save(id, record));
    }

    pub(super) fn saved(&mut self, now: Instant, id: SaveId) {
        if let Some(then) = self.saves.remove(&id) {
            self.is_safe(now, then);
        }
    }

    fn is_safe(&mut self, now: Instant, then: OnSaved) {
        match then {
            OnSaved::List(counter, then) => {
                self.list_saved(counter);
                self.is_safe(now, *then);
            }
            OnSaved::Answer(ask, answer) => self.succeed(ask, answer),
            OnSaved::Tell(ask, answer, notice) => {
                self.succeed(ask, answer);
                self.tell(*notice);
            }
            OnSaved::Outgoing(ask, outgoing) => self.outgoing_saved(now, ask, *outgoing),
            OnSaved::Incoming(from, view) => self.incoming_saved(now, &from, *view),
            OnSaved::Listed(ask, ..) => self.listed_saved(now, ask),
            OnSaved::Posting => self.post_profile(now),
            OnSaved::SignIn => self.sign_in_saved(now),
            OnSaved::Nothing => {}
        }
    }

    pub(super) fn not_saved(&mut self, id: SaveId, why: SaveFailure) {
        let then = self.saves.remove(&id).unwrap_or(OnSaved::Nothing);
        self.is_lost(then, why);
    }

    fn is_lost(&mut self, then: OnSaved, why: SaveFailure) {
        match then {
            OnSaved::List(_, then) => self.is_lost(*then, why),
            OnSaved::Answer(ask, _) | OnSaved::Tell(ask, ..) => {
                self.fail(ask, Failure::NotKept(why));
            }
            OnSaved::Outgoing(ask, outgoing) => {
                self.outgoing_lost(&outgoing, why);
                self.fail(ask, Failure::NotKept(why));
            }
            OnSaved::Incoming(_, view) => self.incoming_lost(&view),
            OnSaved::SignIn => self.sign_in_not_saved(why),
            OnSaved::Listed(ask, before, shown) => {
                self.listed_lost(before, *shown);
                self.fail(ask, Failure::NotKept(why));
            }
            OnSaved::Nothing | OnSaved::Posting => {
                tracing::warn!(?why, "A record could not be written to disk");
            }
        }
    }
}
