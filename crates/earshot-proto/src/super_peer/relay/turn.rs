//! The requests of STUN and TURN: who may ask what, and what it is answered; Allocate beside.
//!
//! Source: RFC 8656, sections 7 to 12; RFC 8489, section 6.3. The order of the checks is theirs,
//! since it decides which error a client sees.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Relay;
use super::allocation::{Reach, TableRefused};
use super::answer::{Answer, Problem};
use super::config::{ALLOCATION_LIFETIME_DEFAULT, ALLOCATION_LIFETIME_MAX};
use super::discovery::Side;
use super::framing::CHANNELS;
use super::integrity::{self, Member};
use super::peer_rules::Access;
use super::slab::Key;
use super::streams::Client;
use super::stun::{
    ALLOCATE, AddressFamily, BINDING, CHANNEL_BIND, CREATE_PERMISSION, ChannelNumber, LifeTime,
    MessageMethod, REFRESH, RequestedAddressFamily, StunAttribute, StunMessage, XorPeerAddress,
};
use crate::time::UnixTime;

/// The methods whose requests are answered; others are dropped (RFC 8489, section 6.3).
pub(super) const METHODS: [MessageMethod; 5] =
    [BINDING, ALLOCATE, REFRESH, CREATE_PERMISSION, CHANNEL_BIND];

/// What becomes of a request of a member.
pub(super) type Outcome = Result<Vec<StunAttribute>, Problem>;

impl Relay {
    pub(super) fn answer_request(
        &mut self,
        now: Instant,
        wall: UnixTime,
        from: Client,
        message: &StunMessage,
        bytes: &[u8],
    ) {
        if message.method() == BINDING {
            return self.binding(now, from, Side::Main, message, bytes);
        }
        let question = (from.address(), message, bytes);
        let member = match integrity::authenticate(&self.sessions, &self.nonces, now, question) {
            Ok(member) => member,
            Err(problem) => {
                self.counters.refuse(problem.refusal());
                let challenge = problem.asks_for_credentials();
                let mut answer = Answer::new(message, Err(problem));
                if challenge {
                    answer = answer.challenging(self.nonces.make(now, from.address()));
                }
                return self.answer_stranger(now, (from, Side::Main), bytes.len(), &answer);
            }
        };
        let outcome = match integrity::not_understood(message) {
            unknown if !unknown.is_empty() => Err(Problem::Unknown(unknown)),
            _ if message.method() == ALLOCATE => {
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
            answer = answer.challenging(self.nonces.make(now, from.address()));
        }
        let bytes = answer.sealed(Some(member.integrity.seal(member.key))).encode();
        self.send_answer(from, bytes);
    }

    /// A request about an allocation that must exist and be the member's own.
    fn of_allocation(
        &mut self,
        now: Instant,
        from: Client,
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
            REFRESH => self.refresh(now, key, message),
            CREATE_PERMISSION => self.create_permission(now, key, message),
            CHANNEL_BIND => self.channel_bind(now, key, message),
            _ => Err(Problem::BadRequest),
        }
    }

    /// Refresh, RFC 8656 section 8.2; a lifetime of 0 ends the allocation.
    fn refresh(&mut self, now: Instant, key: Key, message: &StunMessage) -> Outcome {
        let allocation = self.allocations.get_mut(key).ok_or(Problem::AllocationMismatch)?;
        let family = message.get::<RequestedAddressFamily>();
        let family = family.and_then(|a| a.as_requested_address_family().ok()).map(|a| a.family());
        if family.is_some_and(|family| (family == AddressFamily::IPv6) != allocation.wish.ipv6) {
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
        // Where relayed addresses of ours live, no other port is reached unless somebody named the
        // range.
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
        if ip.is_ipv6() != allocation.wish.ipv6 || ip.to_canonical() != ip {
            return Err(Problem::PeerFamilyMismatch);
        }
        Ok(reach)
    }
}

/// The lifetime that a request asks for, cut to what can be had. RFC 8656, sections 7.2 and 8.2.
pub(super) fn lifetime_asked(message: &StunMessage) -> Duration {
    let asked = message.get::<LifeTime>().and_then(|a| a.as_life_time().ok());
    let asked = asked.map(|asked| Duration::from_secs(u64::from(asked.as_u32())));
    asked.unwrap_or(ALLOCATION_LIFETIME_DEFAULT).min(ALLOCATION_LIFETIME_MAX)
}
