//! Finding a key's keepers on the ring and asking them: the iterative asker. Lecture, slides 21–25
//! and 31; DESIGN 2.5.
//!
//! A [`Lookup`] asks nodes nearer and nearer the key until one names its keepers, and asks those:
//! the nearest four, then eight, then sixteen. It serves super-peers and peers alike, and does not
//! know what the keepers are asked for (a user, a word): its owner puts the question, verifies the
//! answer, and says only what came of it.

mod density;

use std::time::{Duration, Instant};

pub use density::{Density, distance};

use crate::ids::{NodeId, RingKey};
use crate::wire::bounded::List;
use crate::wire::directory::NodeEntry;
use crate::wire::ring::Reply;

/// What a node says about a key.
///
/// An iterative asker has arrived when it gets `Keepers`: they are consecutive members from the key
/// on, so the first is the key's owner and the first k keep its records. The list is shorter than
/// asked for when the answerer's successor list ends; the first of them can then name more.
/// `Closer` means: ask these, the first first; each of them lies between the answerer and the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Near {
    /// The members from the key on, nearest first.
    Keepers(Vec<NodeEntry>),
    /// Members that precede the key more closely than the answerer, the closest first.
    Closer(Vec<NodeEntry>),
}

impl Near {
    /// What a reply says about the key; none when it is no answer to that.
    #[must_use]
    pub fn of_reply(reply: Reply) -> Option<Self> {
        match reply {
            Reply::Keepers { nodes } => Some(Self::Keepers(nodes.into_vec())),
            Reply::Closer { nodes } => Some(Self::Closer(nodes.into_vec())),
            Reply::State { .. } | Reply::Same | Reply::Done | Reply::Outside => None,
        }
    }

    /// The reply that says it.
    #[must_use]
    pub fn into_reply(self) -> Reply {
        match self {
            Self::Keepers(nodes) => Reply::Keepers { nodes: List::first_of(nodes) },
            Self::Closer(nodes) => Reply::Closer { nodes: List::first_of(nodes) },
        }
    }

    /// The nodes, of either kind.
    #[must_use]
    pub fn nodes(&self) -> &[NodeEntry] {
        match self {
            Self::Keepers(nodes) | Self::Closer(nodes) => nodes,
        }
    }
}

/// What the look-up wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Ask this node which nodes are nearest to the key; the answer goes to
    /// [`Lookup::handle_near`].
    Nearest {
        /// Whom.
        to: NodeEntry,
        /// How many are wanted.
        width: u8,
    },
    /// Ask this keeper for what is looked for; the answer goes to [`Lookup::handle_fetched`].
    Fetch {
        /// Whom.
        to: NodeEntry,
    },
    /// It is over. Nothing follows.
    Done(Outcome),
}

/// What came of asking a keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// It holds it, verified, with this counter; the higher is the newer.
    Held {
        /// The record's counter.
        counter: u64,
    },
    /// It says that it does not hold it.
    NotHere,
    /// It was silent, or what it sent does not verify.
    Failed,
}

/// How a look-up ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The end.
    pub end: End,
    /// The round it ended in: 1 (four nodes), 2 (eight) or 3 (sixteen).
    pub round: u8,
    /// Keepers asked.
    pub asked: u8,
    /// Nodes on the way to the first that named keepers; 0 when we knew them ourselves. The last
    /// hop, to the keepers, is not counted (Stoica et al. 2001, section 6.4).
    pub hops: u8,
    /// Questions put in all.
    pub messages: u8,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// This keeper gave the record with the highest counter.
    Found {
        /// The keeper.
        keeper: NodeId,
        /// The counter.
        counter: u64,
    },
    /// Three of the four keepers say that there is none.
    NotFound,
    /// Too few answered, or too many disagreed, for any verdict.
    Inconclusive,
}
