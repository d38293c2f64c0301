//! Peers that serve as super-peers too, because their owners want it. DESIGN 2.12.

use std::time::{Duration, Instant};

use earshot_tests::harness::{Daemon, Role};
use serde_json::{Value, json};

use crate::ring::finds;
use crate::world::{PASSWORD, SOON, World, log_in, online, refused};

/// A super-peer that was asked when the peer came home does not dial back again for ten seconds.
const PROMOTED: Duration = Duration::from_secs(40);

fn status(peer: &Daemon) -> Value {
    peer.rpc("super_peer.status", json!({})).unwrap()
}

/// Asks for the status until it is so.
fn status_is(peer: &Daemon, within: Duration, is_so: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + within;
    loop {
        let status = status(peer);
        if is_so(&status) {
            return status;
        }
        assert!(Instant::now() < end, "{status:#}");
    }
}

fn serves(status: &Value) -> bool {
    status["since"].is_u64() && status["candidacy"]["standing"] == "serving"
}

fn choose(peer: &Daemon, mode: &str) {
    peer.rpc("super_peer.set", json!({ "mode": mode })).unwrap();
}

fn home(peer: &Daemon) -> Option<String> {
    let standing = peer.rpc("network.status", json!({})).unwrap();
    standing["home"]["address"].as_str().map(str::to_owned)
}

#[test]
fn who_wants_to_serve_does_and_hands_everybody_over_when_it_stops() {
    let world = World::new("serving");
    let network = world.network("network");
    let anna = world.person("anna", &network);
    let asked = status(&anna);
    assert_eq!(asked["candidacy"]["obstacles"], json!([{ "what": "notAnswered" }]));
    assert!(asked["since"].is_null() && asked["candidacy"]["mode"].is_null(), "{asked}");

    choose(&anna, "always");
    let serving = status_is(&anna, PROMOTED, serves);
    assert_eq!(serving["candidacy"]["mode"], "always");
    assert_eq!(serving["candidacy"]["verifiersNeeded"], 1, "there is but one to ask");
    let verdict = &serving["candidacy"]["verdicts"][0];
    assert_eq!((&verdict["tcp"], &verdict["udp"]), (&json!("reached"), &json!("reached")));
    assert_eq!(verdict["tried"], anna.told("listen").unwrap());
    status_is(&network, SOON, |status| status["superPeers"] == 2);

    let people: Vec<(String, Daemon)> = (0..8)
        .map(|number| {
            let name = format!("person{number}");
            let peer = world.person(&name, &network);
            (name, peer)
        })
        .collect();
    let its = anna.told("listen").unwrap();
    let at_home = |peer: &Daemon| home(peer).is_some_and(|home| home == its);
    let moved: Vec<_> = people.iter().filter(|(_, peer)| at_home(peer)).collect();
    assert!(!moved.is_empty(), "nobody is at home there");
    assert_eq!(status(&anna)["clients"], moved.len());
    for (name, _) in &people[1..] {
        assert!(finds(&people[0].1, name), "{name}");
    }

    let marks: Vec<_> = moved.iter().map(|(_, peer)| peer.mark()).collect();
    let began = Instant::now();
    choose(&anna, "never");
    assert!(!serves(&status(&anna)), "it has stopped when that is answered");
    for ((_, peer), mark) in moved.iter().zip(marks) {
        online(peer, mark);
        assert!(!at_home(peer));
    }
    eprintln!("{} clients moved within {:?}", moved.len(), began.elapsed());
    status_is(&network, SOON, |status| status["clients"] == people.len() + 1);
    for (name, _) in people.iter().skip(1).chain([&("anna".to_owned(), anna)]) {
        assert!(finds(&people[0].1, name), "{name}");
    }
}

#[test]
fn the_choice_is_kept_and_a_peer_serves_again_with_the_certificate_of_before() {
    let world = World::new("serving-again");
    let network = world.network("network");
    let anna = world.person("anna", &network);
    choose(&anna, "always");
    let node = status_is(&anna, PROMOTED, serves)["place"]["node"].clone();
    let listen = anna.told("listen").unwrap().to_owned();
    assert_eq!(anna.stop().unwrap().0.code(), Some(0));
    let invite = network.told("invite").unwrap();
    let launch = world.bare("anna", Role::Peer).args(["--ice-loopback", "--listen", &listen]);
    let anna = world.spawn(&launch.args(["--invite", invite])).unwrap();
    assert_eq!(status(&anna)["candidacy"]["mode"], "always");
    log_in(&anna, "anna").unwrap();
    assert_eq!(status_is(&anna, PROMOTED, serves)["place"]["node"], node);
    anna.rpc("logout", json!({})).unwrap();
    status_is(&anna, SOON, |status| status["since"].is_null());
    status_is(&network, SOON, |status| status["superPeers"] == 1);
}

#[test]
fn a_test_says_what_each_super_peer_found_and_a_founder_is_no_candidate() {
    let world = World::new("dialled-back");
    let network = world.network("network");
    let peer = world.peer("anna", &network);
    assert_eq!(refused(peer.rpc("super_peer.test", json!({}))), "notLoggedIn");
    peer.rpc("register", json!({ "user": "anna", "password": PASSWORD })).unwrap();
    online(&peer, earshot_tests::harness::Mark::default());
    let end = Instant::now() + PROMOTED;
    let verdict = loop {
        let tested = peer.rpc("super_peer.test", json!({})).unwrap();
        let [verdict] = tested["verdicts"].as_array().unwrap().as_slice() else {
            panic!("{tested}")
        };
        assert_eq!(verdict["superPeer"], network.told("listen").unwrap());
        if verdict["tcp"] != "tooSoon" {
            break verdict.clone();
        }
        assert!(Instant::now() < end, "{verdict}");
    };
    assert_eq!((&verdict["tcp"], &verdict["udp"]), (&json!("reached"), &json!("reached")));

    let launch = world.bare("host", Role::Peer).args(["--ice-loopback", "--listen", "127.0.0.1:0"]);
    let host = world.spawn(&launch).unwrap();
    host.rpc("network.start", json!({ "name": "home" })).unwrap();
    assert_eq!(refused(host.rpc("super_peer.set", json!({ "mode": "always" }))), "foundedHere");
    let serving = status(&host);
    assert!(serving["since"].is_u64() && serving["candidacy"].is_null(), "{serving}");
}
