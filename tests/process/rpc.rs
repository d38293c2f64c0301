//! JSON-RPC against whatever a client may send: everything is answered, nothing ends the process.

use std::time::Duration;

use earshot_tests::harness::{Daemon, Role};
use serde_json::{Value, json};

use crate::world::{PASSWORD, SOON, World, refused};

/// Number and `data.code` of the next response without an id of ours.
fn stray(peer: &Daemon) -> (i64, String) {
    let answer = peer.wait_stray(SOON).unwrap().value;
    assert_eq!(answer["id"], Value::Null, "{answer}");
    let code = answer["error"]["data"]["code"].as_str().unwrap_or_default().to_owned();
    (answer["error"]["code"].as_i64().unwrap_or_default(), code)
}

/// It still knows what it is asked.
fn lives(peer: &Daemon) {
    assert!(peer.rpc("state.get", json!({})).unwrap()["seq"].is_u64());
}

fn lonely(world: &World) -> Daemon {
    world.spawn(&world.launch("peer", Role::Peer)).unwrap()
}

#[test]
fn lines_that_are_no_request_are_answered_and_forgotten() {
    let world = World::new("malformed");
    let peer = lonely(&world);
    let lines: [(&[u8], i64, &str); 8] = [
        (b"hello", -32_700, "notJson"),
        (b"{\"jsonrpc\":\"2.0\",\"id\":7,", -32_700, "notJson"),
        (b"\xff\xfe\xfd", -32_700, "notJson"),
        (b"{\"id\":\"\xc3\x28\"}", -32_700, "notJson"),
        (b"42", -32_600, "notARequest"),
        (b"[]", -32_600, "notARequest"),
        (b"{}", -32_600, "notARequest"),
        (b"{\"jsonrpc\":\"1.0\",\"id\":null,\"method\":\"state.get\"}", -32_600, "notARequest"),
    ];
    for (line, number, code) in lines {
        peer.say(&[line, b"\n"].concat()).unwrap();
        assert_eq!(stray(&peer), (number, code.to_owned()), "{}", String::from_utf8_lossy(line));
    }
    peer.say(b"\n   \n\r\n").unwrap();
    lives(&peer);
    assert_eq!(peer.breaches(), Vec::<String>::new());
}

#[test]
fn a_line_of_two_mebibytes_is_skipped_and_told() {
    let world = World::new("long-line");
    let peer = lonely(&world);
    let text = "x".repeat(2 * 1024 * 1024);
    let line =
        format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"login\",\"params\":\"{text}\"}}\n");
    peer.say(line.as_bytes()).unwrap();
    assert_eq!(stray(&peer), (-32_600, "lineTooLong".to_owned()));
    // Without an end too: what follows the end is a line again.
    for _ in 0..64 {
        peer.say(&[b'['; 64 * 1024]).unwrap();
    }
    peer.say(b"\n").unwrap();
    assert_eq!(stray(&peer), (-32_600, "lineTooLong".to_owned()));
    lives(&peer);
}

#[test]
fn what_is_not_built_does_not_exist() {
    let world = World::new("unknown");
    let peer = lonely(&world);
    for method in
        ["janitor.sweep", "state.get ", "STATE.GET", "", "super_peer.leave", "groups.list"]
    {
        let trouble = peer.rpc(method, json!({})).unwrap_err();
        let refusal = trouble.refusal().unwrap_or_else(|| panic!("{trouble}"));
        assert_eq!((refusal.number, refusal.code.as_str()), (-32_601, "unknownMethod"), "{method}");
    }
    lives(&peer);
}

#[test]
fn parameters_that_are_not_the_methods_are_refused() {
    let world = World::new("params");
    let peer = lonely(&world);
    for (method, params) in [
        ("login", json!({})),
        ("login", json!({ "user": 7, "password": PASSWORD })),
        ("login", json!(["anna", PASSWORD])),
        ("search", json!({ "user": "anna", "colour": "red" })),
        ("chat.history", json!({ "with": "anna", "limit": -1 })),
        ("presence.set", json!({ "presence": "asleep" })),
    ] {
        let trouble = peer.rpc(method, params.clone()).unwrap_err();
        let refusal = trouble.refusal().unwrap_or_else(|| panic!("{trouble}"));
        let wanted = (-32_602, "badParams");
        assert_eq!((refusal.number, refusal.code.as_str()), wanted, "{method} {params}");
    }
    lives(&peer);
}

#[test]
fn what_comes_too_early_is_refused_by_its_reason() {
    let world = World::new("early");
    let peer = lonely(&world);
    let nobody = json!({ "user": "anna", "password": PASSWORD });
    assert_eq!(refused(peer.rpc("login", nobody.clone())), "noNetwork");
    assert_eq!(refused(peer.rpc("register", nobody)), "noNetwork");
    assert_eq!(refused(peer.rpc("network.invite", json!({}))), "noNetwork");
    let network = world.network("network");
    let invite = network.told("invite").unwrap();
    peer.rpc("network.join", json!({ "invite": invite })).unwrap();

    assert_eq!(refused(peer.rpc("call.accept", json!({ "callId": "no id" }))), "noSuchCall");
    let call = json!({ "callId": "AAAAAAAAAAAAAAAAAAAAAA" });
    for method in ["accept", "decline", "hang_up", "hold", "resume", "mute", "unmute", "stats"] {
        let code = refused(peer.rpc(&format!("call.{method}"), call.clone()));
        assert!(["noSuchCall", "notLoggedIn"].contains(&code.as_str()), "{method}: {code}");
    }
    for (method, params) in [
        ("logout", json!({})),
        ("search", json!({ "user": "anna" })),
        ("buddies.list", json!({})),
        ("buddies.request", json!({ "user": "anna" })),
        ("chat.send", json!({ "to": "anna", "text": "hello", "clientId": "c" })),
        ("chat.history", json!({ "with": "anna", "limit": 1 })),
        ("call.start", json!({ "to": "anna" })),
        ("presence.set", json!({ "presence": "away" })),
        ("profile.set", json!({ "listed": true })),
    ] {
        assert_eq!(refused(peer.rpc(method, params)), "notLoggedIn", "{method}");
    }
    lives(&peer);
}

#[test]
fn what_comes_twice_is_refused_the_second_time() {
    let world = World::new("twice");
    let network = world.network("network");
    let anna = world.person("anna", &network);
    let again = json!({ "user": "anna", "password": PASSWORD });
    assert_eq!(refused(anna.rpc("login", again.clone())), "alreadyLoggedIn");
    assert_eq!(refused(anna.rpc("register", again)), "alreadyLoggedIn");
    assert_eq!(refused(anna.rpc("buddies.request", json!({ "user": "anna" }))), "yourself");
    assert_eq!(refused(anna.rpc("call.start", json!({ "to": "anna" }))), "yourself");
    assert_eq!(refused(anna.rpc("buddies.accept", json!({ "user": "ben" }))), "noSuchRequest");
    assert_eq!(
        refused(anna.rpc("chat.send", json!({ "to": "ben", "text": "x", "clientId": "c" }))),
        "notBuddy"
    );
    anna.rpc("logout", json!({})).unwrap();
    assert_eq!(refused(anna.rpc("logout", json!({}))), "notLoggedIn");
}

#[test]
fn a_hundred_questions_at_once_are_each_answered_once() {
    const FIRST: u64 = 1_000;
    const COUNT: u64 = 100;
    let world = World::new("many");
    let peer = lonely(&world);
    let request = |id: String| {
        format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"network.status\",\"params\":{{}}}}\n"
        )
    };
    // Ids may be strings: such an answer is a stray to us, whose own ids are numbers.
    let lines: String = (FIRST..FIRST + COUNT).map(|id| request(format!("\"{id}\""))).collect();
    // A notification is not answered.
    let silent = "{\"jsonrpc\":\"2.0\",\"method\":\"network.status\",\"params\":{}}\n";
    peer.say(format!("{silent}{lines}{silent}").as_bytes()).unwrap();
    let mut ids: Vec<u64> = (0..COUNT)
        .map(|_| {
            let answer = peer.wait_stray(SOON).unwrap().value;
            assert!(answer["result"].is_object(), "{answer}");
            answer["id"].as_str().unwrap().parse().unwrap()
        })
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, (FIRST..FIRST + COUNT).collect::<Vec<_>>());
    lives(&peer);
    assert!(peer.wait_stray(Duration::ZERO).is_err(), "no more answers than questions");
}

#[test]
fn super_peers_answer_their_own_methods_only() {
    let world = World::new("roles");
    let network = world.network("network");
    let service = network.rpc("super_peer.status", json!({})).unwrap();
    assert_eq!(service["clients"], 0);
    let _anna = world.person("anna", &network);
    assert_eq!(network.rpc("super_peer.status", json!({})).unwrap()["clients"], 1);
    assert_eq!(refused(network.rpc("login", json!({}))), "unknownMethod");
    assert_eq!(refused(network.rpc("super_peer.test", json!({}))), "unknownMethod");
}
