//! Networks that are not ours: nobody gets in by accident or by pretending.

use earshot_tests::harness::{Daemon, Role};
use serde_json::json;

use crate::world::{PASSWORD, World, refused};

/// A network at the address where another one was.
fn impostor(world: &World, address: &str) -> Daemon {
    let launch = world.bare("impostor", Role::Network).args(["--name", "test"]);
    world.spawn(&launch.args(["--listen", address])).unwrap()
}

#[test]
fn another_network_at_the_address_of_the_invite_is_refused() {
    let world = World::new("wrong-network");
    let network = world.network("network");
    let (invite, address) =
        (network.told("invite").unwrap().to_owned(), network.told("listen").unwrap().to_owned());
    assert_eq!(network.stop().unwrap().0.code(), Some(0));
    let impostor = impostor(&world, &address);
    let peer = world.spawn(&world.launch("peer", Role::Peer).args(["--invite", &invite])).unwrap();
    let register = json!({ "user": "anna", "password": PASSWORD });
    // The handshake names the network and fails, whoever answers: to us nobody is there.
    assert_eq!(refused(peer.rpc("register", register)), "notConnected");
    let status = peer.rpc("network.status", json!({})).unwrap();
    assert!(status.get("home").is_none(), "{status}");
    let service = impostor.rpc("super_peer.status", json!({})).unwrap();
    assert_eq!((&service["clients"], &service["registrations"]), (&json!(0), &json!(0)));
}

#[test]
fn a_node_belongs_to_one_network() {
    let world = World::new("two-networks");
    let (network, other) = (world.network("network"), world.network("other"));
    let anna = world.person("anna", &network);
    let foreign = json!({ "invite": other.told("invite").unwrap() });
    assert_eq!(refused(anna.rpc("network.join", foreign)), "otherNetwork");
    let own = json!({ "invite": network.told("invite").unwrap() });
    assert!(anna.rpc("network.join", own).is_ok(), "the own one again");
}

#[test]
fn a_super_peer_without_a_token_or_with_a_used_one_is_not_enrolled() {
    let world = World::new("enrolment");
    let authority = world.spawn(&world.launch("authority", Role::Authority)).unwrap();
    let first = world.super_peer("first", &authority);
    assert!(first.told("invite").is_ok());
    let uri = authority.told("authority").unwrap();
    let used = authority.told("enrolToken").unwrap();
    let token = [&[][..], &["--enrol", used], &["--enrol", "AAAAAAAAAAAAAAAAAAAAAA"]];
    for (number, token) in token.into_iter().enumerate() {
        let name = format!("second-{number}");
        let launch = world.launch(&name, Role::SuperPeer).args(["--authority", uri]).args(token);
        let (code, _, status) = crate::world::not_ready(world.spawn(&launch));
        assert_eq!((code.as_str(), status), ("notEnrolled", Some(1)), "{token:?}");
    }
}

#[test]
fn who_is_not_reached_by_the_others_is_not_enrolled_and_told_why() {
    let world = World::new("verified");
    let launch = world.launch("authority", Role::Authority);
    let launch = launch.args(["--exempt-super-peers", "3", "--enrol-uses", "10"]);
    let authority = world.spawn(&launch).unwrap();
    let _first: Vec<_> =
        (1..=3).map(|number| world.super_peer(&format!("first-{number}"), &authority)).collect();
    // A port where nobody listens: it was ours a moment ago.
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let unused = unused.to_string();
    let (uri, token) =
        (authority.told("authority").unwrap(), authority.told("enrolToken").unwrap());
    let wrong = world.launch("wrong", Role::SuperPeer).args(["--authority", uri, "--enrol", token]);
    let refused = world.spawn(&wrong.args(["--public", &unused]));
    let (code, facts, status) = crate::world::not_ready(refused);
    assert_eq!((code.as_str(), status), ("notEnrolled", Some(1)));
    assert_eq!(facts, json!({ "reason": "notReached", "address": unused }));
    let log = std::fs::read_to_string(world.scratch.join("wrong.log")).unwrap_or_default();
    assert!(log.contains(&format!("not reached at {unused}")), "{log}");
    let fourth = world.super_peer("fourth", &authority);
    assert!(fourth.told("invite").is_ok(), "three others have reached it");
}

#[test]
fn an_enrolled_super_peer_serves_again_without_a_token() {
    let world = World::new("enrolled");
    let authority = world.spawn(&world.launch("authority", Role::Authority)).unwrap();
    let first = world.super_peer("super-peer", &authority);
    let (key, address) =
        (first.told("nodeKey").unwrap().to_owned(), first.told("listen").unwrap().to_owned());
    assert_eq!(first.stop().unwrap().0.code(), Some(0));
    drop(first);
    let uri = authority.told("authority").unwrap();
    let again = world.bare("super-peer", Role::SuperPeer).args(["--authority", uri]);
    let again = world.spawn(&again.args(["--listen", &address])).unwrap();
    assert_eq!(again.told("nodeKey").unwrap(), key);
    let anna = world.person("anna", &again);
    assert!(anna.rpc("network.status", json!({})).unwrap()["home"].is_object());
}
