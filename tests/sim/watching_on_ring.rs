//! The times of presence (`watching.rs`) where super-peers know only their neighbours on a Chord
//! ring, and the homes of those who watch are mostly none of these.

use std::ops::Range;
use std::time::Duration;

use earshot_proto::super_peer::ring::Mode;
use earshot_tests::sim::{Nat, SOON, World};

use crate::seen::{
    CRASH_SEEN, Ends, FALSE_AT_CRASH, FALSE_AT_LEAVE, LEASE, NEWS, at_homes, changes, figure,
    home_ends, peer_ends, watch,
};

const SUPER_PEERS: usize = 13;
/// Each knows three successors.
const THRESHOLD: u32 = 4;
const SEEDS: Range<u64> = 480..483;

fn names() -> impl Iterator<Item = String> {
    (1..=SUPER_PEERS).map(|number| format!("super-{number}"))
}

fn ring(seed: u64) -> World {
    let mut world = World::new(seed).ring(SUPER_PEERS, THRESHOLD);
    world.run_until(|w| names().all(|name| w.ring_of(&name).mode() == Mode::Chord), SOON);
    world.run_for(Duration::from_secs(10));
    world
}

#[test]
fn on_a_ring_a_change_of_presence_is_seen_within_a_second() {
    let longest = SEEDS.map(|seed| changes(seed, &ring, "super-2")).max();
    figure("ring.change", longest.expect("there are seeds"));
}

#[test]
fn on_a_ring_a_peer_that_ends_is_seen_to_be_gone_in_time() {
    for (ends, name) in [(Ends::Crashes, "ring.peer_crash"), (Ends::LosesPower, "ring.peer_power")]
    {
        figure(name, peer_ends(ends, SEEDS, &ring));
    }
}

#[test]
fn on_a_ring_who_dies_together_with_the_home_is_seen_to_be_gone_in_time() {
    for (ends, bobs, name) in [
        (Ends::Crashes, "super-2", "ring.home_crash.dead"),
        (Ends::Crashes, "super-1", "ring.home_crash.same.dead"),
        (Ends::LosesPower, "super-2", "ring.home_power.dead"),
        (Ends::LosesPower, "super-1", "ring.home_power.same.dead"),
    ] {
        assert!(home_ends(SEEDS, &ring, ends, bobs, true, name) < CRASH_SEEN);
    }
}

#[test]
fn on_a_ring_who_lives_on_is_not_taken_for_gone_when_the_home_crashes() {
    for (ends, bobs, name) in [
        (Ends::Crashes, "super-2", "ring.home_crash.false"),
        (Ends::Crashes, "super-1", "ring.home_crash.same.false"),
        (Ends::LosesPower, "super-2", "ring.home_power.false"),
        (Ends::LosesPower, "super-1", "ring.home_power.same.false"),
    ] {
        assert!(home_ends(SEEDS, &ring, ends, bobs, false, name) <= FALSE_AT_CRASH);
    }
}

#[test]
fn on_a_ring_who_lives_on_is_not_taken_for_gone_when_the_home_leaves() {
    for (bobs, name) in
        [("super-2", "ring.home_leave.false"), ("super-1", "ring.home_leave.same.false")]
    {
        assert!(home_ends(SEEDS, &ring, Ends::Leaves, bobs, false, name) <= FALSE_AT_LEAVE);
    }
}

/// Who holds the list of a home.
fn holders(world: &World, home: &str) -> Vec<String> {
    names().filter(|name| world.is_up(name) && world.holds_list(name, home)).collect()
}

/// The two that should.
fn first_two(world: &World, home: &str) -> Vec<String> {
    let mut two: Vec<String> = world.successors(home).into_iter().take(2).collect();
    let number = |name: &String| names().position(|other| other == *name);
    two.sort_by_key(number);
    two
}

fn two_hold(world: &World, home: &str) -> bool {
    let holders = holders(world, home);
    holders.len() == 2 && holders == first_two(world, home)
}

/// The list goes to whoever comes between the home and its successor, and to whoever follows when a
/// successor dies; then the home dies, and its watchers' homes hear nothing of it by themselves.
#[test]
fn on_a_ring_watchers_hear_of_a_death_after_both_holders_of_the_list_have_changed() {
    let mut longest = Duration::ZERO;
    for seed in SEEDS {
        let mut world = ring(seed);
        // Its place is known, since it has been there before.
        let between = "super-13";
        let home = names().find(|name| world.successors(name).first().unwrap() == between);
        let home = home.expect("somebody precedes it");
        let next = world.successors(&home);
        world.leave(between);
        world.run_until(|w| !w.successors(&home).iter().any(|name| name == between), SOON);
        let far = names().filter(|n| *n != home && !next.contains(n) && n != between);
        let far: Vec<String> = far.take(2).collect();
        world.device("alice", Nat::Cone);
        world.comes_in_at("alice", &home);
        for (name, at) in ["bob", "carol"].into_iter().zip(&far) {
            world.device(name, Nat::Cone);
            world.comes_in_at(name, at);
            world.befriend("alice", name);
        }
        world.run_until(|w| two_hold(w, &home), SOON);
        let before = holders(&world, &home);

        world.start(between);
        world.run_until(|w| w.successors(&home)[0] == between && two_hold(w, &home), SOON);
        let second = world.successors(&home)[1].clone();
        assert!(before.contains(&second));
        world.crash(&second);
        world.run_until(|w| w.successors(&home)[1] != second && two_hold(w, &home), SOON);

        for watchers in &far {
            world.cut(&home, watchers);
        }
        world.crash("alice");
        world.crash(&home);
        // Alone they would notice by the silence of their links, when the lease is nearly over.
        let soon = Duration::from_secs(4);
        let all = |w: &World| ["bob", "carol"].iter().all(|name| !w.sees_online(name, "alice"));
        longest = longest.max(world.run_until(all, soon));
    }
    figure("ring.told_by_new_successor", longest);
}

#[test]
fn on_a_ring_a_break_between_two_homes_makes_nobody_gone() {
    for seed in SEEDS {
        let mut world = at_homes(ring(seed), seed, "super-2");
        world.break_links("super-1", "super-2");
        let seen = watch(&mut world, "bob", "alice", Duration::from_secs(30));
        assert_eq!(seen.times, 0, "seed {seed}: {seen:?}");
    }
}

/// Cuts everything with an even number, and alice with it, off from the rest and bob.
fn part(world: &mut World) {
    let (even, odd): (Vec<usize>, Vec<usize>) = (1..=SUPER_PEERS).partition(|n| n % 2 == 0);
    let side = |numbers: &[usize], person: &str| {
        let nodes = numbers.iter().map(|number| format!("super-{number}"));
        nodes.chain([person.to_owned()]).collect::<Vec<String>>()
    };
    for one in side(&even, "bob") {
        for other in side(&odd, "alice") {
            world.cut(&one, &other);
        }
    }
}

#[test]
fn on_a_ring_both_sides_of_a_parted_network_are_gone_in_time_and_back_when_it_heals() {
    let (mut gone, mut back) = (Duration::ZERO, Duration::ZERO);
    for seed in SEEDS {
        let mut world = at_homes(ring(seed), seed, "super-2");
        part(&mut world);
        let both_gone =
            |w: &World| !w.sees_online("bob", "alice") && !w.sees_online("alice", "bob");
        gone = gone.max(world.run_until(both_gone, LEASE + NEWS));
        // Each side becomes a ring of its own.
        world.run_for(Duration::from_secs(60));
        assert!(both_gone(&world));
        world.heal();
        let both = |w: &World| w.sees_online("alice", "bob") && w.sees_online("bob", "alice");
        back = back.max(world.run_until(both, Duration::from_secs(120)));
        let seen = watch(&mut world, "bob", "alice", Duration::from_secs(60));
        assert_eq!(seen.times, 0, "seed {seed}: {seen:?}");
    }
    figure("ring.parted", gone);
    figure("ring.healed", back);
}
