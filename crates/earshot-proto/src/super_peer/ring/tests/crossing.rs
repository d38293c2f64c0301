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
