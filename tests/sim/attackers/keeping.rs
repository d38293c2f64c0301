//! What hostile super-peers get into honest machines: nothing false, and no more than the budgets.

use std::collections::BTreeMap;
use std::time::Duration;

use earshot_proto::peer::command::SearchEnd;
use earshot_proto::super_peer::budgets::{Flow, Limits};
use earshot_tests::sim::adversary::Vice;
use earshot_tests::sim::{Nat, PASSWORD, World};

use super::{SECOND, THRESHOLD, person, super_peer};

/// A small ring: liars are the first of its super-peers.
const NODES: usize = 12;

fn small(seed: u64, liars: &[Vice], people: usize) -> World {
    let liars = (1..).map(super_peer).zip(liars.iter().copied()).collect();
    let mut world = World::new(seed).with_liars(liars).ring(NODES, THRESHOLD);
    for name in (1..=people).map(person) {
        world.device(&name, Nat::Cone);
        world.join(&name);
        world.register(&name, &name, PASSWORD).expect("the name is free");
        world.run_until(|w| w.is_settled(&name), Duration::from_secs(90));
    }
    world
}

fn honest(world: &World) -> Vec<String> {
    (1..=NODES).map(super_peer).filter(|name| !world.is_hostile(name)).collect()
}

/// What honest super-peers keep of whom, by its counter.
fn kept(world: &World, people: usize) -> BTreeMap<(String, String), u64> {
    let all = honest(world).into_iter();
    let pairs = all.flat_map(|node| (1..=people).map(move |n| (node.clone(), person(n))));
    pairs.filter_map(|at| Some((at.clone(), world.kept_counter(&at.0, &at.1)?))).collect()
}

#[test]
fn no_forged_or_replayed_registration_enters_an_honest_machine() {
    let people = 16;
    let liars = [Vice::Replays, Vice::Forgets, Vice::Replays, Vice::Denies];
    let mut world = small(510, &liars, people);
    // Everybody registers anew elsewhere: what the liars saw first is old now.
    for name in (1..=people).map(person) {
        world.crash(&name);
        world.comes_back(&name, &name);
    }
    let mut before = kept(&world, people);
    for _ in 0..60 {
        world.run_for(SECOND);
        let now = kept(&world, people);
        for ((node, of), counter) in &now {
            assert!(*counter <= world.own_counter(of), "{node} holds a forged one of {of}");
            let old = before.get(&(node.clone(), of.clone())).copied().unwrap_or(0);
            assert!(*counter >= old, "{node} took an old one of {of}");
        }
        before = now;
    }
    assert!(world.misdeeds() > 100, "they did nothing: {}", world.misdeeds());
}

#[test]
fn who_left_long_ago_is_not_brought_back_by_who_replays() {
    let liars = [(super_peer(1), Vice::Replays), (super_peer(2), Vice::Replays)];
    let mut world = World::new(511).with_liars(liars.into()).network(4);
    (1..=3).for_each(|number| world.person(&person(number)));
    world.leave("person-1");
    // Longer than a registration lives.
    world.run_for(Duration::from_secs(31 * 60));
    let (found, end) = world.find("person-2", "person-1");
    assert!(found.is_empty(), "{found:?}");
    assert!(matches!(end, SearchEnd::NotFound | SearchEnd::NoAnswer), "{end:?}");
    for node in [3, 4].map(super_peer) {
        assert_eq!(world.kept_counter(&node, "person-1"), None, "{node}");
    }
    assert_eq!(world.find("person-2", "person-3").1, SearchEnd::Found);
}

/// So little that a flood is far above it.
fn limits() -> Limits {
    let flow = Flow {
        questions_per_s: 40,
        questions_at_once: 160,
        bytes_per_s: 32_768,
        bytes_at_once: 131_072,
    };
    let limits = Limits::default().for_clients(20).for_questions(200);
    Limits { each_node: flow, ..limits }
}

#[test]
fn a_flood_takes_no_honest_super_peer_above_its_budgets_and_nobody_from_the_network() {
    let liars: BTreeMap<_, _> = (1..=2).map(|n| (super_peer(n), Vice::Floods)).collect();
    let mut world = World::new(512).limits(limits()).with_liars(liars).ring(NODES, THRESHOLD);
    (1..=20).for_each(|number| world.person(&person(number)));
    let limits = limits();
    world.set_flood(200);
    let answered = |w: &World, name: &str| {
        let counters = w.status(name).counters;
        counters.found + counters.not_here
    };
    let before: BTreeMap<String, u64> =
        honest(&world).into_iter().map(|name| (name.clone(), answered(&world, &name))).collect();
    for second in 1..=15 {
        world.run_for(SECOND);
        for name in honest(&world) {
            let (clients, load) = (world.status(&name).clients, world.super_peer_load(&name));
            assert!(clients <= limits.clients, "{name} has {clients} clients");
            assert!(load.accepted <= limits.links, "{name} has {} links", load.accepted);
            // The reserve is spent when the flood comes, and fills at the rate.
            let most = limits.overall.questions_at_once + limits.overall.questions_per_s * second;
            let done = answered(&world, &name) - before[&name];
            assert!(done <= u64::from(most), "{name} answered {done} questions in {second} s");
        }
    }
    let refused: u64 = honest(&world).iter().map(|n| world.status(n).counters.refused).sum();
    println!("{refused} refused");
    assert!(refused > 1_000, "the flood was not above the budgets: {refused}");
    world.person("newcomer");
    // A flooder's own clients suffer: nobody takes anything from it any more.
    let at_honest = |name: &String| !world.is_hostile(&world.home(name));
    let whom = (1..=20).map(person).find(at_honest).expect("most are");
    assert_eq!(world.find("newcomer", &whom).1, SearchEnd::Found);
}
