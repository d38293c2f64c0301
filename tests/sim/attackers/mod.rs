//! Hostile super-peers among the real machines. Issue 4, *Attackers*; DESIGN 2.5, 2.12.

mod eclipse;
mod homes;
mod keeping;
mod listing;
mod sybils;

use std::collections::BTreeMap;
use std::time::Duration;

use earshot_proto::entropy::{Entropy, Stream};
use earshot_proto::peer::command::{Answer, Command, SearchEnd};
use earshot_proto::peer::search::Sought;
use earshot_tests::sim::adversary::Vice;
use earshot_tests::sim::{Nat, PASSWORD, World, user};

const SECOND: Duration = Duration::from_secs(1);
/// Super-peers of a ring that a story can afford.
const SUPER_PEERS: usize = 30;
const PEOPLE: usize = 60;
/// With more super-peers than these a network is a ring.
const THRESHOLD: u32 = 8;
/// Searches that run at once.
const AT_ONCE: usize = 20;

fn super_peer(number: usize) -> String {
    format!("super-{number}")
}

fn person(number: usize) -> String {
    format!("person-{number}")
}

/// So many of a hundred super-peers, by lot, each with the next vice.
fn cast(lot: &mut Stream, percent: usize, vices: &[Vice]) -> BTreeMap<String, Vice> {
    let mut numbers: Vec<usize> = (1..=SUPER_PEERS).collect();
    for at in (1..numbers.len()).rev() {
        numbers.swap(at, lot.below(at as u64 + 1) as usize);
    }
    let liars = numbers.into_iter().take(SUPER_PEERS * percent / 100).map(super_peer);
    liars.zip(vices.iter().copied().cycle()).collect()
}

/// A ring with these liars, and people at home all over it, also at the liars.
fn crowd(seed: u64, liars: BTreeMap<String, Vice>) -> World {
    let mut world = World::new(seed).with_liars(liars).ring(SUPER_PEERS, THRESHOLD);
    for name in (1..=PEOPLE).map(person) {
        world.device(&name, Nat::Cone);
        world.join(&name);
        world.begin_register(&name, &name, PASSWORD);
        world.run_for(SECOND / 10);
    }
    let all = |w: &World| (1..=PEOPLE).all(|number| w.is_settled(&person(number)));
    world.comes_true(all, Duration::from_secs(60));
    // Who looked themselves up in vain have moved by then.
    world.run_for(SECOND * 60);
    world
}

/// What came of searches for exact names.
#[derive(Debug, Default)]
struct Found {
    searches: usize,
    /// People whose registration nobody keeps after a minute: they neither search nor are sought.
    homeless: usize,
    newest: usize,
    older: usize,
    /// Searches of those at home at a liar, and how many of these failed.
    by_clients_of_liars: (usize, usize),
    /// Searches for those at home at a liar, and how many of these failed.
    for_clients_of_liars: (usize, usize),
    ends: BTreeMap<String, usize>,
}

impl Found {
    fn percent(&self) -> f64 {
        self.newest as f64 * 100.0 / self.searches as f64
    }
}

fn searches(world: &mut World, lot: &mut Stream, count: usize) -> Found {
    let mut found = Found::default();
    let mut pairs: Vec<(String, String)> = Vec::new();
    found.homeless = (1..=PEOPLE).map(person).filter(|name| !world.is_settled(name)).count();
    while pairs.len() < count {
        let mut drawn = || person(1 + lot.below(PEOPLE as u64) as usize);
        let pair = (drawn(), drawn());
        let is_new = pair.0 != pair.1 && !pairs.contains(&pair);
        if is_new && world.is_settled(&pair.0) && world.is_settled(&pair.1) {
            pairs.push(pair);
        }
    }
    for pairs in pairs.chunks(AT_ONCE) {
        let mut running = Vec::new();
        for (by, whom) in pairs {
            let search = Command::Search(Sought::exactly(user(whom)));
            let Ok(Answer::Searching(id)) = world.ask(by, search) else { panic!("no search") };
            running.push((by, whom, id));
        }
        let over =
            |w: &World| running.iter().all(|(by, _, id)| w.owner(by).searched.contains_key(id));
        world.run_until(over, Duration::from_secs(60));
        for (by, whom, id) in running {
            let end = world.owner(by).searched[&id];
            let is_newest = world.seen_counter(by, whom) == world.own_counter(whom);
            let has_succeeded = end == SearchEnd::Found && is_newest;
            if world.is_hostile(&world.home(whom)) {
                found.for_clients_of_liars.0 += 1;
                found.for_clients_of_liars.1 += usize::from(!has_succeeded);
            }
            found.searches += 1;
            found.newest += usize::from(has_succeeded);
            found.older += usize::from(end == SearchEnd::Found && !is_newest);
            if world.is_hostile(&world.home(by)) {
                found.by_clients_of_liars.0 += 1;
                found.by_clients_of_liars.1 += usize::from(!has_succeeded);
            }
            *found.ends.entry(format!("{end:?}")).or_default() += 1;
        }
    }
    found
}

/// Success of searches with so many liars of every kind.
fn success(seed: u64, percent: usize, count: usize) -> Found {
    let mut lot = Entropy::new([seed as u8; 32]).jitter;
    let liars = cast(&mut lot, percent, &Vice::OF_SEARCH);
    let mut world = crowd(seed, liars);
    let found = searches(&mut world, &mut lot, count);
    println!("{percent} % liars: {:.1} % {found:?}", found.percent());
    assert_eq!(found.homeless, 0);
    found
}

#[test]
fn a_fifth_of_liars_hides_nobody() {
    assert!(success(502, 20, 300).percent() >= 99.0);
}

#[test]
fn a_third_of_liars_hides_hardly_anybody() {
    assert!(success(503, 30, 150).percent() >= 99.0);
}

#[test]
fn half_of_liars_hide_few() {
    assert!(success(504, 50, 150).percent() >= 90.0);
}

#[test]
fn a_tenth_of_liars_hides_nobody() {
    assert!(success(501, 10, 300).percent() >= 99.0);
}
