//! Joining, leaving and merging. Zave 2017 (join); DESIGN 2.5 (merge).
//!
//! A joiner that finds nobody who is a member founds a ring of its own; two rings become one by
//! merging, since every node looks itself up through an outsider each minute.

use std::time::Instant;

use crate::ids::{NodeId, RingKey};
use crate::wire::bounded::List;
use crate::wire::directory::NodeEntry;
use crate::wire::ring::{Question, Reply};

use super::asking::{About, Joining};
use super::chord::{Chord, between};
use super::fingers::Fingers;
use super::seek::Purpose;
use super::table::Table;
use super::{Attempt, Ring, Standing, Structure};

/// Doors tried at once. Our choice: two may be dead without costing a patience time.
const DOORS_AT_ONCE: usize = 3;
/// Attempts after which we no longer wait for a door that is joining too, or for a way to our
/// place.
const ATTEMPTS_MAX: u8 = 8;
/// Nodes before our place that are asked in one attempt, each nearer than the one before, at most.
/// Our choice: so many may have joined there in the same second.
const BEFORE_MAX: u8 = 8;

impl Ring {
    /// Looks for our place through the nodes we know.
    pub(super) fn join(&mut self, now: Instant, before: u8) {
        self.standing = Standing::Joining(Attempt { before, is_behind: false, has_met: false });
        self.census = None;
        self.set_timers(now);
        self.shuffle_doors();
        let doors = self.doors.clone();
        if doors.is_empty() {
            return self.found(now);
        }
        for first in 0..DOORS_AT_ONCE.min(doors.len()) {
            let share = doors.iter().skip(first).step_by(DOORS_AT_ONCE).copied().collect();
            self.seek(now, Purpose::Join, self.me.node.as_key(), share);
        }
    }

    /// Looks again, if no question of the last attempt is open.
    pub(super) fn join_on(&mut self, now: Instant) {
        let Standing::Joining(attempt) = self.standing else { return };
        if self.open(About::is_joining) == 0 {
            self.join(now, attempt.before.saturating_add(1));
        }
    }

    /// We are a ring of one.
    fn found(&mut self, now: Instant) {
        self.standing = Standing::Full(Table::new(self.me));
        self.merge_later(now);
    }

    /// A node through which we wanted to join is no member itself.
    pub(super) fn door_is_outside(&mut self, door: &NodeEntry) {
        if let Standing::Joining(attempt) = &mut self.standing {
            attempt.is_behind |= door.node < self.me.node;
        }
    }

    /// A member has answered our seek for a place.
    pub(super) fn member_met(&mut self) {
        if let Standing::Joining(attempt) = &mut self.standing {
            attempt.has_met = true;
        }
    }

    /// A seek for our place has ended, with the keepers of our own id and who named them.
    pub(super) fn place_found(
        &mut self,
        now: Instant,
        keepers: &[NodeEntry],
        named_by: Option<&NodeEntry>,
    ) {
        let Standing::Joining(attempt) = self.standing else { return };
        if self.open(|about| matches!(about, About::Joining(_))) > 0 {
            return;
        }
        let waits = (attempt.is_behind || attempt.has_met) && attempt.before < ATTEMPTS_MAX;
        let keeper = keepers.iter().find(|n| n.node != self.me.node);
        match (keeper, named_by) {
            (Some(keeper), Some(named_by)) => {
                let joining = Joining::Keeper { named_by: *named_by };
                self.ask_state(now, *keeper, About::Joining(joining));
            }
            (None, _) | (_, None) if self.open(About::is_joining) == 0 && !waits => {
                self.found(now);
            }
            (None, _) | (_, None) => {}
        }
    }

    /// A node near our place has answered, or has not. If it has not, the ring will have noticed by
    /// the time that we try again.
    pub(super) fn joining_answered(
        &mut self,
        now: Instant,
        to: NodeEntry,
        joining: Joining,
        reply: Option<Reply>,
    ) {
        if !matches!(self.standing, Standing::Joining(_)) {
            return;
        }
        let (predecessor, list, members) = match reply {
            Some(Reply::State { predecessor, successors, members }) => {
                (predecessor, successors.into_vec(), members)
            }
            Some(
                Reply::Same
                | Reply::Keepers { .. }
                | Reply::Closer { .. }
                | Reply::Done
                | Reply::Outside,
            )
            | None => return,
        };
        if members.is_some() {
            return self.join_members(now, to, list.into_iter().chain(predecessor));
        }
        match joining {
            Joining::Keeper { named_by } => {
                let is_before = |p: &NodeEntry| between(&p.node, &self.me.node, &to.node);
                let before = predecessor.filter(is_before).unwrap_or(named_by);
                self.ask_state(now, before, About::Joining(Joining::Before { asked: 1 }));
            }
            Joining::Before { asked } => {
                if let Some(chord) = Chord::joined(self.me, self.config.successors, to, &list) {
                    let successor = list[0];
                    self.become_structured(now, chord);
                    self.heard(&list);
                    self.ask(now, successor, Question::Rectify, About::Nothing);
                } else if asked < BEFORE_MAX {
                    let nearer = |n: &&NodeEntry| between(&to.node, &n.node, &self.me.node);
                    if let Some(next) = list.iter().rev().find(nearer) {
                        let joining = Joining::Before { asked: asked + 1 };
                        self.ask_state(now, *next, About::Joining(joining));
                    }
                }
            }
        }
    }

    fn join_members(
        &mut self,
        now: Instant,
        member: NodeEntry,
        known: impl Iterator<Item = NodeEntry>,
    ) {
        let mut table = Table::new(self.me);
        for member in known.chain([member]).filter(|n| n.node != self.me.node) {
            table.insert(member);
        }
        let successor = table.others().next().copied().unwrap_or(member);
        table.know_until(successor.node);
        self.standing = Standing::Full(table);
        self.ask(now, successor, Question::Rectify, About::Nothing);
        self.start_census(now, successor, self.config.up);
    }

    /// Takes part in a Chord ring from now on; fingers are still to be had.
    pub(super) fn become_structured(&mut self, now: Instant, chord: Chord<NodeEntry>) {
        let digits = self.config.digits;
        let fingers = Fingers::new(self.me.node, digits);
        let structure = Structure { chord, fingers, slot: digits.first(), filled: false };
        self.standing = Standing::Chord(Box::new(structure));
        self.heard_before = Some(now);
        self.fill_fingers(now);
    }

    /// A neighbour leaves politely: it counts as dead, and its predecessor takes its place as ours.
    pub(super) fn handle_leaving(
        &mut self,
        now: Instant,
        from: &NodeEntry,
        predecessor: Option<NodeEntry>,
        successors: &[NodeEntry],
    ) -> Reply {
        let was_ours = self.predecessor().is_some_and(|p| p.node == from.node);
        self.dead(now, &from.node);
        if let Standing::Chord(structure) = &mut self.standing {
            if let Some(before) = predecessor
                && was_ours
            {
                structure.chord.handle_notify(&before);
            }
            structure.hear(successors);
        }
        Reply::Done
    }

    /// Looks ourselves up through an outsider; in a Chord ring as often through a finger, since we
    /// may be the one whom nobody before us knows.
    pub(super) fn merge_due(&mut self, now: Instant) {
        self.merge_later(now);
        let known = match &self.standing {
            Standing::Outside | Standing::Joining(_) => return,
            Standing::Full(_) => Vec::new(),
            Standing::Chord(structure) => structure.known_before(self.me.node),
        };
        let from_doors = known.is_empty() || self.jitter.below(2) == 0;
        let doors = if from_doors && !self.doors.is_empty() { &self.doors } else { &known };
        if !doors.is_empty() {
            let door = doors[self.jitter.below(doors.len() as u64) as usize];
            self.seek_outsiders(now, door);
        }
    }

    /// Looks ourselves up through this node, unless we are doing so through another.
    pub(super) fn seek_outsiders(&mut self, now: Instant, door: NodeEntry) {
        let merging =
            |about: &About| matches!(about, About::Seek(seek) if seek.purpose == Purpose::Merge);
        if self.open(merging) == 0 {
            self.seek(now, Purpose::Merge, after(&self.me.node), vec![door]);
        }
    }

    /// An outsider's ring has these members after us.
    pub(super) fn outsiders_found(&mut self, now: Instant, nodes: &[NodeEntry]) {
        let Some(next) = nodes.iter().find(|n| n.node != self.me.node) else { return };
        match &mut self.standing {
            Standing::Outside | Standing::Joining(_) => {}
            Standing::Full(table) => {
                if !table.contains(&next.node) {
                    // Theirs may be many, and we know none: as after joining.
                    let (me, last) = (self.me.node, table.known_last());
                    let is_nearer = last.is_none_or(|l| between(&me, &next.node, &l.node));
                    if self.census.is_none() && is_nearer {
                        table.know_until(next.node);
                    }
                    self.ask(now, *next, Question::Rectify, About::Nothing);
                    self.start_census(now, *next, self.config.up);
                }
            }
            Standing::Chord(structure) => {
                let Some(successor) = structure.chord.successor().copied() else { return };
                if successor.node == next.node {
                    return;
                }
                // Another ring. If its next node lies beyond our successor, it has to learn of us,
                // so that the node before it comes to us.
                if between(&self.me.node, &next.node, &successor.node) {
                    self.ask_state(now, *next, About::Between);
                } else {
                    self.ask(now, *next, Question::Rectify, About::Nothing);
                }
                // Our successor looks too; there is nobody whom it should tell.
                let news = Question::News {
                    joined: List::first_of([*next]),
                    gone: List::default(),
                    until: NodeId(after(&successor.node).0),
                };
                self.ask(now, successor, news, About::Nothing);
            }
        }
    }

    fn shuffle_doors(&mut self) {
        for at in (1..self.doors.len()).rev() {
            let other = self.jitter.below(at as u64 + 1) as usize;
            self.doors.swap(at, other);
        }
    }
}

/// The key right after a node.
fn after(node: &NodeId) -> RingKey {
    let mut key = node.0;
    for byte in key.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            break;
        }
    }
    RingKey(key)
}
