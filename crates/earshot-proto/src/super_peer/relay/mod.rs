//! The super-peer's relay: a STUN and TURN server as a machine without sockets.
//!
//! Source: RFC 8489 (STUN), RFC 8656 (TURN), DESIGN 2.12 (relay rules). Coded by stun-rs; what
//! passes through is framed here. Where calls cannot go direct they go through a relay; it sees
//! sealed packets and the addresses of both ends.
//!
//! It takes datagrams of the main port whose first byte [`Relay::serves`], what happens on links of
//! [`Service::Relay`], and what happens at relay ports; it gives datagrams of the main port, and
//! orders to links and relay ports. A client is told by its address, or by its link. What is built:
//! Binding, Allocate (UDP; IPv4 or IPv6), Refresh, CreatePermission, ChannelBind, Send and Data,
//! ChannelData. RESERVATION-TOKEN, and EVEN-PORT with a reservation, get 508, DONT-FRAGMENT 420,
//! ADDITIONAL-ADDRESS-FAMILY an IPv4 allocation with ADDRESS-ERROR-CODE 440.
//!
//! Invariants: a packet without credentials leaves no memory behind but a place in one bounded
//! table, a connection without an allocation a place in another; nothing is sent to a peer address
//! that [`peer_rules`] denies, and nothing but ten checks a second before the peer consents
//! ([`allocation`]); an answer to an address that has proven nothing is at most three times its
//! question, and one of ten in that second.

mod allocate;
mod allocation;
mod answer;
mod carry;
mod config;
mod counters;
mod credentials;
mod discovery;
mod framing;
mod glance;
mod integrity;
mod nonce;
mod peer_rules;
mod per_second;
pub(super) mod quota;
mod slab;
mod streams;
mod stun;
#[cfg(test)]
mod tests;
mod turn;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use self::allocation::Allocation;
use self::answer::{AMPLIFICATION_MAX, Answer};
pub use self::config::{
    ALLOCATION_LIFETIME_DEFAULT, ALLOCATION_LIFETIME_MAX, CHANNEL_LIFETIME, CONSENT_LIFETIME,
    CREDENTIALS_LIFETIME, PEERS_PER_ALLOCATION_MAX, PERMISSION_LIFETIME, REALM, RelayConfig,
    RelayLimits,
};
pub use self::counters::{Refusal, RelayCounters};
use self::credentials::Sessions;
pub use self::credentials::{Grant, GrantRefused};
use self::discovery::{ALTERNATE, Discovery};
pub use self::discovery::{Side, Turned};
pub use self::framing::{Extent, NotTurn, extent};
use self::glance::Glance;
use self::nonce::Nonces;
use self::peer_rules::PeerRules;
use self::per_second::PerSecond;
use self::quota::{Bucket, Users};
use self::slab::{Key, Slab};
use self::streams::{Client, Streams};
use self::stun::{BINDING, MessageClass, SEND};
use crate::entropy::Stream;
use crate::ids::UserName;
#[cfg(doc)]
use crate::port::Service;
use crate::port::{
    LinkId, LinkOrder, RelayPortEvent, RelayPortId, RelayPortOrder, Transmit, canonical,
};
use crate::time::UnixTime;
use crate::wire::policy::Range;

/// Addresses whose answers are counted at one time; a stranger's eleventh answer and the 4,097th
/// stranger of a second get none. Our choice: 4,096 strangers a second are a flood, and 120 bytes
/// each are half a megabyte.
const STRANGERS_MAX: usize = 4096;
/// Peers without consent whose checks are counted at one time, over all allocations.
const CHECKED_MAX: usize = 4096;
/// Longest request that is decoded. Our choice: the longest honest one, a CreatePermission for many
/// peers, is shorter.
const REQUEST_MAX: usize = 1500;

/// The relay of one super-peer.
pub struct Relay {
    ipv4: bool,
    ipv6: bool,
    limits: RelayLimits,
    rules: PeerRules,
    sessions: Sessions,
    users: Users,
    nonces: Nonces,
    random: Stream,
    answers: PerSecond<IpAddr>,
    checks: PerSecond<SocketAddr>,
    total: Bucket,
    allocations: Slab<Allocation>,
    by_client: BTreeMap<Client, Key>,
    streams: Streams,
    by_relayed: BTreeMap<SocketAddr, Key>,
    deadlines: BTreeSet<(Instant, Key)>,
    discovery: Discovery,
    /// What the partner is to answer.
    turned: VecDeque<Turned>,
    counters: RelayCounters,
    out: VecDeque<RelayOutput>,
}

/// One thing to do for the relay.
#[derive(Debug, PartialEq, Eq)]
pub enum RelayOutput {
    /// Send a datagram from the main port.
    Send(Transmit),
    /// Do something with a link of a client.
    Link(LinkId, LinkOrder),
    /// Do something with a relay port.
    RelayPort(RelayPortId, RelayPortOrder),
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("counters", &self.counters).finish_non_exhaustive()
    }
}

impl Relay {
    /// A relay without allocations. `random` gives its secrets, session ids and transactions.
    #[must_use]
    pub fn new(now: Instant, config: &RelayConfig, mut random: Stream) -> Self {
        let limits = config.limits;
        // Without a main port that others see, the other one is no use.
        let alternate =
            config.main.map(|_| RelayOutput::RelayPort(ALTERNATE, RelayPortOrder::OpenAlternate));
        Self {
            ipv4: config.ipv4,
            ipv6: config.ipv6,
            limits,
            rules: PeerRules::new(config),
            sessions: Sessions::new(limits, random.bytes()),
            users: Users::new(limits.user_bytes_per_second),
            nonces: Nonces::new(now, random.bytes()),
            random,
            answers: PerSecond::new(now, STRANGERS_MAX),
            checks: PerSecond::new(now, CHECKED_MAX),
            total: Bucket::new(now, limits.total_bytes_per_second, limits.total_bytes_per_second),
            allocations: Slab::new(),
            by_client: BTreeMap::new(),
            streams: Streams::default(),
            by_relayed: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            discovery: Discovery::new(config.main),
            turned: VecDeque::new(),
            counters: RelayCounters::default(),
            out: alternate.into_iter().collect(),
        }
    }

    /// Whether a datagram that begins with this byte is for the relay: STUN (RFC 8489, section 5)
    /// or a channel.
    #[must_use]
    pub const fn serves(first_byte: u8) -> bool {
        matches!(first_byte, 0..=3 | 0x40..=0x7f)
    }

    /// Gives credentials to a user whose link was authenticated.
    ///
    /// # Errors
    /// [`GrantRefused`] when the bounded table of sessions has no place.
    pub fn grant(
        &mut self,
        now: Instant,
        wall: UnixTime,
        user: &UserName,
    ) -> Result<Grant, GrantRefused> {
        self.sessions.grant((now, wall), user, &mut self.users, &mut self.random)
    }

    /// Ends all sessions and allocations of a user.
    pub fn revoke(&mut self, user: &UserName) {
        let Some(user) = self.users.find(user) else { return };
        let theirs = self.allocations.iter().filter(|(_, allocation)| allocation.user == user);
        for key in theirs.map(|(key, _)| key).collect::<Vec<_>>() {
            self.release(key);
        }
        self.sessions.revoke(user, &mut self.users);
    }

    /// Other limits are in force from now on; allocations that are open stay.
    pub const fn set_limits(&mut self, now: Instant, limits: RelayLimits) {
        let most = limits.total_bytes_per_second;
        self.limits = limits;
        self.total = Bucket::new(now, most, most);
    }

    /// The network's policy names these ranges from now on.
    pub fn set_policy(&mut self, ranges: Vec<Range>) {
        self.rules.set_policy(ranges);
    }

    /// Ends all allocations.
    pub fn end_all(&mut self) {
        for key in self.allocations.iter().map(|(key, _)| key).collect::<Vec<_>>() {
            self.release(key);
        }
    }

    /// Takes a datagram that came to the main port.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        wall: UnixTime,
        from: SocketAddr,
        bytes: &[u8],
    ) {
        self.message(now, wall, Client::Udp(from), bytes);
    }

    /// Takes a message of a client.
    fn message(&mut self, now: Instant, wall: UnixTime, from: Client, bytes: &[u8]) {
        match bytes.first() {
            Some(0x40..=0x7f) => match framing::read_channel_data(bytes) {
                Some((number, payload)) => self.channel_data(now, from, number, payload),
                None => self.counters.refuse(Refusal::Malformed),
            },
            Some(0..=3) => match Glance::of(bytes) {
                Some(glance) => self.stun(now, wall, from, &glance, bytes),
                None => self.counters.refuse(Refusal::Malformed),
            },
            Some(_) | None => self.counters.refuse(Refusal::Malformed),
        }
    }

    /// Takes what happened at a relay port. Events of a port that was closed meanwhile do nothing.
    pub fn handle_relay_port(
        &mut self,
        now: Instant,
        port: RelayPortId,
        event: RelayPortEvent<'_>,
    ) {
        if port == ALTERNATE {
            return self.at_alternate(now, event);
        }
        let key = Key(port.0);
        match event {
            RelayPortEvent::Opened(address) => self.opened(now, key, address),
            RelayPortEvent::Failed => self.not_opened(key),
            RelayPortEvent::Datagram { from, bytes } => {
                let from = canonical(from);
                self.peer_datagram(now, key, from, bytes);
            }
        }
    }

    /// Ends what has run out. Being early does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.streams_due(now);
        while let Some((_, key)) = self.deadlines.first().copied().filter(|(at, _)| *at <= now) {
            let is_open = self.allocations.get(key).is_some_and(|known| known.relayed.is_some());
            if is_open {
                self.release(key);
            } else {
                self.not_opened(key);
            }
        }
    }

    /// Gives one thing to do, as long as there is one.
    pub fn poll_output(&mut self) -> Option<RelayOutput> {
        self.out.pop_front().or_else(|| self.streams.poll_close())
    }

    /// When [`Self::handle_timeout`] is next needed.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let ends = self.deadlines.first().map(|(at, _)| *at);
        ends.into_iter().chain(self.streams.next_due()).min()
    }

    /// What the relay has done so far.
    #[must_use]
    pub const fn counters(&self) -> &RelayCounters {
        &self.counters
    }

    fn stun(
        &mut self,
        now: Instant,
        wall: UnixTime,
        from: Client,
        glance: &Glance<'_>,
        bytes: &[u8],
    ) {
        let method = glance.kind.method();
        match glance.kind.class() {
            MessageClass::Indication if method == SEND => match glance.send_indication() {
                Some((peer, payload)) => self.send_indication(now, from, peer, payload),
                None => self.counters.refuse(Refusal::Malformed),
            },
            // A Binding indication keeps a NAT open and wants no answer (RFC 8489, section 3).
            MessageClass::Indication if method == BINDING => {}
            MessageClass::Request if turn::METHODS.contains(&method) => {
                self.request(now, wall, from, bytes);
            }
            MessageClass::Request
            | MessageClass::Indication
            | MessageClass::SuccessResponse
            | MessageClass::ErrorResponse => self.counters.refuse(Refusal::Malformed),
        }
    }

    fn request(&mut self, now: Instant, wall: UnixTime, from: Client, bytes: &[u8]) {
        match self.decoded(bytes) {
            Some(message) => self.answer_request(now, wall, from, &message, bytes),
            None => self.counters.refuse(Refusal::Malformed),
        }
    }

    /// Answers an address that has proven nothing: within the budget of its question, and not too
    /// often. Whoever is connected has proven that it receives there.
    fn answer_stranger(
        &mut self,
        now: Instant,
        (from, side): (Client, Side),
        question_len: usize,
        answer: &Answer<'_>,
    ) {
        let Client::Udp(address) = from else { return self.send_answer(from, answer.encode()) };
        let Some(bytes) = answer.encode_within(AMPLIFICATION_MAX * question_len) else {
            return self.counters.refuse(Refusal::AnswerSize);
        };
        if !self.answers.admit(now, stranger(address.ip())) {
            return self.counters.refuse(Refusal::AnswerRate);
        }
        self.send_from(side, address, bytes);
    }

    fn send_answer(&mut self, to: Client, bytes: Vec<u8>) {
        self.counters.answers += 1;
        self.out.push_back(match to {
            Client::Udp(to) => RelayOutput::Send(Transmit { to, bytes }),
            Client::Tcp(link, _) => RelayOutput::Link(link, LinkOrder::Bytes(bytes)),
        });
    }

    /// Ends an allocation and closes its port, and the connection of its client.
    fn release(&mut self, key: Key) -> Option<Allocation> {
        let allocation = self.allocations.remove(key)?;
        self.deadlines.remove(&(allocation.expires, key));
        self.by_client.remove(&allocation.client);
        self.streams.end(allocation.client);
        if let Some(relayed) = allocation.relayed {
            self.by_relayed.remove(&relayed);
        }
        if let Some(session) = self.sessions.get_mut(allocation.session) {
            session.allocations = session.allocations.saturating_sub(1);
        }
        if let Some(user) = self.users.get_mut(allocation.user) {
            user.allocations = user.allocations.saturating_sub(1);
        }
        self.counters.allocations = self.allocations.len() as u32;
        self.out.push_back(RelayOutput::RelayPort(RelayPortId(key.0), RelayPortOrder::Close));
        tracing::debug!(port = key.0, client = %allocation.client.address(), "Allocation ended");
        Some(allocation)
    }
}

/// Whom a stranger's answers are counted for: its IPv4 address, or the /64 that one IPv6 host has
/// to itself.
fn stranger(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
    }
}
