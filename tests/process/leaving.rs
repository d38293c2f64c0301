//! Leaving: politely when asked, and what was promised outlives a process that is killed.

use earshot_tests::harness::{Daemon, Mark, Role};
use serde_json::json;

use crate::world::{SOON, World, befriend, hears, log_in, online, write};

/// One of each role, the peer logged in.
fn everybody(world: &World) -> Vec<Daemon> {
    let authority = world.spawn(&world.launch("authority", Role::Authority)).unwrap();
    let super_peer = world.super_peer("super-peer", &authority);
    let person = world.person("anna", &super_peer);
    let network = world.network("network");
    vec![person, super_peer, authority, network]
}

#[test]
fn every_role_leaves_within_three_seconds_when_its_input_ends() {
    let world = World::new("eof");
    for daemon in everybody(&world) {
        let (status, took) = daemon.stop().unwrap();
        assert_eq!(status.code(), Some(0), "{} after {took:?}", daemon.name());
    }
}

#[test]
fn every_role_leaves_within_three_seconds_on_sigterm() {
    let world = World::new("sigterm");
    for daemon in everybody(&world) {
        daemon.terminate();
        let status = daemon.wait_exit(std::time::Duration::from_secs(3)).unwrap();
        assert_eq!(status.code(), Some(0), "{}", daemon.name());
    }
}

#[test]
fn leaving_in_mid_call_ends_it_for_the_other() {
    let world = World::new("leave-call");
    let network = world.network("network");
    let (anna, ben) = (world.person("anna", &network), world.person("ben", &network));
    befriend(("anna", &anna), ("ben", &ben));
    for peer in [&anna, &ben] {
        peer.rpc("audio.set", json!({ "microphone": "tone:440", "speaker": "none" })).unwrap();
    }
    let id = anna.rpc("call.start", json!({ "to": "ben" })).unwrap()["callId"].clone();
    let state = |peer: &Daemon, state: &str| {
        let found = peer.wait_event(Mark::default(), SOON, state, |event| {
            event["call"]["id"] == id && event["call"]["state"] == state
        });
        found.unwrap().value["call"].clone()
    };
    state(&ben, "ringing");
    ben.rpc("call.accept", json!({ "callId": id })).unwrap();
    state(&ben, "talking");
    state(&anna, "talking");
    assert_eq!(anna.stop().unwrap().0.code(), Some(0));
    let end = state(&ben, "ended")["end"].clone();
    assert_eq!((&end["reason"], &end["by"]), (&json!("hungUp"), &json!("them")));
}

#[test]
fn a_message_that_was_taken_outlives_a_kill() {
    let world = World::new("kill");
    let network = world.network("network");
    let (anna, ben) = (world.person("anna", &network), world.person("ben", &network));
    befriend(("anna", &anna), ("ben", &ben));
    ben.kill();
    assert!(ben.wait_exit(SOON).is_ok());
    let sent = write(&anna, "ben", "for later");
    anna.kill();
    assert!(anna.wait_exit(SOON).is_ok());
    drop((anna, ben));

    let anna = world.spawn(&world.launch("anna", Role::Peer)).unwrap();
    log_in(&anna, "anna").unwrap();
    online(&anna, Mark::default());
    let history = anna.rpc("chat.history", json!({ "with": "ben", "limit": 10 })).unwrap();
    assert_eq!(history["messages"][0]["id"], sent["messageId"]);
    assert_eq!(history["messages"][0]["text"], "for later");
    let ben = world.spawn(&world.launch("ben", Role::Peer)).unwrap();
    log_in(&ben, "ben").unwrap();
    hears(&ben, "for later");
}
