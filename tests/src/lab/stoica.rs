//! Plain Chord, laid beside its paper: Stoica et al., "Chord", SIGCOMM 2001, section 6.
//!
//! Written from the paper and independent of the product's ring, so that each can be held against
//! the other. A path's length is counted as there: the nodes that a look-up is forwarded to, the
//! key's successor not among them. Nodes lie in a space of 2^64.

use earshot_proto::entropy::Stream;

use super::{lots, percentile};

/// Fingers of a node.
const FINGERS: usize = 64;

/// Length of successor lists: some 3/2 log2 N, so that one in 2^20 lists is all dead when half of
/// all nodes are. The paper does not say.
const SUCCESSORS: usize = 20;

/// Where a node's finger `i` is to point, as a distance from it. The paper: 2^i.
pub type Reach = fn(usize) -> u64;

/// As in the paper.
#[must_use]
pub const fn as_published(finger: usize) -> u64 {
    1 << finger
}

/// A mistake: the longest finger reaches as far as the second longest.
#[must_use]
pub const fn without_the_longest(finger: usize) -> u64 {
    if finger == FINGERS - 1 { 1 << (FINGERS - 2) } else { 1 << finger }
}

/// Where nodes lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Places {
    /// By lot, as hashes do.
    ByLot,
    /// At equal distances, as the paper's argument for ½ log2 N has them.
    Even,
}

/// A ring at rest.
#[derive(Debug)]
pub struct Still {
    ids: Vec<u64>,
    /// For each node its fingers, the farthest first, each node once.
    fingers: Vec<Vec<u32>>,
}

impl Still {
    /// So many nodes.
    #[must_use]
    pub fn new(count: usize, places: Places, reach: Reach, lots: &mut Stream) -> Self {
        let ids = match places {
            Places::ByLot => drawn(count, lots),
            Places::Even => (0..count as u64).map(|n| n * (u64::MAX / count as u64 + 1)).collect(),
        };
        let fingers_of = |id: &u64| {
            let all = (0..FINGERS).rev().map(|finger| owner(&ids, id.wrapping_add(reach(finger))));
            let mut fingers: Vec<u32> = all.map(|at| at as u32).collect();
            fingers.dedup();
            fingers
        };
        let fingers = ids.iter().map(fingers_of).collect();
        Self { ids, fingers }
    }

    /// The length of the path from a node to a key.
    #[must_use]
    pub fn path(&self, from: usize, key: u64) -> usize {
        let (mut at, mut length) = (from, 0);
        loop {
            let id = self.ids[at];
            let next = self.ids[(at + 1) % self.ids.len()];
            let way = key.wrapping_sub(id);
            // The key may lie at the node itself, or between it and its successor.
            if way == 0 || way.wrapping_sub(1) < next.wrapping_sub(id) {
                return length;
            }
            let is_before = |finger: &&u32| {
                let far = self.ids[**finger as usize].wrapping_sub(id);
                far != 0 && far < way
            };
            let closest = self.fingers[at].iter().find(is_before);
            at = closest.map_or((at + 1) % self.ids.len(), |finger| *finger as usize);
            length += 1;
        }
    }
}

impl Still {
    /// The living node that a look-up ends at: of those that a node knows, the living one that
    /// precedes the key most closely is asked next; who knows none has the key's successor as its
    /// own.
    fn find(&self, from: usize, key: u64, lives: &[bool]) -> Option<usize> {
        let count = self.ids.len();
        let mut at = from;
        loop {
            let id = self.ids[at];
            let way = key.wrapping_sub(id);
            let list = (1..=SUCCESSORS).map(|far| (at + far) % count);
            let mut successors = list.filter(|n| lives[*n]);
            let far = |n: usize| self.ids[n].wrapping_sub(id);
            let known = self.fingers[at].iter().map(|n| *n as usize).filter(|n| lives[*n]);
            let known = known.chain(successors.clone());
            match known.filter(|n| far(*n) != 0 && far(*n) < way).max_by_key(|n| far(*n)) {
                Some(next) => at = next,
                None => return successors.next(),
            }
        }
    }
}

/// Mean, 1st and 99th percentile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The 1st percentile.
    pub p1: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The greatest.
    pub max: f64,
}

fn spread(samples: &mut [f64]) -> Spread {
    let mean = super::mean(samples).unwrap_or(f64::NAN);
    let mut at = |share| percentile(samples, share).unwrap_or(f64::NAN);
    Spread { mean, p1: at(0.01), p99: at(0.99), max: at(1.0) }
}

/// Section 6.3: path lengths among 2^k nodes, from so many rings.
///
/// The paper's ½ log2 N counts the ones in the distance between equally distant nodes. Places by
/// lot cost 0.09 to 0.16 of a hop less, whatever N: far fingers halve the way alike, and only the
/// last hops, among gaps of uneven length, differ. Below 2^6 nodes that is more than 3 %.
#[must_use]
pub fn path_lengths(k: u32, rings: u64, places: Places, reach: Reach) -> Spread {
    let count = 1 << k;
    let mut samples = Vec::new();
    for ring in 0..rings {
        let mut lots = lots(ring, u64::from(k));
        let still = Still::new(count, places, reach, &mut lots);
        let times = (100 * count).min(20_000);
        samples.extend((0..times).map(|_| {
            let from = lots.below(count as u64) as usize;
            still.path(from, lots.next_u64()) as f64
        }));
    }
    spread(&mut samples)
}

/// Section 6.2: keys of a node among so many real nodes, each at `virtuals` places, as multiples of
/// the mean.
#[must_use]
pub fn keys_per_node(nodes: usize, keys: usize, virtuals: usize, seed: u64) -> Spread {
    let mut lots = lots(seed, virtuals as u64);
    let mut places: Vec<(u64, usize)> =
        (0..nodes * virtuals).map(|place| (lots.next_u64(), place / virtuals)).collect();
    places.sort_unstable();
    let mut kept = vec![0.0; nodes];
    let share = nodes as f64 / keys as f64;
    for _ in 0..keys {
        let key = lots.next_u64();
        let at = places.partition_point(|(id, _)| *id < key) % places.len();
        kept[places[at].1] += share;
    }
    spread(&mut kept)
}

/// Section 6.4: the share of look-ups that fail to find the node that was responsible before that
/// share of all nodes failed at once. The paper waits until the ring has stabilised; here it is
/// asked at once, which is harder: look-ups pass dead nodes by, with [`SUCCESSORS`] successors.
#[must_use]
pub fn failed_after(nodes: usize, share: f64, lookups: usize, seed: u64) -> f64 {
    let mut lots = lots(seed, 64);
    let still = Still::new(nodes, Places::ByLot, as_published, &mut lots);
    let lives: Vec<bool> = (0..nodes).map(|_| super::unit(&mut lots) >= share).collect();
    let mut asked = 0;
    let mut failed = 0;
    while asked < lookups {
        let from = lots.below(nodes as u64) as usize;
        if lives[from] {
            let key = lots.next_u64();
            asked += 1;
            failed += usize::from(still.find(from, key, &lives) != Some(owner(&still.ids, key)));
        }
    }
    failed as f64 / lookups as f64
}

/// So many places by lot, sorted.
fn drawn(count: usize, lots: &mut Stream) -> Vec<u64> {
    let mut ids: Vec<u64> = (0..count).map(|_| lots.next_u64()).collect();
    ids.sort_unstable();
    ids
}

/// The first node that is not before a key.
fn owner(ids: &[u64], key: u64) -> usize {
    ids.partition_point(|id| *id < key) % ids.len()
}
