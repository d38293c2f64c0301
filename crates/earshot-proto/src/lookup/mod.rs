//! Finding a key's keepers on the ring and asking them: the iterative asker. Lecture, slides 21–25
//! and 31; DESIGN 2.5.
//!
//! A [`Lookup`] asks nodes nearer and nearer the key until one names its keepers, and asks those:
//! the nearest four, then eight, then sixteen. It serves super-peers and peers alike, and does not
//! know what the keepers are asked for (a user, a word): its owner puts the question, verifies the
//! answer, and says only what came of it. Whoever wants to write finds the keepers by the same way
//! and asks them nothing ([`Lookup::of_keepers`]).

mod density;
mod keepers;
mod routes;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub use density::{Density, distance};

use crate::ids::{NodeId, RingKey};
use crate::wire::bounded::List;
use crate::wire::directory::NodeEntry;
use crate::wire::ring::Reply;
use keepers::{Keeper, KeeperState, Keepers};
use routes::Routes;

/// Widths of the rounds, in keepers. Lecture, slide 31: four, then eight; we stop at sixteen.
pub const WIDTHS: [usize; 3] = [4, 8, 16];
/// Questions in one look-up at most. Issue 4.
pub const MESSAGES_MAX: u8 = 100;
/// Nodes asked for nodes at once: α. Maymounkov and Mazières, "Kademlia" (IPTPS 2002): 3.
const ALPHA: usize = 3;
/// Keepers that must hold the record for an early end; the higher counter is taken. DESIGN 2.5.
const FOUND_ENOUGH: usize = 2;
/// Of four keepers that answer, so many must deny it. DESIGN 2.5.
const BELIEVED: usize = 3;
/// Nodes placed to know the keepers that must have named them before a denial is believed. Our
/// choice: if half of the nodes lie, five in a row do in one look-up of 32.
const VOUCHERS: u8 = 5;
/// In a ring no larger than this, everybody knows the keepers. DESIGN 2.5: the lower threshold.
const ALL_KNOW: u64 = 1024;
/// A question is slow after this until any answer was measured, then after twice the longest round
/// trip, within these bounds. Our choice: slow costs a question, dead costs the patience time.
const SLOW_FIRST: Duration = Duration::from_millis(300);
const SLOW_MIN: Duration = Duration::from_millis(100);
const SLOW_MAX: Duration = Duration::from_millis(1000);

/// What a node says about a key.
///
/// An iterative asker has arrived when it gets `Keepers`: they are consecutive members from the key
/// on, so the first is the key's owner and the first k keep its records. The list is shorter than
/// asked for when the answerer's successor list ends; the first of them can then name more.
/// `Closer` means: ask these, the first first; each of them lies between the answerer and the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Near {
    /// The members from the key on, nearest first.
    Keepers(Vec<NodeEntry>),
    /// Members that precede the key more closely than the answerer, the closest first.
    Closer(Vec<NodeEntry>),
}

impl Near {
    /// What a reply says about the key; none when it is no answer to that.
    #[must_use]
    pub fn of_reply(reply: Reply) -> Option<Self> {
        match reply {
            Reply::Keepers { nodes } => Some(Self::Keepers(nodes.into_vec())),
            Reply::Closer { nodes } => Some(Self::Closer(nodes.into_vec())),
            Reply::State { .. } | Reply::Same | Reply::Done | Reply::Outside => None,
        }
    }

    /// The reply that says it.
    #[must_use]
    pub fn into_reply(self) -> Reply {
        match self {
            Self::Keepers(nodes) => Reply::Keepers { nodes: List::first_of(nodes) },
            Self::Closer(nodes) => Reply::Closer { nodes: List::first_of(nodes) },
        }
    }

    /// The nodes, of either kind.
    #[must_use]
    pub fn nodes(&self) -> &[NodeEntry] {
        match self {
            Self::Keepers(nodes) | Self::Closer(nodes) => nodes,
        }
    }
}

/// What the look-up wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Ask this node which nodes are nearest to the key; the answer goes to
    /// [`Lookup::handle_near`].
    Nearest {
        /// Whom.
        to: NodeEntry,
        /// How many are wanted.
        width: u8,
    },
    /// Ask this keeper for what is looked for; the answer goes to [`Lookup::handle_fetched`].
    Fetch {
        /// Whom.
        to: NodeEntry,
    },
    /// It is over. Nothing follows.
    Done(Outcome),
}

/// What came of asking a keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// It holds it, verified, with this counter; the higher is the newer.
    Held {
        /// The record's counter.
        counter: u64,
        /// Whether it is older than a record should be: replaced by now, if its owner is still
        /// there.
        is_late: bool,
    },
    /// It says that it does not hold it.
    NotHere,
    /// It was silent, or what it sent does not verify.
    Failed,
}

impl Fetched {
    /// What a keeper holds that gave records with these counters, each late or not: the newest, and
    /// in doubt if any is late; none: it gave no record.
    #[must_use]
    pub fn of_records(records: impl IntoIterator<Item = (u64, bool)>) -> Option<Self> {
        let newest = |one: (u64, bool), other: (u64, bool)| (one.0.max(other.0), one.1 | other.1);
        let (counter, is_late) = records.into_iter().reduce(newest)?;
        Some(Self::Held { counter, is_late })
    }
}

/// How a look-up ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The end.
    pub end: End,
    /// The round it ended in: 1 (four nodes), 2 (eight) or 3 (sixteen).
    pub round: u8,
    /// Keepers asked.
    pub asked: u8,
    /// Nodes on the way to the first that named keepers; 0 when we knew them ourselves. The last
    /// hop, to the keepers, is not counted (Stoica et al. 2001, section 6.4).
    pub hops: u8,
    /// Questions put in all.
    pub messages: u8,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// This keeper gave the record with the highest counter.
    Found {
        /// The keeper.
        keeper: NodeId,
        /// The counter.
        counter: u64,
    },
    /// Three of the four keepers say that there is none.
    NotFound,
    /// The keepers are known; nothing else was wanted. See [`Lookup::keepers`].
    Placed,
    /// Too few answered, or too many disagreed, for any verdict.
    Inconclusive,
}

/// What a look-up is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aim {
    /// The record at the key.
    Record,
    /// So many keepers of it.
    Keepers(usize),
}

/// One look-up.
#[derive(Debug)]
pub struct Lookup {
    key: RingKey,
    aim: Aim,
    density: Option<Density>,
    routes: Routes,
    keepers: Keepers,
    round: usize,
    /// The densest list that was too sparse to be believed, and on which hop it was named.
    refused: Option<(Vec<NodeEntry>, u8)>,
    /// Such lists so far.
    refusals: u8,
    /// Whether our keepers are such.
    is_doubtful: bool,
    /// Nodes placed to know that have named four keepers or more, and were believed.
    vouchers: u8,
    hops: Option<u8>,
    messages: u8,
    orders: VecDeque<Order>,
    /// The longest round trip seen.
    longest: Duration,
    /// A question is slow after that.
    slow_after: Duration,
    wake: Option<Instant>,
    is_over: bool,
}

impl Lookup {
    /// Looks for the keepers of `key`, beginning with what is known: a super-peer's own
    /// [`Near`], or `Closer` with the nodes that a peer has (its home first). `density` is the own
    /// estimate, against which answers are measured.
    #[must_use]
    pub fn new(now: Instant, key: RingKey, density: Option<Density>, start: Near) -> Self {
        Self::begin(now, key, Aim::Record, density, start)
    }

    /// Looks for the first `count` keepers of `key`, and asks them for nothing.
    #[must_use]
    pub fn of_keepers(
        now: Instant,
        key: RingKey,
        count: usize,
        density: Option<Density>,
        start: Near,
    ) -> Self {
        Self::begin(now, key, Aim::Keepers(count), density, start)
    }

    fn begin(now: Instant, key: RingKey, aim: Aim, density: Option<Density>, start: Near) -> Self {
        let mut lookup = Self {
            key,
            aim,
            density,
            routes: Routes::new(key),
            keepers: Keepers::new(key),
            round: 0,
            refused: None,
            refusals: 0,
            is_doubtful: false,
            vouchers: 0,
            hops: None,
            messages: 0,
            orders: VecDeque::new(),
            longest: Duration::ZERO,
            slow_after: SLOW_FIRST,
            wake: None,
            is_over: false,
        };
        match start {
            Near::Keepers(nodes) => {
                lookup.hops = Some(0);
                lookup.vouchers = VOUCHERS;
                lookup.keepers.take(&nodes);
            }
            Near::Closer(nodes) => lookup.routes.begin(&nodes),
        }
        lookup.go_on(now);
        lookup
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> RingKey {
        self.key
    }

    /// The keepers that are known so far, nearest first.
    pub fn keepers(&self) -> impl Iterator<Item = &NodeEntry> {
        self.keepers.iter().map(|keeper| &keeper.entry)
    }

    /// Where to write: the `count` nearest of those named as keepers, and behind them the others,
    /// in the order to try them where those do not exist. Each that was asked has named the true
    /// ones first, unless it lies: the first of all lists come before the second, and of these whom
    /// most have named.
    #[must_use]
    pub fn to_write_at(&self, count: usize) -> Vec<NodeEntry> {
        self.keepers.to_write_at(count)
    }

    /// The keepers that said they lack what is looked for, nearest first.
    pub fn lacking(&self) -> impl Iterator<Item = &NodeEntry> {
        let said = KeeperState::Said(Fetched::NotHere);
        let lacking = self.keepers.iter().filter(move |keeper| keeper.state == said);
        lacking.map(|keeper| &keeper.entry)
    }

    /// A node has said who is near, or was silent or refused (`None`). An answer that is out of
    /// order counts as none. So does one that is too sparse to be honest; but when there are only
    /// such, our own estimate may be wrong: then the densest of them is tried, and its denials are
    /// not believed.
    pub fn handle_near(&mut self, now: Instant, from: &NodeId, near: Option<Near>) {
        let Some((depth, asked)) = self.routes.answered(from) else { return };
        if near.is_some() {
            self.measured(now.saturating_duration_since(asked));
        }
        match near {
            Some(Near::Keepers(nodes)) if self.admits(&nodes) => {
                self.hops.get_or_insert(depth);
                self.is_doubtful = false;
                self.keepers.take(&nodes);
                let is_whole = nodes.len() >= WIDTHS[0].min(self.ring_len());
                let vouches = is_whole && self.is_placed_to_know(from);
                self.vouchers = self.vouchers.saturating_add(u8::from(vouches));
            }
            Some(Near::Closer(nodes)) => self.routes.extend(from, &nodes),
            Some(Near::Keepers(nodes)) => self.refuse(nodes, depth),
            None => {}
        }
        self.go_on(now);
    }

    /// A list that was not believed; the densest is kept.
    fn refuse(&mut self, nodes: Vec<NodeEntry>, depth: u8) {
        let far = |n: &NodeEntry| self.key.distance_to(&n.node);
        if !nodes.is_sorted_by(|a, b| far(a) < far(b)) {
            return;
        }
        self.refusals = self.refusals.saturating_add(1);
        let spacing = |nodes: &[NodeEntry]| {
            let last = nodes.last().map_or(u128::MAX, |last| distance(&self.key, &last.node));
            last / nodes.len().max(1) as u128
        };
        if self.refused.as_ref().is_none_or(|(kept, _)| spacing(&nodes) < spacing(kept)) {
            self.refused = Some((nodes, depth));
        }
    }

    /// A keeper was asked, and this came of it.
    pub fn handle_fetched(&mut self, now: Instant, from: &NodeId, fetched: Fetched) {
        let Some(keeper) = self.keepers.iter_mut().find(|k| k.entry.node == *from) else { return };
        let Some(asked) = keeper.asked_at() else { return };
        keeper.state = KeeperState::Said(fetched);
        if fetched != Fetched::Failed {
            self.measured(now.saturating_duration_since(asked));
        }
        self.go_on(now);
    }

    /// Questions that are slow are no longer waited for: others are put beside them.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.wake.is_some_and(|at| at <= now) {
            self.go_on(now);
        }
    }

    /// What is to be done next, until none.
    pub fn poll(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    /// When a question becomes slow.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.wake
    }

    fn admits(&self, nodes: &[NodeEntry]) -> bool {
        let density = self.density.unwrap_or(Density::of_ring(1));
        density.admits(&self.key, nodes)
    }

    /// Whether a node is one that knows the key's keepers, so that what it names counts: under full
    /// membership any does, in a ring those whose successor list the key lies in, and the owner.
    fn is_placed_to_know(&self, node: &NodeId) -> bool {
        let Some(density) = self.density else { return true };
        density.ring_len() <= ALL_KNOW
            || density.is_close(&node.as_key(), &NodeId(self.key.0))
            || self.keepers.is_first(node)
    }

    /// Decides what is known, and puts what is missing.
    fn go_on(&mut self, now: Instant) {
        if self.is_over {
            return;
        }
        if self.keepers.is_empty()
            && (self.refusals >= VOUCHERS || self.routes.has_none_left())
            && let Some((nodes, depth)) = self.refused.take()
        {
            self.hops.get_or_insert(depth);
            self.is_doubtful = true;
            self.keepers.take(&nodes);
        }
        let wants_routes = self.wants_routes(now);
        if wants_routes > 0 && self.routes.has_none_left() {
            let known =
                self.keepers.iter().filter(|k| k.state != KeeperState::Said(Fetched::Failed));
            self.routes.resort_to(known.map(|k| &k.entry));
        }
        if let Some(end) = self.verdict(now) {
            return self.finish(end);
        }
        self.fetch(now);
        self.route(now, wants_routes);
        let asked = self.keepers.iter().filter_map(Keeper::asked_at).chain(self.routes.asked_at());
        let (mut is_waiting, mut wake) = (false, None);
        for at in asked {
            is_waiting = true;
            let slow = at + self.slow_after;
            wake =
                if slow > now { Some(wake.map_or(slow, |w: Instant| w.min(slow))) } else { wake };
        }
        self.wake = wake;
        if !is_waiting {
            let is_placed = self.aim != Aim::Record && !self.keepers.is_empty();
            let end = if is_placed { End::Placed } else { End::Inconclusive };
            let end = self.best_end(end);
            self.finish(end);
        }
    }

    /// The verdict, once there is one; widens the round when it takes more.
    fn verdict(&mut self, now: Instant) -> Option<End> {
        if let Aim::Keepers(count) = self.aim {
            let is_over =
                self.routes.has_none_but_slow(now, self.slow_after) && !self.keepers.is_empty();
            let is_known = self.vouchers >= VOUCHERS && self.has_keepers(count);
            return (is_over || is_known).then_some(End::Placed);
        }
        loop {
            let asked: Vec<&Keeper> = self.standing(now).take(WIDTHS[self.round]).collect();
            let is_held = asked.iter().any(|k| k.is_held() && !k.is_late());
            let is_settled = asked.iter().all(|k| matches!(k.state, KeeperState::Said(_)));
            let is_known = self.vouchers >= VOUCHERS || self.routes.has_none_left();
            // Who lies may name its like, and hand out what was true once: unless two agree, enough
            // have to vouch for the keepers, and all of these to answer. What is late is taken only
            // when nothing else is found.
            if self.is_agreed() || (is_held && is_settled && is_known) {
                return Some(self.best_end(End::Inconclusive));
            }
            if asked.is_empty() || !is_settled || !is_known {
                return None;
            }
            let answered = asked.iter().filter(|k| k.state == KeeperState::Said(Fetched::NotHere));
            // A ring of one or two has fewer than three to believe.
            let all = if self.routes.has_none_left() { self.keepers.len() } else { BELIEVED };
            if answered.take(WIDTHS[0]).count() >= BELIEVED.min(self.ring_len()).min(all) {
                let end = if self.is_doubtful { End::Inconclusive } else { End::NotFound };
                return Some(self.best_end(end));
            }
            if self.round + 1 == WIDTHS.len() {
                return None;
            }
            self.round += 1;
        }
    }

    /// Whether two keepers hold the same, and nothing speaks against it.
    fn is_agreed(&self) -> bool {
        let held = self.keepers.iter().filter(|keeper| keeper.is_held());
        held.take(FOUND_ENOUGH).count() == FOUND_ENOUGH && !self.keepers.are_at_odds()
    }

    /// The keepers that are not passed by, nearest first.
    fn standing(&self, now: Instant) -> impl Iterator<Item = &Keeper> {
        self.keepers.iter().filter(move |keeper| !keeper.is_passed_by(now, self.slow_after))
    }

    /// Asks the keepers of this round: the first two at once, the others when those do not both
    /// hold the same.
    fn fetch(&mut self, now: Instant) {
        if self.aim != Aim::Record {
            return;
        }
        let width = if self.is_suspect(now) { WIDTHS[self.round] } else { FOUND_ENOUGH };
        let wanted: Vec<NodeId> =
            self.standing(now).take(width).map(|keeper| keeper.entry.node).collect();
        for keeper in self.keepers.iter_mut().filter(|k| wanted.contains(&k.entry.node)) {
            if keeper.state == KeeperState::Fresh && self.messages < MESSAGES_MAX {
                self.messages += 1;
                keeper.state = KeeperState::Asked { at: now };
                self.orders.push_back(Order::Fetch { to: keeper.entry });
            }
        }
    }

    /// How many nodes are to be asked for nodes at once: α until keepers are known; after that,
    /// while those asked do not hold it, α until enough have vouched for the keepers, and one until
    /// there are as many as the round is wide.
    fn wants_routes(&self, now: Instant) -> usize {
        let wide = WIDTHS[self.round].min(self.ring_len());
        if self.keepers.is_empty() {
            ALPHA
        } else if let Aim::Keepers(count) = self.aim {
            if self.vouchers < VOUCHERS { ALPHA } else { usize::from(!self.has_keepers(count)) }
        } else if self.is_agreed() || !self.is_suspect(now) {
            usize::from(self.keepers.len() < FOUND_ENOUGH.min(self.ring_len()))
        } else if self.vouchers < VOUCHERS {
            ALPHA
        } else {
            usize::from(self.standing(now).count() < wide)
        }
    }

    fn route(&mut self, now: Instant, wanted: usize) {
        while self.routes.in_flight(now, self.slow_after) < wanted && self.messages < MESSAGES_MAX {
            let Some(to) = self.routes.next(now) else { break };
            self.messages += 1;
            self.orders.push_back(Order::Nearest { to, width: WIDTHS[2] as u8 });
        }
    }

    /// Whether so many keepers are known, or all there are.
    fn has_keepers(&self, count: usize) -> bool {
        self.keepers.len() >= count.min(self.ring_len())
    }

    /// Whether a keeper that was asked does not hold it, is silent, or is slow, or what was found
    /// is in doubt.
    fn is_suspect(&self, now: Instant) -> bool {
        self.keepers.iter().any(|k| k.has_failed(now, self.slow_after))
            || self.keepers.are_at_odds()
    }

    /// Members there are, as far as it matters.
    fn ring_len(&self) -> usize {
        self.density.map_or(usize::MAX, |d| usize::try_from(d.ring_len()).unwrap_or(usize::MAX))
    }

    /// An answer took so long: the next are slow after twice the longest.
    fn measured(&mut self, rtt: Duration) {
        self.longest = self.longest.max(rtt);
        self.slow_after = (self.longest * 2).clamp(SLOW_MIN, SLOW_MAX);
    }

    /// Found, if anybody holds it; otherwise the other end.
    fn best_end(&self, otherwise: End) -> End {
        let held = self.keepers.iter().filter_map(|k| match k.state {
            KeeperState::Said(Fetched::Held { counter, .. }) => Some((counter, k.entry.node)),
            KeeperState::Said(Fetched::NotHere | Fetched::Failed)
            | KeeperState::Fresh
            | KeeperState::Asked { .. } => None,
        });
        held.max_by_key(|(counter, _)| *counter)
            .map_or(otherwise, |(counter, keeper)| End::Found { keeper, counter })
    }

    fn finish(&mut self, end: End) {
        self.is_over = true;
        self.wake = None;
        self.orders.clear();
        let asked = self.keepers.iter().filter(|k| k.state != KeeperState::Fresh).count();
        // Who was passed by was asked too: a round is as wide as all who were.
        let wide = WIDTHS.iter().position(|width| asked <= *width).unwrap_or(WIDTHS.len() - 1);
        self.orders.push_back(Order::Done(Outcome {
            end,
            round: self.round.max(wide) as u8 + 1,
            asked: asked as u8,
            hops: self.hops.unwrap_or(0),
            messages: self.messages,
        }));
    }
}

#[cfg(test)]
mod tests;
