//! Plain Chord while nodes come and go: Stoica et al., SIGCOMM 2001, section 6.5.
//!
//! As there: 500 nodes; look-ups one a second; nodes join and fail at a rate of R each; every node
//! stabilises at intervals of 30 s on average and then renews all its fingers; a look-up that is
//! forwarded to a dead node fails, and one succeeds that reaches the key's present successor.
//! Messages take no time.

use std::collections::BTreeMap;

use earshot_proto::entropy::Stream;

use super::queue::{Moment, Queue, SECOND};
use super::{lots, unit};

const FINGERS: u32 = 64;
/// Length of successor lists: 2 log2 N. The paper does not say.
const SUCCESSORS: usize = 18;
/// Mean of the interval between two stabilisations; each is half to one and a half of it.
const STABILISE_EVERY: Moment = 30 * SECOND;

#[derive(Debug)]
struct Node {
    id: u64,
    lives: bool,
    predecessor: Option<usize>,
    successors: Vec<usize>,
    fingers: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Stabilise(usize),
    Join,
    Fail,
    LookUp,
}

/// The share of look-ups that fail in so many seconds of virtual time.
#[must_use]
pub fn failures(nodes: usize, rate: f64, seconds: u64, seed: u64) -> f64 {
    let mut ring = Ring::new(nodes, seed);
    let mut queue = Queue::default();
    for node in 0..nodes {
        queue.push(ring.lots.below(STABILISE_EVERY), Event::Stabilise(node));
    }
    for (event, rate) in [(Event::Join, rate), (Event::Fail, rate), (Event::LookUp, 1.0)] {
        queue.push(ring.wait(rate), event);
    }
    let (mut asked, mut failed) = (0_u32, 0_u32);
    while let Some((now, event)) = queue.pop_until(seconds * SECOND) {
        match event {
            Event::Stabilise(node) if ring.nodes[node].lives => {
                ring.stabilise(node);
                let next = STABILISE_EVERY / 2 + ring.lots.below(STABILISE_EVERY);
                queue.push(now + next, event);
            }
            Event::Stabilise(_) => {}
            Event::Join => {
                let node = ring.join();
                queue.push(now + ring.lots.below(STABILISE_EVERY), Event::Stabilise(node));
                queue.push(now + ring.wait(rate), event);
            }
            Event::Fail => {
                let node = ring.by_lot();
                ring.nodes[node].lives = false;
                ring.living.remove(&ring.nodes[node].id);
                queue.push(now + ring.wait(rate), event);
            }
            Event::LookUp => {
                let (from, key) = (ring.by_lot(), ring.lots.next_u64());
                asked += 1;
                failed += u32::from(ring.find(from, key) != Some(ring.owner(key)));
                queue.push(now + ring.wait(1.0), event);
            }
        }
    }
    f64::from(failed) / f64::from(asked.max(1))
}

#[derive(Debug)]
struct Ring {
    nodes: Vec<Node>,
    living: BTreeMap<u64, usize>,
    lots: Stream,
}

impl Ring {
    /// A ring at rest.
    fn new(count: usize, seed: u64) -> Self {
        let mut lots = lots(seed, 65);
        let ids: Vec<u64> = (0..count).map(|_| lots.next_u64()).collect();
        let living: BTreeMap<u64, usize> = ids.iter().copied().zip(0..).collect();
        let mut ring = Self { nodes: Vec::new(), living, lots };
        for id in ids {
            let after = ring.living.range(id + 1..).chain(&ring.living).map(|(_, node)| *node);
            let successors = after.take(SUCCESSORS).collect();
            let before = ring.living.range(..id).next_back().or(ring.living.last_key_value());
            let predecessor = before.map(|(_, node)| *node);
            let fingers = (0..FINGERS).map(|f| ring.owner(id.wrapping_add(1 << f))).collect();
            ring.nodes.push(Node { id, lives: true, predecessor, successors, fingers });
        }
        ring
    }

    fn wait(&mut self, rate: f64) -> Moment {
        (-(1.0 - unit(&mut self.lots)).ln() / rate * SECOND as f64) as Moment
    }

    /// A living node, each as likely as the others.
    fn by_lot(&mut self) -> usize {
        let lot = self.lots.below(self.living.len() as u64) as usize;
        let node = self.living.values().nth(lot);
        *node.expect("the lot is below their number")
    }

    /// The true successor of a key.
    fn owner(&self, key: u64) -> usize {
        let first = self.living.range(key..).chain(&self.living).next();
        *first.expect("somebody lives: as many join as fail").1
    }

    fn is_between(&self, from: usize, node: usize, to: usize) -> bool {
        let [from, node, to] = [from, node, to].map(|n| self.nodes[n].id);
        let (far, end) = (node.wrapping_sub(from), to.wrapping_sub(from).wrapping_sub(1));
        far != 0 && far <= end && node != to
    }

    /// A look-up: none when it meets a dead node.
    fn find(&self, from: usize, key: u64) -> Option<usize> {
        let mut at = from;
        for _ in 0..self.nodes.len() {
            let node = &self.nodes[at];
            let successor = *node.successors.first()?;
            let way = key.wrapping_sub(node.id);
            if way.wrapping_sub(1) < self.nodes[successor].id.wrapping_sub(node.id) {
                return self.nodes[successor].lives.then_some(successor);
            }
            let is_before = |n: &&usize| {
                let far = self.nodes[**n].id.wrapping_sub(node.id);
                far != 0 && far < way
            };
            at = *node.fingers.iter().rev().find(is_before).unwrap_or(&successor);
            if !self.nodes[at].lives {
                return None;
            }
        }
        None
    }

    fn join(&mut self) -> usize {
        let (id, helper) = (self.lots.next_u64(), self.by_lot());
        let new = self.nodes.len();
        let first = self.find(helper, id).unwrap_or_else(|| self.owner(id));
        let list = std::iter::once(first).chain(self.nodes[first].successors.iter().copied());
        let successors: Vec<usize> = list.take(SUCCESSORS).collect();
        let fingers = vec![first; FINGERS as usize];
        self.nodes.push(Node { id, lives: true, predecessor: None, successors, fingers });
        self.living.insert(id, new);
        self.renew_fingers(new);
        new
    }

    fn stabilise(&mut self, at: usize) {
        let lives = |n: &usize| self.nodes[*n].lives;
        let Some(mut first) = self.nodes[at].successors.iter().copied().find(lives) else {
            // All of them are dead: it joins anew.
            self.nodes[at].successors = vec![self.owner(self.nodes[at].id.wrapping_add(1))];
            return;
        };
        if let Some(between) = self.nodes[first].predecessor
            && self.nodes[between].lives
            && self.is_between(at, between, first)
        {
            first = between;
        }
        let list = std::iter::once(first).chain(self.nodes[first].successors.iter().copied());
        self.nodes[at].successors = list.filter(|n| *n != at).take(SUCCESSORS).collect();
        let present = self.nodes[first].predecessor;
        if present.is_none_or(|p| !self.nodes[p].lives || self.is_between(p, at, first)) {
            self.nodes[first].predecessor = Some(at);
        }
        self.renew_fingers(at);
    }

    /// A finger that cannot be looked up stays as it is.
    fn renew_fingers(&mut self, at: usize) {
        for finger in 0..FINGERS as usize {
            let key = self.nodes[at].id.wrapping_add(1 << finger);
            if let Some(found) = self.find(at, key) {
                self.nodes[at].fingers[finger] = found;
            }
        }
    }
}
