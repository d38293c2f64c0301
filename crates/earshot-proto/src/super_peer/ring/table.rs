//! All members of a network below the threshold, ourselves among them, in ring order.
//!
//! Invariant: we are always in it; who is doubted was a member when the doubt came.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::NodeId;
use crate::wire::directory::NodeEntry;

/// Everybody.
#[derive(Clone, Debug)]
pub struct Table {
    me: NodeId,
    members: BTreeMap<NodeId, NodeEntry>,
    /// Members of which somebody says that they are gone, and who wait to be asked.
    doubted: BTreeSet<NodeId>,
}

impl Table {
    /// A network of one.
    #[must_use]
    pub fn new(me: NodeEntry) -> Self {
        let members = BTreeMap::from([(me.node, me)]);
        Self { me: me.node, members, doubted: BTreeSet::new() }
    }

    /// Takes a member in, or its new address; answers whether it was unknown.
    pub fn insert(&mut self, entry: NodeEntry) -> bool {
        self.members.insert(entry.node, entry).is_none()
    }

    /// Takes a member out, but never ourselves; answers whether it was known.
    pub fn remove(&mut self, node: &NodeId) -> bool {
        *node != self.me && self.members.remove(node).is_some()
    }

    /// A member is to be asked whether it lives, once there is time.
    pub fn doubt(&mut self, node: &NodeId) {
        if self.contains(node) {
            self.doubted.insert(*node);
        }
    }

    /// The next that is to be asked.
    pub fn next_doubt(&mut self) -> Option<NodeEntry> {
        loop {
            let node = self.doubted.pop_first()?;
            if let Some(entry) = self.members.get(&node) {
                return Some(*entry);
            }
        }
    }

    /// Whether that node is a member.
    #[must_use]
    pub fn contains(&self, node: &NodeId) -> bool {
        self.members.contains_key(node)
    }

    /// How many members there are, ourselves counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody is there but us.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.len() == 1
    }

    /// All members clockwise, beginning with the first that is not before `start`.
    pub fn from(&self, start: NodeId) -> impl Iterator<Item = &NodeEntry> {
        self.members.range(start..).chain(self.members.range(..start)).map(|(_, entry)| entry)
    }

    /// All others clockwise from us.
    pub fn others(&self) -> impl Iterator<Item = &NodeEntry> {
        self.from(self.me).skip(1)
    }

    /// The member before us.
    #[must_use]
    pub fn predecessor(&self) -> Option<&NodeEntry> {
        let before = self.members.range(..self.me).next_back();
        let (node, entry) = before.or_else(|| self.members.last_key_value())?;
        (*node != self.me).then_some(entry)
    }

    /// The members strictly between us and `until`, clockwise; all others when `until` is
    /// ourselves.
    pub fn before(&self, until: NodeId) -> impl Iterator<Item = &NodeEntry> {
        let end = self.me.as_key().distance_to(&until);
        let whole = until == self.me;
        self.others()
            .take_while(move |entry| whole || self.me.as_key().distance_to(&entry.node) < end)
    }
}
