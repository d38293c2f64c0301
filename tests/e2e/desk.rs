//! Without the window: the tray and the notices do all that must be done, and a call from a program
//! reaches the person.

use earshot_tests::harness::panel::Panel;
use earshot_tests::harness::web_driver::SOON;
use serde_json::json;

use crate::person::Person;
use crate::program::Program;

/// What the tray and the notices say in English (`src-tauri/src/words.rs`).
const QUIT: &str = "Quit";
const MUTE: &str = "Mute microphone";
const HANG_UP: &str = "Hang up";

#[test]
fn a_call_is_answered_muted_and_hung_up_without_looking_for_the_window() {
    let mut alice = Person::new("alice");
    let panel = Panel::on(alice.desktop.bus()).unwrap();
    alice.open();
    let invite = alice.start_network("home");
    alice.sign_up("Alice");
    let ben = Program::new("ben", &alice, &invite);
    ben.befriend(&alice);
    assert!(panel.has_icon(SOON));
    assert!(panel.tool_tip().unwrap().contains("Online"));

    // The window is gone; the resident stays, and a message is told.
    alice.close_window();
    let message = json!({ "to": "alice", "text": "<i>Lunch?</i>", "clientId": "1" });
    ben.ask("chat.send", &message);
    let told = panel.notice(SOON, |notice| notice.title == "ben").expect("a message is told");
    assert_eq!(told.body, "&lt;i&gt;Lunch?&lt;/i&gt;");
    alice.until("the tray counts it", || panel.tool_tip().unwrap().contains("Unread messages: 1"));

    let mark = ben.peer.mark();
    ben.ask("call.start", &json!({ "to": "alice" }));
    let rings = panel.notice(SOON, |notice| notice.title == "ben is calling");
    let rings = rings.expect("a call is told");
    assert_eq!(rings.actions, ["default", "answer", "decline"]);
    panel.press(&rings, "answer").unwrap();
    ben.call_is(mark, "talking");
    alice.until("the window is there again", || alice.windows() == 1);
    alice.photograph("answered-from-a-notice");
    panel.choose(MUTE, SOON).unwrap();
    panel.choose("Unmute microphone", SOON).unwrap();
    panel.choose(HANG_UP, SOON).unwrap();
    let over = ben.call_is(mark, "ended");
    assert_eq!(over["end"]["reason"], "hungUp");

    // Somebody who gives up leaves a missed call behind.
    alice.close_window();
    let call = ben.ask("call.start", &json!({ "to": "alice" }));
    let rings = panel.notice(SOON, |notice| notice.title == "ben is calling");
    assert!(rings.is_some());
    ben.ask("call.hang_up", &call);
    let missed = panel.notice(SOON, |notice| notice.title == "Missed call from ben");
    assert!(missed.is_some());
    assert!(panel.none(SOON, |notice| notice.title == "ben is calling"));

    // A second start shows the window of the first, and the icon does too.
    alice.tell(&[]);
    alice.until("the window is there again", || alice.windows() == 1);
    alice.close_window();
    panel.click_icon().unwrap();
    alice.until("the window is there again", || alice.windows() == 1);
    panel.choose(QUIT, SOON).unwrap();
    alice.until("all of it has ended", || alice.windows() == 0 && alice.has_left());
}

#[test]
fn whoever_starts_hidden_has_a_tray_and_no_window_until_it_is_wanted() {
    let alice = Person::new("alice");
    let panel = Panel::on(alice.desktop.bus()).unwrap();
    let hidden = alice.start(&["--hidden"]);
    assert!(panel.has_icon(SOON));
    assert!(panel.tool_tip().unwrap().contains("Not logged in"));
    assert_eq!(alice.windows(), 0);
    alice.tell(&["earshot:add/ben"]);
    alice.until("the window is there", || alice.windows() == 1);
    alice.tell(&["--do", "quit"]);
    assert!(hidden.ended().success());
}

#[test]
fn the_window_goes_nowhere_and_asks_for_nothing_it_may_not() {
    let alice = Person::at_the_app("alice");
    let page = alice.page();
    page.run("location.href = 'https://example.invalid/'; return true", &[]).unwrap();
    assert!(page.address().unwrap().starts_with("tauri://localhost"));
    let blocked = r#"
        window.outcome = null;
        const tried = (what) => what.then(() => "went through", () => "blocked");
        Promise.all([
          tried(fetch("https://example.invalid/")),
          tried(Promise.resolve().then(() => eval("1"))),
          tried(Promise.resolve().then(() => new WebSocket("wss://example.invalid/"))
            .then((it) => new Promise((yes, no) => { it.onopen = yes; it.onerror = no; }))),
          tried(window.__TAURI_INTERNALS__.invoke("plugin:fs|read_text_file", { path: "/etc/passwd" })),
          tried(window.__TAURI_INTERNALS__.invoke("plugin:event|emit", { event: "event" })),
          tried(window.__TAURI_INTERNALS__.invoke("plugin:window|close", { label: "main" })),
        ]).then((all) => (window.outcome = all));
        return true;"#;
    page.run(blocked, &[]).unwrap();
    let outcome = page.wait("all answers", SOON, "return window.outcome", &[]).unwrap();
    assert_eq!(outcome, json!(["blocked", "blocked", "blocked", "blocked", "blocked", "blocked"]));
}
