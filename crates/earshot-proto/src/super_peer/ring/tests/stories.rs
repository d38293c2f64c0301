//! Rings that grow, lose members, and are parted.

use super::*;
use crate::lookup::{End, Near};

/// So many nodes start one after the other, each through the first.
fn grown(seed: u64, config: Config, nodes: u32) -> Net {
    let mut net = Net::new(seed, config);
    net.start(0, &[]);
    for number in 1..nodes {
        net.start(number, &[0]);
        net.run(Duration::from_millis(300));
    }
    net
}

fn soon(net: &mut Net, seconds: u64, done: impl Fn(&Net) -> bool) -> bool {
    let end = net.now + Duration::from_secs(seconds);
    net.run_until(end, done)
}

const SMALL: Config = Config::with_thresholds(8, 4);

#[test]
fn a_node_alone_keeps_everything() {
    let net = grown(1, SMALL, 1);
    let alone = net.ring(0);
    assert_eq!(alone.nearest(&RingKey([7; 20]), 4), Near::Keepers(vec![entry(0)]));
    assert_eq!((alone.mode(), alone.len_estimate()), (Mode::Full, 1));
}

#[test]
fn below_the_threshold_everybody_knows_everybody() {
    let mut net = grown(2, Config::default(), 40);
    assert!(soon(&mut net, 10, |net| net.rings.values().all(|ring| ring.len_estimate() == 40)));
    assert!(net.is_perfect() && net.all_in(Mode::Full));
    let key = RingKey([99; 20]);
    let keepers = net.keepers(&key, 4);
    for ring in net.rings.values() {
        let near = ring.nearest(&key, 4);
        assert!(near.nodes().iter().map(|n| n.node).eq(keepers.iter().copied()));
    }
}

#[test]
fn sixteen_nodes_at_once_form_a_perfect_ring_within_ten_seconds() {
    let mut net = Net::new(3, SMALL);
    for number in 0..16 {
        net.start(number, &[0, 1, 2]);
    }
    assert!(soon(&mut net, 10, Net::is_perfect));
    assert!(net.all_in(Mode::Chord));
    assert!(net.finds_all(200));
}

#[test]
fn a_ring_is_perfect_again_ten_seconds_after_a_third_of_it_died() {
    let mut net = grown(4, SMALL, 48);
    assert!(soon(&mut net, 20, Net::is_perfect));
    (0..48).filter(|number| number % 3 == 1).for_each(|number| net.kill(number));
    assert!(soon(&mut net, 10, Net::is_perfect));
    assert!(net.finds_all(200));
}

#[test]
fn full_membership_forgets_the_dead() {
    let mut net = grown(5, Config::default(), 30);
    net.run(Duration::from_secs(5));
    (20..30).for_each(|number| net.kill(number));
    assert!(soon(&mut net, 20, |net| net.rings.values().all(|ring| ring.len_estimate() == 20)));
    assert!(net.is_perfect());
}

#[test]
fn who_leaves_politely_is_missed_by_nobody() {
    let mut net = grown(6, SMALL, 20);
    assert!(soon(&mut net, 20, Net::is_perfect));
    let now = net.now;
    let node = entry(5).node;
    let mut leaver = net.rings.remove(&node).expect("it runs");
    leaver.leave(now);
    let told: Vec<Order> = std::iter::from_fn(|| leaver.poll()).collect();
    assert!(!told.is_empty());
    for order in told {
        let Order::Ask { ask, to, question } = order else { continue };
        let (to, from) = (to.node, entry(5));
        net.later(ONE_WAY, Event::Question { to, from, ask, question });
    }
    net.dead.insert(node);
    assert!(soon(&mut net, 5, Net::is_perfect), "without anybody's suspicion");
}

#[test]
fn two_rings_that_were_parted_become_one() {
    for (seed, config) in [(7, SMALL), (8, Config::default())] {
        let mut net = Net::new(seed, config);
        for half in [0, 100] {
            net.start(half, &[]);
            for number in half + 1..half + 12 {
                net.start(number, &[half]);
                net.run(Duration::from_millis(300));
            }
        }
        net.run(Duration::from_secs(20));
        assert!(!net.is_perfect(), "they know nothing of each other");
        for number in 1..6 {
            let ring = net.rings.get_mut(&entry(number).node).expect("it runs");
            ring.remember(&[entry(103)]);
        }
        assert!(soon(&mut net, 240, Net::is_perfect), "threshold {}", config.up);
        net.run(Duration::from_secs(60));
        assert!(net.finds_all(100));
    }
}

#[test]
fn a_ring_at_rest_asks_little() {
    let mut net = grown(9, SMALL, 40);
    net.run(Duration::from_secs(200));
    let (questions, bytes) = (net.questions, net.bytes);
    net.run(Duration::from_secs(100));
    let per_second = |count: u64| count as f64 / 100.0 / 40.0;
    let (questions, bytes) = (per_second(net.questions - questions), per_second(net.bytes - bytes));
    assert!(questions < 0.5, "{questions} questions a second and node");
    assert!(bytes < 200.0, "{bytes} bytes a second and node");
}

#[test]
fn what_others_make_us_hold_is_bounded() {
    let mut net = grown(10, SMALL, 12);
    net.run(Duration::from_secs(20));
    let now = net.now;
    let node = entry(3).node;
    let ring = net.rings.get_mut(&node).expect("it runs");
    let fakes: Vec<NodeEntry> = (1000..30_000).map(entry).collect();
    for few in fakes.chunks(8) {
        let news = Question::News {
            joined: List::first_of(few.iter().copied()),
            gone: List::first_of(few.iter().copied()),
            until: node,
        };
        ring.handle_question(now, few[0], news);
        ring.handle_question(now, few[0], Question::Rectify);
        ring.handle_question(now, few[0], Question::Changed);
        ring.remember(few);
        ring.heard(few);
    }
    let orders = std::iter::from_fn(|| ring.poll()).count();
    assert!(orders <= ASKS_MAX + 1, "{orders} orders");
    assert!(ring.doors.len() <= DOORS_MAX && ring.asks.len() <= ASKS_MAX);
    assert!(ring.successors().len() <= 16);
}

#[test]
fn the_same_seed_makes_the_same_ring() {
    let run = || {
        let mut net = grown(11, SMALL, 24);
        net.kill(4);
        net.run(Duration::from_secs(30));
        (net.sent, net.questions)
    };
    assert_eq!(run(), run());
}

#[test]
fn a_look_up_for_what_nobody_holds_ends_with_that_answer() {
    let mut net = grown(12, SMALL, 30);
    net.run(Duration::from_secs(30));
    let by = entry(2).node;
    let key = RingKey(net.jitter.bytes());
    let ring = &net.rings[&by];
    let mut lookup = Lookup::new(net.now, key, ring.density(), ring.nearest(&key, 16));
    let outcome = loop {
        match lookup.poll().expect("it goes on") {
            LookupOrder::Nearest { to, width } => {
                let near = net.rings[&to.node].nearest(&key, usize::from(width));
                lookup.handle_near(net.now, &to.node, Some(near));
            }
            LookupOrder::Fetch { to } => {
                lookup.handle_fetched(net.now, &to.node, Fetched::NotHere);
            }
            LookupOrder::Done(outcome) => break outcome,
        }
    };
    assert_eq!((outcome.end, outcome.round), (End::NotFound, 1));
}

#[test]
fn a_newcomer_of_whom_a_liar_tells_is_not_believed_in() {
    let mut net = grown(12, Config::default(), 20);
    assert!(soon(&mut net, 10, |net| net.rings.values().all(|ring| ring.len_estimate() == 20)));
    let (now, liar, told) = (net.now, entry(0), entry(1).node);
    let joined = List::first_of((9000..9008).map(entry));
    let news = Question::News { joined, gone: List::default(), until: told };
    let ring = net.rings.get_mut(&told).expect("it runs");
    assert_eq!(ring.handle_question(now, liar, news), Reply::Done);
    net.drain(told);
    let is_right = |net: &Net| net.rings.values().all(|ring| ring.len_estimate() == 20);
    for _ in 0..20 {
        assert!(is_right(&net), "nobody knows any of them");
        net.run(Duration::from_secs(1));
    }
}
