//! What a node tells without being asked.
//!
//! Invariant: events are numbered from 1 without gaps, in the order in which they are told. Those
//! that only repeat how things are (`callStats`, `audioLevel`) may be left out when nobody keeps
//! up; they then get no number either.

use earshot_proto::time::UnixTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::audio::{AudioLevel, AudioProblem, Devices};
use super::buddies::{Buddy, BuddyRequest, PresenceChange, SearchEnded, SearchResult};
use super::call::{Call, CallStats};
use super::chat::Message;
use super::network::Standing;
use super::session::Session;
use super::settings::Settings;
use super::text::UnixMs;

/// Something changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Event {
    /// Somebody logged in or out, is on line or off, or shows something else of themselves. The
    /// buddies and conversations of whoever logged in are in `state.get`.
    SessionChanged {
        /// The session now.
        session: Session,
    },
    /// The network is seen differently; holds what `network.status` answers.
    NetworkChanged(Standing),
    /// Somebody on the list stands differently.
    BuddyChanged {
        /// How they stand now.
        buddy: Buddy,
    },
    /// A buddy shows something else.
    PresenceChanged(PresenceChange),
    /// Somebody asks to be a buddy.
    BuddyRequested(BuddyRequest),
    /// A message came, or one is further.
    MessageChanged {
        /// The message now.
        message: Message,
    },
    /// A user was found. Each comes once, or again when more is known of them; the last word
    /// counts.
    SearchResult(SearchResult),
    /// A search is over.
    SearchEnded(SearchEnded),
    /// A call came, or stands differently.
    CallChanged {
        /// The call now.
        call: Call,
    },
    /// How well a call is heard; every second of it.
    CallStats(CallStats),
    /// How loud it is now.
    AudioLevel(AudioLevel),
    /// Something is wrong with the sound, or right again.
    AudioProblem(AudioProblem),
    /// A sound device came or went, or the system chooses another one; told for some minutes after
    /// `audio.devices`.
    AudioDevicesChanged {
        /// The devices now.
        devices: Devices,
    },
    /// The settings are others.
    SettingsChanged {
        /// The settings now.
        settings: Settings,
    },
}

impl Event {
    /// Whether it may be left out when nobody keeps up: the next of its kind says the same better.
    #[must_use]
    pub const fn is_repeated(&self) -> bool {
        match self {
            Self::CallStats(_) | Self::AudioLevel(_) => true,
            Self::SessionChanged { .. }
            | Self::NetworkChanged(_)
            | Self::BuddyChanged { .. }
            | Self::PresenceChanged(_)
            | Self::BuddyRequested(_)
            | Self::MessageChanged { .. }
            | Self::SearchResult(_)
            | Self::SearchEnded(_)
            | Self::CallChanged { .. }
            | Self::AudioProblem(_)
            | Self::AudioDevicesChanged { .. }
            | Self::SettingsChanged { .. } => false,
        }
    }
}

/// An event with its number and time: the `params` of a notification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Numbered {
    /// Its number.
    pub seq: u64,
    /// When it was told.
    pub at: UnixMs,
    /// What changed.
    #[serde(flatten)]
    pub event: Event,
}

/// Whether a listener took an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It did.
    Yes,
    /// It had no room and the event is of those that may be left out.
    LeftOut,
}

type Listen = Box<dyn FnMut(&Numbered) -> Taken + Send>;

/// The stream of events of one node: numbers them and hands them to the one who listens.
pub struct Events {
    last: u64,
    listen: Listen,
}

impl Events {
    /// A stream that begins with number 1.
    pub fn new(listen: impl FnMut(&Numbered) -> Taken + Send + 'static) -> Self {
        Self { last: 0, listen: Box::new(listen) }
    }

    /// Tells an event.
    pub fn tell(&mut self, at: UnixTime, event: Event) {
        let numbered = Numbered { seq: self.last + 1, at: at.into(), event };
        match (self.listen)(&numbered) {
            Taken::Yes => self.last = numbered.seq,
            Taken::LeftOut => {}
        }
    }

    /// The number of the last event told; 0 before the first. For
    /// [`Snapshot`](super::snapshot::Snapshot).
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.last
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Events(last {})", self.last)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    const LEVEL: Event = Event::AudioLevel(AudioLevel { level_in: -20.0, level_out: -30.0 });

    #[test]
    fn an_event_carries_number_time_and_type_beside_its_own_fields() {
        let event = Numbered { seq: 1, at: UnixMs(5), event: LEVEL };
        let json = serde_json::to_string(&event).expect("serializable");
        let wanted = r#"{"seq":1,"at":5,"type":"audioLevel","levelIn":-20.0,"levelOut":-30.0}"#;
        assert_eq!(json, wanted);
        assert_eq!(serde_json::from_str::<Numbered>(&json).ok(), Some(event));
    }

    #[test]
    fn what_is_left_out_leaves_no_gap() {
        let (sender, heard) = channel();
        let mut room = [Taken::Yes, Taken::LeftOut, Taken::Yes].into_iter();
        let mut events = Events::new(move |event| {
            let taken = room.next().expect("three events are told");
            if taken == Taken::Yes {
                sender.send(event.seq).expect("the test listens");
            }
            taken
        });
        for at in 0..3 {
            events.tell(UnixTime(at), LEVEL);
        }
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(events.last(), 2);
    }
}
