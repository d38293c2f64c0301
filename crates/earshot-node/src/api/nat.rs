//! What is known of the NAT before this computer: of the router that gives it another address
//! outside, or of the firewall that keeps others out.
//!
//! Source: RFC 5780, whose tests are done at the home super-peer and at a partner of it; RFC 4787,
//! whose words these are. Invariant: what could not be found out is absent, and what is told has
//! the date of the last measurement that found it so.

use std::net::SocketAddr;

use earshot_proto::peer::nat::{self as known, Found, NatView};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::network::InviteReach;
use super::text::UnixMs;

/// What is known of the NAT before this computer, each part by itself. A part is absent where it
/// could not be found out: where UDP is blocked, or the home has no partner to ask at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Nat {
    /// Where the others see this computer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<NatAddress>,
    /// Whether there is a NAT at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub translation: Option<NatTranslation>,
    /// What it makes of this computer's port: whether one address is good for all partners.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapping: Option<NatMapping>,
    /// Whom it, or a firewall, lets in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filtering: Option<NatFiltering>,
}

/// Where the home saw this computer's UDP port: its reflexive address (RFC 8489, section 2). Its
/// port may be another one later, and for others: see `mapping`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NatAddress {
    /// The address.
    #[schemars(with = "String", example = "198.51.100.3:40001")]
    pub what: SocketAddr,
    /// Whether it is an address of the Internet. If not, the home is on the same local network or
    /// computer, and nothing here tells what is between them and the Internet.
    #[schemars(example = true)]
    pub is_public: bool,
    /// When it was seen last.
    pub measured: UnixMs,
}

/// Whether there is a NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NatTranslation {
    /// Whether there is one.
    pub what: Translation,
    /// When it was found so last.
    pub measured: UnixMs,
}

/// How a NAT maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NatMapping {
    /// How.
    pub what: Mapping,
    /// When it was found so last.
    pub measured: UnixMs,
}

/// Whom a NAT or a firewall lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NatFiltering {
    /// Whom.
    pub what: Filtering,
    /// When it was found so last.
    pub measured: UnixMs,
}

/// Whether the others see another address of this computer than its own. RFC 5780, section 4.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Translation {
    /// They see its own: nothing is between that changes it, though a firewall may filter.
    Absent,
    /// They see another one: that of a router.
    Present,
}

/// To which outer address and port one port of this computer is mapped (RFC 4787, section 4.1).
/// Found out by RFC 5780, section 4.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Mapping {
    /// To the same, whoever is sent to; also where there is no NAT. What one partner is told is
    /// good for all, so that direct calls work with most people.
    EndpointIndependent,
    /// To another one for each address that is sent to: a symmetric NAT. Nobody can be told
    /// beforehand where to send, so that calls with people behind strict routers may need a relay.
    AddressDependent,
    /// To another one for each address and port that is sent to: a symmetric NAT too, with the same
    /// consequence.
    AddressAndPortDependent,
}

/// Whose datagrams are let in to a port of this computer (RFC 4787, section 5). Found out by RFC
/// 5780, section 4.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Filtering {
    /// Everybody's, once anything was sent from it: a call finds its way in whoever begins.
    EndpointIndependent,
    /// Those of addresses that were sent to, from any port of theirs. Both ends of a call send, so
    /// that it opens its own way.
    AddressDependent,
    /// Those of addresses and ports that were sent to. A call opens its own way to all but those
    /// who are behind a symmetric NAT.
    AddressAndPortDependent,
}

impl Nat {
    /// What a peer knows; none before it found anything out.
    pub(crate) fn of(view: &NatView) -> Option<Self> {
        let NatView { address, translation, mapping, filtering } = *view;
        let nat = Self {
            address: address.map(|Found { what, measured }| NatAddress {
                what,
                is_public: InviteReach::of_one(what.ip()) == InviteReach::Everywhere,
                measured: measured.into(),
            }),
            translation: translation.map(|Found { what, measured }| NatTranslation {
                what: what.into(),
                measured: measured.into(),
            }),
            mapping: mapping.map(|Found { what, measured }| NatMapping {
                what: what.into(),
                measured: measured.into(),
            }),
            filtering: filtering.map(|Found { what, measured }| NatFiltering {
                what: what.into(),
                measured: measured.into(),
            }),
        };
        (*view != NatView::default()).then_some(nat)
    }
}

impl From<known::Translation> for Translation {
    fn from(translation: known::Translation) -> Self {
        match translation {
            known::Translation::Absent => Self::Absent,
            known::Translation::Present => Self::Present,
        }
    }
}

impl From<known::Mapping> for Mapping {
    fn from(mapping: known::Mapping) -> Self {
        match mapping {
            known::Mapping::EndpointIndependent => Self::EndpointIndependent,
            known::Mapping::AddressDependent => Self::AddressDependent,
            known::Mapping::AddressAndPortDependent => Self::AddressAndPortDependent,
        }
    }
}

impl From<known::Filtering> for Filtering {
    fn from(filtering: known::Filtering) -> Self {
        match filtering {
            known::Filtering::EndpointIndependent => Self::EndpointIndependent,
            known::Filtering::AddressDependent => Self::AddressDependent,
            known::Filtering::AddressAndPortDependent => Self::AddressAndPortDependent,
        }
    }
}

#[cfg(test)]
mod tests {
    use earshot_proto::time::UnixTime;
    use serde_json::json;

    use super::*;

    const NOON: UnixTime = UnixTime(1_795_000_000_000);

    const fn found<T: Copy>(what: T) -> Option<Found<T>> {
        Some(Found { what, measured: NOON })
    }

    #[test]
    fn what_could_not_be_found_out_is_absent() {
        assert_eq!(Nat::of(&NatView::default()), None);
        let view = NatView {
            mapping: found(known::Mapping::AddressAndPortDependent),
            ..NatView::default()
        };
        let nat = serde_json::to_value(Nat::of(&view)).expect("it is plain data");
        let mapping = json!({ "what": "addressAndPortDependent", "measured": NOON.0 });
        assert_eq!(nat, json!({ "mapping": mapping }));
    }

    #[test]
    fn an_address_of_a_local_network_says_nothing_of_the_internet() {
        let seen = |text: &str| {
            let address = found(text.parse().expect("an address"));
            let nat = Nat::of(&NatView { address, ..NatView::default() });
            nat.and_then(|nat| nat.address).map(|address| address.is_public)
        };
        for near in ["127.0.0.1:9", "192.168.1.7:9", "100.64.0.9:9", "[fd00::1]:9"] {
            assert_eq!(seen(near), Some(false), "{near}");
        }
        for far in ["198.51.100.3:9", "[2001:db8::1]:9"] {
            assert_eq!(seen(far), Some(true), "{far}");
        }
    }
}
