//! Fingers: nodes far around the ring, so that a look-up takes digits instead of nodes.
//!
//! Base 16 instead of Chord's 2 (Stoica et al. 2001): the distance from us to a node is written in
//! hexadecimal, and for each place of its first digit that is not zero, and each value of that
//! digit, one node is kept. So a hop takes away one digit: 15/16 · log16 N hops instead of
//! ½ · log2 N, for 15 fingers a level instead of 4. Levels that the successor list covers are not
//! kept. The laboratory tries other bases (`docs/decisions.md`), so a digit's bits are a setting.
//!
//! Any node of a finger's interval will do, so the one with the lowest round trip is taken
//! (proximity neighbour selection: Gummadi et al., SIGCOMM 2003). Candidates come from answers that
//! are seen anyway; one is preferred only when its own answer was measured.

use std::time::Duration;

use crate::ids::{NodeId, RingKey};
use crate::wire::directory::NodeEntry;

/// Fingers kept at most. Our choice: base 64 in a ring of 10^5 has 126; base 16 in one of 10^6 has
/// 80.
pub const FINGERS_MAX: usize = 128;
/// Bits of an id.
const BITS: u32 = 160;

/// How distances are written: bits of one digit, at most 8. None: there are no fingers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digits(u8);

impl Digits {
    /// Base 16.
    pub const HEXADECIMAL: Self = Self(4);
    /// No fingers: only successors lead on.
    pub const NONE: Self = Self(0);

    /// Digits of so many bits, at most 8.
    #[must_use]
    pub const fn of_bits(bits: u8) -> Self {
        Self(if bits > 8 { 8 } else { bits })
    }

    /// The farthest slot.
    #[must_use]
    pub const fn first(self) -> Slot {
        Slot { level: 0, digit: self.greatest() }
    }

    /// The slot of a node as seen from `me`; none for `me` itself, and without fingers.
    #[must_use]
    pub fn slot(self, me: &NodeId, node: &NodeId) -> Option<Slot> {
        let distance = me.as_key().distance_to(node);
        let byte = distance.iter().position(|byte| *byte != 0)?;
        let first = 8 * byte as u32 + distance[byte].leading_zeros();
        let level = first.checked_div(u32::from(self.0))?;
        let at = (level * u32::from(self.0)) as usize;
        let next = |byte: usize| u16::from(distance.get(byte).copied().unwrap_or(0));
        let window = next(at / 8) << 8 | next(at / 8 + 1);
        let digit = window << (at % 8) >> (16 - u16::from(self.0));
        Some(Slot { level: level as u8, digit: digit as u8 })
    }

    /// A key in a slot's interval as seen from `me`; `random` says which.
    #[must_use]
    pub fn key(self, slot: Slot, me: &NodeId, mut random: [u8; 20]) -> RingKey {
        let start = usize::from(slot.level) * usize::from(self.0);
        for bit in 0..start + usize::from(self.0) {
            let below = bit.checked_sub(start).map(|at| usize::from(self.0) - 1 - at);
            let is_set = below.is_some_and(|below| slot.digit >> below & 1 == 1);
            let mask = 0x80 >> (bit % 8);
            if let Some(byte) = random.get_mut(bit / 8) {
                *byte = *byte & !mask | if is_set { mask } else { 0 };
            }
        }
        let mut key = me.0;
        let mut carry = 0;
        for (to, add) in key.iter_mut().zip(random).rev() {
            let sum = u16::from(*to) + u16::from(add) + carry;
            *to = sum.to_be_bytes()[1];
            carry = sum >> 8;
        }
        RingKey(key)
    }

    /// The slot after this one: digits down, then levels; back to the first after `last`.
    #[must_use]
    pub const fn next(self, slot: Slot, last: Slot) -> Slot {
        let Slot { level, digit } = slot;
        if digit > 1 {
            Slot { level, digit: digit - 1 }
        } else if level < last.level && (level as u32 + 1) * (self.0 as u32) < BITS {
            Slot { level: level + 1, digit: self.greatest() }
        } else {
            self.first()
        }
    }

    const fn greatest(self) -> u8 {
        ((1_u16 << self.0) - 1) as u8
    }
}

/// Where a finger points: the level (the first digit of the distance that is not zero, counted from
/// the most significant) and that digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    level: u8,
    digit: u8,
}

impl Slot {
    /// Whether it lies on a nearer level than another.
    #[must_use]
    pub const fn is_nearer_than(self, other: Self) -> bool {
        self.level > other.level
    }
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
    digits: Digits,
    fingers: Vec<Finger>,
}

impl Fingers {
    /// None yet.
    #[must_use]
    pub const fn new(me: NodeId, digits: Digits) -> Self {
        Self { me, digits, fingers: Vec::new() }
    }

    /// The slot of a node.
    #[must_use]
    pub fn slot(&self, node: &NodeId) -> Option<Slot> {
        self.digits.slot(&self.me, node)
    }

    /// A key in a slot's interval; `random` says which.
    #[must_use]
    pub fn key(&self, slot: Slot, random: [u8; 20]) -> RingKey {
        self.digits.key(slot, &self.me, random)
    }

    /// The slot after this one, back to the first after `last`; answers also whether it went back.
    #[must_use]
    pub fn next(&self, slot: Slot, last: Slot) -> (Slot, bool) {
        let next = self.digits.next(slot, last);
        (next, next == self.digits.first())
    }

    /// A node was named by somebody. It is kept if its slot is empty.
    pub fn heard(&mut self, entry: &NodeEntry) {
        let Some(slot) = self.slot(&entry.node) else { return };
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
        let Some(slot) = self.slot(&entry.node) else { return };
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
        let Some(end) = self.slot(last) else { return };
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

    const HEX: Digits = Digits::HEXADECIMAL;

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
        assert_eq!(HEX.slot(&me, &NodeId(at(0x10, 0))), Some(Slot { level: 0, digit: 2 }));
        assert_eq!(HEX.slot(&me, &NodeId(at(0xf3, 0))), Some(Slot { level: 1, digit: 3 }));
        assert_eq!(HEX.slot(&me, &NodeId(at(0xf0, 7))), Some(Slot { level: 39, digit: 7 }));
        assert_eq!(HEX.slot(&me, &me), None);
    }

    #[test]
    fn other_digits_cut_the_way_elsewhere_and_none_has_no_slots() {
        let (me, node) = (NodeId([0; 20]), NodeId(at(0x0b, 0)));
        let slot = |bits| Digits::of_bits(bits).slot(&me, &node);
        assert_eq!(slot(1), Some(Slot { level: 4, digit: 1 }));
        assert_eq!(slot(2), Some(Slot { level: 2, digit: 0b10 }));
        assert_eq!(slot(6), Some(Slot { level: 0, digit: 0b10 }));
        assert_eq!(slot(8), Some(Slot { level: 0, digit: 0x0b }));
        assert_eq!(Digits::NONE.slot(&me, &node), None);
    }

    #[test]
    fn the_nearer_by_round_trip_takes_the_slot_and_hearsay_does_not() {
        let mut fingers = Fingers::new(NodeId([0; 20]), HEX);
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
        let mut fingers = Fingers::new(NodeId([0; 20]), HEX);
        for first in [0x80, 0x08, 0x01] {
            fingers.heard(&entry(at(first, 0)));
        }
        fingers.heard(&entry(at(0, 9)));
        fingers.covered(&NodeId(at(0x02, 0)));
        assert_eq!(fingers.len(), 3);
    }

    proptest! {
        #[test]
        fn a_key_of_a_slot_lies_in_it(
            me: [u8; 20],
            node: [u8; 20],
            random: [u8; 20],
            zeros in 0_usize..20,
            bits in 1_u8..=8,
        ) {
            let (me, mut near) = (NodeId(me), node);
            near[..zeros].copy_from_slice(&me.0[..zeros]);
            let digits = Digits::of_bits(bits);
            for node in [node, near] {
                if let Some(slot) = digits.slot(&me, &NodeId(node)) {
                    let key = digits.key(slot, &me, random);
                    let last_is_cut = (u32::from(slot.level) + 1) * u32::from(bits) > BITS;
                    prop_assert!(last_is_cut || digits.slot(&me, &NodeId(key.0)) == Some(slot));
                }
            }
        }

        #[test]
        fn slots_are_walked_once_around(level in 0_u8..20, bits in 1_u8..=8) {
            let digits = Digits::of_bits(bits);
            let last = Slot { level, digit: 1 };
            let mut slot = digits.first();
            let mut seen = 0;
            loop {
                seen += 1;
                slot = digits.next(slot, last);
                if slot == digits.first() {
                    break;
                }
            }
            let levels = (usize::from(level) + 1).min(usize::from(BITS as u8 / bits) + 1);
            prop_assert!(seen <= levels * ((1 << bits) - 1));
            prop_assert!(level >= 19 || seen == levels * ((1 << bits) - 1));
        }

        #[test]
        fn fingers_are_bounded(nodes in prop::collection::vec(any::<[u8; 20]>(), 0..300)) {
            let mut fingers = Fingers::new(NodeId([7; 20]), HEX);
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
