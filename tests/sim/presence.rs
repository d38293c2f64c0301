//! Who is there. DESIGN 2.6: a change is seen in less than a second, a crash in less than fifteen.

use std::time::Duration;

use earshot_proto::peer::command::{Command, Shown, Standing};
use earshot_proto::wire::sealed::presence::PresenceState;
use earshot_tests::sim::{SOON, World, user};

const SECOND: Duration = Duration::from_secs(1);
/// DESIGN 2.6.
const CRASH_SEEN: Duration = Duration::from_secs(15);

fn buddies(seed: u64, super_peers: usize) -> World {
    let mut world = World::new(seed).network(super_peers);
    world.person("alice");
    world.person("bob");
    world.befriend("alice", "bob");
    world
}

#[test]
fn a_change_is_seen_within_a_second() {
    let mut world = buddies(60, 2);
    let states = [
        (Shown::Away, PresenceState::Away),
        (Shown::DoNotDisturb, PresenceState::DoNotDisturb),
        (Shown::Invisible, PresenceState::Offline),
        (Shown::Online, PresenceState::Online),
    ];
    for (shown, seen) in states {
        world.show("alice", shown);
        world.run_until(|w| w.presence("bob", "alice") == seen, SECOND);
    }
}

#[test]
fn a_storm_of_presence_overruns_no_link_and_the_last_word_counts() {
    let mut world = buddies(71, 2);
    let dials = world.dials("alice");
    // As much as a change to thousands of buddies, all at once.
    for change in 0..2000 {
        let shown = if change % 2 == 0 { Shown::Away } else { Shown::Online };
        world.command("alice", Command::SetPresence { shown, mood: None });
    }
    world.command("alice", Command::SetPresence { shown: Shown::DoNotDisturb, mood: None });
    let seen = |w: &World| w.presence("bob", "alice") == PresenceState::DoNotDisturb;
    world.run_until(seen, Duration::from_secs(60));
    assert_eq!(world.dials("alice"), dials, "a link ran over");
}

#[test]
fn who_logs_out_is_seen_to_be_gone_within_a_second() {
    let mut world = buddies(61, 2);
    world.ask("alice", Command::Logout).expect("logged in");
    world.run_until(|w| !w.sees_online("bob", "alice"), SECOND);
}

#[test]
fn the_crash_of_a_peer_is_seen_in_time() {
    for seed in 62..66 {
        let mut world = buddies(seed, 3);
        world.crash("alice");
        world.run_until(|w| !w.sees_online("bob", "alice"), CRASH_SEEN);
    }
}

#[test]
fn a_peer_whose_cable_is_pulled_is_seen_to_be_gone_in_time() {
    for seed in 66..70 {
        let mut world = buddies(seed, 3);
        world.run_for(Duration::from_secs(seed));
        world.vanish("alice");
        world.run_until(|w| !w.sees_online("bob", "alice"), CRASH_SEEN);
    }
}

/// How long one shows the other as gone until that ends for good.
fn shown_gone(world: &mut World, one: &str, other: &str) -> Duration {
    let step = Duration::from_millis(100);
    let mut gone = Duration::ZERO;
    for _ in 0..600 {
        world.run_for(step);
        if !world.sees_online(one, other) {
            gone += step;
        }
    }
    gone
}

#[test]
fn whoever_loses_the_home_finds_another_and_is_not_taken_for_gone() {
    for seed in 70..76 {
        for crash in [World::crash, World::vanish] {
            let mut world = buddies(seed, 3);
            let home = world.home("alice");
            crash(&mut world, &home);
            let gone = shown_gone(&mut world, "bob", "alice");
            assert!(gone <= CRASH_SEEN, "seed {seed}: bob missed alice for {gone:?}");
            assert!(world.sees_online("bob", "alice") && world.sees_online("alice", "bob"));
            assert_ne!(world.home("alice"), home);
        }
    }
}

#[test]
fn who_dies_while_we_change_homes_is_not_shown_for_ever() {
    for seed in 76..80 {
        let mut world = buddies(seed, 3);
        let home = world.home("bob");
        world.crash("alice");
        world.crash(&home);
        world.run_until(|w| !w.sees_online("bob", "alice"), Duration::from_secs(30));
        assert!(world.comes_true(|w| w.is_settled("bob"), SOON));
        assert!(!world.comes_true(|w| w.sees_online("bob", "alice"), SOON), "seed {seed}");
    }
}

#[test]
fn a_partition_looks_like_absence_and_heals() {
    let mut world = buddies(80, 2);
    let homes = ["super-1", "super-2"];
    for home in homes {
        world.cut("alice", home);
    }
    world.run_until(|w| !w.sees_online("bob", "alice"), Duration::from_secs(30));
    world.run_until(|w| !w.sees_online("alice", "bob"), Duration::from_secs(30));
    world.heal();
    let both = |w: &World| w.sees_online("alice", "bob") && w.sees_online("bob", "alice");
    world.run_until(both, Duration::from_secs(90));
}

#[test]
fn a_declined_request_is_told_and_nobody_is_a_buddy() {
    let mut world = World::new(81).network(2);
    world.person("alice");
    world.person("bob");
    world.request("alice", "bob", "Do you know me?");
    world.run_until(|w| w.stands("bob", "alice") == Some(Standing::AsksUs), SOON);
    world.ask("bob", Command::Decline(user("alice"))).expect("there is a request");
    world.run_until(|w| w.stands("alice", "bob") == Some(Standing::Declined), SOON);
    assert!(!world.sees_online("alice", "bob"));
}

#[test]
fn a_request_waits_for_whoever_is_away() {
    let mut world = World::new(82).network(2);
    world.person("alice");
    world.person("bob");
    world.crash("bob");
    world.run_for(SECOND);
    world.request("alice", "bob", "When you are back.");
    world.run_for(Duration::from_secs(120));
    world.comes_back("bob", "bob");
    world.run_until(|w| w.stands("bob", "alice") == Some(Standing::AsksUs), SOON * 4);
    let asked = &world.owner("bob").requests;
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].greeting.as_deref(), Some("When you are back."));
}

#[test]
fn crossing_requests_make_buddies_at_once() {
    let mut world = World::new(83).network(2);
    world.person("alice");
    world.person("bob");
    let greeting = |text| earshot_proto::wire::bounded::Text::new(text).expect("short");
    let ask = |other| Command::Request { user: user(other), greeting: greeting("hello") };
    world.command("alice", ask("bob"));
    world.command("bob", ask("alice"));
    world.run_until(|w| w.are_buddies("alice", "bob"), SOON);
    world.run_until(|w| w.sees_online("alice", "bob") && w.sees_online("bob", "alice"), SOON);
}
