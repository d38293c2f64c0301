//! How soon people see each other come and go, in virtual time. DESIGN 2.6: a change in less than a
//! second, the crash of a peer or a home in less than fifteen; nobody is falsely shown as gone for
//! more than five seconds when a home leaves, and fifteen when it crashes. Each story prints the
//! longest time that it saw.

use std::time::Duration;

use earshot_proto::peer::command::Shown;
use earshot_proto::wire::sealed::presence::PresenceState;
use earshot_tests::sim::{Nat, SOON, World};

const SECOND: Duration = Duration::from_secs(1);
const CRASH_SEEN: Duration = Duration::from_secs(15);
const FALSE_AT_LEAVE: Duration = Duration::from_secs(5);
const FALSE_AT_CRASH: Duration = Duration::from_secs(15);
/// The lease, and what the news may take.
const LEASE: Duration = Duration::from_secs(15);
const NEWS: Duration = Duration::from_millis(500);

/// How a home ends.
#[derive(Clone, Copy, Debug)]
enum Ends {
    Crashes,
    LosesPower,
    Leaves,
}

impl Ends {
    fn come_to(self, world: &mut World, name: &str) {
        match self {
            Self::Crashes => world.crash(name),
            Self::LosesPower => world.vanish(name),
            Self::Leaves => world.leave(name),
        }
    }
}

/// What somebody's window showed of somebody else.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// After how long they were first shown as gone.
    first: Option<Duration>,
    /// How long in all.
    gone: Duration,
    /// How often that began.
    times: usize,
}

fn watch(world: &mut World, one: &str, other: &str, time: Duration) -> Seen {
    let step = Duration::from_millis(20);
    let (mut seen, mut at, mut was_there) = (Seen::default(), Duration::ZERO, true);
    while at < time {
        world.run_for(step);
        at += step;
        let is_there = world.sees_online(one, other);
        if !is_there {
            seen.first.get_or_insert(at);
            seen.gone += step;
            seen.times += usize::from(was_there);
        }
        was_there = is_there;
    }
    seen
}

/// Alice at home at super-1, and Bob there too or at super-2.
fn at_homes(seed: u64, super_peers: usize, bobs: &str) -> World {
    let mut world = World::new(seed).network(super_peers);
    for (name, home) in [("alice", "super-1"), ("bob", bobs)] {
        world.device(name, Nat::Cone);
        world.comes_in_at(name, home);
    }
    world.befriend("alice", "bob");
    // Beats are at another point in each run.
    world.run_for(Duration::from_millis(3000 + 700 * (seed % 10)));
    world
}

fn figure(name: &str, longest: Duration) {
    println!("FIGURE presence.{name}_s={:.2}", longest.as_secs_f64());
}

#[test]
fn a_change_of_presence_is_seen_within_a_second_also_in_another_home() {
    let mut longest = Duration::ZERO;
    for (seed, home) in [(400, "super-1"), (401, "super-2")] {
        let mut world = at_homes(seed, 5, home);
        let changes = [
            (Shown::Away, PresenceState::Away),
            (Shown::DoNotDisturb, PresenceState::DoNotDisturb),
            (Shown::Online, PresenceState::Online),
        ];
        for (shown, seen) in changes {
            world.show("alice", shown);
            longest = longest.max(world.run_until(|w| w.presence("bob", "alice") == seen, SECOND));
        }
    }
    figure("change", longest);
}

#[test]
fn a_peer_that_crashes_or_loses_power_is_seen_to_be_gone_in_time() {
    for (ends, name) in [(Ends::Crashes, "peer_crash"), (Ends::LosesPower, "peer_power")] {
        let mut longest = Duration::ZERO;
        for seed in 410..414 {
            let mut world = at_homes(seed, 4, "super-2");
            ends.come_to(&mut world, "alice");
            let seen = world.run_until(|w| !w.sees_online("bob", "alice"), CRASH_SEEN);
            longest = longest.max(seen);
        }
        figure(name, longest);
    }
}

/// Alice's home ends, and she with it or not; the longest that Bob saw wrongly.
fn home_ends(ends: Ends, bobs: &str, dies_too: bool, name: &str) -> Duration {
    let mut longest = Duration::ZERO;
    for seed in 420..425 {
        let mut world = at_homes(seed, 3 + (seed % 2) as usize * 4, bobs);
        if dies_too {
            ends.come_to(&mut world, "alice");
        }
        ends.come_to(&mut world, "super-1");
        let seen = watch(&mut world, "bob", "alice", Duration::from_secs(75));
        if dies_too {
            longest = longest.max(seen.first.expect("she is gone"));
            assert_eq!(seen.times, 1, "seed {seed}: {seen:?}");
        } else {
            longest = longest.max(seen.gone);
            assert!(world.sees_online("bob", "alice") && world.sees_online("alice", "bob"));
            assert!(seen.times <= 1, "seed {seed}: {seen:?}");
        }
    }
    figure(name, longest);
    longest
}

#[test]
fn who_dies_together_with_the_home_is_seen_to_be_gone_in_time() {
    for (ends, bobs, name) in [
        (Ends::Crashes, "super-2", "home_crash.dead"),
        (Ends::Crashes, "super-1", "home_crash.same.dead"),
        (Ends::LosesPower, "super-2", "home_power.dead"),
        (Ends::LosesPower, "super-1", "home_power.same.dead"),
    ] {
        assert!(home_ends(ends, bobs, true, name) < CRASH_SEEN);
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
        assert!(home_ends(ends, bobs, false, name) <= FALSE_AT_CRASH);
    }
}

#[test]
fn who_lives_on_is_not_taken_for_gone_when_the_home_leaves() {
    for (bobs, name) in [("super-2", "home_leave.false"), ("super-1", "home_leave.same.false")] {
        assert!(home_ends(Ends::Leaves, bobs, false, name) <= FALSE_AT_LEAVE);
    }
}

#[test]
fn across_a_partition_both_are_gone_when_the_lease_ends_and_back_when_it_heals() {
    let mut longest = Duration::ZERO;
    for seed in 430..434 {
        let mut world = at_homes(seed, 3, "super-2");
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
        let mut world = at_homes(seed, 4, "super-2");
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
        let mut world = at_homes(seed, 4, "super-2");
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
        let mut world = at_homes(seed, 4, "super-2");
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
