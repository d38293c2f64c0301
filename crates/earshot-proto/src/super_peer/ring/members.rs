//! Upkeep of full membership: everybody knows everybody.
//!
//! Three ways keep the tables equal. Each member asks its successor whether all is as it believes,
//! so the node before a dead one notices, and the node after a newcomer is told; whoever notices
//! spreads it ([`news`](super::news)). And with a member drawn by lot an arc of the ring is
//! compared every ten seconds, which mends what the news missed. A death is believed only by who
//! finds the node silent itself, a newcomer from an arc only after it has answered.

use std::time::Instant;

use crate::ids::{NodeId, RingKey};
use crate::lookup::Near;
use crate::wire::directory::{NODES_MAX, NodeEntry};
use crate::wire::ring::{Question, Reply, digest};

use super::asking::About;
use super::chord::between;
use super::table::Table;
use super::{Ring, Standing};

/// Members that are asked at once whether they live. Our choice: after the death of a third of
/// 2,048 members each table is right within ten patience times.
const CHECKS_MAX: usize = 64;
/// Successors beyond the first that hold what a node owns. DESIGN 2.5: four keepers.
const WATCHED_AFTER: usize = 2;

impl Ring {
    /// Asks the first successor for its state.
    pub(super) fn stabilise_members(&mut self, now: Instant) {
        self.walk_again(now);
        let Standing::Full(table) = &self.standing else { return };
        let Some(successor) = table.others().next().copied() else { return };
        if self.open(|about| matches!(about, About::Successor)) > 0 {
            return;
        }
        let known = self.expected_of(table, &successor.node);
        self.ask(now, successor, Question::State { known }, About::Successor);
        if !self.is_at_rest() {
            self.watch_keepers(now);
        }
    }

    /// While neighbours come and go, whoever keeps what we keep is asked too whether it lives: a
    /// copy is restored as soon as its keeper is found dead, and news of that would take longer.
    fn watch_keepers(&mut self, now: Instant) {
        let Standing::Full(table) = &self.standing else { return };
        let after = table.others().skip(1).take(WATCHED_AFTER);
        let watched = after.chain(table.predecessor()).copied();
        let watched: Vec<NodeEntry> = watched.filter(|node| !self.is_checked(node)).collect();
        for node in watched {
            let Standing::Full(table) = &self.standing else { return };
            let known = self.expected_of(table, &node.node);
            self.ask(now, node, Question::State { known }, About::Member);
        }
    }

    /// Digest of what a member says of its neighbours if it knows the same members as we do.
    fn expected_of(&self, table: &Table, node: &NodeId) -> u64 {
        let inner = usize::from(self.config.successors) - 1;
        let list = table.from(*node).skip(1).take(inner);
        digest(table.before_place(node).map(|n| n.node), list.map(|n| n.node), true)
    }

    pub(super) fn member_successor_answered(
        &mut self,
        now: Instant,
        to: NodeEntry,
        reply: Option<Reply>,
    ) {
        match reply {
            Some(Reply::Same) => {}
            Some(Reply::State { predecessor, successors, members }) => {
                let arc: Vec<NodeEntry> =
                    std::iter::once(to).chain(successors.into_vec()).collect();
                self.compare(now, &arc);
                match predecessor {
                    Some(p) if p.node == self.me.node => {}
                    Some(p) => {
                        self.check(now, p);
                        self.ask(now, to, Question::Rectify, About::Nothing);
                    }
                    None => {
                        self.ask(now, to, Question::Rectify, About::Nothing);
                    }
                }
                if members.is_none() {
                    self.cross_up_if_between(now);
                }
            }
            Some(Reply::Outside | Reply::Done | Reply::Keepers { .. } | Reply::Closer { .. }) => {
                self.member_gone(now, &to.node);
                self.stabilise_members(now);
            }
            None => self.stabilise_members(now),
        }
    }

    /// A member was asked whether it lives.
    pub(super) fn member_answered(&mut self, now: Instant, to: NodeEntry, reply: Option<Reply>) {
        match reply {
            Some(Reply::State { .. } | Reply::Same) => self.take_in(now, [to]),
            Some(Reply::Outside | Reply::Done | Reply::Keepers { .. } | Reply::Closer { .. }) => {
                self.member_gone(now, &to.node);
            }
            None => {}
        }
        let Standing::Full(table) = &mut self.standing else { return };
        if let Some(next) = table.next_doubt() {
            self.check(now, next);
        }
    }

    /// A newcomer, or one that we had lost, tells us itself.
    pub(super) fn member_came(&mut self, now: Instant, from: NodeEntry) {
        let Standing::Full(table) = &self.standing else { return };
        if !table.contains(&from.node) {
            self.take_in(now, [from]);
            self.spread(now, &[from], &[]);
        }
    }

    /// A member is gone. The node before it spreads it.
    pub(super) fn member_gone(&mut self, now: Instant, node: &NodeId) {
        let Standing::Full(table) = &mut self.standing else { return };
        let first = table.others().next().copied();
        if !table.remove(node) {
            return;
        }
        if let Some(gone) = first
            && gone.node == *node
        {
            self.spread(now, &[], &[gone]);
        }
    }

    /// Takes members in; full membership may end by it.
    pub(super) fn take_in(&mut self, now: Instant, entries: impl IntoIterator<Item = NodeEntry>) {
        let Standing::Full(table) = &mut self.standing else { return };
        for entry in entries {
            if entry.node != self.me.node {
                table.insert(entry);
            }
        }
        self.cross_up_if_large(now);
    }

    /// Asks a node whether it lives and is a member; later, if many are being asked.
    pub(super) fn check(&mut self, now: Instant, node: NodeEntry) {
        if self.is_checked(&node) || node.node == self.me.node {
            return;
        }
        if self.open(|about| matches!(about, About::Member)) < CHECKS_MAX {
            self.ask_state(now, node, About::Member);
        } else if let Standing::Full(table) = &mut self.standing {
            table.doubt(&node.node);
        }
    }

    /// Whether a node is being asked whether it lives.
    fn is_checked(&self, node: &NodeEntry) -> bool {
        self.is_asked(&node.node, |about| matches!(about, About::Member))
    }

    /// Compares an arc with a member drawn by lot.
    pub(super) fn exchange_arc(&mut self, now: Instant) {
        let Standing::Full(table) = &self.standing else { return };
        // So few are compared whole whenever a node stabilises.
        if table.len() <= usize::from(self.config.successors) {
            return;
        }
        let lot = self.jitter.below(table.len() as u64 - 1) as usize;
        let Some(member) = table.others().nth(lot).copied() else { return };
        let key = RingKey(self.jitter.bytes());
        self.ask(now, member, Question::Nearest { key, width: NODES_MAX as u8 }, About::Arc);
    }

    pub(super) fn arc_answered(&mut self, now: Instant, near: Option<Near>) {
        match near {
            Some(Near::Keepers(nodes)) => self.compare(now, &nodes),
            Some(Near::Closer(_)) | None => {}
        }
    }

    /// Another's view of an arc: whom only one of us knows is asked whether it lives.
    fn compare(&mut self, now: Instant, arc: &[NodeEntry]) {
        let Standing::Full(table) = &self.standing else { return };
        let [first, .., last] = arc else { return };
        let unknown = arc.iter().filter(|n| !table.contains(&n.node)).copied();
        let ours = table.inside(first.node, last.node).take(4 * NODES_MAX);
        let surplus = ours.filter(|n| arc.iter().all(|known| known.node != n.node)).copied();
        let doubtful: Vec<NodeEntry> = unknown.chain(surplus).collect();
        for node in doubtful {
            self.check(now, node);
        }
    }
}

impl Table {
    /// The members strictly between two nodes, clockwise.
    fn inside(&self, first: NodeId, last: NodeId) -> impl Iterator<Item = &NodeEntry> {
        self.from(first)
            .skip_while(move |n| n.node == first)
            .take_while(move |n| between(&first, &n.node, &last))
    }
}
