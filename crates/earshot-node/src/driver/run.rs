//! The loop itself.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use earshot_proto::port::{
    Input, LinkEvent, LinkId, PathEvent, PathId, RelayPortEvent, RelayPortId, Service,
};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::news::{LinkNews, News, PortNews, ResidentId};
use super::pace::Pace;
use super::resident::Resident;
use super::{Mail, Settings, StartError};
use crate::alarm::Alarm;
use crate::batch::{Inbox, More};
use crate::clock::{ClockWatch, unix_now};
use crate::datagrams::Datagrams;
use crate::front_door::Hall;
use crate::guests::Seat;
use crate::links::{LINGER, Links};
use crate::mapping::SoundPorts;
use crate::neighbourhood::Neighbourhood;
use crate::paths::Paths;
use crate::ports::Ports;
use crate::relay_ports::{RelayGround, RelayPorts};
use crate::upstream::Upstream;
use crate::{front_door, interfaces, mapping, sockets};

/// News that wait for the loop; the tasks that bring more wait, and through them the senders. With
/// chunks of 16 KiB at most 4 MiB.
const INBOX: usize = 256;
/// Batches of datagrams taken in one turn, before the others get theirs: of the main port, and
/// relay ports that are read.
const BATCHES: usize = 2;
const PORTS: usize = 64;

/// Opens all and spawns the loop.
pub(super) async fn start(
    settings: Settings,
    upstream: Upstream,
) -> Result<(mpsc::Sender<News>, SocketAddr), StartError> {
    let unavailable =
        |e: std::io::Error| StartError::Unavailable { address: settings.listen, kind: e.kind() };
    let (listener, socket) = sockets::pair(settings.listen)?;
    let listening = listener.local_addr().map_err(unavailable)?;
    let datagrams = Datagrams::new(socket).map_err(unavailable)?;
    let (to_loop, inbox) = mpsc::channel(INBOX);
    let (answers, answered) = mpsc::unbounded_channel();
    let (alive, finished) = mpsc::channel(1);
    let ground = RelayGround {
        ports: settings.relay_ports,
        listen: listening.ip(),
        main: listening.port(),
        public: settings.public,
    };
    let start = crate::seed::draw().map_or(0, |seed| u16::from_be_bytes([seed[0], seed[1]]));
    let (changed, network) = watch::channel(());
    let sound_ports =
        if settings.maps_ports { Some(SoundPorts::open(&network, &to_loop).await) } else { None };
    let ports = Ports {
        datagrams,
        links: Links::new(
            (settings.dial_patience, settings.ways.clone()),
            upstream,
            to_loop.clone(),
            alive.clone(),
        ),
        relay_ports: RelayPorts::new(ground, start, answers.clone()),
        paths: Paths::new((settings.ice, settings.ways, sound_ports), answers.clone(), alive),
        neighbourhood: Neighbourhood::new(listening, to_loop.clone()),
        answers,
    };
    let hall = Hall::new(settings.guests);
    let door = tokio::spawn(front_door::accept(listener, hall.clone(), to_loop.clone()));
    if !listening.ip().is_loopback() {
        tokio::spawn(interfaces::watch(to_loop.clone(), changed));
    }
    if let Some(port) = NonZeroU16::new(listening.port()).filter(|_| settings.maps_ports) {
        tokio::spawn(mapping::keep_main(port, network, to_loop.clone()));
    }
    let clock = ClockWatch::new(Instant::now(), unix_now());
    let floor = Floor {
        residents: BTreeMap::new(),
        ports,
        inbox,
        answered,
        finished,
        door,
        low_doors: Vec::new(),
        way_in: WayIn { ip: listening.ip(), hall, to_loop: to_loop.clone() },
        clock,
        alarm: Alarm::new().map_err(unavailable)?,
        armed: None,
    };
    tokio::spawn(floor.run());
    Ok((to_loop, listening))
}

/// The loop's own.
struct Floor {
    residents: BTreeMap<ResidentId, Box<dyn Resident>>,
    ports: Ports,
    inbox: mpsc::Receiver<News>,
    answered: mpsc::UnboundedReceiver<News>,
    /// Closed when every task that must finish has finished.
    finished: mpsc::Receiver<Infallible>,
    door: JoinHandle<()>,
    /// Open while somebody here relays.
    low_doors: Vec<JoinHandle<()>>,
    way_in: WayIn,
    clock: ClockWatch,
    alarm: Alarm,
    /// What the alarm is set to.
    armed: Option<Instant>,
}

/// What more doors are opened with.
struct WayIn {
    ip: IpAddr,
    hall: Hall,
    to_loop: mpsc::Sender<News>,
}

/// What the loop woke for.
enum Wake {
    News(News),
    Datagrams,
    Relayed,
    Deadline,
}

impl Floor {
    async fn run(mut self) {
        let (mut inbox, mut pace) = (Inbox::new(), Pace::new(Instant::now()));
        loop {
            self.arm();
            let mut took = 0;
            match self.wake().await {
                Wake::News(News::Stop(done)) => {
                    self.stop().await;
                    let _ = done.send(());
                    return;
                }
                Wake::News(news) => self.take(news),
                // Both at once: a look costs nothing where there is nothing.
                Wake::Datagrams | Wake::Relayed => {
                    took = self.take_datagrams(&mut inbox) + self.take_relayed(&mut inbox);
                }
                Wake::Deadline => {
                    self.armed = None;
                    self.time_out();
                }
            }
            self.look_at_the_clock();
            self.ports.flush();
            // All tasks of the process rest with the loop, for half a millisecond at most.
            if took > 0
                && let Some(rest) = pace.took(Instant::now(), took)
            {
                std::thread::sleep(rest);
            }
        }
    }

    fn arm(&mut self) {
        let nearest = self.residents.values().filter_map(|resident| resident.deadline()).min();
        if self.armed != nearest {
            self.alarm.set(nearest);
            self.armed = nearest;
        }
    }

    async fn wake(&mut self) -> Wake {
        tokio::select! {
            Some(news) = self.answered.recv() => Wake::News(news),
            Some(news) = self.inbox.recv() => Wake::News(news),
            () = self.ports.datagrams.readable() => Wake::Datagrams,
            () = self.ports.relay_ports.rings() => Wake::Relayed,
            () = self.alarm.rings() => Wake::Deadline,
        }
    }

    fn take(&mut self, news: News) {
        match news {
            News::Guest { stream, from, service, seat } => self.admit(stream, from, service, seat),
            News::Link(who, id, news) => self.take_link(who, id, news),
            News::RelayPort(who, id, news) => self.take_relay_port(who, id, news),
            News::Network => self.network_changed(),
            News::Mapped(port, address) => self.give_all(|| Input::Mapped(port, address)),
            News::Nearby(who, sighting) => self.give(who, Input::Nearby(sighting)),
            News::Path(who, id, event) => self.take_path(who, id, event),
            News::Saved(who, id) => self.give(who, Input::Saved(id)),
            News::NotSaved(who, id, failure) => self.give(who, Input::NotSaved(id, failure)),
            News::Worked(who, id, worked) => self.give(who, Input::Worked(id, worked)),
            News::Voice(who, call, event) => self.give(who, Input::Voice(call, event)),
            News::Job(who, job) => {
                if let Some(resident) = self.residents.get_mut(&who) {
                    job(resident.machine(), Instant::now());
                    resident.drain(&mut self.ports);
                }
            }
            News::House(resident) => {
                let who = resident.id();
                self.residents.insert(who, resident);
                self.see_to_low_doors();
                self.give(who, Input::Clock(unix_now()));
            }
            News::Leave(who) => {
                self.residents.remove(&who);
                self.ports.release(who);
                self.see_to_low_doors();
            }
            News::Stop(_) => unreachable!("the loop looks for it first"),
        }
    }

    /// The low ports are for whoever needs a super-peer, or the authority, and reaches no other.
    fn see_to_low_doors(&mut self) {
        let is_needed = |service: &Service| match service {
            Service::Relay | Service::Authority => true,
            Service::SuperPeer | Service::Peer | Service::Nearby => false,
        };
        if !self.residents.values().any(|r| r.services().iter().any(is_needed)) {
            self.low_doors.drain(..).for_each(|door| door.abort());
        } else if self.low_doors.is_empty() {
            let WayIn { ip, hall, to_loop } = &self.way_in;
            self.low_doors = front_door::open_low_ports(*ip, hall, to_loop);
        }
    }

    fn give(&mut self, who: ResidentId, input: Input<'_>) {
        // News for a machine that has left are nobody's.
        if let Some(resident) = self.residents.get_mut(&who) {
            resident.handle(Instant::now(), input, &mut self.ports);
        }
    }

    fn admit(&mut self, stream: TcpStream, from: SocketAddr, service: Service, seat: Seat) {
        let host = self.residents.values().find(|host| host.services().contains(&service));
        let Some(who) = host.map(|host| host.id()) else {
            tracing::debug!(%from, ?service, "Connection for a service of nobody here dropped");
            return;
        };
        let id = self.ports.links.accept(who, stream, service, seat);
        self.give(who, Input::Link(id, LinkEvent::Accepted { from, service }));
    }

    fn take_link(&mut self, who: ResidentId, id: LinkId, news: LinkNews) {
        // News of a link that the machine has closed are stale.
        if !self.ports.links.is_open(who, id) {
            return;
        }
        let event = match &news {
            LinkNews::Connected { local } => LinkEvent::Connected { local: *local },
            LinkNews::Bytes(bytes) => LinkEvent::Bytes(bytes),
            LinkNews::Down(down) => {
                self.ports.links.forget(who, id);
                LinkEvent::Down(*down)
            }
        };
        self.give(who, Input::Link(id, event));
    }

    fn take_relay_port(&mut self, who: ResidentId, id: RelayPortId, news: PortNews) {
        let event = match news {
            PortNews::Opened(address) => RelayPortEvent::Opened(address),
            PortNews::Failed => RelayPortEvent::Failed,
        };
        self.give(who, Input::RelayPort(id, event));
    }

    fn take_path(&mut self, who: ResidentId, id: PathId, event: PathEvent) {
        if !self.ports.paths.is_open(who, id) {
            return;
        }
        if matches!(event, PathEvent::Down(_)) {
            self.ports.paths.forget(who, id);
        }
        self.give(who, Input::Path(id, event));
    }

    /// Gives the machines what has come to the main port; how many there were.
    fn take_datagrams(&mut self, inbox: &mut Inbox) -> usize {
        let mut took = 0;
        for _ in 0..BATCHES {
            let more = self.ports.datagrams.fill(inbox);
            took += inbox.len();
            let now = Instant::now();
            for (from, bytes) in inbox.iter() {
                // Read and forgotten where nobody wants them, so that the loop does not wake for
                // them again.
                for host in self.residents.values_mut().filter(|h| h.mail() == Mail::Delivered) {
                    host.handle(now, Input::Datagram { from, bytes }, &mut self.ports);
                }
            }
            if more == More::No {
                break;
            }
        }
        took
    }

    /// Gives the machines what has come to relay ports; how many there were.
    fn take_relayed(&mut self, inbox: &mut Inbox) -> usize {
        let (now, mut took) = (Instant::now(), 0);
        for _ in 0..PORTS {
            let Some((who, id)) = self.ports.relay_ports.fill(inbox) else { break };
            took += inbox.len();
            let Some(host) = self.residents.get_mut(&who) else { continue };
            for (from, bytes) in inbox.iter() {
                // It may have been closed for what came before.
                if self.ports.relay_ports.is_open(who, id) {
                    let event = RelayPortEvent::Datagram { from, bytes };
                    host.handle(now, Input::RelayPort(id, event), &mut self.ports);
                }
            }
        }
        took
    }

    fn time_out(&mut self) {
        let now = Instant::now();
        for resident in self.residents.values_mut() {
            if resident.deadline().is_some_and(|deadline| deadline <= now) {
                resident.handle(now, Input::Timeout, &mut self.ports);
            }
        }
    }

    fn look_at_the_clock(&mut self) {
        if let Some(wall) = self.clock.jumped(Instant::now(), unix_now()) {
            tracing::info!("The wall clock was set, or the computer slept");
            self.give_all(|| Input::Clock(wall));
            self.network_changed();
        }
    }

    fn network_changed(&mut self) {
        tracing::info!("The computer's addresses changed, or it slept");
        self.ports.links.in_another_network();
        self.give_all(|| Input::Network);
    }

    fn give_all(&mut self, input: impl Fn() -> Input<'static>) {
        for resident in self.residents.values_mut() {
            resident.handle(Instant::now(), input(), &mut self.ports);
        }
    }

    /// Lets everything finish that has been ordered: no later than [`LINGER`] and a little.
    async fn stop(self) {
        let Self { residents, ports, mut inbox, mut finished, door, low_doors, .. } = self;
        low_doors.iter().chain([&door]).for_each(JoinHandle::abort);
        drop((residents, ports));
        let quiet = async {
            // What still comes is nobody's, but its tasks must not wait for room.
            while tokio::select! {
                _ = finished.recv() => false,
                news = inbox.recv() => news.is_some(),
            } {}
        };
        let _ = timeout(LINGER + Duration::from_millis(200), quiet).await;
    }
}
