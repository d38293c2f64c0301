//! What the standards say of a call between two homes: direct, relayed, or not at all.
//!
//! Source: RFC 8445 (connectivity checks over all pairs of candidates), RFC 4787 (what a NAT does
//! with UDP), RFC 5128, section 3.3 (punching holes), RFC 8656 (TURN). Invariant: a function of the
//! two descriptions alone; it knows nothing of how the laboratory builds them or the product calls.
//!
//! The rules, each with its source:
//! 1. Media goes direct by UDP only (RFC 8445; RFC 6544 is not built), so both must let UDP out.
//! 2. Two computers on one LAN meet by their host candidates (RFC 8445, section 5.1.1.1).
//! 3. Behind one NAT and on different LANs they meet by hairpinning or not at all (RFC 5128,
//!    section 3.3.3; RFC 4787, REQ-9).
//! 4. Where both mappings are endpoint-independent the addresses that a STUN server saw hold for
//!    everybody, and both ends' checks open both filters (RFC 5128, section 3.3.2).
//! 5. Where one mapping depends on the remote end its port is known to nobody before the first
//!    check; that check passes a filter which does not look at ports, and so makes a peer reflexive
//!    candidate (RFC 8445, section 7.3.1.3): with a filter that is endpoint-independent or address-
//!    dependent it goes, with an address-and-port-dependent one it does not.
//! 6. Where both do, neither knows a port of the other: no (RFC 5128, section 3.3.2; to guess is
//!    not done).
//! 7. In a row of NATs the mapping is as unpredictable and the filter as strict as the worst.
//! 8. A firewall before IPv6 that knows only answers is an endpoint-independent "mapping" with an
//!    address-and-port-dependent filter (RFC 6092, REC-11 to REC-18): rule 4.
//! 9. A port that a router maps on request leads to it from everywhere, whatever the NAT does with
//!    other ports (RFC 6886, section 3.3): a "mapping" and a filter that are endpoint-independent.
//! 10. Whoever gets out at all reaches a super-peer, by UDP, TCP, port 443 or a proxy, and
//!     super-peers speak IPv4 and IPv6 and relay between them (RFC 8656, section 18; DESIGN 2.10).

use super::kind::{Egress, Filtering, Hairpin, Kind, Mapping, Nat, Offers, Shared, Side};

/// What is possible at best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// From one to the other.
    Direct,
    /// Only over a super-peer.
    Relay,
    /// Not at all.
    Impossible,
}

impl Verdict {
    /// A word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Relay => "relay",
            Self::Impossible => "impossible",
        }
    }
}

/// What a call from the first home of one kind to the second home of the other comes to.
#[must_use]
pub fn verdict(caller: &Kind, callee: &Kind) -> Verdict {
    if !reaches_relay(caller) || !reaches_relay(callee) {
        return Verdict::Impossible;
    }
    let udp = caller.egress == Egress::Any && callee.egress == Egress::Any;
    let v6 = caller.v6 && callee.v6;
    if udp && (v6 || direct_v4(caller, callee)) { Verdict::Direct } else { Verdict::Relay }
}

/// Rule 10.
const fn reaches_relay(kind: &Kind) -> bool {
    let addressed = kind.v4.is_some() || kind.v6;
    match kind.egress {
        Egress::Any | Egress::TcpOnly | Egress::Tcp443Only | Egress::ProxyOnly => addressed,
    }
}

fn direct_v4(caller: &Kind, callee: &Kind) -> bool {
    let (Some(ours), Some(theirs)) = (seen(caller), seen(callee)) else { return false };
    if caller.name == callee.name {
        match caller.shared {
            Shared::Lan => return true,
            Shared::Carrier => {
                let outermost = ours.last().map(|nat| nat.hairpin);
                return outermost == Some(Hairpin::Supported) && punched(ours, theirs);
            }
            Shared::Apart => {}
        }
    }
    punched(ours, theirs)
}

/// The NATs before what others are told of: none before a port that was asked for (rule 9).
fn seen(kind: &Kind) -> Option<&'static [Nat]> {
    match kind.offers {
        Offers::PortMapping => kind.v4.map(|_| &[][..]),
        Offers::Nothing => kind.v4,
    }
}

/// Rules 4 to 7.
fn punched(ours: &[Nat], theirs: &[Nat]) -> bool {
    match (mapping(ours), mapping(theirs)) {
        (Mapping::EndpointIndependent, Mapping::EndpointIndependent) => true,
        (Mapping::AddressAndPortDependent, Mapping::EndpointIndependent) => {
            filtering(theirs) < Filtering::AddressAndPortDependent
        }
        (Mapping::EndpointIndependent, Mapping::AddressAndPortDependent) => {
            filtering(ours) < Filtering::AddressAndPortDependent
        }
        (Mapping::AddressAndPortDependent, Mapping::AddressAndPortDependent) => false,
    }
}

fn mapping(row: &[Nat]) -> Mapping {
    let depends = |nat: &Nat| nat.mapping == Mapping::AddressAndPortDependent;
    if row.iter().any(depends) {
        Mapping::AddressAndPortDependent
    } else {
        Mapping::EndpointIndependent
    }
}

fn filtering(row: &[Nat]) -> Filtering {
    row.iter().map(|nat| nat.filtering).max().unwrap_or(Filtering::EndpointIndependent)
}

/// The two homes of a call, caller first.
#[must_use]
pub fn people(caller: &Kind, callee: &Kind) -> [String; 2] {
    [caller.person(Side::A), callee.person(Side::B)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlab::kind::{KINDS, named};

    #[track_caller]
    fn judged(caller: &str, callee: &str) -> Verdict {
        verdict(named(caller).unwrap(), named(callee).unwrap())
    }

    #[test]
    fn the_direction_of_a_call_makes_no_difference() {
        for (caller, callee) in KINDS.iter().flat_map(|a| KINDS.iter().map(move |b| (a, b))) {
            assert_eq!(verdict(caller, callee), verdict(callee, caller));
        }
    }

    #[test]
    fn the_classical_kinds_meet_as_rfc_5128_says() {
        let cones = ["public", "full_cone", "address_restricted", "port_restricted"];
        for (one, other) in cones.iter().flat_map(|a| cones.map(|b| (*a, b))) {
            assert_eq!(judged(one, other), Verdict::Direct, "{one} {other}");
        }
        for open in ["public", "full_cone", "address_restricted"] {
            assert_eq!(judged("symmetric", open), Verdict::Direct, "{open}");
        }
        for strict in ["port_restricted", "symmetric", "carrier", "carrier_symmetric"] {
            assert_eq!(judged("symmetric", strict), Verdict::Relay, "{strict}");
        }
    }

    #[test]
    fn a_port_that_was_asked_for_makes_any_nat_a_full_cone() {
        for strict in ["port_restricted", "symmetric", "carrier_symmetric", "port_mapped"] {
            assert_eq!(judged("port_mapped", strict), Verdict::Direct, "{strict}");
        }
        assert_eq!(judged("port_mapped", "udp_blocked"), Verdict::Relay);
    }

    #[test]
    fn behind_one_nat_it_is_the_lan_or_a_hairpin() {
        assert_eq!(judged("same_lan", "same_lan"), Verdict::Direct);
        assert_eq!(judged("carrier_hairpin", "carrier_hairpin"), Verdict::Direct);
        assert_eq!(judged("carrier", "carrier"), Verdict::Relay);
        assert_eq!(judged("carrier", "port_restricted"), Verdict::Direct);
    }

    #[test]
    fn two_with_ipv6_need_no_port_of_a_nat() {
        assert_eq!(judged("dual_stack", "dual_stack"), Verdict::Direct);
        assert_eq!(judged("dual_stack", "ipv6_only"), Verdict::Direct);
        assert_eq!(judged("dual_stack", "symmetric"), Verdict::Relay);
        assert_eq!(judged("ipv6_only", "public"), Verdict::Relay);
    }

    #[test]
    fn who_lets_no_datagram_out_is_relayed_by_tcp() {
        for blocked in ["udp_blocked", "tcp_443_only", "http_proxy"] {
            for kind in KINDS {
                assert_eq!(judged(blocked, kind.name), Verdict::Relay, "{blocked} {}", kind.name);
            }
        }
    }

    #[test]
    fn who_gets_out_in_no_way_cannot_call() {
        let nowhere = Kind { v4: None, v6: false, ..KINDS[0] };
        assert_eq!(verdict(&nowhere, &KINDS[0]), Verdict::Impossible);
        assert_eq!(verdict(&KINDS[0], &nowhere), Verdict::Impossible);
    }
}
