//! A router's rules in the words of nft: translation, filters, and what may leave.
//!
//! Source: nft(8); RFC 4787. How each behaviour is made of Linux's conntrack, whose own is to keep
//! the port and to let in only who was sent to:
//! - endpoint-independent mapping: `snat` keeps the port; nobody else may take it, so what comes
//!   unasked is dropped before conntrack confirms it (else it would own the port, and the next
//!   datagram to that remote end would get another);
//! - address-and-port-dependent mapping: `fully-random`, a new port for each remote end;
//! - endpoint-independent filtering: each datagram that leaves writes its port into a map, by which
//!   whatever comes to that port is translated back;
//! - address-dependent filtering: the same, if that address was sent to from that port;
//! - a port that was asked for: a map each way, written by [`super::port_mapper`];
//! - hairpinning: what comes from inside for the outer address is translated both ways.
//!
//! Invariant: text only; the probe proves what the kernel makes of it.

use std::fmt::Write;
use std::net::Ipv4Addr;

use super::kind::{Egress, Filtering, Hairpin, Mapping, Nat};
use super::port_mapper::PORT as ASKED_AT;

/// Towards the Internet.
pub const OUTSIDE: &str = "wan";
/// Ports that one NAT remembers at most: all there are.
const PORTS: u32 = 65_536;

/// What a router does.
#[derive(Clone, Copy, Debug)]
pub struct Router {
    /// How it translates to which outer address; absent where there is no IPv4.
    pub nat: Option<(Nat, Ipv4Addr)>,
    /// What it lets out.
    pub egress: Egress,
}

impl Router {
    /// Its rules, complete: those before are gone.
    #[must_use]
    pub fn rules(&self) -> String {
        let mut text = String::from("flush ruleset\n");
        if let Some((nat, outer)) = self.nat {
            text += &translation(nat, outer);
        }
        text + &filter(self.egress)
    }
}

fn translation(nat: Nat, outer: Ipv4Addr) -> String {
    let random = match nat.mapping {
        Mapping::EndpointIndependent => "",
        Mapping::AddressAndPortDependent => " fully-random",
    };
    let back = match nat.filtering {
        Filtering::EndpointIndependent => format!(
            "iifname {OUTSIDE} meta l4proto udp ip daddr {outer} dnat to udp dport map @mapped\n"
        ),
        Filtering::AddressDependent => format!(
            "iifname {OUTSIDE} meta l4proto udp ip daddr {outer} ip saddr . udp dport @sent_to \
             dnat to udp dport map @mapped\n"
        ),
        Filtering::AddressAndPortDependent => String::new(),
    };
    let (hairpin_in, hairpin_out) = match nat.hairpin {
        Hairpin::Absent => (String::new(), String::new()),
        Hairpin::Supported => (
            format!(
                "iifname != {OUTSIDE} meta l4proto udp ip daddr {outer} \
                 dnat to udp dport map @mapped\n"
            ),
            format!("oifname != {OUTSIDE} ct status dnat meta l4proto udp snat to {outer}\n"),
        ),
    };
    format!(
        "table ip nat {{\n\
         map mapped {{ type inet_service : ipv4_addr; flags dynamic; size {PORTS}; }}\n\
         map asked_in {{ type inet_service : ipv4_addr . inet_service; }}\n\
         map asked_out {{ type ipv4_addr . inet_service : ipv4_addr . inet_service; }}\n\
         set sent_to {{ type ipv4_addr . inet_service; flags dynamic; size {PORTS}; }}\n\
         chain postrouting {{\n\
         type nat hook postrouting priority srcnat;\n\
         oifname {OUTSIDE} meta l4proto udp update @mapped {{ udp sport : ip saddr }} \
         update @sent_to {{ ip daddr . udp sport }}\n\
         oifname {OUTSIDE} meta l4proto udp snat ip to ip saddr . udp sport map @asked_out\n\
         oifname {OUTSIDE} snat to {outer}{random}\n\
         {hairpin_out}\
         }}\n\
         chain prerouting {{\n\
         type nat hook prerouting priority dstnat;\n\
         iifname {OUTSIDE} meta l4proto udp dnat ip to udp dport map @asked_in\n\
         {back}{hairpin_in}\
         }}\n\
         }}\n"
    )
}

fn filter(egress: Egress) -> String {
    let leaving = match egress {
        Egress::Any => "",
        Egress::TcpOnly => "oifname wan meta l4proto != tcp drop\n",
        Egress::Tcp443Only => {
            "oifname wan tcp dport != 443 drop\noifname wan meta l4proto != tcp drop\n"
        }
        Egress::ProxyOnly => "oifname wan drop\n",
    };
    let mut text = String::from("table inet guard {\n");
    let _a_string_takes_all = write!(
        text,
        "chain input {{\ntype filter hook input priority 0;\n\
         iifname != {OUTSIDE} udp dport {ASKED_AT} accept\nmeta l4proto udp drop\n}}\n\
         chain forward {{\ntype filter hook forward priority 0;\n{leaving}\
         iifname {OUTSIDE} meta nfproto ipv6 ct state != {{ established, related }} drop\n}}\n}}\n"
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlab::kind::named;

    fn rules(name: &str) -> String {
        let kind = named(name).unwrap();
        let nat = kind.v4.and_then(<[Nat]>::last).map(|nat| (*nat, Ipv4Addr::new(5, 9, 0, 2)));
        Router { nat, egress: kind.egress }.rules()
    }

    #[test]
    fn a_symmetric_nat_chooses_a_new_port_and_a_cone_keeps_it() {
        assert!(rules("symmetric").contains("snat to 5.9.0.2 fully-random\n"));
        assert!(rules("full_cone").contains("snat to 5.9.0.2\n"));
        assert!(!rules("ipv6_only").contains("snat"));
    }

    #[test]
    fn a_filter_lets_in_what_it_is_named_for() {
        assert!(rules("full_cone").contains("daddr 5.9.0.2 dnat to udp dport map @mapped"));
        assert!(rules("address_restricted").contains("ip saddr . udp dport @sent_to dnat"));
        assert!(!rules("port_restricted").contains("@mapped\n"));
        assert!(rules("carrier_hairpin").contains("ct status dnat"));
    }
}
