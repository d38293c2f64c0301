//! Full membership and Chord give way to each other.

use super::*;

const SMALL: Config = Config::with_thresholds(8, 4);

#[test]
fn look_ups_succeed_while_the_ring_grows_past_the_threshold_and_shrinks_again() {
    let mut net = Net::new(20, SMALL);
    net.start(0, &[]);
    for number in 1..24 {
        net.start(number, &[0]);
        net.run(Duration::from_secs(3));
        assert!(net.finds_all(20), "with {} nodes", number + 1);
    }
    assert!(net.all_in(Mode::Chord), "all have crossed");
    for number in (3..24).rev() {
        net.kill(number);
        net.run(Duration::from_secs(8));
        assert!(net.finds_all(20), "with {number} nodes");
    }
    net.run(Duration::from_secs(900));
    assert!(net.all_in(Mode::Full), "all have crossed back");
    assert!(net.is_perfect());
    assert!(net.rings.values().all(|ring| ring.len_estimate() == 3));
}

#[test]
fn between_the_thresholds_nobody_flaps() {
    let mut net = Net::new(21, SMALL);
    net.start(0, &[]);
    for number in 1..7 {
        net.start(number, &[0]);
        net.run(Duration::from_secs(2));
    }
    for _ in 0..20 {
        net.run(Duration::from_secs(60));
        assert!(net.all_in(Mode::Full), "seven grew to seven");
    }
}

#[test]
fn a_ring_of_known_members_is_whole_from_the_start_and_stays_so() {
    for (seed, count) in [(22, 6), (23, 60)] {
        let mut net = at_rest(seed, count);
        for ring in net.rings.values_mut() {
            assert_eq!(ring.poll(), None, "nothing has changed");
        }
        assert!(net.is_perfect());
        assert!(net.finds_all(50));
        net.run(Duration::from_secs(60));
        assert!(net.is_perfect());
        let mode = if count > 8 { Mode::Chord } else { Mode::Full };
        assert!(net.all_in(mode));
        net.kill(3);
        net.run(Duration::from_secs(40));
        assert!(net.is_perfect() && net.finds_all(50), "it is kept up like any other");
    }
}

/// A ring at rest.
fn at_rest(seed: u64, count: u32) -> Net {
    let mut net = Net::new(seed, SMALL);
    let mut members: Vec<NodeEntry> = (0..count).map(entry).collect();
    members.sort_by_key(|member| member.node);
    for me in &members {
        let jitter = net.jitter.split();
        net.rings.insert(me.node, Ring::among(net.now, SMALL, *me, jitter, &members));
    }
    net
}

#[test]
fn news_that_is_lost_in_a_large_ring_does_not_go_around_it() {
    let questions = [false, true].map(|is_told| {
        let mut net = at_rest(24, 200);
        if is_told {
            let (from, joined) = (entry(3), List::first_of([entry(5)]));
            let until = from.node;
            let question = Question::News { joined, gone: List::default(), until };
            net.later(ONE_WAY, Event::Question { to: entry(9).node, from, ask: 0, question });
        }
        net.run(Duration::from_secs(5));
        net.questions
    });
    assert!(questions[0].abs_diff(questions[1]) < 30, "{questions:?}");
}

#[test]
fn who_meets_a_member_on_its_way_in_founds_no_ring_of_its_own() {
    let mut net = at_rest(25, 60);
    // Whatever its door names is dead: all but the door's own answer is silence.
    let door = 7;
    (0..60).filter(|number| *number != door).for_each(|number| net.kill(number));
    net.start(100, &[door]);
    net.run(Duration::from_secs(3));
    assert_eq!(net.ring(100).mode(), Mode::Outside, "it tries again");
}
