//! The machine's words in the contract's: views to the types of `api`.

use std::time::{Duration, Instant};

use earshot_audio::device::list;
use earshot_proto::peer::Peer;
use earshot_proto::peer::call::reason::{By, End, EndReason};
use earshot_proto::peer::call::signaling::SignalingCase;
use earshot_proto::peer::call::view::{CallState, CallView, Direction, PathStanding, PathView};
use earshot_proto::peer::command::{
    self, BuddyView, Delivery, ListFound, MessageView, NetworkView, Notice, PresenceView,
    SearchEnd, SessionView, Shown, SignedIn, Standing,
};
use earshot_proto::peer::nearby::NearDevice;
use earshot_proto::port::{PairOutcome, PathDown, PathFacts, Service, TriedPair};
use earshot_proto::secure::recovery_key::Paper;
use earshot_proto::time::UnixTime;
use earshot_proto::wire::directory::Reachability;
use earshot_proto::wire::invite::Invite;
use earshot_proto::wire::sealed::call::PathPurpose;
use earshot_proto::wire::sealed::presence::PresenceState;

use crate::api::audio::{ChosenDevices, Device, Devices};
use crate::api::buddies::{
    Buddy, BuddyRequest, Presence, PresenceChange, Relation, SearchEnded, SearchResult,
};
use crate::api::chat::{Conversation, LAST_TEXT_MAX, Message, MessageState};
use crate::api::events::Event;
use crate::api::nat::Nat;
use crate::api::session::{
    ListFault, Listed, LoggedIn, OwnPresence, Registered, Session, SessionState,
};
use crate::api::text::RecoveryKey;
use crate::api::{buddies, call as told, chat, network as net};
use crate::clock;
use crate::store::history::{PastCall, Summary};
use crate::store::preferences::Preferences;

/// Conversations of a snapshot that come with their last message. Our choice: at 200 characters of
/// six bytes of JSON each a third of the longest line.
const LAST_MESSAGES_MAX: usize = 300;

/// The event of a notice; none where the contract has none.
pub(super) fn event(notice: Notice) -> Option<Event> {
    Some(match notice {
        // What an election is made of is told by `super_peer.status`.
        Notice::Answer(..) | Notice::Around { .. } | Notice::Invited => return None,
        Notice::Session(session) => Event::SessionChanged { session: session_of(session.as_ref()) },
        Notice::Network(view) => Event::NetworkChanged(standing_of(Some(&view))),
        Notice::Buddy(view) => Event::BuddyChanged { buddy: buddy(&view, None) },
        Notice::Presence(view) => Event::PresenceChanged(PresenceChange {
            user: (&view.user).into(),
            presence: presence(view.state),
            mood: some(view.mood),
        }),
        Notice::Requested(view) => Event::BuddyRequested(BuddyRequest {
            user: (&view.user).into(),
            display_name: some(view.display_name),
            greeting: view.greeting.and_then(some),
        }),
        Notice::Message(view) => Event::MessageChanged { message: message(view) },
        Notice::Found(hit) => Event::SearchResult(SearchResult {
            search_id: hit.search.to_string(),
            user: (&hit.user).into(),
            display_name: hit.display_name,
            online: hit.online,
            round: u32::from(hit.round),
            asked_nodes: hit.asked_nodes as u32,
            ms: hit.ms,
            from_cache: hit.from_cache,
            words: hit.about,
        }),
        Notice::SearchEnded { search, found, reason } => Event::SearchEnded(SearchEnded {
            search_id: search.to_string(),
            found: found > 0,
            people: found as u32,
            reason: match reason {
                SearchEnd::Found => buddies::SearchEnd::Found,
                SearchEnd::NotFound => buddies::SearchEnd::NotFound,
                SearchEnd::NoAnswer => buddies::SearchEnd::NoAnswer,
                SearchEnd::Offline => buddies::SearchEnd::NotConnected,
            },
        }),
        Notice::Call(view) => Event::CallChanged { call: call(&view) },
    })
}

pub(super) fn standing(peer: &Peer) -> net::Standing {
    standing_of(peer.network_view().as_ref())
}

fn standing_of(view: Option<&NetworkView>) -> net::Standing {
    let authority = view.and_then(|view| view.authority);
    let link = |(service, address, since): &(Service, std::net::SocketAddr, UnixTime)| net::Link {
        kind: match service {
            Service::Authority => net::LinkKind::Authority,
            Service::Peer => net::LinkKind::Peer,
            Service::Nearby => net::LinkKind::Nearby,
            Service::SuperPeer
                if view.and_then(|v| v.home).is_some_and(|(n, _)| n.address == *address) =>
            {
                net::LinkKind::Home
            }
            // A peer has no link to a relay but in its media paths.
            Service::SuperPeer | Service::Relay => net::LinkKind::SuperPeer,
        },
        address: *address,
        since: (*since).into(),
    };
    net::Standing {
        network: view.map(|view| net::Network {
            id: (&view.network).into(),
            name: view.name.clone(),
            root_key: (&view.root).into(),
        }),
        home: view.and_then(|view| view.home).map(|(node, since)| net::Home {
            node_id: node.node.into(),
            node_key: node.key.into(),
            address: node.address,
            since: since.into(),
        }),
        super_peers: view.map_or(0, |view| view.super_peers as u32),
        authority: net::Authority {
            reachable: authority.is_some_and(|(reachable, _)| reachable),
            since: authority.map(|(_, since)| since.into()),
        },
        reachability: view.and_then(|view| view.reachability).map(|how| match how {
            Reachability::Public => net::Reachability::Public,
            Reachability::Natted => net::Reachability::Natted,
            Reachability::Restricted => net::Reachability::Restricted,
        }),
        reachability_measured: view.and_then(|view| view.reachability_at).map(Into::into),
        nat: view.and_then(|view| Nat::of(&view.nat)),
        port_mapping: view.and_then(|view| view.mapped),
        nearby: view.map(|view| view.near.iter().map(nearby).collect()).unwrap_or_default(),
        links: view.map(|view| view.links.iter().map(link).collect()).unwrap_or_default(),
    }
}

fn nearby(near: &NearDevice) -> net::Nearby {
    net::Nearby {
        user: (&near.device.user).into(),
        since: near.since.into(),
        certificate_until: near.certified_until.into(),
    }
}

pub(super) fn network(invite: &Invite) -> net::Network {
    net::Network {
        id: invite.network().into(),
        name: invite.name.as_str().to_owned(),
        root_key: invite.root.into(),
    }
}

pub(super) fn registered(session: &SignedIn, recovery: Paper) -> Registered {
    Registered {
        user: (&session.user).into(),
        certificate_until: session.certificate_until.into(),
        recovery_key: RecoveryKey::new(recovery.into_text()),
    }
}

pub(super) fn logged_in(session: &SignedIn, stretched: Duration) -> LoggedIn {
    LoggedIn {
        user: (&session.user).into(),
        device_id: session.device.into(),
        certificate_until: session.certificate_until.into(),
        stretch_ms: stretched.as_secs_f64() * 1000.0,
    }
}

pub(super) fn session(peer: &Peer) -> Session {
    session_of(peer.session_view().as_ref())
}

fn session_of(view: Option<&SessionView>) -> Session {
    let session = view.map(|view| &view.who);
    Session {
        state: match view {
            None => SessionState::LoggedOut,
            Some(view) if view.online => SessionState::Online,
            Some(_) => SessionState::Offline,
        },
        user: session.map(|s| (&s.user).into()),
        display_name: session.and_then(|s| some(s.display_name.clone())),
        device_id: session.map(|s| s.device.into()),
        certificate_until: session.map(|s| s.certificate_until.into()),
        presence: view.map(|view| match view.shown {
            Shown::Online => OwnPresence::Online,
            Shown::Away => OwnPresence::Away,
            Shown::DoNotDisturb => OwnPresence::DoNotDisturb,
            Shown::Invisible => OwnPresence::Invisible,
        }),
        mood: view.and_then(|view| some(view.mood.clone())),
        listed: view.map(|view| match view.listed {
            command::Listed::Off => Listed::Off,
            command::Listed::Posting => Listed::Posting,
            command::Listed::On => Listed::On,
            command::Listed::Leaving => Listed::Leaving,
        }),
        listed_name: view.and_then(|view| view.listed_as.0.clone()),
        listed_words: view.map(|view| view.listed_as.1.clone()).unwrap_or_default(),
        buddy_list: session.and_then(|s| match s.buddy_list {
            ListFound::Whole => None,
            ListFound::LastGood => Some(ListFault::LastGood),
            ListFound::Refused => Some(ListFault::Refused),
        }),
    }
}

pub(super) fn buddies(peer: &Peer) -> Vec<Buddy> {
    peer.buddies().map(|view| buddy(&view, Some(&peer.presence_of(&view.user)))).collect()
}

fn buddy(view: &BuddyView, shows: Option<&PresenceView>) -> Buddy {
    Buddy {
        user: (&view.user).into(),
        display_name: some(view.display_name.clone()),
        relation: match view.standing {
            Standing::Asked => Relation::Asked,
            Standing::AsksUs => Relation::AsksUs,
            Standing::Buddy => Relation::Buddy,
            Standing::Declined => Relation::Declined,
            Standing::Blocked => Relation::Blocked,
            Standing::Removed => Relation::Stranger,
        },
        greeting: view.greeting.clone().and_then(some),
        presence: shows.map_or(Presence::Offline, |shows| presence(shows.state)),
        mood: shows.and_then(|shows| some(shows.mood.clone())),
        since: view.since.into(),
    }
}

const fn presence(state: PresenceState) -> Presence {
    match state {
        PresenceState::Online => Presence::Online,
        PresenceState::Away => Presence::Away,
        PresenceState::DoNotDisturb => Presence::DoNotDisturb,
        PresenceState::Offline => Presence::Offline,
    }
}

pub(super) fn message(view: MessageView) -> Message {
    Message {
        id: view.id.into(),
        with: (&view.with).into(),
        direction: if view.mine { chat::Direction::Out } else { chat::Direction::In },
        text: view.text,
        written_at: view.written.into(),
        state: message_state(view.delivery),
        client_id: view.client_id,
    }
}

pub(super) const fn message_state(delivery: Delivery) -> MessageState {
    match delivery {
        Delivery::Waiting => MessageState::Waiting,
        Delivery::Arrived => MessageState::Arrived,
        Delivery::Read => MessageState::Read,
    }
}

/// Conversations, the latest first; those that nobody sees without scrolling far come without
/// their last message, so that the whole fits into a line.
pub(super) fn conversations(summaries: Vec<Summary>) -> Vec<Conversation> {
    let with_last = |(place, summary): (usize, Summary)| {
        let last = message(summary.last);
        Conversation {
            with: last.with.clone(),
            unread: summary.unread,
            last_at: last.written_at,
            last: (place < LAST_MESSAGES_MAX)
                .then(|| Message { text: last.text.chars().take(LAST_TEXT_MAX).collect(), ..last }),
        }
    };
    summaries.into_iter().enumerate().map(with_last).collect()
}

pub(super) fn past_call(call: &PastCall) -> told::PastCall {
    told::PastCall {
        id: call.id.into(),
        peer: (&call.peer).into(),
        direction: direction(call.direction),
        started_at: call.started.into(),
        talked_ms: call.talked_ms,
        reason: reason(call.reason),
        by: by(call.by),
    }
}

pub(super) fn call(view: &CallView) -> told::Call {
    let held = [(view.held_by.me, told::Side::Me), (view.held_by.them, told::Side::Them)];
    told::Call {
        id: view.id.into(),
        peer: (&view.peer).into(),
        direction: direction(view.direction),
        state: match view.state {
            CallState::Locating => told::CallState::Locating,
            CallState::Ringing => told::CallState::Ringing,
            CallState::Connecting => told::CallState::Connecting,
            CallState::Talking => told::CallState::Talking,
            CallState::Held => told::CallState::Held,
            CallState::Ended => told::CallState::Ended,
        },
        signaling: view.signaling.map(|case| match case {
            SignalingCase::Direct => told::Signaling::Direct,
            SignalingCase::CalleeSuperPeer => told::Signaling::CalleeSuperPeer,
            SignalingCase::BothSuperPeers => told::Signaling::BothSuperPeers,
        }),
        path: view.path.as_ref().map(path),
        path_switches: view.switches,
        interrupted_since: view.interrupted.map(|since| wall_of(since).into()),
        muted_here: view.muted_here,
        held_by: held.into_iter().filter_map(|(held, side)| held.then_some(side)).collect(),
        since: wall_of(view.since).into(),
        end: view.end.as_ref().map(end),
    }
}

pub(super) fn call_path(view: &PathView) -> told::CallPath {
    told::CallPath {
        number: view.number,
        purpose: match view.purpose {
            PathPurpose::Main => told::PathPurpose::Main,
            PathPurpose::Direct => told::PathPurpose::Direct,
            PathPurpose::Spare => told::PathPurpose::Spare,
        },
        standing: match view.standing {
            PathStanding::Making => told::PathStanding::Making,
            PathStanding::Up => told::PathStanding::Up,
            PathStanding::Silent => told::PathStanding::Silent,
            PathStanding::Down(PathDown::NoPair) => told::PathStanding::NoPair,
            PathStanding::Down(PathDown::Lost) => told::PathStanding::Lost,
            PathStanding::Down(PathDown::Unavailable) => told::PathStanding::Unavailable,
        },
        used: view.is_used,
        path: view.facts.as_ref().map(path),
        since: wall_of(view.opened).into(),
        tried: view.tried.iter().map(tried).collect(),
    }
}

fn tried(pair: &TriedPair) -> told::TriedPair {
    let ((ours, local), (theirs, remote)) = (pair.local, pair.remote);
    told::TriedPair {
        local_kind: ours.into(),
        local,
        remote_kind: theirs.into(),
        remote,
        outcome: match pair.outcome {
            PairOutcome::Open => told::PairOutcome::Open,
            PairOutcome::Succeeded => told::PairOutcome::Succeeded,
            PairOutcome::Failed => told::PairOutcome::Failed,
        },
    }
}

fn path(facts: &PathFacts) -> told::Path {
    told::Path {
        kind: facts.kind.into(),
        local: facts.local,
        remote: facts.remote,
        relay: facts.relay,
        rtt_ms: facts.rtt_ms,
    }
}

fn end(end: &End) -> told::End {
    let ms = |time: Option<Duration>| time.map(|time| time.as_millis() as u64);
    told::End {
        reason: reason(end.reason),
        by: by(end.by),
        facts: told::EndFacts {
            talked_ms: ms(end.facts.talked),
            waited_ms: ms(end.facts.waited),
            candidates_here: end.facts.candidates_here.map(|n| n as u32),
            candidates_there: end.facts.candidates_there.map(|n| n as u32),
            audio: None,
        },
    }
}

const fn reason(reason: EndReason) -> told::EndReason {
    match reason {
        EndReason::HungUp => told::EndReason::HungUp,
        EndReason::Declined => told::EndReason::Declined,
        EndReason::Busy => told::EndReason::Busy,
        EndReason::NoAnswer => told::EndReason::NoAnswer,
        EndReason::Cancelled => told::EndReason::Cancelled,
        EndReason::NotFound => told::EndReason::NotFound,
        EndReason::Offline => told::EndReason::Offline,
        EndReason::Blocked => told::EndReason::Blocked,
        EndReason::NotBuddy => told::EndReason::NotBuddy,
        EndReason::NoPath => told::EndReason::NoPath,
        EndReason::PathLost => told::EndReason::PathLost,
        EndReason::PeerVanished => told::EndReason::PeerVanished,
        EndReason::SignalingLost => told::EndReason::SignalingLost,
        EndReason::KeysRefused => told::EndReason::KeysRefused,
        EndReason::AudioFailed => told::EndReason::AudioFailed,
        EndReason::AnsweredElsewhere => told::EndReason::AnsweredElsewhere,
        EndReason::Internal => told::EndReason::Internal,
    }
}

const fn by(by: By) -> told::EndedBy {
    match by {
        By::Me => told::EndedBy::Me,
        By::Them => told::EndedBy::Them,
        By::Network => told::EndedBy::Network,
    }
}

const fn direction(direction: Direction) -> chat::Direction {
    match direction {
        Direction::In => chat::Direction::In,
        Direction::Out => chat::Direction::Out,
    }
}

pub(crate) fn chosen(preferences: &Preferences) -> ChosenDevices {
    ChosenDevices {
        microphone: preferences.microphone.to_string(),
        speaker: preferences.speaker.to_string(),
        ringer: preferences.where_it_rings().to_string(),
    }
}

/// Asks the sound server; to be called where waiting a little is allowed.
pub(crate) fn devices(chosen: ChosenDevices) -> Devices {
    let found = list::devices();
    let device = |entry: list::DeviceEntry| Device {
        id: entry.id,
        name: entry.name,
        is_default: entry.is_default,
    };
    Devices {
        microphones: found.microphones.into_iter().map(device).collect(),
        speakers: found.speakers.into_iter().map(device).collect(),
        chosen,
    }
}

fn wall_of(moment: Instant) -> UnixTime {
    clock::unix_now().minus(Instant::now().saturating_duration_since(moment))
}

fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}
