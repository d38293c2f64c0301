//! Enrolling where others have to reach a newcomer first. DESIGN 2.5.

use std::net::SocketAddr;
use std::time::Duration;

use earshot_proto::ids::NodeId;
use earshot_proto::super_peer::Notice;
use earshot_proto::super_peer::enrolment::NotEnrolled;
use earshot_proto::wire::bounded::List;
use earshot_proto::wire::certificate::AgreeKey;
use earshot_proto::wire::directory::NodeEntry;
use earshot_proto::wire::enrolment::EnrolmentRefusal;
use earshot_proto::wire::ring::Question;
use earshot_tests::sim::intruder::Intruder;
use earshot_tests::sim::{Nat, SOON, World};

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// Waits until the super-peer serves, or is told why not.
fn answer(world: &mut World, name: &str) -> Option<EnrolmentRefusal> {
    world.run_until(|w| !w.owner(name).super_peer.is_empty(), SOON);
    match &world.owner(name).super_peer[0] {
        Notice::Serving { .. } => None,
        Notice::NotEnrolled(NotEnrolled::Refused(reason)) => Some(*reason),
        other @ (Notice::NotEnrolled(_) | Notice::Deserted) => {
            panic!("no answer of the authority: {other:?}")
        }
    }
}

#[test]
fn newcomers_are_reached_by_three_others_before_they_serve() {
    let mut world = World::new(300).verifying_network(3);
    for number in 4..=6 {
        let name = format!("super-{number}");
        let before: u64 = (1..=3).map(|n| world.dials(&format!("super-{n}"))).sum();
        world.add_super_peer(&name, number);
        assert_eq!(answer(&mut world, &name), None);
        let after: u64 = (1..=3).map(|n| world.dials(&format!("super-{n}"))).sum();
        assert!(number > 4 || after >= before + 2, "two of three have dialled it");
    }
    world.person("alice");
}

#[test]
fn who_cannot_be_reached_is_not_enrolled() {
    let mut world = World::new(301).verifying_network(3);
    let (wrong, right) = (at("11.0.2.1:4434"), at("11.0.2.1:4433"));
    world.add_super_peer_at("wrong-port", right, Nat::Open, Some(wrong));
    assert_eq!(answer(&mut world, "wrong-port"), Some(EnrolmentRefusal::NotReached));
    world.add_super_peer_at("behind-nat", at("11.0.2.2:4433"), Nat::Cone, None);
    assert_eq!(answer(&mut world, "behind-nat"), Some(EnrolmentRefusal::NotReached));
}

#[test]
fn nobody_is_enrolled_at_the_address_of_another() {
    let mut world = World::new(302).verifying_network(3);
    let (mine, theirs) = (at("11.0.2.1:4433"), at("11.0.1.2:4433"));
    world.add_super_peer_at("thief", mine, Nat::Open, Some(theirs));
    assert_eq!(answer(&mut world, "thief"), Some(EnrolmentRefusal::OtherAddress));
    // From the very address, but by another port: the one who is there does not sign.
    world.add_super_peer_at("neighbour", at("11.0.1.2:5000"), Nat::Open, Some(theirs));
    assert_eq!(answer(&mut world, "neighbour"), Some(EnrolmentRefusal::NotReached));
}

#[test]
fn sybils_of_one_address_get_four_places() {
    let mut world = World::new(303).verifying_network(3);
    let answers: Vec<_> = (1..=6)
        .map(|number| {
            let name = format!("sybil-{number}");
            let address = SocketAddr::from(([11, 0, 2, 1], 5000 + number));
            world.add_super_peer_at(&name, address, Nat::Open, None);
            answer(&mut world, &name)
        })
        .collect();
    let refused = Some(EnrolmentRefusal::AddressRefused);
    assert_eq!(answers, [None, None, None, None, refused, refused]);
}

#[test]
fn super_peers_that_somebody_invents_become_no_members() {
    let mut world = World::new(305).network(6);
    let (keys, chain) = world.stolen_from("super-6");
    let real = world.entry_of("super-2");
    world.crash("super-6");
    let door = world.invite().super_peers[0];
    let now = (world.instant(), world.wall());
    let (mut liar, reception) =
        Intruder::new(world.invite().root, &keys.link, Some(chain), door, now);
    let invented = (1..8).map(|number| NodeEntry {
        node: NodeId([number * 30; 20]),
        address: SocketAddr::from(([12, 0, 0, number], 4433)),
        key: AgreeKey([number; 32]),
    });
    // One has the address and key of a real one, and answers there.
    let moved = NodeEntry { node: NodeId([0x55; 20]), ..real };
    let joined = List::first_of(invented.chain([moved]));
    liar.say(Question::News { joined, gone: List::default(), until: NodeId([0; 20]) });
    world.add_script("liar", at("13.0.0.1:1"), Box::new(liar));
    world.run_until(|_| reception.was_welcome(Duration::ZERO) == Some(true), SOON);
    let members = |w: &World| (1..=5).map(|n| w.status(&format!("super-{n}")).members).max();
    let believed = world.comes_true(|w| members(w) > Some(6), Duration::from_secs(90));
    assert!(!believed, "{:?} members", members(&world));
    world.run_until(|w| members(w) == Some(5), SOON);
    world.person("alice");
}

/// Starts it again, and waits for what it is told.
fn answer_again(world: &mut World, name: &str) -> Option<EnrolmentRefusal> {
    world.crash(name);
    world.start(name);
    let before = world.owner(name).super_peer.len();
    world.run_until(|w| w.owner(name).super_peer.len() > before, SOON);
    match &world.owner(name).super_peer[before] {
        Notice::Serving { .. } => None,
        Notice::NotEnrolled(NotEnrolled::Refused(reason)) => Some(*reason),
        other @ (Notice::NotEnrolled(_) | Notice::Deserted) => {
            panic!("no answer of the authority: {other:?}")
        }
    }
}

#[test]
fn a_network_most_of_whose_super_peers_are_off_takes_a_new_one_within_a_minute() {
    for seed in 0..10 {
        let mut world = World::new(310 + seed).verifying_network(12);
        let lots = [seed as usize % 12, (seed as usize * 5 + 3) % 12];
        for number in (1..=12).filter(|number| !lots.contains(&(number - 1))) {
            world.vanish(&format!("super-{number}"));
        }
        let began = world.instant();
        world.add_super_peer("super-13", 13);
        let mut told = answer(&mut world, "super-13");
        // Whom it dialled in vain the authority asks last when it is asked again.
        while told.is_some() {
            assert_eq!(told, Some(EnrolmentRefusal::NobodyVerified));
            assert!(world.instant() < began + Duration::from_secs(60), "not within a minute");
            world.run_for(Duration::from_secs(20));
            told = answer_again(&mut world, "super-13");
        }
        let dials: u64 = lots.iter().map(|n| world.dials(&format!("super-{}", n + 1))).sum();
        assert!(dials >= 2, "both that are left have dialled it");
    }
}

#[test]
fn where_hardly_anybody_is_left_to_verify_the_word_of_a_newcomer_does() {
    let mut world = World::new(304).verifying_network(3);
    world.vanish("super-1");
    world.crash("super-2");
    world.add_super_peer("super-4", 4);
    assert_eq!(answer(&mut world, "super-4"), None);
    world.start("super-2");
    world.add_super_peer("super-5", 5);
    assert_eq!(answer(&mut world, "super-5"), None);
}

#[test]
fn whoever_silences_all_super_peers_gains_as_many_places_as_are_exempt() {
    let mut world = World::new(306).verifying_network(3);
    (1..=3).for_each(|number| world.vanish(&format!("super-{number}")));
    let answers: Vec<_> = (1..=6)
        .map(|number: u8| {
            let name = format!("sybil-{number}");
            world.add_super_peer_at(&name, at(&format!("11.7.{number}.1:4433")), Nat::Open, None);
            answer(&mut world, &name)
        })
        .collect();
    let refused = Some(EnrolmentRefusal::NobodyVerified);
    assert_eq!(answers, [None, None, None, refused, refused, refused]);
}

#[test]
fn one_who_says_not_reached_outweighs_the_silence_of_the_others() {
    let mut world = World::new(307).verifying_network(3);
    world.vanish("super-1");
    world.crash("super-2");
    let (wrong, right) = (at("11.0.2.1:4434"), at("11.0.2.1:4433"));
    world.add_super_peer_at("wrong-port", right, Nat::Open, Some(wrong));
    assert_eq!(answer(&mut world, "wrong-port"), Some(EnrolmentRefusal::NobodyVerified));
}
