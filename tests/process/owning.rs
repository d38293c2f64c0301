//! What owners decide of running processes: what a peer does when it serves and how much it may
//! use, and the policy of a network. DESIGN 2.12, 1.

use std::time::{Duration, Instant};

use earshot_tests::harness::{Daemon, Role};
use serde_json::{Value, json};

use crate::ring::{authority, finds, is_perfect_within};
use crate::world::{SOON, World, log_in, online, refused};

/// A super-peer that was asked when the peer came home does not dial back again for ten seconds.
const PROMOTED: Duration = Duration::from_secs(40);
/// Within this time everybody follows another policy: a round of the authority, and what a ring
/// takes to form.
const FOLLOWED: Duration = Duration::from_secs(120);

fn status_is(peer: &Daemon, within: Duration, is_so: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + within;
    loop {
        let status = peer.rpc("super_peer.status", json!({})).unwrap();
        if is_so(&status) {
            return status;
        }
        assert!(Instant::now() < end, "{status:#}");
    }
}

fn home(peer: &Daemon) -> Value {
    peer.rpc("network.status", json!({})).unwrap()["home"]["address"].take()
}

#[test]
fn the_owner_switches_jobs_and_caps_what_they_use_and_it_is_kept() {
    let world = World::new("jobs");
    let network = world.network("network");
    let anna = world.person("anna", &network);
    let set = |params: Value| anna.rpc("super_peer.set", params);
    let none = json!({ "directory": false, "relay": false });
    assert_eq!(refused(set(json!({ "jobs": none }))), "noJob");
    assert_eq!(refused(set(json!({ "caps": { "connections": 3 } }))), "capOutOfRange");
    assert_eq!(refused(set(json!({ "caps": { "gbPerMonth": 0 } }))), "capOutOfRange");
    let both = json!({ "directory": true, "relay": true });
    let before = status_is(&anna, SOON, |_| true);
    assert_eq!(before["candidacy"]["jobs"], both, "nothing has changed");

    set(json!({ "mode": "always", "caps": { "connections": 64, "gbPerMonth": 5 } })).unwrap();
    let serving = status_is(&anna, PROMOTED, |status| status["since"].is_u64());
    assert_eq!(serving["doing"], both);
    let people: Vec<Daemon> =
        (0..6).map(|number| world.person(&format!("person{number}"), &network)).collect();
    let its = json!(anna.told("listen").unwrap());
    let moved: Vec<&Daemon> = people.iter().filter(|peer| home(peer) == its).collect();
    assert!(!moved.is_empty(), "nobody is at home there");

    let marks: Vec<_> = moved.iter().map(|peer| peer.mark()).collect();
    let relay_only = json!({ "directory": false, "relay": true });
    set(json!({ "jobs": relay_only })).unwrap();
    for (peer, mark) in moved.iter().zip(marks) {
        online(peer, mark);
        assert_ne!(home(peer), its);
    }
    let without = status_is(&anna, SOON, |status| status["clients"] == 0);
    assert_eq!(without["doing"], relay_only);
    assert!(without["month"]["bytes"].as_u64() > Some(0), "{}", without["month"]);
    assert!(finds(&people[0], "anna") && finds(&people[0], "person5"));

    let listen = anna.told("listen").unwrap().to_owned();
    assert_eq!(anna.stop().unwrap().0.code(), Some(0));
    let invite = network.told("invite").unwrap();
    let launch = world.bare("anna", Role::Peer).args(["--ice-loopback", "--listen", &listen]);
    let anna = world.spawn(&launch.args(["--invite", invite])).unwrap();
    log_in(&anna, "anna").unwrap();
    let again = status_is(&anna, PROMOTED, |status| status["since"].is_u64());
    let caps = json!({ "connections": 64, "gbPerMonth": 5 });
    assert_eq!((&again["candidacy"]["caps"], &again["doing"]), (&caps, &relay_only));
    assert_eq!(again["month"]["since"], without["month"]["since"], "the month goes on");
    assert!(again["month"]["bytes"].as_u64() >= without["month"]["bytes"].as_u64());
}

#[test]
fn another_policy_reaches_super_peers_that_run_and_they_follow_it() {
    let world = World::new("policy");
    let before = authority(&world, "2048");
    let mut super_peers: Vec<Daemon> =
        (0..10).map(|number| world.super_peer(&format!("super-{number}"), &before)).collect();
    let are = |peers: &[Daemon], mode: &str, within| {
        peers.iter().for_each(|peer| {
            status_is(peer, within, |status| status["place"]["mode"] == mode);
        });
    };
    are(&super_peers, "full", SOON);
    let listen = before.told("listen").unwrap().to_owned();
    assert_eq!(before.stop().unwrap().0.code(), Some(0));
    let launch = world.bare("authority", Role::Authority);
    let flags = ["--listen", &listen, "--name", "test", "--ring-threshold", "8"];
    let began = Instant::now();
    let after = world.spawn(&launch.args(flags)).unwrap();
    is_perfect_within(&super_peers, "ring", FOLLOWED);
    println!("FIGURE policy.followed_s={:.2}", began.elapsed().as_secs_f64());
    let last = super_peers.pop().unwrap();
    let at = last.told("listen").unwrap().to_owned();
    assert_eq!(last.stop().unwrap().0.code(), Some(0));
    let launch = world.bare("super-9", Role::SuperPeer).args(["--listen", &at]);
    let uri = after.told("authority").unwrap();
    let again = world.spawn(&launch.args(["--authority", uri])).unwrap();
    are(&[again], "ring", FOLLOWED);
    are(&super_peers, "ring", Duration::ZERO); // Who was told keeps it.
}
