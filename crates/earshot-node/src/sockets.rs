//! Opening sockets: one number for TCP and UDP, both address families where asked, typed refusals.
//!
//! Source: DESIGN 2.4 (one port). Invariant: addresses that leave this module are canonical: an
//! IPv4 host seen through an IPv6 socket is an IPv4 address.

use std::io;
use std::net::{IpAddr, SocketAddr};

use earshot_proto::wire::policy::Range;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use crate::upstream::is_beyond_home;

/// Kernel buffer of a UDP socket in bytes. 208 KiB, the usual default, lost 6 % when a relay was
/// busy for 100 ms; this holds half a second of a hundred relayed calls.
const UDP_BUFFER: usize = 1 << 20;
/// Connections that wait to be accepted, kernel's side. Our choice: a burst of clients handed over
/// at once.
const BACKLOG: i32 = 1024;
/// Tries to find a number that is free for TCP and UDP when any will do.
const PAIR_TRIES: usize = 16;

/// Why the main port could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// Another process holds it.
    #[error("port {} is in use", .address.port())]
    PortInUse {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The system does not let us (ports below 1024).
    #[error("no right to open port {}", .address.port())]
    NotPermitted {
        /// The address asked for.
        address: SocketAddr,
    },
    /// No interface has this address, or sockets cannot be made at all.
    #[error("{address} cannot be opened: {kind}")]
    Unavailable {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        kind: io::ErrorKind,
    },
}

impl StartError {
    fn new(address: SocketAddr, error: &io::Error) -> Self {
        let kind = error.kind();
        if kind == io::ErrorKind::AddrInUse {
            Self::PortInUse { address }
        } else if kind == io::ErrorKind::PermissionDenied {
            Self::NotPermitted { address }
        } else {
            Self::Unavailable { address, kind }
        }
    }
}

/// Opens TCP and UDP on the same number; port 0 finds one that is free for both.
pub(crate) fn pair(address: SocketAddr) -> Result<(TcpListener, UdpSocket), StartError> {
    let mut last = StartError::PortInUse { address };
    for _ in 0..PAIR_TRIES {
        let listener = tcp(address).map_err(|e| StartError::new(address, &e))?;
        let bound = listener.local_addr().map_err(|e| StartError::new(address, &e))?;
        match udp(bound) {
            Ok(socket) => return Ok((listener, socket)),
            Err(error) => last = StartError::new(bound, &error),
        }
        if address.port() != 0 {
            break;
        }
    }
    Err(last)
}

/// Opens a TCP socket that listens.
pub(crate) fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = open(address, Type::STREAM, Protocol::TCP)?;
    // On Windows the option means that others may take the port away.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Opens a UDP socket.
pub(crate) fn udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = open(address, Type::DGRAM, Protocol::UDP)?;
    // The kernel caps what it gives; less is no error.
    let _ = socket.set_recv_buffer_size(UDP_BUFFER);
    let _ = socket.set_send_buffer_size(UDP_BUFFER);
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

fn open(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        // `[::]` serves both families; any other IPv6 address serves its own.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Has the kernel take little of a connection that it has not yet sent, so that what it cannot send
/// soon is seen to wait.
pub(crate) fn keep_fresh(stream: &TcpStream, unsent_max: usize) {
    let socket = SockRef::from(stream);
    // A system that does not know how sends all the same, only later.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket.set_tcp_notsent_lowat(unsent_max as u32);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = socket.set_send_buffer_size(16 * unsent_max);
}

/// The address in the family of a socket bound to `local`; `None` where it cannot be reached from
/// there.
pub(crate) fn reachable_from(local: SocketAddr, to: SocketAddr) -> Option<SocketAddr> {
    match (local.ip(), to.ip()) {
        (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => Some(to),
        (IpAddr::V6(local), IpAddr::V4(ip)) if local.is_unspecified() => {
            Some(SocketAddr::new(ip.to_ipv6_mapped().into(), to.port()))
        }
        (IpAddr::V6(_), IpAddr::V4(_)) | (IpAddr::V4(_), IpAddr::V6(_)) => None,
    }
}

/// The address that this computer would use towards the world in this family: the route is asked,
/// nothing is sent (the destinations are reserved for documentation, RFC 5737 and RFC 3849).
pub(crate) fn outward(ipv6: bool) -> io::Result<IpAddr> {
    let (any, world): (SocketAddr, SocketAddr) = if ipv6 {
        ((std::net::Ipv6Addr::UNSPECIFIED, 0).into(), ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 9).into())
    } else {
        ((std::net::Ipv4Addr::UNSPECIFIED, 0).into(), ([192, 0, 2, 1], 9).into())
    };
    let socket = std::net::UdpSocket::bind(any)?;
    socket.connect(world)?;
    Ok(socket.local_addr()?.ip())
}

/// Whether relay ports of both families can be had by who listens there, and reached by others.
pub(crate) fn has_both_families(listening: IpAddr) -> bool {
    let is_open = |ipv6| outward(ipv6).is_ok_and(is_beyond_home);
    listening.is_unspecified() && is_open(false) && is_open(true)
}

/// The addresses of this machine, and the networks that are its owner's alone: an IPv6 /64 is one
/// household's (RFC 6177), while others on an IPv4 network that is not private are a provider's
/// other customers.
pub(crate) fn own_networks() -> Vec<Range> {
    let addresses = addresses().into_iter().map(|ip| ip.to_canonical());
    let range =
        |address: IpAddr| Range { address, prefix: if address.is_ipv4() { 32 } else { 64 } };
    addresses.map(range).collect()
}

#[cfg(target_os = "linux")]
fn addresses() -> Vec<IpAddr> {
    let all = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let addresses = all.filter_map(|interface| interface.address).filter_map(|address| {
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    });
    addresses.collect()
}

/// Those that are used towards the world.
#[cfg(not(target_os = "linux"))]
fn addresses() -> Vec<IpAddr> {
    [false, true].into_iter().filter_map(|ipv6| outward(ipv6).ok()).collect()
}

#[cfg(test)]
mod tests {
    use earshot_proto::port::canonical;

    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_told_from_a_strange_address() {
        let (listener, _socket) = pair(([127, 0, 0, 1], 0).into()).expect("some port is free");
        let address = listener.local_addr().expect("it is bound");
        assert_eq!(pair(address).err(), Some(StartError::PortInUse { address }));
        let strange: SocketAddr = ([192, 0, 2, 1], 0).into();
        let refused = pair(strange).err();
        assert!(matches!(refused, Some(StartError::Unavailable { .. })), "{refused:?}");
    }

    #[tokio::test]
    async fn tcp_and_udp_share_the_number() {
        let (listener, socket) = pair(([127, 0, 0, 1], 0).into()).expect("some port is free");
        assert_eq!(
            listener.local_addr().expect("it is bound"),
            socket.local_addr().expect("it is bound")
        );
    }

    #[test]
    fn the_machines_own_addresses_are_known() {
        let own = own_networks();
        for address in outward(false).into_iter().chain(outward(true)) {
            assert!(own.iter().any(|range| range.contains(address)), "{address} {own:?}");
        }
        assert!(!has_both_families(IpAddr::from([127, 0, 0, 1])));
    }

    #[test]
    fn an_ipv4_host_is_reached_from_the_socket_that_serves_both() {
        let host: SocketAddr = ([192, 0, 2, 7], 5).into();
        let both: SocketAddr = "[::]:1".parse().expect("an address");
        let mapped = reachable_from(both, host).expect("both families");
        assert!(mapped.is_ipv6());
        assert_eq!(canonical(mapped), host);
        assert_eq!(reachable_from("[::1]:1".parse().expect("an address"), host), None);
    }
}
