//! Super-peers in virtual time: rings, look-ups and keepers in one loop of events.
//!
//! Invariant: a run is a function of its settings and seed. A node is dead when its ring is gone;
//! whoever asks it hears of that after [`PATIENCE`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use earshot_proto::asks::PATIENCE;
use earshot_proto::entropy::Stream;
use earshot_proto::ids::{NodeId, RingKey};
use earshot_proto::lookup::{End, Fetched, Lookup, Near, Order as LookupOrder, Outcome};
use earshot_proto::super_peer::ring::{Config, Mode, Order, Ring};
use earshot_proto::wire::certificate::AgreeKey;
use earshot_proto::wire::directory::NodeEntry;
use earshot_proto::wire::ring::{Question, Reply};

use super::credentials::{Credentials, Handed};
use super::fare::{Bill, Purpose, Sessions};
use super::liars::Liars;
use super::lots;
use super::network::Network;
use super::queue::{Moment, Queue};
use super::users::Users;

/// Doors that a newcomer gets, drawn by lot.
const DOORS: usize = 3;
/// How long after a change around it a keeper looks which records want another place.
const REPAIR_AFTER: Moment = 1_000_000;
const PATIENCE_US: Moment = PATIENCE.as_micros() as Moment;

/// One super-peer in one of its lives.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) entry: NodeEntry,
    /// None once it is dead.
    pub(super) ring: Option<Box<Ring>>,
    pub(super) lies: bool,
    pub(super) sessions: Sessions,
    /// When its earliest wake event comes.
    wake: Moment,
    /// Whether it is going to look after its records.
    repairs: bool,
    /// Questions of look-ups that it was asked.
    pub(super) asked: u32,
}

/// What happens.
#[derive(Debug)]
enum Event {
    Wake(u32),
    Question { to: u32, from: u32, ask: u32, tries: u64, sent: Moment, question: Box<Question> },
    Reply { to: u32, ask: u32, reply: Option<Box<Reply>> },
    Repair(u32),
    SearchWake(u32),
    Asked { search: u32, to: u32, tries: u64, sent: Moment, what: What },
    Answer { search: u32, from: NodeId, answer: Answer },
}

/// What a look-up asks.
#[derive(Clone, Copy, Debug)]
enum What {
    Near(u8),
    Fetch,
}

#[derive(Debug)]
enum Answer {
    Near(Option<Box<Near>>),
    Fetched(Fetched),
}

/// A look-up under way.
#[derive(Debug)]
struct Search {
    lookup: Lookup,
    by: u32,
    user: usize,
    /// The record's counter when it began.
    counter: u16,
    begun: Moment,
}

/// A look-up that ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// What the look-up says.
    pub outcome: Outcome,
    /// Whether it gave the record that was newest when it began, or a newer one.
    pub is_right: bool,
    /// How long it took.
    pub took: Moment,
}

/// The laboratory's world.
#[derive(Debug)]
pub struct World {
    pub(super) now: Moment,
    opened: Instant,
    config: Config,
    queue: Queue<Event>,
    /// Every node that ever was.
    pub(super) nodes: Vec<Node>,
    /// Those that live, by place.
    pub(super) members: BTreeMap<NodeId, u32>,
    liars: Liars,
    /// The network.
    pub network: Network,
    pub(super) users: Users,
    pub(super) credentials: Credentials,
    pub(super) bill: Bill,
    searches: BTreeMap<u32, Search>,
    last_search: u32,
    pub(super) ended: Vec<Ended>,
    pub(super) lots: Stream,
}

impl World {
    /// An empty world.
    #[must_use]
    pub fn new(
        seed: u64,
        config: Config,
        network: Network,
        users: Users,
        credentials: Credentials,
    ) -> Self {
        Self {
            now: 0,
            opened: Instant::now(),
            config,
            queue: Queue::default(),
            nodes: Vec::new(),
            members: BTreeMap::new(),
            liars: Liars::default(),
            network,
            users,
            credentials,
            bill: Bill::default(),
            searches: BTreeMap::new(),
            last_search: 0,
            ended: Vec::new(),
            lots: lots(seed, 1),
        }
    }

    /// A ring at rest of so many nodes; `lies` says which of them are liars.
    pub fn found(&mut self, count: u32, mut lies: impl FnMut(u32) -> bool) {
        let mut entries: Vec<NodeEntry> = (0..count).map(entry).collect();
        for number in 0..count {
            self.admit(number, lies(number));
        }
        entries.sort_unstable_by_key(|entry| entry.node);
        for number in 0..count {
            let me = self.nodes[number as usize].entry;
            let jitter = self.lots.split();
            let mut ring = Ring::among(self.instant(), self.config, me, jitter, &entries);
            let doors = [(); DOORS].map(|()| self.lots.below(u64::from(count)) as usize);
            ring.remember(&doors.map(|door| entries[door]));
            self.nodes[number as usize].ring = Some(Box::new(ring));
            self.drain(number);
        }
    }

    /// A new node joins through members drawn by lot.
    pub fn join(&mut self, lies: bool) -> u32 {
        let doors: Vec<NodeEntry> = (0..DOORS).filter_map(|_| self.member_by_lot()).collect();
        let number = self.nodes.len() as u32;
        self.admit(number, lies);
        let node = &mut self.nodes[number as usize];
        let mut ring = Box::new(Ring::new(self.config, node.entry, self.lots.split()));
        ring.start(self.opened + Duration::from_micros(self.now), &doors);
        node.ring = Some(ring);
        self.drain(number);
        number
    }

    fn admit(&mut self, number: u32, lies: bool) {
        let entry = entry(number);
        let sessions = Sessions::default();
        self.nodes.push(Node {
            entry,
            ring: None,
            lies,
            sessions,
            wake: Moment::MAX,
            repairs: false,
            asked: 0,
        });
        self.members.insert(entry.node, number);
        if lies {
            self.liars.join(entry);
        }
    }

    /// A node dies: nobody is told.
    pub fn kill(&mut self, number: u32) {
        let node = &mut self.nodes[number as usize];
        node.ring = None;
        node.sessions = Sessions::default();
        self.members.remove(&node.entry.node);
        self.liars.leave(&node.entry.node);
    }

    /// Whether a node lives.
    #[must_use]
    pub fn lives(&self, number: u32) -> bool {
        self.nodes[number as usize].ring.is_some()
    }

    /// How many of them are outside, in full membership, and in a Chord ring.
    #[must_use]
    pub fn modes(&self) -> [usize; 3] {
        let mut modes = [0; 3];
        for ring in self.nodes.iter().filter_map(|node| node.ring.as_ref()) {
            match ring.mode() {
                Mode::Outside => modes[0] += 1,
                Mode::Full => modes[1] += 1,
                Mode::Chord => modes[2] += 1,
            }
        }
        modes
    }

    /// Whether every member has its true neighbours.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let members: Vec<(&NodeId, &u32)> = self.members.iter().collect();
        let at = |place: usize| members[place % members.len()].0;
        members.iter().enumerate().all(|(place, (_, number))| {
            let Some(ring) = &self.nodes[**number as usize].ring else { return false };
            let list = ring.successors();
            let before = ring.predecessor().map(|p| p.node);
            before == Some(*at(place + members.len() - 1))
                && list.len() == usize::from(self.config.successors).min(members.len() - 1)
                && list.iter().enumerate().all(|(far, n)| n.node == *at(place + 1 + far))
        })
    }

    /// Other nodes that one knows, in the mean.
    #[must_use]
    pub fn known(&self) -> f64 {
        let rings = self.nodes.iter().filter_map(|node| node.ring.as_ref());
        rings.map(|ring| ring.known().len() as f64).sum::<f64>() / self.members.len().max(1) as f64
    }

    /// The nodes that live, in the order of their places.
    pub fn living(&self) -> impl Iterator<Item = u32> {
        self.members.values().copied()
    }

    fn member_by_lot(&mut self) -> Option<NodeEntry> {
        let place = NodeId(self.lots.bytes());
        let after = self.members.range(place..).chain(self.members.range(..place)).next();
        after.map(|(_, number)| self.nodes[*number as usize].entry)
    }

    /// A living member of the ring by lot that is honest.
    pub fn honest_by_lot(&mut self) -> Option<u32> {
        (0..1000).find_map(|_| {
            let number = self.member_by_lot().map(|entry| number_of(&entry))?;
            let node = &self.nodes[number as usize];
            let is_in = node.ring.as_ref().is_some_and(|ring| ring.mode() != Mode::Outside);
            (is_in && !node.lies).then_some(number)
        })
    }

    pub(super) fn instant(&self) -> Instant {
        self.opened + Duration::from_micros(self.now)
    }

    fn moment(&self, at: Instant) -> Moment {
        at.saturating_duration_since(self.opened).as_micros() as Moment
    }

    /// Lets everything happen that is due until that moment.
    pub fn run_until(&mut self, end: Moment) {
        while let Some((at, event)) = self.queue.pop_until(end) {
            self.now = at;
            self.happen(event);
        }
        self.now = end;
    }

    /// How many events there were.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.queue.made()
    }

    fn happen(&mut self, event: Event) {
        let now = self.instant();
        match event {
            Event::Wake(number) => {
                let node = &mut self.nodes[number as usize];
                if node.wake != self.now {
                    return;
                }
                node.wake = Moment::MAX;
                if let Some(ring) = &mut node.ring {
                    ring.handle_timeout(now);
                    self.drain(number);
                }
            }
            Event::Question { to, from, ask, tries, sent, question } => {
                self.questioned(to, from, ask, tries, sent, *question);
            }
            Event::Reply { to, ask, reply } => {
                if let Some(ring) = &mut self.nodes[to as usize].ring {
                    ring.handle_reply(now, ask, reply.map(|reply| *reply));
                    self.drain(to);
                }
            }
            Event::Repair(number) => {
                self.nodes[number as usize].repairs = false;
                self.repair(number);
            }
            Event::SearchWake(search) => {
                if let Some(running) = self.searches.get_mut(&search) {
                    running.lookup.handle_timeout(now);
                    self.drain_search(search);
                }
            }
            Event::Asked { search, to, tries, sent, what } => {
                self.search_asked(search, to, tries, sent, what);
            }
            Event::Answer { search, from, answer } => self.search_answered(search, &from, answer),
        }
    }

    fn questioned(
        &mut self,
        to: u32,
        from: u32,
        ask: u32,
        tries: u64,
        sent: Moment,
        question: Question,
    ) {
        let asked = minicbor::len(&question);
        let is_lie = self.nodes[to as usize].lies;
        let reply = if let Question::Nearest { key, width } = &question
            && is_lie
        {
            self.lie(to, key, *width)
        } else {
            let (now, from) = (self.instant(), self.nodes[from as usize].entry);
            let ring = self.nodes[to as usize].ring.as_mut();
            ring.map(|ring| ring.handle_question(now, from, question))
        };
        let Some(reply) = reply else {
            self.bill.silent(Purpose::Upkeep, TRIES, asked);
            return self
                .queue
                .push(sent + PATIENCE_US, Event::Reply { to: from, ask, reply: None });
        };
        self.drain(to);
        let begins = self.nodes[from as usize].sessions.exchange(self.now, to);
        self.bill.answered(Purpose::Upkeep, begins, tries, asked, minicbor::len(&reply));
        let at = self.now + self.network.one_way(to, from);
        self.queue.push(at, Event::Reply { to: from, ask, reply: Some(Box::new(reply)) });
    }

    fn lie(&self, liar: u32, key: &RingKey, width: u8) -> Option<Reply> {
        let density = self.nodes[liar as usize].ring.as_ref()?.density()?;
        Some(self.liars.near(key, density, usize::from(width)).into_reply())
    }

    /// Does what a ring wants done, and plans its next wake.
    fn drain(&mut self, number: u32) {
        loop {
            let Some(ring) = &mut self.nodes[number as usize].ring else { return };
            match ring.poll() {
                Some(Order::Ask { ask, to, question }) => self.ask(number, ask, &to, question),
                Some(Order::Changed) => self.changed(number),
                // Homes put anew what lost all its keepers; here nobody does.
                Some(Order::Gone(_)) => {}
                None => break,
            }
        }
        let Some(ring) = &self.nodes[number as usize].ring else { return };
        let Some(at) = ring.poll_timeout() else { return };
        let at = self.moment(at).max(self.now + 1);
        let node = &mut self.nodes[number as usize];
        if at < node.wake {
            node.wake = at;
            self.queue.push(at, Event::Wake(number));
        }
    }

    fn ask(&mut self, from: u32, ask: u32, to: &NodeEntry, question: Question) {
        let to = number_of(to);
        let fate = self.network.fate(from, to);
        let (sent, tries) = (self.now, fate.tries);
        if let Some(after) = fate.arrives {
            let question = Box::new(question);
            let event = Event::Question { to, from, ask, tries, sent, question };
            self.queue.push(sent + after, event);
        } else {
            self.bill.silent(Purpose::Upkeep, tries, minicbor::len(&question));
            self.queue.push(sent + PATIENCE_US, Event::Reply { to: from, ask, reply: None });
        }
    }

    fn changed(&mut self, number: u32) {
        let node = &mut self.nodes[number as usize];
        if !node.repairs && !self.users.is_empty() {
            node.repairs = true;
            self.queue.push(self.now + REPAIR_AFTER, Event::Repair(number));
        }
    }

    /// A node looks a user up.
    pub fn search(&mut self, by: u32, user: usize) {
        let (now, key) = (self.instant(), self.users.key(user));
        let Some(ring) = &self.nodes[by as usize].ring else { return };
        let start = ring.nearest(&key, usize::from(WIDEST));
        let lookup = Lookup::new(now, key, ring.density(), start);
        self.last_search += 1;
        let counter = self.users.counter(user);
        let search = Search { lookup, by, user, counter, begun: self.now };
        self.searches.insert(self.last_search, search);
        self.drain_search(self.last_search);
    }

    fn drain_search(&mut self, search: u32) {
        loop {
            let Some(running) = self.searches.get_mut(&search) else { return };
            let (to, what) = match running.lookup.poll() {
                Some(LookupOrder::Nearest { to, width }) => (to, What::Near(width)),
                Some(LookupOrder::Fetch { to }) => (to, What::Fetch),
                Some(LookupOrder::Done(outcome)) => return self.search_ended(search, outcome),
                None => break,
            };
            let (by, to) = (running.by, number_of(&to));
            let fate = if by == to {
                super::network::Fate { tries: 0, arrives: Some(0) }
            } else {
                self.network.fate(by, to)
            };
            let (sent, tries) = (self.now, fate.tries);
            if let Some(after) = fate.arrives {
                self.queue.push(sent + after, Event::Asked { search, to, tries, sent, what });
            } else {
                self.search_silent(search, to, tries, sent, what);
            }
        }
        let Some(at) = self.searches.get(&search).and_then(|s| s.lookup.poll_timeout()) else {
            return;
        };
        let at = self.moment(at).max(self.now + 1);
        self.queue.push(at, Event::SearchWake(search));
    }

    fn search_silent(&mut self, search: u32, to: u32, tries: u64, sent: Moment, what: What) {
        let (asked, answer) = match what {
            What::Near(width) => (near_len(width), Answer::Near(None)),
            What::Fetch => (FIND_LEN, Answer::Fetched(Fetched::Failed)),
        };
        self.bill.silent(Purpose::Search, tries, asked);
        let from = self.nodes[to as usize].entry.node;
        self.queue.push(sent + PATIENCE_US, Event::Answer { search, from, answer });
    }

    fn search_asked(&mut self, search: u32, to: u32, tries: u64, sent: Moment, what: What) {
        let Some(running) = self.searches.get(&search) else { return };
        let (by, user, key) = (running.by, running.user, running.lookup.key());
        let node = &mut self.nodes[to as usize];
        let Some(ring) = &node.ring else {
            return self.search_silent(search, to, TRIES, sent, what);
        };
        node.asked += 1;
        let (asked, said, answer) = match what {
            What::Near(width) => {
                let reply = if node.lies {
                    self.lie(to, &key, width)
                } else if ring.mode() == Mode::Outside {
                    None
                } else {
                    Some(ring.nearest(&key, usize::from(width)).into_reply())
                };
                let reply = reply.unwrap_or(Reply::Outside);
                let said = minicbor::len(&reply);
                (near_len(width), said, Answer::Near(Near::of_reply(reply).map(Box::new)))
            }
            What::Fetch => {
                let handed = if node.lies {
                    Liars::hand(to, user, &self.users)
                } else {
                    let held = self.users.held(user, to);
                    held.map(|counter| {
                        let made = self.users.made(user, counter);
                        Handed { user, counter, made, is_forged: false }
                    })
                };
                let (said, fetched) = match handed {
                    None => (NOT_HERE_LEN, Fetched::NotHere),
                    Some(handed) => (RECORD_LEN, self.credentials.believe(self.now, handed)),
                };
                (FIND_LEN, said, Answer::Fetched(fetched))
            }
        };
        if by != to {
            let begins = self.nodes[by as usize].sessions.exchange(self.now, to);
            self.bill.answered(Purpose::Search, begins, tries, asked, said);
        }
        let back = if by == to { 0 } else { self.network.one_way(to, by) };
        let from = self.nodes[to as usize].entry.node;
        self.queue.push(self.now + back, Event::Answer { search, from, answer });
    }

    fn search_answered(&mut self, search: u32, from: &NodeId, answer: Answer) {
        let now = self.instant();
        let Some(running) = self.searches.get_mut(&search) else { return };
        match answer {
            Answer::Near(near) => {
                // The asker's ring learns from what its look-ups see, as in the product.
                if let (Some(near), Some(ring)) = (&near, &mut self.nodes[running.by as usize].ring)
                {
                    ring.heard(near.nodes());
                }
                running.lookup.handle_near(now, from, near.map(|near| *near));
            }
            Answer::Fetched(fetched) => running.lookup.handle_fetched(now, from, fetched),
        }
        self.drain_search(search);
    }

    fn search_ended(&mut self, search: u32, outcome: Outcome) {
        let Some(running) = self.searches.remove(&search) else { return };
        if !self.lives(running.by) {
            return;
        }
        let is_right = match outcome.end {
            End::Found { counter, .. } => counter >= u64::from(running.counter),
            End::NotFound | End::Placed | End::Inconclusive => false,
        };
        self.ended.push(Ended { outcome, is_right, took: self.now - running.begun });
    }
}

/// Width of the question that a look-up puts to its own ring.
const WIDEST: u8 = 16;
/// Datagrams that a dead node is sent for one question.
const TRIES: u64 = earshot_proto::secure::questions::asker::TRIES_MAX as u64;
/// Bytes of `Directory::Find` with a name of twelve letters.
const FIND_LEN: usize = 16;
/// Bytes of `Directory::NotHere`.
const NOT_HERE_LEN: usize = 4;
/// Bytes of one device's record: the registration of `tests/vectors/wire` has 592, its sealed
/// location, the home's entry and what joins them make the rest.
pub const RECORD_LEN: usize = 800;

/// Bytes of a question for the nodes near a key.
fn near_len(width: u8) -> usize {
    minicbor::len(Question::Nearest { key: RingKey([0xff; 20]), width })
}

/// The super-peer of that number: its address tells the number, its place is a hash.
#[must_use]
pub fn entry(number: u32) -> NodeEntry {
    let [_, b, c, d] = number.to_be_bytes();
    let address = SocketAddr::from(([10, b, c, d], 4433));
    NodeEntry { node: NodeId::of(address, &[0; 16]), address, key: AgreeKey([0; 32]) }
}

/// The number that its address tells.
#[must_use]
pub fn number_of(entry: &NodeEntry) -> u32 {
    match entry.address {
        SocketAddr::V4(address) => u32::from(*address.ip()) & 0x00ff_ffff,
        SocketAddr::V6(_) => unreachable!("every super-peer of the laboratory has an IPv4 address"),
    }
}
