//! Networks that a peer founds in its own process, and what is there again when it comes back.

use earshot_tests::harness::{Daemon, Mark, Role};
use serde_json::{Value, json};

use crate::world::{
    PASSWORD, SOON, World, befriend, call_is, hears, log_in, online, refused, write,
};

/// A peer that belongs to no network, at an address that it keeps.
fn founder(world: &World, listen: &str) -> Daemon {
    let launch = world.bare("host", Role::Peer).args(["--ice-loopback", "--listen", listen]);
    world.spawn(&launch.args(["--relay-allow", "127.0.0.0/8"])).unwrap()
}

fn register(peer: &Daemon, user: &str) {
    let made = peer.rpc("register", json!({ "user": user, "password": PASSWORD })).unwrap();
    let key = made["recoveryKey"].as_str().unwrap_or_default();
    assert_eq!(key.split('-').map(str::len).collect::<Vec<_>>(), [4; 8], "{key}");
    online(peer, Mark::default());
}

/// A guest who has joined by the host's invite.
fn guest(world: &World, host: &Daemon) -> Daemon {
    let peer = world.spawn(&world.launch("guest", Role::Peer)).unwrap();
    let invited = host.rpc("network.invite", json!({})).unwrap();
    assert_eq!(invited["reach"], "thisComputer");
    let invite = &invited["invite"];
    assert_eq!(refused(peer.rpc("network.invite", json!({}))), "noNetwork");
    let mark = peer.mark();
    peer.rpc("network.join", json!({ "invite": invite })).unwrap();
    in_network(&peer, mark);
    peer
}

/// Whoever watches is told that a network was entered, before anybody has logged in.
fn in_network(peer: &Daemon, from: Mark) {
    let fits = |event: &Value| event["type"] == "networkChanged" && event["network"].is_object();
    peer.wait_event(from, SOON, "the network", fits).unwrap();
}

#[test]
fn two_who_founded_and_joined_write_and_talk_and_find_all_again() {
    let world = World::new("founding");
    let host = founder(&world, "127.0.0.1:0");
    let listen = host.told("listen").unwrap().to_owned();
    assert_eq!(refused(host.rpc("network.start", json!({ "name": "" }))), "textEmpty");
    let long = json!({ "name": "x".repeat(65) });
    assert_eq!(refused(host.rpc("network.start", long)), "textTooLong");
    let mark = host.mark();
    let started = host.rpc("network.start", json!({ "name": "home" })).unwrap();
    assert_eq!(started["reach"], "thisComputer");
    in_network(&host, mark);
    assert_eq!(refused(host.rpc("network.start", json!({ "name": "two" }))), "otherNetwork");
    register(&host, "anna");
    let guest = guest(&world, &host);
    register(&guest, "ben");
    befriend(("anna", &host), ("ben", &guest));
    write(&guest, "anna", "what a fine network");
    hears(&host, "what a fine network");

    for peer in [&host, &guest] {
        let devices = json!({ "microphone": "tone:440", "speaker": "none" });
        peer.rpc("audio.set", devices).unwrap();
    }
    let marks = [host.mark(), guest.mark()];
    let call = guest.rpc("call.start", json!({ "to": "anna" })).unwrap()["callId"].clone();
    call_is(&host, marks[0], "ringing");
    host.rpc("call.accept", json!({ "callId": call })).unwrap();
    call_is(&host, marks[0], "talking");
    call_is(&guest, marks[1], "talking");
    host.rpc("call.hang_up", json!({ "callId": call })).unwrap();
    call_is(&guest, marks[1], "ended");

    // The network goes and comes with its founder.
    let mark = guest.mark();
    assert_eq!(host.stop().unwrap().0.code(), Some(0));
    guest
        .wait_event(mark, SOON, "no home", |event| {
            event["type"] == "networkChanged" && event["home"].is_null()
        })
        .unwrap();
    write(&guest, "anna", "while you were away");
    let host = founder(&world, &listen);
    log_in(&host, "anna").unwrap();
    online(&host, Mark::default());
    online(&guest, mark);
    hears(&host, "while you were away");
    assert_eq!(host.rpc("network.invite", json!({})).unwrap(), started);

    let snapshot = host.rpc("state.get", json!({})).unwrap();
    let conversation = &snapshot["conversations"][0];
    assert_eq!(conversation["last"]["text"], "while you were away");
    assert_eq!(conversation["lastAt"], conversation["last"]["writtenAt"]);
    let history = host.rpc("call.history", json!({ "limit": 10 })).unwrap();
    let [past] = history["calls"].as_array().unwrap().as_slice() else { panic!("{history}") };
    assert_eq!((&past["id"], &past["peer"]), (&call, &json!("ben")));
    assert_eq!((&past["reason"], &past["by"]), (&json!("hungUp"), &json!("me")));
    assert!(past["talkedMs"].is_u64() && past["direction"] == "in", "{past}");
    assert_eq!(history["more"], false);
    let before = json!({ "limit": 10, "before": call });
    assert_eq!(host.rpc("call.history", before).unwrap()["calls"], json!([]));
    let unknown = json!({ "limit": 10, "before": "AAAAAAAAAAAAAAAAAAAAAA" });
    assert_eq!(refused(host.rpc("call.history", unknown)), "noSuchCall");
}

#[test]
fn a_founder_who_is_killed_serves_the_same_network_again() {
    let world = World::new("killed-founder");
    let host = founder(&world, "127.0.0.1:0");
    let listen = host.told("listen").unwrap().to_owned();
    let started = host.rpc("network.start", json!({ "name": "home" })).unwrap();
    host.kill();
    host.wait_exit(SOON).unwrap();
    let host = founder(&world, &listen);
    assert_eq!(host.rpc("network.invite", json!({})).unwrap(), started);
    let standing = host.rpc("network.status", json!({})).unwrap();
    assert_eq!(standing["network"]["name"], "home");
    register(&host, "anna");
}

#[test]
fn who_joined_a_network_founds_none() {
    let world = World::new("joined");
    let network = world.network("network");
    let peer = world.peer("peer", &network);
    assert_eq!(refused(peer.rpc("network.start", json!({ "name": "home" }))), "otherNetwork");
    let invited = peer.rpc("network.invite", json!({})).unwrap();
    assert_eq!(invited["invite"].as_str(), network.told("invite").ok());
}
