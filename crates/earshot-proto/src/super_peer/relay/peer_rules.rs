//! Where the relay may send: never to this machine, its owner's networks or anything that is not
//! the open Internet, in whatever spelling it is named.
//!
//! Source: DESIGN 2.12 and 6; IANA special-purpose address registries (RFC 6890); RFC 8656, section
//! 21.3 (firewalls). Invariant: an IPv6 address that holds IPv4 addresses is at most as permitted
//! as each of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::config::RelayConfig;
use crate::wire::policy::Range;

/// How a peer's address may be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Access {
    /// At once: the owner named it.
    Free,
    /// Once the peer consents.
    Consent,
    /// Never.
    Denied,
}

pub(super) struct PeerRules {
    own: Vec<Range>,
    policy: Vec<Range>,
    allow: Vec<Range>,
}

impl PeerRules {
    pub(super) fn new(config: &RelayConfig) -> Self {
        Self { own: config.own.clone(), policy: config.policy.clone(), allow: config.allow.clone() }
    }

    /// The policy names these ranges from now on.
    pub(super) fn set_policy(&mut self, ranges: Vec<Range>) {
        self.policy = ranges;
    }

    /// How this address may be sent to: the strictest verdict over all that it spells.
    pub(super) fn access(&self, ip: IpAddr) -> Access {
        let ip = ip.to_canonical();
        let held = match ip {
            IpAddr::V4(_) => [None; 3],
            IpAddr::V6(ip) => held_v4(ip),
        };
        held.into_iter()
            .flatten()
            .map(|held| self.access_as_spelt(IpAddr::V4(held)))
            .fold(self.access_as_spelt(ip), Access::max)
    }

    /// Whether the policy or the owner names this address.
    pub(super) fn is_named(&self, ip: IpAddr) -> bool {
        holds(&self.allow, ip) || holds(&self.policy, ip)
    }

    fn access_as_spelt(&self, ip: IpAddr) -> Access {
        if holds(&self.allow, ip) {
            return Access::Free;
        }
        let banned = holds(&self.own, ip) || !is_open_internet(ip);
        if banned && !holds(&self.policy, ip) { Access::Denied } else { Access::Consent }
    }
}

fn holds(ranges: &[Range], ip: IpAddr) -> bool {
    ranges.iter().any(|range| range.contains(ip))
}

/// The IPv4 addresses that an IPv6 address leads to.
fn held_v4(ip: Ipv6Addr) -> [Option<Ipv4Addr>; 3] {
    let bits = ip.to_bits();
    let at = |shift: u32| Some(Ipv4Addr::from_bits((bits >> shift) as u32));
    match ip.segments() {
        // 6to4 (RFC 3056): 2002:AABB:CCDD::/48
        [0x2002, ..] => [at(80), None, None],
        // Teredo (RFC 4380): the server, and the client with every bit turned
        [0x2001, 0, ..] => [at(64), Some(Ipv4Addr::from_bits(!(bits as u32))), None],
        // NAT64, well-known prefix (RFC 6052); IPv4-compatible (RFC 4291); IPv4-translated (RFC
        // 2765); IPv4-mapped is canonical IPv4 before it comes here
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] | [0, 0, 0, 0, 0 | 0xffff, _, _, _] => [at(0), None, None],
        // NAT64 of a network's own (RFC 8215), by each length of prefix that fits (RFC 6052, 2.2):
        // 96; 48 and 64, which leave bits 64 to 71 out
        [0x64, 0xff9b, 1, a, b, c, d, _] => {
            let of = |high: u16, mid: u16, low: u16| {
                let bits = u32::from(high) << 16 | u32::from(mid & 0xff) << 8 | u32::from(low >> 8);
                Some(Ipv4Addr::from_bits(bits))
            };
            let at_64 = u32::from(b & 0xff) << 24 | u32::from(c) << 8 | u32::from(d >> 8);
            [at(0), of(a, b, c), Some(Ipv4Addr::from_bits(at_64))]
        }
        // ISATAP (RFC 5214): interface identifier [02]00:5efe:a.b.c.d
        [_, _, _, _, 0 | 0x0200, 0x5efe, _, _] => [at(0), None, None],
        _ => [None; 3],
    }
}

/// Whether the address is one of the open Internet, taken as it is spelt.
fn is_open_internet(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(_) => !holds(&BANNED_V4, ip),
        IpAddr::V6(_) => holds(&OPEN_V6, ip) && !holds(&BANNED_V6, ip),
    }
}

const fn v4(a: u8, b: u8, c: u8, prefix: u8) -> Range {
    Range { address: IpAddr::V4(Ipv4Addr::new(a, b, c, 0)), prefix }
}

const fn v6(a: u16, b: u16, prefix: u8) -> Range {
    Range { address: IpAddr::V6(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0)), prefix }
}

/// IPv4 that leads to oneself, a private network, a group or nowhere. The documentation ranges
/// (192.0.2.0/24 and its sisters) are routed nowhere and left to tests.
const BANNED_V4: [Range; 12] = [
    v4(0, 0, 0, 8),      // this network
    v4(10, 0, 0, 8),     // private
    v4(100, 64, 0, 10),  // behind a carrier's NAT
    v4(127, 0, 0, 8),    // loopback
    v4(169, 254, 0, 16), // link-local
    v4(172, 16, 0, 12),  // private
    v4(192, 0, 0, 24),   // protocol assignments
    v4(192, 88, 99, 24), // 6to4 anycast
    v4(192, 168, 0, 16), // private
    v4(198, 18, 0, 15),  // benchmarks
    v4(224, 0, 0, 4),    // multicast
    v4(240, 0, 0, 4),    // reserved, and broadcast
];

/// All of IPv6 that is open: global unicast, and IPv4 through NAT64. Not loopback, unspecified,
/// unique-local, link-local, site-local, multicast, local NAT64 (64:ff9b:1::/48), discard,
/// IPv4-compatible or -translated.
const OPEN_V6: [Range; 2] = [v6(0x2000, 0, 3), v6(0x64, 0xff9b, 96)];

/// What inside [`OPEN_V6`] is not: 2001:1::/32 to 2001:1ff::/32 (protocol assignments; Teredo is
/// judged by what it holds).
const BANNED_V6: [Range; 9] = [
    v6(0x2001, 0x1, 32),
    v6(0x2001, 0x2, 31),
    v6(0x2001, 0x4, 30),
    v6(0x2001, 0x8, 29),
    v6(0x2001, 0x10, 28),
    v6(0x2001, 0x20, 27),
    v6(0x2001, 0x40, 26),
    v6(0x2001, 0x80, 25),
    v6(0x2001, 0x100, 24),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(own: &[&str], policy: &[&str], allow: &[&str]) -> PeerRules {
        let ranges = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        PeerRules { own: ranges(own), policy: ranges(policy), allow: ranges(allow) }
    }

    fn judged(rules: &PeerRules, ip: &str) -> Access {
        rules.access(ip.parse().unwrap())
    }

    #[test]
    fn what_is_not_the_open_internet_is_denied_in_every_spelling() {
        let rules = rules(&["203.0.113.0/24", "2a02:1::/32"], &[], &[]);
        for banned in [
            "0.0.0.0",
            "0.1.2.3",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.1.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            // the owner's
            "203.0.113.7",
            "2a02:1::7",
            // IPv6 of the same kinds
            "::",
            "::1",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "feff::1",
            "ff02::1",
            "100::1",
            "64:ff9b:1::1",
            "64:ff9b:1::8.8.8.8",
            "64:ff9b:1:ffff::1",
            "2002:ffff:ffff::1",
            "2002:e000:1::1",
            "2002:a9fe:101::1",
            "2002:6440:1::1",
            "64:ff9b::169.254.1.1",
            "64:ff9b::100.64.0.1",
            "64:ff9b::224.0.0.1",
            "64:ff9b::0.0.0.0",
            "::ffff:0.0.0.0",
            "::ffff:10.0.0.1",
            "::ffff:169.254.1.1",
            "::ffff:224.0.0.1",
            "::ffff:255.255.255.255",
            "5f00::1",
            "2001:2::1",
            "2001:1ff::1",
            // IPv4-mapped, IPv4-compatible, IPv4-translated
            "::ffff:127.0.0.1",
            "::ffff:203.0.113.7",
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:0:127.0.0.1",
            "::ffff:0:8.8.8.8",
            // 6to4 of 127.0.0.1, 10.0.0.1, 203.0.113.7
            "2002:7f00:1::",
            "2002:a00:1::1",
            "2002:cb00:7107::5",
            // NAT64 of 127.0.0.1, 192.168.1.1, 203.0.113.7
            "64:ff9b::7f00:1",
            "64:ff9b::192.168.1.1",
            "64:ff9b::203.0.113.7",
            // Teredo: server 10.0.0.1; client 192.168.0.1 (turned)
            "2001:0:a00:1::",
            "2001:0:808:808:0:0:3f57:fffe",
            // ISATAP of 192.168.1.1
            "2a00::5efe:c0a8:101",
            "2a00::200:5efe:c0a8:101",
        ] {
            assert_eq!(judged(&rules, banned), Access::Denied, "{banned}");
        }
    }

    #[test]
    fn the_open_internet_is_reached_with_consent() {
        let rules = rules(&["203.0.113.0/24"], &[], &[]);
        for open in [
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.0",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "2a00:1450::1",
            "2001:4860::8888",
            "2001:200::1",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
            "2001:0:808:808::f7f7:f7f7",
        ] {
            assert_eq!(judged(&rules, open), Access::Consent, "{open}");
        }
    }

    #[test]
    fn the_policy_lifts_the_ban_but_not_the_need_of_consent() {
        let rules = rules(&["192.168.7.0/24"], &["192.168.0.0/16", "fd00::/8"], &[]);
        assert_eq!(judged(&rules, "192.168.7.9"), Access::Consent);
        assert_eq!(judged(&rules, "::ffff:192.168.7.9"), Access::Consent);
        assert_eq!(judged(&rules, "fd12::9"), Access::Consent);
        assert_eq!(judged(&rules, "10.0.0.1"), Access::Denied);
    }

    #[test]
    fn a_nat64_of_the_networks_own_leads_nowhere_that_is_banned_by_itself() {
        let rules = rules(&[], &["64:ff9b:1::/48"], &[]);
        for banned in [
            "64:ff9b:1::127.0.0.1",
            "64:ff9b:1:7f00:0:100::",
            "64:ff9b:1:0:7f:0:100:0",
            "64:ff9b:1:c0a8:1:100::",
        ] {
            assert_eq!(judged(&rules, banned), Access::Denied, "{banned}");
        }
    }

    #[test]
    fn the_owner_lifts_both_for_just_the_range_named() {
        let rules = rules(&["127.0.0.0/8"], &[], &["127.0.0.0/8"]);
        assert_eq!(judged(&rules, "127.0.0.1"), Access::Free);
        assert_eq!(judged(&rules, "::ffff:127.0.0.1"), Access::Free);
        assert_eq!(judged(&rules, "::1"), Access::Denied);
        assert_eq!(judged(&rules, "::127.0.0.1"), Access::Denied);
        assert_eq!(judged(&rules, "2002:7f00:1::"), Access::Consent);
    }
}
