//! The super-peer's own numbers: whom it serves, and what passed through it; and whether a peer
//! serves too, and why.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use earshot_proto::ids::NodeId;
use earshot_proto::super_peer::Work;
use earshot_proto::super_peer::terms::{self, Terms};

use super::errors::ErrorCode;
use super::failure::Failure;
use super::text::{Spelled, UnixMs};

/// Chooses whether this peer also serves as a super-peer, what it then does and how much it may
/// use. What is absent stays as it was; all is kept. Until a mode was chosen it does not serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SuperPeerSet {
    /// When it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<ServingMode>,
    /// What it does; one of both at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs: Option<Jobs>,
    /// How much it may use: takes the place of all caps before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caps: Option<Caps>,
}

/// What a super-peer does besides its share of finding people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Jobs {
    /// People may be at home at it.
    #[schemars(example = true)]
    pub directory: bool,
    /// It relays calls.
    #[schemars(example = true)]
    pub relay: bool,
}

/// How much a super-peer may use; absent: as much as one takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Caps {
    /// Connections that others have opened, 32 to 100 000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = 500)]
    pub connections: Option<u32>,
    /// What it carries for others in a second, in thousands of bytes, 32 to 1 000 000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = 250)]
    pub kb_per_second: Option<u32>,
    /// All that goes in and out in thirty days, in thousands of millions of bytes, 1 to 100 000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = 50)]
    pub gb_per_month: Option<u32>,
}

/// What a peer does when it serves, and how much it may use for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServingTerms {
    /// What it does.
    pub jobs: Jobs,
    /// How much it may use.
    pub caps: Caps,
}

/// A kind of cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Cap {
    /// Connections.
    Connections,
    /// Bytes a second.
    KbPerSecond,
    /// Bytes a month.
    GbPerMonth,
}

impl Cap {
    /// The least and the most that it may say.
    #[must_use]
    pub const fn range(self) -> (u32, u32) {
        match self {
            Self::Connections => (terms::CONNECTIONS_MIN, 100_000),
            Self::KbPerSecond => ((terms::BYTES_PER_S_MIN / KILO) as u32, 1_000_000),
            Self::GbPerMonth => (1, 100_000),
        }
    }
}

impl Default for Jobs {
    fn default() -> Self {
        Self { directory: true, relay: true }
    }
}

const KILO: u64 = 1_000;
const GIGA: u64 = 1_000_000_000;

impl ServingTerms {
    /// With what was set.
    ///
    /// # Errors
    /// [`ErrorCode::NoJob`] and [`ErrorCode::CapOutOfRange`].
    pub fn with(self, set: &SuperPeerSet) -> Result<Self, ErrorCode> {
        let jobs = set.jobs.unwrap_or(self.jobs);
        if !jobs.directory && !jobs.relay {
            return Err(ErrorCode::NoJob);
        }
        let caps = set.caps.unwrap_or(self.caps);
        let Caps { connections, kb_per_second, gb_per_month } = caps;
        for (cap, value) in [
            (Cap::Connections, connections),
            (Cap::KbPerSecond, kb_per_second),
            (Cap::GbPerMonth, gb_per_month),
        ] {
            let (least, most) = cap.range();
            if value.is_some_and(|value| !(least..=most).contains(&value)) {
                return Err(ErrorCode::CapOutOfRange { cap, least, most });
            }
        }
        Ok(Self { jobs, caps })
    }

    /// As a super-peer knows them.
    #[must_use]
    pub fn terms(&self) -> Terms {
        Terms {
            directory: self.jobs.directory,
            relay: self.jobs.relay,
            connections: self.caps.connections,
            bytes_per_s: self.caps.kb_per_second.map(|kb| u64::from(kb) * KILO),
            bytes_a_month: self.caps.gb_per_month.map(|gb| u64::from(gb) * GIGA),
        }
    }
}

/// When a peer serves as a super-peer. Never without having been reached from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ServingMode {
    /// When the network needs it and asks, on mains, and while the machine is fit for it.
    Auto,
    /// Whenever others can reach it.
    Always,
    /// Not at all.
    Never,
}

/// Has super-peers dial back now, by TCP and UDP: the home and up to three more. One that runs
/// already is waited for. Takes up to five seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SuperPeerTest {}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tested {
    /// What each super-peer found; none where there is nobody to ask but ourselves.
    pub verdicts: Vec<Verdict>,
}

/// What one super-peer found when it dialled back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Where the super-peer is.
    #[schemars(with = "String", example = "192.0.2.7:4433")]
    pub super_peer: SocketAddr,
    /// When it was heard.
    pub at: UnixMs,
    /// The address of ours that it dialled; absent when it dialled none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", example = "198.51.100.3:37373")]
    pub tried: Option<SocketAddr>,
    /// How a connection went.
    pub tcp: DialResult,
    /// How a datagram went.
    pub udp: DialResult,
}

/// How dialling back went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum DialResult {
    /// It got through.
    Reached,
    /// The address answered that nobody listens there.
    Refused,
    /// Nothing answered, or nothing came: a router or a firewall drops it.
    Silent,
    /// The super-peer was asked less than ten seconds before.
    TooSoon,
    /// The super-peer does not dial that port.
    PortRefused,
    /// The super-peer itself could not be reached.
    NotAsked,
}

/// What a super-peer does, and, of a peer, whether and why it is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SuperPeerState {
    /// What it does; all of it is absent of a peer that does not serve.
    #[serde(flatten)]
    pub service: Option<Service>,
    /// Of a peer only, and not of one that founded its network and always serves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidacy: Option<Candidacy>,
}

/// Whether a peer serves, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Candidacy {
    /// What its owner has chosen; absent until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<ServingMode>,
    /// What they let it do and use.
    #[serde(flatten)]
    pub terms: ServingTerms,
    /// Where it stands.
    pub standing: ServingStanding,
    /// What stands against serving now, the weightiest first.
    pub obstacles: Vec<Obstacle>,
    /// Why the service is about to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<EndingCause>,
    /// Super-peers that must get through by each transport.
    #[schemars(example = 2)]
    pub verifiers_needed: u32,
    /// What super-peers found last, each once.
    pub verdicts: Vec<Verdict>,
    /// How fit the machine is; absent until it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<Score>,
    /// Why it could not begin to serve when it last tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Failure>,
}

/// Where a peer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ServingStanding {
    /// An ordinary peer.
    Ordinary,
    /// About to serve, if nothing comes between.
    Standby,
    /// It serves.
    Serving,
}

/// What stands against serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Obstacle {
    /// What it is.
    pub what: ObstacleKind,
    /// How many super-peers got through, where too few did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = 1)]
    pub reached: Option<u32>,
    /// How many did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = 1)]
    pub not_reached: Option<u32>,
    /// How long it lasts, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = 60_000)]
    pub left_ms: Option<u64>,
}

/// A kind of obstacle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ObstacleKind {
    /// The owner has not answered yet.
    NotAnswered,
    /// The owner does not want it.
    OwnerSaysNever,
    /// Too few super-peers got through by TCP.
    NotReachedByTcp,
    /// Too few got through by UDP.
    NotReachedByUdp,
    /// Nothing was measured yet.
    NotMeasured,
    /// The machine draws on its battery.
    OnBattery,
    /// The line is metered.
    Metered,
    /// The machine is not fit enough.
    LowScore,
    /// No super-peer has asked it to.
    NotInvited,
    /// The network has enough super-peers, or nothing is known of them.
    NotNeeded,
    /// It stopped serving not long ago.
    Resting,
    /// The login authority did not let it, or did not answer.
    NotEnrolled,
}

/// Why a service is about to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum EndingCause {
    /// The owner wants it.
    OwnerSaysNever,
    /// The machine draws on its battery.
    OnBattery,
    /// The line is metered.
    Metered,
    /// Too few super-peers get through.
    NotReached,
    /// The machine is not fit any more.
    LowScore,
    /// There are more super-peers than the network needs, and this is the weakest.
    Abundance,
    /// The login authority did not let it.
    NotEnrolled,
}

/// How fit a machine is, and what it is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Score {
    /// The sum, at most 1000.
    #[schemars(example = 515)]
    pub total: u32,
    /// From so much on it is fit.
    #[schemars(example = 400)]
    pub needed: u32,
    /// Of 300: time on line.
    #[schemars(example = 300)]
    pub up: u32,
    /// Of 300: bandwidth upstream.
    #[schemars(example = 30)]
    pub upstream: u32,
    /// The bandwidth that counts, in thousands of bits per second.
    #[schemars(example = 1000)]
    pub upstream_kbps: u32,
    /// Where it is from.
    pub upstream_from: UpstreamFrom,
    /// Of 200: idle processor.
    #[schemars(example = 180)]
    pub idle: u32,
    /// Of 200: kind of address.
    #[schemars(example = 5)]
    pub address: u32,
    /// Whether it is known that the line is not metered; if not, it is assumed.
    #[schemars(example = false)]
    pub tariff_known: bool,
}

/// Where it is known from what a machine sends at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum UpstreamFrom {
    /// Nowhere: a slow line is assumed.
    Assumed,
    /// It was seen to send so much over links to the Internet within half a minute, lately; it may
    /// do more.
    Seen,
    /// Its owner lets it carry no more.
    Capped,
}

/// Tells whom this super-peer serves and what passed through it; of a peer, whether it serves, and
/// why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SuperPeerStatus {}

/// What a super-peer does. Counters count from the start of the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Serving since then.
    pub since: UnixMs,
    /// Peers linked to it now.
    #[schemars(example = 12)]
    pub clients: u32,
    /// Super-peers in the network, itself counted: exact while all know all, an estimate on a ring.
    #[schemars(example = 3)]
    pub super_peers: u32,
    /// Its place among them.
    pub place: Place,
    /// Registrations that it keeps now.
    #[schemars(example = 40)]
    pub registrations: u32,
    /// Questions for a registration that it answered.
    #[schemars(example = 210)]
    pub lookups: u64,
    /// Sealed envelopes that its own clients sent through it.
    #[schemars(example = 93)]
    pub through_us: u64,
    /// Envelopes that devices brought over links of their own for its clients.
    #[schemars(example = 12)]
    pub from_visitors: u64,
    /// Envelopes that its clients sent back to such devices.
    #[schemars(example = 11)]
    pub to_visitors: u64,
    /// Envelopes that other super-peers brought for its clients.
    #[schemars(example = 40)]
    pub from_super_peers: u64,
    /// Questions and newcomers that it refused because it had too much to do.
    #[schemars(example = 0)]
    pub refused: u64,
    /// Clients that it handed over to others.
    #[schemars(example = 0)]
    pub handed_over: u64,
    /// Relay allocations open now.
    #[schemars(example = 2)]
    pub allocations: u32,
    /// Packets that it relayed.
    #[schemars(example = 15_210)]
    pub relayed_packets: u64,
    /// Bytes of them.
    #[schemars(example = 1_844_000)]
    pub relayed_bytes: u64,
    /// Which of its jobs it does now: near the end of the month's cap neither.
    pub doing: Jobs,
    /// What it used this month.
    pub month: Month,
}

/// What went in and out of a super-peer in a month of thirty days, without the headers of TCP, UDP
/// and IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Month {
    /// When it began.
    pub since: UnixMs,
    /// Bytes since.
    #[schemars(example = 2_150_000_000_u64)]
    pub bytes: u64,
    /// How much of the cap that is.
    pub spent: Spent,
}

/// How much of the month's cap is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Spent {
    /// Less than 95 %, or there is no cap.
    Little,
    /// So much that people are handed over and no new call is relayed until the next month.
    Most,
    /// All: nothing is carried any more.
    All,
}

impl From<&Work> for Month {
    fn from(work: &Work) -> Self {
        let spent = match work.spent {
            terms::Spent::Little => Spent::Little,
            terms::Spent::Most => Spent::Most,
            terms::Spent::All => Spent::All,
        };
        Self { since: work.traffic.since.into(), bytes: work.traffic.bytes, spent }
    }
}

/// A super-peer's place among the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// How it knows them.
    pub mode: Membership,
    /// Its own id.
    pub node: Spelled<NodeId>,
    /// Who comes before it; absent while it knows nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predecessor: Option<Spelled<NodeId>>,
    /// Who comes after it, nearest first, at most 16.
    pub successors: Vec<Spelled<NodeId>>,
}

/// How a super-peer knows the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Membership {
    /// It takes no part yet.
    Outside,
    /// Everybody knows everybody.
    Full,
    /// They form a ring, of which each knows a part.
    Ring,
}
