//! Who carries learns nothing: in mid-call the memory and the files of super-peer and authority
//! hold no word, no sound and no key of those who talk. DESIGN 6.
//!
//! One of the two peers lives inside the test, so what is searched for is known for certain. The
//! same search finds the sealed packets in the relay, the plain ones in both peers and a name that
//! the authority may know in its files: else nothing was proved, and the test fails.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use earshot_proto::ids::UserName;
use earshot_proto::peer::call::view::CallState;
use earshot_proto::peer::command::{Answer, Command, Notice, Standing};
use earshot_proto::port::PathPolicy;
use earshot_proto::secure::password::Password;
use earshot_proto::wire::bounded::Text;
use earshot_tests::harness::memory::{Memory, Secrets};
use earshot_tests::harness::{Daemon, Mark, Role};
use serde_json::json;

use crate::inside::{Inside, Known, REMEMBERED, invite};
use crate::world::{SOON, World, hears, write};

const GREETING: &str = "It is Alice from the lighthouse, who else.";
const TO_BOB: &str = "The spare key lies under the third flower pot.";
const TO_ALICE: &str = "Nobody will ever look for it beneath begonias.";
const PASSWORD: &str = "seventeen grey herons by the weir";
/// What the authority is told and keeps: shows that the search finds what is there.
const DISPLAY_NAME: &str = "Alice Whose Name Everybody May Know";
/// Kinds of secrets; whoever carries holds none of them.
const SECRET: [&str; 4] = ["voice", "text", "key", "password"];

#[test]
fn a_super_peer_and_an_authority_hold_nothing_of_a_relayed_call() {
    let world = World::new("secrecy");
    let authority = world.spawn(&world.launch("authority", Role::Authority)).unwrap();
    let uri = authority.told("authority").unwrap();
    let token = authority.told("enrolToken").unwrap();
    let launch = world.launch("super-peer", Role::SuperPeer).args([
        "--authority",
        uri,
        "--enrol",
        token,
        "--relay-allow",
        "127.0.0.0/8",
    ]);
    let super_peer = world.spawn(&launch).unwrap();
    prove(&world, &super_peer, &[&super_peer, &authority]);
}

#[test]
fn a_network_in_one_process_holds_nothing_of_a_relayed_call() {
    let world = World::new("secrecy-network");
    let network = world.network("network");
    prove(&world, &network, &[&network]);
}

/// Lets two talk through `relay` and searches the `carriers`, the first of which is the relay.
fn prove(world: &World, relay: &Daemon, carriers: &[&Daemon]) {
    let bob = world.person("bob", relay);
    let mut alice = Inside::new(&world.data("alice"));
    join(&mut alice, relay.told("invite").unwrap());
    befriend(&mut alice, &bob);
    talk(&mut alice, &bob);
    write(&bob, "alice", TO_ALICE);
    say(&mut alice, TO_BOB);
    hears(&bob, TO_BOB);
    alice.wait("the text", |notice| {
        let Notice::Message(message) = notice else { return None };
        (message.text == TO_ALICE).then_some(())
    });
    alice.has_talked(3 * REMEMBERED);

    for daemon in carriers.iter().chain([&&bob]) {
        daemon.freeze();
    }
    let known = alice.known();
    let begun = Instant::now();
    let secrets = secrets(&known);
    assert!(secrets.count("voice") > REMEMBERED, "{} packets", secrets.count("voice"));
    let found = |memory: &Memory| secrets.kinds_in(memory);
    let of = |daemon: &Daemon| found(&Memory::of(daemon.pid()).unwrap());
    let (inside, outside) = (found(&Memory::of(own_pid()).unwrap()), of(&bob));
    let carried: Vec<_> = carriers.iter().map(|carrier| (carrier.name(), of(carrier))).collect();
    let files: Vec<_> =
        carriers.iter().map(|c| (c.name(), files(&world.data(c.name()), &secrets))).collect();
    println!("searched in {:?}: {carried:?}, files {files:?}, bob {outside:?}", begun.elapsed());

    assert!(SECRET.iter().all(|kind| inside.contains(kind)), "in the test itself: {inside:?}");
    assert!(["voice", "text"].iter().all(|kind| outside.contains(kind)), "in bob: {outside:?}");
    assert!(carried[0].1.contains("sealed voice"), "the relay carried nothing: {carried:?}");
    assert!(files.iter().any(|(_, kinds)| kinds.contains("name")), "no file was read: {files:?}");
    for (name, kinds) in carried.iter().chain(&files) {
        assert!(SECRET.iter().all(|kind| !kinds.contains(kind)), "{name} knows {kinds:?}");
    }
}

fn own_pid() -> i32 {
    i32::try_from(std::process::id()).unwrap()
}

fn secrets(known: &Known) -> Secrets {
    let mut secrets = Secrets::default();
    for packet in known.said.iter().chain(&known.heard) {
        secrets.add("voice", packet.clone());
    }
    for packet in known.said_sealed.iter().chain(&known.heard_sealed) {
        secrets.add("sealed voice", packet.clone());
    }
    for key in &known.keys {
        secrets.add("key", key.clone());
    }
    for text in [GREETING, TO_BOB, TO_ALICE] {
        secrets.add("text", text);
    }
    secrets.add("password", PASSWORD);
    secrets.add("name", DISPLAY_NAME);
    secrets
}

/// What lies in the files under a directory.
fn files(directory: &Path, secrets: &Secrets) -> BTreeSet<&'static str> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                return files(&path, secrets);
            }
            secrets.kinds_in(&Memory::holding(std::fs::read(&path).unwrap()))
        })
        .collect()
}

fn join(alice: &mut Inside, uri: &str) {
    alice.ask(Command::Join(invite(uri))).unwrap();
    let user = UserName::new("alice").unwrap();
    let password = Password::new(PASSWORD).unwrap();
    let display_name = Text::new(DISPLAY_NAME).unwrap();
    alice.ask(Command::Register { user, password, display_name }).unwrap();
    alice.wait("home", |notice| {
        let Notice::Network(view) = notice else { return None };
        view.home
    });
}

fn befriend(alice: &mut Inside, bob: &Daemon) {
    let (user, greeting) = (UserName::new("bob").unwrap(), Text::new(GREETING).unwrap());
    alice.ask(Command::Request { user, greeting }).unwrap();
    bob.wait_event(Mark::default(), SOON, "request", |event| event["type"] == "buddyRequested")
        .unwrap();
    bob.rpc("buddies.accept", json!({ "user": "alice" })).unwrap();
    alice.wait("buddy", |notice| {
        let Notice::Buddy(view) = notice else { return None };
        (view.standing == Standing::Buddy).then_some(())
    });
}

fn say(alice: &mut Inside, text: &str) {
    let (to, client_id) = (UserName::new("bob").unwrap(), text.to_owned());
    let text = Text::new(text).unwrap();
    assert!(matches!(alice.ask(Command::Send { to, text, client_id }), Ok(Answer::Sent(..))));
}

/// Alice calls through the relay, Bob answers and sends a tone.
fn talk(alice: &mut Inside, bob: &Daemon) {
    bob.rpc("audio.set", json!({ "microphone": "tone:440", "speaker": "none" })).unwrap();
    let to = UserName::new("bob").unwrap();
    let call = alice.ask(Command::Call { to, path: PathPolicy::RelayOnly }).unwrap();
    let Answer::Calling(call) = call else { panic!("{call:?}") };
    let id = call.to_string();
    let state = |state: &str| {
        bob.wait_event(Mark::default(), SOON, state, |event| {
            event["call"]["id"] == id.as_str() && event["call"]["state"] == state
        })
        .unwrap()
    };
    state("ringing");
    bob.rpc("call.accept", json!({ "callId": id })).unwrap();
    alice.wait("talking", |notice| {
        let Notice::Call(view) = notice else { return None };
        (view.state == CallState::Talking).then_some(())
    });
    let path = state("talking").value["call"]["path"].clone();
    assert_eq!(path["kind"], "relayUdp", "{path}");
}
