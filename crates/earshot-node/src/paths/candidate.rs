//! A candidate of the other side, as it may be given to the library.
//!
//! Source: RFC 8839, section 5.1 (candidate-attribute). The library is not made for hostile input:
//! a component above 256 with priority 0 overflows in it, and names are resolved. Invariant: what
//! passes here is UDP, of one component, with a literal address, a port and a priority.

use std::net::{IpAddr, SocketAddr, SocketAddrV4};

use earshot_proto::port::PathKind;
use webrtc_ice::candidate::CandidateType;

/// The longest candidate that is read, in bytes; with two IPv6 addresses there are some 200.
const LENGTH_MAX: usize = 256;
/// Our one component: RTP and RTCP share it (RFC 5761).
const COMPONENT: &str = "1";

/// A type preference (RFC 8445, section 5.1.2.2) between those of peer reflexive candidates, 110,
/// and of hosts', 126.
const ABOVE_PEER_REFLEXIVE: u32 = 118 << 24;

/// A candidate of the other side that is well-formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RemoteCandidate {
    pub(super) address: SocketAddr,
    pub(super) kind: PathKind,
    foundation: String,
    priority: u32,
}

impl RemoteCandidate {
    /// Reads one; `None` where it is of no use to us.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > LENGTH_MAX {
            return None;
        }
        let mut words = text.strip_prefix("candidate:").unwrap_or(text).split_ascii_whitespace();
        let foundation = words.next()?;
        if !foundation.bytes().all(|byte| byte.is_ascii_graphic()) || foundation.len() > 32 {
            return None;
        }
        let component = words.next()?;
        let transport = words.next()?;
        let priority: u32 = words.next()?.parse().ok()?;
        let ip: IpAddr = words.next()?.parse().ok()?;
        let port: u16 = words.next()?.parse().ok()?;
        let (typ, kind) = (words.next()?, kind_named(words.next()?)?);
        let usable = component == COMPONENT
            && transport.eq_ignore_ascii_case("udp")
            && typ == "typ"
            && priority != 0
            && port != 0
            && !ip.is_unspecified()
            && !ip.is_multicast();
        let address = SocketAddr::new(ip, port);
        usable.then(|| Self { address, kind, foundation: foundation.to_owned(), priority })
    }

    /// As the library reads it. Related addresses are left out: they say nothing that is needed.
    ///
    /// An address that it learns from a check it calls peer reflexive and prefers to what a server
    /// saw, and what the check says of its priority (RFC 8445, section 7.3.1.3) it passes over: a
    /// relayed address whose check comes before its candidate would be preferred to a direct one.
    /// So what a server saw is lifted above.
    pub(super) fn to_attribute(&self) -> String {
        let Self { address, kind, foundation, priority } = self;
        let priority = match kind {
            PathKind::ServerReflexive => ABOVE_PEER_REFLEXIVE | (priority & 0x00ff_ffff),
            PathKind::Host | PathKind::PeerReflexive | PathKind::RelayUdp | PathKind::RelayTcp => {
                *priority
            }
        };
        let (ip, port, name) = (address.ip(), address.port(), name_of(*kind));
        format!("{foundation} {COMPONENT} udp {priority} {ip} {port} typ {name}")
    }
}

/// Our own candidate for the other side. The related address, which would tell a private address of
/// ours, is blotted out (RFC 8839, section 5.1, allows it).
pub(super) fn without_related(attribute: &str) -> String {
    match attribute.split_once(" raddr ") {
        Some((candidate, _)) => format!("{candidate} raddr 0.0.0.0 rport 9"),
        None => attribute.to_owned(),
    }
}

/// A candidate for an address that a router forwards to one of our hosts' ports: to the other side
/// it is like one that a STUN server saw, and of the same priority (RFC 8445, section 5.1.2).
pub(super) fn forwarded(address: SocketAddrV4) -> String {
    const PRIORITY: u32 = (100 << 24) | (65_535 << 8) | 255;
    let (ip, port) = (address.ip(), address.port());
    format!("forwarded {COMPONENT} udp {PRIORITY} {ip} {port} typ srflx raddr 0.0.0.0 rport 9")
}

fn kind_named(name: &str) -> Option<PathKind> {
    match name {
        "host" => Some(PathKind::Host),
        "srflx" => Some(PathKind::ServerReflexive),
        "prflx" => Some(PathKind::PeerReflexive),
        "relay" => Some(PathKind::RelayUdp),
        _ => None,
    }
}

fn name_of(kind: PathKind) -> &'static str {
    match kind {
        PathKind::Host => "host",
        PathKind::ServerReflexive => "srflx",
        PathKind::PeerReflexive => "prflx",
        PathKind::RelayUdp | PathKind::RelayTcp => "relay",
    }
}

/// What the library calls it, in our words.
pub(super) const fn kind_of(candidate: CandidateType) -> PathKind {
    match candidate {
        CandidateType::Host | CandidateType::Unspecified => PathKind::Host,
        CandidateType::ServerReflexive => PathKind::ServerReflexive,
        CandidateType::PeerReflexive => PathKind::PeerReflexive,
        CandidateType::Relay => PathKind::RelayUdp,
    }
}

/// How much a kind of candidate hides of its host.
pub(super) const fn hiding(kind: PathKind) -> u8 {
    match kind {
        PathKind::Host => 0,
        PathKind::ServerReflexive => 1,
        PathKind::PeerReflexive => 2,
        PathKind::RelayUdp | PathKind::RelayTcp => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_is_read_and_written() {
        let text = "842163049 1 udp 1677729535 203.0.113.7 46154 typ srflx raddr 10.0.0.7 rport 9";
        let candidate = RemoteCandidate::parse(text).expect("it is well-formed");
        assert_eq!(candidate.address, ([203, 0, 113, 7], 46154).into());
        assert_eq!(candidate.kind, PathKind::ServerReflexive);
        let written = candidate.to_attribute();
        assert_eq!(written, "842163049 1 udp 1979719423 203.0.113.7 46154 typ srflx");
        let host = "1 1 udp 2130706431 10.0.0.7 46154 typ host";
        let candidate = RemoteCandidate::parse(host).expect("it is well-formed");
        assert_eq!(candidate.to_attribute(), host);
    }

    #[test]
    fn what_a_server_saw_is_better_than_what_a_check_came_from() {
        const PEER_REFLEXIVE: u32 = (110 << 24) | 0x00ff_ffff;
        const HOST: u32 = 126 << 24;
        for theirs in [1, 100 << 24, u32::MAX] {
            let text = format!("1 1 udp {theirs} 203.0.113.7 9 typ srflx");
            let candidate = RemoteCandidate::parse(&text).expect("it is well-formed");
            let written = RemoteCandidate::parse(&candidate.to_attribute());
            let priority = written.expect("it is well-formed").priority;
            assert!((PEER_REFLEXIVE + 1..HOST).contains(&priority), "{theirs}: {priority}");
        }
    }

    #[test]
    fn what_could_hurt_the_library_does_not_reach_it() {
        let hostile = [
            "",
            "1 1 udp 1",
            "1 65535 udp 0 192.0.2.1 9 typ host",
            "1 1 udp 0 192.0.2.1 9 typ host",
            "1 1 tcp 1 192.0.2.1 9 typ host tcptype active",
            "1 1 udp 1 printer.local 9 typ host",
            "1 1 udp 1 192.0.2.1 0 typ host",
            "1 1 udp 1 192.0.2.1 70000 typ host",
            "1 1 udp 1 0.0.0.0 9 typ host",
            "1 1 udp 1 224.0.0.251 5353 typ host",
            "1 1 udp 1 192.0.2.1 9 typ other",
        ];
        for text in hostile {
            assert_eq!(RemoteCandidate::parse(text), None, "{text}");
        }
        let long = format!("{} 1 udp 1 192.0.2.1 9 typ host", "f".repeat(300));
        assert_eq!(RemoteCandidate::parse(&long), None);
    }

    #[test]
    fn our_private_address_stays_with_us() {
        let told =
            without_related("1 1 udp 5 203.0.113.7 9 typ relay raddr 192.168.0.7 rport 4711");
        assert_eq!(told, "1 1 udp 5 203.0.113.7 9 typ relay raddr 0.0.0.0 rport 9");
    }
}
