//! Calls over sound servers that fail: what people are told, and that the call goes on.

use std::path::Path;

use earshot_tests::harness::{Cards, Daemon, Launch, Mark, Role, SoundServer};
use serde_json::json;

use crate::world::{PASSWORD, SOON, World, befriend, call_is, online};

fn launch(world: &World, name: &str, network: &Daemon) -> Launch {
    let invite = network.told("invite").unwrap();
    world.launch(name, Role::Peer).args(["--invite", invite])
}

/// A peer that finds the sound server of `variables`.
fn person(world: &World, name: &str, network: &Daemon, variables: &[(String, String)]) -> Daemon {
    let launch = launch(world, name, network);
    let launch = variables.iter().fold(launch, |launch, (name, value)| launch.env(name, value));
    let peer = world.spawn(&launch).unwrap();
    peer.rpc("register", json!({ "user": name, "password": PASSWORD })).unwrap();
    online(&peer, Mark::default());
    peer
}

/// Anna, who finds that sound server, and Ben, who speaks a tone and hears nothing; buddies.
fn couple(world: &World, network: &Daemon, variables: &[(String, String)]) -> (Daemon, Daemon) {
    let (anna, ben) = (person(world, "anna", network, variables), world.person("ben", network));
    ben.rpc("audio.set", json!({ "microphone": "tone:440", "speaker": "none" })).unwrap();
    befriend(("anna", &anna), ("ben", &ben));
    (anna, ben)
}

fn problem(peer: &Daemon, from: Mark, fault: &str, solved: bool) {
    peer.wait_event(from, SOON, fault, |event| {
        event["type"] == "audioProblem" && event["fault"] == fault && event["solved"] == solved
    })
    .unwrap();
}

/// Variables of a sound server that is not there.
fn nobody(directory: &Path) -> Vec<(String, String)> {
    let place = directory.display().to_string();
    vec![("PULSE_SERVER".into(), format!("unix:{place}/native")), ("XDG_RUNTIME_DIR".into(), place)]
}

#[test]
fn a_call_without_any_sound_server_ends_and_says_so() {
    let world = World::new("no-sound-server");
    let network = world.network("network");
    let (anna, ben) = couple(&world, &network, &nobody(world.scratch.path()));
    let mark = anna.mark();
    anna.rpc("call.start", json!({ "to": "ben" })).unwrap();
    problem(&anna, mark, "noMicrophone", false);
    let end = call_is(&anna, mark, "ended")["end"].clone();
    assert_eq!((&end["reason"], &end["by"]), (&json!("audioFailed"), &json!("me")), "{end}");
    // Ben's side ends too, whether or not it had begun to ring.
    assert!(ben.rpc("state.get", json!({})).is_ok());
}

#[test]
fn a_computer_without_a_microphone_says_so_and_hears() {
    let world = World::new("no-microphone");
    let network = world.network("network");
    let server = SoundServer::start(&world.scratch.join("pulse"), Cards::SpeakerOnly).unwrap();
    let (anna, ben) = couple(&world, &network, &server.variables());
    let devices = anna.rpc("audio.devices", json!({})).unwrap();
    assert_eq!(devices["microphones"], json!([]), "a monitor is no microphone: {devices}");
    let marks = [anna.mark(), ben.mark()];
    anna.rpc("call.start", json!({ "to": "ben" })).unwrap();
    let call = call_is(&ben, marks[1], "ringing");
    ben.rpc("call.accept", json!({ "callId": call["id"] })).unwrap();
    call_is(&anna, marks[0], "talking");
    problem(&anna, marks[0], "noMicrophone", false);
    hears_the_tone(&anna);
    anna.rpc("call.hang_up", json!({ "callId": call["id"] })).unwrap();
    problem(&anna, marks[0], "noMicrophone", true);
}

#[test]
fn a_call_outlives_its_sound_server() {
    let world = World::new("sound-server-dies");
    let network = world.network("network");
    let mut server = SoundServer::start(&world.scratch.join("pulse"), Cards::Both).unwrap();
    let (anna, ben) = couple(&world, &network, &server.variables());
    let marks = [anna.mark(), ben.mark()];
    anna.rpc("call.start", json!({ "to": "ben" })).unwrap();
    let call = call_is(&ben, marks[1], "ringing");
    ben.rpc("call.accept", json!({ "callId": call["id"] })).unwrap();
    call_is(&anna, marks[0], "talking");
    hears_the_tone(&anna);
    let mark = anna.mark();
    server.kill().unwrap();
    problem(&anna, mark, "serverGone", false);
    server.restart().unwrap();
    problem(&anna, mark, "serverGone", true);
    hears_the_tone(&anna);
    let state = anna.rpc("state.get", json!({})).unwrap();
    assert_eq!(state["calls"][0]["state"], "talking", "{state}");
}

/// Waits until a report of a call that began after now says that the tone is played.
fn hears_the_tone(peer: &Daemon) {
    peer.wait_event(peer.mark(), SOON, "the tone", |event| {
        event["type"] == "callStats" && event["levelOut"].as_f64().is_some_and(|dbfs| dbfs > -30.0)
    })
    .unwrap();
}
