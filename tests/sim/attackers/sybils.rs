//! Sybils from one address prefix: what they get of places, seats and lists.

use std::net::SocketAddr;

use earshot_proto::peer::super_peers::PREFIX_MAX;
use earshot_proto::super_peer::Notice;
use earshot_proto::super_peer::enrolment::NotEnrolled;
use earshot_proto::wire::enrolment::EnrolmentRefusal;
use earshot_tests::sim::{Nat, SOON, World};

#[test]
fn sybils_of_one_prefix_get_four_places_an_address_and_a_tenth_of_a_list() {
    let mut world = World::new(525).verifying_network(4);
    let mut answers = Vec::new();
    for host in 1..=8 {
        for port in 1..=5 {
            let name = format!("sybil-{host}-{port}");
            let address = SocketAddr::from(([66, 66, 0, host], 5000 + port));
            world.add_super_peer_at(&name, address, Nat::Open, None);
            world.run_until(|w| !w.owner(&name).super_peer.is_empty(), SOON);
            answers.push((port, world.owner(&name).super_peer[0].clone()));
        }
    }
    for (port, answer) in answers {
        let is_in = matches!(answer, Notice::Serving { .. });
        let refused = Notice::NotEnrolled(NotEnrolled::Refused(EnrolmentRefusal::AddressRefused));
        assert_eq!(is_in, port <= 4, "{answer:?}");
        assert!(is_in || answer == refused, "{answer:?}");
    }
    world.run_for(SOON);
    // A peer that knows only the doors of its invite is told of all of them.
    world.person("alice");
    world.run_for(SOON);
    let (_, fullest) = world.list_on_disk("alice").diversity(&[]);
    println!("{fullest} of one prefix in a list of {}", world.list_on_disk("alice").len());
    assert!(fullest <= PREFIX_MAX);
    let refused = |world: &World, name: &str| match &world.owner(name).super_peer[0] {
        Notice::NotEnrolled(NotEnrolled::Refused(reason)) => Some(*reason),
        Notice::NotEnrolled(_) | Notice::Serving { .. } | Notice::Deserted => None,
    };
    // However many they are, they are drawn for one seat of three: nobody gets in by them.
    let hidden = SocketAddr::from(([77, 77, 0, 1], 4433));
    world.add_super_peer_at("behind-nat", hidden, Nat::Cone, None);
    world.run_until(|w| !w.owner("behind-nat").super_peer.is_empty(), SOON);
    assert_eq!(refused(&world, "behind-nat"), Some(EnrolmentRefusal::NotReached));
}
