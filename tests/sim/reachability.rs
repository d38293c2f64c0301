//! How a device finds out whether others reach it, and what changes its mind. DESIGN 2.12.

use std::time::Duration;

use earshot_proto::peer::command::{Answer, Command};
use earshot_proto::time::UnixTime;
use earshot_proto::wire::directory::Reachability;
use earshot_tests::sim::{Nat, World};

const SOON: Duration = Duration::from_secs(15);
/// Several super-peers are asked about what the home said within it.
const CONFIRMED: Duration = Duration::from_secs(5 * 60 + 10);
/// The answers of one test.
const TEST: Duration = Duration::from_secs(5);

fn believes(world: &World, who: &str) -> Option<(Reachability, UnixTime)> {
    let view = world.peer(who).network_view()?;
    view.reachability.zip(view.reachability_at)
}

fn is(world: &World, who: &str, what: Reachability) -> bool {
    believes(world, who).is_some_and(|(verdict, _)| verdict == what)
}

/// Alice, whom everybody reaches, has come home and is asked nothing more.
fn public_alice(seed: u64) -> World {
    let mut world = World::new(seed).network(5);
    world.person_behind("alice", Nat::Open);
    becomes(&mut world, "alice", Reachability::Public, SOON);
    world.run_for(SOON);
    world
}

fn becomes(world: &mut World, who: &str, what: Reachability, within: Duration) -> Duration {
    world.run_until(|w| is(w, who, what), within)
}

#[test]
fn a_peer_behind_a_firewall_finds_out_that_it_is_restricted() {
    let mut world = World::new(95).network(2);
    world.person_behind("alice", Nat::UdpBlocked);
    world.person_behind("bob", Nat::Cone);
    world.person_behind("carol", Nat::Open);
    becomes(&mut world, "alice", Reachability::Restricted, SOON);
    becomes(&mut world, "bob", Reachability::Natted, SOON);
    becomes(&mut world, "carol", Reachability::Public, SOON);
}

#[test]
fn what_the_home_says_is_confirmed_by_others_and_dated_anew() {
    let mut world = public_alice(410);
    let (links, said) = (world.links("alice"), believes(&world, "alice"));
    world.run_until(|w| w.links("alice") > links, CONFIRMED);
    world.run_for(TEST);
    assert_eq!(world.links("alice"), links, "what was opened to ask others is closed");
    let confirmed = believes(&world, "alice").expect("it was");
    assert_eq!(confirmed.0, Reachability::Public);
    assert!(Some(confirmed.1) > said.map(|(_, at)| at));
}

#[test]
fn a_home_whose_word_several_others_deny_twice_is_not_taken_at_its_word_again() {
    let mut world = public_alice(411);
    // As if the home had lied: nobody gets through from now on.
    world.put_behind("alice", Nat::Cone);
    let links = world.links("alice");
    world.run_until(|w| w.links("alice") > links, CONFIRMED);
    world.run_for(TEST);
    assert!(is(&world, "alice", Reachability::Public), "one test may err");
    let later = becomes(&mut world, "alice", Reachability::Natted, SOON);
    assert!(later > Duration::from_secs(4), "it took a second test: {later:?}");

    world.put_behind("alice", Nat::Open);
    let home = world.home("alice");
    world.break_links("alice", &home);
    world.run_for(Duration::from_secs(5));
    assert!(is(&world, "alice", Reachability::Natted), "a home's word alone does not count");
    let after = becomes(&mut world, "alice", Reachability::Public, 3 * SOON);
    assert!(after > Duration::from_secs(4), "others were asked first: {after:?}");
}

#[test]
fn another_home_does_not_change_what_the_last_one_found() {
    let mut world = public_alice(412);
    let home = world.home("alice");
    world.vanish(&home);
    let found = |w: &World| w.peer("alice").network_view().and_then(|view| view.home);
    world.run_until(|w| found(w).is_none(), CONFIRMED);
    assert_eq!(believes(&world, "alice"), None, "without a home nothing is said");
    world.run_until(|w| found(w).is_some(), SOON);
    assert!(is(&world, "alice", Reachability::Public));
}

#[test]
fn in_another_network_nothing_is_known_before_it_was_tested() {
    let mut world = public_alice(413);
    world.put_behind("alice", Nat::Cone);
    world.change_network("alice");
    world.run_until(|w| !is(w, "alice", Reachability::Public), SOON);
    becomes(&mut world, "alice", Reachability::Natted, SOON);
}

#[test]
fn a_test_of_the_owner_takes_part_in_one_that_runs_already() {
    let mut world = public_alice(414);
    let links = world.links("alice");
    world.run_until(|w| w.links("alice") > links, CONFIRMED);
    let told = world.ask("alice", Command::TestReach);
    let Ok(Answer::Reach(verdicts)) = told else { panic!("{told:?}") };
    assert_eq!(verdicts.len(), 4);
}
