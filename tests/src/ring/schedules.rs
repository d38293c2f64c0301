//! Random schedules over larger rings.

use earshot_proto::entropy::Entropy;

use super::rules::Rules;
use super::world::{Broken, PLACES_MAX, Rectify, Step, World};

/// Steps of one schedule.
const STEPS: usize = 400;
/// Rounds of stabilisation that must be enough at its end.
const ROUNDS_MAX: usize = 4 * PLACES_MAX;

/// How one schedule ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The invariant held throughout, and the ring became ideal in so many rounds.
    Ideal(usize),
    /// It broke after so many steps.
    Broken(usize, Broken),
    /// The ring did not become ideal.
    Stuck,
}

/// Runs the schedule of this seed: 8 to 64 places, a ring of at least four members at the start;
/// one step in ten is a failure, where one may happen.
#[must_use]
pub fn run<R: Rules>(seed: u64) -> End {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    let mut lots = Entropy::new(bytes).jitter;
    let places = 8 + lots.below(PLACES_MAX as u64 - 7) as u8;
    let wanted = 4 + lots.below(u64::from(places) - 3);
    let mut members = std::collections::BTreeSet::new();
    while (members.len() as u64) < wanted {
        members.insert(lots.below(u64::from(places)) as u8);
    }
    let members: Vec<u8> = members.into_iter().collect();
    let mut world: World<R> = World::ideal(places, &members, Rectify::InTwoSteps);
    for at in 0..STEPS {
        let (mut others, mut fails) = (Vec::new(), Vec::new());
        for step in world.likely_steps() {
            match step {
                Step::Fail(_) => fails.push(step),
                Step::Join(..)
                | Step::Stabilise(_)
                | Step::AskBetween(_)
                | Step::Notify(_)
                | Step::Check(_) => others.push(step),
            }
        }
        let of = if lots.below(10) == 0 && !fails.is_empty() { &fails } else { &others };
        let step = of[lots.below(of.len() as u64) as usize];
        if let Step::Fail(spot) = step
            && !world.may_fail(spot)
        {
            continue;
        }
        world.take(step);
        if let Some(broken) = world.broken() {
            return End::Broken(at + 1, broken);
        }
    }
    world.settles(ROUNDS_MAX).map_or(End::Stuck, End::Ideal)
}
