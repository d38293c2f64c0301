//! What travels inside envelopes.

use earshot_proto::ids::{CallId, MessageId};
use earshot_proto::wire::sealed::buddy::{Buddy, ContactKey};
use earshot_proto::wire::sealed::call::{
    IceCredentials, PathPurpose, Signal, SignalBody, SignalingCase, SignalledEnd,
};
use earshot_proto::wire::sealed::chat::Chat;
use earshot_proto::wire::sealed::own::Own;
use earshot_proto::wire::sealed::presence::{Presence, PresenceState};

use super::Drawing;
use super::standing::{REACHABILITY, agree_key, location, node, signed};
use crate::draw::Draw;

const ENDS: [SignalledEnd; 13] = [
    SignalledEnd::HungUp,
    SignalledEnd::Declined,
    SignalledEnd::Busy,
    SignalledEnd::Cancelled,
    SignalledEnd::NoAnswer,
    SignalledEnd::AnsweredElsewhere,
    SignalledEnd::NotBuddy,
    SignalledEnd::NoPath,
    SignalledEnd::PathLost,
    SignalledEnd::KeysRefused,
    SignalledEnd::AudioFailed,
    SignalledEnd::Internal,
    SignalledEnd::Unknown,
];
const CASES: [SignalingCase; 3] =
    [SignalingCase::Direct, SignalingCase::CalleeSuperPeer, SignalingCase::BothSuperPeers];
const STATES: [PresenceState; 4] = [
    PresenceState::Online,
    PresenceState::Away,
    PresenceState::DoNotDisturb,
    PresenceState::Offline,
];

pub(super) fn draw(all: &mut Drawing) {
    let d = &mut all.draw;
    let buddies = [
        Buddy::Request {
            greeting: d.text(),
            display_name: d.text(),
            contact_key: ContactKey(d.bytes()),
        },
        Buddy::Accept { display_name: d.text(), contact_key: ContactKey(d.bytes()) },
        Buddy::Decline,
    ];
    let presences = STATES.map(|state| presence(d, state));
    let chats = chats(d);
    let bodies = bodies(d);
    let signals: Vec<Signal> = bodies
        .into_iter()
        .map(|body| Signal {
            call: CallId(d.bytes()),
            number: d.number() as u32,
            heard: d.number() as u32,
            case: d.pick(&CASES),
            body,
        })
        .collect();
    let long = d.chance(8);
    let list = d.blob(if long { 61_440 } else { 500 });
    let own = [
        Own::Buddies { list, ask_back: d.chance(2) },
        Own::Listed {
            is_listed: d.chance(2),
            said: d.time(),
            name: d.maybe(|d| d.text()),
            about: d.maybe(|d| d.list(|d| d.text())),
        },
    ];
    all.variants(buddies);
    all.shape(presences);
    all.variants(chats);
    all.shape(signals);
    all.variants(own);
}

fn presence(d: &mut Draw, state: PresenceState) -> Presence {
    let how = d.pick(&REACHABILITY);
    Presence {
        state,
        mood: d.text(),
        at: d.time(),
        location: d.maybe(|d| location(d, how)),
        grant: d.maybe(|d| signed(d, 900)),
        ask_back: d.chance(2),
        contact_key: ContactKey(d.bytes()),
    }
}

fn chats(d: &mut Draw) -> [Chat; 3] {
    [
        Chat::Message {
            id: MessageId(d.bytes()),
            number: d.number(),
            written: d.time(),
            text: d.text(),
            copy_of_message_to: d.maybe(Draw::user),
        },
        Chat::Arrived { ids: d.list(|d| MessageId(d.bytes())) },
        Chat::Read { ids: d.list(|d| MessageId(d.bytes())) },
    ]
}

fn bodies(d: &mut Draw) -> Vec<SignalBody> {
    let mut bodies = vec![
        SignalBody::Offer {
            contribution: agree_key(d),
            home: d.maybe(node),
            relay_only: d.chance(2),
        },
        SignalBody::Ringing { contribution: agree_key(d) },
        SignalBody::Ice {
            credentials: IceCredentials { ufrag: d.text(), password: d.text() },
            path: d.number() as u32,
            purpose: d.pick(&[PathPurpose::Main, PathPurpose::Direct, PathPurpose::Spare]),
        },
        SignalBody::Candidates { candidates: d.list(Draw::text), path: d.number() as u32 },
        SignalBody::Accept,
        SignalBody::Heard,
        SignalBody::Hold,
        SignalBody::Resume,
        SignalBody::Moved { home: node(d) },
        SignalBody::Probe,
    ];
    bodies.extend(ENDS.map(|reason| SignalBody::End { reason }));
    // A new variant fails to compile here until it is drawn above.
    for body in &bodies {
        match body {
            SignalBody::Offer { .. }
            | SignalBody::Ringing { .. }
            | SignalBody::Ice { .. }
            | SignalBody::Candidates { .. }
            | SignalBody::Accept
            | SignalBody::Heard
            | SignalBody::End { .. }
            | SignalBody::Hold
            | SignalBody::Resume
            | SignalBody::Moved { .. }
            | SignalBody::Probe => {}
        }
    }
    bodies
}
