//! How many hops a look-up takes in a large ring at rest, where every slot has a finger drawn by
//! lot, as proximity leaves it.

use super::*;
use crate::lookup::{End, Near};

struct Still {
    nodes: Vec<NodeEntry>,
    lots: Stream,
}

impl Still {
    fn new(len: u32) -> Self {
        let mut nodes: Vec<NodeEntry> = (0..len).map(entry).collect();
        nodes.sort_by_key(|n| n.node);
        Self { nodes, lots: lots(u64::from(len)).jitter }
    }

    /// The index of the first node that is not before a key.
    fn owner(&self, key: &RingKey) -> usize {
        self.nodes.partition_point(|n| n.node.0 < key.0) % self.nodes.len()
    }

    /// What that node knows.
    fn structure(&mut self, at: usize) -> Structure {
        let len = self.nodes.len();
        let me = self.nodes[at];
        let list: Vec<NodeEntry> = (1..=16).map(|far| self.nodes[(at + far) % len]).collect();
        let before = self.nodes[(at + len - 1) % len];
        let chord = Chord::ideal(me, 16, Some(before), list);
        let digits = Digits::HEXADECIMAL;
        let fingers = Fingers::new(me.node, digits);
        let mut structure = Structure { chord, fingers, slot: digits.first(), filled: true };
        let Some(last) = structure.last_slot() else { return structure };
        let mut slot = digits.first();
        loop {
            let lot = digits.key(slot, &me.node, self.lots.bytes());
            structure.hear(&[self.nodes[self.owner(&lot)]]);
            slot = digits.next(slot, last);
            if slot == digits.first() {
                return structure;
            }
        }
    }

    fn hops(&mut self) -> u8 {
        let key = RingKey(self.lots.bytes());
        let len = self.nodes.len();
        let asker = self.lots.below(len as u64) as usize;
        let own = self.structure(asker);
        let density = Density::of_list(own.chord.me().node, own.chord.successors());
        #[expect(clippy::disallowed_methods, reason = "a test begins at some moment")]
        let now = Instant::now();
        let mut lookup = Lookup::new(now, key, density, own.nearest(&key, 16));
        let owner = self.owner(&key);
        loop {
            match lookup.poll().expect("it goes on") {
                LookupOrder::Nearest { to, width } => {
                    let at = self.owner(&to.node.as_key());
                    let near = self.structure(at).nearest(&key, usize::from(width));
                    lookup.handle_near(now, &to.node, Some(near));
                }
                LookupOrder::Fetch { to } => {
                    let at = self.owner(&to.node.as_key());
                    let fetched = match (at + len - owner) % len {
                        0..4 => Fetched::Held { counter: 1, is_late: false },
                        _ => Fetched::NotHere,
                    };
                    lookup.handle_fetched(now, &to.node, fetched);
                }
                LookupOrder::Done(outcome) => {
                    assert!(matches!(outcome.end, End::Found { .. }), "{outcome:?}");
                    return outcome.hops;
                }
            }
        }
    }
}

#[test]
fn a_look_up_among_a_hundred_thousand_takes_four_hops() {
    let mut ring = Still::new(100_000);
    let times = 300;
    let sum: u32 = (0..times).map(|_| u32::from(ring.hops())).sum();
    let mean = f64::from(sum) / f64::from(times);
    assert!(mean <= 4.2, "{mean} hops");
}

#[test]
fn a_node_knows_a_finger_for_each_digit_that_matters() {
    let mut ring = Still::new(10_000);
    let structure = ring.structure(17);
    assert!((25..=60).contains(&structure.fingers.len()), "{}", structure.fingers.len());
}

#[test]
fn closer_nodes_lie_between_the_answerer_and_the_key() {
    let mut ring = Still::new(2_000);
    for at in 0..20 {
        let structure = ring.structure(at * 100);
        let key = RingKey(ring.lots.bytes());
        let Near::Closer(nodes) = structure.nearest(&key, 8) else { continue };
        let me = structure.chord.me().node;
        assert!(nodes.iter().all(|n| chord::between(&me, &n.node, &NodeId(key.0))));
        assert!(nodes.is_sorted_by_key(|n| n.node.as_key().distance_to(&NodeId(key.0))));
    }
}
