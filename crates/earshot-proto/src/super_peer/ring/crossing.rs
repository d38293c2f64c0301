//! Crossing between full membership and Chord, both ways, and the walk around the ring that counts
//! and gathers everybody.
//!
//! Upwards a table becomes successors, predecessor and fingers at once. Downwards a node whose
//! estimate falls below the lower threshold walks around the ring, sixteen members a question, and
//! crosses if their number bears it out. Whoever meets the other mode (in a successor's state, in
//! news) follows it if its own number lies on the other's side of the middle; so the members cross
//! together. All the while each node answers by the mode it is in, and both answer alike.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::ids::NodeId;
use crate::lookup::Near;
use crate::wire::directory::{NODES_MAX, NodeEntry};
use crate::wire::ring::Question;

use super::asking::About;
use super::chord::{Chord, between};
use super::table::Table;
use super::{Config, Ring, Standing};
use crate::entropy::Stream;

/// Stretches of a walk that may fail in a row before it is given up.
const MISSES_MAX: u8 = 4;
/// How many times fewer members than estimated a walk may find: with fewer it was led astray.
const FEWER_MAX: u64 = 4;

/// A walk around the ring.
#[derive(Debug)]
pub(super) struct Census {
    found: BTreeMap<NodeId, NodeEntry>,
    /// How far we are.
    cursor: NodeEntry,
    /// A Chord node crosses if no more are found, ourselves counted.
    limit: u16,
    misses: u8,
}

impl Ring {
    /// A member of a network at rest all of whose members are known, as after a crossing: for a
    /// restart with a full list, and for simulations. `members` are sorted by place, ourselves
    /// among them. Above the threshold each slot of the fingers gets one of its nodes by lot, not
    /// measured yet. Nothing is announced; stabilising begins within one period.
    #[must_use]
    pub fn among(
        now: Instant,
        config: Config,
        me: NodeEntry,
        jitter: Stream,
        members: &[NodeEntry],
    ) -> Self {
        let mut ring = Self::new(config, me, jitter);
        if members.len() <= usize::from(config.up) {
            let mut table = Table::new(me);
            for member in members {
                table.insert(*member);
            }
            ring.standing = Standing::Full(table);
        } else {
            let (before, after) = members.split_at(members.partition_point(|n| n.node < me.node));
            let others = after.iter().chain(before).filter(|n| n.node != me.node);
            let list = others.take(usize::from(config.successors)).copied();
            let last = before.last().or_else(|| after.last()).copied();
            let chord = Chord::ideal(me, config.successors, last, list);
            ring.become_structured(now, chord);
            ring.draw_fingers(members);
        }
        ring.set_timers(now);
        ring.at_rest(now);
        ring
    }

    /// Fills each slot with one of its members, by lot.
    fn draw_fingers(&mut self, members: &[NodeEntry]) {
        let Standing::Chord(structure) = &mut self.standing else { return };
        let Some(last) = structure.last_slot() else { return };
        loop {
            let lot = structure.fingers.key(structure.slot, self.jitter.bytes());
            let at = members.partition_point(|n| n.node.0 < lot.0) % members.len();
            structure.hear(&members[at..=at]);
            (structure.slot, structure.filled) = structure.fingers.next(structure.slot, last);
            if structure.filled {
                break;
            }
        }
        for _ in 0..self.jitter.below(structure.fingers.len() as u64 + 1) {
            structure.slot = structure.fingers.next(structure.slot, last).0;
        }
    }

    /// Begins a walk, if none is under way.
    pub(super) fn start_census(&mut self, now: Instant, from: NodeEntry, limit: u16) {
        if self.census.is_some() {
            return;
        }
        self.census_later(now);
        let found = BTreeMap::from([(from.node, from)]);
        self.census = Some(Box::new(Census { found, cursor: from, limit, misses: 0 }));
        self.walk_on(now, from);
    }

    /// A Chord node whose estimate is below the lower threshold counts.
    pub(super) fn census_if_small(&mut self, now: Instant) {
        if self.len_estimate() < u64::from(self.config.down) {
            self.census_if_due(now, self.config.down);
        }
    }

    /// A Chord node that meets full membership counts.
    pub(super) fn census_if_between(&mut self, now: Instant) {
        if self.len_estimate() <= u64::from(self.config.up) {
            self.census_if_due(now, self.middle());
        }
    }

    fn census_if_due(&mut self, now: Instant, limit: u16) {
        let is_due = self.timers.is_some_and(|timers| timers.census <= now);
        let Standing::Chord(structure) = &self.standing else { return };
        if let Some(successor) = structure.chord.successor().copied()
            && is_due
        {
            self.start_census(now, successor, limit);
        }
    }

    /// The next stretch has come, or has not.
    pub(super) fn census_answered(&mut self, now: Instant, to: &NodeEntry, near: Option<Near>) {
        let Some(census) = &mut self.census else { return };
        let before = census.cursor.node;
        let mut is_round = false;
        match near {
            Some(Near::Keepers(nodes)) => {
                for node in nodes {
                    if node.node == census.cursor.node {
                        continue;
                    }
                    if !between(&census.cursor.node, &node.node, &self.me.node) {
                        is_round = true;
                        break;
                    }
                    census.found.insert(node.node, node);
                    census.cursor = node;
                }
            }
            Some(Near::Closer(_)) => {}
            None => {
                census.found.remove(&to.node);
            }
        }
        if is_round || census.found.len() > usize::from(self.config.up) {
            return self.census_ended(now);
        }
        if census.cursor.node != before {
            census.misses = 0;
            let next = census.cursor;
            self.walked(now, &before, &next.node);
            return self.walk_on(now, next);
        }
        census.misses += 1;
        let earlier = census.found.range(..before).next_back().map(|(_, entry)| *entry);
        match earlier.or_else(|| self.successors().first().copied()) {
            Some(other) if self.census.as_ref().is_some_and(|c| c.misses < MISSES_MAX) => {
                self.walk_on(now, other);
            }
            Some(_) | None => self.census = None,
        }
    }

    /// The walk has come from one member to another: a newcomer knows so many more.
    fn walked(&mut self, now: Instant, from: &NodeId, to: &NodeId) {
        let Some(census) = &self.census else { return };
        let Standing::Full(table) = &mut self.standing else { return };
        table.know_on(from, to);
        let found = census.found.range(from..).chain(census.found.range(..from));
        let last = |(node, _): &(&NodeId, &NodeEntry)| *node == to || between(from, node, to);
        let found = found.skip_while(|(node, _)| *node == from).take_while(last);
        let found: Vec<NodeEntry> = found.map(|(_, entry)| *entry).collect();
        self.take_in(now, found);
    }

    /// A newcomer whose walk was given up goes on with it.
    pub(super) fn walk_again(&mut self, now: Instant) {
        let Standing::Full(table) = &self.standing else { return };
        if let Some(last) = table.known_last().filter(|last| last.node != self.me.node).copied() {
            self.start_census(now, last, self.config.up);
        }
    }

    /// Asks a node for the members from the cursor on.
    fn walk_on(&mut self, now: Instant, to: NodeEntry) {
        let Some(census) = &self.census else { return };
        let key = census.cursor.node.as_key();
        let question = Question::Nearest { key, width: NODES_MAX as u8 };
        if !self.ask(now, to, question, About::Census) {
            self.census = None;
        }
    }

    fn census_ended(&mut self, now: Instant) {
        let Some(census) = self.census.take() else { return };
        let Census { found, limit, .. } = *census;
        let len = found.len() + 1;
        match &self.standing {
            Standing::Outside | Standing::Joining(_) => {}
            Standing::Full(_) => {
                self.take_in(now, found.into_values());
                if let Standing::Full(table) = &mut self.standing {
                    table.know_all();
                }
            }
            Standing::Chord(structure) => {
                let plausible = len as u64 * FEWER_MAX >= self.len_estimate();
                if len <= usize::from(limit) && plausible {
                    let mut table = Table::new(self.me);
                    let neighbours = structure.chord.successors().iter();
                    for entry in neighbours.chain(structure.chord.predecessor()) {
                        table.insert(*entry);
                    }
                    for entry in found.into_values() {
                        table.insert(entry);
                    }
                    self.standing = Standing::Full(table);
                    self.quicken(now);
                }
            }
        }
    }

    /// Full membership ends when there are more than the upper threshold.
    pub(super) fn cross_up_if_large(&mut self, now: Instant) {
        if self.len_estimate() > u64::from(self.config.up) {
            self.cross_up(now);
        }
    }

    /// A member that meets Chord follows it if there are more than the middle.
    pub(super) fn cross_up_if_between(&mut self, now: Instant) {
        if self.len_estimate() > u64::from(self.middle()) {
            self.cross_up(now);
        }
    }

    fn cross_up(&mut self, now: Instant) {
        let Standing::Full(table) = &self.standing else { return };
        let length = self.config.successors;
        let list = table.others().take(usize::from(length)).copied();
        let chord = Chord::ideal(self.me, length, table.predecessor().copied(), list);
        let everybody: Vec<NodeEntry> = table.others().copied().collect();
        self.census = None;
        self.become_structured(now, chord);
        self.heard(&everybody);
        self.census_later(now);
    }

    /// Between the thresholds.
    fn middle(&self) -> u16 {
        self.config.down + (self.config.up - self.config.down) / 2
    }
}
