//! The network policy: what the root has decided for everybody, signed. DESIGN 1.
//!
//! Certificates and invites carry its version; the highest version that verifies wins.

use std::net::IpAddr;

use minicbor::{CborLen, Decode, Encode};

use super::Wire;
use super::bounded::{List, Text};

/// Longest network name, in bytes.
pub const NETWORK_NAME_MAX: usize = 64;
/// Address ranges named by one policy at most.
pub const RANGES_MAX: usize = 16;

/// Super-peers that are enrolled unverified where a policy does not say. Our choice: among so few
/// their owners know each other, and when half of them are gone, those left can still verify.
pub const EXEMPT_DEFAULT: u16 = 8;

/// The policy of a network.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Policy {
    /// Grows with each change.
    #[n(0)]
    pub version: u64,
    /// The network's name, for people.
    #[n(1)]
    pub name: Text<NETWORK_NAME_MAX>,
    /// Who may register.
    #[n(2)]
    pub admission: Admission,
    /// Private address ranges that super-peers of this network may live in and relay to (a LAN or
    /// loopback network); empty for a network of the whole Internet.
    #[n(3)]
    pub ranges: List<Range, RANGES_MAX>,
    /// Super-peers from which on the ring is a Chord ring (below: everybody knows everybody).
    /// DESIGN 2.5.
    #[n(4)]
    pub ring_threshold: u32,
    /// Keepers of a key: r. DESIGN 1.
    #[n(5)]
    pub keepers: u8,
    /// Successors held: s. DESIGN 2.5.
    #[n(6)]
    pub successors: u8,
    /// While the network has fewer super-peers than this, a newcomer is enrolled without others
    /// verifying its address; absent: [`EXEMPT_DEFAULT`]. DESIGN 2.5.
    #[n(7)]
    pub exempt_super_peers: Option<u16>,
}

impl Policy {
    /// While there are fewer super-peers than this, nobody verifies a newcomer's address.
    #[must_use]
    pub fn exempt(&self) -> usize {
        usize::from(self.exempt_super_peers.unwrap_or(EXEMPT_DEFAULT))
    }
}

/// Who may register a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(index_only)]
pub enum Admission {
    /// Everybody who has the invite.
    #[n(0)]
    Open,
    /// Everybody whose invite carries a valid token.
    #[n(1)]
    Token,
}

/// A range of addresses, as in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Range {
    /// Its first address.
    #[n(0)]
    pub address: IpAddr,
    /// Length of its prefix in bits.
    #[n(1)]
    pub prefix: u8,
}

impl Range {
    /// Tells whether `ip` lies in the range. IPv4-mapped IPv6 addresses count as the IPv4 address
    /// they hold.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let same = |a: u128, b: u128, bits: u32| {
            let keep = bits.saturating_sub(u32::from(self.prefix));
            keep >= 128 || (a ^ b) >> keep == 0
        };
        match (self.address.to_canonical(), ip.to_canonical()) {
            (IpAddr::V4(range), IpAddr::V4(ip)) => {
                same(u128::from(range.to_bits()), u128::from(ip.to_bits()), 32)
            }
            (IpAddr::V6(range), IpAddr::V6(ip)) => same(range.to_bits(), ip.to_bits(), 128),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// What counts as one party, where several are wanted: much of it is cheap for whoever has any of
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Prefix {
    /// A /16 of IPv4.
    V4([u8; 2]),
    /// A /32 of IPv6.
    V6([u8; 4]),
    /// An address that counts by itself.
    Whole(IpAddr),
}

impl Prefix {
    /// The party of an address; in the ranges of `apart` each address is one.
    #[must_use]
    pub fn of(ip: IpAddr, apart: &[Range]) -> Self {
        let ip = ip.to_canonical();
        if apart.iter().any(|range| range.contains(ip)) {
            return Self::Whole(ip);
        }
        match ip {
            IpAddr::V4(ip) => {
                let [a, b, _, _] = ip.octets();
                Self::V4([a, b])
            }
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.octets();
                Self::V6([a, b, c, d])
            }
        }
    }
}

impl std::str::FromStr for Range {
    type Err = BadRange;

    /// Reads CIDR notation: `10.0.0.0/8`, `fd00::/8`; a bare address is a range of one.
    fn from_str(text: &str) -> Result<Self, BadRange> {
        let (address, prefix) = text.split_once('/').unwrap_or((text, ""));
        let address: IpAddr = address.parse().map_err(|_| BadRange)?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = if prefix.is_empty() { bits } else { prefix.parse().map_err(|_| BadRange)? };
        if prefix > bits {
            return Err(BadRange);
        }
        Ok(Self { address, prefix })
    }
}

/// The text is no address range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an address range like 10.0.0.0/8")]
pub struct BadRange;

impl Wire for Policy {
    const NAME: &'static str = "policy";
    const MAX: usize = 2048;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_its_addresses_in_every_spelling() {
        let range: Range = "127.0.0.0/8".parse().expect("a range");
        let inside = |text: &str| range.contains(text.parse().expect("an address"));
        assert!(inside("127.0.0.1") && inside("::ffff:127.9.9.9"));
        assert!(!inside("128.0.0.1") && !inside("::1"));
    }

    #[test]
    fn a_range_of_no_bits_holds_everything_of_its_family() {
        let all: Range = "0.0.0.0/0".parse().expect("a range");
        assert!(all.contains("255.255.255.255".parse().expect("an address")));
        assert!("10.0.0.0/33".parse::<Range>().is_err());
    }
}
