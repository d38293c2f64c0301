//! Stories of rings in virtual time: machines, a clock, messages that take 40 ms, and deaths.

mod crossing;
mod hops;
mod stories;

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::entropy::Entropy;
use crate::lookup::{Fetched, Lookup, Order as LookupOrder, Outcome};
use crate::wire::certificate::AgreeKey;

const ONE_WAY: Duration = Duration::from_millis(40);
const PATIENCE: Duration = Duration::from_secs(2);

/// The node of that number; ids are spread by a hash, as real ones are.
fn entry(number: u32) -> NodeEntry {
    let [a, b, c, d] = number.to_be_bytes();
    let address = std::net::SocketAddr::from(([10, b, c, d], 4433));
    NodeEntry { node: NodeId::of(address, &[a; 16]), address, key: AgreeKey([d; 32]) }
}

fn lots(seed: u64) -> Entropy {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    Entropy::new(bytes)
}

enum Event {
    Question { to: NodeId, from: NodeEntry, ask: u32, question: Question },
    Reply { to: NodeId, ask: u32, reply: Option<Reply> },
}

/// A network of rings.
struct Net {
    config: Config,
    now: Instant,
    rings: BTreeMap<NodeId, Ring>,
    events: BTreeMap<(Instant, u64), Event>,
    /// Nodes that answer nothing and are asked nothing.
    dead: BTreeSet<NodeId>,
    jitter: Stream,
    sent: u64,
    questions: u64,
    /// Bytes of questions and replies, without what carries them.
    bytes: u64,
}

impl Net {
    #[expect(clippy::disallowed_methods, reason = "a test begins at some moment")]
    fn new(seed: u64, config: Config) -> Self {
        let (rings, events, dead) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let (jitter, now) = (lots(seed).jitter, Instant::now());
        Self { config, now, rings, events, dead, jitter, sent: 0, questions: 0, bytes: 0 }
    }

    /// A node starts, with these doors.
    fn start(&mut self, number: u32, doors: &[u32]) {
        let me = entry(number);
        let mut ring = Ring::new(self.config, me, self.jitter.split());
        let doors: Vec<NodeEntry> = doors.iter().map(|door| entry(*door)).collect();
        ring.start(self.now, &doors);
        self.dead.remove(&me.node);
        self.rings.insert(me.node, ring);
        self.drain(me.node);
    }

    /// A node dies: nobody is told.
    fn kill(&mut self, number: u32) {
        let node = entry(number).node;
        self.rings.remove(&node);
        self.dead.insert(node);
    }

    fn ring(&self, number: u32) -> &Ring {
        &self.rings[&entry(number).node]
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        self.run_until(end, |_| false);
    }

    /// Runs until that moment or until `done`; answers whether it was done.
    fn run_until(&mut self, end: Instant, done: impl Fn(&Self) -> bool) -> bool {
        loop {
            if done(self) {
                return true;
            }
            let wakes = self.rings.iter().filter_map(|(n, ring)| Some((ring.poll_timeout()?, *n)));
            let wake = wakes.min();
            let event = self.events.first_key_value().map(|(at, _)| at.0);
            let next = wake.map(|(at, _)| at).into_iter().chain(event).min();
            let Some(next) = next.filter(|at| *at <= end) else {
                self.now = end;
                return done(self);
            };
            self.now = self.now.max(next);
            match wake {
                Some((at, node)) if at == next => {
                    if let Some(ring) = self.rings.get_mut(&node) {
                        ring.handle_timeout(self.now);
                        assert!(ring.poll_timeout() > Some(at), "it does not spin");
                    }
                    self.drain(node);
                }
                Some(_) | None => self.event(),
            }
        }
    }

    fn event(&mut self) {
        let Some((_, event)) = self.events.pop_first() else { return };
        match event {
            Event::Question { to, from, ask, question } => {
                let reply = self.rings.get_mut(&to).map(|ring| {
                    self.questions += 1;
                    ring.handle_question(self.now, from, question)
                });
                let wait = if reply.is_some() { ONE_WAY } else { PATIENCE - ONE_WAY };
                self.drain(to);
                self.later(wait, Event::Reply { to: from.node, ask, reply });
            }
            Event::Reply { to, ask, reply } => {
                if let Some(ring) = self.rings.get_mut(&to) {
                    ring.handle_reply(self.now, ask, reply);
                }
                self.drain(to);
            }
        }
    }

    fn drain(&mut self, node: NodeId) {
        let Some(ring) = self.rings.get_mut(&node) else { return };
        let from = *ring.me();
        let orders: Vec<Order> = std::iter::from_fn(|| ring.poll()).collect();
        for order in orders {
            if let Order::Ask { ask, to, question } = order {
                let to = to.node;
                self.later(ONE_WAY, Event::Question { to, from, ask, question });
            }
        }
    }

    fn later(&mut self, wait: Duration, event: Event) {
        self.sent += 1;
        self.bytes += match &event {
            Event::Question { question, .. } => minicbor::len(question),
            Event::Reply { reply, .. } => minicbor::len(reply),
        } as u64;
        self.events.insert((self.now + wait, self.sent), event);
    }

    /// Whether every node knows its true neighbours.
    fn is_perfect(&self) -> bool {
        let members: Vec<NodeId> = self.rings.keys().copied().collect();
        let len = members.len();
        members.iter().enumerate().all(|(at, me)| {
            let ring = &self.rings[me];
            let list = ring.successors();
            let wanted = usize::from(self.config.successors).min(len - 1);
            let before = members[(at + len - 1) % len];
            ring.mode() != Mode::Outside
                && list.len() == wanted
                && list.iter().enumerate().all(|(far, n)| n.node == members[(at + 1 + far) % len])
                && (len == 1 || ring.predecessor().is_some_and(|p| p.node == before))
        })
    }

    fn all_in(&self, mode: Mode) -> bool {
        self.rings.values().all(|ring| ring.mode() == mode)
    }

    /// The true keepers of a key.
    fn keepers(&self, key: &RingKey, width: usize) -> Vec<NodeId> {
        let mut nodes: Vec<NodeId> = self.rings.keys().copied().collect();
        nodes.sort_by_key(|n| key.distance_to(n));
        nodes.truncate(width);
        nodes
    }

    /// A look-up by a member, outside of time: every question is answered at once, by the dead not
    /// at all. The four keepers hold the record.
    fn look_up(&self, by: NodeId, key: RingKey) -> Outcome {
        let ring = &self.rings[&by];
        let holders = self.keepers(&key, 4);
        let start = ring.nearest(&key, 16);
        let mut lookup = Lookup::new(self.now, key, ring.density(), start);
        loop {
            match lookup.poll() {
                Some(LookupOrder::Nearest { to, width }) => {
                    let other = self.rings.get(&to.node).filter(|r| r.mode() != Mode::Outside);
                    let near = other.map(|ring| ring.nearest(&key, usize::from(width)));
                    lookup.handle_near(self.now, &to.node, near);
                }
                Some(LookupOrder::Fetch { to }) => {
                    let fetched = match self.rings.contains_key(&to.node) {
                        true if holders.contains(&to.node) => {
                            Fetched::Held { counter: 1, is_late: false }
                        }
                        true => Fetched::NotHere,
                        false => Fetched::Failed,
                    };
                    lookup.handle_fetched(self.now, &to.node, fetched);
                }
                Some(LookupOrder::Done(outcome)) => return outcome,
                None => unreachable!("a look-up ends when everything is answered"),
            }
        }
    }

    /// Whether so many look-ups by members drawn by lot all find what the keepers hold.
    fn finds_all(&mut self, times: usize) -> bool {
        let members: Vec<NodeId> = self.rings.keys().copied().collect();
        (0..times).all(|_| {
            let by = members[self.jitter.below(members.len() as u64) as usize];
            let key = RingKey(self.jitter.bytes());
            matches!(self.look_up(by, key).end, crate::lookup::End::Found { .. })
        })
    }
}
