//! All members of a network below the threshold, ourselves among them, in ring order.
//!
//! A newcomer's table fills clockwise from itself ([`Table::known_until`]); before it has come
//! round, keys beyond what it knows are answered as in a Chord ring, by whom else to ask.
//!
//! Invariant: we are always in it; who is doubted was a member when the doubt came.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{NodeId, RingKey};
use crate::lookup::Near;
use crate::wire::directory::NodeEntry;

use super::chord::between;

/// Everybody.
#[derive(Clone, Debug)]
pub struct Table {
    me: NodeId,
    members: BTreeMap<NodeId, NodeEntry>,
    /// Members of which somebody says that they are gone, and who wait to be asked.
    doubted: BTreeSet<NodeId>,
    /// Until where all members are known, clockwise from us; none: everywhere.
    known_until: Option<NodeId>,
}

impl Table {
    /// A network of one.
    #[must_use]
    pub fn new(me: NodeEntry) -> Self {
        let members = BTreeMap::from([(me.node, me)]);
        Self { me: me.node, members, doubted: BTreeSet::new(), known_until: None }
    }

    /// All members are known until that place, clockwise from us, and no further.
    pub const fn know_until(&mut self, place: NodeId) {
        self.known_until = Some(place);
    }

    /// If they are known until one place, they are now until another.
    pub fn know_on(&mut self, from: &NodeId, to: &NodeId) {
        if self.known_until == Some(*from) {
            self.known_until = Some(*to);
        }
    }

    /// All members are known.
    pub const fn know_all(&mut self) {
        self.known_until = None;
    }

    /// The last member before the place until which all are known; none when all are.
    #[must_use]
    pub fn known_last(&self) -> Option<&NodeEntry> {
        let until = self.known_until?;
        self.members.get(&until).or_else(|| self.before_place(&until))
    }

    /// What can be said about a key, at most `width` nodes.
    #[must_use]
    pub fn nearest(&self, key: &RingKey, width: usize) -> Near {
        let at = NodeId(key.0);
        let Some(until) = self.known_until else {
            return Near::Keepers(self.from(at).take(width).copied().collect());
        };
        let is_ours =
            at == self.me || self.predecessor().is_none_or(|p| between(&p.node, &at, &self.me));
        if is_ours || at == until || between(&self.me, &at, &until) {
            let known = |n: &&NodeEntry| n.node == until || between(&at, &n.node, &until);
            let first = self.from(at).take(1);
            let others = self.from(at).skip(1).take_while(known);
            return Near::Keepers(first.chain(others).take(width).copied().collect());
        }
        let mut before: Vec<NodeEntry> = self.before(at).copied().collect();
        before.reverse();
        before.truncate(width);
        Near::Closer(before)
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
        self.before_place(&self.me)
    }

    /// The member before a place, unless it lies there itself.
    #[must_use]
    pub fn before_place(&self, place: &NodeId) -> Option<&NodeEntry> {
        let before = self.members.range(..*place).next_back();
        let (node, entry) = before.or_else(|| self.members.last_key_value())?;
        (node != place).then_some(entry)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::certificate::AgreeKey;

    fn entry(place: u8) -> NodeEntry {
        let address = std::net::SocketAddr::from(([192, 0, 2, place], 4433));
        NodeEntry { node: NodeId([place; 20]), address, key: AgreeKey([0; 32]) }
    }

    fn places(near: &Near) -> Vec<u8> {
        near.nodes().iter().map(|n| n.node.0[0]).collect()
    }

    #[test]
    fn a_newcomer_names_keepers_only_where_it_knows_everybody() {
        let mut table = Table::new(entry(100));
        for place in [10, 90, 110, 120, 130, 200] {
            table.insert(entry(place));
        }
        table.know_until(NodeId([120; 20]));
        let near = |table: &Table, place: u8| table.nearest(&RingKey([place; 20]), 3);
        let keepers = |places: &[u8]| Near::Keepers(places.iter().copied().map(entry).collect());
        assert_eq!(near(&table, 95), keepers(&[100, 110, 120]));
        assert_eq!(near(&table, 115), keepers(&[120]), "beyond may be others");
        let beyond = near(&table, 150);
        assert!(matches!(beyond, Near::Closer(_)));
        assert_eq!(places(&beyond), [130, 120, 110], "the nearest before the key first");
        table.know_on(&NodeId([110; 20]), &NodeId([200; 20]));
        assert_eq!(table.known_last(), Some(&entry(120)), "not walked from there");
        table.know_on(&NodeId([120; 20]), &NodeId([200; 20]));
        assert_eq!(near(&table, 150), keepers(&[200]));
        table.remove(&NodeId([200; 20]));
        assert_eq!(table.known_last(), Some(&entry(130)), "the last that lives");
        table.know_all();
        assert_eq!((near(&table, 150), table.known_last()), (keepers(&[10, 90, 100]), None));
    }
}
