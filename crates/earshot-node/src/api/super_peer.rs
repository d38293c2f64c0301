//! The super-peer's own numbers: whom it serves, and what passed through it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use earshot_proto::ids::NodeId;

use super::text::{Spelled, UnixMs};

/// Tells whom this super-peer serves and what passed through it.
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
