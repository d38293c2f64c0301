//! A media path by ICE: one `webrtc-ice` agent each.
//!
//! Source: RFC 8445, RFC 7675 (consent), RFC 8838 (trickle). The library's holes that are covered
//! here: `dial` and `accept` never return on failure, so they are cancelled; the waits before a
//! pair is nominated are far too long for a phone; candidates of the other side are checked before
//! it sees them. Not covered by it at all: TURN over TCP, role conflicts (roles are by protocol),
//! moving to a better pair later. Invariant: however a path ends, its agent is closed: sockets are
//! shut and the relay's allocation released.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use earshot_proto::port::{
    PathDown, PathEvent, PathFacts, PathKind, PathOrder, PathPolicy, RelayServer,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use webrtc_ice::agent::Agent;
use webrtc_ice::agent::agent_config::AgentConfig;
use webrtc_ice::candidate::candidate_base::unmarshal_candidate;
use webrtc_ice::candidate::{Candidate, CandidateType};
use webrtc_ice::mdns::MulticastDnsMode;
use webrtc_ice::network_type::NetworkType;
use webrtc_ice::state::ConnectionState;
use webrtc_ice::url::{ProtoType, SchemeType, Url};
use webrtc_util::Conn;

use super::candidate::{RemoteCandidate, without_related};
use super::{IceGround, Inlet, MediaPath, PathGone, PathReport};

/// Waits before a pair of this kind is nominated, in which a better one may still succeed: the
/// library never moves to a better pair later. One round trip on a usual line is 20 to 100 ms; both
/// sides' checks run while it rings, so nobody hears these waits unless he picks up at once.
const SRFLX_WAIT: Duration = Duration::from_millis(100);
const PRFLX_WAIT: Duration = Duration::from_millis(150);
const RELAY_WAIT: Duration = Duration::from_millis(300);
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
/// Consent checks while the path is up (RFC 7675, section 5.1: 5 s at most; faster finds a dead
/// path sooner).
const KEEPALIVE: Duration = Duration::from_secs(1);
/// Silence after which the library calls a path disconnected, and then failed. Together the time
/// for connecting, too. A path that is silent for ten seconds is lost; consent would end after 30.
const DISCONNECTED_AFTER: Duration = Duration::from_millis(2_500);
const FAILED_AFTER: Duration = Duration::from_millis(7_500);
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
}

type Connected = Result<Arc<dyn Conn + Send + Sync>, webrtc_ice::Error>;

/// What the agent's callbacks tell.
enum News {
    Candidate(Option<String>),
    State(ConnectionState),
}

/// Makes a path and serves it until it is lost or closed.
pub(super) async fn make(
    opening: Opening,
    orders: mpsc::UnboundedReceiver<PathOrder>,
    report: PathReport,
) {
    let (tell, mut news) = mpsc::unbounded_channel();
    let agent = match agent(&opening, tell).await {
        Ok(agent) => Arc::new(agent),
        Err(error) => {
            tracing::warn!(%error, "No ICE agent could be made");
            return report.tell(PathEvent::Down(PathDown::Unavailable));
        }
    };
    let (ufrag, password) = agent.get_local_user_credentials().await;
    report.tell(PathEvent::Local { ufrag, password });
    let mut path = Path {
        controlling: opening.controlling,
        servers: opening.servers,
        remotes: Vec::new(),
        told: 0,
        gathering: true,
        checks: None,
        up: None,
        report,
        agent: Arc::clone(&agent),
    };
    if let Some(down) = path.serve(orders, &mut news).await {
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
    tell: mpsc::UnboundedSender<News>,
) -> Result<Agent, webrtc_ice::Error> {
    let (candidate_types, relay_wait, check_interval) = match opening.policy {
        PathPolicy::Any => (Vec::new(), RELAY_WAIT, CHECK_INTERVAL),
        // There is nothing better to wait for.
        PathPolicy::RelayOnly => {
            (vec![CandidateType::Relay], Duration::ZERO, RELAYED_CHECK_INTERVAL)
        }
    };
    let checks_max = CHECKED_FOR.as_millis() / check_interval.as_millis();
    let config = AgentConfig {
        urls: opening.servers.iter().map(url).collect(),
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
        let attribute = candidate.map(|candidate| without_related(&candidate.marshal()));
        let _ = candidates.send(News::Candidate(attribute));
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

/// Without a user name it is asked for our address only.
fn url(server: &RelayServer) -> Url {
    let stun_only = server.username.is_empty();
    Url {
        scheme: if stun_only { SchemeType::Stun } else { SchemeType::Turn },
        host: server.address.ip().to_string(),
        port: server.address.port(),
        username: server.username.clone(),
        password: server.password.clone(),
        proto: ProtoType::Udp,
    }
}

/// A path on its way, or up.
struct Path {
    controlling: bool,
    servers: Vec<RelayServer>,
    remotes: Vec<RemoteCandidate>,
    /// Candidates of ours that were told.
    told: usize,
    gathering: bool,
    checks: Option<Checks>,
    up: Option<Arc<IcePath>>,
    report: PathReport,
    agent: Arc<Agent>,
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
            News::Candidate(Some(attribute)) => {
                self.told += 1;
                self.report.tell(PathEvent::Candidate(attribute));
            }
            News::Candidate(None) => {
                self.gathering = false;
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
        let path = Arc::new(IcePath {
            conn: Arc::clone(&conn),
            runtime: tokio::runtime::Handle::current(),
            late: Arc::default(),
            closed: AtomicBool::new(false),
        });
        let inlet = Arc::<Inlet>::default();
        tokio::spawn(receive(conn, Arc::clone(&inlet)));
        self.report.is_up(Arc::clone(&path) as _, inlet);
        self.up = Some(path);
        tracing::info!(kind = ?facts.kind, "Path up");
        self.report.tell(PathEvent::Up(facts));
        Ok(())
    }

    fn facts(&self) -> Option<PathFacts> {
        let pair = self.agent.get_selected_candidate_pair()?;
        let (local, remote) = (pair.local.addr(), pair.remote.addr());
        let ours = kind_of(pair.local.candidate_type());
        // A check may have come before the candidate that announced its address.
        let announced = self.remotes.iter().find(|candidate| candidate.address == remote);
        let theirs =
            announced.map_or_else(|| kind_of(pair.remote.candidate_type()), |found| found.kind);
        let relay = match (ours, theirs) {
            (PathKind::RelayUdp, _) => self.relay_of(local),
            (_, PathKind::RelayUdp) => Some(remote),
            (_, _) => None,
        };
        let kind = if hiding(ours) < hiding(theirs) { theirs } else { ours };
        Some(PathFacts { kind, local, remote, relay, rtt_ms: None })
    }

    /// The server that gave us this relayed address: the one with the same host, as ours have.
    fn relay_of(&self, relayed: SocketAddr) -> Option<SocketAddr> {
        let mut servers = self.servers.iter().filter(|server| !server.username.is_empty());
        let same = servers.clone().find(|server| server.address.ip() == relayed.ip());
        same.or_else(|| servers.next()).map(|server| server.address)
    }
}

/// Ends when the checks under way do; never without any.
async fn connected(checks: &mut Option<Checks>) -> Option<Connected> {
    match checks {
        Some(checks) => (&mut checks.connected).await.ok(),
        None => std::future::pending().await,
    }
}

fn kind_of(candidate: CandidateType) -> PathKind {
    match candidate {
        CandidateType::Host | CandidateType::Unspecified => PathKind::Host,
        CandidateType::ServerReflexive => PathKind::ServerReflexive,
        CandidateType::PeerReflexive => PathKind::PeerReflexive,
        CandidateType::Relay => PathKind::RelayUdp,
    }
}

/// How much a kind of candidate hides of its host.
fn hiding(kind: PathKind) -> u8 {
    match kind {
        PathKind::Host => 0,
        PathKind::ServerReflexive => 1,
        PathKind::PeerReflexive => 2,
        PathKind::RelayUdp | PathKind::RelayTcp => 3,
    }
}

/// Gives all that comes to the inlet until the agent is closed.
async fn receive(conn: Arc<dyn Conn + Send + Sync>, inlet: Arc<Inlet>) {
    let mut packet = vec![0; PACKET_MAX];
    while let Ok(length) = conn.recv(&mut packet).await {
        inlet.take(Instant::now(), &packet[..length]);
    }
}

/// Sends over an agent's selected pair.
struct IcePath {
    conn: Arc<dyn Conn + Send + Sync>,
    runtime: tokio::runtime::Handle,
    late: Arc<AtomicUsize>,
    closed: AtomicBool,
}

impl MediaPath for IcePath {
    /// Sending is asynchronous in the library, yet it hardly ever waits: so it is tried on the
    /// calling thread, which costs no switch of threads, and only what must wait is left to the
    /// runtime.
    fn send(&self, packet: &[u8]) -> Result<(), PathGone> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(PathGone);
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
