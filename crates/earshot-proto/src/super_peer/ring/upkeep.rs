//! Upkeep of a Chord ring: when the rules of [`chord`](super::chord) are applied, and fingers.
//!
//! While nothing changes, a node asks its successor every five seconds whether all is as it
//! believes ([`Reply::Same`], a few bytes), and checks one finger. After a change it stabilises at
//! once and then ever more rarely, and tells its predecessor, so that news runs back through the s
//! nodes that have the changed place in their lists within s round trips instead of s periods.

use std::time::{Duration, Instant};

use crate::ids::{NodeId, RingKey};
use crate::lookup::Near;
use crate::wire::directory::NodeEntry;
use crate::wire::ring::{Question, Reply, SUCCESSORS_MAX, digest};

use super::asking::{About, Finger};
use super::chord::{Next, between};
use super::fingers::Slot;
use super::seek::Purpose;
use super::{Order, Ring, Standing, Structure, Timers};

/// Pause before the stabilisation that follows a change. Our choice: three round trips across an
/// ocean.
const PACE_FIRST: Duration = Duration::from_millis(500);
/// Pause before the stabilisation that a neighbour asks for: it cannot make us ask more often.
const PACE_TOLD: Duration = Duration::from_millis(100);
/// Successors that are asked at once whether they live when the first was silent, beside the next.
/// Our choice: when a third has died, nine dead ones in a row follow one node in 20,000.
const PROBED: usize = 7;
/// How much later than its period a predecessor may ask before it is asked whether it lives. Our
/// choice: a slow round trip.
const PERIOD_SLACK: Duration = Duration::from_millis(500);
/// Fingers that a newcomer fills quickly, and how much faster than usual.
const FILL_FASTER: u32 = 16;
/// By how much the pause between two checks of fingers grows with each that lives; with each that
/// does not it halves, down to the pause of a newcomer. Our choice: so one check in fifteen finds a
/// dead one, as long as that takes no more than sixteen times the usual checks.
const CALMER: (u32, u32) = (21, 20);
/// How much sooner than usual a node that is alone looks for others.
const ALONE_FASTER: u32 = 16;
/// Nodes wanted in the answer of a finger: rivals for its place.
const RIVALS: u8 = 4;
/// How many periods of merging lie between two walks around the ring, at least.
const CENSUS_PERIODS: u32 = 5;

impl Ring {
    /// Everything is due for the first time: stabilising at once, the rest after a part of its
    /// period, by lot.
    pub(super) fn set_timers(&mut self, now: Instant) {
        let refresh = now + self.part_of(self.config.refresh_every);
        let merge = now + self.part_of(self.config.merge_every);
        let stabilise = now + self.spread_about(PACE_FIRST);
        let pause = self.config.refresh_every;
        let pace = PACE_FIRST;
        self.timers = Some(Timers { stabilise, pace, refresh, pause, merge, census: now });
    }

    /// Nothing has changed for long: what is around us needs no announcement.
    pub(super) fn at_rest(&mut self, now: Instant) {
        self.announced = self.neighbourhood(SUCCESSORS_MAX, false);
        self.told = self.list_digest();
        self.heard_before = Some(now);
        let stabilise = now + self.part_of(self.config.stabilise_every);
        if let Some(timers) = &mut self.timers {
            timers.stabilise = stabilise;
            timers.pace = self.config.stabilise_every;
        }
    }

    /// A change: we stabilise soon, and then ever more rarely.
    pub(super) fn quicken(&mut self, now: Instant) {
        let at = now + self.spread_about(PACE_FIRST);
        if let Some(timers) = &mut self.timers {
            timers.pace = PACE_FIRST;
            timers.stabilise = timers.stabilise.min(at);
        }
    }

    /// Whether nothing has changed around us for some periods.
    pub(super) fn is_at_rest(&self) -> bool {
        self.timers.is_none_or(|timers| timers.pace >= self.config.stabilise_every)
    }

    /// Fingers are filled quickly from now on, until all slots were visited once.
    pub(super) fn fill_fingers(&mut self, now: Instant) {
        let at = now + self.part_of(self.config.refresh_every / FILL_FASTER);
        if let Some(timers) = &mut self.timers {
            timers.refresh = timers.refresh.min(at);
        }
    }

    pub(super) fn stabilise_due(&mut self, now: Instant) {
        let pace = self.timers.map_or(PACE_FIRST, |timers| timers.pace);
        let at = now + self.spread_about(pace);
        let is_joining = matches!(self.standing, Standing::Joining(_));
        if let Some(timers) = &mut self.timers {
            timers.stabilise = at;
            // Who is outside has no place at which others find it: it tries again soon.
            timers.pace =
                if is_joining { pace } else { (pace * 2).min(self.config.stabilise_every) };
        }
        match &self.standing {
            Standing::Outside => {}
            Standing::Joining(_) => self.join_on(now),
            Standing::Full(_) => self.stabilise_members(now),
            Standing::Chord(_) => {
                self.census_if_small(now);
                self.check_predecessor(now);
                self.stabilise(now);
            }
        }
    }

    /// Asks the first successor for its state.
    pub(super) fn stabilise(&mut self, now: Instant) {
        if self.open(|about| matches!(about, About::Successor)) > 0 {
            return;
        }
        let Standing::Chord(structure) = &self.standing else { return };
        let [successor, rest @ ..] = structure.chord.successors() else { return };
        let known = digest(Some(self.me.node), rest.iter().map(|n| n.node), false);
        self.ask(now, *successor, Question::State { known }, About::Successor);
    }

    pub(super) fn successor_answered(&mut self, now: Instant, to: NodeEntry, reply: Option<Reply>) {
        if matches!(self.standing, Standing::Full(_)) {
            return self.member_successor_answered(now, to, reply);
        }
        let Standing::Chord(structure) = &mut self.standing else { return };
        match reply {
            Some(Reply::Same) => {}
            Some(Reply::State { predecessor, successors, members }) => {
                let next = structure.chord.handle_successor(&to, predecessor.as_ref(), &successors);
                structure.list_changed();
                let knows_us = predecessor.is_some_and(|p| p.node == self.me.node);
                match next {
                    Next::AskBetween(node) => {
                        self.ask_state(now, node, About::Between);
                    }
                    Next::Notify(node) if !knows_us => {
                        self.ask(now, node, Question::Rectify, About::Nothing);
                    }
                    Next::Notify(_) | Next::Nothing => {}
                }
                if members.is_some() {
                    self.census_if_between(now);
                }
            }
            Some(Reply::Outside | Reply::Done | Reply::Keepers { .. } | Reply::Closer { .. }) => {
                self.dead(now, &to.node);
                self.stabilise(now);
            }
            None => {
                self.stabilise(now);
                self.probe_successors(now);
            }
        }
    }

    /// Our successor was silent: who fails rarely fails alone, so the patience time is spent on the
    /// next ones together.
    fn probe_successors(&mut self, now: Instant) {
        let Standing::Chord(structure) = &self.standing else { return };
        let next = structure.chord.successors().iter().skip(1).take(PROBED);
        for node in next.copied().collect::<Vec<NodeEntry>>() {
            self.ask_state(now, node, About::Nothing);
        }
    }

    pub(super) fn between_answered(&mut self, now: Instant, to: NodeEntry, reply: Option<Reply>) {
        let Standing::Chord(structure) = &mut self.standing else { return };
        let list = match reply {
            Some(Reply::State { successors, .. }) => Some(successors),
            Some(
                Reply::Same
                | Reply::Outside
                | Reply::Done
                | Reply::Keepers { .. }
                | Reply::Closer { .. },
            )
            | None => None,
        };
        let notify = structure.chord.handle_between(&to, list.as_ref().map(|list| &list[..]));
        structure.list_changed();
        if let Some(node) = notify {
            self.ask(now, node, Question::Rectify, About::Nothing);
        }
    }

    /// Our predecessor asks us every period, as long as it lives.
    pub(super) fn predecessor_heard(&mut self, now: Instant, from: &NodeEntry) {
        if let Standing::Chord(structure) = &self.standing
            && structure.chord.predecessor().is_some_and(|p| p.node == from.node)
        {
            self.heard_before = Some(now);
        }
    }

    /// Asks a predecessor that has missed its period whether it lives; so the next one, when it
    /// comes, need not wait for that.
    fn check_predecessor(&mut self, now: Instant) {
        let Standing::Chord(structure) = &self.standing else { return };
        let longest = self.config.stabilise_every * 5 / 4 + PERIOD_SLACK;
        let is_late = self.heard_before.is_none_or(|at| at + longest <= now);
        if let Some(predecessor) = structure.chord.predecessor().copied()
            && is_late
        {
            self.heard_before = Some(now);
            self.ask_state(now, predecessor, About::Nothing);
        }
    }

    pub(super) fn predecessor_answered(&mut self, to: &NodeEntry, reply: Option<Reply>) {
        let Standing::Chord(structure) = &mut self.standing else { return };
        let lives = matches!(reply, Some(Reply::State { .. } | Reply::Same));
        structure.chord.handle_predecessor(to, lives);
    }

    /// A node believes that we are its successor.
    pub(super) fn handle_rectify(&mut self, now: Instant, from: NodeEntry) -> Reply {
        match &mut self.standing {
            Standing::Outside | Standing::Joining(_) => return Reply::Outside,
            Standing::Full(_) => self.member_came(now, from),
            Standing::Chord(structure) => {
                let before = structure.chord.predecessor().copied();
                structure.hear(&[from]);
                if let Some(present) = structure.chord.handle_notify(&from) {
                    self.ask_state(now, present, About::Predecessor);
                } else if let Some(before) = before
                    && before.node != from.node
                {
                    self.ask(now, before, Question::Changed, About::Nothing);
                }
            }
        }
        Reply::Done
    }

    /// A neighbour's list has changed.
    pub(super) fn handle_changed(&mut self, now: Instant, from: &NodeEntry) -> Reply {
        let Standing::Chord(structure) = &self.standing else { return Reply::Done };
        if structure.chord.successor().is_some_and(|s| s.node == from.node)
            && let Some(timers) = &mut self.timers
        {
            timers.stabilise = timers.stabilise.min(now + PACE_TOLD);
        }
        Reply::Done
    }

    /// Our list has changed: the node before us will want it.
    pub(super) fn tell_predecessor(&mut self, now: Instant) {
        let Standing::Chord(structure) = &self.standing else { return };
        let told = self.list_digest();
        let predecessor = structure.chord.predecessor().copied();
        if told != self.told
            && let Some(predecessor) = predecessor
        {
            self.told = told;
            self.ask(now, predecessor, Question::Changed, About::Nothing);
        }
    }

    /// Digest of the successors that the node before us has in its list.
    fn list_digest(&self) -> u64 {
        let Standing::Chord(structure) = &self.standing else { return 0 };
        let list = structure.chord.successors();
        let inner = list.len().min(structure.chord.length() - 1);
        digest(None, list[..inner].iter().map(|n| n.node), false)
    }

    /// A node is dead, by a closed link, a question unanswered, or its own word.
    pub(super) fn dead(&mut self, now: Instant, node: &NodeId) {
        let gone = Order::Gone(*node);
        if !self.orders.contains(&gone) {
            self.orders.push_back(gone);
        }
        match &mut self.standing {
            Standing::Outside | Standing::Joining(_) => {}
            Standing::Full(_) => self.member_gone(now, node),
            Standing::Chord(structure) => {
                structure.chord.handle_dead(node);
                structure.fingers.forget(node);
                if structure.chord.successors().is_empty() {
                    let fingers: Vec<NodeEntry> = structure.fingers.iter().copied().collect();
                    self.remember(&fingers);
                    self.join(now, 0);
                }
            }
        }
    }

    pub(super) fn refresh_due(&mut self, now: Instant) {
        let mut pause = self.config.refresh_every;
        match &self.standing {
            Standing::Outside | Standing::Joining(_) => {}
            Standing::Full(_) => self.exchange_arc(now),
            Standing::Chord(_) => {
                if self.refresh_finger(now) {
                    pause /= FILL_FASTER;
                } else {
                    pause = self.timers.map_or(pause, |timers| timers.pause);
                }
            }
        }
        let at = now + self.spread_about(pause);
        if let Some(timers) = &mut self.timers {
            timers.refresh = at;
        }
    }

    /// Checks the next finger, or looks for one. Answers whether we are new and still filling
    /// slots.
    fn refresh_finger(&mut self, now: Instant) -> bool {
        let random = self.jitter.bytes();
        let Standing::Chord(structure) = &mut self.standing else { return false };
        let Some(last) = structure.last_slot() else { return false };
        let slot = structure.slot;
        let (next, is_round) = structure.fingers.next(slot, last);
        structure.slot = next;
        structure.filled |= is_round;
        let filling = !structure.filled;
        let key = structure.fingers.key(slot, random);
        match structure.fingers.get(slot) {
            Some(finger) => {
                let question = Question::Nearest { key, width: RIVALS };
                self.ask(now, finger, question, About::Finger(Finger::Present));
            }
            None => {
                let start = structure.nearest(&key, usize::from(RIVALS)).nodes().to_vec();
                self.seek(now, Purpose::Finger, key, start);
            }
        }
        filling
    }

    /// A finger has answered: one of its neighbours in the slot, by lot, is asked too, for it may
    /// be nearer. [`Structure::answered`] takes the nearer.
    pub(super) fn finger_answered(
        &mut self,
        now: Instant,
        to: &NodeEntry,
        finger: Finger,
        near: Option<Near>,
    ) {
        if finger == Finger::Present {
            self.pace_fingers(near.is_some());
        }
        let Some(near) = near else { return };
        self.heard(near.nodes());
        let Standing::Chord(structure) = &self.standing else { return };
        let slot = structure.fingers.slot(&to.node);
        let is_rival =
            |n: &&NodeEntry| n.node != to.node && structure.fingers.slot(&n.node) == slot;
        let rivals: Vec<NodeEntry> = near.nodes().iter().filter(is_rival).copied().collect();
        if finger == Finger::Present && !rivals.is_empty() {
            let rival = rivals[self.jitter.below(rivals.len() as u64) as usize];
            let question = Question::Nearest { key: rival.node.as_key(), width: 1 };
            self.ask(now, rival, question, About::Finger(Finger::Rival));
        }
    }

    /// A finger that was checked lives, or does not: the more often they die, the more often they
    /// are checked.
    fn pace_fingers(&mut self, lives: bool) {
        let every = self.config.refresh_every;
        let Some(timers) = &mut self.timers else { return };
        let pause = if lives { timers.pause * CALMER.0 / CALMER.1 } else { timers.pause / 2 };
        timers.pause = pause.clamp(every / FILL_FASTER, every);
    }

    /// The next look for an outsider; soon, while we are alone.
    pub(super) fn merge_later(&mut self, now: Instant) {
        let is_alone = matches!(&self.standing, Standing::Full(table) if table.is_empty());
        let every = self.config.merge_every / if is_alone { ALONE_FASTER } else { 1 };
        let at = now + self.spread_about(every);
        if let Some(timers) = &mut self.timers {
            timers.merge = at;
        }
    }

    /// The next walk around the ring may begin then.
    pub(super) fn census_later(&mut self, now: Instant) {
        let at = now + self.spread_about(self.config.merge_every * CENSUS_PERIODS);
        if let Some(timers) = &mut self.timers {
            timers.census = at;
        }
    }

    /// Between three and five quarters of a period, so that nodes do not fall into step.
    fn spread_about(&mut self, period: Duration) -> Duration {
        period * 3 / 4 + self.part_of(period / 2)
    }

    /// Between nothing and a whole period.
    fn part_of(&mut self, period: Duration) -> Duration {
        Duration::from_micros(self.jitter.below(period.as_micros() as u64 + 1))
    }
}

impl Structure {
    /// What a node of a Chord ring says about a key.
    pub(super) fn nearest(&self, key: &RingKey, width: usize) -> Near {
        let me = self.chord.me().node;
        let list = self.chord.successors();
        let at = NodeId(key.0);
        let is_ours = at == me
            || self.chord.predecessor().is_some_and(|p| between(&p.node, &at, &me))
            || list.is_empty();
        if is_ours {
            let keepers = std::iter::once(self.chord.me()).chain(list);
            return Near::Keepers(keepers.take(width).copied().collect());
        }
        if let Some(first) = list.iter().position(|n| !between(&me, &n.node, &at)) {
            return Near::Keepers(list[first..].iter().take(width).copied().collect());
        }
        let mut before = self.known_before(at);
        before.reverse();
        before.truncate(width);
        Near::Closer(before)
    }

    /// All nodes that we know strictly between us and another place, clockwise.
    pub(super) fn known_before(&self, until: NodeId) -> Vec<NodeEntry> {
        let me = self.chord.me().node;
        let known = self.fingers.iter().chain(self.chord.successors());
        let mut known: Vec<NodeEntry> =
            known.filter(|n| between(&me, &n.node, &until)).copied().collect();
        known.sort_unstable_by_key(|n| me.as_key().distance_to(&n.node));
        known.dedup_by_key(|n| n.node);
        known
    }

    /// Nodes that others name.
    pub(super) fn hear(&mut self, nodes: &[NodeEntry]) {
        let last = self.last_slot();
        for node in nodes {
            if last.is_none_or(|last| self.slot_matters(node, last)) {
                self.fingers.heard(node);
            }
        }
    }

    /// A node has answered us.
    pub(super) fn answered(&mut self, node: &NodeEntry, rtt: Duration) {
        if self.last_slot().is_none_or(|last| self.slot_matters(node, last)) {
            self.fingers.answered(node, rtt);
        }
    }

    pub(super) fn list_changed(&mut self) {
        if let Some(last) = self.chord.successors().last() {
            self.fingers.covered(&last.node);
        }
    }

    pub(super) fn last_slot(&self) -> Option<Slot> {
        self.fingers.slot(&self.chord.successors().last()?.node)
    }

    fn slot_matters(&self, node: &NodeEntry, last: Slot) -> bool {
        self.fingers.slot(&node.node).is_some_and(|slot| !slot.is_nearer_than(last))
    }
}
