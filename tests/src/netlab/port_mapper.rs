//! A router's port mapping on request, as many a home's router has it.
//!
//! Source: RFC 6886 (NAT-PMP): who asks by PCP or another version is told that only this one is
//! spoken (section 3.5), and falls back to it. Invariant: a mapping leads to whoever asked for it,
//! and its outer port is the one asked for if nobody else has that.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::Instant;

use super::LabError;
use super::namespace::Namespace;

/// Where a router is asked (RFC 6886, section 3.1).
pub const PORT: u16 = 5351;
/// Of a request (section 3.3).
const OP_ADDRESS: u8 = 0;
const OP_MAP_UDP: u8 = 1;
const OP_RESPONSE: u8 = 128;
/// Result codes (section 3.5).
const SUCCESS: u16 = 0;
const UNSUPPORTED_VERSION: u16 = 1;
const OUT_OF_RESOURCES: u16 = 4;
const UNSUPPORTED_OPCODE: u16 = 5;
/// The length of a request for a mapping, and how long one lasts at most, in seconds: here, until
/// the router starts anew.
const MAP_LENGTH: usize = 12;
const LIFETIME_MAX: u32 = 7_200;

/// Serves a router until the program ends.
#[derive(Debug)]
pub struct PortMapper;

impl PortMapper {
    /// Listens at a router's inner address.
    ///
    /// # Errors
    /// Where it cannot.
    pub fn open(space: &Namespace, inner: Ipv4Addr, outer: Ipv4Addr) -> Result<Self, LabError> {
        let socket = space.inside(|| UdpSocket::bind((inner, PORT)))?;
        let socket = socket.map_err(|error| LabError::io("a port mapper", error))?;
        let (space, since) = (space.clone(), Instant::now());
        thread::spawn(move || {
            let mut mapped = BTreeMap::new();
            let mut request = [0; 64];
            while let Ok((length, from)) = socket.recv_from(&mut request) {
                let epoch = since.elapsed().as_secs() as u32;
                let open = |to: SocketAddr, port: u16| open(&space, outer, to, port);
                let answer = answer(&request[..length], from, outer, epoch, &mut mapped, open);
                drop(socket.send_to(&answer, from));
            }
        });
        Ok(Self)
    }
}

/// Asks a router for a mapping of a UDP port: the datagram.
#[must_use]
pub fn request(inner_port: u16) -> [u8; MAP_LENGTH] {
    let [a, b] = inner_port.to_be_bytes();
    let [c, d, e, f] = LIFETIME_MAX.to_be_bytes();
    [0, OP_MAP_UDP, 0, 0, a, b, a, b, c, d, e, f]
}

/// The outer port of an answer that grants one.
#[must_use]
pub fn granted(answer: &[u8]) -> Option<u16> {
    let is_grant = answer.len() == 16 && answer[1] == OP_RESPONSE + OP_MAP_UDP;
    (is_grant && answer[2..4] == [0, 0]).then(|| u16::from_be_bytes([answer[10], answer[11]]))
}

fn answer(
    request: &[u8],
    from: SocketAddr,
    outer: Ipv4Addr,
    epoch: u32,
    mapped: &mut BTreeMap<u16, SocketAddr>,
    open: impl FnOnce(SocketAddr, u16) -> bool,
) -> Vec<u8> {
    let (version, op) = (request.first().copied(), request.get(1).copied().unwrap_or_default());
    let head = |result: u16| {
        let [high, low] = result.to_be_bytes();
        [&[0, OP_RESPONSE | op, high, low][..], &epoch.to_be_bytes()].concat()
    };
    match (version, op) {
        (Some(0), OP_ADDRESS) => [head(SUCCESS), outer.octets().to_vec()].concat(),
        (Some(0), OP_MAP_UDP) if request.len() == MAP_LENGTH => {
            let two = |at: usize| u16::from_be_bytes([request[at], request[at + 1]]);
            let (inner, wanted) = (two(4), two(6));
            let to = SocketAddr::new(from.ip(), inner);
            let is_free = |port: &u16| *port != 0 && mapped.get(port).is_none_or(|it| *it == to);
            let port = [wanted, inner].into_iter().chain(50_000..).find(is_free);
            let port = port.unwrap_or_default();
            let is_new = mapped.insert(port, to).is_none();
            if is_new && !open(to, port) {
                mapped.remove(&port);
                return head(OUT_OF_RESOURCES);
            }
            let lifetime = u32::from_be_bytes([request[8], request[9], request[10], request[11]]);
            let ports = [inner.to_be_bytes(), port.to_be_bytes()].concat();
            [head(SUCCESS), ports, lifetime.min(LIFETIME_MAX).to_be_bytes().to_vec()].concat()
        }
        (Some(0), _) => head(UNSUPPORTED_OPCODE),
        (Some(_) | None, _) => head(UNSUPPORTED_VERSION),
    }
}

fn open(space: &Namespace, outer: Ipv4Addr, to: SocketAddr, port: u16) -> bool {
    let IpAddr::V4(inner) = to.ip() else { return false };
    let rules = format!(
        "add element ip nat asked_in {{ {port} : {inner} . {} }}\n\
         add element ip nat asked_out {{ {inner} . {} : {outer} . {port} }}\n",
        to.port(),
        to.port(),
    );
    space.nft(&rules).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTER: Ipv4Addr = Ipv4Addr::new(5, 9, 0, 2);

    fn ask(request: &[u8], host: u8, mapped: &mut BTreeMap<u16, SocketAddr>) -> Vec<u8> {
        answer(request, ([192, 168, 1, host], 999).into(), OUTER, 7, mapped, |_, _| true)
    }

    #[test]
    fn the_port_asked_for_is_granted_and_to_a_second_another() {
        let mut mapped = BTreeMap::new();
        assert_eq!(granted(&ask(&request(4_000), 11, &mut mapped)), Some(4_000));
        assert_eq!(granted(&ask(&request(4_000), 11, &mut mapped)), Some(4_000));
        assert_eq!(granted(&ask(&request(4_000), 12, &mut mapped)), Some(50_000));
    }

    #[test]
    fn the_address_is_told_and_other_versions_are_not_spoken() {
        let mut mapped = BTreeMap::new();
        assert_eq!(ask(&[0, 0], 11, &mut mapped), [0, 128, 0, 0, 0, 0, 0, 7, 5, 9, 0, 2]);
        assert_eq!(ask(&[2, 1, 0, 0], 11, &mut mapped)[..4], [0, 129, 0, 1]);
        assert_eq!(ask(&[0, 9], 11, &mut mapped)[2..4], [0, 5]);
        assert_eq!(granted(&ask(&[], 11, &mut mapped)), None);
    }
}
