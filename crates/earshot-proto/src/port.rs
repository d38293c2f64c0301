//! The whole vocabulary between a machine and the world.
//!
//! A machine takes [`Input`]s and gives [`Output`]s; what is not in this file cannot reach it, nor
//! can it reach anything else. `N` is what the role tells its owner (events), `R` what it wants
//! kept on disk (records).

use std::net::{SocketAddr, SocketAddrV6};
use std::time::Instant;

use crate::ids::{CallId, NearbyTag};
use crate::secure::password::{Work, Worked};
use crate::time::UnixTime;

/// An address as it is compared and told: a socket of both families shows IPv4 as IPv6.
#[must_use]
pub const fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// A machine of this crate: the contract of every role (see the crate's first page).
pub trait Machine {
    /// What it tells its owner.
    type Notice;
    /// What it wants kept on disk.
    type Record;

    /// Takes one thing that happened. `now` never runs backwards.
    fn handle(&mut self, now: Instant, input: Input<'_>);

    /// Gives one thing to do; [`Output::Wait`] when there is nothing more until the next input.
    fn poll_output(&mut self) -> Output<Self::Notice, Self::Record>;
}

/// A stream connection (TCP), named by whoever opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkId {
    /// Dialled by this machine, which chose the number.
    Dialled(u32),
    /// Accepted from outside; the world chose the number.
    Accepted(u32),
}

/// What a connection is for. The first four bytes of a TCP connection are the preface
/// `45 53 <major> <service>` ("ES"), so that one port serves every role of a process; only the
/// relay's clients, which speak TURN and nothing of ours, have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Service {
    /// To a super-peer's relay, by TURN over TCP: known by its first byte, which is that of a STUN
    /// request, 0.
    Relay = 0,
    /// To a super-peer, from a peer or another super-peer.
    SuperPeer = 1,
    /// To the login authority.
    Authority = 2,
    /// To an ordinary peer, from a buddy who calls (lecture, slide 32, first case).
    Peer = 3,
    /// To an ordinary peer, from a buddy on the same local network, without the Internet.
    Nearby = 4,
}

impl Service {
    /// The service that a preface byte names, if any; none names the relay.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::SuperPeer),
            2 => Some(Self::Authority),
            3 => Some(Self::Peer),
            4 => Some(Self::Nearby),
            _ => None,
        }
    }
}

/// A media path between two peers, made by ICE outside this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathId(pub u32);

/// A UDP port that the relay has opened for one allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelayPortId(pub u32);

/// A record given to the disk, named so that its safety can be reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SaveId(pub u64);

/// Long computation handed out, named so that its result finds its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkId(pub u32);

/// One thing that happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// The deadline named by [`Output::Wait`] has come (or was passed; being early does no harm).
    Timeout,
    /// The wall clock says this now (at the start, and after it was set).
    Clock(UnixTime),
    /// The addresses of this computer changed, or it slept: what was made before may be dead.
    Network,
    /// A router forwards what comes to this address to a port of ours; or none does any more.
    Mapped(MappedPort, Option<SocketAddr>),
    /// Devices on the local network come and go.
    Nearby(Sighting),
    /// A UDP datagram came to our main port.
    Datagram {
        /// Who sent it, as the socket saw.
        from: SocketAddr,
        /// Its payload.
        bytes: &'a [u8],
    },
    /// Something happened on a link.
    Link(LinkId, LinkEvent<'a>),
    /// Something happened on a media path.
    Path(PathId, PathEvent),
    /// Something happened at a relay port.
    RelayPort(RelayPortId, RelayPortEvent<'a>),
    /// The record is on disk: written and flushed, so that a power cut does not undo it.
    Saved(SaveId),
    /// The record could not be kept (disk full, file gone).
    NotSaved(SaveId, SaveFailure),
    /// The long computation is done.
    Worked(WorkId, Box<Worked>),
    /// The voice of a call reports.
    Voice(CallId, VoiceEvent),
}

/// A device of this network, seen on the local network (mDNS: RFC 6762).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// It announces itself and takes links at this address; said once for each of its addresses.
    Seen {
        /// What it calls itself.
        tag: NearbyTag,
        /// Where it takes links.
        at: SocketAddr,
    },
    /// It is not announced any more.
    Gone(NearbyTag),
}

/// What happens on a link.
#[derive(Debug, PartialEq, Eq)]
pub enum LinkEvent<'a> {
    /// A connection to us was accepted and its preface named a service of ours.
    Accepted {
        /// The other end's address.
        from: SocketAddr,
        /// The service asked for.
        service: Service,
    },
    /// Our dial succeeded (the preface is sent by the world).
    Connected {
        /// Our own address on this connection.
        local: SocketAddr,
    },
    /// Bytes came, in order.
    Bytes(&'a [u8]),
    /// The link is gone; its id is not used again.
    Down(LinkDown),
}

/// Why a link is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkDown {
    /// Nobody listens there.
    Refused,
    /// No answer in time, or no route.
    Unreachable,
    /// The other side closed.
    Closed,
    /// The connection broke.
    Broken,
    /// We wrote faster than the other side read; the bounded queue ran over.
    Overrun,
}

/// One thing to do.
#[derive(Debug)]
pub enum Output<N, R> {
    /// Send a UDP datagram from our main port.
    Send(Transmit),
    /// Do something with a link.
    Link(LinkId, LinkOrder),
    /// Do something with a media path.
    Path(PathId, PathOrder),
    /// Do something with a relay port.
    RelayPort(RelayPortId, RelayPortOrder),
    /// Start, change or stop the voice of a call.
    Voice(CallId, VoiceOrder),
    /// Call this device so on the local network from now on, in place of what was said before, and
    /// tell of others who are there; or be silent there, and tell of nobody.
    Nearby(Option<NearbyTag>),
    /// Keep this record; answer [`Input::Saved`] only when it would survive a power cut.
    Save(SaveId, R),
    /// Compute this off the event loop and answer [`Input::Worked`].
    Work(WorkId, Box<Work>),
    /// Tell the owner.
    Notify(N),
    /// Nothing more to do: sleep until the deadline (if any) or the next input.
    Wait(Option<Instant>, WaitReason),
}

/// A UDP datagram to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub to: SocketAddr,
    /// Its payload.
    pub bytes: Vec<u8>,
}

/// What to do with a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkOrder {
    /// Connect by TCP and send the preface of `service`.
    Dial {
        /// Where to.
        to: SocketAddr,
        /// Where they listen too: tried beside it where it is not reached at once.
        also: Option<SocketAddrV6>,
        /// What for.
        service: Service,
    },
    /// Write these bytes, in order.
    Bytes(Vec<u8>),
    /// Write these bytes, whole and in order; or, where the other side reads too slowly for sound
    /// to be of use when it comes, not at all. The link is never lost for it.
    Media(Vec<u8>),
    /// Close after what was written before; no event follows.
    Close,
}

/// What to do with a media path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathOrder {
    /// Start gathering candidates.
    Open {
        /// The caller controls (RFC 8445, section 5.1.1: here by protocol, so that no conflict can
        /// arise).
        controlling: bool,
        /// STUN and TURN servers to use.
        servers: Vec<RelayServer>,
        /// Which candidates may be used.
        policy: PathPolicy,
    },
    /// The other side's ICE credentials: checks may start.
    Remote {
        /// Its user name fragment.
        ufrag: String,
        /// Its password.
        password: String,
    },
    /// A candidate of the other side, as an SDP candidate attribute value (RFC 8839, section 5.1).
    Candidate(String),
    /// Give the path up.
    Close,
}

/// A port of ours that a router may forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MappedPort {
    /// The main one, by TCP.
    Main,
    /// One for the sound of calls, by UDP.
    Sound,
}

/// Which candidates a path may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathPolicy {
    /// All kinds.
    Any,
    /// Only relayed ones: the other side learns no address of ours.
    RelayOnly,
    /// None that is relayed.
    DirectOnly,
}

/// How a relay is reached (RFC 8656, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayTransport {
    /// By datagrams.
    Udp,
    /// Over a stream, where datagrams do not get through.
    Tcp,
}

/// A STUN and TURN server with our credentials there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayServer {
    /// Its address; UDP and TCP have the same port.
    pub address: SocketAddr,
    /// How it is reached.
    pub transport: RelayTransport,
    /// TURN user name; empty where it serves only STUN to us.
    pub username: String,
    /// TURN password.
    pub password: String,
}

impl RelayServer {
    /// One that serves only STUN to us.
    #[must_use]
    pub const fn stun_only(address: SocketAddr, transport: RelayTransport) -> Self {
        Self { address, transport, username: String::new(), password: String::new() }
    }

    /// Whether it relays for us.
    #[must_use]
    pub const fn relays(&self) -> bool {
        !self.username.is_empty()
    }
}

/// What happens on a media path.
#[derive(Clone, Debug, PartialEq)]
pub enum PathEvent {
    /// Our own ICE credentials.
    Local {
        /// Our user name fragment.
        ufrag: String,
        /// Our password.
        password: String,
    },
    /// A candidate of ours, as an SDP candidate attribute value.
    Candidate(String),
    /// The relay that was asked for a relayed address gave none.
    NoRelay,
    /// No more candidates will come.
    EndOfCandidates,
    /// Packets flow.
    Up(PathFacts),
    /// A probe of a path that is up was answered: the first one, the first after [`Self::Silent`],
    /// and then from time to time.
    Lively {
        /// Round trip of probes in milliseconds, smoothed.
        rtt_ms: f64,
    },
    /// A probe was not answered when its answer was due. The path may come back by itself.
    Silent,
    /// What came of the pairs of candidates so far; when the path comes up, and before it goes
    /// down.
    Tried(Vec<TriedPair>),
    /// The path failed or was lost.
    Down(PathDown),
}

/// A pair of candidates, ours and theirs, that was tried (RFC 8445, section 6.1.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TriedPair {
    /// The kind and the address of our candidate.
    pub local: (PathKind, SocketAddr),
    /// And of theirs.
    pub remote: (PathKind, SocketAddr),
    /// What came of it.
    pub outcome: PairOutcome,
}

/// What came of a pair of candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairOutcome {
    /// It was not checked, or no check has been answered yet.
    Open,
    /// A check got through and back.
    Succeeded,
    /// Nothing got through.
    Failed,
}

/// What is known of a path in use.
#[derive(Clone, Debug, PartialEq)]
pub struct PathFacts {
    /// Its kind, by the better-hidden of its two ends.
    pub kind: PathKind,
    /// Our candidate's address.
    pub local: SocketAddr,
    /// Their candidate's address.
    pub remote: SocketAddr,
    /// The relay it goes through, if it does.
    pub relay: Option<SocketAddr>,
    /// Round trip in milliseconds, when measured.
    pub rtt_ms: Option<f64>,
}

/// The kind of a media path (RFC 8445, section 5.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathKind {
    /// Between interface addresses.
    Host,
    /// Through an address that a STUN server saw.
    ServerReflexive,
    /// Through an address learnt from a check.
    PeerReflexive,
    /// Through a relay, UDP to it.
    RelayUdp,
    /// Through a relay, TCP to it.
    RelayTcp,
}

/// Why a path is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathDown {
    /// No pair of candidates worked.
    NoPair,
    /// It worked and went silent.
    Lost,
    /// The local side could not start at all (no interface, no socket).
    Unavailable,
}

/// What to do with a relay port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelayPortOrder {
    /// Open a UDP port of this address family.
    Open {
        /// IPv6 instead of IPv4.
        ipv6: bool,
        /// Its number must be even (EVEN-PORT, RFC 8656).
        even: bool,
    },
    /// Open the port after our main port's: the alternate one of RFC 5780.
    OpenAlternate,
    /// Send from it.
    Send(Transmit),
    /// Close it.
    Close,
}

/// What happens at a relay port.
#[derive(Debug, PartialEq, Eq)]
pub enum RelayPortEvent<'a> {
    /// It is open; this is the address that others see.
    Opened(SocketAddr),
    /// None could be opened.
    Failed,
    /// A datagram came to it.
    Datagram {
        /// Who sent it.
        from: SocketAddr,
        /// Its payload.
        bytes: &'a [u8],
    },
}

/// The paths of a voice. Packets that come twice are taken once (`secure::replay`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VoiceRoute {
    /// Each packet is sent over each of these: one, or two while one of them is in doubt, or none
    /// while there is none.
    pub send: Vec<PathId>,
    /// Whatever comes over these is heard.
    pub hear: Vec<PathId>,
}

/// What to do with the voice of a call. Sound itself never enters this crate.
pub enum VoiceOrder {
    /// Open the devices, so that accepting is only unmuting.
    Prepare,
    /// Talk with these keys.
    Start {
        /// Over which paths.
        route: VoiceRoute,
        /// Keys of both directions.
        keys: Box<crate::secure::voice_seal::VoiceKeys>,
    },
    /// Go on over these paths, in place of those of before.
    Reroute(VoiceRoute),
    /// Stop sending our voice (the stream goes on as silence).
    Mute,
    /// Send our voice again.
    Unmute,
    /// Neither send nor play.
    Hold,
    /// Send and play again.
    Resume,
    /// End it and close the devices.
    Stop,
}

impl std::fmt::Debug for VoiceOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Prepare => f.write_str("Prepare"),
            Self::Start { route, .. } => write!(f, "Start({route:?}, ..)"),
            Self::Reroute(route) => write!(f, "Reroute({route:?})"),
            Self::Mute => f.write_str("Mute"),
            Self::Unmute => f.write_str("Unmute"),
            Self::Hold => f.write_str("Hold"),
            Self::Resume => f.write_str("Resume"),
            Self::Stop => f.write_str("Stop"),
        }
    }
}

/// What the voice of a call reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoiceEvent {
    /// Neither microphone nor speaker could be opened or kept: the call cannot go on.
    Failed,
}

/// Why a record was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveFailure {
    /// No space left.
    DiskFull,
    /// Any other input/output error.
    Broken,
}

/// What a machine waits for, for logs and for the simulator's stall detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// Nothing is under way.
    Idle,
    /// A timer of its own.
    Timer,
}
