//! Finding people. Lecture, slides 31 and 36–38; DESIGN 2.5.

use std::time::Duration;

use earshot_proto::peer::command::{Answer, Command, SearchEnd};
use earshot_proto::peer::search::Sought;
use earshot_proto::wire::directory::Reachability;
use earshot_tests::sim::{Nat, SOON, World, user};

fn super_peers(count: usize) -> impl Iterator<Item = String> {
    (1..=count).map(|number| format!("super-{number}"))
}

fn kept(world: &World, count: usize) -> usize {
    super_peers(count).filter(|node| world.is_up(node) && world.status(node).kept == 1).count()
}

#[test]
fn a_registration_is_kept_by_four_super_peers_or_by_all_there_are() {
    for count in [1, 3, 6] {
        let mut world = World::new(90).network(count);
        world.person("alice");
        let keepers = world.owner("alice").network.as_ref().map(|view| view.keepers);
        assert_eq!(keepers, Some(count.min(4) as u8));
        assert_eq!(kept(&world, count), count.min(4));
    }
}

#[test]
fn all_super_peers_come_to_know_each_other() {
    let mut world = World::new(91).network(6);
    world.run_until(|w| super_peers(6).all(|node| w.status(&node).members == 6), SOON);
}

#[test]
fn somebody_is_found_in_the_first_round() {
    let mut world = World::new(92).network(6);
    world.person("alice");
    world.person("bob");
    assert_eq!(world.search("alice", "bob"), SearchEnd::Found);
    let hit = &world.owner("alice").hits[0];
    assert_eq!((hit.user.as_str(), hit.round, hit.online), ("bob", 1, Some(true)));
    assert!(hit.asked_nodes <= 4, "{} were asked", hit.asked_nodes);
}

#[test]
fn a_name_that_nobody_has_is_given_up_when_its_keepers_deny_it() {
    let mut world = World::new(93).network(20);
    world.person("alice");
    let not_here = |w: &World| super_peers(20).map(|n| w.status(&n).counters.not_here).sum::<u64>();
    let before = not_here(&world);
    assert_eq!(world.search("alice", "nobody"), SearchEnd::NotFound);
    assert_eq!(
        not_here(&world) - before,
        4,
        "no node is asked twice, and no more than its keepers"
    );
}

#[test]
fn who_is_not_linked_is_asked_in_a_datagram() {
    let mut world = World::new(101).network(20);
    world.person("alice");
    world.person("bob");
    let asked = |w: &World| {
        let of = |n: String| w.status(&n).answers;
        super_peers(20).map(of).map(|a| a.first + a.in_session).sum::<u64>()
    };
    let (before, dials) = (asked(&world), world.dials("alice"));
    let exactly = Command::Search(Sought::exactly(user("bob")));
    let Ok(Answer::Searching(search)) = world.ask("alice", exactly) else { panic!("no search") };
    world.run_until(|w| w.owner("alice").searched.contains_key(&search), SOON);
    assert_eq!(world.owner("alice").searched[&search], SearchEnd::Found);
    assert!(asked(&world) > before, "its keepers were asked in datagrams");
    assert_eq!(world.dials("alice"), dials, "no connection was opened");
}

#[test]
fn a_restricted_peer_has_its_home_search() {
    let mut world = World::new(94).network(6);
    world.pretending("alice", Nat::UdpBlocked, Some(Reachability::Restricted));
    world.comes_in("alice");
    world.person("bob");
    let before = world.dials("alice");
    assert_eq!(world.search("alice", "bob"), SearchEnd::Found);
    assert_eq!(world.search("alice", "nobody"), SearchEnd::NotFound);
    assert_eq!(world.dials("alice"), before, "it opens no connection of its own");
}

#[test]
fn whoever_was_kept_by_a_super_peer_that_dies_is_found_again() {
    let mut world = World::new(96).network(6);
    world.person("alice");
    world.person("bob");
    let (home, searcher) = (world.home("alice"), world.home("bob"));
    let keeper = super_peers(6)
        .find(|node| world.holds(node, "alice") && *node != home && *node != searcher)
        .expect("four of six keep it, two are homes");
    world.crash(&keeper);
    world.run_for(Duration::from_secs(20));
    let keepers =
        super_peers(6).filter(|node| *node != keeper && world.holds(node, "alice")).count();
    assert_eq!(keepers, 4, "replicas are repaired within 20 s");
    assert_eq!(world.search("bob", "alice"), SearchEnd::Found);
}

#[test]
fn a_home_puts_anew_what_has_lost_all_its_keepers_at_once() {
    let people = ["alice", "bob", "carol", "dave"];
    let mut world = World::new(228).network(12);
    people.iter().for_each(|name| world.person(name));
    let holders = |world: &World, name: &str| -> Vec<String> {
        super_peers(12).filter(|node| world.is_up(node) && world.holds(node, name)).collect()
    };
    let pairs = people.iter().flat_map(|lost| people.map(|seeker| (*lost, seeker)));
    let (lost, seeker, keepers) = pairs
        .filter(|(lost, seeker)| lost != seeker)
        .map(|(lost, seeker)| (lost, seeker, holders(&world, lost)))
        .find(|(lost, seeker, keepers)| {
            !keepers.contains(&world.home(lost)) && !keepers.contains(&world.home(seeker))
        })
        .expect("the homes of some two are no keepers of one of them");
    assert_eq!(keepers.len(), 4);
    keepers.iter().for_each(|keeper| world.crash(keeper));
    world.run_until(|world| holders(world, lost).len() == 4, Duration::from_secs(20));
    assert_eq!(world.search(seeker, lost), SearchEnd::Found);
}

#[test]
fn who_has_left_is_found_as_being_away() {
    let mut world = World::new(97).network(3);
    world.person("alice");
    world.person("bob");
    world.crash("bob");
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.search("alice", "bob"), SearchEnd::Found);
    assert_eq!(world.owner("alice").hits[0].online, Some(false));
}

#[test]
fn a_registration_that_is_not_refreshed_is_forgotten() {
    let mut world = World::new(98).network(3);
    world.person("alice");
    world.person("bob");
    world.crash("bob");
    world.run_for(Duration::from_secs(40 * 60));
    assert_eq!(world.search("alice", "bob"), SearchEnd::NotFound);
    assert_eq!(world.peer("alice").signed_in().map(|s| s.user), Some(user("alice")));
}

#[test]
fn a_new_super_peer_is_known_to_all_and_takes_its_share() {
    let mut world = World::new(99).network(3);
    world.person("alice");
    world.add_super_peer("super-4", 4);
    world.run_until(|w| w.serves("super-4"), SOON);
    world.run_until(|w| super_peers(4).all(|node| w.status(&node).members == 4), SOON);
    world.run_until(|w| kept(w, 4) == 4, SOON);
}

#[test]
fn a_super_peer_that_restarts_serves_without_the_authority() {
    let mut world = World::new(100).network(2);
    world.crash("authority");
    world.crash("super-1");
    world.start("super-1");
    world.run_until(|w| w.serves("super-1"), SOON);
    world.run_until(|w| w.status("super-1").members == 2, SOON);
}
