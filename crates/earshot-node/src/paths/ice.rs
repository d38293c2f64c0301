//! A media path by ICE: one `webrtc-ice` agent each.
//!
//! Source: RFC 8445, RFC 7675 (consent), RFC 8838 (trickle). The library's holes that are covered
//! here: `dial` and `accept` never return on failure, so they are cancelled; the waits before a
//! pair is nominated are far too long for a phone; candidates of the other side are checked before
//! it sees them; a relay over TCP, or over IPv6, is given to it as one on this computer
//! ([`shim`](super::shim)); whether a path is alive is found out beside it ([`Pulse`]). It knows no
//! role conflicts (roles are by protocol) and never moves to a better pair: who wants one makes
//! another path. Invariant: however a path ends, its agent is closed: sockets are shut and the
//! relay's allocation released.

use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use earshot_proto::port::{
    PairOutcome, PathDown, PathEvent, PathFacts, PathKind, PathOrder, PathPolicy, RelayServer,
    RelayTransport, TriedPair,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep_until, timeout};
use webrtc_ice::agent::Agent;
use webrtc_ice::agent::agent_config::AgentConfig;
use webrtc_ice::agent::agent_stats::CandidateStats;
use webrtc_ice::candidate::candidate_base::unmarshal_candidate;
use webrtc_ice::candidate::{Candidate, CandidatePairState, CandidateType};
use webrtc_ice::mdns::MulticastDnsMode;
use webrtc_ice::network_type::NetworkType;
use webrtc_ice::state::ConnectionState;
use webrtc_ice::udp_network::{EphemeralUDP, UDPNetwork};
use webrtc_ice::url::{ProtoType, SchemeType, Url};
use webrtc_util::Conn;

use super::candidate::{RemoteCandidate, forwarded, hiding, kind_of, without_related};
use super::pulse::{Pulse, Taken, is_probe};
use super::shim::Shim;
use super::{IceGround, Inlet, MediaPath, PathGone, PathReport};
use crate::mapping::{Lease, SoundPorts};
use crate::ways::Ways;

/// Waits before a pair of this kind is nominated, in which a better one may still succeed: a second
/// path costs more than a wait that nobody hears, since both sides' checks run while it rings. One
/// round trip on a usual line is 20 to 100 ms; who picks up at once talks over the relay first.
const SRFLX_WAIT: Duration = Duration::from_millis(50);
const PRFLX_WAIT: Duration = Duration::from_millis(100);
const RELAY_WAIT: Duration = Duration::from_millis(200);
/// How often all pairs are checked while connecting. The relay lets ten checks a second pass to an
/// address that has not answered yet (DESIGN 2.12); the library's 200 ms would add as much to each
/// set-up.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// The same where all is relayed: there is one pair, no further candidate sets off a check, and the
/// pair is nominated one interval after its check was answered. The first ten checks pass the relay
/// in a burst; who has not answered within 0.3 s is checked ten times a second all the same.
const RELAYED_CHECK_INTERVAL: Duration = Duration::from_millis(30);
/// How long a pair is checked before it is given up: for the whole time of connecting, since the
/// other side may start later (the library's 7 checks would be over after 0.7 s).
const CHECKED_FOR: Duration = Duration::from_secs(10);
/// Consent checks while the path is up (RFC 7675, section 5.1: 5 s at most). A dead path is found
/// by its pulse.
const KEEPALIVE: Duration = Duration::from_secs(4);
/// Silence after which the library calls a path disconnected, and then failed: together as long as
/// consent lasts (RFC 7675, section 5.1), so that a path comes back by itself from a shorter
/// silence. That the voice leaves it is decided long before.
const DISCONNECTED_AFTER: Duration = Duration::from_secs(10);
const FAILED_AFTER: Duration = Duration::from_secs(20);
/// Probes of the other side that wait to be answered; one that asks more often is not answered each
/// time.
const PROBES_MAX: usize = 8;
/// Candidates of the other side that are taken; a host with four interfaces of both families,
/// reflexive and relayed ones has about 20.
const CANDIDATES_MAX: usize = 32;
/// How long gathering may go on: the library asks a STUN server for 5 s and a TURN server, by seven
/// retransmissions, for some 8 s.
const GATHER_PATIENCE: Duration = Duration::from_secs(10);
/// How long releasing the relay's allocation may take.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);
/// Packets that wait for the runtime because they could not be sent at once; more are dropped.
const LATE_MAX: usize = 64;
/// The longest packet that is received, in bytes.
const PACKET_MAX: usize = 2048;

/// What a path is to be made of.
pub(super) struct Opening {
    pub(super) controlling: bool,
    pub(super) servers: Vec<RelayServer>,
    pub(super) policy: PathPolicy,
    pub(super) ground: IceGround,
    pub(super) ways: Ways,
    pub(super) sound_ports: Option<SoundPorts>,
}

type Connected = Result<Arc<dyn Conn + Send + Sync>, webrtc_ice::Error>;

/// What the agent's callbacks tell.
enum News {
    Candidate(Option<(CandidateType, String)>),
    State(ConnectionState),
}

/// Probes that came, and when.
type Probes = mpsc::Sender<(Instant, Vec<u8>)>;

/// Makes a path and serves it until it is lost or closed.
pub(super) async fn make(
    opening: Opening,
    orders: mpsc::UnboundedReceiver<PathOrder>,
    report: PathReport,
) {
    let (tell, mut news) = mpsc::unbounded_channel();
    let lease = match &opening.sound_ports {
        Some(ports) if opening.policy != PathPolicy::RelayOnly => ports.lease().await,
        Some(_) | None => None,
    };
    let mut shims = Vec::new();
    let agent = match agent(&opening, lease.as_ref(), &mut shims, tell).await {
        Ok(agent) => Arc::new(agent),
        Err(error) => {
            tracing::warn!(%error, "No ICE agent could be made");
            return report.tell(PathEvent::Down(PathDown::Unavailable));
        }
    };
    let (ufrag, password) = agent.get_local_user_credentials().await;
    report.tell(PathEvent::Local { ufrag, password });
    if let Some(lease) = &lease {
        report.tell(PathEvent::Candidate(forwarded(lease.external)));
    }
    let relays = opening.policy != PathPolicy::DirectOnly;
    let lacks_relay = relays && opening.servers.iter().any(RelayServer::relays);
    let mut path = Path {
        lacks_relay,
        controlling: opening.controlling,
        servers: opening.servers,
        remotes: Vec::new(),
        told: 0,
        gathering: true,
        checks: None,
        give_up: None,
        up: None,
        pulse: None,
        report,
        agent: Arc::clone(&agent),
    };
    if let Some(down) = path.serve(orders, &mut news).await {
        path.tell_tried().await;
        path.report.tell(PathEvent::Down(down));
    }
    path.checks = None;
    if let Some(up) = &path.up {
        up.closed.store(true, Ordering::Relaxed);
    }
    if path.gathering {
        // A relay's answer that came after the agent was closed would leave its allocation and
        // socket behind.
        let gathered =
            async { while !matches!(news.recv().await, Some(News::Candidate(None)) | None) {} };
        let _ = timeout(GATHER_PATIENCE, gathered).await;
    }
    // Its errors are those of sockets that are going anyway.
    let _ = timeout(CLOSE_PATIENCE, agent.close()).await;
}

async fn agent(
    opening: &Opening,
    lease: Option<&Lease>,
    shims: &mut Vec<Shim>,
    tell: mpsc::UnboundedSender<News>,
) -> Result<Agent, webrtc_ice::Error> {
    use CandidateType::{Host, Relay, ServerReflexive};
    let mut urls = Vec::new();
    for server in &opening.servers {
        urls.extend(url(server, &opening.ways, shims).await);
    }
    let (candidate_types, relay_wait, check_interval) = match opening.policy {
        // What a shim sees of our address is not ours.
        PathPolicy::Any if !shims.is_empty() => (vec![Host, Relay], RELAY_WAIT, CHECK_INTERVAL),
        PathPolicy::Any => (Vec::new(), RELAY_WAIT, CHECK_INTERVAL),
        PathPolicy::DirectOnly => (vec![Host, ServerReflexive], RELAY_WAIT, CHECK_INTERVAL),
        // There is nothing better to wait for.
        PathPolicy::RelayOnly => (vec![Relay], Duration::ZERO, RELAYED_CHECK_INTERVAL),
    };
    let udp_network = match lease {
        Some(lease) => UDPNetwork::Ephemeral(EphemeralUDP::new(lease.port, lease.port)?),
        None => UDPNetwork::default(),
    };
    let checks_max = CHECKED_FOR.as_millis() / check_interval.as_millis();
    let config = AgentConfig {
        urls,
        udp_network,
        network_types: vec![NetworkType::Udp4, NetworkType::Udp6],
        candidate_types,
        multicast_dns_mode: MulticastDnsMode::Disabled,
        is_controlling: opening.controlling,
        check_interval,
        max_binding_requests: Some(checks_max as u16),
        host_acceptance_min_wait: Some(Duration::ZERO),
        srflx_acceptance_min_wait: Some(SRFLX_WAIT),
        prflx_acceptance_min_wait: Some(PRFLX_WAIT),
        relay_acceptance_min_wait: Some(relay_wait),
        keepalive_interval: Some(KEEPALIVE),
        disconnected_timeout: Some(DISCONNECTED_AFTER),
        failed_timeout: Some(FAILED_AFTER),
        include_loopback: opening.ground.include_loopback,
        ip_filter: Arc::new(Some(Box::new(is_of_use))),
        ..AgentConfig::default()
    };
    let agent = Agent::new(config).await?;
    let candidates = tell.clone();
    agent.on_candidate(Box::new(move |candidate| {
        let told = |c: Arc<dyn Candidate + Send + Sync>| {
            (c.candidate_type(), without_related(&c.marshal()))
        };
        let _ = candidates.send(News::Candidate(candidate.map(told)));
        Box::pin(std::future::ready(()))
    }));
    agent.on_connection_state_change(Box::new(move |state| {
        let _ = tell.send(News::State(state));
        Box::pin(std::future::ready(()))
    }));
    agent.gather_candidates()?;
    Ok(agent)
}

/// IPv6 link-local addresses mean nothing without their interface, which a candidate does not
/// carry.
fn is_of_use(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_link_local(),
        IpAddr::V6(ip) => !ip.is_unicast_link_local(),
    }
}

/// As the library takes it. Without a user name it is asked for our address only, and then by
/// datagrams or not at all.
async fn url(server: &RelayServer, ways: &Ways, shims: &mut Vec<Shim>) -> Option<Url> {
    let stun_only = !server.relays();
    let address = match (server.transport, server.address) {
        (RelayTransport::Udp, SocketAddr::V4(address)) => SocketAddr::V4(address),
        (RelayTransport::Udp | RelayTransport::Tcp, _) if stun_only => return None,
        (RelayTransport::Udp | RelayTransport::Tcp, _) => {
            let shim = Shim::open(server, ways).await;
            let shim = shim.inspect_err(|error| tracing::warn!(%error, "No shim for a relay"));
            let shim = shim.ok()?;
            let address = shim.address();
            shims.push(shim);
            address
        }
    };
    Some(Url {
        scheme: if stun_only { SchemeType::Stun } else { SchemeType::Turn },
        host: address.ip().to_string(),
        port: address.port(),
        username: server.username.clone(),
        password: server.password.clone(),
        proto: ProtoType::Udp,
    })
}

/// A path on its way, or up.
struct Path {
    controlling: bool,
    servers: Vec<RelayServer>,
    remotes: Vec<RemoteCandidate>,
    /// Candidates of ours that were told.
    told: usize,
    /// A relay was asked for an address and has given none yet.
    lacks_relay: bool,
    gathering: bool,
    checks: Option<Checks>,
    /// When it is given up, unless it is up.
    give_up: Option<Instant>,
    up: Option<Arc<IcePath>>,
    pulse: Option<Beating>,
    report: PathReport,
    agent: Arc<Agent>,
}

/// The pulse of a path that is up, and the probes that come.
struct Beating {
    pulse: Pulse,
    /// Whether anything else has come or gone since the last beat.
    used: Arc<AtomicBool>,
    probes: mpsc::Receiver<(Instant, Vec<u8>)>,
}

/// What the pulse is to do.
enum Beat {
    Due,
    Probe(Instant, Vec<u8>),
}

/// Ends when the pulse has something to do; never without one.
async fn beat(beating: &mut Option<Beating>) -> Beat {
    let Some(Beating { pulse, probes, .. }) = beating else { return std::future::pending().await };
    tokio::select! {
        Some((at, packet)) = probes.recv() => Beat::Probe(at, packet),
        () = sleep_until(pulse.due().into()) => Beat::Due,
    }
}

/// Ends at the moment, if there is one.
async fn given_up(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Connectivity checks under way. Dropping it cancels them.
struct Checks {
    connected: oneshot::Receiver<Connected>,
    _cancel: mpsc::Sender<()>,
}

impl Path {
    /// Says why the path is down; `None` when it was closed.
    async fn serve(
        &mut self,
        mut orders: mpsc::UnboundedReceiver<PathOrder>,
        news: &mut mpsc::UnboundedReceiver<News>,
    ) -> Option<PathDown> {
        loop {
            let step = tokio::select! {
                order = orders.recv() => self.order(order?),
                Some(news) = news.recv() => self.hear(news),
                connected = connected(&mut self.checks) => self.come_up(connected).await,
                beat = beat(&mut self.pulse) => self.beat(&beat),
                () = given_up(self.give_up) => Err(PathDown::NoPair),
            };
            if let Err(down) = step {
                return Some(down);
            }
        }
    }

    fn order(&mut self, order: PathOrder) -> Result<(), PathDown> {
        match order {
            PathOrder::Remote { ufrag, password } => {
                // A second set would be a restart, which nobody asks for.
                if self.checks.is_none() && self.up.is_none() {
                    self.give_up = Some(Instant::now() + CHECKED_FOR);
                    self.checks = Some(self.start_checks(ufrag, password));
                }
            }
            PathOrder::Candidate(text) => self.add_remote(&text),
            PathOrder::Open { .. } | PathOrder::Close => {}
        }
        Ok(())
    }

    fn start_checks(&self, ufrag: String, password: String) -> Checks {
        let (cancel, cancelled) = mpsc::channel(1);
        let (done, connected) = oneshot::channel();
        let (agent, controlling) = (Arc::clone(&self.agent), self.controlling);
        tokio::spawn(async move {
            let conn: Connected = if controlling {
                agent.dial(cancelled, ufrag, password).await.map(|conn| conn as _)
            } else {
                agent.accept(cancelled, ufrag, password).await.map(|conn| conn as _)
            };
            let _ = done.send(conn);
        });
        Checks { connected, _cancel: cancel }
    }

    fn add_remote(&mut self, text: &str) {
        let Some(candidate) = RemoteCandidate::parse(text) else {
            tracing::debug!("Candidate passed over: not one that ICE can use");
            return;
        };
        if self.remotes.len() >= CANDIDATES_MAX || self.remotes.contains(&candidate) {
            return;
        }
        match unmarshal_candidate(&candidate.to_attribute()) {
            Ok(remote) => {
                let remote: Arc<dyn Candidate + Send + Sync> = Arc::new(remote);
                let _ = self.agent.add_remote_candidate(&remote);
                self.remotes.push(candidate);
            }
            Err(error) => tracing::debug!(%error, "Candidate refused"),
        }
    }

    fn hear(&mut self, news: News) -> Result<(), PathDown> {
        match news {
            News::Candidate(Some((kind, attribute))) => {
                self.told += 1;
                self.lacks_relay &= kind != CandidateType::Relay;
                self.report.tell(PathEvent::Candidate(attribute));
            }
            News::Candidate(None) => {
                self.gathering = false;
                if self.lacks_relay {
                    self.report.tell(PathEvent::NoRelay);
                }
                self.report.tell(PathEvent::EndOfCandidates);
                if self.told == 0 {
                    return Err(PathDown::Unavailable);
                }
            }
            News::State(ConnectionState::Failed | ConnectionState::Closed) => {
                return Err(if self.up.is_some() { PathDown::Lost } else { PathDown::NoPair });
            }
            News::State(state) => tracing::debug!(%state, "ICE"),
        }
        Ok(())
    }

    async fn come_up(&mut self, connected: Option<Connected>) -> Result<(), PathDown> {
        self.checks = None;
        let Some(Ok(conn)) = connected else { return Err(PathDown::NoPair) };
        let facts = self.facts().ok_or(PathDown::NoPair)?;
        let used = Arc::<AtomicBool>::default();
        let path = Arc::new(IcePath {
            conn: Arc::clone(&conn),
            runtime: tokio::runtime::Handle::current(),
            late: Arc::default(),
            closed: AtomicBool::new(false),
            used: Arc::clone(&used),
        });
        let inlet = Arc::<Inlet>::default();
        let (tell, probes) = mpsc::channel(PROBES_MAX);
        tokio::spawn(receive(conn, Arc::clone(&inlet), tell, Arc::clone(&used)));
        self.give_up = None;
        self.pulse = Some(Beating { pulse: Pulse::new(Instant::now()), used, probes });
        self.report.is_up(Arc::clone(&path) as _, inlet, facts.kind);
        self.up = Some(path);
        tracing::info!(kind = ?facts.kind, "Path up");
        self.report.tell(PathEvent::Up(facts));
        self.tell_tried().await;
        Ok(())
    }

    fn beat(&mut self, beat: &Beat) -> Result<(), PathDown> {
        let (Some(Beating { pulse, used, .. }), Some(path)) = (&mut self.pulse, &self.up) else {
            return Ok(());
        };
        let sent = match beat {
            Beat::Due => {
                let now = Instant::now();
                pulse.note_use(now, used.swap(false, Ordering::Relaxed));
                pulse.beat(now)
            }
            Beat::Probe(at, packet) => match pulse.take(*at, packet) {
                Taken::Answer(answer) => Some(answer),
                Taken::Noted => None,
            },
        };
        if let Some(probe) = sent {
            // A path that is closed beats no more.
            let _ = path.send(&probe);
        }
        if let Some(event) = pulse.event() {
            self.report.tell(event);
        }
        Ok(())
    }

    /// Tells what came of the pairs of candidates.
    async fn tell_tried(&self) {
        let known = |stats: Vec<CandidateStats>| -> HashMap<String, CandidateStats> {
            stats.into_iter().map(|candidate| (candidate.id.clone(), candidate)).collect()
        };
        let ours = known(self.agent.get_local_candidates_stats().await);
        let theirs = known(self.agent.get_remote_candidates_stats().await);
        let pairs = self.agent.get_candidate_pairs_stats().await.into_iter();
        let tried = pairs.filter_map(|pair| {
            Some(TriedPair {
                local: place(ours.get(&pair.local_candidate_id)?)?,
                remote: place(theirs.get(&pair.remote_candidate_id)?)?,
                outcome: match pair.state {
                    CandidatePairState::Succeeded => PairOutcome::Succeeded,
                    CandidatePairState::Failed => PairOutcome::Failed,
                    CandidatePairState::Unspecified
                    | CandidatePairState::Waiting
                    | CandidatePairState::InProgress => PairOutcome::Open,
                },
            })
        });
        self.report.tell(PathEvent::Tried(tried.collect()));
    }

    fn facts(&self) -> Option<PathFacts> {
        let pair = self.agent.get_selected_candidate_pair()?;
        let (local, remote) = (pair.local.addr(), pair.remote.addr());
        let ours = kind_of(pair.local.candidate_type());
        // A check may have come before the candidate that announced its address.
        let announced = self.remotes.iter().find(|candidate| candidate.address == remote);
        let theirs =
            announced.map_or_else(|| kind_of(pair.remote.candidate_type()), |found| found.kind);
        let granted = self.relay_of(local).filter(|_| ours == PathKind::RelayUdp);
        let theirs_relays = theirs == PathKind::RelayUdp;
        let relay = granted.map(|server| server.address).or(theirs_relays.then_some(remote));
        // ICE does not know that its way to our relay is a stream.
        let by_stream = granted.is_some_and(|server| server.transport == RelayTransport::Tcp);
        let kind = if by_stream {
            PathKind::RelayTcp
        } else if hiding(ours) < hiding(theirs) {
            theirs
        } else {
            ours
        };
        Some(PathFacts { kind, local, remote, relay, rtt_ms: None })
    }

    /// The server that gave us this relayed address: the one with the same host, as ours have.
    fn relay_of(&self, relayed: SocketAddr) -> Option<&RelayServer> {
        let mut servers = self.servers.iter().filter(|server| server.relays());
        let same = servers.clone().find(|server| server.address.ip() == relayed.ip());
        same.or_else(|| servers.next())
    }
}

/// Ends when the checks under way do; never without any.
async fn connected(checks: &mut Option<Checks>) -> Option<Connected> {
    match checks {
        Some(checks) => (&mut checks.connected).await.ok(),
        None => std::future::pending().await,
    }
}

fn place(candidate: &CandidateStats) -> Option<(PathKind, SocketAddr)> {
    let ip: IpAddr = candidate.ip.parse().ok()?;
    Some((kind_of(candidate.candidate_type), SocketAddr::new(ip, candidate.port)))
}

/// Gives all that comes to the inlet, and probes to the pulse, until the agent is closed.
async fn receive(
    conn: Arc<dyn Conn + Send + Sync>,
    inlet: Arc<Inlet>,
    probes: Probes,
    used: Arc<AtomicBool>,
) {
    let mut buffer = vec![0; PACKET_MAX];
    while let Ok(length) = conn.recv(&mut buffer).await {
        let (now, packet) = (Instant::now(), &buffer[..length]);
        if is_probe(packet) {
            // More than wait are not answered.
            let _ = probes.try_send((now, packet.to_vec()));
        } else {
            used.store(true, Ordering::Relaxed);
            inlet.take(now, packet);
        }
    }
}

/// Sends over an agent's selected pair.
struct IcePath {
    conn: Arc<dyn Conn + Send + Sync>,
    runtime: tokio::runtime::Handle,
    late: Arc<AtomicUsize>,
    closed: AtomicBool,
    /// Whether anything but probes went or came since the last beat.
    used: Arc<AtomicBool>,
}

impl MediaPath for IcePath {
    /// Sending is asynchronous in the library, yet it hardly ever waits: so it is tried on the
    /// calling thread, which costs no switch of threads, and only what must wait is left to the
    /// runtime.
    fn send(&self, packet: &[u8]) -> Result<(), PathGone> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(PathGone);
        }
        if !is_probe(packet) {
            self.used.store(true, Ordering::Relaxed);
        }
        let (conn, packet) = (Arc::clone(&self.conn), packet.to_vec());
        let mut sending: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
            // What a socket refuses is lost, as on the way; a lost path is found by its silence.
            let _ = conn.send(&packet).await;
        });
        let _inside = self.runtime.enter();
        let tried = sending.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if tried == Poll::Ready(()) {
            return Ok(());
        }
        if self.late.fetch_add(1, Ordering::Relaxed) < LATE_MAX {
            let late = Arc::clone(&self.late);
            self.runtime.spawn(async move {
                sending.await;
                late.fetch_sub(1, Ordering::Relaxed);
            });
        } else {
            self.late.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(())
    }
}
