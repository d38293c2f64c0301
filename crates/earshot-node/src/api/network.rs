//! Networks: founding and joining one, and how this node stands in it.

use std::net::{IpAddr, SocketAddr};

use earshot_proto::ids::{NetworkId, NodeId, UserName};
use earshot_proto::wire::certificate::{AgreeKey, VerifyKey};
use earshot_proto::wire::invite::Invite;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::nat::Nat;
use super::text::{Spelled, UnixMs};

/// Founds a network and joins it. This process is its login authority and its first super-peer, now
/// and whenever it runs again on this data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkStart {
    /// The network's name, for people: at least one byte, at most 64 of UTF-8.
    #[schemars(example = &"home")]
    pub name: String,
}

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
    /// Whom it will serve.
    pub reach: InviteReach,
}

impl From<&Invite> for Invited {
    fn from(invite: &Invite) -> Self {
        let reach = InviteReach::of(invite.super_peers.iter().map(|door| door.address.ip()));
        Self { invite: invite.to_uri(), reach }
    }
}

/// Whom an invite will serve, by the addresses of the super-peers in it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum InviteReach {
    /// Programs on the same computer.
    ThisComputer,
    /// Computers on the same local network.
    LocalNetwork,
    /// Whoever has the Internet, unless a firewall is before the super-peer.
    Everywhere,
}

impl InviteReach {
    /// The widest reach of these addresses.
    fn of(addresses: impl Iterator<Item = IpAddr>) -> Self {
        addresses.map(Self::of_one).max().unwrap_or(Self::ThisComputer)
    }

    pub(super) fn of_one(address: IpAddr) -> Self {
        let address = address.to_canonical();
        let local = match address {
            IpAddr::V4(v4) => {
                // RFC 6598 too: shared by the customers of one provider.
                let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
                v4.is_private() || v4.is_link_local() || shared
            }
            IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
        };
        if address.is_loopback() || address.is_unspecified() {
            Self::ThisComputer
        } else if local {
            Self::LocalNetwork
        } else {
            Self::Everywhere
        }
    }
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
    /// When that was found, or last confirmed: the home says it, and several super-peers are asked
    /// soon after and every few hours. Absent where it was not tested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reachability_measured: Option<UnixMs>,
    /// What is known of the NAT before this computer; absent until something was found out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nat: Option<Nat>,
    /// The outer address where a router forwards connections (TCP) to this node, as it was asked to
    /// by UPnP, NAT-PMP or PCP; absent where none does. That others get through it is told by
    /// `reachability`: the router may be behind another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", example = "198.51.100.3:37373")]
    pub port_mapping: Option<SocketAddr>,
    /// Devices of buddies on the same local network that are linked to this node, because the
    /// network does not bring it and them together: without the Internet, say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nearby: Vec<Nearby>,
    /// Connections that are open now.
    pub links: Vec<Link>,
}

/// A buddy's device near by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Nearby {
    /// Whose it is.
    pub user: Spelled<UserName>,
    /// Linked since then.
    pub since: UnixMs,
    /// When its certificate ends. One that has ended serves near by for 90 days more, while no
    /// authority can be asked.
    pub certificate_until: UnixMs,
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
    /// To a buddy on the same local network.
    Nearby,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invite_serves_whom_its_widest_address_serves() {
        let reach = |addresses: &[&str]| {
            InviteReach::of(addresses.iter().map(|text| text.parse().expect("an address")))
        };
        for own in ["127.0.0.1", "::1", "0.0.0.0", "::ffff:127.0.0.1"] {
            assert_eq!(reach(&[own]), InviteReach::ThisComputer, "{own}");
        }
        for near in
            ["10.1.2.3", "192.168.1.7", "172.16.0.1", "169.254.1.1", "100.64.0.9", "fd00::1"]
        {
            assert_eq!(reach(&["127.0.0.1", near]), InviteReach::LocalNetwork, "{near}");
        }
        for far in ["192.0.2.7", "100.128.0.1", "2001:db8::1"] {
            assert_eq!(reach(&["10.1.2.3", far]), InviteReach::Everywhere, "{far}");
        }
        assert_eq!(reach(&[]), InviteReach::ThisComputer);
    }
}
