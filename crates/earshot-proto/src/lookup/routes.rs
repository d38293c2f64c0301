//! The nodes on the way to a key, on disjoint paths.
//!
//! Each start node begins a path; whom a node names belongs to its path, unless another path has it
//! already. The path with the fewest questions in flight is asked next, and within it the node that
//! precedes the key most closely. So a path that liars have taken over takes its share of the
//! questions and no more. S/Kademlia (Baumgart and Mies 2007) does the same.
//!
//! Invariant: no node is asked twice; at most [`WAITING_MAX`] nodes of a path wait to be asked.

use std::time::{Duration, Instant};

use crate::ids::{NodeId, RingKey};
use crate::wire::directory::NodeEntry;

/// Paths at most. Our choice: with half of the nodes lying, and three hops, two of five look-ups
/// have an honest path; nodes near the key vouch further.
const PATHS: usize = 4;
/// Nodes of one path that wait to be asked, at most.
const WAITING_MAX: usize = 8;

/// All paths.
#[derive(Debug)]
pub(super) struct Routes {
    key: RingKey,
    hops: Vec<Hop>,
}

#[derive(Clone, Copy, Debug)]
struct Hop {
    entry: NodeEntry,
    path: u8,
    depth: u8,
    state: HopState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HopState {
    Waiting,
    Asked(Instant),
    Answered,
}

impl Routes {
    pub(super) const fn new(key: RingKey) -> Self {
        Self { key, hops: Vec::new() }
    }

    /// Begins with these nodes.
    pub(super) fn begin(&mut self, nodes: &[NodeEntry]) {
        for (at, node) in nodes.iter().enumerate().take(PATHS * WAITING_MAX) {
            self.add(*node, (at % PATHS) as u8, 1);
        }
    }

    /// A node names nodes; those that lie between it and the key continue its path.
    pub(super) fn extend(&mut self, from: &NodeId, nodes: &[NodeEntry]) {
        let Some(hop) = self.hops.iter().find(|hop| hop.entry.node == *from).copied() else {
            return;
        };
        let so_far = self.way_to_key(from);
        for node in nodes {
            if self.way_to_key(&node.node) < so_far {
                self.add(*node, hop.path, hop.depth.saturating_add(1));
            }
        }
    }

    /// No path leads on: the keepers that we know may name others.
    pub(super) fn resort_to<'a>(&mut self, keepers: impl Iterator<Item = &'a NodeEntry>) {
        for (at, keeper) in keepers.enumerate().take(WAITING_MAX) {
            self.add(*keeper, (at % PATHS) as u8, u8::MAX);
        }
    }

    /// A node has answered or was silent. Says how many nodes were asked on the way to it, itself
    /// counted, and since when it was waited for.
    pub(super) fn answered(&mut self, from: &NodeId) -> Option<(u8, Instant)> {
        let hop = self.hops.iter_mut().find(|hop| hop.entry.node == *from)?;
        let HopState::Asked(at) = hop.state else { return None };
        hop.state = HopState::Answered;
        Some((hop.depth, at))
    }

    /// The node to be asked next; it counts as asked.
    pub(super) fn next(&mut self, now: Instant) -> Option<NodeEntry> {
        let busy = |path: u8| {
            let of_path = self.hops.iter().filter(|hop| hop.path == path);
            let in_flight = |hop: &&Hop| matches!(hop.state, HopState::Asked(_));
            let asked = of_path.clone().filter(|hop| hop.state != HopState::Waiting).count();
            (of_path.filter(in_flight).count(), asked)
        };
        let waiting = self.hops.iter().enumerate().filter(|(_, h)| h.state == HopState::Waiting);
        let best = waiting.min_by_key(|(_, h)| (busy(h.path), self.way_to_key(&h.entry.node)));
        let (at, _) = best?;
        self.hops[at].state = HopState::Asked(now);
        Some(self.hops[at].entry)
    }

    /// How many were asked and are neither answered nor slow.
    pub(super) fn in_flight(&self, now: Instant, slow_after: Duration) -> usize {
        self.asked_at().filter(|at| *at + slow_after > now).count()
    }

    /// Since when answers are waited for.
    pub(super) fn asked_at(&self) -> impl Iterator<Item = Instant> {
        self.hops.iter().filter_map(|hop| match hop.state {
            HopState::Asked(at) => Some(at),
            HopState::Waiting | HopState::Answered => None,
        })
    }

    /// Whether nobody waits to be asked, and nobody's answer is waited for.
    pub(super) fn has_none_left(&self) -> bool {
        self.hops.iter().all(|hop| hop.state == HopState::Answered)
    }

    /// Whether nobody waits to be asked, and whoever was asked has answered or is slow.
    pub(super) fn has_none_but_slow(&self, now: Instant, slow_after: Duration) -> bool {
        let waits = self.hops.iter().any(|hop| hop.state == HopState::Waiting);
        !waits && self.in_flight(now, slow_after) == 0
    }

    fn add(&mut self, entry: NodeEntry, path: u8, depth: u8) {
        if self.hops.iter().any(|hop| hop.entry.node == entry.node) {
            return;
        }
        self.hops.push(Hop { entry, path, depth, state: HopState::Waiting });
        let waiting = |hop: &Hop| hop.path == path && hop.state == HopState::Waiting;
        if self.hops.iter().filter(|hop| waiting(hop)).count() > WAITING_MAX {
            let way = |hop: &Hop| self.way_to_key(&hop.entry.node);
            let all = self.hops.iter().enumerate().filter(|(_, hop)| waiting(hop));
            if let Some((farthest, _)) = all.max_by_key(|(_, hop)| way(hop)) {
                self.hops.remove(farthest);
            }
        }
    }

    /// The way clockwise from a node to the key.
    fn way_to_key(&self, node: &NodeId) -> [u8; 20] {
        node.as_key().distance_to(&NodeId(self.key.0))
    }
}
