//! Calls: making and steering them, how each one stands, how well it is heard.

use std::net::SocketAddr;

use earshot_proto::ids::{CallId, UserName};
use earshot_proto::port;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::audio::AudioFault;
use super::chat::Direction;
use super::text::{Spelled, UnixMs};

/// Past calls that a page may have. Our choice: as of messages.
pub const PAST_CALLS_MAX: u32 = 500;

/// Calls a buddy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CallStart {
    /// The buddy.
    pub to: Spelled<UserName>,
    /// Which paths may be used; absent is `any`.
    #[serde(default)]
    pub path: PathChoice,
}

/// Which media paths a call may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PathChoice {
    /// The best one.
    #[default]
    Any,
    /// Only through a relay: the other one learns no address of ours.
    Relay,
}

/// The call has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CallStarted {
    /// Its id.
    pub call_id: Spelled<CallId>,
}

/// Questions that name a call and nothing else.
macro_rules! of_a_call {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
            #[serde(rename_all = "camelCase", deny_unknown_fields)]
            pub struct $name {
                /// The call.
                pub call_id: Spelled<CallId>,
            }
        )+
    };
}

of_a_call! {
    /// Answers a call that rings here.
    CallAccept,
    /// Declines a call that rings here.
    CallDecline,
    /// Ends a call, or gives up calling.
    CallHangUp,
    /// Holds a call: neither side is heard.
    CallHold,
    /// Takes a held call up again.
    CallResume,
    /// Stops sending our voice.
    CallMute,
    /// Sends our voice again.
    CallUnmute,
    /// Tells how well a call is heard.
    CallStatsOf,
    /// Tells which paths the sound of a call was tried over, and what came of each.
    CallPathsOf,
}

/// Reads past calls again: the newest, or those before a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CallHistory {
    /// Only what is older than this call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Spelled<CallId>>,
    /// How many at most; more than 500 are never given.
    #[schemars(example = 50)]
    pub limit: u32,
}

/// A page of past calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PastCalls {
    /// Newest first.
    pub calls: Vec<PastCall>,
    /// Whether there are older ones.
    pub more: bool,
}

/// A call that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PastCall {
    /// Its id.
    pub id: Spelled<CallId>,
    /// The other one.
    pub peer: Spelled<UserName>,
    /// Whether it came or went.
    pub direction: Direction,
    /// When it began to be made or to ring.
    pub started_at: UnixMs,
    /// How long they talked; absent when they did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = 61_000)]
    pub talked_ms: Option<u64>,
    /// Why it is over.
    pub reason: EndReason,
    /// Who or what ended it.
    pub by: EndedBy,
}

/// A call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// Its id.
    pub id: Spelled<CallId>,
    /// The other one.
    pub peer: Spelled<UserName>,
    /// Whether it came or went.
    pub direction: Direction,
    /// How it stands.
    #[schemars(example = CallState::Talking)]
    pub state: CallState,
    /// How its signals travel; absent while the other one is being located.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signaling: Option<Signaling>,
    /// How its sound travels; absent while there is no path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Path>,
    /// How often the sound went over to another path.
    pub path_switches: u32,
    /// Since when nothing gets through on any path; absent while it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = []))]
    pub interrupted_since: Option<UnixMs>,
    /// Whether our voice is not sent.
    pub muted_here: bool,
    /// Who holds it.
    #[schemars(example = [Side::Me; 0])]
    pub held_by: Vec<Side>,
    /// Standing so since then.
    pub since: UnixMs,
    /// Why it is over; only of calls that are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = []))]
    pub end: Option<End>,
}

/// How a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CallState {
    /// The other one is being looked for.
    Locating,
    /// It rings.
    Ringing,
    /// It was accepted and has no path yet.
    Connecting,
    /// Both hear each other.
    Talking,
    /// Somebody holds it.
    Held,
    /// It is over.
    Ended,
}

/// The three ways of signaling (lecture, slide 32).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Signaling {
    /// Straight to the other one.
    Direct,
    /// Through the super-peer of the one who is called.
    CalleeSuperPeer,
    /// Through the super-peers of both.
    BothSuperPeers,
}

/// How the sound of a call travels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Path {
    /// Its kind, by the better hidden of its two ends.
    pub kind: PathKind,
    /// Our end.
    #[schemars(with = "String", example = "192.0.2.10:50000")]
    pub local: SocketAddr,
    /// The other end.
    #[schemars(with = "String", example = "198.51.100.4:50002")]
    pub remote: SocketAddr,
    /// The relay that it goes through.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("examples" = []))]
    pub relay: Option<SocketAddr>,
    /// Round trip; absent until it was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = 24.5)]
    pub rtt_ms: Option<f64>,
}

/// The kind of a path (RFC 8445, section 5.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PathKind {
    /// Between addresses of the computers themselves.
    Host,
    /// Through an address that a STUN server saw.
    Srflx,
    /// Through an address learnt from a check.
    Prflx,
    /// Through a relay, UDP to it.
    RelayUdp,
    /// Through a relay, TCP to it.
    RelayTcp,
}

impl From<port::PathKind> for PathKind {
    fn from(kind: port::PathKind) -> Self {
        match kind {
            port::PathKind::Host => Self::Host,
            port::PathKind::ServerReflexive => Self::Srflx,
            port::PathKind::PeerReflexive => Self::Prflx,
            port::PathKind::RelayUdp => Self::RelayUdp,
            port::PathKind::RelayTcp => Self::RelayTcp,
        }
    }
}

/// The paths of a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CallPaths {
    /// In the order in which they were begun; those that are gone first.
    pub paths: Vec<CallPath>,
}

/// One of the paths of a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CallPath {
    /// Its number, the same at both ends.
    pub number: u32,
    /// What it is for.
    pub purpose: PathPurpose,
    /// How it stands.
    pub standing: PathStanding,
    /// Whether the sound goes over it.
    pub used: bool,
    /// What it goes or went through; absent if it never came up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Path>,
    /// When it was begun.
    pub since: UnixMs,
    /// What came of each pair of addresses, as far as that is known.
    pub tried: Vec<TriedPair>,
}

/// What a path of a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PathPurpose {
    /// To talk as soon as possible, by whatever works.
    Main,
    /// To talk without a relay.
    Direct,
    /// To fall back to: through another relay.
    Spare,
}

/// How a path of a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PathStanding {
    /// It is being made.
    Making,
    /// It gets through.
    Up,
    /// It does not, but may again.
    Silent,
    /// No pair of addresses worked.
    NoPair,
    /// It worked, and went silent for good.
    Lost,
    /// It could not even be begun here.
    Unavailable,
}

/// Two addresses between which a path was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TriedPair {
    /// The kind of our address.
    pub local_kind: PathKind,
    /// Our address.
    #[schemars(with = "String", example = "192.0.2.10:50000")]
    pub local: SocketAddr,
    /// The kind of theirs.
    pub remote_kind: PathKind,
    /// Their address.
    #[schemars(with = "String", example = "198.51.100.4:50002")]
    pub remote: SocketAddr,
    /// What came of it.
    pub outcome: PairOutcome,
}

/// What came of two addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PairOutcome {
    /// Nothing yet.
    Open,
    /// A check got through and back.
    Succeeded,
    /// Nothing got through.
    Failed,
}

/// One of the two sides of a call.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Side {
    /// We.
    Me,
    /// The other one.
    Them,
}

/// Why a call is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct End {
    /// The reason.
    pub reason: EndReason,
    /// Who or what ended it.
    pub by: EndedBy,
    /// What is known about it.
    pub facts: EndFacts,
}

/// Every reason for which a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum EndReason {
    /// Somebody hung up.
    HungUp,
    /// The one who was called does not want it.
    Declined,
    /// The one who was called is in another call.
    Busy,
    /// It rang and nobody answered.
    NoAnswer,
    /// The caller gave up.
    Cancelled,
    /// Nobody has that name.
    NotFound,
    /// No device of theirs is there.
    Offline,
    /// We blocked them.
    Blocked,
    /// Not each other's buddies.
    NotBuddy,
    /// No path for the sound could be made.
    NoPath,
    /// The path went silent and no other was found.
    PathLost,
    /// The other device is gone.
    PeerVanished,
    /// The way of the signals was lost before there was a path.
    SignalingLost,
    /// The other one's keys are not those that the certificate names.
    KeysRefused,
    /// Neither microphone nor speaker works.
    AudioFailed,
    /// Another device of the same user answered.
    AnsweredElsewhere,
    /// A mistake of ours.
    Internal,
}

/// Who or what ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum EndedBy {
    /// We.
    Me,
    /// The other one.
    Them,
    /// Neither.
    Network,
}

/// What is known about an end; each only where it applies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndFacts {
    /// How long they talked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = 61_000)]
    pub talked_ms: Option<u64>,
    /// How long it was tried or rang.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = 45_000)]
    pub waited_ms: Option<u64>,
    /// Candidates of ours that were tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = 3)]
    pub candidates_here: Option<u32>,
    /// Candidates of theirs that were tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = 2)]
    pub candidates_there: Option<u32>,
    /// What is wrong with the sound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<AudioFault>,
}

/// How well a call is heard. Counters count from the start of the call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CallStats {
    /// The call.
    pub call_id: Spelled<CallId>,
    /// The kind of the path that our voice goes over now; absent where it goes over none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathKind>,
    /// Voice packets sent.
    #[schemars(example = 500)]
    pub sent_packets: u64,
    /// Voice packets received, opened and not seen before.
    #[schemars(example = 498)]
    pub received_packets: u64,
    /// Voice packets that were sent to us and never came.
    #[schemars(example = 2)]
    pub lost_packets: u64,
    /// Lost of all that were sent to us, in percent.
    #[schemars(example = 0.4)]
    pub loss_pct: f64,
    /// The same of the last ten seconds: how it is now.
    #[schemars(example = 0.0)]
    pub recent_loss_pct: f64,
    /// Interarrival jitter (RFC 3550, section 6.4.1).
    #[schemars(example = 1.5)]
    pub jitter_ms: f64,
    /// Round trip of the path; absent until it was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = 24.5)]
    pub rtt_ms: Option<f64>,
    /// Sound that waits in the jitter buffer.
    #[schemars(example = 30.0)]
    pub buffer_ms: f64,
    /// Concealed of all that was played, in percent.
    #[schemars(example = 0.2)]
    pub concealed_pct: f64,
    /// The same of the last ten seconds.
    #[schemars(example = 0.0)]
    pub recent_concealed_pct: f64,
    /// Voice sent in the last second, in bits per second, without headers.
    #[schemars(example = 32_000)]
    pub bitrate_bps: u64,
    /// Level of our microphone: dBFS, -100 to 0.
    #[schemars(example = -23.5)]
    pub level_in: f64,
    /// Level of what is played: dBFS, -100 to 0.
    #[schemars(example = -20.5)]
    pub level_out: f64,
    /// Packets that did not open: damaged, forged or foreign.
    #[schemars(example = 0)]
    pub auth_failures: u64,
    /// Packets that came a second time.
    #[schemars(example = 0)]
    pub replays: u64,
    /// From accepting to the first sound of theirs handed to the speaker; absent before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = 42.5)]
    pub first_sound_ms: Option<f64>,
}
