//! Desktop manners: what is notified, when the window comes and goes, what the tray offers.
//!
//! One task owns the desk and gives it one [`Input`] after the other; what is to be done on the
//! screen it asks of a [`Desktop`]. Invariants: it believes what the node tells, not its own
//! orders; nobody but a person brings the window to the front, unless a call rings and the system
//! has no way to show its buttons otherwise; "do not disturb" disturbs nobody.

mod state;

use earshot_node::api::call::{Call, CallState, EndReason};
use earshot_node::api::chat::{Direction, Message, MessageState};
use earshot_node::api::events::Event;
use earshot_node::api::session::OwnPresence;
use earshot_node::api::snapshot::Snapshot;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::link::Link;
use crate::words::with;
use state::State;
pub use state::{InCall, Standing};

/// The screen and the node, as the desk uses them. Nothing here waits.
pub trait Desktop {
    /// Opens the window, or brings the one that is there to the front.
    fn open_window(&mut self);
    /// Gives the window a link, now or when it has opened.
    fn hand_over(&mut self, link: &Link);
    /// Shows a notice in the place of the one of the same key.
    fn notify(&mut self, key: &Key, notice: &Notice);
    /// Takes a notice back, if it is shown.
    fn withdraw(&mut self, key: &Key);
    /// Shows how things stand in the tray.
    fn show(&mut self, standing: &Standing);
    /// Asks the node; what comes of it is told by events.
    fn ask(&mut self, method: &'static str, params: Value);
    /// Keeps that the person knows where Earshot is when its window is closed.
    fn remember_told(&mut self);
}

/// What a notice is about; one notice of each is shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A call of this person rings, or was missed.
    Call(String),
    /// Messages of this person.
    Messages(String),
    /// This person asks to be a buddy.
    Request(String),
    /// The program goes on without its window.
    Stays,
}

/// Something that the person is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The first line.
    pub title: String,
    /// More; never markup.
    pub body: String,
    /// How it behaves.
    pub kind: Kind,
}

/// How a notice behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Stays until it is answered, with these words on its two buttons.
    Ringing {
        /// Takes the call.
        answer: &'static str,
        /// Does not take it.
        decline: &'static str,
    },
    /// A call that was missed.
    Missed,
    /// A message.
    Message,
    /// Something else.
    Other,
}

/// What a person can do without the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Brings the window.
    Open,
    /// Takes the call that rings.
    Answer,
    /// Does not take it.
    Decline,
    /// Stops sending one's voice.
    Mute,
    /// Sends it again.
    Unmute,
    /// Ends the call.
    HangUp,
    /// Shows something else of oneself.
    Presence(OwnPresence),
    /// Ends the program.
    Quit,
}

/// What was done to a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressed {
    /// It was clicked.
    Itself,
    /// Its button to take the call.
    Answer,
    /// Its button not to.
    Decline,
}

/// What the desktop around us has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surroundings {
    /// Notices show buttons, or do not.
    Buttons(bool),
    /// There is a tray, or is none.
    Tray(bool),
}

/// What the desk hears of.
#[derive(Debug)]
pub enum Input {
    /// The node told.
    Event(Box<Event>),
    /// How everything stands.
    Snapshot(Box<Snapshot>),
    /// The window read what this person wrote.
    Read(String),
    /// The window has painted.
    Painted,
    /// The window has the person's attention, or lost it.
    Focus(bool),
    /// The window ended: closed by the person, or by itself.
    Ended {
        /// Whether a person did it.
        closed: bool,
    },
    /// In tray, menu or on a command line.
    Act(Action),
    /// On a notice.
    Press(Key, Pressed),
    /// Earshot was started again, perhaps by a link.
    StartedAgain(Option<Link>),
    /// What the desktop has.
    Has(Surroundings),
}

/// The desk.
pub struct Desk<D> {
    desktop: D,
    state: State,
}

impl<D: Desktop> Desk<D> {
    /// A desk without a window. `language` is what the system speaks; `told` whether the person
    /// knows already where Earshot is when its window is closed.
    pub fn new(desktop: D, language: &str, told: bool) -> Self {
        let mut desk = Self { desktop, state: State::new(language, told) };
        desk.desktop.show(&desk.state.standing());
        desk
    }

    /// Takes one thing in, and does what comes of it.
    pub fn handle(&mut self, input: Input) {
        let before = self.state.standing();
        match input {
            Input::Event(event) => self.hear(*event),
            Input::Snapshot(snapshot) => self.state.take(*snapshot),
            Input::Read(user) => self.read(user),
            Input::Painted => self.state.window_is_open(),
            Input::Focus(focused) => self.focus(focused),
            Input::Ended { closed } => self.ended(closed),
            Input::Act(action) => self.act(action),
            Input::Press(key, pressed) => self.press(&key, pressed),
            Input::StartedAgain(link) => {
                self.open();
                if let Some(link) = link {
                    self.desktop.hand_over(&link);
                }
            }
            Input::Has(Surroundings::Buttons(has)) => self.state.buttons = has,
            Input::Has(Surroundings::Tray(has)) => self.state.tray = has,
        }
        let standing = self.state.standing();
        if standing != before {
            self.desktop.show(&standing);
        }
    }

    /// Whether somebody has come in, so that a snapshot is wanted; asked once.
    pub fn wants_snapshot(&mut self) -> bool {
        std::mem::take(&mut self.state.asks_for_snapshot)
    }

    /// Whether the program is to say goodbye and end.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.state.over
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::SessionChanged { session } => self.state.session_is(session),
            Event::NetworkChanged(standing) => self.state.linked = standing.home.is_some(),
            Event::BuddyChanged { buddy } => self.state.know(&buddy),
            Event::BuddyRequested(request) => {
                let user = request.user.as_str().to_owned();
                let name = request.display_name.unwrap_or_else(|| user.clone());
                let title = with(self.state.words().asks, &name);
                if self.state.settings.notify_requests {
                    let body = request.greeting.unwrap_or_default();
                    self.tell(Key::Request(user), title, body, Kind::Other);
                }
            }
            Event::MessageChanged { message } => self.message(&message),
            Event::CallChanged { call } => self.call(call),
            Event::SettingsChanged { settings } => self.state.settings = settings,
            Event::PresenceChanged(_)
            | Event::SearchResult(_)
            | Event::SearchEnded(_)
            | Event::CallStats(_)
            | Event::AudioLevel(_)
            | Event::AudioProblem(_)
            | Event::AudioDevicesChanged { .. } => {}
        }
    }

    fn message(&mut self, message: &Message) {
        let came = message.direction == Direction::In && message.state == MessageState::Arrived;
        if !came || !self.state.is_new(message) {
            return;
        }
        let user = message.with.as_str().to_owned();
        if self.state.settings.notify_messages {
            let preview = self.state.settings.show_preview;
            let hidden = self.state.words().new_message;
            let body = if preview { message.text.clone() } else { hidden.to_owned() };
            let title = self.state.name(&user);
            self.tell(Key::Messages(user), title, body, Kind::Message);
        }
    }

    fn call(&mut self, call: Call) {
        let user = call.peer.as_str().to_owned();
        let comes = call.direction == Direction::In;
        let rings = comes && call.state == CallState::Ringing;
        let rang = self.state.rings(call.id.as_str());
        let missed = call.end.as_ref().is_some_and(|end| match end.reason {
            EndReason::NoAnswer
            | EndReason::Cancelled
            | EndReason::PeerVanished
            | EndReason::SignalingLost => rang,
            EndReason::HungUp
            | EndReason::Declined
            | EndReason::Busy
            | EndReason::NotFound
            | EndReason::Offline
            | EndReason::Blocked
            | EndReason::NotBuddy
            | EndReason::NoPath
            | EndReason::PathLost
            | EndReason::KeysRefused
            | EndReason::AudioFailed
            | EndReason::AnsweredElsewhere
            | EndReason::Internal => false,
        });
        self.state.call_is(call);
        if rings && !rang {
            self.ring(user);
        } else if rang && !rings {
            self.desktop.withdraw(&Key::Call(user.clone()));
            if missed && self.state.settings.notify_calls {
                let title = with(self.state.words().missed, &self.state.name(&user));
                self.tell(Key::Call(user), title, String::new(), Kind::Missed);
            }
        }
        if self.state.quits_after_calls && self.state.calls_are_over() {
            self.state.over = true;
        }
    }

    fn ring(&mut self, user: String) {
        let words = self.state.words();
        if !self.state.settings.notify_calls {
            return;
        }
        let title = with(words.calls, &self.state.name(&user));
        let kind = Kind::Ringing { answer: words.answer, decline: words.decline };
        if !self.state.buttons && !self.state.is_undisturbed() {
            self.open();
        }
        self.tell(Key::Call(user), title, String::new(), kind);
    }

    /// Notifies, unless the person looks at the window or does not want to be disturbed.
    fn tell(&mut self, key: Key, title: String, body: String, kind: Kind) {
        if !self.state.is_focused() && !self.state.is_undisturbed() {
            self.desktop.notify(&key, &Notice { title, body, kind });
            self.state.shown.insert(key);
        }
    }

    fn read(&mut self, user: String) {
        self.state.read(&user);
        self.withdraw(|key| *key == Key::Messages(user.clone()));
    }

    fn focus(&mut self, focused: bool) {
        self.state.focus_is(focused);
        if focused {
            // What was told is on the screen now; a call that rings is still to be answered.
            let ringing = self.state.ringing().map(|call| Key::Call(call.peer.as_str().into()));
            self.withdraw(|key| Some(key) != ringing.as_ref());
        }
    }

    fn withdraw(&mut self, which: impl Fn(&Key) -> bool) {
        for key in self.state.shown.extract_if(.., which) {
            self.desktop.withdraw(&key);
        }
    }

    fn open(&mut self) {
        self.state.quits_after_calls = false;
        self.desktop.open_window();
    }

    fn ended(&mut self, closed: bool) {
        self.state.window_is_gone();
        if !closed {
            return;
        }
        if !self.state.settings.close_to_tray {
            self.state.quits_after_calls = true;
            if self.state.calls_are_over() {
                self.state.over = true;
            }
        } else if !self.state.told {
            self.state.told = true;
            self.desktop.remember_told();
            let words = self.state.words();
            let where_now = if self.state.tray { words.stays_in_tray } else { words.stays_unseen };
            self.tell(Key::Stays, words.stays.into(), where_now.into(), Kind::Other);
        }
    }

    fn act(&mut self, action: Action) {
        let ringing = self.state.ringing().map(|call| call.id.as_str().to_owned());
        let current = self.state.current().map(|call| call.id.as_str().to_owned());
        match action {
            Action::Open => self.open(),
            Action::Answer => self.answer(ringing),
            Action::Decline => self.in_call("call.decline", ringing),
            Action::Mute => self.in_call("call.mute", current),
            Action::Unmute => self.in_call("call.unmute", current),
            Action::HangUp => self.in_call("call.hang_up", current),
            Action::Presence(presence) => {
                self.desktop.ask("presence.set", json!({ "presence": presence }));
            }
            Action::Quit => self.state.over = true,
        }
    }

    fn press(&mut self, key: &Key, pressed: Pressed) {
        self.state.shown.remove(key);
        let ringing = self.state.ringing().filter(|call| match key {
            Key::Call(user) => call.peer.as_str() == user,
            Key::Messages(_) | Key::Request(_) | Key::Stays => false,
        });
        let ringing = ringing.map(|call| call.id.as_str().to_owned());
        match (key, pressed) {
            (Key::Call(_), Pressed::Answer) => self.answer(ringing),
            (Key::Call(_), Pressed::Decline) => self.in_call("call.decline", ringing),
            (Key::Messages(user), _) => {
                self.open();
                self.desktop.hand_over(&Link::to_conversation(user));
            }
            (Key::Call(_), Pressed::Itself) | (Key::Request(_) | Key::Stays, _) => self.open(),
        }
    }

    /// Whoever answers wants to see the call.
    fn answer(&mut self, call: Option<String>) {
        if call.is_some() {
            self.open();
        }
        self.in_call("call.accept", call);
    }

    fn in_call(&mut self, method: &'static str, call: Option<String>) {
        if let Some(call) = call {
            self.desktop.ask(method, json!({ "callId": call }));
        }
    }
}

#[cfg(test)]
mod tests;
