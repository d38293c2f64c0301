//! A peer driven as the window does it: no process, no stdio.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use super::*;

const SOON: Duration = Duration::from_secs(20);
const PASSWORD: &str = "correct horse battery staple";

struct Window {
    peer: Embedded,
    events: Receiver<Value>,
}

impl Window {
    fn open(directory: PathBuf) -> Self {
        let plan = PeerPlan {
            listen: Some(([127, 0, 0, 1], 0).into()),
            ice_loopback: true,
            ..PeerPlan::new(directory)
        };
        let (sender, events) = channel();
        let tell = move |event: &Numbered| {
            drop(sender.send(serde_json::to_value(event).expect("an event is JSON")));
        };
        let peer = Embedded::start(plan, tell);
        Self { peer: peer.expect("it starts"), events }
    }

    fn try_ask(&self, method: &str, params: Value) -> Result<Value, Failure> {
        let runtime = crate::driver::runtime().expect("a runtime");
        let answer = runtime.block_on(self.peer.ask(method, &params.to_string()))?;
        Ok(serde_json::from_str(&answer).expect("JSON"))
    }

    fn ask(&self, method: &str, params: Value) -> Value {
        self.try_ask(method, params).unwrap_or_else(|why| panic!("{method}: {why}"))
    }

    fn wait(&self, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let event = self.events.recv_timeout(SOON).expect("the event comes");
            if fits(&event) {
                return event;
            }
        }
    }
}

fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("earshot-embedded-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    path
}

fn online(event: &Value) -> bool {
    event["type"] == "networkChanged" && event["home"].is_object()
}

#[test]
fn a_window_founds_a_network_registers_and_finds_both_again() {
    let home = directory("founds");
    let window = Window::open(home.clone());
    let refused = window.try_ask("network.start", json!({ "name": "  " })).map_err(|f| f.code);
    assert_eq!(refused, Err(ErrorCode::TextEmpty { field: "name".into() }));
    let started = window.ask("network.start", json!({ "name": "home" }));
    assert_eq!(started["reach"], "thisComputer");
    let again = window.try_ask("network.start", json!({ "name": "other" })).map_err(|f| f.code);
    assert_eq!(again, Err(ErrorCode::OtherNetwork));
    let registered = window.ask("register", json!({ "user": "anna", "password": PASSWORD }));
    assert_eq!(registered["recoveryKey"].as_str().map(str::len), Some(39));
    window.wait(online);
    let status = window.ask("network.status", json!({}));
    assert_eq!(status["network"]["name"], "home");
    assert_eq!(status["authority"]["reachable"], true);
    window.peer.leave();

    // At another port, as whoever moves to another address.
    let window = Window::open(home);
    let invited = window.ask("network.invite", json!({}));
    assert_ne!(invited["invite"], started["invite"]);
    window.ask("login", json!({ "user": "anna", "password": PASSWORD }));
    window.wait(online);

    let guest = Window::open(directory("guest"));
    guest.ask("network.join", json!({ "invite": invited["invite"] }));
    guest.ask("register", json!({ "user": "ben", "password": PASSWORD }));
    guest.wait(online);
    guest.ask("buddies.request", json!({ "user": "anna" }));
    let request = window.wait(|event| event["type"] == "buddyRequested");
    assert_eq!(request["user"], "ben");
    guest.peer.leave();
    window.peer.leave();
}

#[test]
fn what_is_no_question_is_refused_as_by_rpc_and_who_leaves_answers_no_more() {
    let home = directory("refused");
    let window = Window::open(home.clone());
    let code = |method: &str, params: Value| window.try_ask(method, params).map_err(|f| f.code);
    assert_eq!(code("groups.list", json!({})), Err(ErrorCode::UnknownMethod));
    assert!(matches!(code("search", json!({})), Err(ErrorCode::BadParams { .. })));
    assert_eq!(code("search", json!({ "user": "anna" })), Err(ErrorCode::NotLoggedIn));
    let again = PeerPlan { listen: window.peer.ready().listen.into(), ..PeerPlan::new(home) };
    let taken = Embedded::start(again, |_| {}).map_err(|why| why.code).err();
    assert!(matches!(taken, Some(ErrorCode::DataInUse { .. })), "{taken:?}");
    // Whoever still waits for an answer does not hold the peer.
    let answer = window.peer.ask("state.get", "{}");
    window.peer.leave();
    let runtime = crate::driver::runtime().expect("a runtime");
    assert!(runtime.block_on(answer).is_ok(), "it was asked before");
}

#[test]
fn settings_are_told_kept_and_found_again() {
    let home = directory("settings");
    let window = Window::open(home.clone());
    let set = window.ask("settings.set", json!({ "appearance": "dark", "ringVolume": 10 }));
    assert_eq!((&set["appearance"], &set["ringVolume"]), (&json!("dark"), &json!(10)));
    let told = window.wait(|event| event["type"] == "settingsChanged");
    assert_eq!((&told["settings"], &told["seq"]), (&set, &json!(1)));
    window.ask("audio.set", json!({ "microphone": "silence", "ringer": "none" }));
    window.peer.leave();
    let window = Window::open(home.clone());
    let snapshot = window.ask("state.get", json!({}));
    assert_eq!(snapshot["settings"], set);
    assert_eq!(snapshot["audio"]["microphone"], "silence");
    assert_eq!(snapshot["audio"]["ringer"], "none");
    assert!(snapshot.get("settingsSetAside").is_none());
    window.peer.leave();
    std::fs::write(home.join("settings"), b"no settings").expect("writable");
    let snapshot = Window::open(home).ask("state.get", json!({}));
    assert_eq!(snapshot["settings"]["ringVolume"], 80);
    assert_eq!(snapshot["settingsSetAside"], "settings.damaged");
}

/// The loudest sample of a WAV file of 16 bits that may still be written.
fn loudest(path: &std::path::Path) -> u16 {
    let bytes = std::fs::read(path).unwrap_or_default();
    let samples = bytes.get(44..).unwrap_or_default().chunks_exact(2);
    samples.map(|pair| i16::from_le_bytes([pair[0], pair[1]]).unsigned_abs()).max().unwrap_or(0)
}

#[test]
fn devices_are_tried_out_while_there_is_no_call() {
    let home = directory("trial");
    let window = Window::open(home.clone());
    let ring = home.join("ring.wav");
    let ringer = format!("file:{}", ring.display());
    let devices = json!({ "microphone": "tone:440", "speaker": "none", "ringer": ringer });
    window.ask("audio.set", devices);
    let loud = |event: &Value, level: &str| {
        event["type"] == "audioLevel" && event[level].as_f64().is_some_and(|dbfs| dbfs > -30.0)
    };
    window.ask("audio.test", json!({ "what": "meter" }));
    window.wait(|event| loud(event, "levelIn"));
    window.ask("audio.test", json!({ "what": "loop" }));
    window.wait(|event| loud(event, "levelOut"));
    window.ask("audio.test", json!({ "what": "ringer" }));
    let begun = std::time::Instant::now();
    while loudest(&ring) < 3_000 {
        assert!(begun.elapsed() < SOON, "it does not ring");
        std::thread::park_timeout(Duration::from_millis(10));
    }
    window.ask("audio.test", json!({ "what": "off" }));
    window.ask("audio.set", json!({ "microphone": "device:nowhere:nothing" }));
    let refused = window.try_ask("audio.test", json!({ "what": "meter" })).map_err(|f| f.code);
    assert!(matches!(refused, Err(ErrorCode::Audio { .. })), "{refused:?}");
    window.peer.leave();
}
