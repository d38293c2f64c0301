//! Fingers: nodes far around the ring, so that a look-up takes digits instead of nodes.
//!
//! Base 16 instead of Chord's 2 (Stoica et al. 2001): the distance from us to a node is written in
//! hexadecimal, and for each place of its first digit that is not zero, and each value of that
//! digit, one node is kept. So a hop takes away one digit: 15/16 · log16 N hops instead of
//! ½ · log2 N, for 15 fingers a level instead of 4. Levels that the successor list covers are not
//! kept.
//!
//! Any node of a finger's interval will do, so the one with the lowest round trip is taken
//! (proximity neighbour selection: Gummadi et al., SIGCOMM 2003). Candidates come from answers that
//! are seen anyway; one is preferred only when its own answer was measured.

use std::time::Duration;

use crate::ids::{NodeId, RingKey};
use crate::wire::directory::NodeEntry;

/// Fingers kept at most. Our choice: 5.3 levels matter in a ring of 10^6, at 15 a level.
pub const FINGERS_MAX: usize = 96;
/// Levels: hexadecimal digits of an id.
const LEVELS: u8 = 40;

/// Where a finger points: the level (the first digit of the distance that is not zero, counted from
/// the most significant) and that digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    level: u8,
    digit: u8,
}

impl Slot {
    /// The slot of a node as seen from `me`; none for `me` itself.
    #[must_use]
    pub fn of(me: &NodeId, node: &NodeId) -> Option<Self> {
        let distance = me.as_key().distance_to(node);
        let byte = distance.iter().position(|byte| *byte != 0)?;
        let level = 2 * byte as u8;
        Some(match distance[byte] {
            high @ 16.. => Self { level, digit: high >> 4 },
            low => Self { level: level + 1, digit: low },
        })
    }

    /// A key in the slot's interval as seen from `me`; `random` says which.
    #[must_use]
    pub fn key(self, me: &NodeId, mut random: [u8; 20]) -> RingKey {
        let byte = usize::from(self.level / 2);
        random[..byte].fill(0);
        random[byte] = match self.level % 2 {
            0 => self.digit << 4 | random[byte] & 0x0f,
            _ => self.digit,
        };
        let mut key = me.0;
        let mut carry = 0;
        for (to, add) in key.iter_mut().zip(random).rev() {
            let sum = u16::from(*to) + u16::from(add) + carry;
            *to = sum.to_be_bytes()[1];
            carry = sum >> 8;
        }
        RingKey(key)
    }

    /// Whether it lies on a nearer level than another.
    #[must_use]
    pub const fn is_nearer_than(self, other: Self) -> bool {
        self.level > other.level
    }

    /// The slot after this one: digits down, then levels; back to the first after `last`.
    #[must_use]
    pub const fn next(self, last: Self) -> Self {
        match self {
            Self { level, digit: 2.. } => Self { level, digit: self.digit - 1 },
            Self { level, .. } if level < last.level && level + 1 < LEVELS => {
                Self { level: level + 1, digit: 15 }
            }
            Self { .. } => Self::FIRST,
        }
    }

    /// The farthest slot.
    pub const FIRST: Self = Self { level: 0, digit: 15 };
}

/// One finger.
#[derive(Clone, Copy, Debug)]
struct Finger {
    slot: Slot,
    entry: NodeEntry,
    /// In microseconds; `u32::MAX` while it was not measured.
    rtt: u32,
}

/// All fingers of a node, by slot.
#[derive(Clone, Debug)]
pub struct Fingers {
    me: NodeId,
    fingers: Vec<Finger>,
}

impl Fingers {
    /// None yet.
    #[must_use]
    pub const fn new(me: NodeId) -> Self {
        Self { me, fingers: Vec::new() }
    }

    /// A node was named by somebody. It is kept if its slot is empty.
    pub fn heard(&mut self, entry: &NodeEntry) {
        let Some(slot) = Slot::of(&self.me, &entry.node) else { return };
        match self.at(slot) {
            Ok(at) if self.fingers[at].entry.node == entry.node => self.fingers[at].entry = *entry,
            Ok(_) => {}
            Err(_) if self.fingers.len() >= FINGERS_MAX => {}
            Err(at) => self.fingers.insert(at, Finger { slot, entry: *entry, rtt: u32::MAX }),
        }
    }

    /// A node itself has answered after `rtt`. It takes its slot if nobody nearer has it.
    pub fn answered(&mut self, entry: &NodeEntry, rtt: Duration) {
        self.heard(entry);
        let rtt = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX - 1);
        let Some(slot) = Slot::of(&self.me, &entry.node) else { return };
        let Ok(at) = self.at(slot) else { return };
        let finger = &mut self.fingers[at];
        if finger.entry.node == entry.node || rtt < finger.rtt {
            *finger = Finger { slot, entry: *entry, rtt };
        }
    }

    /// A node's round trip was measured elsewhere.
    pub fn measured(&mut self, node: &NodeId, rtt: Duration) {
        if let Some(finger) = self.fingers.iter_mut().find(|f| f.entry.node == *node) {
            finger.rtt = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX - 1);
        }
    }

    /// A node was found dead.
    pub fn forget(&mut self, node: &NodeId) {
        self.fingers.retain(|f| f.entry.node != *node);
    }

    /// The successor list now ends at `last`: nearer levels are its business.
    pub fn covered(&mut self, last: &NodeId) {
        let Some(end) = Slot::of(&self.me, last) else { return };
        self.fingers.retain(|f| f.slot.level <= end.level);
    }

    /// The finger of a slot.
    #[must_use]
    pub fn get(&self, slot: Slot) -> Option<NodeEntry> {
        self.at(slot).ok().map(|at| self.fingers[at].entry)
    }

    /// All of them, the farthest level first.
    pub fn iter(&self) -> impl Iterator<Item = &NodeEntry> {
        self.fingers.iter().map(|f| &f.entry)
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.fingers.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.fingers.is_empty()
    }

    fn at(&self, slot: Slot) -> Result<usize, usize> {
        self.fingers.binary_search_by_key(&slot, |f| f.slot)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::super_peer::ring::chord::between;
    use crate::wire::certificate::AgreeKey;

    fn entry(node: [u8; 20]) -> NodeEntry {
        let address = std::net::SocketAddr::from(([192, 0, 2, 1], 4433));
        NodeEntry { node: NodeId(node), address, key: AgreeKey([0; 32]) }
    }

    fn at(first: u8, last: u8) -> [u8; 20] {
        let mut node = [0; 20];
        (node[0], node[19]) = (first, last);
        node
    }

    #[test]
    fn a_slot_is_the_first_digit_of_the_way_around_zero_too() {
        let me = NodeId(at(0xf0, 0));
        assert_eq!(Slot::of(&me, &NodeId(at(0x10, 0))), Some(Slot { level: 0, digit: 2 }));
        assert_eq!(Slot::of(&me, &NodeId(at(0xf3, 0))), Some(Slot { level: 1, digit: 3 }));
        assert_eq!(Slot::of(&me, &NodeId(at(0xf0, 7))), Some(Slot { level: 39, digit: 7 }));
        assert_eq!(Slot::of(&me, &me), None);
    }

    #[test]
    fn the_nearer_by_round_trip_takes_the_slot_and_hearsay_does_not() {
        let mut fingers = Fingers::new(NodeId([0; 20]));
        let (far, near, heard) = (entry(at(0x41, 1)), entry(at(0x42, 2)), entry(at(0x43, 3)));
        let slot = Slot { level: 0, digit: 4 };
        fingers.heard(&far);
        fingers.heard(&heard);
        assert_eq!(fingers.get(slot), Some(far), "the slot is taken");
        fingers.answered(&far, Duration::from_millis(200));
        fingers.answered(&near, Duration::from_millis(20));
        assert_eq!(fingers.get(slot), Some(near));
        fingers.answered(&far, Duration::from_millis(100));
        assert_eq!(fingers.get(slot), Some(near));
        fingers.measured(&near.node, Duration::from_millis(500));
        fingers.answered(&far, Duration::from_millis(100));
        assert_eq!(fingers.get(slot), Some(far), "the line of the other became slow");
        fingers.forget(&far.node);
        assert!(fingers.is_empty());
    }

    #[test]
    fn levels_that_the_successors_cover_are_dropped() {
        let mut fingers = Fingers::new(NodeId([0; 20]));
        for first in [0x80, 0x08, 0x01] {
            fingers.heard(&entry(at(first, 0)));
        }
        fingers.heard(&entry(at(0, 9)));
        fingers.covered(&NodeId(at(0x02, 0)));
        assert_eq!(fingers.len(), 3);
    }

    proptest! {
        #[test]
        fn a_key_of_a_slot_lies_in_it(me: [u8; 20], node: [u8; 20], random: [u8; 20]) {
            if let Some(slot) = Slot::of(&NodeId(me), &NodeId(node)) {
                let key = slot.key(&NodeId(me), random);
                prop_assert_eq!(Slot::of(&NodeId(me), &NodeId(key.0)), Some(slot));
            }
        }

        #[test]
        fn slots_are_walked_once_around(level in 0_u8..LEVELS, digit in 1_u8..16) {
            let last = Slot { level, digit };
            let mut slot = Slot::FIRST;
            let mut seen = 0;
            loop {
                seen += 1;
                slot = slot.next(last);
                if slot == Slot::FIRST {
                    break;
                }
            }
            prop_assert_eq!(seen, (usize::from(level) + 1) * 15);
        }

        #[test]
        fn fingers_are_bounded(nodes in prop::collection::vec(any::<[u8; 20]>(), 0..300)) {
            let mut fingers = Fingers::new(NodeId([7; 20]));
            nodes.iter().for_each(|node| fingers.heard(&entry(*node)));
            prop_assert!(fingers.len() <= FINGERS_MAX);
        }

        #[test]
        fn of_three_places_one_lies_between_the_others(a: u8, b: u8, c: u8) {
            if a != b && b != c && a != c {
                prop_assert!(between(&a, &b, &c) != between(&a, &c, &b));
            }
            prop_assert!(!between(&a, &a, &b) && (a == b || !between(&a, &b, &b)));
            prop_assert_eq!(between(&a, &b, &a), a != b);
        }
    }
}
