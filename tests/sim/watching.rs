//! How soon people see each other come and go, in virtual time. DESIGN 2.6: a change in less than a
//! second, the crash of a peer or a home in less than fifteen; nobody is falsely shown as gone for
//! more than five seconds when a home leaves, and fifteen when it crashes. Each story prints the
//! longest time that it saw.

use std::ops::Range;
use std::time::Duration;

use earshot_tests::sim::{Nat, SOON, World};

use crate::seen::{
    CRASH_SEEN, Ends, FALSE_AT_CRASH, FALSE_AT_LEAVE, LEASE, NEWS, SECOND, at_homes, changes,
    figure, home_ends, peer_ends, watch,
};

/// So many super-peers know each other, whatever the seed.
fn full(super_peers: usize) -> impl Fn(u64) -> World {
    move |seed| World::new(seed).network(super_peers)
}

/// Three or seven super-peers, and five ways for beats to lie.
const SEEDS: Range<u64> = 420..425;

fn few(seed: u64) -> World {
    World::new(seed).network(3 + (seed % 2) as usize * 4)
}

#[test]
fn a_change_of_presence_is_seen_within_a_second_also_in_another_home() {
    let longest = changes(400, &full(5), "super-1").max(changes(401, &full(5), "super-2"));
    figure("change", longest);
}

#[test]
fn a_peer_that_crashes_or_loses_power_is_seen_to_be_gone_in_time() {
    for (ends, name) in [(Ends::Crashes, "peer_crash"), (Ends::LosesPower, "peer_power")] {
        figure(name, peer_ends(ends, 410..414, &full(4)));
    }
}

#[test]
fn who_dies_together_with_the_home_is_seen_to_be_gone_in_time() {
    for (ends, bobs, name) in [
        (Ends::Crashes, "super-2", "home_crash.dead"),
        (Ends::Crashes, "super-1", "home_crash.same.dead"),
        (Ends::LosesPower, "super-2", "home_power.dead"),
        (Ends::LosesPower, "super-1", "home_power.same.dead"),
    ] {
        assert!(home_ends(SEEDS, &few, ends, bobs, true, name) < CRASH_SEEN);
    }
}

#[test]
fn who_lives_on_is_not_taken_for_gone_when_the_home_crashes() {
    for (ends, bobs, name) in [
        (Ends::Crashes, "super-2", "home_crash.false"),
        (Ends::Crashes, "super-1", "home_crash.same.false"),
        (Ends::LosesPower, "super-2", "home_power.false"),
        (Ends::LosesPower, "super-1", "home_power.same.false"),
    ] {
        assert!(home_ends(SEEDS, &few, ends, bobs, false, name) <= FALSE_AT_CRASH);
    }
}

#[test]
fn who_lives_on_is_not_taken_for_gone_when_the_home_leaves() {
    for (bobs, name) in [("super-2", "home_leave.false"), ("super-1", "home_leave.same.false")] {
        assert!(home_ends(SEEDS, &few, Ends::Leaves, bobs, false, name) <= FALSE_AT_LEAVE);
    }
}

#[test]
fn across_a_partition_both_are_gone_when_the_lease_ends_and_back_when_it_heals() {
    let mut longest = Duration::ZERO;
    for seed in 430..434 {
        let mut world = at_homes(World::new(seed).network(3), seed, "super-2");
        for home in ["super-1", "super-2", "super-3"] {
            world.cut("alice", home);
        }
        let both_gone =
            |w: &World| !w.sees_online("bob", "alice") && !w.sees_online("alice", "bob");
        longest = longest.max(world.run_until(both_gone, LEASE + NEWS));
        world.heal();
        let both = |w: &World| w.sees_online("alice", "bob") && w.sees_online("bob", "alice");
        world.run_until(both, Duration::from_secs(90));
    }
    figure("partition", longest);
}

#[test]
fn a_break_between_two_homes_makes_nobody_gone() {
    for seed in 440..443 {
        let mut world = at_homes(World::new(seed).network(4), seed, "super-2");
        // Ordinary peers hear nothing of it, and the homes are linked anew by what is said next.
        world.break_links("super-1", "super-2");
        let seen = watch(&mut world, "bob", "alice", Duration::from_secs(30));
        assert_eq!(seen.times, 0, "seed {seed}: {seen:?}");
        world.crash("alice");
        world.run_until(|w| !w.sees_online("bob", "alice"), SECOND);
    }
}

/// The crash of the home does not come to the watcher's home, but to the home's successors.
#[test]
fn a_successor_of_the_dead_home_tells_who_has_not_heard_of_it() {
    let mut longest = Duration::ZERO;
    for seed in 450..454 {
        let mut world = at_homes(World::new(seed).network(4), seed, "super-2");
        world.run_for(SOON);
        world.cut("super-1", "super-2");
        world.crash("alice");
        world.crash("super-1");
        // Alone super-2 would notice by the silence of its link, when the lease is nearly over.
        let soon = Duration::from_secs(4);
        longest = longest.max(world.run_until(|w| !w.sees_online("bob", "alice"), soon));
    }
    figure("told_by_successor", longest);
}

#[test]
fn a_successor_that_is_wrong_makes_nobody_gone() {
    for seed in 460..463 {
        let mut world = at_homes(World::new(seed).network(4), seed, "super-2");
        world.run_for(SOON);
        for successor in ["super-3", "super-4"] {
            world.cut("super-1", successor);
        }
        let seen = watch(&mut world, "bob", "alice", Duration::from_secs(40));
        assert_eq!(seen.times, 0, "seed {seed}: {seen:?}");
    }
}

/// How many lists of subscribers the living super-peers hold.
fn lists(world: &World, of: usize) -> usize {
    let names = (1..=of).map(|number| format!("super-{number}"));
    names.filter(|name| world.is_up(name)).map(|name| world.watches(&name).lists).sum()
}

#[test]
fn two_successors_hold_each_list_also_when_they_leave_and_die() {
    let mut world = World::new(470).network(7);
    let people = [("alice", "super-1"), ("bob", "super-2"), ("carol", "super-3")];
    for (name, home) in people {
        world.device(name, Nat::Cone);
        world.comes_in_at(name, home);
    }
    for (one, other) in [("alice", "bob"), ("bob", "carol"), ("carol", "alice")] {
        world.befriend(one, other);
    }
    let all = |w: &World| lists(w, 7) == 2 * people.len();
    world.run_until(all, SOON);
    for (_, home) in people {
        assert_eq!((world.watches(home).subscribers, world.watches(home).carried), (2, 2));
    }
    for (ends, name) in [(Ends::Leaves, "super-4"), (Ends::Crashes, "super-5")] {
        ends.come_to(&mut world, name);
        world.run_for(Duration::from_secs(30));
        assert_eq!(lists(&world, 7), 2 * people.len(), "after {name} {ends:?}");
    }
    for (name, _) in people {
        world.leave(name);
    }
    world.run_until(|w| lists(w, 7) == 0, SOON);
    for (_, home) in people {
        assert_eq!((world.watches(home).subscribers, world.watches(home).carried), (0, 0));
    }
}
