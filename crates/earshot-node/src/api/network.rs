//! Networks: joining one, and how this node stands in it.

use std::net::SocketAddr;

use earshot_proto::ids::{NetworkId, NodeId};
use earshot_proto::wire::certificate::{AgreeKey, VerifyKey};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::{Spelled, UnixMs};

/// Joins the network of an invite. Whoever is in it already is told so again; a node joins one
/// network only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkJoin {
    /// The invite, as a link.
    #[schemars(example = "earshot:pQBkaG9tZQ…")]
    pub invite: String,
}

/// The network that was joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Joined {
    /// The network.
    pub network: Network,
}

/// Makes an invite to the network that this node is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkInvite {}

/// An invite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Invited {
    /// As a link; short enough for a QR code.
    #[schemars(example = "earshot:pQBkaG9tZQ…")]
    pub invite: String,
}

/// Tells how this node stands in its network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkStatus {}

/// A network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// The hash of the root key.
    pub id: Spelled<NetworkId>,
    /// For people; proves nothing.
    #[schemars(example = &"home")]
    pub name: String,
    /// The network itself.
    pub root_key: Spelled<VerifyKey>,
}

/// How this node stands in its network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// The network; absent before one is joined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// The super-peer that this node is linked to; absent when it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home: Option<Home>,
    /// How many super-peers this node knows.
    #[schemars(example = 12)]
    pub super_peers: u32,
    /// The login authority.
    pub authority: Authority,
    /// Whether others can open connections to this node; absent until it was tested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reachability: Option<Reachability>,
    /// Connections that are open now.
    pub links: Vec<Link>,
}

/// The home super-peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Home {
    /// Its place on the ring.
    pub node_id: Spelled<NodeId>,
    /// Its link key.
    pub node_key: Spelled<AgreeKey>,
    /// Where it listens.
    #[schemars(with = "String", example = "192.0.2.7:4433")]
    pub address: SocketAddr,
    /// Linked since then.
    pub since: UnixMs,
}

/// The login authority as this node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Authority {
    /// Whether it answered when it was last asked.
    pub reachable: bool,
    /// Since when; absent when it was not asked yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<UnixMs>,
}

/// Whether others can open connections to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Reachability {
    /// Anybody can.
    Public,
    /// Nobody can, but it can open its own.
    Natted,
    /// It can open connections to its home only.
    Restricted,
}

/// An open connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// What it is for.
    pub kind: LinkKind,
    /// The other end.
    #[schemars(with = "String", example = "192.0.2.7:4433")]
    pub address: SocketAddr,
    /// Open since then.
    pub since: UnixMs,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum LinkKind {
    /// To the home super-peer.
    Home,
    /// To another super-peer.
    SuperPeer,
    /// To the login authority.
    Authority,
    /// To a buddy, for the signaling of a call.
    Peer,
}
