//! The phone's own sounds: it rings where a ringer was chosen, and nowhere else.

use std::path::Path;
use std::time::{Duration, Instant};

use earshot_tests::harness::{Cards, Launch, Mark, Role, SoundServer};
use serde_json::{Value, json};

use crate::world::{PASSWORD, SOON, World, befriend, call_is, online, refused};

/// The loudest sample of a WAV file of 16 bits, which may still be written.
fn loudest(path: &Path) -> u16 {
    let bytes = std::fs::read(path).unwrap_or_default();
    let samples = bytes.get(44..).unwrap_or_default().chunks_exact(2);
    samples.map(|pair| i16::from_le_bytes([pair[0], pair[1]]).unsigned_abs()).max().unwrap_or(0)
}

#[test]
fn it_rings_at_the_chosen_ringer_until_the_call_ends_and_levels_are_told_in_it() {
    let world = World::new("ringing");
    let network = world.network("network");
    let (anna, ben) = (world.person("anna", &network), world.person("ben", &network));
    befriend(("anna", &anna), ("ben", &ben));
    for peer in [&anna, &ben] {
        peer.rpc("audio.set", json!({ "microphone": "tone:440", "speaker": "none" })).unwrap();
    }
    let ring = world.scratch.join("ring.wav");
    let ringer = json!({ "ringer": format!("file:{}", ring.display()) });
    anna.rpc("audio.set", ringer).unwrap();
    anna.rpc("settings.set", json!({ "ringVolume": 100 })).unwrap();

    let (mark, heard) = (anna.mark(), ben.mark());
    let call = ben.rpc("call.start", json!({ "to": "anna" })).unwrap()["callId"].clone();
    call_is(&anna, mark, "ringing");
    let began = Instant::now();
    while loudest(&ring) < 8_000 {
        assert!(began.elapsed() < SOON, "it does not ring");
        std::thread::park_timeout(Duration::from_millis(10));
    }
    assert_eq!(refused(anna.rpc("audio.test", json!({ "what": "meter" }))), "inACall");
    anna.rpc("call.accept", json!({ "callId": call })).unwrap();
    call_is(&anna, mark, "talking");
    for end in ["levelIn", "levelOut"] {
        let loud = |event: &Value| {
            event["type"] == "audioLevel" && event[end].as_f64().is_some_and(|dbfs| dbfs > -40.0)
        };
        anna.wait_event(mark, SOON, end, loud).unwrap();
    }
    anna.rpc("call.hang_up", json!({ "callId": call })).unwrap();
    call_is(&ben, heard, "ended");
    assert_eq!(anna.breaches(), Vec::<String>::new());
}

/// Waits until so many streams play into a sink.
fn plays(server: &SoundServer, sink: &str, streams: usize) {
    let began = Instant::now();
    while server.streams(sink).unwrap() != streams {
        assert!(began.elapsed() < SOON, "not {streams} streams play into {sink}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

#[test]
fn a_ringer_that_was_unplugged_rings_at_the_usual_speaker() {
    let world = World::new("ringer-gone");
    let network = world.network("network");
    let server = SoundServer::start(&world.scratch.join("pulse"), Cards::Both).unwrap();
    let launch = world.launch("anna", Role::Peer);
    let launch = launch.args(["--invite", network.told("invite").unwrap()]);
    let add = |launch: Launch, (name, value): (String, String)| launch.env(&name, &value);
    let launch = server.variables().into_iter().fold(launch, add);
    let anna = world.spawn(&launch).unwrap();
    anna.rpc("register", json!({ "user": "anna", "password": PASSWORD })).unwrap();
    online(&anna, Mark::default());
    let ben = world.person("ben", &network);
    ben.rpc("audio.set", json!({ "microphone": "tone:440", "speaker": "none" })).unwrap();
    befriend(("anna", &anna), ("ben", &ben));
    let devices = anna.rpc("audio.devices", json!({})).unwrap();
    let speakers = devices["speakers"].as_array().unwrap();
    let room = speakers.iter().find(|one| one["id"].as_str().unwrap().contains("room"));
    let room = format!("device:{}", room.unwrap()["id"].as_str().unwrap());
    anna.rpc("audio.set", json!({ "ringer": room })).unwrap();

    // The call's own stream waits at the speaker for an answer.
    for (room, speaker) in [(Some(1), 1), (None, 2)] {
        if room.is_none() {
            server.unplug("room").unwrap();
        }
        let heard = ben.mark();
        let call = ben.rpc("call.start", json!({ "to": "anna" })).unwrap();
        plays(&server, "room", room.unwrap_or(0));
        plays(&server, "spk", speaker);
        ben.rpc("call.hang_up", call).unwrap();
        call_is(&ben, heard, "ended");
        plays(&server, "spk", 0);
    }
}
