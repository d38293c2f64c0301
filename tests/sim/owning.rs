//! What the owner of a super-peer lets it do and use. DESIGN 2.12.

use std::time::Duration;

use earshot_proto::port::PathKind;
use earshot_proto::super_peer::terms::{Spent, Terms};
use earshot_tests::sim::{Nat, SOON, World};

/// Longer than it takes until a home has told its clients and these have asked elsewhere.
const A_WHILE: Duration = Duration::from_secs(35);

const RELAY_OFF: Terms = Terms {
    directory: true,
    relay: false,
    connections: None,
    bytes_per_s: None,
    bytes_a_month: None,
};

#[test]
fn where_no_home_relays_another_super_peer_does() {
    let mut world = World::new(160).network(3);
    for (name, home) in [("alice", "super-1"), ("bob", "super-2")] {
        world.pretending(name, Nat::Symmetric, None);
        world.comes_in_at(name, home);
    }
    world.befriend("alice", "bob");
    world.set_terms("super-1", RELAY_OFF);
    world.set_terms("super-2", RELAY_OFF);
    world.run_for(A_WHILE);
    world.talk("alice", "bob");
    let path = world.current_call("bob").and_then(|call| call.path).expect("they talk");
    assert_eq!(path.kind, PathKind::RelayUdp);
    assert_eq!(path.relay, Some(world.entry_of("super-3").address));
}

#[test]
fn at_the_end_of_the_months_traffic_people_are_handed_over_and_the_month_outlives_a_restart() {
    let mut world = World::new(161).network(3);
    for name in ["alice", "bob", "carol", "dora"] {
        world.person(name);
    }
    let home = world.home("alice");
    let used = world.status(&home).work.traffic.bytes;
    assert!(used > 0);
    let terms = Terms { bytes_a_month: Some(used * 2), ..Terms::default() };
    world.set_terms(&home, terms);
    assert_eq!(world.status(&home).work.spent, Spent::Little);
    let is_given_up = |w: &World| w.status(&home).work.spent > Spent::Little;
    world.run_until(is_given_up, Duration::from_secs(6 * 3600));
    world.run_until(|w| w.status(&home).clients == 0, SOON);
    let moved = |w: &World| {
        let view = w.peer("alice").network_view();
        view.is_some_and(|view| view.home.is_some()) && w.home("alice") != home
    };
    world.run_until(moved, SOON);
    let spent = world.status(&home).work.traffic;
    world.leave(&home);
    world.start(&home);
    world.run_until(|w| w.serves(&home), SOON);
    let after = world.status(&home).work.traffic;
    assert!(after.since == spent.since && after.bytes >= spent.bytes, "{spent:?} {after:?}");
    assert!(world.find("bob", "alice").0.contains("alice"));
}
