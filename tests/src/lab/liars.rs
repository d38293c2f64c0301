//! What a lying super-peer says. All liars work together and are as clever as a stranger to the
//! look-up can be: they keep their places on the ring by honest upkeep, name only each other as
//! keepers of any key (as many as the look-up's density check lets through), and hold nothing: a
//! third of them deny all records, a third hand out forged ones that look newer, and a third the
//! true one before the newest.

use std::collections::BTreeMap;

use earshot_proto::ids::{NodeId, RingKey};
use earshot_proto::lookup::{Density, Near};
use earshot_proto::wire::directory::{NODES_MAX, NodeEntry};

use super::credentials::Handed;
use super::users::Users;

/// All liars that live.
#[derive(Debug, Default)]
pub struct Liars {
    nodes: BTreeMap<NodeId, NodeEntry>,
}

impl Liars {
    /// One more.
    pub fn join(&mut self, entry: NodeEntry) {
        self.nodes.insert(entry.node, entry);
    }

    /// One less.
    pub fn leave(&mut self, node: &NodeId) {
        self.nodes.remove(node);
    }

    /// What one of them hands out for a user's record.
    #[must_use]
    pub fn hand(liar: u32, user: usize, users: &Users) -> Option<Handed> {
        let newest = users.counter(user);
        let (counter, is_forged) = match liar % 3 {
            0 => return None,
            1 => (newest.saturating_add(1), true),
            _ => (newest.checked_sub(1)?, false),
        };
        Some(Handed { user, counter, made: users.made(user, counter), is_forged })
    }

    /// What they say of a key in a ring of that density.
    #[must_use]
    pub fn near(&self, key: &RingKey, density: Density, width: usize) -> Near {
        let start = NodeId(key.0);
        let after = self.nodes.range(start..).chain(self.nodes.range(..start));
        let mut nodes: Vec<NodeEntry> =
            after.take(width.min(NODES_MAX)).map(|(_, entry)| *entry).collect();
        while nodes.len() > 1 && !density.admits(key, &nodes) {
            nodes.pop();
        }
        Near::Keepers(nodes)
    }
}
