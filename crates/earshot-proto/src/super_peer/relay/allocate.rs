//! Making an allocation: Allocate, the relay port that it waits for, and its answer.
//!
//! Source: RFC 8656, section 7. Whoever opens ports knows how to find an even one (EVEN-PORT, for
//! RTP of old); an odd one is not taken for it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::allocation::{Allocation, Tables, Wish};
use super::answer::{Answer, Problem, Reason, mapped};
use super::config::ALLOCATION_LIFETIME_DEFAULT;
use super::integrity::Member;
use super::slab::Key;
use super::streams::Client;
use super::stun::{
    ALLOCATE, AdditionalAddressFamily, AddressErrorCode, AddressFamily, EvenPort, LifeTime,
    MessageClass, RequestedAddressFamily, RequestedTransport, ReservationToken, StunAttribute,
    StunMessage, StunMessageBuilder, TransactionId, UDP, XorRelayedAddress,
};
use super::turn::{Outcome, lifetime_asked};
use super::{Relay, RelayOutput};
use crate::port::{RelayPortId, RelayPortOrder, canonical};
use crate::time::UnixTime;

/// How long opening a relay port may take. Our choice: it is one system call.
const OPEN_PATIENCE: Duration = Duration::from_secs(5);

impl Relay {
    /// Allocate, RFC 8656 section 7.2. The answer comes when the port is open: [`None`].
    pub(super) fn allocate(
        &mut self,
        now: Instant,
        wall: UnixTime,
        from: Client,
        message: &StunMessage,
        member: &Member,
    ) -> Result<Option<Vec<StunAttribute>>, Problem> {
        if let Some(known) = self.by_client.get(&from).and_then(|key| self.allocations.get(*key)) {
            // The same request again: its answer was lost, or is still to come.
            let again = known.transaction == *message.transaction_id().as_bytes()
                && known.session == member.id;
            return if again { Ok(success(known)) } else { Err(Problem::AllocationMismatch) };
        }
        let wish = self.wish(message)?;
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
            wish,
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
        self.streams.settle(from);
        self.deadlines.insert((now + OPEN_PATIENCE, key));
        self.counters.allocations = self.allocations.len() as u32;
        let order = RelayPortOrder::Open { ipv6: wish.ipv6, even: wish.even };
        self.out.push_back(RelayOutput::RelayPort(RelayPortId(key.0), order));
        Ok(None)
    }

    /// What port is asked for, in the order of checks of RFC 8656, section 7.2.
    fn wish(&self, message: &StunMessage) -> Result<Wish, Problem> {
        let transport = message.get::<RequestedTransport>().ok_or(Problem::BadRequest)?;
        let transport = transport.as_requested_trasport().map_err(|_| Problem::BadRequest)?;
        if transport.protocol() != UDP {
            return Err(Problem::TransportNotSupported);
        }
        let family = message.get::<RequestedAddressFamily>();
        let family = family.and_then(|a| a.as_requested_address_family().ok()).map(|a| a.family());
        let both = message.get::<AdditionalAddressFamily>();
        let both = both.and_then(|a| a.as_additional_address_family().ok()).map(|a| a.family());
        let reserved = message.get::<ReservationToken>().is_some();
        let even = message.get::<EvenPort>().and_then(|a| a.as_even_port().ok());
        let wishes =
            usize::from(family.is_some()) + usize::from(both.is_some()) + usize::from(reserved);
        let reserves = even.is_some_and(|even| even.reserve());
        if wishes > 1
            || both == Some(AddressFamily::IPv4)
            || (reserved && even.is_some())
            || (both.is_some() && reserves)
        {
            return Err(Problem::BadRequest);
        }
        // Ports are drawn by the system, so the next one cannot be kept, and no token was given
        // out.
        if reserved || reserves {
            return Err(Problem::InsufficientCapacity);
        }
        let ipv6 = family == Some(AddressFamily::IPv6);
        let is_served = if ipv6 { self.ipv6 } else { self.ipv4 };
        if !is_served {
            return Err(Problem::FamilyNotSupported);
        }
        Ok(Wish { ipv6, both: both.is_some(), even: even.is_some() })
    }

    /// The relay port is open: the allocation lives, and the client is told.
    pub(super) fn opened(&mut self, now: Instant, key: Key, address: SocketAddr) {
        let address = canonical(address);
        let is_taken = self.by_relayed.contains_key(&address);
        let Some(allocation) = self.allocations.get_mut(key) else { return };
        if allocation.relayed.is_some() {
            return;
        }
        let wish = allocation.wish;
        let is_odd = address.port() % 2 == 1;
        if is_taken || address.is_ipv6() != wish.ipv6 || (wish.even && is_odd) {
            return self.not_opened(key);
        }
        self.deadlines.remove(&(allocation.expires, key));
        allocation.relayed = Some(address);
        allocation.expires = now + allocation.lifetime;
        self.deadlines.insert((allocation.expires, key));
        self.by_relayed.insert(address, key);
        self.counters.allocated += 1;
        tracing::debug!(port = key.0, client = %allocation.client.address(), %address, "Allocation made");
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
}

/// What a successful Allocate is answered; nothing while the port is being opened.
fn success(allocation: &Allocation) -> Option<Vec<StunAttribute>> {
    let relayed = allocation.relayed?;
    let mut attributes = vec![
        XorRelayedAddress::from(relayed).into(),
        LifeTime::new(allocation.lifetime.as_secs() as u32).into(),
        mapped(allocation.client.address()),
    ];
    if allocation.wish.both {
        let code = Problem::FamilyNotSupported.to_code(Reason::Told);
        attributes.push(AddressErrorCode::new(AddressFamily::IPv6, code).into());
    }
    Some(attributes)
}

/// The answer to an Allocate that waited for its port, and where to send it.
fn sealed_later(relay: &Relay, key: Key, outcome: Outcome) -> Option<(Client, Vec<u8>)> {
    let allocation = relay.allocations.get(key)?;
    let seal = allocation.integrity.key(&relay.sessions, &allocation.session);
    let seal = seal.map(|key| allocation.integrity.seal(key));
    let question = StunMessageBuilder::new(ALLOCATE, MessageClass::Request)
        .with_transaction_id(TransactionId::from(allocation.transaction))
        .build();
    let answer = Answer::new(&question, outcome).sealed(seal);
    Some((allocation.client, answer.encode()))
}
