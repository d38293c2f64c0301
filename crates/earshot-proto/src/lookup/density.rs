//! How densely nodes lie on the ring. Honest answers are as dense as one's own neighbourhood, since
//! places are hashes (lecture, slide 18); an attacker who holds a share of the nodes can only name
//! fewer. DESIGN 2.5: answers below a quarter of one's own estimate are refused.
//!
//! Distances are counted in 2^-128 parts of the ring: the top 128 bits of its 160.

use crate::ids::{NodeId, RingKey};
use crate::wire::directory::NodeEntry;

/// How many times sparser than one's own estimate an answer may be. DESIGN 2.5.
const SPARSER_MAX: u128 = 4;

/// Mean distances after which four of s = 16 successors are left.
const CLOSE: u128 = 12;
/// Shorter lists are allowed the length of four: a single gap says nothing.
const FEWEST: usize = 4;

/// The mean distance between neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Density {
    /// In 2^-128 parts of the ring; 0 stands for the whole ring.
    spacing: u128,
}

impl Density {
    /// The density of a ring of this many nodes. 0 counts as 1.
    #[must_use]
    pub const fn of_ring(nodes: u64) -> Self {
        match nodes {
            0 | 1 => Self { spacing: u128::MAX },
            _ => Self { spacing: u128::MAX / nodes as u128 },
        }
    }

    /// The density that consecutive nodes after `from` show; none when there are none.
    #[must_use]
    pub fn of_list(from: NodeId, nodes: &[NodeEntry]) -> Option<Self> {
        let last = nodes.last()?;
        let spacing = distance(&from.as_key(), &last.node) / nodes.len() as u128;
        (spacing > 0).then_some(Self { spacing })
    }

    /// The ring's size that follows, in nodes.
    #[must_use]
    pub fn ring_len(&self) -> u64 {
        u64::try_from((u128::MAX / self.spacing.max(1)).max(1)).unwrap_or(u64::MAX)
    }

    /// Whether a node lies so closely after a place that four of the latter's successors lie behind
    /// it.
    #[must_use]
    pub fn is_close(&self, from: &RingKey, node: &NodeId) -> bool {
        distance(from, node) <= self.spacing.saturating_mul(CLOSE)
    }

    /// Whether nodes that are said to be the keepers of `key`, nearest first, lie at least a
    /// quarter as densely as we expect, and in order.
    #[must_use]
    pub fn admits(&self, key: &RingKey, nodes: &[NodeEntry]) -> bool {
        let Some(last) = nodes.last() else { return false };
        let ordered =
            nodes.is_sorted_by(|a, b| key.distance_to(&a.node) < key.distance_to(&b.node));
        let expected = self.spacing.saturating_mul(nodes.len().max(FEWEST) as u128);
        ordered && distance(key, &last.node) <= expected.saturating_mul(SPARSER_MAX)
    }
}

/// The way clockwise from a key to a node, in 2^-128 parts of the ring.
#[must_use]
pub fn distance(from: &RingKey, to: &NodeId) -> u128 {
    let distance = from.distance_to(to);
    let mut top = [0; 16];
    top.copy_from_slice(&distance[..16]);
    u128::from_be_bytes(top)
}
