//! Stories of a person at a desk, without a screen.

use earshot_node::api::events::Event;
use serde_json::{Value, json};

use super::*;

/// What was done on the screen.
#[derive(Clone, Debug, PartialEq)]
enum Done {
    Opened,
    Linked(String),
    Notified(Key, Kind, String, String),
    Withdrawn(Key),
    Asked(&'static str, Value),
    RememberedTold,
}

#[derive(Default)]
struct Screen {
    done: Vec<Done>,
    standing: Option<Standing>,
}

impl Desktop for Screen {
    fn open_window(&mut self) {
        self.done.push(Done::Opened);
    }

    fn hand_over(&mut self, link: &Link) {
        self.done.push(Done::Linked(link.as_str().to_owned()));
    }

    fn notify(&mut self, key: &Key, notice: &Notice) {
        let Notice { title, body, kind } = notice.clone();
        self.done.push(Done::Notified(key.clone(), kind, title, body));
    }

    fn withdraw(&mut self, key: &Key) {
        self.done.push(Done::Withdrawn(key.clone()));
    }

    fn show(&mut self, standing: &Standing) {
        self.standing = Some(standing.clone());
    }

    fn ask(&mut self, method: &'static str, params: Value) {
        self.done.push(Done::Asked(method, params));
    }

    fn remember_told(&mut self) {
        self.done.push(Done::RememberedTold);
    }
}

type Story = Desk<Screen>;

/// Anna at a desktop with buttons and a tray, logged in, with Ben among her buddies.
fn anna() -> Story {
    let mut desk = Desk::new(Screen::default(), "en_GB", false);
    desk.handle(Input::Has(Surroundings::Buttons(true)));
    desk.handle(Input::Has(Surroundings::Tray(true)));
    desk.event(session("online"));
    desk.event(json!({ "type": "buddyChanged", "buddy": {
        "user": "ben", "displayName": "Ben <b>", "relation": "buddy", "presence": "online",
        "since": 1,
    } }));
    desk
}

fn session(presence: &str) -> Value {
    let session = json!({ "state": "online", "user": "anna", "presence": presence });
    json!({ "type": "sessionChanged", "session": session })
}

fn message(id: &str, state: &str) -> Value {
    json!({ "type": "messageChanged", "message": {
        "id": id, "with": "ben", "direction": "in", "text": "secret", "writtenAt": 1,
        "state": state,
    } })
}

fn call(state: &str, direction: &str) -> Value {
    json!({ "type": "callChanged", "call": {
        "id": "c1", "peer": "ben", "direction": direction, "state": state, "mutedHere": false,
        "heldBy": [], "pathSwitches": 0, "since": 1,
    } })
}

fn ended(reason: &str) -> Value {
    let mut told = call("ended", "in");
    told["call"]["end"] = json!({ "reason": reason, "by": "them", "facts": {} });
    told
}

fn settings(change: Value) -> Value {
    let mut settings = serde_json::to_value(earshot_node::api::settings::Settings::default())
        .expect("serializable");
    let changes = change.as_object().expect("an object").clone();
    settings.as_object_mut().expect("an object").extend(changes);
    json!({ "type": "settingsChanged", "settings": settings })
}

impl Story {
    fn event(&mut self, event: Value) {
        let event: Event = serde_json::from_value(event).expect("an event of the contract");
        self.handle(Input::Event(Box::new(event)));
    }

    /// What was done since it was last asked.
    fn done(&mut self) -> Vec<Done> {
        std::mem::take(&mut self.desktop.done)
    }

    fn standing(&self) -> &Standing {
        self.desktop.standing.as_ref().expect("it is shown from the beginning")
    }

    fn asked(&mut self) -> Option<(&'static str, Value)> {
        self.done().into_iter().find_map(|done| match done {
            Done::Asked(method, params) => Some((method, params)),
            Done::Opened
            | Done::Linked(_)
            | Done::Notified(..)
            | Done::Withdrawn(_)
            | Done::RememberedTold => None,
        })
    }
}

const RINGING: Kind = Kind::Ringing { answer: "Answer", decline: "Decline" };

fn ben_calls() -> Done {
    Done::Notified(Key::Call("ben".into()), RINGING, "Ben <b> is calling".into(), String::new())
}

fn withdrawn_call() -> Done {
    Done::Withdrawn(Key::Call("ben".into()))
}

#[test]
fn a_call_is_notified_once_and_answered_by_its_button() {
    let mut desk = anna();
    desk.event(call("ringing", "in"));
    desk.event(call("ringing", "in"));
    assert_eq!(desk.done(), [ben_calls()]);
    desk.handle(Input::Press(Key::Call("ben".into()), Pressed::Answer));
    let accepted = Done::Asked("call.accept", json!({ "callId": "c1" }));
    assert_eq!(desk.done(), [Done::Opened, accepted]);
    desk.event(call("connecting", "in"));
    assert_eq!(desk.done(), [withdrawn_call()]);
    // A button pressed too late does nothing.
    desk.handle(Input::Press(Key::Call("ben".into()), Pressed::Answer));
    assert_eq!(desk.done(), []);
}

#[test]
fn a_call_is_declined_without_the_window() {
    let mut desk = anna();
    desk.event(call("ringing", "in"));
    desk.done();
    desk.handle(Input::Press(Key::Call("ben".into()), Pressed::Decline));
    assert_eq!(desk.done(), [Done::Asked("call.decline", json!({ "callId": "c1" }))]);
}

#[test]
fn a_missed_call_takes_the_place_of_the_ringing_one() {
    for (reason, is_missed) in
        [("cancelled", true), ("noAnswer", true), ("answeredElsewhere", false), ("declined", false)]
    {
        let mut desk = anna();
        desk.event(call("ringing", "in"));
        desk.done();
        desk.event(ended(reason));
        let title = "Missed call from Ben <b>".to_owned();
        let key = Key::Call("ben".into());
        let mut wanted = vec![withdrawn_call()];
        wanted.extend(is_missed.then(|| Done::Notified(key, Kind::Missed, title, String::new())));
        assert_eq!(desk.done(), wanted, "{reason}");
        assert_eq!(desk.standing().call, None);
    }
}

#[test]
fn where_notices_have_no_buttons_a_call_brings_the_window() {
    let mut desk = anna();
    desk.handle(Input::Has(Surroundings::Buttons(false)));
    desk.event(call("ringing", "in"));
    assert_eq!(desk.done(), [Done::Opened, ben_calls()]);
}

#[test]
fn do_not_disturb_disturbs_nobody() {
    let mut desk = anna();
    desk.handle(Input::Has(Surroundings::Buttons(false)));
    desk.event(session("doNotDisturb"));
    desk.event(call("ringing", "in"));
    desk.event(message("m1", "arrived"));
    assert_eq!(desk.done(), []);
    assert_eq!(desk.standing().unread, 1);
    assert_eq!(desk.standing().call, Some(InCall::Ringing { name: "Ben <b>".into() }));
}

#[test]
fn messages_are_counted_notified_and_taken_back_when_read() {
    let mut desk = anna();
    desk.event(message("m1", "arrived"));
    desk.event(message("m1", "arrived"));
    let key = Key::Messages("ben".into());
    let notified =
        |body: &str| Done::Notified(key.clone(), Kind::Message, "Ben <b>".into(), body.into());
    assert_eq!(desk.done(), [notified("secret")]);
    desk.event(settings(json!({ "showPreview": false })));
    desk.event(message("m2", "arrived"));
    assert_eq!(desk.done(), [notified("New message")]);
    assert_eq!(desk.standing().unread, 2);
    desk.handle(Input::Read("ben".into()));
    assert_eq!(desk.done(), [Done::Withdrawn(key)]);
    assert_eq!(desk.standing().unread, 0);
}

#[test]
fn whoever_looks_at_the_window_is_not_notified() {
    let mut desk = anna();
    desk.event(message("m1", "arrived"));
    desk.handle(Input::Painted);
    desk.done();
    desk.handle(Input::Focus(true));
    assert_eq!(desk.done(), [Done::Withdrawn(Key::Messages("ben".into()))]);
    desk.event(message("m2", "arrived"));
    desk.event(call("ringing", "in"));
    assert_eq!(desk.done(), []);
    desk.handle(Input::Focus(false));
    desk.event(message("m3", "arrived"));
    assert_eq!(desk.done().len(), 1);
}

#[test]
fn what_is_switched_off_is_not_notified() {
    let mut desk = anna();
    let off = json!({ "notifyMessages": false, "notifyCalls": false, "notifyRequests": false });
    desk.event(settings(off));
    desk.event(message("m1", "arrived"));
    desk.event(call("ringing", "in"));
    desk.event(ended("cancelled"));
    desk.event(json!({ "type": "buddyRequested", "user": "carl" }));
    assert_eq!(desk.done(), [withdrawn_call()]);
}

#[test]
fn a_request_is_told_with_its_greeting_and_opens_the_window() {
    let mut desk = anna();
    desk.event(json!({ "type": "buddyRequested", "user": "carl", "greeting": "Hello!" }));
    let (key, title) = (Key::Request("carl".into()), "carl wants to add you");
    let told = Done::Notified(key.clone(), Kind::Other, title.into(), "Hello!".into());
    assert_eq!(desk.done(), [told]);
    desk.handle(Input::Press(key, Pressed::Itself));
    assert_eq!(desk.done(), [Done::Opened]);
}

#[test]
fn a_message_that_is_clicked_opens_its_conversation() {
    let mut desk = anna();
    desk.handle(Input::Press(Key::Messages("ben".into()), Pressed::Itself));
    assert_eq!(desk.done(), [Done::Opened, Done::Linked("earshot:chat/ben".into())]);
}

#[test]
fn closing_hides_to_the_tray_and_says_so_once() {
    let mut desk = anna();
    for first in [true, false] {
        desk.handle(Input::Painted);
        desk.handle(Input::Ended { closed: true });
        assert!(!desk.is_over());
        let done = desk.done();
        assert_eq!(done.first(), first.then_some(&Done::RememberedTold));
        assert_eq!(done.len(), if first { 2 } else { 0 });
    }
}

#[test]
fn without_a_tray_it_says_how_to_come_back() {
    let mut desk = anna();
    desk.handle(Input::Has(Surroundings::Tray(false)));
    desk.handle(Input::Ended { closed: true });
    let Some(Done::Notified(Key::Stays, _, _, body)) = desk.done().pop() else {
        panic!("not told")
    };
    assert!(body.contains("Start Earshot again"), "{body}");
}

#[test]
fn closing_quits_where_one_wants_that_but_not_in_mid_call() {
    let mut desk = anna();
    desk.event(settings(json!({ "closeToTray": false })));
    desk.event(call("talking", "out"));
    desk.handle(Input::Ended { closed: true });
    assert!(!desk.is_over());
    desk.event(ended("hungUp"));
    assert!(desk.is_over());

    let mut desk = anna();
    desk.event(settings(json!({ "closeToTray": false })));
    desk.handle(Input::Ended { closed: true });
    assert!(desk.is_over());
}

#[test]
fn a_window_that_breaks_ends_nothing() {
    let mut desk = anna();
    desk.event(settings(json!({ "closeToTray": false })));
    desk.handle(Input::Ended { closed: false });
    assert!(!desk.is_over());
    assert_eq!(desk.done(), []);
}

#[test]
fn a_second_start_brings_the_window_and_its_link() {
    let mut desk = anna();
    let link = Link::try_from("earshot:call/ben".to_owned()).ok();
    desk.handle(Input::StartedAgain(link));
    assert_eq!(desk.done(), [Done::Opened, Done::Linked("earshot:call/ben".into())]);
}

#[test]
fn the_tray_steers_a_call() {
    let mut desk = anna();
    desk.handle(Input::Act(Action::HangUp));
    assert_eq!(desk.done(), []);
    desk.event(call("ringing", "in"));
    desk.handle(Input::Act(Action::Decline));
    assert_eq!(desk.asked(), Some(("call.decline", json!({ "callId": "c1" }))));
    desk.handle(Input::Act(Action::Answer));
    assert_eq!(desk.asked(), Some(("call.accept", json!({ "callId": "c1" }))));
    desk.event(call("talking", "in"));
    let shown = InCall::Current { name: "Ben <b>".into(), muted: false };
    assert_eq!(desk.standing().call, Some(shown));
    for (action, method) in [
        (Action::Mute, "call.mute"),
        (Action::Unmute, "call.unmute"),
        (Action::HangUp, "call.hang_up"),
    ] {
        desk.handle(Input::Act(action));
        assert_eq!(desk.asked(), Some((method, json!({ "callId": "c1" }))));
    }
}

#[test]
fn whoever_comes_in_is_asked_about_once() {
    let mut desk = anna();
    assert!(desk.wants_snapshot());
    assert!(!desk.wants_snapshot());
    desk.event(session("away"));
    assert!(!desk.wants_snapshot(), "the same person");
    desk.event(json!({ "type": "sessionChanged", "session": { "state": "loggedOut" } }));
    assert!(!desk.wants_snapshot(), "nobody");
    desk.event(session("online"));
    assert!(desk.wants_snapshot());
}

#[test]
fn the_tray_sets_presence_speaks_the_language_and_quits() {
    let mut desk = anna();
    desk.handle(Input::Act(Action::Presence(OwnPresence::Away)));
    assert_eq!(desk.asked(), Some(("presence.set", json!({ "presence": "away" }))));
    assert_eq!(desk.standing().presence, Some(OwnPresence::Online));
    desk.event(settings(json!({ "language": "fi" })));
    assert_eq!(desk.standing().words.quit, "Lopeta");
    desk.event(json!({ "type": "sessionChanged", "session": { "state": "loggedOut" } }));
    assert_eq!(desk.standing().presence, None);
    desk.handle(Input::Act(Action::Quit));
    assert!(desk.is_over());
}
