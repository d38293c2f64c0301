//! The ring of super-peers: who keeps a key, among two or a hundred thousand. DESIGN 2.5; lecture,
//! slides 12–25.
//!
//! Below a threshold every super-peer knows all others (*full membership*, [`table`]); above it
//! they form a Chord ring ([`chord`], [`fingers`]). Both give the same answer: the keepers of a key
//! are its first live successors. Whoever asks sees no difference but in how soon he gets it.
//!
//! [`Ring`] is a machine like all others: one input, then [`Ring::poll`] until nothing comes, then
//! sleep until [`Ring::poll_timeout`]. It neither waits for answers nor measures patience: its
//! owner says what came of each [`Order::Ask`] by [`Ring::handle_reply`]. Entries that others name
//! are hearsay here; a node becomes a successor, a member by check, or a measured finger only after
//! it has answered itself.
//!
//! Invariant: at most [`ASKS_MAX`] questions are open; what is beyond is not put, and the next
//! period puts it again.

pub mod chord;
pub mod fingers;
pub mod table;

mod asking;
mod crossing;
mod joining;
mod members;
mod news;
mod seek;
mod upkeep;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::entropy::Stream;
use crate::ids::{NodeId, RingKey};
use crate::lookup::{Density, Near};
use crate::wire::bounded::List;
use crate::wire::directory::{NODES_MAX, NodeEntry};
use crate::wire::policy::Policy;
use crate::wire::ring::{Question, Reply, SUCCESSORS_MAX, digest};

pub use asking::ASKS_MAX;
use asking::Asked;
use chord::Chord;
use crossing::Census;
use fingers::{Digits, Fingers, Slot};
use table::Table;

/// Super-peers outside our view that are remembered for joining and merging, at most.
const DOORS_MAX: usize = 16;

/// Members of a network with full membership at most, whatever its policy says. DESIGN 2.5: 2,048;
/// our choice: twice that, some 400 kB.
const MEMBERS_MAX: u16 = 4096;

/// How often a node stabilises whose neighbours are linked: the links tell it of deaths, and the
/// neighbours of changes. Stoica et al. 2001, section 6.5: 30 s.
const LINKED_STABILISE_EVERY: Duration = Duration::from_secs(30);

/// How the ring behaves: from the network's policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// With more members than this, full membership ends.
    pub up: u16,
    /// With no more members than this, it begins again.
    pub down: u16,
    /// s: the length of successor lists, at most [`SUCCESSORS_MAX`], and below `up`, so that a ring
    /// begins with s + 1 members. (With `down` of 17 or more it keeps them until it ends. A tiny
    /// ring that shrinks below s + 1 has everybody in each list; that is outside of Zave's proof.)
    pub successors: u8,
    /// How fingers cut the ring.
    pub digits: Digits,
    /// How often, on average, a node stabilises while nothing changes.
    pub stabilise_every: Duration,
    /// How often, on average, one finger is checked while those that are checked live, or under
    /// full membership one arc of the ring compared with another member.
    pub refresh_every: Duration,
    /// How often, on average, a node looks itself up through an outsider. DESIGN 2.5: each minute.
    pub merge_every: Duration,
}

impl Config {
    /// What a network's policy says. Chord begins above its threshold and ends at half of it.
    #[must_use]
    pub fn of_policy(policy: &Policy) -> Self {
        let up = u16::try_from(policy.ring_threshold).unwrap_or(u16::MAX).min(MEMBERS_MAX);
        let usual = Self::with_thresholds(up, up / 2);
        Self {
            successors: usual.successors.min(policy.successors.max(2)),
            stabilise_every: LINKED_STABILISE_EVERY,
            ..usual
        }
    }

    /// The usual times, with these thresholds; `down` is at least 2 and below `up`.
    #[must_use]
    pub const fn with_thresholds(up: u16, down: u16) -> Self {
        let down = if down < 2 { 2 } else { down };
        let up = if up > down { up } else { down + 1 };
        let longest = if up as usize > SUCCESSORS_MAX { SUCCESSORS_MAX as u16 } else { up - 1 };
        Self {
            up,
            down,
            successors: longest as u8,
            digits: Digits::HEXADECIMAL,
            stabilise_every: Duration::from_secs(5),
            refresh_every: Duration::from_secs(10),
            merge_every: Duration::from_secs(60),
        }
    }
}

impl Default for Config {
    /// Up at 2,048, down at 1,024, s = 16. DESIGN 2.5.
    fn default() -> Self {
        Self::with_thresholds(2048, 1024)
    }
}

/// What the ring wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Put this question; say what came of it by [`Ring::handle_reply`].
    Ask {
        /// The question's number.
        ask: u32,
        /// Whom.
        to: NodeEntry,
        /// What.
        question: Question,
    },
    /// Predecessor or successors changed: keys may have other keepers, so records are put anew.
    Changed,
    /// A node that we knew or asked is dead, or has left.
    Gone(NodeId),
}

/// Which mode the ring is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Not started, still joining, or left.
    Outside,
    /// Every member is known.
    Full,
    /// Chord.
    Chord,
}

/// The machine. See the module's text for how it is run.
#[derive(Debug)]
pub struct Ring {
    config: Config,
    me: NodeEntry,
    jitter: Stream,
    doors: Vec<NodeEntry>,
    standing: Standing,
    /// The walk around the ring that counts everybody, while there is one.
    census: Option<Box<Census>>,
    asks: BTreeMap<u32, Asked>,
    last_ask: u32,
    orders: VecDeque<Order>,
    timers: Option<Timers>,
    /// Digest of the neighbourhood that was last announced by [`Order::Changed`].
    announced: u64,
    /// Digest of the successors of which our predecessor was told last.
    told: u64,
    /// When our predecessor has asked us last, or was asked whether it lives.
    heard_before: Option<Instant>,
}

/// How we stand.
#[derive(Debug)]
enum Standing {
    Outside,
    Joining(Attempt),
    Full(Table),
    Chord(Box<Structure>),
}

/// An attempt to join.
#[derive(Clone, Copy, Debug, Default)]
struct Attempt {
    /// How many there were before.
    before: u8,
    /// Whether a door that is joining too has a lower id: then it founds, and we wait for it.
    is_behind: bool,
    /// Whether a member has answered: then there is a ring, and we try again rather than found one.
    has_met: bool,
}

/// What a node of a Chord ring knows.
#[derive(Debug)]
struct Structure {
    chord: Chord<NodeEntry>,
    fingers: Fingers,
    /// The finger that is checked next.
    slot: Slot,
    /// Whether all slots were visited once.
    filled: bool,
}

/// When something is due.
#[derive(Clone, Copy, Debug)]
struct Timers {
    stabilise: Instant,
    /// The pause after the next stabilisation: short after a change, then doubling.
    pace: Duration,
    refresh: Instant,
    /// The pause between two checks of fingers.
    pause: Duration,
    merge: Instant,
    /// Not before then is the next census.
    census: Instant,
}

impl Ring {
    /// A node that does not take part yet.
    #[must_use]
    pub const fn new(config: Config, me: NodeEntry, jitter: Stream) -> Self {
        Self {
            config,
            me,
            jitter,
            doors: Vec::new(),
            standing: Standing::Outside,
            census: None,
            asks: BTreeMap::new(),
            last_ask: 0,
            orders: VecDeque::new(),
            timers: None,
            announced: 0,
            told: 0,
            heard_before: None,
        }
    }

    /// Another policy is in force. Where there are more members than it lets full membership have,
    /// that ends now; what else it changes is done by the next periods.
    pub fn set_config(&mut self, now: Instant, config: Config) {
        self.config = config;
        self.cross_up_if_large(now);
    }

    /// Takes part: joins through one of these nodes, or founds a ring if none of them is a member.
    pub fn start(&mut self, now: Instant, doors: &[NodeEntry]) {
        self.remember(doors);
        self.join(now, 0);
        self.settle(now);
    }

    /// Members outside our view, from the super-peer list: through one of them, drawn by lot, we
    /// look for a ring that we were parted from. At most 16 are kept, the newest.
    pub fn remember(&mut self, doors: &[NodeEntry]) {
        let mut kept = std::mem::take(&mut self.doors);
        for door in doors.iter().copied().chain(kept.drain(..)) {
            let is_known = self.doors.iter().any(|known| known.node == door.node);
            if !is_known && door.node != self.me.node && self.doors.len() < DOORS_MAX {
                self.doors.push(door);
            }
        }
    }

    /// Answers another super-peer's question; `from` is proved by its certificate.
    pub fn handle_question(&mut self, now: Instant, from: NodeEntry, question: Question) -> Reply {
        let reply = match question {
            Question::Nearest { key, width } => match self.mode() {
                Mode::Outside => Reply::Outside,
                Mode::Full | Mode::Chord => {
                    self.nearest(&key, usize::from(width).min(NODES_MAX)).into_reply()
                }
            },
            Question::State { known } => {
                self.predecessor_heard(now, &from);
                self.state(known)
            }
            Question::Rectify => self.handle_rectify(now, from),
            Question::Leaving { predecessor, successors } => {
                self.handle_leaving(now, &from, predecessor, &successors)
            }
            Question::News { joined, gone, until } => self.handle_news(now, joined, gone, until),
            Question::Changed => self.handle_changed(now, &from),
        };
        self.settle(now);
        reply
    }

    /// What came of a question: the answer, or none when it was silent for the patience time, or
    /// its link closed.
    pub fn handle_reply(&mut self, now: Instant, ask: u32, reply: Option<Reply>) {
        if let Some(asked) = self.asks.remove(&ask) {
            self.answered(now, asked, reply);
            self.settle(now);
        }
    }

    /// The link to a node closed: it counts as dead.
    pub fn handle_closed(&mut self, now: Instant, node: &NodeId) {
        self.dead(now, node);
        self.settle(now);
    }

    /// A node's round trip was measured by somebody else than us (a look-up, a link's beat).
    pub fn measured(&mut self, node: &NodeId, rtt: Duration) {
        if let Standing::Chord(structure) = &mut self.standing {
            structure.fingers.measured(node, rtt);
        }
    }

    /// A node that had been lost answers again: perhaps it belongs to a ring that we were parted
    /// from.
    pub fn found_again(&mut self, now: Instant, node: NodeEntry) {
        self.remember(&[node]);
        match &self.standing {
            Standing::Outside | Standing::Joining(_) => {}
            Standing::Full(table) if table.contains(&node.node) => {}
            Standing::Full(_) | Standing::Chord(_) => self.seek_outsiders(now, node),
        }
        self.settle(now);
    }

    /// Nodes were named in an answer to a look-up: fingers may be had for nothing.
    pub fn heard(&mut self, nodes: &[NodeEntry]) {
        if let Standing::Chord(structure) = &mut self.standing {
            structure.hear(nodes);
        }
    }

    /// Says goodbye to the neighbours and takes part no more.
    pub fn leave(&mut self, now: Instant) {
        let goodbye = Question::Leaving {
            predecessor: self.predecessor(),
            successors: List::first_of(self.successors()),
        };
        let told: Vec<NodeEntry> =
            self.predecessor().into_iter().chain(self.successors()).collect();
        self.standing = Standing::Outside;
        self.census = None;
        self.timers = None;
        self.asks.clear();
        self.orders.clear();
        for neighbour in told {
            self.ask(now, neighbour, goodbye.clone(), asking::About::Nothing);
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let Some(timers) = self.timers else { return };
        if timers.stabilise <= now {
            self.stabilise_due(now);
        }
        if timers.refresh <= now {
            self.refresh_due(now);
        }
        if timers.merge <= now {
            self.merge_due(now);
        }
        self.settle(now);
    }

    /// What is to be done next, until none.
    pub fn poll(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    /// When something is due next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let timers = self.timers?;
        let merge = (!self.doors.is_empty()).then_some(timers.merge);
        match &self.standing {
            Standing::Full(table) if table.is_empty() => merge,
            Standing::Outside | Standing::Joining(_) | Standing::Full(_) | Standing::Chord(_) => {
                merge.into_iter().chain([timers.stabilise, timers.refresh]).min()
            }
        }
    }

    /// Our own entry.
    #[must_use]
    pub const fn me(&self) -> &NodeEntry {
        &self.me
    }

    /// The mode.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        match self.standing {
            Standing::Outside | Standing::Joining(_) => Mode::Outside,
            Standing::Full(_) => Mode::Full,
            Standing::Chord(_) => Mode::Chord,
        }
    }

    /// What we can say about a key, at most `width` nodes: its keepers under full membership, and
    /// in a Chord ring if it lies between our predecessor and our last successor; otherwise those
    /// of our successors and fingers that precede it most closely. So says a newcomer under full
    /// membership too, until it knows everybody. Outside, the nodes to join through.
    #[must_use]
    pub fn nearest(&self, key: &RingKey, width: usize) -> Near {
        match &self.standing {
            Standing::Outside | Standing::Joining(_) => {
                Near::Closer(self.doors.iter().take(width).copied().collect())
            }
            Standing::Full(table) => table.nearest(key, width),
            Standing::Chord(structure) => structure.nearest(key, width),
        }
    }

    /// Whether the first keeper of a key are we.
    #[must_use]
    pub fn owns(&self, key: &RingKey) -> bool {
        match self.nearest(key, 1) {
            Near::Keepers(nodes) => nodes.first().is_some_and(|n| n.node == self.me.node),
            Near::Closer(_) => false,
        }
    }

    /// All other nodes that we know: every member, or our neighbours and fingers; outside, the
    /// nodes to join through.
    #[must_use]
    pub fn known(&self) -> Vec<NodeEntry> {
        match &self.standing {
            Standing::Outside | Standing::Joining(_) => self.doors.clone(),
            Standing::Full(table) => table.others().copied().collect(),
            Standing::Chord(structure) => structure.known_before(self.me.node),
        }
    }

    /// The nodes after us, nearest first, at most s.
    #[must_use]
    pub fn successors(&self) -> Vec<NodeEntry> {
        match &self.standing {
            Standing::Outside | Standing::Joining(_) => Vec::new(),
            Standing::Full(table) => {
                table.others().take(usize::from(self.config.successors)).copied().collect()
            }
            Standing::Chord(structure) => structure.chord.successors().to_vec(),
        }
    }

    /// The node before us.
    #[must_use]
    pub fn predecessor(&self) -> Option<NodeEntry> {
        match &self.standing {
            Standing::Outside | Standing::Joining(_) => None,
            Standing::Full(table) => table.predecessor().copied(),
            Standing::Chord(structure) => structure.chord.predecessor().copied(),
        }
    }

    /// How densely nodes lie on the ring, by our own neighbourhood; none while we have none.
    #[must_use]
    pub fn density(&self) -> Option<Density> {
        match &self.standing {
            Standing::Outside | Standing::Joining(_) => None,
            Standing::Full(table) if table.known_last().is_none() => {
                Some(Density::of_ring(table.len() as u64))
            }
            Standing::Full(_) => Density::of_list(self.me.node, &self.successors()),
            Standing::Chord(structure) => {
                Density::of_list(self.me.node, structure.chord.successors())
            }
        }
    }

    /// How many members there are, ourselves counted: exact under full membership, an estimate from
    /// the successor list (± 25 % at s = 16) in a Chord ring, 0 outside.
    #[must_use]
    pub fn len_estimate(&self) -> u64 {
        match &self.standing {
            Standing::Outside | Standing::Joining(_) => 0,
            Standing::Full(table) => table.len() as u64,
            Standing::Chord(_) => self.density().map_or(1, |density| density.ring_len()),
        }
    }

    fn state(&self, known: u64) -> Reply {
        let members = match &self.standing {
            Standing::Outside | Standing::Joining(_) => return Reply::Outside,
            Standing::Full(table) => Some(table.len() as u16),
            Standing::Chord(_) => None,
        };
        // The asker cannot know our last successor: its own list ends one before.
        let inner = usize::from(self.config.successors) - 1;
        if known != 0 && known == self.neighbourhood(inner, members.is_some()) {
            return Reply::Same;
        }
        let successors = List::first_of(self.successors());
        Reply::State { predecessor: self.predecessor(), successors, members }
    }

    /// Digest of the nodes around us, with so many successors.
    fn neighbourhood(&self, successors: usize, knows_all: bool) -> u64 {
        let predecessor = self.predecessor().map(|p| p.node);
        match &self.standing {
            Standing::Outside | Standing::Joining(_) => 0,
            Standing::Full(table) => {
                let list = table.others().take(successors);
                digest(predecessor, list.map(|n| n.node), knows_all)
            }
            Standing::Chord(structure) => {
                let list = structure.chord.successors().iter().take(successors);
                digest(predecessor, list.map(|n| n.node), knows_all)
            }
        }
    }

    /// After each input: announces what has changed around us.
    fn settle(&mut self, now: Instant) {
        let neighbourhood = self.neighbourhood(SUCCESSORS_MAX, false);
        if neighbourhood == self.announced {
            return;
        }
        self.announced = neighbourhood;
        if !self.orders.contains(&Order::Changed) {
            self.orders.push_back(Order::Changed);
        }
        self.quicken(now);
        self.tell_predecessor(now);
    }
}

#[cfg(test)]
mod tests;
