//! Finding those who chose to be listed, among real super-peers on a ring.

use earshot_tests::harness::{Daemon, Mark};
use serde_json::{Value, json};

use crate::ring::{FORMED, authority, is_perfect_within};
use crate::world::{PASSWORD, SOON, World, online};

/// Super-peers: more than the threshold of 8.
const SUPER_PEERS: usize = 10;

fn named(world: &World, name: &str, display_name: &str, host: &Daemon) -> Daemon {
    let peer = world.peer(name, host);
    let account = json!({ "user": name, "password": PASSWORD, "displayName": display_name });
    peer.rpc("register", account).unwrap();
    online(&peer, Mark::default());
    peer
}

/// Switches being found by name, and waits until super-peers were told.
fn list(peer: &Daemon, listed: bool) {
    let mark = peer.mark();
    peer.rpc("profile.set", json!({ "listed": listed })).unwrap();
    let wanted = if listed { "on" } else { "off" };
    peer.wait_event(mark, SOON, wanted, |event| {
        event["type"] == "sessionChanged" && event["session"]["listed"] == wanted
    })
    .unwrap();
}

/// What a search finds, and how it ends.
fn search(seeker: &Daemon, typed: &str) -> (Vec<Value>, Value) {
    let mark = seeker.mark();
    let id = seeker.rpc("search", json!({ "user": typed })).unwrap()["searchId"].clone();
    let of_it = |event: &Value, kind: &str| event["type"] == kind && event["searchId"] == id;
    let ended = seeker.wait_event(mark, SOON, "searchEnded", |event| of_it(event, "searchEnded"));
    let ended = ended.unwrap().value;
    let mut found: Vec<Value> = Vec::new();
    for _ in 0..ended["people"].as_u64().unwrap() {
        let is_new = |event: &Value| {
            let is_known = found.iter().any(|hit| hit["user"] == event["user"]);
            of_it(event, "searchResult") && !is_known
        };
        let hit = seeker.wait_event(mark, SOON, "searchResult", is_new);
        found.push(hit.unwrap().value);
    }
    (found, ended)
}

fn users(found: &[Value]) -> Vec<&str> {
    found.iter().filter_map(|hit| hit["user"].as_str()).collect()
}

#[test]
fn who_is_listed_is_found_by_word_and_beginning_until_it_is_switched_off() {
    let world = World::new("listing");
    let authority = authority(&world, "8");
    let super_peers: Vec<Daemon> = (0..SUPER_PEERS)
        .map(|number| world.super_peer(&format!("super-{number}"), &authority))
        .collect();
    is_perfect_within(&super_peers, "ring", FORMED);
    let anna = named(&world, "anna", "Anna Virtanen", &super_peers[0]);
    let otto = named(&world, "otto", "Otto Virtanen", &super_peers[1]);
    let ben = world.person("ben", &super_peers[2]);

    // Not Ben: his home would remember for some seconds that there was nobody.
    let (found, ended) = search(&otto, "virtanen");
    assert_eq!((users(&found), &ended["reason"]), (vec![], &json!("notFound")), "nobody is listed");
    let state = anna.rpc("state.get", json!({})).unwrap();
    assert_eq!(state["session"]["listed"], "off", "until it is switched on");

    list(&anna, true);
    for typed in ["Virtanen", "vir", "VIRTANEN anna"] {
        let (found, ended) = search(&ben, typed);
        assert_eq!(users(&found), ["anna"], "{typed}");
        assert_eq!(found[0]["displayName"], "Anna Virtanen");
        assert_eq!((&ended["found"], &ended["reason"]), (&json!(true), &json!("found")));
        assert!(found[0]["round"].as_u64() >= Some(1), "{found:?}");
        assert!(found[0]["askedNodes"].as_u64() >= Some(1), "{found:?}");
        assert_eq!(found[0]["fromCache"], false);
    }
    // The home is asked and another, and whoever answers first is told of.
    let is_remembered = |_| search(&ben, "Virtanen").0[0]["fromCache"] == true;
    assert!((0..=SUPER_PEERS).any(is_remembered), "nobody remembers");
    assert_eq!(users(&search(&ben, "anna").0), ["anna"], "once, by name and by word");

    list(&anna, false);
    // Within the minute in which a home remembers what it has found only what was not asked for.
    for typed in ["virta", "virt", "ann", "virtan an"] {
        let (found, ended) = search(&ben, typed);
        assert_eq!((users(&found), &ended["reason"]), (vec![], &json!("notFound")), "{typed}");
    }
    assert_eq!(users(&search(&ben, "anna").0), ["anna"], "by the exact name");
}
