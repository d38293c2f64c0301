//! What one sees of another when machines end, for the stories of presence: one network of them
//! knows everybody, the other is a Chord ring.

use std::ops::Range;
use std::time::Duration;

use earshot_proto::peer::command::Shown;
use earshot_proto::wire::sealed::presence::PresenceState;
use earshot_tests::sim::{Nat, World};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const CRASH_SEEN: Duration = Duration::from_secs(15);
pub(crate) const FALSE_AT_LEAVE: Duration = Duration::from_secs(5);
pub(crate) const FALSE_AT_CRASH: Duration = Duration::from_secs(15);
/// The lease, and what the news may take.
pub(crate) const LEASE: Duration = Duration::from_secs(15);
pub(crate) const NEWS: Duration = Duration::from_millis(500);

/// How a home ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ends {
    Crashes,
    LosesPower,
    Leaves,
}

impl Ends {
    pub(crate) fn come_to(self, world: &mut World, name: &str) {
        match self {
            Self::Crashes => world.crash(name),
            Self::LosesPower => world.vanish(name),
            Self::Leaves => world.leave(name),
        }
    }
}

/// What somebody's window showed of somebody else.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// After how long they were first shown as gone.
    pub(crate) first: Option<Duration>,
    /// How long in all.
    pub(crate) gone: Duration,
    /// How often that began.
    pub(crate) times: usize,
}

pub(crate) fn watch(world: &mut World, one: &str, other: &str, time: Duration) -> Seen {
    let step = Duration::from_millis(20);
    let (mut seen, mut at, mut was_there) = (Seen::default(), Duration::ZERO, true);
    while at < time {
        world.run_for(step);
        at += step;
        let is_there = world.sees_online(one, other);
        if !is_there {
            seen.first.get_or_insert(at);
            seen.gone += step;
            seen.times += usize::from(was_there);
        }
        was_there = is_there;
    }
    seen
}

/// Alice at home at super-1, and Bob there too or at super-2.
pub(crate) fn at_homes(mut world: World, seed: u64, bobs: &str) -> World {
    for (name, home) in [("alice", "super-1"), ("bob", bobs)] {
        world.device(name, Nat::Cone);
        world.comes_in_at(name, home);
    }
    world.befriend("alice", "bob");
    // Beats are at another point in each run.
    world.run_for(Duration::from_millis(3000 + 700 * (seed % 10)));
    world
}

pub(crate) fn figure(name: &str, longest: Duration) {
    println!("FIGURE presence.{name}_s={:.2}", longest.as_secs_f64());
}

/// How long the last of alice's changes took to be seen.
pub(crate) fn changes(seed: u64, network: &dyn Fn(u64) -> World, bobs: &str) -> Duration {
    let mut world = at_homes(network(seed), seed, bobs);
    let changes = [
        (Shown::Away, PresenceState::Away),
        (Shown::DoNotDisturb, PresenceState::DoNotDisturb),
        (Shown::Online, PresenceState::Online),
    ];
    let mut longest = Duration::ZERO;
    for (shown, seen) in changes {
        world.show("alice", shown);
        longest = longest.max(world.run_until(|w| w.presence("bob", "alice") == seen, SECOND));
    }
    longest
}

/// How long it took at most until alice was seen to be gone.
pub(crate) fn peer_ends(ends: Ends, seeds: Range<u64>, network: &dyn Fn(u64) -> World) -> Duration {
    let ended = seeds.map(|seed| {
        let mut world = at_homes(network(seed), seed, "super-2");
        ends.come_to(&mut world, "alice");
        world.run_until(|w| !w.sees_online("bob", "alice"), CRASH_SEEN)
    });
    ended.max().unwrap_or_default()
}

/// Alice's home ends, and she with it or not; the longest that Bob saw wrongly.
pub(crate) fn home_ends(
    seeds: Range<u64>,
    network: &dyn Fn(u64) -> World,
    ends: Ends,
    bobs: &str,
    dies_too: bool,
    name: &str,
) -> Duration {
    let mut longest = Duration::ZERO;
    for seed in seeds {
        let mut world = at_homes(network(seed), seed, bobs);
        if dies_too {
            ends.come_to(&mut world, "alice");
        }
        ends.come_to(&mut world, "super-1");
        let seen = watch(&mut world, "bob", "alice", Duration::from_secs(75));
        if dies_too {
            longest = longest.max(seen.first.expect("she is gone"));
            assert_eq!(seen.times, 1, "seed {seed}: {seen:?}");
        } else {
            longest = longest.max(seen.gone);
            assert!(world.sees_online("bob", "alice") && world.sees_online("alice", "bob"));
            assert!(seen.times <= 1, "seed {seed}: {seen:?}");
        }
    }
    figure(name, longest);
    longest
}
