//! Clients that are handed over by a super-peer that leaves: nobody is ever without a home, nothing
//! that was written is lost, and nobody sees anything of it. DESIGN 2.6, 2.12.

use std::time::Duration;

use earshot_proto::super_peer::budgets::Limits;
use earshot_tests::sim::{Nat, SOON, World};

use crate::seen::at_homes;

const SECOND: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(20);
const CROWD: usize = 100;
/// What the super-peer gives itself to hand over.
const WITHIN: Duration = Duration::from_secs(2);
/// Longer than anything that follows from it takes.
const AFTER: Duration = Duration::from_secs(20);

fn person(number: usize) -> String {
    format!("person-{}", number % CROWD)
}

fn people() -> impl Iterator<Item = String> {
    (0..CROWD).map(person)
}

/// Who sees whom: each person the next, who is handed over too, and the first ten an outsider.
fn pairs() -> Vec<(String, String)> {
    let next = (0..CROWD).map(|number| (person(number), person(number + 1)));
    let outside = (0..10).map(|number| (person(number), "outsider".to_owned()));
    next.chain(outside).flat_map(|(a, b)| [(a.clone(), b.clone()), (b, a)]).collect()
}

/// All people at home at super-1, and an outsider at super-2.
fn crowd(seed: u64) -> World {
    let mut world = World::new(seed).network(5);
    for (name, home) in people().map(|name| (name, "super-1")).chain([outsider()]) {
        world.device(&name, Nat::Cone);
        world.comes_in_at(&name, home);
    }
    for (one, other) in pairs().into_iter().step_by(2) {
        world.befriend(&one, &other);
    }
    world.run_for(SOON);
    assert_eq!(world.status("super-1").clients, CROWD);
    world
}

fn outsider() -> (String, &'static str) {
    ("outsider".to_owned(), "super-2")
}

fn nobody_sees_anything(world: &World, pairs: &[(String, String)]) {
    for name in people() {
        assert!(world.has_home(&name), "{name} has no home");
        assert_eq!(world.held(&name), 0, "somebody was lost to {name}");
    }
    assert_eq!(world.held("outsider"), 0, "somebody was lost to the outsider");
    for (one, other) in pairs {
        assert!(world.sees_online(one, other), "{one} does not see {other}");
    }
}

fn told(world: &World) -> usize {
    people().map(|name| world.presences_told(&name)).sum::<usize>()
        + world.presences_told("outsider")
}

#[test]
fn a_hundred_clients_of_a_super_peer_that_leaves_move_and_nobody_sees_anything_of_it() {
    let mut world = crowd(530);
    let pairs = pairs();
    let (before, begun) = (told(&world), world.now());
    let (mut letters, mut left) = (0, None);
    world.hands_over("super-1", WITHIN);
    while world.now() < begun + AFTER {
        if left.is_none() {
            let (one, other) = &pairs[letters * 7 % pairs.len()];
            world.command(one, World::send(other, &format!("letter {letters}")));
            letters += 1;
        }
        world.run_for(STEP);
        nobody_sees_anything(&world, &pairs);
        if left.is_none() && world.is_deserted("super-1") {
            assert_eq!(world.status("super-1").clients, 0, "nobody was left behind");
            world.leave("super-1");
            left = Some(world.now() - begun);
        }
    }
    let left = left.expect("its time is over");
    println!("FIGURE moving.hundred_s={:.2} letters={letters}", left.as_secs_f64());
    assert!(left <= WITHIN);
    assert_eq!(told(&world), before, "a presence was told anew");
    for letter in 0..letters {
        let (one, other) = &pairs[letter * 7 % pairs.len()];
        let text = format!("letter {letter}");
        assert_eq!(world.times_shown(other, &text), 1, "{text} from {one} to {other}");
    }
    // Each is watched from the home of now, and from nowhere else.
    let here = (2..=5).map(|number| world.watches(&format!("super-{number}")).here);
    assert_eq!(here.sum::<usize>(), pairs.len());
    world.crash("person-1");
    let is_seen = |w: &World| !w.sees_online("outsider", "person-1");
    world.run_until(is_seen, SECOND);
}

#[test]
fn a_call_goes_on_while_both_are_handed_over() {
    let mut world = at_homes(World::new(531).network(4), 531, "super-1");
    world.talk("alice", "bob");
    world.hands_over("super-1", WITHIN);
    world.run_until(|w| w.is_deserted("super-1"), WITHIN);
    world.leave("super-1");
    world.run_for(SECOND * 30);
    assert!(world.talking("alice", "bob"));
    world.in_call("alice", earshot_proto::peer::command::CallAction::HangUp).expect("a call");
    world.run_until(|w| w.end("bob").is_some(), SECOND);
}

/// Two super-peers that have no room, and one that has.
#[test]
fn who_is_refused_by_a_new_home_stays_until_another_takes_them_in() {
    let none = Limits { clients: 0, ..Limits::default() };
    let mut refused = 0;
    for seed in 532..536 {
        let mut world = World::new(seed).network(1).limits(none);
        for number in [2, 3] {
            world.add_super_peer(&format!("super-{number}"), number);
        }
        let mut world = world.limits(Limits::default());
        world.add_super_peer("super-4", 4);
        world.run_until(|w| (2..=4).all(|n| w.serves(&format!("super-{n}"))), SOON);
        world.run_for(SOON);
        world.device("alice", Nat::Cone);
        world.comes_in_at("alice", "super-1");
        world.hands_over("super-1", SOON);
        while !world.is_deserted("super-1") {
            world.run_for(STEP);
            assert!(world.has_home("alice"));
        }
        assert_eq!(world.home("alice"), "super-4");
        let full = ["super-2", "super-3"].map(|name| world.status(name).counters.refused);
        refused += full.into_iter().sum::<u64>();
    }
    assert!(refused > 0, "nobody was refused");
}

#[test]
fn who_loses_the_old_home_while_being_taken_in_is_home_at_once() {
    for seed in 536..540 {
        let mut world = at_homes(World::new(seed).network(4), seed, "super-2");
        world.hands_over("super-1", Duration::from_millis(400));
        world.run_for(Duration::from_millis(30 * (seed - 535)));
        world.crash("super-1");
        world.run_until(|w| w.has_home("alice"), SECOND * 2);
        world.run_for(AFTER);
        assert!(world.sees_online("bob", "alice") && world.sees_online("alice", "bob"));
    }
}
