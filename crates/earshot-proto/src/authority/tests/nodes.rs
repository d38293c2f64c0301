//! Enrolling super-peers.

use super::*;
use crate::ids::NodeId;
use crate::wire::certificate::HolderKeys;
use crate::wire::enrolment::EnrolmentRefusal;

fn enrol_with(
    world: &mut World,
    token: Option<Bytes<32>>,
    keys: &Keys,
    address: &str,
) -> Result<(Chain, Vec<NodeId>), EnrolmentRefusal> {
    let id = world.dial(keys, None);
    let address = address.parse().expect("an address");
    let answer =
        world.enrol(id, Enrolment::Enrol { token, keys: keys.public(), address, v6: None });
    world.hang_up(id);
    enrolled(answer)
}

fn enrolled(answer: Enrolment) -> Result<(Chain, Vec<NodeId>), EnrolmentRefusal> {
    match answer {
        Enrolment::Enrolled { chain, nodes, .. } => {
            Ok((chain, nodes.iter().map(|n| n.node).collect()))
        }
        Enrolment::Refused { reason } => Err(reason),
        other => panic!("no answer to an enrolment: {other:?}"),
    }
}

fn token(world: &mut World) -> Option<Bytes<32>> {
    let until = world.wall.plus(DAY);
    Some(world.make_token(Admits::Node, 1, until))
}

fn node_of(world: &World, chain: &Chain) -> (NodeId, HolderKeys) {
    let verified = verify_chain(chain, &world.root, world.wall, Use::Addressing);
    match verified.expect("a certificate").statement.subject {
        Subject::Node { node, keys, .. } => (node, keys),
        other => panic!("not a node: {other:?}"),
    }
}

#[test]
fn a_token_enrols_one_super_peer_and_the_next_learns_of_it() {
    let mut world = World::new();
    let (one, two) = (Keys::draw(&mut world.secrets), Keys::draw(&mut world.secrets));
    let first = token(&mut world);
    let (chain, nodes) =
        enrol_with(&mut world, first.clone(), &one, "127.0.0.1:4001").expect("enrols");
    let (node, keys) = node_of(&world, &chain);
    assert_eq!((keys, nodes), (one.public(), vec![]));
    let until = world.verified(&chain).statement.not_after;
    assert_eq!(until, START.plus(DAY * 7));
    let again = enrol_with(&mut world, first, &two, "127.0.0.1:4002");
    assert_eq!(again, Err(EnrolmentRefusal::TokenRefused));
    world.crash();
    let second = token(&mut world);
    let (_, nodes) = enrol_with(&mut world, second, &two, "127.0.0.1:4002").expect("enrols");
    assert_eq!(nodes, [node]);
}

#[test]
fn the_authority_gives_the_place_and_the_same_address_the_same_one() {
    let mut world = World::new();
    let (one, two) = (Keys::draw(&mut world.secrets), Keys::draw(&mut world.secrets));
    let (first, second) = (token(&mut world), token(&mut world));
    let (a, _) = enrol_with(&mut world, first, &one, "127.0.0.1:4001").expect("enrols");
    let (b, _) = enrol_with(&mut world, second, &two, "127.0.0.1:4001").expect("enrols");
    let (a, b) = (node_of(&world, &a), node_of(&world, &b));
    assert_eq!(a.0, b.0);
    assert_ne!(a.1, b.1, "who has the address has the place");
}

#[test]
fn an_unknown_or_expired_token_and_foreign_keys_enrol_nobody() {
    let mut world = World::new();
    let (keys, other) = (Keys::draw(&mut world.secrets), Keys::draw(&mut world.secrets));
    let junk = Some(Bytes::new(vec![1; 16]).expect("short"));
    for no_token in [None, junk] {
        let refused = enrol_with(&mut world, no_token, &keys, "127.0.0.1:4001");
        assert_eq!(refused, Err(EnrolmentRefusal::TokenRefused));
    }
    let good = token(&mut world);
    let id = world.dial(&keys, None);
    let address = "127.0.0.1:4001".parse().expect("an address");
    let question =
        Enrolment::Enrol { token: good.clone(), keys: other.public(), address, v6: None };
    let refused = enrolled(world.enrol(id, question));
    assert_eq!(refused, Err(EnrolmentRefusal::CertificateRefused));
    world.pass(DAY);
    let expired = enrol_with(&mut world, good, &keys, "127.0.0.1:4001");
    assert_eq!(expired, Err(EnrolmentRefusal::TokenRefused));
}

#[test]
fn only_addresses_that_the_policy_allows_may_serve() {
    let mut world = World::new();
    for (address, allowed) in [
        ("127.0.0.1:4001", true),
        ("127.0.0.1:0", false),
        ("10.0.0.1:4001", false),
        ("9.9.9.9:4001", true),
        ("[::1]:4001", false),
        ("[::ffff:127.0.0.1]:4001", true),
    ] {
        let keys = Keys::draw(&mut world.secrets);
        let token = token(&mut world);
        let answer = enrol_with(&mut world, token, &keys, address);
        let expected = if allowed { None } else { Some(EnrolmentRefusal::AddressRefused) };
        assert_eq!(answer.err(), expected, "{address}");
    }
}

#[test]
fn one_address_of_the_internet_holds_four_nodes_a_range_of_the_policy_any_number() {
    let mut world = World::new();
    let mut enrol = |host: &str, port: u16| {
        let keys = Keys::draw(&mut world.secrets);
        let token = token(&mut world);
        enrol_with(&mut world, token, &keys, &format!("{host}:{port}")).err()
    };
    for port in 4001..=4004 {
        assert_eq!(enrol("9.9.9.9", port), None);
        assert_eq!(enrol("127.0.0.1", port), None);
    }
    assert_eq!(enrol("9.9.9.9", 4005), Some(EnrolmentRefusal::AddressRefused));
    assert_eq!(enrol("9.9.9.9", 4004), None, "an old port is no new one");
    assert_eq!(enrol("9.9.9.8", 4001), None);
    assert_eq!(enrol("127.0.0.1", 4005), None);
}

#[test]
fn a_node_renews_by_its_certificate_even_when_that_has_just_ended() {
    let mut world = World::new();
    let keys = Keys::draw(&mut world.secrets);
    let first = token(&mut world);
    let (chain, _) = enrol_with(&mut world, first, &keys, "127.0.0.1:4001").expect("enrols");
    world.pass(DAY * 8);
    let id = world.dial(&keys, Some(&chain));
    let address = "127.0.0.1:4009".parse().expect("an address");
    let (renewed, _) =
        enrolled(world.enrol(id, Enrolment::Renew { address, v6: None })).expect("renews");
    assert_ne!(node_of(&world, &renewed).0, node_of(&world, &chain).0, "a new address");
    assert_eq!(world.verified(&renewed).statement.not_after, world.wall.plus(DAY * 7));
    // Somebody else has enrolled at the old address since: the old keys renew nothing more.
    let other = Keys::draw(&mut world.secrets);
    let second = token(&mut world);
    enrol_with(&mut world, second, &other, "127.0.0.1:4001").expect("enrols");
    let id = world.dial(&keys, Some(&chain));
    let refused = enrolled(world.enrol(id, Enrolment::Renew { address, v6: None }));
    assert_eq!(refused, Err(EnrolmentRefusal::CertificateRefused));
}

#[test]
fn an_app_enrols_by_its_users_certificate_and_the_user_owns_the_node() {
    let mut world = World::new();
    let alice = world.register("alice", "correct horse").expect("registers");
    let id = world.dial(&alice.keys, alice.chain.as_ref());
    let address = "127.0.0.1:4001".parse().expect("an address");
    let question = Enrolment::Enrol { token: None, keys: alice.keys.public(), address, v6: None };
    let (chain, _) = enrolled(world.enrol(id, question)).expect("enrols");
    let subject = world.verified(&chain).statement.subject;
    assert!(matches!(subject, Subject::Node { owner: Some(owner), .. } if owner == alice.user));
    let id = world.dial(&alice.keys, alice.chain.as_ref());
    let answer = world.enrol(id, Enrolment::Renew { address, v6: None });
    assert_eq!(
        enrolled(answer),
        Err(EnrolmentRefusal::CertificateRefused),
        "no node's certificate"
    );
}

#[test]
fn a_node_that_could_not_be_kept_is_refused_and_its_token_is_good_again() {
    let mut world = World::new();
    let keys = Keys::draw(&mut world.secrets);
    let token = token(&mut world);
    world.disk = Disk::Fails;
    let failed = enrol_with(&mut world, token.clone(), &keys, "127.0.0.1:4001");
    assert_eq!(failed, Err(EnrolmentRefusal::Unavailable));
    world.disk = Disk::Keeps;
    assert!(enrol_with(&mut world, token, &keys, "127.0.0.1:4001").is_ok());
}

#[test]
fn a_policy_is_signed_by_the_root_and_only_a_newer_one_replaces_it() {
    let mut world = World::new();
    let newer = Policy { version: 2, ..policy(Admission::Token) };
    world.order(Order::SetPolicy(newer.clone()));
    assert_eq!(world.notices.pop(), Some(Notice::PolicySet { version: 2 }));
    assert_eq!(world.register("alice", "correct horse").err(), Some(Refusal::NotAdmitted));
    world.order(Order::SetPolicy(policy(Admission::Open)));
    let refused = world.notices.pop();
    assert!(matches!(refused, Some(Notice::OrderRefused(_))), "{refused:?}");
    assert!(world.authority.keys_mut().take_root().is_some());
    world.order(Order::SetPolicy(Policy { version: 3, ..newer }));
    let refused = world.notices.pop();
    assert!(matches!(refused, Some(Notice::OrderRefused(_))), "{refused:?}");
}

#[test]
fn the_root_certifies_the_authority_again_before_its_year_ends() {
    let mut world = World::new();
    world.pass(DAY * 340);
    let alice = world.register("alice", "correct horse").expect("registers");
    let renewed = world.notices.iter().any(|n| matches!(n, Notice::CertificateRenewed { .. }));
    assert!(renewed);
    world.pass(DAY * 13);
    world.crash();
    let id = world.dial(&alice.keys, alice.chain.as_ref());
    let Login::Certified { until, .. } = world.ask_login(id, Login::Renew) else {
        panic!("not renewed");
    };
    assert_eq!(until, world.wall.plus(DAY * 14), "not cut at the end of the first year");
}

#[test]
fn without_the_root_certificates_end_with_the_authoritys_own() {
    let mut world = World::new();
    world.authority.keys_mut().take_root();
    world.pass(DAY * 360);
    let alice = world.register("alice", "correct horse").expect("registers");
    let until = world.verified(alice.chain.as_ref().expect("a chain")).statement.not_after;
    assert_eq!(until, START.plus(DAY * 365));
}

#[test]
fn a_second_address_is_certified_if_it_is_the_internets_and_the_first_is_of_ipv4() {
    let shown = |address: &str, v6: &str| {
        let mut world = World::new();
        let keys = Keys::draw(&mut world.secrets);
        let (token, id) = (token(&mut world), world.dial(&keys, None));
        let address = address.parse().expect("an address");
        let v6 = Some(v6.parse().expect("an address"));
        let question = Enrolment::Enrol { token, keys: keys.public(), address, v6 };
        let (chain, _) = enrolled(world.enrol(id, question)).expect("enrols");
        match world.verified(&chain).statement.subject {
            Subject::Node { v6, .. } => v6.map(|v6| v6.to_string()),
            Subject::Authority { .. } | Subject::Device { .. } => panic!("not a node"),
        }
    };
    let good = "[2a00:1::2]:37373";
    assert_eq!(shown("5.2.0.2:37373", good).as_deref(), Some(good));
    for bad in ["[fe80::1]:37373", "[fd00::1]:37373", "[2a00:1::2]:22", "[::ffff:10.0.0.1]:37373"] {
        assert_eq!(shown("5.2.0.2:37373", bad), None, "{bad}");
    }
    assert_eq!(shown("[2a00:1::3]:37373", good), None, "one of IPv6 is enough");
}
