//! Keeping the ring: super-peer ↔ super-peer, and the look-up question that peers put too. DESIGN
//! 2.5.
//!
//! Source: Stoica et al., "Chord", SIGCOMM 2001; Zave, "How to Make Chord Correct", 2017.

use minicbor::{CborLen, Decode, Encode};

use super::Wire;
use super::bounded::List;
use super::directory::{NODES_MAX, NodeEntry};
use crate::ids::{NodeId, RingKey};

/// Successors in one list at most. DESIGN 2.5: s = 16.
pub const SUCCESSORS_MAX: usize = 16;
/// Nodes of each kind in one piece of news at most. Our choice: with their keys they fit into one
/// datagram.
pub const NEWS_MAX: usize = 8;

/// What a super-peer is asked about the ring. All but [`Question::Nearest`] come from super-peers
/// only.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
pub enum Question {
    /// Who are your predecessor and successors?
    #[n(0)]
    State {
        /// Digest of the answer that the asker expects ([`digest`]); if it is right, the answer is
        /// [`Reply::Same`]. 0: it expects none.
        #[n(0)]
        known: u64,
    },
    /// I believe that you are my successor: you may want me as your predecessor.
    #[n(1)]
    Rectify,
    /// Which nodes are nearest to this key?
    #[n(2)]
    Nearest {
        /// The key.
        #[n(0)]
        key: RingKey,
        /// How many are wanted, at most [`NODES_MAX`].
        #[n(1)]
        width: u8,
    },
    /// I leave.
    #[n(3)]
    Leaving {
        /// My predecessor.
        #[n(0)]
        predecessor: Option<NodeEntry>,
        /// My successors, nearest first.
        #[n(1)]
        successors: List<NodeEntry, SUCCESSORS_MAX>,
    },
    /// Full membership only: who came and who went, for you and for the nodes from you to `until`.
    #[n(4)]
    News {
        /// They joined.
        #[n(0)]
        joined: List<NodeEntry, NEWS_MAX>,
        /// They are gone; to be believed only by who finds it so.
        #[n(1)]
        gone: List<NodeEntry, NEWS_MAX>,
        /// The first node clockwise that somebody else tells.
        #[n(2)]
        until: NodeId,
    },
    /// My list has changed, or a node has come between us: if I am your successor, stabilise.
    #[n(5)]
    Changed,
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
pub enum Reply {
    /// These.
    #[n(0)]
    State {
        /// The nearest node before it, if it knows one.
        #[n(0)]
        predecessor: Option<NodeEntry>,
        /// The nodes after it, nearest first.
        #[n(1)]
        successors: List<NodeEntry, SUCCESSORS_MAX>,
        /// How many members there are, if it knows all.
        #[n(2)]
        members: Option<u16>,
    },
    /// What you expect.
    #[n(1)]
    Same,
    /// The key's keepers: consecutive members from the key on, nearest first.
    #[n(2)]
    Keepers {
        /// They; fewer than asked for when the answerer's list ends.
        #[n(0)]
        nodes: List<NodeEntry, NODES_MAX>,
    },
    /// I do not see the key's keepers, but these nodes precede it more closely than I do.
    #[n(3)]
    Closer {
        /// The closest first.
        #[n(0)]
        nodes: List<NodeEntry, NODES_MAX>,
    },
    /// Noted.
    #[n(4)]
    Done,
    /// I am no member of the ring (not yet, or not any more).
    #[n(5)]
    Outside,
}

impl Wire for Question {
    const NAME: &'static str = "ring.question";
    const MAX: usize = 4096;
}

impl Wire for Reply {
    const NAME: &'static str = "ring.reply";
    const MAX: usize = 4096;
}

/// Digest of a [`Reply::State`]: FNV-1a, 64 bits, over the predecessor, the successors and whether
/// all members are known. It saves bytes and protects nothing.
#[must_use]
pub fn digest(
    predecessor: Option<NodeId>,
    successors: impl IntoIterator<Item = NodeId>,
    knows_all: bool,
) -> u64 {
    let bytes = predecessor.into_iter().chain([NodeId([0; 20])]).chain(successors);
    let hash = bytes
        .flat_map(|node| node.0)
        .chain([u8::from(knows_all)])
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    hash.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::certificate::AgreeKey;

    fn entry(number: u8) -> NodeEntry {
        let address = std::net::SocketAddr::from(([192, 0, 2, number], 4433));
        NodeEntry { node: NodeId([number; 20]), address, key: AgreeKey([number; 32]) }
    }

    fn list<const MAX: usize>(len: u8) -> List<NodeEntry, MAX> {
        List::first_of((0..len).map(entry))
    }

    #[test]
    fn questions_and_replies_are_read_as_they_were_written() {
        let questions = [
            Question::State { known: 7 },
            Question::Rectify,
            Question::Nearest { key: RingKey([3; 20]), width: 16 },
            Question::Leaving { predecessor: None, successors: list(16) },
            Question::News { joined: list(8), gone: list(1), until: NodeId([9; 20]) },
            Question::Changed,
        ];
        for question in questions {
            let bytes = minicbor::to_vec(&question).expect("it encodes");
            assert_eq!(minicbor::decode::<Question>(&bytes).ok(), Some(question));
        }
        let replies = [
            Reply::State { predecessor: Some(entry(1)), successors: list(16), members: Some(3) },
            Reply::Same,
            Reply::Keepers { nodes: list(16) },
            Reply::Closer { nodes: list(8) },
            Reply::Done,
            Reply::Outside,
        ];
        for reply in replies {
            let bytes = minicbor::to_vec(&reply).expect("it encodes");
            assert_eq!(minicbor::decode::<Reply>(&bytes).ok(), Some(reply));
        }
    }

    #[test]
    fn a_digest_tells_order_predecessor_and_mode_apart() {
        let (a, b) = (NodeId([1; 20]), NodeId([2; 20]));
        let one = digest(Some(a), [b, a], false);
        assert_eq!(one, digest(Some(a), [b, a], false));
        for other in [
            digest(Some(a), [a, b], false),
            digest(Some(b), [b, a], false),
            digest(None, [b, a], false),
            digest(Some(a), [b, a], true),
        ] {
            assert_ne!(one, other);
        }
    }
}
