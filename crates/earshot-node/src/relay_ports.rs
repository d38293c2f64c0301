//! UDP ports of the relay: one socket for each allocation.
//!
//! Source: DESIGN 2.12; `earshot_proto::port::{RelayPortOrder, RelayPortEvent}`. Which packets may
//! pass is the machine's to decide; how many ports, too, within the range that the owner gave.
//! There is no task for each: a socket that has something rings, the loop hears of all that rang at
//! once, and reads them itself. Invariants: a port that the machine closed sends and receives
//! nothing more; one that was read to the end rings again.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use earshot_proto::port::{RelayPortId, RelayPortOrder, Transmit};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use crate::batch::{BATCH, Inbox, More, Outbox};
use crate::driver::news::{News, PortNews, ResidentId};
use crate::sockets::{outward, udp};

/// Where relay ports are opened and how others see them.
#[derive(Clone, Debug)]
pub(crate) struct RelayGround {
    /// The numbers that may be used; any free one where `None`.
    pub(crate) ports: Option<RangeInclusive<u16>>,
    /// The address to listen on, as the main port's.
    pub(crate) listen: IpAddr,
    /// The main port's number.
    pub(crate) main: u16,
    /// The main port that others see, where a one-to-one NAT hides ours.
    pub(crate) public: Option<SocketAddr>,
}

/// Numbers drawn for an even port. Our choice: with half of all ports taken, one in 10^9 that ask
/// gets none.
const EVEN_TRIES: u8 = 15;

/// Datagrams that wait for the end of the turn. Our choice: what a turn reads.
const UNSENT_MAX: usize = 64 * BATCH;

/// All relay ports of the process.
pub(crate) struct RelayPorts {
    ground: RelayGround,
    open: HashMap<Place, Port>,
    rung: Arc<Rung>,
    /// What leaves when the turn ends.
    unsent: Vec<(Place, Transmit)>,
    /// Of these, what leaves one port.
    outbox: Outbox,
    /// How far into the range the next search starts; random at first, so that ports are not
    /// foretold.
    turn: u16,
    answers: mpsc::UnboundedSender<News>,
}

/// Whose port, and which.
type Place = (ResidentId, RelayPortId);

struct Port {
    socket: UdpSocket,
    local: SocketAddr,
    bell: Waker,
}

/// Rings when its socket has something; once for each time that it was listened to.
struct Bell {
    place: Place,
    rung: Arc<Rung>,
}

/// The ports that rang.
#[derive(Default)]
struct Rung(Mutex<Ringing>);

#[derive(Default)]
struct Ringing {
    places: VecDeque<Place>,
    /// The loop, while it waits.
    waiting: Option<Waker>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.ring(self.place);
    }
}

impl Rung {
    fn ring(&self, place: Place) {
        let waiting = {
            let mut ringing = self.lock();
            ringing.places.push_back(place);
            ringing.waiting.take()
        };
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ringing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Port {
    fn new(place: Place, socket: UdpSocket, rung: &Arc<Rung>) -> io::Result<Self> {
        let bell = Waker::from(Arc::new(Bell { place, rung: Arc::clone(rung) }));
        let local = socket.local_addr()?;
        Ok(Self { socket, local, bell })
    }

    /// Has it ring for what comes next, or for what came meanwhile.
    fn listen(&self) {
        let heard = self.socket.poll_recv_ready(&mut Context::from_waker(&self.bell));
        if heard.is_ready() {
            self.bell.wake_by_ref();
        }
    }
}

impl RelayPorts {
    pub(crate) fn new(
        ground: RelayGround,
        start: u16,
        answers: mpsc::UnboundedSender<News>,
    ) -> Self {
        let (open, rung, unsent) = (HashMap::new(), Arc::default(), Vec::new());
        Self { ground, open, rung, unsent, outbox: Outbox::default(), turn: start, answers }
    }

    pub(crate) fn order(&mut self, who: ResidentId, id: RelayPortId, order: RelayPortOrder) {
        match order {
            RelayPortOrder::Open { ipv6, even } => {
                let bound = self.bind(ipv6, even);
                self.open((who, id), bound);
            }
            RelayPortOrder::OpenAlternate => {
                let bound = self.bind_alternate();
                self.open((who, id), bound);
            }
            RelayPortOrder::Send(transmit) => {
                self.unsent.push(((who, id), transmit));
                if self.unsent.len() >= UNSENT_MAX {
                    self.flush();
                }
            }
            RelayPortOrder::Close => {
                self.flush();
                self.open.remove(&(who, id));
            }
        }
    }

    /// Whether the machine still has this port, or waits for it.
    pub(crate) fn is_open(&self, who: ResidentId, id: RelayPortId) -> bool {
        self.open.contains_key(&(who, id))
    }

    /// Closes all ports of a machine that leaves.
    pub(crate) fn close_all_of(&mut self, who: ResidentId) {
        self.open.retain(|(owner, _), _| *owner != who);
    }

    /// Waits until a port has something.
    pub(crate) async fn rings(&self) {
        std::future::poll_fn(|context| {
            let mut ringing = self.rung.lock();
            if !ringing.places.is_empty() {
                return Poll::Ready(());
            }
            ringing.waiting = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Reads what has come to the next port that rang; whose it is.
    pub(crate) fn fill(&mut self, inbox: &mut Inbox) -> Option<(ResidentId, RelayPortId)> {
        loop {
            let place = self.rung.lock().places.pop_front()?;
            let Some(port) = self.open.get(&place) else { continue };
            match inbox.fill(&port.socket) {
                // The others first.
                More::Perhaps => self.rung.ring(place),
                More::No => port.listen(),
            }
            return Some(place);
        }
    }

    /// Sends what waits.
    pub(crate) fn flush(&mut self) {
        let mut unsent = self.unsent.drain(..).peekable();
        while let Some((place, transmit)) = unsent.next() {
            let is_full = self.outbox.push(transmit);
            let goes_on = unsent.peek().is_some_and(|(next, _)| *next == place);
            if goes_on && !is_full {
                continue;
            }
            match self.open.get(&place) {
                // A datagram that the kernel does not take is lost, as on the way.
                Some(port) => _ = self.outbox.flush(&port.socket, port.local),
                None => self.outbox.clear(),
            }
        }
    }

    fn open(&mut self, place: Place, bound: io::Result<(UdpSocket, SocketAddr)>) {
        let opened = bound.and_then(|(socket, seen)| {
            let port = Port::new(place, socket, &self.rung)?;
            port.listen();
            self.open.insert(place, port);
            Ok(seen)
        });
        let news = match opened {
            Ok(seen) => PortNews::Opened(seen),
            Err(error) => {
                tracing::warn!(%error, "No relay port could be opened");
                PortNews::Failed
            }
        };
        let (who, id) = place;
        let _ = self.answers.send(News::RelayPort(who, id, news));
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
            Some(public) => public.ip(),
            None if ip.is_unspecified() => outward(ipv6)?,
            None => ip,
        };
        Ok((socket, SocketAddr::new(seen, port)))
    }

    /// The port after the main port. Where that has an address of its own, so has this.
    fn bind_alternate(&self) -> io::Result<(UdpSocket, SocketAddr)> {
        let next = |port: u16| port.checked_add(1).ok_or(io::ErrorKind::AddrNotAvailable);
        let listen = SocketAddr::new(self.ground.listen, next(self.ground.main)?);
        let socket = udp(listen)?;
        let seen = match self.ground.public {
            Some(public) => SocketAddr::new(public.ip(), next(public.port())?),
            None if listen.ip().is_unspecified() => {
                let outward = outward(false).or_else(|_| outward(true))?;
                SocketAddr::new(outward, listen.port())
            }
            None => listen,
        };
        Ok((socket, seen))
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
