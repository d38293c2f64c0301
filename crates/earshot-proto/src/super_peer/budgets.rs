//! What a super-peer lets others use, and what it does when that is too much: it refuses, and hands
//! clients over. DESIGN 2.12 (overload never ends in a cascade).
//!
//! Questions and bytes flow through token buckets, for all together and for each asker. Whoever is
//! refused is told after how long to come again, drawn from a range that grows while it goes on
//! (full jitter), so that those who were refused together do not return together. Invariants:
//!
//! - Nothing is ever admitted above a limit: what is refused takes nothing from any bucket.
//! - At most [`Limits::askers`] askers are remembered. One is forgotten when its buckets are full
//!   again, that is, when it is as if it had never been there; when nobody can be forgotten, a new
//!   one is refused.
//!
//! Links and clients are counted where they are held (`admission`).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::entropy::Stream;
use crate::ids::NodeId;
use crate::wire::forward::Address;

use super::relay::RelayLimits;
use super::relay::quota::Bucket;

/// The limits of one super-peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What flows for all together.
    pub overall: Flow,
    /// For each device.
    pub each_device: Flow,
    /// For each address of whoever shows no certificate (IPv6: /64): a household or an office.
    pub each_stranger: Flow,
    /// For each other super-peer: it asks for all its clients.
    pub each_node: Flow,
    /// Askers remembered at most.
    pub askers: usize,
    /// Links that others have opened, at most …
    pub links: usize,
    /// … of them to those who have not shown who they are, …
    pub stranger_links: usize,
    /// … of these from one address, …
    pub links_each_stranger: usize,
    /// … and to one device or super-peer.
    pub links_each: usize,
    /// Clients at most; who comes then is sent elsewhere.
    pub clients: usize,
    /// With more clients than this, the newest are handed over …
    pub clients_high: usize,
    /// … until there are so many.
    pub clients_low: usize,
    /// What is relayed.
    pub relay: RelayLimits,
}

/// How much may flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Questions per second.
    pub questions_per_s: u32,
    /// Questions at once, after a pause.
    pub questions_at_once: u32,
    /// Bytes of envelopes per second.
    pub bytes_per_s: u32,
    /// Bytes of envelopes at once, after a pause.
    pub bytes_at_once: u32,
}

impl Default for Limits {
    /// Our choice: a thousand clients and as many links again for those who visit them; questions
    /// and bytes that a small machine at 10 Mb/s answers. A device that has just come home watches
    /// all its buddies at once, and sends what it wrote meanwhile.
    fn default() -> Self {
        let megabyte = 1 << 20;
        Self {
            overall: Flow {
                questions_per_s: 4_000,
                questions_at_once: 8_000,
                bytes_per_s: 1_250_000,
                bytes_at_once: 8 * megabyte,
            },
            each_device: Flow {
                questions_per_s: 20,
                questions_at_once: 1_200,
                bytes_per_s: 65_536,
                bytes_at_once: megabyte,
            },
            each_stranger: Flow {
                questions_per_s: 400,
                questions_at_once: 1_200,
                bytes_per_s: 0,
                bytes_at_once: 0,
            },
            each_node: Flow {
                questions_per_s: 1_000,
                questions_at_once: 4_000,
                bytes_per_s: 262_144,
                bytes_at_once: 4 * megabyte,
            },
            askers: 8_192,
            links: 2_048,
            stranger_links: 512,
            links_each_stranger: 64,
            links_each: 4,
            clients: 1_200,
            clients_high: 1_000,
            clients_low: 900,
            relay: RelayLimits::default(),
        }
    }
}

impl Limits {
    /// For a relay that carries so many bytes of payload a second, of whomever.
    #[must_use]
    pub const fn for_relayed(mut self, bytes_per_s: u64) -> Self {
        self.relay.user_bytes_per_second = bytes_per_s;
        self.relay.total_bytes_per_second = bytes_per_s;
        self
    }

    /// For so many clients.
    #[must_use]
    pub const fn for_clients(self, clients: usize) -> Self {
        Self {
            links: clients * 2 + 48,
            stranger_links: clients / 2 + 12,
            clients: clients + clients / 5,
            clients_high: clients,
            clients_low: clients - clients / 10,
            ..self
        }
    }

    /// For so many questions per second, all together.
    #[must_use]
    pub const fn for_questions(self, per_s: u32) -> Self {
        let questions_at_once = per_s.saturating_mul(2);
        let overall = Flow { questions_per_s: per_s, questions_at_once, ..self.overall };
        Self { overall, ..self }
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
    /// A question.
    Question,
    /// A question that the network lives on: it is not refused for what others ask, only when its
    /// own asker puts too many.
    Upkeep,
    /// A question, and an envelope of so many bytes to carry.
    Envelope(usize),
}

impl Kind {
    const fn bytes(self) -> usize {
        match self {
            Self::Envelope(bytes) => bytes,
            Self::Question | Self::Upkeep => 0,
        }
    }
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

/// Shortest and longest range that the time to come again is drawn from. It is as long as there
/// have been refusals: whoever is refused again and again waits about twice as long each time.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// After so long without a refusal the range is the shortest again.
const CALM_AFTER: Duration = Duration::from_secs(10);
/// Clients handed over in one go at most. Our choice: each costs the next home a handshake.
pub const SHED_MAX: usize = 32;
/// Pause between two goes.
pub const SHED_EVERY: Duration = Duration::from_secs(1);
/// Refusals on behalf of everybody that last so long are an overload too: a tenth of the clients
/// is handed over, and again after so long if it goes on.
pub const STRAIN: Duration = Duration::from_secs(10);

struct Account {
    questions: Bucket,
    bytes: Bucket,
}

impl Account {
    const fn new(now: Instant, flow: Flow) -> Self {
        let Flow { questions_per_s, questions_at_once, bytes_per_s, bytes_at_once } = flow;
        Self {
            questions: Bucket::new(now, questions_per_s as u64, questions_at_once as u64),
            bytes: Bucket::new(now, bytes_per_s as u64, bytes_at_once as u64),
        }
    }

    fn has(&mut self, now: Instant, kind: Kind) -> bool {
        self.questions.has(now, 1) && self.bytes.has(now, kind.bytes())
    }

    const fn take(&mut self, kind: Kind) {
        self.questions.take(1);
        self.bytes.take(kind.bytes());
    }

    fn is_as_new(&mut self, now: Instant) -> bool {
        self.questions.is_full(now) && self.bytes.is_full(now)
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
            shedding_to: None,
            next_shed: now,
            next_strain: now,
        }
    }

    /// The limits.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Other limits are in force from now on. What the askers have used stays used.
    pub const fn set_limits(&mut self, now: Instant, limits: Limits) {
        self.overall = Account::new(now, limits.overall);
        self.limits = limits;
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
        if kind != Kind::Upkeep {
            if !self.overall.has(now, kind) {
                return Err(self.busy(now, Whose::Everybodys));
            }
            self.overall.take(kind);
        }
        account.take(kind);
        Ok(())
    }

    /// Somebody is refused on behalf of everybody for another reason: after how long to come
    /// again.
    pub fn refuse(&mut self, now: Instant) -> Duration {
        self.busy(now, Whose::Everybodys).retry_after
    }

    /// How many of so many `clients` are to be handed over now, and after how long each is to knock
    /// elsewhere, so that the next home is not overrun.
    pub fn poll_shed(&mut self, now: Instant, clients: usize) -> Vec<Duration> {
        if clients > self.limits.clients_high {
            self.shedding_to.get_or_insert(self.limits.clients_low);
        }
        if self.is_strained(now) && self.next_strain <= now {
            self.next_strain = now + STRAIN;
            let left = clients - clients.div_ceil(10);
            self.shedding_to = Some(self.shedding_to.map_or(left, |to| to.min(left)));
        }
        let Some(to) = self.shedding_to else { return Vec::new() };
        if now < self.next_shed {
            return Vec::new();
        }
        self.next_shed = now + SHED_EVERY;
        let range = self.retry_range(now).max(SHED_EVERY * 4);
        let count = clients.saturating_sub(to).min(SHED_MAX);
        if clients - count <= to {
            self.shedding_to = None;
        }
        (0..count).map(|_| draw(&mut self.jitter, range)).collect()
    }

    /// When [`Budgets::poll_shed`] has something to say next, if time alone decides.
    #[must_use]
    pub fn poll_timeout(&self, clients: usize) -> Option<Instant> {
        let is_over = clients > self.limits.clients_high;
        (is_over || self.shedding_to.is_some()).then_some(self.next_shed)
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
        let flow = match who {
            Asker::Device(_) => self.limits.each_device,
            Asker::Stranger(_) => self.limits.each_stranger,
            Asker::Node(_) => self.limits.each_node,
        };
        self.askers.insert(who.clone(), Account::new(now, flow));
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
        let since = self.refusals.map_or(now, |refusals| refusals.since);
        (RETRY_FIRST + now.saturating_duration_since(since)).min(RETRY_MAX)
    }
}

/// Full jitter: anything up to the range.
fn draw(jitter: &mut Stream, range: Duration) -> Duration {
    Duration::from_millis(jitter.below(range.as_millis() as u64 + 1))
}

#[cfg(test)]
mod tests;
