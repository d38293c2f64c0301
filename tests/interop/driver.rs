//! A small driver of the relay machine for these tests: one thread that owns it, one for each
//! socket and each connection.
//!
//! It does what the node's driver does, with nothing but the standard library, so that what fails
//! here is the machine.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use earshot_proto::entropy::Entropy;
use earshot_proto::ids::UserName;
use earshot_proto::port::{
    LinkDown, LinkEvent, LinkId, LinkOrder, RelayPortEvent, RelayPortId, RelayPortOrder, Service,
};
use earshot_proto::super_peer::relay::{
    Grant, Relay, RelayConfig, RelayCounters, RelayOutput, Turned,
};
use earshot_proto::time::UnixTime;

/// Any wall time does: nothing here lasts for a day.
const WALL: UnixTime = UnixTime(1_800_000_000_000);

enum Event {
    Main(SocketAddr, Vec<u8>),
    Port(RelayPortId, SocketAddr, Vec<u8>),
    Connected(LinkId, TcpStream),
    Bytes(LinkId, Vec<u8>),
    Disconnected(LinkId),
    Grant(UserName, Sender<Grant>),
    Partner([SocketAddr; 2], Sender<Event>),
    Turned(Turned),
    Stop,
}

/// A relay that runs on loopback.
pub(crate) struct RunningRelay {
    pub(crate) address: SocketAddr,
    events: Sender<Event>,
    thread: JoinHandle<RelayCounters>,
}

/// A socket with the thread that reads it.
struct Port {
    socket: UdpSocket,
    closed: Arc<AtomicBool>,
}

/// One number, for UDP and TCP.
type Doors = (UdpSocket, TcpListener);

/// This number of a host, or any; [`None`] where it is somebody else's for either of the two.
fn bound(host: [u8; 4], port: u16) -> Option<Doors> {
    let socket = UdpSocket::bind(SocketAddr::from((host, port))).ok()?;
    let listener = TcpListener::bind(socket.local_addr().ok()?).ok()?;
    Some((socket, listener))
}

impl RunningRelay {
    pub(crate) fn start(config: RelayConfig) -> Self {
        let drawn = std::iter::repeat_with(|| bound([127, 0, 0, 1], 0)).flatten().next();
        Self::start_at(config, drawn.expect("a number is free some time"))
    }

    /// Two relays that are partners: the same numbers at two addresses.
    pub(crate) fn pair(config: &RelayConfig) -> [Self; 2] {
        let hosts = [[127, 0, 0, 1], [127, 0, 0, 2]];
        // The numbers are drawn, so one of the four may be somebody else's.
        let all_bound = std::iter::repeat_with(|| {
            let drawn = UdpSocket::bind("127.0.0.1:0").ok()?;
            let port = drawn.local_addr().ok()?.port();
            drop(drawn);
            let all = hosts.map(|host| {
                let both = [port, port.checked_add(1)?].map(|port| bound(host, port));
                let [main, alternate] = both;
                alternate.and(main)
            });
            let [one, other] = all;
            Some([one?, other?])
        });
        let doors = all_bound.flatten().next().expect("four numbers are free some time");
        let pair = doors.map(|doors| {
            let main = doors.0.local_addr().ok();
            Self::start_at(RelayConfig { main, ..config.clone() }, doors)
        });
        for (one, other) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
            let alternate = SocketAddr::new(other.address.ip(), other.address.port() + 1);
            let ports = [other.address, alternate];
            let partner = Event::Partner(ports, other.events.clone());
            one.events.send(partner).expect("the relay runs");
        }
        pair
    }

    fn start_at(config: RelayConfig, (socket, listener): Doors) -> Self {
        let (events, inbox) = channel();
        let main = Port::listen(socket, &events, Event::Main);
        let address = main.address();
        accept(listener, events.clone());
        let relay = Relay::new(Instant::now(), &config, Entropy::new([42; 32]).secrets);
        let to_self = events.clone();
        let thread = std::thread::spawn(move || run(relay, &main, &to_self, &inbox));
        Self { address, events, thread }
    }

    /// Credentials for a user of this name.
    pub(crate) fn grant(&self, name: &str) -> Grant {
        let (answer, granted) = channel();
        let name = UserName::new(name).expect("a name");
        self.events.send(Event::Grant(name, answer)).expect("the relay runs");
        granted.recv().expect("the relay answers")
    }

    pub(crate) fn stop(self) -> RelayCounters {
        self.events.send(Event::Stop).expect("the relay runs");
        self.thread.join().expect("the relay did not panic")
    }
}

impl Port {
    fn open(
        events: &Sender<Event>,
        even: bool,
        to_event: impl Fn(SocketAddr, Vec<u8>) -> Event + Send + 'static,
    ) -> Self {
        let draw = || UdpSocket::bind("127.0.0.1:0").expect("a port on loopback");
        let is_right = |socket: &UdpSocket| {
            !even || socket.local_addr().is_ok_and(|address| address.port() % 2 == 0)
        };
        let socket = std::iter::repeat_with(draw).find(is_right).expect("half of them are even");
        Self::listen(socket, events, to_event)
    }

    fn listen(
        socket: UdpSocket,
        events: &Sender<Event>,
        to_event: impl Fn(SocketAddr, Vec<u8>) -> Event + Send + 'static,
    ) -> Self {
        let closed = Arc::new(AtomicBool::new(false));
        let (reader, is_closed) = (socket.try_clone().expect("a second handle"), closed.clone());
        let events = events.clone();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            while let Ok((len, from)) = reader.recv_from(&mut buffer) {
                let event = to_event(from, buffer[..len].to_vec());
                if is_closed.load(Ordering::Acquire) || events.send(event).is_err() {
                    return;
                }
            }
        });
        Self { socket, closed }
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("a bound socket has an address")
    }

    fn send(&self, to: SocketAddr, bytes: &[u8]) {
        // A client that has gone makes this fail; UDP promises nothing else.
        let _ = self.socket.send_to(bytes, to);
    }
}

impl Drop for Port {
    /// Wakes the reader with a datagram of its own, so that it sees that the port is closed.
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Release);
        self.send(self.address(), &[]);
    }
}

/// Takes connections until the test process ends.
fn accept(listener: TcpListener, events: Sender<Event>) {
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let link = LinkId::Accepted(number as u32);
            let mut reader = stream.try_clone().expect("a second handle");
            let connected = Event::Connected(link, stream);
            if events.send(connected).is_err() {
                return;
            }
            let events = events.clone();
            std::thread::spawn(move || {
                let mut buffer = vec![0; 65_536];
                while let Ok(len @ 1..) = reader.read(&mut buffer) {
                    if events.send(Event::Bytes(link, buffer[..len].to_vec())).is_err() {
                        return;
                    }
                }
                let _ = events.send(Event::Disconnected(link));
            });
        }
    });
}

fn run(
    mut relay: Relay,
    main: &Port,
    events: &Sender<Event>,
    inbox: &Receiver<Event>,
) -> RelayCounters {
    let mut ports: BTreeMap<RelayPortId, Port> = BTreeMap::new();
    let mut links: BTreeMap<LinkId, TcpStream> = BTreeMap::new();
    let mut partner: Option<Sender<Event>> = None;
    loop {
        let deadline = relay.poll_timeout();
        let patience = deadline
            .map_or(Duration::from_secs(60), |at| at.saturating_duration_since(Instant::now()));
        let event = inbox.recv_timeout(patience);
        let now = Instant::now();
        match event {
            Ok(Event::Main(from, bytes)) => relay.handle_datagram(now, WALL, from, &bytes),
            Ok(Event::Port(id, from, bytes)) => {
                let event = RelayPortEvent::Datagram { from, bytes: &bytes };
                relay.handle_relay_port(now, id, event);
            }
            Ok(Event::Connected(link, stream)) => {
                let from = stream.peer_addr().expect("a connected socket has a peer");
                stream.set_nodelay(true).expect("it is connected");
                links.insert(link, stream);
                let accepted = LinkEvent::Accepted { from, service: Service::Relay };
                relay.handle_link(now, WALL, link, &accepted);
            }
            Ok(Event::Bytes(link, bytes)) => {
                relay.handle_link(now, WALL, link, &LinkEvent::Bytes(&bytes));
            }
            Ok(Event::Disconnected(link)) => {
                links.remove(&link);
                relay.handle_link(now, WALL, link, &LinkEvent::Down(LinkDown::Closed));
            }
            Ok(Event::Grant(name, answer)) => {
                let grant = relay.grant(now, WALL, &name).expect("there is room");
                answer.send(grant).expect("the test waits");
            }
            Ok(Event::Partner(ports, there)) => {
                relay.set_partner(Some(ports));
                partner = Some(there);
            }
            Ok(Event::Turned(turned)) => relay.answer_turned(now, turned),
            Err(RecvTimeoutError::Timeout) => relay.handle_timeout(now),
            Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return *relay.counters(),
        }
        while let Some(turned) = relay.poll_turned() {
            let there = partner.as_ref().expect("it turns only to a partner");
            // It may have stopped before us.
            let _ = there.send(Event::Turned(turned));
        }
        while let Some(output) = relay.poll_output() {
            match output {
                RelayOutput::Send(transmit) => main.send(transmit.to, &transmit.bytes),
                RelayOutput::RelayPort(id, RelayPortOrder::Open { even, .. }) => {
                    let to_event = move |from, bytes| Event::Port(id, from, bytes);
                    let port = Port::open(events, even, to_event);
                    let opened = RelayPortEvent::Opened(port.address());
                    ports.insert(id, port);
                    relay.handle_relay_port(now, id, opened);
                }
                RelayOutput::RelayPort(id, RelayPortOrder::OpenAlternate) => {
                    let main = main.address();
                    let alternate = SocketAddr::new(main.ip(), main.port() + 1);
                    let socket = UdpSocket::bind(alternate).expect("it was free just now");
                    let to_event = move |from, bytes| Event::Port(id, from, bytes);
                    ports.insert(id, Port::listen(socket, events, to_event));
                    relay.handle_relay_port(now, id, RelayPortEvent::Opened(alternate));
                }
                RelayOutput::RelayPort(id, RelayPortOrder::Send(transmit)) => {
                    ports[&id].send(transmit.to, &transmit.bytes);
                }
                RelayOutput::RelayPort(id, RelayPortOrder::Close) => drop(ports.remove(&id)),
                // A client that has gone makes writing fail; it is heard of by reading.
                RelayOutput::Link(id, LinkOrder::Bytes(bytes) | LinkOrder::Media(bytes)) => {
                    let _ = links.get(&id).map(|mut link| link.write_all(&bytes));
                }
                RelayOutput::Link(id, LinkOrder::Close) => {
                    let _ = links.remove(&id).map(|link| link.shutdown(Shutdown::Both));
                }
                RelayOutput::Link(_, LinkOrder::Dial { .. }) => unreachable!("it dials nobody"),
            }
        }
    }
}
