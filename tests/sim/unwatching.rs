//! What homes hold of watches when people come and go: a watch ends at both homes when the watcher
//! leaves, moves or wants no more, and the copies of the list follow. DESIGN 2.6.

use std::time::Duration;

use earshot_proto::peer::command::Command;
use earshot_tests::sim::{Nat, SOON, World, user};

const SUPER_PEERS: usize = 7;
/// What news between homes takes, and the second for which changes of a list are gathered.
const FOLLOWS: Duration = Duration::from_secs(3);
/// A link that is silent for so long is dead, and all that was watched over it is over.
const LEASE: Duration = Duration::from_secs(15);

/// Alice at home at super-1, watched by Bob and Carol from super-2 and by Dave from super-3, and
/// they by her.
fn watched(seed: u64) -> World {
    let mut world = World::new(seed).network(SUPER_PEERS);
    let people =
        [("alice", "super-1"), ("bob", "super-2"), ("carol", "super-2"), ("dave", "super-3")];
    for (name, home) in people {
        world.device(name, Nat::Cone);
        world.comes_in_at(name, home);
    }
    for name in ["bob", "carol", "dave"] {
        world.befriend("alice", name);
    }
    world.run_until(|w| holds(w, "super-1") == (3, 2, 3), SOON);
    let all = [
        ("super-1", &["super-2", "super-3"][..]),
        ("super-2", &["super-1"]),
        ("super-3", &["super-1"]),
    ];
    world.run_until(|w| lists(w) == copied(w, &all), SOON);
    assert_eq!(holds(&world, "super-2"), (2, 1, 2));
    assert_eq!(holds(&world, "super-3"), (1, 1, 1));
    world
}

/// Watches of devices here, the super-peers that they come from, and watches of clients elsewhere.
fn holds(world: &World, name: &str) -> (usize, usize, usize) {
    let watches = world.watches(name);
    (watches.here, watches.subscribers, watches.carried)
}

/// All copies of lists of subscribers, and all that stands in them.
fn lists(world: &World) -> (usize, usize) {
    let names = (1..=SUPER_PEERS).map(|number| format!("super-{number}"));
    let living = names.filter(|name| world.is_up(name)).map(|name| world.watches(&name));
    living.fold((0, 0), |(lists, listed), w| (lists + w.lists, listed + w.listed))
}

/// The same, where these homes have these subscribers: each of two successors is told all but
/// itself.
fn copied(world: &World, homes: &[(&str, &[&str])]) -> (usize, usize) {
    let told = homes.iter().flat_map(|(home, subscribers)| {
        let holders = world.successors(home).into_iter().take(2);
        holders.map(|holder| subscribers.iter().filter(|name| **name != holder).count())
    });
    told.filter(|listed| *listed > 0).fold((0, 0), |(lists, all), listed| (lists + 1, all + listed))
}

#[test]
fn a_watcher_that_logs_off_watches_nobody_and_the_last_takes_the_subscription_along() {
    let mut world = watched(520);
    world.ask("bob", Command::Logout).expect("logged in");
    world.run_until(|w| holds(w, "super-1") == (2, 2, 2), FOLLOWS);
    assert_eq!(holds(&world, "super-2"), (1, 1, 1));
    world.ask("carol", Command::Logout).expect("logged in");
    world.run_until(|w| holds(w, "super-1") == (1, 1, 1), FOLLOWS);
    assert_eq!(holds(&world, "super-2"), (0, 0, 0));
    let left = [("super-1", &["super-3"][..]), ("super-3", &["super-1"])];
    world.run_until(|w| lists(w) == copied(w, &left), FOLLOWS);
    world.crash("dave");
    world.run_until(|w| holds(w, "super-1") == (0, 0, 0) && lists(w) == (0, 0), FOLLOWS);
}

#[test]
fn who_drops_a_buddy_watches_them_no_more() {
    let mut world = watched(521);
    world.ask("bob", Command::Block(user("alice"))).expect("a buddy");
    world.run_until(|w| holds(w, "super-1").0 == 2, FOLLOWS);
    world.ask("carol", Command::Block(user("alice"))).expect("a buddy");
    world.run_until(|w| holds(w, "super-1").0 == 1 && holds(w, "super-1").1 == 1, FOLLOWS);
    assert_eq!(holds(&world, "super-2").2, 0);
}

#[test]
fn who_drops_a_buddy_at_the_same_home_watches_them_no_more() {
    let mut world = World::new(522).network(2);
    for name in ["alice", "bob"] {
        world.device(name, Nat::Cone);
        world.comes_in_at(name, "super-1");
    }
    world.befriend("alice", "bob");
    world.run_until(|w| holds(w, "super-1") == (2, 0, 0), SOON);
    world.ask("bob", Command::Block(user("alice"))).expect("a buddy");
    world.run_until(|w| holds(w, "super-1") == (1, 0, 0), FOLLOWS);
    world.ask("alice", Command::Logout).expect("logged in");
    world.run_until(|w| holds(w, "super-1") == (0, 0, 0), FOLLOWS);
}

#[test]
fn a_home_that_crashes_or_loses_power_leaves_no_watch_behind_longer_than_the_lease() {
    for (seed, end) in [(523, World::crash as fn(&mut World, &str)), (524, World::vanish)] {
        let mut world = watched(seed);
        for name in ["bob", "carol"] {
            end(&mut world, name);
        }
        end(&mut world, "super-2");
        world.run_until(|w| holds(w, "super-1") == (1, 1, 1), LEASE);
        let left = [("super-1", &["super-3"][..]), ("super-3", &["super-1"])];
        world.run_until(|w| lists(w) == copied(w, &left), LEASE + FOLLOWS);
    }
}

#[test]
fn a_watcher_that_moves_is_noted_at_one_home_only() {
    let mut world = watched(525);
    for name in ["super-1", "super-3", "super-4", "super-5", "super-6"] {
        world.cut("dave", name);
    }
    // The link of Dave to super-3 is silent now; he finds super-2 or super-7.
    let is_there = |w: &World| ["super-2", "super-7"].contains(&w.home("dave").as_str());
    world.run_until(|w| w.is_settled("dave") && is_there(w), Duration::from_secs(60));
    world.heal();
    world.run_until(|w| w.sees_online("dave", "alice") && holds(w, "super-3") == (0, 0, 0), SOON);
    world.run_until(|w| holds(w, "super-1").0 == 3, SOON);
}
