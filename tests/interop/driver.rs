//! A small driver of the relay machine for these tests: one thread that owns it, one for each
//! socket.
//!
//! It does what the node's driver does, with nothing but the standard library, so that what fails
//! here is the machine.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use earshot_proto::entropy::Entropy;
use earshot_proto::ids::UserName;
use earshot_proto::port::{RelayPortEvent, RelayPortId, RelayPortOrder};
use earshot_proto::super_peer::relay::{Grant, Relay, RelayConfig, RelayCounters, RelayOutput};
use earshot_proto::time::UnixTime;

/// Any wall time does: nothing here lasts for a day.
const WALL: UnixTime = UnixTime(1_800_000_000_000);

enum Event {
    Main(SocketAddr, Vec<u8>),
    Port(RelayPortId, SocketAddr, Vec<u8>),
    Grant(UserName, Sender<Grant>),
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

impl RunningRelay {
    pub(crate) fn start(config: RelayConfig) -> Self {
        let (events, inbox) = channel();
        let main = Port::open(&events, false, Event::Main);
        let address = main.address();
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

fn run(
    mut relay: Relay,
    main: &Port,
    events: &Sender<Event>,
    inbox: &Receiver<Event>,
) -> RelayCounters {
    let mut ports: BTreeMap<RelayPortId, Port> = BTreeMap::new();
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
            Ok(Event::Grant(name, answer)) => {
                let grant = relay.grant(now, WALL, &name).expect("there is room");
                answer.send(grant).expect("the test waits");
            }
            Err(RecvTimeoutError::Timeout) => relay.handle_timeout(now),
            Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return *relay.counters(),
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
                RelayOutput::RelayPort(id, RelayPortOrder::Send(transmit)) => {
                    ports[&id].send(transmit.to, &transmit.bytes);
                }
                RelayOutput::RelayPort(id, RelayPortOrder::Close) => drop(ports.remove(&id)),
            }
        }
    }
}
