//! Records at their keepers: put, refreshed, handed over and repaired.
//!
//! The rules are DESIGN 2.5's, applied to rows at once instead of message by message; what they
//! would send is billed. A home that refreshes a record asks the keeper that it knows for the
//! keepers of today and puts it at those four; if that one is dead it asks the next, and if none
//! lives it walks the ring. A keeper whose neighbourhood has changed looks through the records of
//! its arc (from its predecessor to itself) and puts those that its three successors lack; and it
//! gives a new predecessor what that one has to keep too. Dead keepers are not told from living
//! ones by magic: whoever puts at a dead one loses that copy.

use earshot_proto::ids::NodeId;
use earshot_proto::lookup::Near;

use super::credentials::{Handed, millis};
use super::fare::Purpose;
use super::trial::{REFRESH_EVERY, TICK, TURNS};
use super::world::{RECORD_LEN, World, number_of};

/// r: keepers of a key. DESIGN 2.5.
pub const KEEPERS: usize = 4;
/// Bytes of `Directory::Kept`.
const KEPT_LEN: usize = 3;
/// Bytes of the question for a key's keepers, and of the four in its answer.
const NEAREST_LEN: usize = 26;
const NEAR_LEN: usize = 4 * 74;
/// Hops of a walk before a home gives up until the next refresh.
const HOPS_MAX: usize = 32;
/// Arcs before a node in which it may hold records: its own and three more, twice that to be sure.
const ARCS: usize = 8;

impl World {
    /// Every record is held by its four keepers, as after a refresh of all in a ring at rest. Each
    /// was refreshed when it was its turn, and so was the one before.
    pub fn put_all(&mut self) {
        let places: Vec<(NodeId, u32)> = self.members.iter().map(|(n, at)| (*n, *at)).collect();
        let mut owner = 0;
        for user in 0..self.users.len() {
            let key = NodeId(self.users.key(user).0);
            while owner < places.len() && places[owner].0 < key {
                owner += 1;
            }
            let turn = millis((user as u64 % TURNS) * TICK) - millis(REFRESH_EVERY);
            self.renew(user, turn - millis(REFRESH_EVERY));
            let counter = self.renew(user, turn);
            for far in (0..KEEPERS.min(places.len())).rev() {
                let keeper = places[(owner + far) % places.len()].1;
                if self.believes(keeper, user, counter) {
                    self.users.hold(user, keeper, counter, |_| true);
                }
            }
        }
    }

    /// A home refreshes a user's record.
    pub fn refresh(&mut self, home: u32, user: usize) {
        let counter = self.renew(user, millis(self.now));
        let keepers = self.keepers_for(home, user);
        for keeper in keepers {
            self.put(user, keeper, counter, Purpose::Records);
        }
    }

    /// The user's device makes a newer record; says its counter.
    fn renew(&mut self, user: usize, made: i32) -> u16 {
        let counter = self.users.renew(user, made);
        self.credentials.made(made, user, counter);
        counter
    }

    /// The keepers of today, as the network says.
    fn keepers_for(&mut self, home: u32, user: usize) -> Vec<u32> {
        let key = self.users.key(user);
        let known = self.users.holders(user);
        let mut cursor: Vec<u32> = known.take(KEEPERS).chain([home]).collect();
        cursor.reverse();
        let mut best = Vec::new();
        for _ in 0..HOPS_MAX {
            let Some(at) = cursor.pop() else { break };
            let Some(ring) = &self.nodes[at as usize].ring else {
                self.bill.silent(Purpose::Records, 3, NEAREST_LEN);
                continue;
            };
            let near = ring.nearest(&key, KEEPERS);
            if at != home {
                self.bill.answered(Purpose::Records, false, 1, NEAREST_LEN, NEAR_LEN);
            }
            match near {
                Near::Keepers(nodes) => {
                    let is_whole = nodes.len() >= KEEPERS.min(self.members.len());
                    let nodes: Vec<u32> = nodes.iter().map(number_of).collect();
                    if is_whole {
                        return nodes;
                    }
                    // The list of this one ends; the first keeper knows the others.
                    cursor.extend(nodes.first());
                    if best.len() < nodes.len() {
                        best = nodes;
                    }
                }
                Near::Closer(nodes) => cursor.extend(nodes.iter().rev().map(number_of)),
            }
        }
        best
    }

    /// Puts a record at a node; a dead one loses it, a liar throws it away.
    fn put(&mut self, user: usize, at: u32, counter: u16, purpose: Purpose) {
        let node = &self.nodes[at as usize];
        if node.ring.is_none() {
            return self.bill.silent(purpose, 1, RECORD_LEN);
        }
        self.bill.answered(purpose, false, 1, RECORD_LEN, KEPT_LEN);
        if self.believes(at, user, counter) {
            let nodes = &self.nodes;
            self.users.hold(user, at, counter, |node| nodes[node as usize].ring.is_some());
        }
    }

    /// Whether a keeper takes a record that its user has made; a liar takes none.
    fn believes(&mut self, keeper: u32, user: usize, counter: u16) -> bool {
        let handed =
            Handed { user, counter, made: self.users.made(user, counter), is_forged: false };
        !self.nodes[keeper as usize].lies && self.credentials.believes(self.now, handed)
    }

    /// The neighbourhood of a node has changed: records go to where they are to be now.
    pub(super) fn repair(&mut self, number: u32) {
        let node = &self.nodes[number as usize];
        let Some(ring) = &node.ring else { return };
        let Some(before) = ring.predecessor() else { return };
        if node.lies {
            return;
        }
        let me = node.entry.node;
        let next: Vec<u32> = ring.successors().iter().take(KEEPERS - 1).map(number_of).collect();
        let earlier = self.users.len() * ARCS / self.members.len().max(1);
        for user in self.users.between(&before.node, &me).into_iter().flatten() {
            let Some(counter) = self.users.held(user, number) else { continue };
            for keeper in &next {
                if self.users.held(user, *keeper).is_none_or(|held| held < counter) {
                    self.put(user, *keeper, counter, Purpose::Repair);
                }
            }
        }
        let before_number = number_of(&before);
        let [first, second] = self.users.between(&before.node, &me);
        let start = if first.is_empty() { second.start } else { first.start };
        for back in 1..=earlier.min(self.users.len()) {
            let user = (start + self.users.len() - back) % self.users.len();
            let Some(counter) = self.users.held(user, number) else { continue };
            if self.users.held(user, before_number).is_none_or(|held| held < counter) {
                self.put(user, before_number, counter, Purpose::Repair);
            }
        }
    }

    /// How the records stand, by the truth.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let places: Vec<(NodeId, u32)> = self.members.iter().map(|(n, at)| (*n, *at)).collect();
        let (mut standing, mut owner) = (Standing::default(), 0);
        for user in 0..self.users.len() {
            let key = NodeId(self.users.key(user).0);
            while owner < places.len() && places[owner].0 < key {
                owner += 1;
            }
            let living = self.users.holders(user).filter(|holder| self.lives(*holder));
            let best = living.filter_map(|holder| self.users.held(user, holder)).max();
            let Some(best) = best else {
                standing.lost += 1;
                continue;
            };
            let is_whole = (0..KEEPERS.min(places.len())).all(|far| {
                let keeper = places[(owner + far) % places.len()].1;
                let lies = self.nodes[keeper as usize].lies;
                lies || self.users.held(user, keeper).is_some_and(|held| held >= best)
            });
            if is_whole {
                standing.whole += 1;
            } else {
                standing.partial += 1;
            }
        }
        standing
    }
}

/// How many records are where they should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Held by all four keepers.
    pub whole: usize,
    /// Held by somebody, but not by all four.
    pub partial: usize,
    /// Held by nobody who lives.
    pub lost: usize,
}
