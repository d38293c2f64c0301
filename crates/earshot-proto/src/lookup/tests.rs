//! Look-ups in a ring that stands still, with nodes that lie, drop and replay.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::entropy::{Entropy, Stream};
use crate::wire::certificate::AgreeKey;

fn entry(number: u32) -> NodeEntry {
    let [_, b, c, d] = number.to_be_bytes();
    let address = SocketAddr::from(([10, b, c, d], 4433));
    NodeEntry { node: NodeId::of(address, &[0; 16]), address, key: AgreeKey([0; 32]) }
}

/// What a node does when it is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Honest,
    /// Says nothing.
    Silent,
    /// Names only other liars, as keepers or as nodes on the way, and denies to hold anything.
    Liar,
}

/// A ring of which each node knows sixteen successors and a node near each power of two.
struct Still {
    nodes: Vec<(NodeEntry, Kind)>,
    /// How many nodes those that look up believe the ring to have.
    believed: u64,
    lots: Stream,
    places: BTreeMap<NodeId, usize>,
}

impl Still {
    /// Of `len` nodes, `percent` in a hundred are of the other kind.
    fn new(seed: u8, len: u32, kind: Kind, percent: u64) -> Self {
        let mut lots = Entropy::new([seed; 32]).jitter;
        let mut nodes: Vec<(NodeEntry, Kind)> = (0..len)
            .map(|number| {
                let kind = if lots.below(100) < percent { kind } else { Kind::Honest };
                (entry(number), kind)
            })
            .collect();
        nodes.sort_by_key(|(n, _)| n.node);
        let places = nodes.iter().enumerate().map(|(at, (n, _))| (n.node, at)).collect();
        Self { nodes, believed: u64::from(len), lots, places }
    }

    fn owner(&self, key: &RingKey) -> usize {
        self.nodes.partition_point(|(n, _)| n.node.0 < key.0) % self.nodes.len()
    }

    /// Nodes of a kind clockwise from a place.
    fn after(&self, at: usize, kind: Option<Kind>) -> impl Iterator<Item = NodeEntry> {
        let nodes = self.nodes.iter().cycle().skip(at).take(self.nodes.len());
        nodes.filter(move |(_, k)| kind.is_none_or(|kind| *k == kind)).map(|(n, _)| *n)
    }

    fn near(&self, at: usize, key: &RingKey, width: usize) -> Option<Near> {
        let len = self.nodes.len();
        let owner = self.owner(key);
        let way = (owner + len - at) % len;
        match self.nodes[at].1 {
            Kind::Silent => None,
            Kind::Liar => {
                Some(Near::Keepers(self.after(owner, Some(Kind::Liar)).take(width).collect()))
            }
            Kind::Honest if way <= 16 => {
                Some(Near::Keepers(self.after(owner, None).take(width.min(17 - way)).collect()))
            }
            Kind::Honest => {
                let far = (0..).map(|power| 1 << power).take_while(|far| *far < way);
                let mut nodes: Vec<NodeEntry> =
                    far.map(|far: usize| self.nodes[(at + far) % len].0).collect();
                nodes.reverse();
                nodes.truncate(width);
                Some(Near::Closer(nodes))
            }
        }
    }

    /// One look-up by an honest node for a key whose four keepers hold a record.
    fn look_up(&mut self, holds: impl Fn(usize) -> bool) -> Outcome {
        let len = self.nodes.len();
        let key = RingKey(self.lots.bytes());
        let by = loop {
            let at = self.lots.below(len as u64) as usize;
            if self.nodes[at].1 == Kind::Honest {
                break at;
            }
        };
        let near = self.near(by, &key, 16).expect("it is honest");
        let owner = self.owner(&key);
        let density = Density::of_ring(self.believed);
        #[expect(clippy::disallowed_methods, reason = "a test begins at some moment")]
        let mut now = Instant::now();
        let mut lookup = Lookup::new(now, key, Some(density), near);
        let mut asked: BTreeMap<NodeId, u32> = BTreeMap::new();
        let mut silent = Vec::new();
        loop {
            match lookup.poll() {
                Some(Order::Nearest { to, width }) => {
                    *asked.entry(to.node).or_default() += 1;
                    let at = self.places[&to.node];
                    match self.near(at, &key, usize::from(width)) {
                        Some(near) => lookup.handle_near(now, &to.node, Some(near)),
                        None => silent.push((to.node, true)),
                    }
                }
                Some(Order::Fetch { to }) => {
                    let at = self.places[&to.node];
                    let far = (at + len - owner) % len;
                    match self.nodes[at].1 {
                        Kind::Honest if holds(far) => {
                            lookup.handle_fetched(
                                now,
                                &to.node,
                                Fetched::Held { counter: 7, is_late: false },
                            );
                        }
                        Kind::Honest | Kind::Liar => {
                            lookup.handle_fetched(now, &to.node, Fetched::NotHere);
                        }
                        Kind::Silent => silent.push((to.node, false)),
                    }
                }
                Some(Order::Done(outcome)) => {
                    assert!(outcome.messages <= MESSAGES_MAX);
                    assert!(asked.values().all(|times| *times == 1), "nobody is asked twice");
                    return outcome;
                }
                None => match lookup.poll_timeout() {
                    Some(at) => {
                        now = at;
                        lookup.handle_timeout(now);
                    }
                    None => match silent.pop().expect("somebody is waited for") {
                        (node, true) => lookup.handle_near(now, &node, None),
                        (node, false) => lookup.handle_fetched(now, &node, Fetched::Failed),
                    },
                },
            }
        }
    }

    fn found_of(&mut self, times: usize) -> f64 {
        let found = (0..times).filter(|_| {
            let outcome = self.look_up(|far| far < 4);
            matches!(outcome.end, End::Found { counter: 7, .. })
        });
        found.count() as f64 / times as f64
    }
}

#[test]
fn an_honest_ring_is_always_searched_successfully() {
    assert_eq!(Still::new(1, 2_000, Kind::Liar, 0).found_of(300), 1.0);
}

#[test]
fn a_fifth_of_liars_costs_less_than_a_hundredth() {
    let found = Still::new(2, 2_000, Kind::Liar, 20).found_of(600);
    assert!(found >= 0.99, "{found}");
}

#[test]
fn half_of_the_ring_lying_costs_less_than_a_tenth() {
    let found = Still::new(3, 2_000, Kind::Liar, 50).found_of(600);
    assert!(found >= 0.90, "{found}");
}

#[test]
fn a_third_of_silent_nodes_is_passed_by() {
    let found = Still::new(4, 2_000, Kind::Silent, 30).found_of(600);
    assert!(found >= 0.98, "{found}; the ceiling is 1 − 0.3^4 = 0.992");
}

#[test]
fn a_record_that_lies_behind_the_four_is_found_by_widening() {
    let mut ring = Still::new(5, 2_000, Kind::Silent, 60);
    let rounds: Vec<u8> = (0..200).map(|_| ring.look_up(|far| far >= 4)).map(|o| o.round).collect();
    assert!(rounds.iter().any(|round| *round >= 2));
}

#[test]
fn three_of_four_denials_end_the_look_up() {
    let mut ring = Still::new(6, 2_000, Kind::Liar, 0);
    for _ in 0..50 {
        let outcome = ring.look_up(|_| false);
        assert_eq!((outcome.end, outcome.round, outcome.asked), (End::NotFound, 1, 4));
    }
}

/// A look-up whose asker knows a ring of four, and whom it asks first.
fn of_four() -> (Instant, Vec<NodeEntry>, Lookup) {
    #[expect(clippy::disallowed_methods, reason = "a test begins at some moment")]
    let now = Instant::now();
    let nodes: Vec<NodeEntry> = Still::new(7, 4, Kind::Liar, 0).after(0, None).collect();
    let key = nodes[0].node.as_key();
    let mut lookup = Lookup::new(now, key, Some(Density::of_ring(4)), Near::Keepers(nodes.clone()));
    assert_eq!(lookup.poll(), Some(Order::Fetch { to: nodes[0] }));
    assert_eq!(lookup.poll(), Some(Order::Fetch { to: nodes[1] }));
    assert_eq!(lookup.poll(), None);
    (now, nodes, lookup)
}

const fn held(counter: u64, is_late: bool) -> Fetched {
    Fetched::Held { counter, is_late }
}

#[test]
fn two_that_hold_the_same_are_believed_at_once() {
    let (now, nodes, mut lookup) = of_four();
    lookup.handle_fetched(now, &nodes[0].node, held(3, false));
    assert_eq!(lookup.poll(), None, "one is not enough");
    lookup.handle_fetched(now, &nodes[1].node, held(3, false));
    let Some(Order::Done(outcome)) = lookup.poll() else { panic!("it is over") };
    assert!(matches!(outcome.end, End::Found { counter: 3, .. }));
}

#[test]
fn where_keepers_are_at_odds_all_four_are_asked_and_the_highest_counter_is_taken() {
    // Others than the first two hold the newest: it was replaced, is late, or is denied.
    for (first, second) in [
        (held(3, false), held(9, false)),
        (held(3, true), held(3, true)),
        (held(3, false), Fetched::NotHere),
    ] {
        let (now, nodes, mut lookup) = of_four();
        lookup.handle_fetched(now, &nodes[0].node, first);
        lookup.handle_fetched(now, &nodes[1].node, second);
        assert_eq!(lookup.poll(), Some(Order::Fetch { to: nodes[2] }), "{first:?} {second:?}");
        assert_eq!(lookup.poll(), Some(Order::Fetch { to: nodes[3] }));
        lookup.handle_fetched(now, &nodes[3].node, held(12, false));
        assert_eq!(lookup.poll(), None, "one may be newer still");
        lookup.handle_fetched(now, &nodes[2].node, held(3, false));
        let Some(Order::Done(outcome)) = lookup.poll() else { panic!("it is over") };
        assert_eq!(outcome.end, End::Found { keeper: nodes[3].node, counter: 12 });
    }
}

#[test]
fn an_answer_that_is_too_sparse_is_refused() {
    let ring = Still::new(8, 1_000, Kind::Honest, 0);
    let key = RingKey([42; 20]);
    let owner = ring.owner(&key);
    let honest: Vec<NodeEntry> = ring.after(owner, None).take(8).collect();
    let sparse: Vec<NodeEntry> = ring.after(owner, None).step_by(10).take(8).collect();
    let density = Density::of_ring(1_000);
    assert!(density.admits(&key, &honest));
    assert!(!density.admits(&key, &sparse));
    let mut shuffled = honest;
    shuffled.swap(1, 5);
    assert!(!density.admits(&key, &shuffled), "out of order");
    assert!(!density.admits(&key, &[]));
}

#[test]
fn who_thinks_the_ring_much_larger_than_it_is_finds_what_is_held_all_the_same() {
    let mut ring = Still { believed: 100_000, ..Still::new(10, 200, Kind::Honest, 0) };
    assert_eq!(ring.found_of(200), 1.0, "every answer is too sparse, and yet the best there is");
    let outcome = ring.look_up(|_| false);
    assert!(
        outcome.end != End::NotFound,
        "such keepers are not believed when they deny: {outcome:?}"
    );
}

proptest! {
    #[test]
    fn the_density_of_a_list_tells_the_size_of_the_ring(len in 100_u32..3_000) {
        let ring = Still::new(9, len, Kind::Honest, 0);
        let list: Vec<NodeEntry> = ring.after(1, None).take(64).collect();
        let told = Density::of_list(ring.nodes[0].0.node, &list).expect("a list").ring_len();
        prop_assert!((u64::from(len) / 2..u64::from(len) * 2).contains(&told), "{told} of {len}");
    }

    #[test]
    fn whatever_is_answered_a_look_up_ends(answers in prop::collection::vec(any::<u8>(), 1..400)) {
        #[expect(clippy::disallowed_methods, reason = "a test begins at some moment")]
        let now = Instant::now();
        let start = Near::Closer((0..8).map(entry).collect());
        let mut lookup = Lookup::new(now, RingKey([1; 20]), None, start);
        let (mut number, mut orders) = (100, 0);
        let mut answers = answers.into_iter().cycle();
        loop {
            let answer = answers.next().unwrap_or(0);
            let mut nodes: Vec<NodeEntry> = (0..u32::from(answer / 16)).map(|_| {
                number += 1;
                entry(number)
            }).collect();
            nodes.sort_by_key(|n| RingKey([1; 20]).distance_to(&n.node));
            match lookup.poll() {
                Some(Order::Nearest { to, .. }) => {
                    let near = match answer % 4 {
                        0 => None,
                        1 | 2 => Some(Near::Closer(nodes)),
                        _ => Some(Near::Keepers(nodes)),
                    };
                    lookup.handle_near(now, &to.node, near);
                }
                Some(Order::Fetch { to }) => lookup.handle_fetched(now, &to.node, match answer % 5 {
                    0 | 1 => Fetched::NotHere,
                    2 | 3 => Fetched::Failed,
                    _ => Fetched::Held { counter: u64::from(answer), is_late: false },
                }),
                Some(Order::Done(_)) => break,
                None => prop_assert!(false, "everything was answered"),
            }
            orders += 1;
            prop_assert!(orders <= usize::from(MESSAGES_MAX) + 1);
        }
    }
}
