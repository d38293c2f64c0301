//! UDP ports of the relay: one socket for each allocation.
//!
//! Source: DESIGN 2.12; `earshot_proto::port::{RelayPortOrder, RelayPortEvent}`. Which packets may
//! pass is the machine's to decide; how many ports, too, within the range that the owner gave.
//! Invariant: a port that the machine closed sends and receives nothing more.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use earshot_proto::port::{RelayPortId, RelayPortOrder, Transmit};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::datagrams::{DATAGRAM_MAX, receive};
use crate::driver::news::{News, PortNews, ResidentId};
use crate::sockets::{outward, udp};

/// Where relay ports are opened and how others see them.
#[derive(Clone, Debug)]
pub(crate) struct RelayGround {
    /// The numbers that may be used; any free one where `None`.
    pub(crate) ports: Option<RangeInclusive<u16>>,
    /// The address to listen on, as the main port's.
    pub(crate) listen: IpAddr,
    /// The address that others see, where a one-to-one NAT hides ours.
    pub(crate) public: Option<IpAddr>,
}

/// Numbers drawn for an even port. Our choice: with half of all ports taken, one in 10^9 that ask
/// gets none.
const EVEN_TRIES: u8 = 15;

/// All relay ports of the process.
pub(crate) struct RelayPorts {
    ground: RelayGround,
    open: HashMap<(ResidentId, RelayPortId), Port>,
    /// How far into the range the next search starts; random at first, so that ports are not
    /// foretold.
    turn: u16,
    to_loop: mpsc::Sender<News>,
}

struct Port {
    socket: Option<Arc<UdpSocket>>,
    task: AbortHandle,
}

impl Drop for Port {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl RelayPorts {
    pub(crate) fn new(ground: RelayGround, start: u16, to_loop: mpsc::Sender<News>) -> Self {
        Self { ground, open: HashMap::new(), turn: start, to_loop }
    }

    pub(crate) fn order(&mut self, who: ResidentId, id: RelayPortId, order: RelayPortOrder) {
        match order {
            RelayPortOrder::Open { ipv6, even } => self.open(who, id, ipv6, even),
            RelayPortOrder::Send(transmit) => self.send(who, id, &transmit),
            RelayPortOrder::Close => {
                self.open.remove(&(who, id));
            }
        }
    }

    /// Whether the machine still has this port.
    pub(crate) fn is_open(&self, who: ResidentId, id: RelayPortId) -> bool {
        self.open.contains_key(&(who, id))
    }

    /// Closes all ports of a machine that leaves.
    pub(crate) fn close_all_of(&mut self, who: ResidentId) {
        self.open.retain(|(owner, _), _| *owner != who);
    }

    fn open(&mut self, who: ResidentId, id: RelayPortId, ipv6: bool, even: bool) {
        let to_loop = self.to_loop.clone();
        let tell = move |news| News::RelayPort(who, id, news);
        let (socket, task) = match self.bind(ipv6, even) {
            Ok((socket, seen)) => {
                let socket = Arc::new(socket);
                let task = tokio::spawn(serve(Arc::clone(&socket), seen, to_loop, tell));
                (Some(socket), task)
            }
            Err(error) => {
                tracing::warn!(%error, ipv6, "No relay port could be opened");
                let failed = async move { drop(to_loop.send(tell(PortNews::Failed)).await) };
                (None, tokio::spawn(failed))
            }
        };
        self.open.insert((who, id), Port { socket, task: task.abort_handle() });
    }

    fn send(&self, who: ResidentId, id: RelayPortId, transmit: &Transmit) {
        let socket = self.open.get(&(who, id)).and_then(|port| port.socket.as_ref());
        if let Some(socket) = socket {
            // A datagram that the kernel does not take is lost, as on the way.
            let _ = socket.try_send_to(&transmit.bytes, transmit.to);
        }
    }

    /// A socket and the address that others see it at.
    fn bind(&mut self, ipv6: bool, even: bool) -> io::Result<(UdpSocket, SocketAddr)> {
        let ip = match self.ground.listen {
            ip if ip.is_unspecified() && ipv6 => Ipv6Addr::UNSPECIFIED.into(),
            ip if ip.is_unspecified() => Ipv4Addr::UNSPECIFIED.into(),
            ip if ip.is_ipv6() == ipv6 => ip,
            _ => return Err(io::ErrorKind::AddrNotAvailable.into()),
        };
        let socket = self.bind_to(ip, even)?;
        let port = socket.local_addr()?.port();
        let seen = match self.ground.public.filter(|public| public.is_ipv6() == ipv6) {
            Some(public) => public,
            None if ip.is_unspecified() => outward(ipv6)?,
            None => ip,
        };
        Ok((socket, SocketAddr::new(seen, port)))
    }

    fn bind_to(&mut self, ip: IpAddr, even: bool) -> io::Result<UdpSocket> {
        let Some(ports) = self.ground.ports.clone() else {
            return if even { bind_to_even(ip) } else { udp(SocketAddr::new(ip, 0)) };
        };
        let count = u32::from(ports.end().saturating_sub(*ports.start())) + 1;
        let mut last = io::ErrorKind::AddrInUse.into();
        for _ in 0..count {
            let offset = u32::from(self.turn) % count;
            self.turn = self.turn.wrapping_add(1);
            let port = u16::try_from(u32::from(*ports.start()) + offset)
                .expect("start + offset stays within the range, and its end is a u16");
            if even && port % 2 == 1 {
                continue;
            }
            match udp(SocketAddr::new(ip, port)) {
                Ok(socket) => return Ok(socket),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }
}

/// The system draws a number; of an odd one the even neighbour is tried.
fn bind_to_even(ip: IpAddr) -> io::Result<UdpSocket> {
    let mut last = io::ErrorKind::AddrInUse.into();
    for _ in 0..EVEN_TRIES {
        let drawn = udp(SocketAddr::new(ip, 0))?;
        let port = drawn.local_addr()?.port();
        if port.is_multiple_of(2) {
            return Ok(drawn);
        }
        match udp(SocketAddr::new(ip, port - 1)) {
            Ok(neighbour) => return Ok(neighbour),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn serve(
    socket: Arc<UdpSocket>,
    seen: SocketAddr,
    to_loop: mpsc::Sender<News>,
    tell: impl Fn(PortNews) -> News,
) {
    // Writable once, so that the machine's first datagram does not find a socket that is not yet
    // registered.
    let opened = match socket.writable().await {
        Ok(()) => PortNews::Opened(seen),
        Err(_) => PortNews::Failed,
    };
    if to_loop.send(tell(opened)).await.is_err() {
        return;
    }
    while socket.readable().await.is_ok() {
        while let Some((from, bytes)) = take(&socket) {
            // When the loop is full this waits, and the kernel drops what comes meanwhile.
            if to_loop.send(tell(PortNews::Datagram { from, bytes })).await.is_err() {
                return;
            }
        }
    }
}

/// One datagram; the buffer lives only here, so that a thousand silent ports hold none.
fn take(socket: &UdpSocket) -> Option<(SocketAddr, Vec<u8>)> {
    let mut buffer = [0; DATAGRAM_MAX + 1];
    receive(socket, &mut buffer).map(|(from, bytes)| (from, bytes.to_vec()))
}
