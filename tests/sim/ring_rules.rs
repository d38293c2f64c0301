//! The rules of the ring, explored. See [`earshot_tests::ring`].

use earshot_proto::super_peer::ring::chord::Chord;
use earshot_tests::ring::explore::{Bounds, explore};
use earshot_tests::ring::rules::{Published, Spot};
use earshot_tests::ring::schedules::{End, run};

#[test]
fn the_invariant_holds_in_the_nearest_states_of_seven_places() {
    let bounds = Bounds { places: 7, members: 4, depth: 7, settle_every: 50 };
    let explored = explore::<Chord<Spot>>(bounds);
    assert_eq!((explored.counterexample, explored.stuck), (None, None));
    assert_eq!(explored.depth, 7);
}

#[test]
fn the_rules_of_2001_are_caught() {
    let bounds = Bounds { places: 5, members: 3, depth: 30, settle_every: usize::MAX };
    let explored = explore::<Published>(bounds);
    let (steps, broken) = explored.counterexample.expect("they are not correct");
    println!("{broken:?} after {} steps: {steps:?}", steps.len());
    assert!(!steps.is_empty(), "the ring that it begins with is whole");
}

#[test]
fn the_invariant_holds_in_random_schedules_of_up_to_64_places() {
    for seed in 0..3_000 {
        assert!(matches!(run::<Chord<Spot>>(seed), End::Ideal(_)), "seed {seed}");
    }
}

#[test]
fn random_schedules_catch_the_rules_of_2001_too() {
    let caught = (0..50).filter(|seed| !matches!(run::<Published>(*seed), End::Ideal(_))).count();
    assert!(caught >= 25, "{caught} of 50");
}
