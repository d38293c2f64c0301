//! The nodes that were named as keepers, and what came of asking them.
//!
//! Invariant: nearest first; of those that were not asked yet at most [`FRESH_MAX`], and however
//! many somebody makes up, the first that others have named stay.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use crate::ids::{NodeId, RingKey};
use crate::wire::directory::NodeEntry;

use super::{Fetched, WIDTHS};

/// Keepers remembered at most, beyond those already asked.
const FRESH_MAX: usize = 4 * WIDTHS[2];

/// All of them.
#[derive(Debug)]
pub(super) struct Keepers {
    key: RingKey,
    all: Vec<Keeper>,
}

/// A node that was named as a keeper.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keeper {
    pub(super) entry: NodeEntry,
    pub(super) state: KeeperState,
    /// How many have named it, and its best place in their lists.
    named: u8,
    place: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeeperState {
    Fresh,
    Asked { at: Instant },
    Said(Fetched),
}

impl Keeper {
    pub(super) const fn is_held(&self) -> bool {
        matches!(self.state, KeeperState::Said(Fetched::Held { .. }))
    }

    /// Whether what it holds should have been replaced by now.
    pub(super) const fn is_late(&self) -> bool {
        matches!(self.state, KeeperState::Said(Fetched::Held { is_late: true, .. }))
    }

    /// Since when it is waited for.
    pub(super) const fn asked_at(&self) -> Option<Instant> {
        match self.state {
            KeeperState::Asked { at } => Some(at),
            KeeperState::Fresh | KeeperState::Said(_) => None,
        }
    }

    /// It is silent or slow, or gave what does not verify: the next takes its place, so that nodes
    /// that do not exist keep nobody from the true keepers.
    pub(super) fn is_passed_by(&self, now: Instant, slow_after: Duration) -> bool {
        match self.state {
            KeeperState::Said(Fetched::Failed) => true,
            KeeperState::Asked { at } => at + slow_after <= now,
            KeeperState::Fresh | KeeperState::Said(Fetched::NotHere | Fetched::Held { .. }) => {
                false
            }
        }
    }

    /// It does not hold it, is silent, or is slow.
    pub(super) fn has_failed(&self, now: Instant, slow_after: Duration) -> bool {
        let is_denied = self.state == KeeperState::Said(Fetched::NotHere);
        is_denied || self.is_passed_by(now, slow_after)
    }
}

impl Keepers {
    pub(super) const fn new(key: RingKey) -> Self {
        Self { key, all: Vec::new() }
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Keeper> {
        self.all.iter()
    }

    pub(super) fn iter_mut(&mut self) -> std::slice::IterMut<'_, Keeper> {
        self.all.iter_mut()
    }

    pub(super) const fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether that node is the nearest of them.
    pub(super) fn is_first(&self, node: &NodeId) -> bool {
        self.all.first().is_some_and(|keeper| keeper.entry.node == *node)
    }

    /// Somebody has named these.
    pub(super) fn take(&mut self, nodes: &[NodeEntry]) {
        for (place, node) in (0..).zip(nodes) {
            let far = |k: &Keeper| self.key.distance_to(&k.entry.node);
            match self.all.binary_search_by_key(&self.key.distance_to(&node.node), far) {
                Ok(at) => {
                    let keeper = &mut self.all[at];
                    keeper.named = keeper.named.saturating_add(1);
                    keeper.place = keeper.place.min(place);
                }
                Err(at) => {
                    let state = KeeperState::Fresh;
                    self.all.insert(at, Keeper { entry: *node, state, named: 1, place });
                }
            }
        }
        let is_fresh = |k: &Keeper| k.state == KeeperState::Fresh;
        while self.all.iter().filter(|k| is_fresh(k)).count() > FRESH_MAX {
            let fresh = self.all.iter().enumerate().filter(|(_, k)| is_fresh(k));
            let Some((at, _)) = fresh.max_by_key(|(at, k)| (k.place, *at)) else { break };
            self.all.remove(at);
        }
    }

    /// The `count` nearest, and behind them the others: the first of all lists before the second,
    /// and of these whom most have named.
    pub(super) fn to_write_at(&self, count: usize) -> Vec<NodeEntry> {
        let (nearest, others) = self.all.split_at(count.min(self.all.len()));
        let mut others: Vec<&Keeper> = others.iter().collect();
        others.sort_by_key(|k| (usize::from(k.place) / WIDTHS[0], Reverse(k.named)));
        nearest.iter().chain(others).map(|keeper| keeper.entry).collect()
    }

    /// Whether a record that was found is in doubt: it is late, another keeper denies it, or holds
    /// one with another counter.
    pub(super) fn are_at_odds(&self) -> bool {
        let mut found = None;
        let mut is_denied = false;
        for keeper in &self.all {
            match keeper.state {
                KeeperState::Said(Fetched::Held { counter, is_late }) => {
                    if is_late || found.is_some_and(|other| other != counter) {
                        return true;
                    }
                    found = Some(counter);
                }
                KeeperState::Said(Fetched::NotHere) => is_denied = true,
                KeeperState::Said(Fetched::Failed)
                | KeeperState::Fresh
                | KeeperState::Asked { .. } => {}
            }
        }
        is_denied && found.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::certificate::AgreeKey;

    fn entry(far: u16) -> NodeEntry {
        let mut node = [0; 20];
        node[..2].copy_from_slice(&far.to_be_bytes());
        let address = std::net::SocketAddr::from(([192, 0, 2, 1], far));
        NodeEntry { node: NodeId(node), address, key: AgreeKey([1; 32]) }
    }

    fn entries(all: impl Iterator<Item = u16>) -> Vec<NodeEntry> {
        all.map(entry).collect()
    }

    #[test]
    fn nodes_made_up_before_the_true_keepers_push_them_neither_out_nor_far_back() {
        let mut keepers = Keepers::new(RingKey([0; 20]));
        let truth = entries(1000..1016);
        keepers.take(&truth);
        // Five liars name sixteen each, all nearer, and all different.
        (0..5).for_each(|liar| keepers.take(&entries(1 + liar * 16..17 + liar * 16)));
        keepers.take(&truth);
        let order = keepers.to_write_at(4);
        assert_eq!(order[..4], entries(1..5), "the nearest come first");
        assert_eq!(order[4..8], truth[..4], "then whom most have named");
        assert_eq!(keepers.len(), FRESH_MAX);
    }
}
