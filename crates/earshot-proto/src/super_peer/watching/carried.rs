//! The watches of our clients at other homes: who watches whom where, and our subscription there.
//!
//! Invariants: a watcher watches a device at one home, the one that it named last; at a home where
//! nobody is watched any more we have no subscription; at most [`CARRIED_MAX`] are noted.

use std::collections::BTreeMap;

use crate::entropy::Stream;
use crate::ids::{NodeId, SubscriptionId};
use crate::wire::directory::NodeEntry;
use crate::wire::forward::Address;

/// Watches noted at most; of further ones we cannot say when their home dies. Our choice: a
/// thousand clients with 130 buddies on line each.
pub const CARRIED_MAX: usize = 131_072;

/// The watches of our clients at other homes.
#[derive(Debug, Default)]
pub struct Carried {
    /// By watcher and watched: the home of the watched.
    watches: BTreeMap<Address, BTreeMap<Address, NodeId>>,
    homes: BTreeMap<NodeId, Home>,
    len: usize,
}

#[derive(Debug)]
struct Home {
    entry: NodeEntry,
    subscription: SubscriptionId,
    watches: usize,
    /// Whether it is being asked if it lives.
    is_asked: bool,
}

/// A watcher and the device that it watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// A client of ours.
    pub watcher: Address,
    /// The device.
    pub watched: Address,
}

impl Carried {
    /// Notes a watch; it is at that home from now on, and nowhere else. Answers our subscription
    /// there; none when there is no room.
    pub fn carry(
        &mut self,
        watch: Watch,
        home: NodeEntry,
        secrets: &mut Stream,
    ) -> Option<SubscriptionId> {
        self.end(&watch);
        if self.len >= CARRIED_MAX {
            return None;
        }
        let new = || Home {
            entry: home,
            subscription: SubscriptionId(secrets.bytes()),
            watches: 0,
            is_asked: false,
        };
        let there = self.homes.entry(home.node).or_insert_with(new);
        there.watches += 1;
        self.len += 1;
        self.watches.entry(watch.watcher).or_default().insert(watch.watched, home.node);
        Some(there.subscription)
    }

    /// The home at which that watch is noted.
    #[must_use]
    pub fn home_of(&self, watch: &Watch) -> Option<NodeEntry> {
        let home = self.watches.get(&watch.watcher)?.get(&watch.watched)?;
        self.homes.get(home).map(|there| there.entry)
    }

    /// That watch is over. Answers the home where it was.
    pub fn end(&mut self, watch: &Watch) -> Option<NodeEntry> {
        let home = self.home_of(watch);
        let theirs = self.watches.get_mut(&watch.watcher)?;
        let at = theirs.remove(&watch.watched)?;
        if theirs.is_empty() {
            self.watches.remove(&watch.watcher);
        }
        self.less_at(&at);
        home
    }

    /// A home says that a device is gone from it. Answers whether the watcher is to be told: not if
    /// it watches the device elsewhere by now.
    pub fn gone_from(&mut self, home: &NodeId, watch: &Watch) -> bool {
        let at = self.watches.get(&watch.watcher).and_then(|theirs| theirs.get(&watch.watched));
        if at.is_some_and(|at| at != home) {
            return false;
        }
        self.end(watch);
        true
    }

    /// A client has left: it watches nobody any more. Answers whom it watched, and where.
    pub fn watcher_left(&mut self, watcher: &Address) -> Vec<(Address, NodeEntry)> {
        let mut ended = Vec::new();
        for (watched, home) in self.watches.remove(watcher).unwrap_or_default() {
            ended.extend(self.homes.get(&home).map(|there| (watched, there.entry)));
            self.less_at(&home);
        }
        ended
    }

    /// A home is lost: all that was watched there.
    pub fn home_lost(&mut self, home: &NodeId) -> Vec<Watch> {
        if self.homes.remove(home).is_none() {
            return Vec::new();
        }
        let mut lost = Vec::new();
        for (watcher, theirs) in &mut self.watches {
            let at_home = theirs.extract_if(.., |_, at| at == home);
            lost.extend(at_home.map(|(watched, _)| Watch { watcher: watcher.clone(), watched }));
        }
        self.watches.retain(|_, theirs| !theirs.is_empty());
        self.len -= lost.len();
        lost
    }

    /// Somebody says that this home is dead, and knows our subscription there. Answers whom to ask,
    /// unless that is under way.
    pub fn doubt(&mut self, home: &NodeId, subscription: &SubscriptionId) -> Option<NodeEntry> {
        let there = self.homes.get_mut(home)?;
        if there.subscription != *subscription || there.is_asked {
            return None;
        }
        there.is_asked = true;
        Some(there.entry)
    }

    /// The question whether a home lives has ended.
    pub fn not_asked(&mut self, home: &NodeId) {
        if let Some(there) = self.homes.get_mut(home) {
            there.is_asked = false;
        }
    }

    /// Homes at which clients of ours watch devices.
    pub fn homes(&self) -> impl Iterator<Item = NodeId> {
        self.homes.keys().copied()
    }

    /// How many watches are noted.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether none is.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn less_at(&mut self, home: &NodeId) {
        self.len -= 1;
        let Some(there) = self.homes.get_mut(home) else { return };
        there.watches -= 1;
        if there.watches == 0 {
            self.homes.remove(home);
        }
    }
}
