//! The kinds of homes, a line each: what stands between a person's computer and the Internet.
//!
//! Source: RFC 4787 (mapping, filtering, hairpinning of UDP), RFC 6888 (carriers' NATs), RFC 6092
//! (a home's IPv6 firewall). The names of the four classical kinds are those of RFC 3489.

use Egress::{Any, ProxyOnly, Tcp443Only, TcpOnly};
use Filtering as F;
use Mapping as M;
use Shared::{Apart, Carrier, Lan};

/// What decides the outer port of a datagram (RFC 4787, section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// The inner address and port alone.
    EndpointIndependent,
    /// The remote address and port as well: another port for each.
    AddressAndPortDependent,
}

/// Who may answer to an outer port (RFC 4787, section 5), from the laxest to the strictest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Filtering {
    /// Anybody.
    EndpointIndependent,
    /// Any port of an address that was sent to.
    AddressDependent,
    /// An address and port that was sent to.
    AddressAndPortDependent,
}

/// Whether two computers behind a NAT reach each other by their outer addresses (RFC 4787, section
/// 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hairpin {
    /// They do.
    Supported,
    /// What they send is dropped.
    Absent,
}

/// One NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nat {
    /// What decides the outer port.
    pub mapping: Mapping,
    /// Who may answer.
    pub filtering: Filtering,
    /// Whether what is behind it meets by outer addresses.
    pub hairpin: Hairpin,
}

/// What a firewall lets out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Egress {
    /// Everything.
    Any,
    /// TCP to any port, and no datagram.
    TcpOnly,
    /// TCP to port 443.
    Tcp443Only,
    /// Nothing but what an HTTP proxy fetches (CONNECT, to port 443).
    ProxyOnly,
}

/// What a home's router does for whoever asks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offers {
    /// Nothing.
    Nothing,
    /// A port that anybody reaches (RFC 6886).
    PortMapping,
}

/// What the two homes of a kind have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shared {
    /// Nothing but the Internet.
    Apart,
    /// They are two computers of one home.
    Lan,
    /// They are two homes behind one carrier's NAT.
    Carrier,
}

/// A kind of home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// As on the command line.
    pub name: &'static str,
    /// The NATs of its IPv4 from the inside to the outside; empty for a public address, absent
    /// where there is no IPv4.
    pub v4: Option<&'static [Nat]>,
    /// Whether it has IPv6, which a firewall protects from what nobody asked for.
    pub v6: bool,
    /// What may leave.
    pub egress: Egress,
    /// What its two homes share.
    pub shared: Shared,
    /// What its router offers.
    pub offers: Offers,
}

const FULL_CONE: Nat = nat(M::EndpointIndependent, F::EndpointIndependent);
const ADDRESS_RESTRICTED: Nat = nat(M::EndpointIndependent, F::AddressDependent);
const PORT_RESTRICTED: Nat = nat(M::EndpointIndependent, F::AddressAndPortDependent);
const SYMMETRIC: Nat = nat(M::AddressAndPortDependent, F::AddressAndPortDependent);
/// RFC 6888, REQ-1: a carrier's NAT keeps to RFC 4787, and so hairpins.
const CARRIER: Nat = Nat { hairpin: Hairpin::Supported, ..FULL_CONE };

/// All of them. A home of each kind calls, and a second one is called.
#[rustfmt::skip]
pub const KINDS: &[Kind] = &[
    // name                        IPv4, from the inside to the outside        IPv6   egress
    kind("public",                 Some(&[]),                                  false, Any,        Apart),
    kind("full_cone",              Some(&[FULL_CONE]),                         false, Any,        Apart),
    kind("address_restricted",     Some(&[ADDRESS_RESTRICTED]),                false, Any,        Apart),
    kind("port_restricted",        Some(&[PORT_RESTRICTED]),                   false, Any,        Apart),
    kind("symmetric",              Some(&[SYMMETRIC]),                         false, Any,        Apart),
    kind("port_mapped",            Some(&[SYMMETRIC]),                         false, Any,        Apart)
        .offering(Offers::PortMapping),
    kind("same_lan",               Some(&[PORT_RESTRICTED]),                   false, Any,        Lan),
    kind("carrier",                Some(&[PORT_RESTRICTED, PORT_RESTRICTED]),  false, Any,        Carrier),
    kind("carrier_hairpin",        Some(&[PORT_RESTRICTED, CARRIER]),          false, Any,        Carrier),
    kind("carrier_symmetric",      Some(&[PORT_RESTRICTED, SYMMETRIC]),        false, Any,        Apart),
    kind("dual_stack",             Some(&[SYMMETRIC]),                         true,  Any,        Apart),
    kind("ipv6_only",              None,                                       true,  Any,        Apart),
    kind("udp_blocked",            Some(&[PORT_RESTRICTED]),                   false, TcpOnly,    Apart),
    kind("tcp_443_only",           Some(&[PORT_RESTRICTED]),                   false, Tcp443Only, Apart),
    kind("http_proxy",             Some(&[PORT_RESTRICTED]),                   false, ProxyOnly,  Apart),
];

/// The kind of this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

const fn nat(mapping: Mapping, filtering: Filtering) -> Nat {
    Nat { mapping, filtering, hairpin: Hairpin::Absent }
}

const fn kind(
    name: &'static str,
    v4: Option<&'static [Nat]>,
    v6: bool,
    egress: Egress,
    shared: Shared,
) -> Kind {
    Kind { name, v4, v6, egress, shared, offers: Offers::Nothing }
}

/// Which of the two homes of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The one that calls.
    A,
    /// The one that is called.
    B,
}

impl Side {
    /// A letter.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::A => 'a',
            Self::B => 'b',
        }
    }
}

impl Kind {
    const fn offering(self, offers: Offers) -> Self {
        Self { offers, ..self }
    }

    /// The name of who lives there.
    #[must_use]
    pub fn person(&self, side: Side) -> String {
        format!("{}{}", self.name.replace('_', ""), side.letter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_and_everybody_has_a_name_of_their_own() {
        let names: BTreeSet<&str> = KINDS.iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), KINDS.len());
        assert!(KINDS.len() >= 12, "issue: at least a dozen kinds");
        let people: BTreeSet<String> = KINDS
            .iter()
            .flat_map(|kind| [Side::A, Side::B].map(|side| kind.person(side)))
            .collect();
        assert_eq!(people.len(), 2 * KINDS.len());
        assert!(people.iter().all(|name| (3..=32).contains(&name.len())));
        assert_eq!(named("symmetric").map(|kind| kind.name), Some("symmetric"));
        assert_eq!(named("round"), None);
    }
}
