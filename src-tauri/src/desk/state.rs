//! What the desk knows: the part of the node's state that the tray and the notices need.
//!
//! Invariant: it only holds what was told; it is bounded by what the node bounds (buddies, calls).

use std::collections::{BTreeMap, BTreeSet};

use earshot_node::api::buddies::Buddy;
use earshot_node::api::call::{Call, CallState};
use earshot_node::api::chat::{Direction, Message};
use earshot_node::api::session::{OwnPresence, Session, SessionState};
use earshot_node::api::settings::Settings;
use earshot_node::api::snapshot::Snapshot;

use super::Key;
use crate::words::Words;

/// Messages that are remembered as counted. Our choice: more than come while one is told again.
const COUNTED_MAX: usize = 1_000;

/// How things stand, as the tray shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The words to say it in.
    pub words: &'static Words,
    /// What one shows of oneself; absent when nobody is logged in.
    pub presence: Option<OwnPresence>,
    /// Whether there is a link to the network.
    pub linked: bool,
    /// Messages that were not read.
    pub unread: u32,
    /// The call that matters now.
    pub call: Option<InCall>,
}

/// A call, as the tray shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InCall {
    /// It rings here.
    Ringing {
        /// Who calls.
        name: String,
    },
    /// It was made or taken here.
    Current {
        /// The other one.
        name: String,
        /// Whether one's voice is not sent.
        muted: bool,
    },
}

enum Window {
    Closed,
    Open { focused: bool },
}

pub(super) struct State {
    language: String,
    window: Window,
    session: Option<Session>,
    /// Whether somebody has come in whose people we do not know yet.
    pub(super) asks_for_snapshot: bool,
    names: BTreeMap<String, String>,
    calls: BTreeMap<String, Call>,
    unread: BTreeMap<String, u32>,
    counted: BTreeSet<String>,
    pub(super) shown: BTreeSet<Key>,
    pub(super) settings: Settings,
    pub(super) linked: bool,
    /// Whether notices have buttons.
    pub(super) buttons: bool,
    /// Whether there is a tray.
    pub(super) tray: bool,
    /// Whether the person knows where the program is when its window is closed.
    pub(super) told: bool,
    pub(super) quits_after_calls: bool,
    pub(super) over: bool,
}

impl State {
    pub(super) fn new(language: &str, told: bool) -> Self {
        Self {
            language: language.to_owned(),
            window: Window::Closed,
            session: None,
            asks_for_snapshot: false,
            names: BTreeMap::new(),
            calls: BTreeMap::new(),
            unread: BTreeMap::new(),
            counted: BTreeSet::new(),
            shown: BTreeSet::new(),
            settings: Settings::default(),
            linked: false,
            buttons: false,
            tray: false,
            told,
            quits_after_calls: false,
            over: false,
        }
    }

    pub(super) fn take(&mut self, snapshot: Snapshot) {
        self.settings = snapshot.settings;
        self.linked = snapshot.network.home.is_some();
        self.names.clear();
        snapshot.buddies.iter().for_each(|buddy| self.know(buddy));
        let unread = snapshot.conversations.iter().filter(|talk| talk.unread > 0);
        self.unread = unread.map(|talk| (talk.with.as_str().into(), talk.unread)).collect();
        let calls = snapshot.calls.into_iter();
        self.calls = calls.map(|call| (call.id.as_str().to_owned(), call)).collect();
        self.session = Some(snapshot.session);
    }

    pub(super) fn session_is(&mut self, session: Session) {
        if session.state == SessionState::LoggedOut {
            self.names.clear();
            self.unread.clear();
            self.calls.clear();
        }
        let before = self.session.as_ref().and_then(|before| before.user.as_ref());
        self.asks_for_snapshot |= session.user.is_some() && session.user.as_ref() != before;
        self.session = Some(session);
    }

    pub(super) fn know(&mut self, buddy: &Buddy) {
        let user = buddy.user.as_str().to_owned();
        match &buddy.display_name {
            Some(name) => self.names.insert(user, name.clone()),
            None => self.names.remove(&user),
        };
    }

    pub(super) fn name(&self, user: &str) -> String {
        self.names.get(user).map_or(user, String::as_str).to_owned()
    }

    /// Counts a message that was not read; each once.
    pub(super) fn is_new(&mut self, message: &Message) -> bool {
        if self.counted.len() >= COUNTED_MAX {
            self.counted.clear();
        }
        let is_new = self.counted.insert(message.id.as_str().to_owned());
        if is_new {
            *self.unread.entry(message.with.as_str().to_owned()).or_default() += 1;
        }
        is_new
    }

    pub(super) fn read(&mut self, user: &str) {
        self.unread.remove(user);
    }

    pub(super) fn call_is(&mut self, call: Call) {
        let id = call.id.as_str().to_owned();
        if call.state == CallState::Ended {
            self.calls.remove(&id);
        } else {
            self.calls.insert(id, call);
        }
    }

    pub(super) fn rings(&self, id: &str) -> bool {
        self.calls.get(id).is_some_and(rings_here)
    }

    pub(super) fn ringing(&self) -> Option<&Call> {
        self.calls.values().find(|call| rings_here(call))
    }

    /// The call that is spoken in, or else one that is being made or held.
    pub(super) fn current(&self) -> Option<&Call> {
        let mut ours = self.calls.values().filter(|call| !rings_here(call));
        let talking = ours.clone().find(|call| call.state == CallState::Talking);
        talking.or_else(|| ours.next())
    }

    pub(super) fn calls_are_over(&self) -> bool {
        self.calls.is_empty()
    }

    pub(super) fn window_is_open(&mut self) {
        if matches!(self.window, Window::Closed) {
            self.window = Window::Open { focused: false };
        }
    }

    pub(super) fn window_is_gone(&mut self) {
        self.window = Window::Closed;
    }

    pub(super) fn focus_is(&mut self, focused: bool) {
        self.window = Window::Open { focused };
    }

    pub(super) fn is_focused(&self) -> bool {
        matches!(self.window, Window::Open { focused: true })
    }

    pub(super) fn is_undisturbed(&self) -> bool {
        self.presence() == Some(OwnPresence::DoNotDisturb)
    }

    pub(super) fn words(&self) -> &'static Words {
        Words::of(self.settings.language, &self.language)
    }

    pub(super) fn standing(&self) -> Standing {
        let ringing = self.ringing().map(|call| {
            let name = self.name(call.peer.as_str());
            InCall::Ringing { name }
        });
        let call = ringing.or_else(|| {
            let call = self.current()?;
            let name = self.name(call.peer.as_str());
            Some(InCall::Current { name, muted: call.muted_here })
        });
        Standing {
            words: self.words(),
            presence: self.presence(),
            linked: self.linked,
            unread: self.unread.values().sum(),
            call,
        }
    }

    fn presence(&self) -> Option<OwnPresence> {
        let session = self.session.as_ref()?;
        match session.state {
            SessionState::LoggedOut | SessionState::LoggingIn => None,
            SessionState::Offline | SessionState::Online => session.presence,
        }
    }
}

fn rings_here(call: &Call) -> bool {
    call.direction == Direction::In && call.state == CallState::Ringing
}
