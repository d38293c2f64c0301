//! People at real processes: logging in on one device and another, with and without authority.

use earshot_tests::harness::{Daemon, Mark, Role, Trouble};
use serde_json::{Value, json};

use crate::world::{PASSWORD, SOON, World, befriend, hears, log_in, online, refused, shows, write};

#[test]
fn a_wrong_password_and_an_unknown_name_are_answered_alike() {
    let world = World::new("wrong-password");
    let network = world.network("network");
    drop(world.person("anna", &network));
    let peer = world.peer("stranger", &network);
    let answer = |user: &str| -> Value {
        let params = json!({ "user": user, "password": "not the password at all" });
        let trouble: Trouble = peer.rpc("login", params).unwrap_err();
        let refusal = trouble.refusal().unwrap_or_else(|| panic!("{trouble}")).clone();
        json!([refusal.number, refusal.code, refusal.facts])
    };
    let wrong = answer("anna");
    assert_eq!(wrong[1], "wrongNameOrPassword");
    assert_eq!(wrong, answer("otto"));
}

#[test]
fn a_name_belongs_to_the_first_who_takes_it() {
    let world = World::new("taken");
    let network = world.network("network");
    let _anna = world.person("anna", &network);
    let second = world.peer("second", &network);
    let register = |user: &str, password: &str| {
        second.rpc("register", json!({ "user": user, "password": password }))
    };
    assert_eq!(refused(register("anna", PASSWORD)), "nameTaken");
    assert_eq!(refused(register("ANNA", PASSWORD)), "nameTaken");
    assert_eq!(refused(register("аnna", PASSWORD)), "nameLooksAlike");
    assert_eq!(refused(register("an", PASSWORD)), "badName");
    assert_eq!(refused(register("otto", "short")), "passwordTooShort");
    register("otto", PASSWORD).unwrap();
}

#[test]
fn a_second_device_gets_the_messages_too() {
    let world = World::new("second-device");
    let network = world.network("network");
    let (anna, ben) = (world.person("anna", &network), world.person("ben", &network));
    befriend(("anna", &anna), ("ben", &ben));
    let laptop = world.peer("laptop", &network);
    let login = log_in(&laptop, "anna").unwrap();
    let first = anna.rpc("state.get", json!({})).unwrap()["session"]["deviceId"].clone();
    assert_ne!(login["deviceId"], first, "every device has keys of its own");
    online(&laptop, Mark::default());
    // The first device tells the second who their buddies are, and the second greets them.
    shows(&laptop, Mark::default(), "ben", "online");
    write(&ben, "anna", "to both of you");
    hears(&anna, "to both of you");
    hears(&laptop, "to both of you");
}

#[test]
fn who_logs_out_and_in_again_is_shown_so_and_gets_messages() {
    let world = World::new("again");
    let network = world.network("network");
    let (anna, ben) = (world.person("anna", &network), world.person("ben", &network));
    befriend(("anna", &anna), ("ben", &ben));
    shows(&ben, Mark::default(), "anna", "online");
    let marks = [anna.mark(), ben.mark()];
    anna.rpc("logout", json!({})).unwrap();
    shows(&ben, marks[1], "anna", "offline");
    let mark = ben.mark();
    log_in(&anna, "anna").unwrap();
    online(&anna, marks[0]);
    shows(&ben, mark, "anna", "online");
    write(&ben, "anna", "there you are");
    hears(&anna, "there you are");
}

#[test]
fn who_logged_in_here_before_gets_in_while_the_authority_is_down() {
    let world = World::new("offline-login");
    let authority = world.spawn(&world.launch("authority", Role::Authority)).unwrap();
    let super_peer = world.super_peer("super-peer", &authority);
    let anna = world.person("anna", &super_peer);
    let ben = world.person("ben", &super_peer);
    befriend(("anna", &anna), ("ben", &ben));
    anna.rpc("logout", json!({})).unwrap();
    assert_eq!(authority.stop().unwrap().0.code(), Some(0));

    assert_eq!(
        refused(anna.rpc("login", json!({ "user": "anna", "password": "not it at all" }))),
        "wrongNameOrPassword"
    );
    let mark = anna.mark();
    log_in(&anna, "anna").unwrap();
    online(&anna, mark);
    write(&ben, "anna", "without any authority");
    hears(&anna, "without any authority");
    let stranger = world.peer("stranger", &super_peer);
    let new = |method: &str, user: &str| {
        refused(stranger.rpc(method, json!({ "user": user, "password": PASSWORD })))
    };
    assert_eq!(new("login", "anna"), "authorityUnreachable");
    assert_eq!(new("register", "otto"), "authorityUnreachable");
}

#[test]
fn a_session_that_changes_is_told_whole() {
    let world = World::new("session-told");
    let network = world.network("network");
    let anna = world.person("anna", &network);
    let told = |from: Mark, what: &str, fits: &dyn Fn(&Value) -> bool| {
        let fits = |event: &Value| event["type"] == "sessionChanged" && fits(&event["session"]);
        anna.wait_event(from, SOON, what, fits).unwrap();
    };
    told(Mark::default(), "online", &|session| {
        session["state"] == "online" && session["presence"] == "online"
    });
    let mark = anna.mark();
    anna.rpc("presence.set", json!({ "presence": "away", "mood": "at lunch" })).unwrap();
    told(mark, "away", &|session| {
        session["presence"] == "away" && session["mood"] == "at lunch" && session["user"] == "anna"
    });
    network.kill();
    told(mark, "offline", &|session| {
        session["state"] == "offline" && session["presence"] == "away"
    });
    anna.rpc("logout", json!({})).unwrap();
    told(mark, "logged out", &|session| *session == json!({ "state": "loggedOut" }));
}

#[test]
fn users_of_one_computer_keep_their_own_things() {
    let world = World::new("shared-computer");
    let network = world.network("network");
    let ben = world.person("ben", &network);
    let family = world.person("anna", &network);
    befriend(("anna", &family), ("ben", &ben));
    write(&ben, "anna", "for Anna alone");
    hears(&family, "for Anna alone");

    family.rpc("logout", json!({})).unwrap();
    let mark = family.mark();
    family.rpc("register", json!({ "user": "otto", "password": PASSWORD })).unwrap();
    online(&family, mark);
    let seen = |peer: &Daemon| -> Value {
        let state = peer.rpc("state.get", json!({})).unwrap();
        let buddies = state["buddies"].as_array().unwrap().iter();
        let talks = state["conversations"].as_array().unwrap().iter();
        let buddies: Vec<_> = buddies.map(|buddy| &buddy["user"]).collect();
        let last: Vec<_> = talks.map(|talk| &talk["last"]["text"]).collect();
        json!([buddies, last])
    };
    assert_eq!(seen(&family), json!([[], []]));
    family.rpc("logout", json!({})).unwrap();

    let annas = json!([["ben"], ["for Anna alone"]]);
    log_in(&family, "anna").unwrap();
    assert_eq!(seen(&family), annas);
    assert_eq!(family.stop().unwrap().0.code(), Some(0));
    let family = world.peer("anna", &network);
    log_in(&family, "otto").unwrap();
    assert_eq!(seen(&family), json!([[], []]));
    family.rpc("logout", json!({})).unwrap();
    log_in(&family, "anna").unwrap();
    assert_eq!(seen(&family), annas);
}

#[test]
fn a_microphone_that_cannot_be_read_is_told_when_it_is_chosen() {
    let world = World::new("microphone");
    let network = world.network("network");
    let anna = world.person("anna", &network);
    let text = world.scratch.join("text.wav");
    std::fs::write(&text, "This is no sound, but it is long enough for a header.").unwrap();
    let fault = |peer: &Daemon, microphone: String| {
        let trouble = peer.rpc("audio.set", json!({ "microphone": microphone })).unwrap_err();
        let refusal = trouble.refusal().unwrap_or_else(|| panic!("{trouble}")).clone();
        (refusal.code, refusal.facts["fault"].clone())
    };
    let missing = world.scratch.join("missing.wav");
    let cases = [(missing, "fileUnreadable"), (text, "unsupportedWav")];
    for (path, wanted) in cases {
        let (code, fault) = fault(&anna, format!("file:{}", path.display()));
        assert_eq!((code.as_str(), fault), ("audio", json!(wanted)));
    }
    assert_eq!(fault(&anna, "gramophone:1".into()).0, "badDevice");
}
