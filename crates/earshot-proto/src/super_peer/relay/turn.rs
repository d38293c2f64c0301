//! The requests of TURN: Allocate, Refresh, CreatePermission, ChannelBind; and STUN's Binding.
//!
//! Source: RFC 8656, sections 7 to 12; RFC 8489, section 6.3. The order of the checks is theirs, since it decides which
//! error a client sees.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use stun_rs::attributes::StunAttribute;
use stun_rs::attributes::turn::{
    AdditionalAddressFamily, AddressErrorCode, ChannelNumber, EvenPort, LifeTime,
    RequestedAddressFamily, RequestedTrasport, ReservationToken, XorPeerAddress, XorRelayedAddress,
};
use stun_rs::{AddressFamily, MessageMethod, StunMessage, TransactionId, methods, protocols};

use super::allocation::{Allocation, Reach, TableRefused, Tables};
use super::answer::{Answer, Problem, Reason, mapped};
use super::config::{ALLOCATION_LIFETIME_DEFAULT, ALLOCATION_LIFETIME_MAX};
use super::framing::CHANNELS;
use super::integrity::{self, Member};
use super::peer_rules::Access;
use super::slab::Key;
use super::{Relay, RelayOutput};
use crate::port::{RelayPortId, RelayPortOrder};
use crate::time::UnixTime;

/// The methods whose requests are answered; others are dropped (RFC 8489, section 6.3).
pub(super) const METHODS: [MessageMethod; 5] = [
    methods::BINDING,
    methods::ALLOCATE,
    methods::REFRESH,
    methods::CREATE_PERMMISSION,
    methods::CHANNEL_BIND,
];
/// How long opening a relay port may take. Our choice: it is one system call.
const OPEN_PATIENCE: Duration = Duration::from_secs(5);

/// What becomes of a request of a member.
type Outcome = Result<Vec<StunAttribute>, Problem>;

impl Relay {
    pub(super) fn answer_request(
        &mut self,
        now: Instant,
        wall: UnixTime,
        from: SocketAddr,
        message: &StunMessage,
        bytes: &[u8],
    ) {
        if message.method() == methods::BINDING {
            let outcome = binding(from, message);
            return self.answer_stranger(now, from, bytes.len(), &Answer::new(message, outcome));
        }
        let question = (from, message, bytes);
        let member = match integrity::authenticate(&self.sessions, &self.nonces, now, question) {
            Ok(member) => member,
            Err(problem) => {
                self.counters.refuse(problem.refusal());
                let challenge = problem.asks_for_credentials();
                let mut answer = Answer::new(message, Err(problem));
                if challenge {
                    answer = answer.challenging(self.nonces.make(now, from));
                }
                return self.answer_stranger(now, from, bytes.len(), &answer);
            }
        };
        let outcome = match integrity::not_understood(message) {
            unknown if !unknown.is_empty() => Err(Problem::Unknown(unknown)),
            _ if message.method() == methods::ALLOCATE => {
                match self.allocate(now, wall, from, message, &member) {
                    Ok(None) => return,
                    Ok(Some(success)) => Ok(success),
                    Err(problem) => Err(problem),
                }
            }
            _ => self.of_allocation(now, from, message, &member),
        };
        if let Err(problem) = &outcome {
            self.counters.refuse(problem.refusal());
        }
        let mut answer = Answer::new(message, outcome.clone());
        if outcome.is_err_and(|problem| problem.asks_for_credentials()) {
            answer = answer.challenging(self.nonces.make(now, from));
        }
        let bytes = answer.sealed(Some(member.integrity.seal(member.key))).encode();
        self.send_answer(from, bytes);
    }

    /// Allocate, RFC 8656 section 7.2. The answer comes when the port is open: [`None`].
    fn allocate(
        &mut self,
        now: Instant,
        wall: UnixTime,
        from: SocketAddr,
        message: &StunMessage,
        member: &Member,
    ) -> Result<Option<Vec<StunAttribute>>, Problem> {
        if let Some(known) = self.by_client.get(&from).and_then(|key| self.allocations.get(*key)) {
            // The same request again: its answer was lost, or is still to come.
            let again = known.transaction == *message.transaction_id().as_bytes()
                && known.session == member.id;
            return if again { Ok(success(known)) } else { Err(Problem::AllocationMismatch) };
        }
        let (ipv6, both_asked) = self.family_asked(message)?;
        if member.session.expires <= wall {
            return Err(Problem::Unauthorized);
        }
        let user = self.users.get_mut(member.session.user).ok_or(Problem::Unauthorized)?;
        if user.allocations >= self.limits.allocations_per_user_max {
            return Err(Problem::QuotaReached);
        }
        if self.allocations.len() >= self.limits.allocations_max {
            return Err(Problem::InsufficientCapacity);
        }
        let allocation = Allocation {
            client: from,
            session: member.id,
            user: member.session.user,
            transaction: *message.transaction_id().as_bytes(),
            integrity: member.integrity,
            ipv6,
            both_asked,
            relayed: None,
            lifetime: lifetime_asked(message).max(ALLOCATION_LIFETIME_DEFAULT),
            expires: now + OPEN_PATIENCE,
            tables: Tables::default(),
        };
        let key = self.allocations.insert(allocation).ok_or(Problem::InsufficientCapacity)?;
        user.allocations += 1;
        if let Some(session) = self.sessions.get_mut(member.id) {
            session.allocations += 1;
        }
        self.by_client.insert(from, key);
        self.deadlines.insert((now + OPEN_PATIENCE, key));
        self.counters.allocations = self.allocations.len() as u32;
        let order = RelayPortOrder::Open { ipv6 };
        self.out.push_back(RelayOutput::RelayPort(RelayPortId(key.0), order));
        Ok(None)
    }

    /// Which family is asked for (IPv6 or not), and whether both are.
    fn family_asked(&self, message: &StunMessage) -> Result<(bool, bool), Problem> {
        let transport = message.get::<RequestedTrasport>().ok_or(Problem::BadRequest)?;
        let transport = transport.as_requested_trasport().map_err(|_| Problem::BadRequest)?;
        if transport.protocol() != protocols::UDP {
            return Err(Problem::TransportNotSupported);
        }
        let family = message.get::<RequestedAddressFamily>();
        let family = family.and_then(|a| a.as_requested_address_family().ok()).map(|a| a.family());
        let both = message.get::<AdditionalAddressFamily>();
        let both = both.and_then(|a| a.as_additional_address_family().ok()).map(|a| a.family());
        let reserved = message.get::<ReservationToken>().is_some();
        let even = message.get::<EvenPort>().and_then(|a| a.as_even_port().ok());
        let two_wishes =
            usize::from(family.is_some()) + usize::from(both.is_some()) + usize::from(reserved);
        if two_wishes > 1 || both == Some(AddressFamily::IPv4) || (reserved && even.is_some()) {
            return Err(Problem::BadRequest);
        }
        // No token was ever given out, and ports are drawn by the system: neither can be had.
        if reserved || even.is_some() {
            return Err(Problem::InsufficientCapacity);
        }
        let ipv6 = family == Some(AddressFamily::IPv6);
        let is_served = if ipv6 { self.ipv6 } else { self.ipv4 };
        if !is_served {
            return Err(Problem::FamilyNotSupported);
        }
        Ok((ipv6, both.is_some()))
    }

    /// The relay port is open: the allocation lives, and the client is told.
    pub(super) fn opened(&mut self, now: Instant, key: Key, address: SocketAddr) {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let is_taken = self.by_relayed.contains_key(&address);
        let Some(allocation) = self.allocations.get_mut(key) else { return };
        if allocation.relayed.is_some() {
            return;
        }
        if is_taken || address.is_ipv6() != allocation.ipv6 {
            return self.not_opened(key);
        }
        self.deadlines.remove(&(allocation.expires, key));
        allocation.relayed = Some(address);
        allocation.expires = now + allocation.lifetime;
        self.deadlines.insert((allocation.expires, key));
        self.by_relayed.insert(address, key);
        self.counters.allocated += 1;
        tracing::debug!(port = key.0, client = %allocation.client, %address, "Allocation made");
        let answer = success(allocation).map(|attributes| sealed_later(self, key, Ok(attributes)));
        if let Some((client, bytes)) = answer.flatten() {
            self.send_answer(client, bytes);
        }
    }

    /// No relay port can be had, or not in time.
    pub(super) fn not_opened(&mut self, key: Key) {
        if self.allocations.get(key).is_none_or(|allocation| allocation.relayed.is_some()) {
            return;
        }
        let problem = Problem::InsufficientCapacity;
        self.counters.refuse(problem.refusal());
        let answer = sealed_later(self, key, Err(problem));
        self.release(key);
        if let Some((client, bytes)) = answer {
            self.send_answer(client, bytes);
        }
    }

    /// A request about an allocation that must exist and be the member's own.
    fn of_allocation(
        &mut self,
        now: Instant,
        from: SocketAddr,
        message: &StunMessage,
        member: &Member,
    ) -> Outcome {
        let key = *self.by_client.get(&from).ok_or(Problem::AllocationMismatch)?;
        let allocation = self.allocations.get(key).ok_or(Problem::AllocationMismatch)?;
        if allocation.relayed.is_none() {
            return Err(Problem::AllocationMismatch);
        }
        if allocation.session != member.id {
            return Err(Problem::WrongCredentials);
        }
        match message.method() {
            methods::REFRESH => self.refresh(now, key, message),
            methods::CREATE_PERMMISSION => self.create_permission(now, key, message),
            methods::CHANNEL_BIND => self.channel_bind(now, key, message),
            _ => Err(Problem::BadRequest),
        }
    }

    /// Refresh, RFC 8656 section 8.2; a lifetime of 0 ends the allocation.
    fn refresh(&mut self, now: Instant, key: Key, message: &StunMessage) -> Outcome {
        let allocation = self.allocations.get_mut(key).ok_or(Problem::AllocationMismatch)?;
        let family = message.get::<RequestedAddressFamily>();
        let family = family.and_then(|a| a.as_requested_address_family().ok()).map(|a| a.family());
        if family.is_some_and(|family| (family == AddressFamily::IPv6) != allocation.ipv6) {
            return Err(Problem::PeerFamilyMismatch);
        }
        let asked = lifetime_asked(message);
        if asked.is_zero() {
            self.release(key);
            return Ok(vec![LifeTime::new(0).into()]);
        }
        let lifetime = asked.max(ALLOCATION_LIFETIME_DEFAULT);
        self.deadlines.remove(&(allocation.expires, key));
        allocation.expires = now + lifetime;
        self.deadlines.insert((allocation.expires, key));
        Ok(vec![LifeTime::new(lifetime.as_secs() as u32).into()])
    }

    /// CreatePermission, RFC 8656 section 10.2: for all the peers named, or none.
    fn create_permission(&mut self, now: Instant, key: Key, message: &StunMessage) -> Outcome {
        let mut peers = Vec::new();
        for attribute in message.attributes() {
            if let Ok(peer) = attribute.as_xor_peer_address() {
                let peer = *peer.socket_address();
                peers.push((peer.ip(), self.reach(key, peer)?));
            }
        }
        if peers.is_empty() {
            return Err(Problem::BadRequest);
        }
        let allocation = self.allocations.get_mut(key).ok_or(Problem::AllocationMismatch)?;
        allocation.tables.permit(now, &peers).map_err(|_| Problem::InsufficientCapacity)?;
        Ok(Vec::new())
    }

    /// ChannelBind, RFC 8656 section 12.2.
    fn channel_bind(&mut self, now: Instant, key: Key, message: &StunMessage) -> Outcome {
        let number = message.get::<ChannelNumber>().and_then(|a| a.as_channel_number().ok());
        let peer = message.get::<XorPeerAddress>().and_then(|a| a.as_xor_peer_address().ok());
        let (Some(number), Some(peer)) = (number, peer) else { return Err(Problem::BadRequest) };
        let (number, peer) = (number.number(), *peer.socket_address());
        if !CHANNELS.contains(&number) {
            return Err(Problem::BadRequest);
        }
        let reach = self.reach(key, peer)?;
        let allocation = self.allocations.get_mut(key).ok_or(Problem::AllocationMismatch)?;
        match allocation.tables.bind(now, number, (peer, reach)) {
            Ok(()) => Ok(Vec::new()),
            Err(TableRefused::Full) => Err(Problem::InsufficientCapacity),
            Err(TableRefused::Taken) => Err(Problem::BadRequest),
        }
    }

    /// How far this allocation may reach at a peer's address.
    fn reach(&self, key: Key, peer: SocketAddr) -> Result<Reach, Problem> {
        let ip = peer.ip();
        // Where relayed addresses of ours live, no other port is reached unless somebody named the range.
        let ours = SocketAddr::new(ip, 0)..=SocketAddr::new(ip, u16::MAX);
        let is_ours = self.by_relayed.range(ours).next().is_some();
        let reach = match self.rules.access(ip) {
            Access::Free => Reach::Free,
            Access::Consent if is_ours && !self.rules.is_named(ip) => Reach::Loop,
            Access::Consent => Reach::Consent,
            Access::Denied if is_ours => Reach::Loop,
            Access::Denied => return Err(Problem::Forbidden),
        };
        let allocation = self.allocations.get(key).ok_or(Problem::AllocationMismatch)?;
        if ip.is_ipv6() != allocation.ipv6 || ip.to_canonical() != ip {
            return Err(Problem::PeerFamilyMismatch);
        }
        Ok(reach)
    }
}

/// Binding, RFC 8489 section 6.3: anybody may ask what address it is seen at.
fn binding(from: SocketAddr, message: &StunMessage) -> Outcome {
    let unknown = integrity::not_understood(message);
    if !unknown.is_empty() {
        return Err(Problem::Unknown(unknown));
    }
    Ok(vec![mapped(from)])
}

/// The lifetime that a request asks for, cut to what can be had. RFC 8656, sections 7.2 and 8.2.
fn lifetime_asked(message: &StunMessage) -> Duration {
    let asked = message.get::<LifeTime>().and_then(|a| a.as_life_time().ok());
    let asked = asked.map(|asked| Duration::from_secs(u64::from(asked.as_u32())));
    asked.unwrap_or(ALLOCATION_LIFETIME_DEFAULT).min(ALLOCATION_LIFETIME_MAX)
}

/// What a successful Allocate is answered; nothing while the port is being opened.
fn success(allocation: &Allocation) -> Option<Vec<StunAttribute>> {
    let relayed = allocation.relayed?;
    let mut attributes = vec![
        XorRelayedAddress::from(relayed).into(),
        LifeTime::new(allocation.lifetime.as_secs() as u32).into(),
        mapped(allocation.client),
    ];
    if allocation.both_asked {
        let code = Problem::FamilyNotSupported.to_code(Reason::Told);
        attributes.push(AddressErrorCode::new(AddressFamily::IPv6, code).into());
    }
    Some(attributes)
}

/// The answer to an Allocate that waited for its port, and where to send it.
fn sealed_later(relay: &Relay, key: Key, outcome: Outcome) -> Option<(SocketAddr, Vec<u8>)> {
    let allocation = relay.allocations.get(key)?;
    let seal = allocation.integrity.key(&relay.sessions, &allocation.session);
    let seal = seal.map(|key| allocation.integrity.seal(key));
    let class = stun_rs::MessageClass::Request;
    let question = stun_rs::StunMessageBuilder::new(methods::ALLOCATE, class)
        .with_transaction_id(TransactionId::from(allocation.transaction))
        .build();
    let answer = Answer::new(&question, outcome).sealed(seal);
    Some((allocation.client, answer.encode()))
}
