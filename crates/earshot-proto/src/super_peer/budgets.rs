//! What a super-peer lets others use, and what it does when that is too much: it refuses, and hands
//! clients over. DESIGN 2.12 (overload never ends in a cascade).
//!
//! Links and registrations are counted; questions and bytes flow through token buckets that hold
//! one second's worth; each for all together and for each asker. Whoever is refused is told after
//! how long to come again, drawn from a range that doubles while it goes on (full jitter), so that
//! those who were refused together do not return together. Invariants:
//!
//! - Nothing is ever admitted above a limit: what is refused takes nothing from any bucket.
//! - At most [`Limits::askers`] askers are remembered. One is forgotten when it holds nothing and
//!   its buckets are full again, that is, when it is as if it had never been there; when nobody can
//!   be forgotten, a new one is refused.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::entropy::Stream;
use crate::ids::NodeId;
use crate::port::LinkId;
use crate::wire::forward::Address;

use super::relay::quota::Bucket;

/// The limits of one super-peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For all together.
    pub overall: Limit,
    /// For each device, and each stranger's address (IPv6: /64).
    pub each: Limit,
    /// For each other super-peer: it asks for all its clients.
    pub each_node: Limit,
    /// Askers remembered at most.
    pub askers: usize,
    /// With more clients than this, the newest are handed over …
    pub clients_high: usize,
    /// … until there are so many.
    pub clients_low: usize,
}

/// How much may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Links, open or opening.
    pub links: u32,
    /// Registrations kept.
    pub registrations: u32,
    /// Questions per second.
    pub questions_per_s: u32,
    /// Bytes per second, in and out.
    pub bytes_per_s: u32,
}

impl Default for Limits {
    /// Our choice: a thousand clients and half as many again that visit; registrations of all that
    /// ten million users at a hundred thousand super-peers leave at four keepers, thirty times
    /// over; questions and bytes that a small machine at 10 Mb/s answers.
    fn default() -> Self {
        Self {
            overall: Limit {
                links: 2_048,
                registrations: 16_384,
                questions_per_s: 2_000,
                bytes_per_s: 1_250_000,
            },
            each: Limit { links: 4, registrations: 16, questions_per_s: 20, bytes_per_s: 65_536 },
            each_node: Limit {
                links: 4,
                registrations: 16_384,
                questions_per_s: 200,
                bytes_per_s: 262_144,
            },
            askers: 8_192,
            clients_high: 1_000,
            clients_low: 900,
        }
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asker {
    /// A device.
    Device(Address),
    /// A super-peer.
    Node(NodeId),
    /// Somebody without a certificate: the address, of IPv6 the /64.
    Stranger(IpAddr),
}

impl Asker {
    /// Whoever comes from there without a certificate.
    #[must_use]
    pub fn stranger(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::Stranger(ip.into()),
            IpAddr::V6(ip) => {
                let mut octets = ip.octets();
                octets[8..].fill(0);
                Self::Stranger(IpAddr::from(octets))
            }
        }
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A link; [`Budgets::release`] when it is down.
    Link,
    /// A registration to keep; [`Budgets::release`] when it is dropped.
    Registration,
    /// A question.
    Question,
    /// So many bytes to take or to carry; never more than a second's worth at once.
    Bytes(u32),
}

/// It is too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("over the budget of {whose:?}; to be tried again after {retry_after:?}")]
pub struct Busy {
    /// Whose limit was reached.
    pub whose: Whose,
    /// After how long to come again.
    pub retry_after: Duration,
}

/// Whose limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The asker's own.
    Askers,
    /// That of all together.
    Everybodys,
}

/// Shortest and longest range that the time to come again is drawn from. It doubles with each
/// second of refusals.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// After so long without a refusal the range is the shortest again.
const CALM_AFTER: Duration = Duration::from_secs(10);
/// Clients handed over in one go at most. Our choice: each costs the next home a handshake.
pub const SHED_MAX: usize = 32;
/// Pause between two goes.
pub const SHED_EVERY: Duration = Duration::from_secs(1);
/// Refusals on behalf of everybody that last so long are an overload too: a tenth of the clients
/// is handed over, and again after so long if it goes on.
pub const STRAIN: Duration = Duration::from_secs(10);

/// A client to be handed over to another super-peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shed {
    /// Its link.
    pub link: LinkId,
    /// How long it is to wait before it knocks elsewhere, so that the next home is not overrun.
    pub back_off: Duration,
}

struct Account {
    limit: Limit,
    links: u32,
    registrations: u32,
    questions: Bucket,
    bytes: Bucket,
}

impl Account {
    const fn new(now: Instant, limit: Limit) -> Self {
        Self {
            limit,
            links: 0,
            registrations: 0,
            questions: Bucket::new(now, limit.questions_per_s as u64),
            bytes: Bucket::new(now, limit.bytes_per_s as u64),
        }
    }

    fn has(&mut self, now: Instant, kind: Kind) -> bool {
        match kind {
            Kind::Link => self.links < self.limit.links,
            Kind::Registration => self.registrations < self.limit.registrations,
            Kind::Question => self.questions.has(now, 1),
            Kind::Bytes(bytes) => self.bytes.has(now, bytes as usize),
        }
    }

    const fn take(&mut self, kind: Kind) {
        match kind {
            Kind::Link => self.links += 1,
            Kind::Registration => self.registrations += 1,
            Kind::Question => self.questions.take(1),
            Kind::Bytes(bytes) => self.bytes.take(bytes as usize),
        }
    }

    const fn give_back(&mut self, kind: Kind) {
        match kind {
            Kind::Link => self.links = self.links.saturating_sub(1),
            Kind::Registration => self.registrations = self.registrations.saturating_sub(1),
            Kind::Question | Kind::Bytes(_) => {}
        }
    }

    fn is_as_new(&mut self, now: Instant) -> bool {
        let (questions, bytes) = (self.limit.questions_per_s, self.limit.bytes_per_s);
        self.links == 0
            && self.registrations == 0
            && self.questions.has(now, questions as usize)
            && self.bytes.has(now, bytes as usize)
    }
}

/// Refusals in a row.
#[derive(Clone, Copy)]
struct Refusals {
    since: Instant,
    last: Instant,
}

/// The accounts of one super-peer.
pub struct Budgets {
    limits: Limits,
    jitter: Stream,
    overall: Account,
    askers: BTreeMap<Asker, Account>,
    swept: Option<Instant>,
    /// Refusals on behalf of everybody.
    refusals: Option<Refusals>,
    clients: BTreeMap<u64, LinkId>,
    places: BTreeMap<LinkId, u64>,
    arrivals: u64,
    /// How many clients are to be left, while some are handed over.
    shedding_to: Option<usize>,
    next_shed: Instant,
    next_strain: Instant,
}

impl Budgets {
    /// Nothing is used yet.
    #[must_use]
    pub const fn new(now: Instant, limits: Limits, jitter: Stream) -> Self {
        Self {
            limits,
            jitter,
            overall: Account::new(now, limits.overall),
            askers: BTreeMap::new(),
            swept: None,
            refusals: None,
            clients: BTreeMap::new(),
            places: BTreeMap::new(),
            arrivals: 0,
            shedding_to: None,
            next_shed: now,
            next_strain: now,
        }
    }

    /// Lets somebody have something, and counts it.
    ///
    /// # Errors
    /// [`Busy`] when it would be above a limit; then nothing is counted.
    pub fn admit(&mut self, now: Instant, kind: Kind, who: &Asker) -> Result<(), Busy> {
        if !self.remember(now, who) {
            return Err(self.busy(now, Whose::Everybodys));
        }
        let account = self.askers.get_mut(who).expect("it was remembered just now");
        if !account.has(now, kind) {
            return Err(self.busy(now, Whose::Askers));
        }
        if !self.overall.has(now, kind) {
            return Err(self.busy(now, Whose::Everybodys));
        }
        self.overall.take(kind);
        account.take(kind);
        Ok(())
    }

    /// A link is down, or a registration was dropped.
    pub fn release(&mut self, kind: Kind, who: &Asker) {
        if let Some(account) = self.askers.get_mut(who) {
            account.give_back(kind);
            self.overall.give_back(kind);
        }
    }

    /// A client has come.
    pub fn client_came(&mut self, link: LinkId) {
        if !self.places.contains_key(&link) {
            self.arrivals += 1;
            self.clients.insert(self.arrivals, link);
            self.places.insert(link, self.arrivals);
        }
    }

    /// A client has gone, of itself or because it was handed over.
    pub fn client_gone(&mut self, link: LinkId) {
        if let Some(place) = self.places.remove(&link) {
            self.clients.remove(&place);
        }
    }

    /// Who is to be handed over now: the newest first, for the old ones have proved that they stay.
    /// Each is counted as gone.
    pub fn poll_shed(&mut self, now: Instant) -> Vec<Shed> {
        if self.clients.len() > self.limits.clients_high {
            self.shedding_to.get_or_insert(self.limits.clients_low);
        }
        if self.is_strained(now) && self.next_strain <= now {
            self.next_strain = now + STRAIN;
            let left = self.clients.len() - self.clients.len().div_ceil(10);
            self.shedding_to = Some(self.shedding_to.map_or(left, |to| to.min(left)));
        }
        let Some(to) = self.shedding_to else { return Vec::new() };
        if now < self.next_shed {
            return Vec::new();
        }
        self.next_shed = now + SHED_EVERY;
        let range = self.retry_range(now).max(SHED_EVERY * 4);
        let mut shed = Vec::new();
        while shed.len() < SHED_MAX && self.clients.len() > to {
            let Some((_, link)) = self.clients.pop_last() else { break };
            self.places.remove(&link);
            shed.push(Shed { link, back_off: draw(&mut self.jitter, range) });
        }
        if self.clients.len() <= to {
            self.shedding_to = None;
        }
        shed
    }

    /// When [`Budgets::poll_shed`] has something to say next, if time alone decides.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let is_over = self.clients.len() > self.limits.clients_high;
        (is_over || self.shedding_to.is_some()).then_some(self.next_shed)
    }

    /// Clients counted.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// Askers remembered.
    #[must_use]
    pub fn askers(&self) -> usize {
        self.askers.len()
    }

    /// Whether everybody's limits have refused for [`STRAIN`], without a pause.
    fn is_strained(&self, now: Instant) -> bool {
        self.refusals.is_some_and(|r| r.last + SHED_EVERY >= now && r.last >= r.since + STRAIN)
    }

    fn remember(&mut self, now: Instant, who: &Asker) -> bool {
        if self.askers.contains_key(who) {
            return true;
        }
        if self.askers.len() >= self.limits.askers {
            // At most once a second: a flood of new askers costs each of them only a look-up.
            if self.swept.is_some_and(|at| now < at + SHED_EVERY) {
                return false;
            }
            self.swept = Some(now);
            self.askers.retain(|_, account| !account.is_as_new(now));
            if self.askers.len() >= self.limits.askers {
                return false;
            }
        }
        let limit = match who {
            Asker::Device(_) | Asker::Stranger(_) => self.limits.each,
            Asker::Node(_) => self.limits.each_node,
        };
        self.askers.insert(who.clone(), Account::new(now, limit));
        true
    }

    fn busy(&mut self, now: Instant, whose: Whose) -> Busy {
        let range = match whose {
            Whose::Askers => RETRY_FIRST,
            Whose::Everybodys => {
                let fresh = Refusals { since: now, last: now };
                let before = self.refusals.filter(|r| now < r.last + CALM_AFTER);
                self.refusals = Some(Refusals { last: now, ..before.unwrap_or(fresh) });
                self.retry_range(now)
            }
        };
        Busy { whose, retry_after: draw(&mut self.jitter, range) }
    }

    fn retry_range(&self, now: Instant) -> Duration {
        let lasted = self.refusals.map_or(0, |r| now.saturating_duration_since(r.since).as_secs());
        RETRY_FIRST.saturating_mul(1 << lasted.min(6)).min(RETRY_MAX)
    }
}

/// Full jitter: anything up to the range.
fn draw(jitter: &mut Stream, range: Duration) -> Duration {
    Duration::from_millis(jitter.below(range.as_millis() as u64 + 1))
}

#[cfg(test)]
mod tests;
