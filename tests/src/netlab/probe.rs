//! Whether each NAT is what it is called, by plain datagrams: an untrue NAT makes all else
//! worthless.
//!
//! Source: RFC 5780, sections 4.3 (mapping) and 4.4 (filtering), by observers that tell here what
//! they saw instead of in a STUN message; section 4.5 (hairpinning). Invariant: what is said to be
//! let in has come, and what is said to be dropped has been waited for.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use super::LabError;
use super::internet::{Home, PublicHost, ROUTER};
use super::kind::{Egress, Filtering, Hairpin, Kind, Mapping, Nat, Offers, Shared};
use super::line::Line;
use super::namespace::Namespace;
use super::port_mapper;

/// What comes, comes within this time: namespaces of one machine, however busy.
const COMES_WITHIN: Duration = Duration::from_secs(2);
/// What has not come then is dropped. Our choice: a hundred times what it takes here.
const DROPPED_AFTER: Duration = Duration::from_millis(100);
/// And so many times what the line takes one way: there and back, and room.
const WAYS: u32 = 4;
/// The port of the observers' web server, and another.
pub(super) const PORTS: [u16; 2] = [443, 8_080];

/// Two observers at addresses of their own, each with two ports.
#[derive(Debug)]
pub struct Observers {
    eyes: [[UdpSocket; 2]; 2],
    v6: UdpSocket,
    _doors: Vec<TcpListener>,
    host: IpAddr,
    /// What has not come then is dropped.
    patience: Duration,
}

impl Observers {
    /// Sets them up on two public hosts.
    ///
    /// # Errors
    /// Where sockets cannot be opened.
    pub fn at(hosts: [&PublicHost; 2], line: Line) -> Result<Self, LabError> {
        let eye = |host: &PublicHost| socket(&host.host, host.v4.into());
        let eyes = [[eye(hosts[0])?, eye(hosts[0])?], [eye(hosts[1])?, eye(hosts[1])?]];
        let v6 = socket(&hosts[0].host, hosts[0].v6.into())?;
        let door = |port: u16| {
            let listen = || TcpListener::bind((hosts[0].v4, port));
            hosts[0].host.inside(listen)?.map_err(|error| LabError::io("an observer", error))
        };
        let doors = vec![door(PORTS[0])?, door(PORTS[1])?];
        let patience = DROPPED_AFTER + (line.delay + line.jitter) * WAYS;
        Ok(Self { eyes, v6, _doors: doors, host: hosts[0].v4.into(), patience })
    }

    /// What both homes of a kind turn out to be, in the words of [`claimed`].
    ///
    /// # Errors
    /// Where a socket cannot be opened, or nothing at all comes through.
    pub fn found(&self, homes: &[Home; 2]) -> Result<String, LabError> {
        let each: Vec<String> =
            homes.iter().map(|home| self.found_one(home)).collect::<Result<_, _>>()?;
        let together = self.together(homes)?;
        Ok(if each[0] == each[1] {
            format!("{}{together}", each[0])
        } else {
            format!("{}≠{}{together}", each[0], each[1])
        })
    }

    fn found_one(&self, home: &Home) -> Result<String, LabError> {
        let mut words = Vec::new();
        if home.v4().is_some() {
            // What drops is waited for so long only.
            let lets_out = home.kind.egress == Egress::Any;
            let within = if lets_out { COMES_WITHIN } else { self.patience };
            match self.mapping(&home.host, within)? {
                Some((mapping, fixed)) => {
                    words.push(mapping_word(mapping));
                    words.push(filtering_word(self.filtering(&home.host)?));
                    words.push(if fixed { "same_port" } else { "other_port" });
                }
                None => words.push("no_udp"),
            }
            words.push(self.tcp(home)?);
            if self.mapped(home)? {
                words.push("asked_port");
            }
        }
        if home.kind.v6 {
            words.push(self.sixth(&home.host)?);
        }
        Ok(words.join("/"))
    }

    /// The mapping, and whether the port stays the same; nothing where no datagram comes through.
    fn mapping(
        &self,
        host: &Namespace,
        within: Duration,
    ) -> Result<Option<(Mapping, bool)>, LabError> {
        let inner = socket(host, Ipv4Addr::UNSPECIFIED.into())?;
        let mut seen = Vec::new();
        for eye in [&self.eyes[0][0], &self.eyes[0][1], &self.eyes[1][0]] {
            send(&inner, local(eye)?);
            match receive(eye, within) {
                Some(from) => seen.push(from),
                None => return Ok(None),
            }
        }
        let alike = seen.iter().all(|from| *from == seen[0]);
        let mapping =
            if alike { Mapping::EndpointIndependent } else { Mapping::AddressAndPortDependent };
        Ok(Some((mapping, seen[0].port() == local(&inner)?.port())))
    }

    /// Who gets in to a socket that has sent to the first observer's first port only.
    fn filtering(&self, host: &Namespace) -> Result<Filtering, LabError> {
        let inner = socket(host, Ipv4Addr::UNSPECIFIED.into())?;
        let [[first, second], [third, _]] = &self.eyes;
        send(&inner, local(first)?);
        let outer = receive(first, COMES_WITHIN).ok_or_else(|| nothing("the first datagram"))?;
        send(first, outer);
        receive(&inner, COMES_WITHIN).ok_or_else(|| nothing("an answer"))?;
        send(third, outer);
        if receive(&inner, self.patience).is_some() {
            return Ok(Filtering::EndpointIndependent);
        }
        send(second, outer);
        Ok(match receive(&inner, self.patience) {
            Some(_) => Filtering::AddressDependent,
            None => Filtering::AddressAndPortDependent,
        })
    }

    /// Whether the router opens a port that it is asked for, to those that were never sent to.
    fn mapped(&self, home: &Home) -> Result<bool, LabError> {
        let host = &home.host;
        let asking = socket(host, Ipv4Addr::UNSPECIFIED.into())?;
        let inner = socket(host, Ipv4Addr::UNSPECIFIED.into())?;
        let request = port_mapper::request(local(&inner)?.port());
        drop(asking.send_to(&request, (ROUTER, port_mapper::PORT)));
        let offered = home.kind.offers == Offers::PortMapping;
        let within = if offered { COMES_WITHIN } else { DROPPED_AFTER };
        asking.set_read_timeout(Some(within)).map_err(|e| LabError::io("a socket", e))?;
        let mut answer = [0; 16];
        let granted =
            asking.recv(&mut answer).ok().and_then(|n| port_mapper::granted(&answer[..n]));
        let Some(port) = granted else { return Ok(false) };
        // From there it leaves by the port that was asked for, and there everybody gets in.
        send(&inner, local(&self.eyes[0][0])?);
        let Some(outer) = receive(&self.eyes[0][0], COMES_WITHIN) else { return Ok(false) };
        send(&self.eyes[1][1], outer);
        Ok(outer.port() == port && receive(&inner, COMES_WITHIN).is_some())
    }

    fn tcp(&self, home: &Home) -> Result<&'static str, LabError> {
        // What is said to drop is waited for so long only, and all else until it must have come.
        let opens = |to: SocketAddr, expected: &[Egress]| {
            let comes = expected.contains(&home.kind.egress);
            let within = if comes { COMES_WITHIN } else { self.patience };
            home.host.inside(|| TcpStream::connect_timeout(&to, within).ok())
        };
        let [https, other] = PORTS.map(|port| SocketAddr::new(self.host, port));
        if opens(other, &[Egress::Any, Egress::TcpOnly])?.is_some() {
            return Ok("any_tcp");
        }
        if opens(https, &[Egress::Tcp443Only])?.is_some() {
            return Ok("tcp_443");
        }
        let Some(proxy) = home.proxy else { return Ok("no_tcp") };
        let tunnel = |to: SocketAddr| {
            let stream = opens(proxy, &[Egress::ProxyOnly])?.ok_or_else(|| nothing("the proxy"))?;
            tunnelled(stream, to).map_err(|error| LabError::io("the proxy", error))
        };
        Ok(match (tunnel(https)?, tunnel(other)?) {
            (200, 403) => "proxy_443",
            (200, _) => "proxy_any",
            (_, _) => "no_proxy",
        })
    }

    /// IPv6: out and back in, and nobody else.
    fn sixth(&self, host: &Namespace) -> Result<&'static str, LabError> {
        let inner = socket(host, std::net::Ipv6Addr::UNSPECIFIED.into())?;
        send(&inner, local(&self.v6)?);
        let Some(outer) = receive(&self.v6, COMES_WITHIN) else { return Ok("no_ipv6") };
        send(&self.v6, outer);
        if receive(&inner, COMES_WITHIN).is_none() {
            return Ok("ipv6_one_way");
        }
        let stranger = socket(host, std::net::Ipv6Addr::UNSPECIFIED.into())?;
        send(&self.v6, SocketAddr::new(outer.ip(), local(&stranger)?.port()));
        Ok(match receive(&stranger, self.patience) {
            Some(_) => "ipv6_open",
            None => "ipv6",
        })
    }

    /// Whether the two homes of a kind meet by their inner addresses or by their outer ones.
    fn together(&self, homes: &[Home; 2]) -> Result<&'static str, LabError> {
        let [one, other] = homes;
        if one.kind.shared == Shared::Apart {
            return Ok("");
        }
        let sockets = [one, other].map(|home| socket(&home.host, Ipv4Addr::UNSPECIFIED.into()));
        let [here, there] = sockets;
        let (here, there) = (here?, there?);
        if let Some(address) = other.v4().filter(|_| one.kind.shared == Shared::Lan) {
            send(&here, SocketAddr::new(address.into(), local(&there)?.port()));
            let met = receive(&there, COMES_WITHIN).is_some();
            return Ok(if met { "+lan" } else { "+no_lan" });
        }
        let mut outer = Vec::new();
        for socket in [&here, &there] {
            send(socket, local(&self.eyes[0][0])?);
            let seen = receive(&self.eyes[0][0], COMES_WITHIN);
            outer.push(seen.ok_or_else(|| nothing("the carrier"))?);
        }
        // Both must have opened their own router's filter before either can be heard.
        send(&here, outer[1]);
        send(&there, outer[0]);
        let met = receive(&here, self.patience).is_some();
        Ok(if met { "+hairpin" } else { "+no_hairpin" })
    }
}

/// What a kind says of itself, in the words that the observers find.
#[must_use]
pub fn claimed(kind: &Kind) -> String {
    let mut words = Vec::new();
    if let Some(row) = kind.v4 {
        if kind.egress == Egress::Any {
            words.push(mapping_word(worst(row, |nat| nat.mapping == MAPPING_WORST)));
            let filters = row.iter().map(|nat| nat.filtering).max();
            words.push(filtering_word(filters.unwrap_or(Filtering::EndpointIndependent)));
            let same = row.iter().all(|nat| nat.mapping != MAPPING_WORST);
            words.push(if same { "same_port" } else { "other_port" });
        } else {
            words.push("no_udp");
        }
        words.push(match kind.egress {
            Egress::Any | Egress::TcpOnly => "any_tcp",
            Egress::Tcp443Only => "tcp_443",
            Egress::ProxyOnly => "proxy_443",
        });
    }
    if kind.offers == Offers::PortMapping {
        words.push("asked_port");
    }
    if kind.v6 {
        words.push("ipv6");
    }
    let hairpins = kind.v4.and_then(<[Nat]>::last).map(|nat| nat.hairpin);
    let together = match (kind.shared, hairpins) {
        (Shared::Apart, _) => "",
        (Shared::Lan, _) => "+lan",
        (Shared::Carrier, Some(Hairpin::Supported)) => "+hairpin",
        (Shared::Carrier, Some(Hairpin::Absent) | None) => "+no_hairpin",
    };
    words.join("/") + together
}

const MAPPING_WORST: Mapping = Mapping::AddressAndPortDependent;

fn worst(row: &[Nat], is_worst: impl Fn(&Nat) -> bool) -> Mapping {
    if row.iter().any(is_worst) { MAPPING_WORST } else { Mapping::EndpointIndependent }
}

const fn mapping_word(mapping: Mapping) -> &'static str {
    match mapping {
        Mapping::EndpointIndependent => "independent",
        Mapping::AddressAndPortDependent => "address_and_port",
    }
}

const fn filtering_word(filtering: Filtering) -> &'static str {
    match filtering {
        Filtering::EndpointIndependent => "independent",
        Filtering::AddressDependent => "address",
        Filtering::AddressAndPortDependent => "address_and_port",
    }
}

fn socket(space: &Namespace, ip: IpAddr) -> Result<UdpSocket, LabError> {
    let bound = space.inside(|| UdpSocket::bind((ip, 0)))?;
    bound.map_err(|error| LabError::io("a socket", error))
}

fn local(socket: &UdpSocket) -> Result<SocketAddr, LabError> {
    socket.local_addr().map_err(|error| LabError::io("a socket", error))
}

/// A datagram that the network refuses has not come, which is what is asked.
fn send(from: &UdpSocket, to: SocketAddr) {
    drop(from.send_to(b"probe", to));
}

fn receive(at: &UdpSocket, within: Duration) -> Option<SocketAddr> {
    at.set_read_timeout(Some(within)).ok()?;
    at.recv_from(&mut [0; 16]).ok().map(|(_, from)| from)
}

fn nothing(what: &str) -> LabError {
    LabError::io(what, std::io::ErrorKind::TimedOut.into())
}

/// The status of an answer to CONNECT.
fn tunnelled(mut proxy: TcpStream, to: SocketAddr) -> std::io::Result<u16> {
    use std::io::{Read, Write};
    write!(proxy, "CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n")?;
    let mut answer = [0; 12];
    proxy.set_read_timeout(Some(COMES_WITHIN))?;
    proxy.read_exact(&mut answer)?;
    let status = std::str::from_utf8(&answer[9..]).ok().and_then(|text| text.parse().ok());
    Ok(status.unwrap_or_default())
}
