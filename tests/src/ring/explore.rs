//! Every reachable state, nearest first.

use std::collections::hash_map::{DefaultHasher, Entry};
use std::collections::{HashMap, VecDeque};
use std::hash::Hasher;

use super::rules::Rules;
use super::world::{Broken, Rectify, Step, World};

/// What was found.
#[derive(Debug)]
pub struct Explored {
    /// States, rotations counted once.
    pub states: usize,
    /// Steps taken.
    pub steps: usize,
    /// The longest shortest way to a state, in steps.
    pub depth: usize,
    /// Whether every reachable state was seen, or the bound ended it.
    pub is_complete: bool,
    /// The most rounds of stabilisation that led a state to the ideal ring.
    pub rounds: usize,
    /// The shortest way to a broken invariant, and how it is broken.
    pub counterexample: Option<(Vec<Step>, Broken)>,
    /// A state from which stabilisation did not lead to the ideal ring.
    pub stuck: Option<String>,
}

/// How far to go.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Places of the ring.
    pub places: u8,
    /// Members of the ideal ring at the start: all sets of so many.
    pub members: u32,
    /// Steps from the start at most.
    pub depth: usize,
    /// Of so many states one is tried for progress.
    pub settle_every: usize,
    /// How nodes rectify.
    pub rectify: Rectify,
}

/// Rounds of stabilisation that must be enough.
const ROUNDS_MAX: usize = 32;

struct Known {
    parent: Option<u128>,
    step: Option<Step>,
}

/// Explores breadth first, until the invariant breaks or nothing new is reached.
#[must_use]
pub fn explore<R: Rules + std::fmt::Debug>(bounds: Bounds) -> Explored {
    let mut known: HashMap<u128, Known> = HashMap::new();
    let mut frontier: VecDeque<(u128, usize, World<R>)> = VecDeque::new();
    let mut explored = Explored {
        states: 0,
        steps: 0,
        depth: 0,
        is_complete: true,
        rounds: 0,
        counterexample: None,
        stuck: None,
    };
    for set in 0_u32..1 << bounds.places {
        if set.count_ones() == bounds.members {
            let members: Vec<u8> = (0..bounds.places).filter(|at| set >> at & 1 == 1).collect();
            let world = World::ideal(bounds.places, &members, bounds.rectify);
            let name = name(&world);
            if let Entry::Vacant(place) = known.entry(name) {
                place.insert(Known { parent: None, step: None });
                frontier.push_back((name, 0, world));
            }
        }
    }
    while let Some((at, depth, world)) = frontier.pop_front() {
        explored.states += 1;
        explored.depth = depth;
        if explored.states.is_multiple_of(bounds.settle_every) {
            match world.clone().settles(ROUNDS_MAX) {
                Some(rounds) => explored.rounds = explored.rounds.max(rounds),
                None => {
                    explored.stuck = Some(format!("{world:?}"));
                    return explored;
                }
            }
        }
        if depth == bounds.depth {
            explored.is_complete = false;
            continue;
        }
        for step in world.steps() {
            explored.steps += 1;
            let mut next = world.clone();
            next.take(step);
            if let Some(broken) = next.broken() {
                explored.counterexample = Some((way(&known, at, step), broken));
                return explored;
            }
            let name = name(&next);
            if let Entry::Vacant(place) = known.entry(name) {
                place.insert(Known { parent: Some(at), step: Some(step) });
                frontier.push_back((name, depth + 1, next));
            }
        }
    }
    explored
}

/// The steps that led to a state, and one more. Each is named as it was seen from its own rotation.
fn way(known: &HashMap<u128, Known>, to: u128, last: Step) -> Vec<Step> {
    let mut steps = vec![last];
    let mut at = Some(to);
    while let Some(state) = at.and_then(|at| known.get(&at)) {
        steps.extend(state.step);
        at = state.parent;
    }
    steps.reverse();
    steps
}

fn name<R: Rules>(world: &World<R>) -> u128 {
    let bytes = world.canonical();
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(salt);
        hasher.write(&bytes);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}
