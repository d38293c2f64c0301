//! The rules of the ring, explored. See [`earshot_tests::ring`].

use earshot_proto::super_peer::ring::chord::Chord;
use earshot_tests::ring::explore::{Bounds, explore};
use earshot_tests::ring::rules::{Published, Spot};
use earshot_tests::ring::schedules::{End, run};
use earshot_tests::ring::world::{Broken, Rectify, Step};

/// All rings of three members, in so many places, as far as so many steps lead.
const fn bounds(places: u8, depth: usize, rectify: Rectify) -> Bounds {
    Bounds { places, members: 3, depth, settle_every: 50, rectify }
}

/// Long runs do the same in two steps (`./x sim --ring-places 5`).
#[test]
fn the_invariant_holds_in_every_state_of_five_places_and_every_state_settles() {
    let explored = explore::<Chord<Spot>>(bounds(5, usize::MAX, Rectify::InOneStep));
    assert_eq!((explored.counterexample, explored.stuck), (None, None));
    assert!(explored.is_complete);
    assert!(explored.states > 100_000, "{} states", explored.states);
}

#[test]
fn the_invariant_holds_in_every_state_of_four_places_when_rectifying_takes_two_steps() {
    let explored = explore::<Chord<Spot>>(bounds(4, usize::MAX, Rectify::InTwoSteps));
    assert_eq!((explored.counterexample, explored.stuck), (None, None));
    assert!(explored.is_complete);
    assert_eq!(explored.states, 7_716);
}

#[test]
fn the_invariant_holds_in_the_nearest_states_of_seven_places() {
    let bounds = Bounds { members: 4, ..bounds(7, 7, Rectify::InTwoSteps) };
    let explored = explore::<Chord<Spot>>(bounds);
    assert_eq!((explored.counterexample, explored.stuck), (None, None));
    assert_eq!(explored.depth, 7);
}

#[test]
fn the_rules_of_2001_are_caught_after_four_steps() {
    let explored = explore::<Published>(bounds(5, 30, Rectify::InTwoSteps));
    let (steps, broken) = explored.counterexample.expect("they are not correct");
    // Of 0, 1 and 2: 3 joins, takes 0's list, notifies 0; 2 puts 3 for 0 in its list, skipping 0.
    let (joiner, before) = (Spot(3), Spot(2));
    let shortest = [
        Step::Join(joiner, before),
        Step::Stabilise(joiner),
        Step::Notify(joiner),
        Step::Stabilise(before),
    ];
    assert_eq!(steps, shortest);
    assert_eq!(broken, Broken::Principals(2));
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
