//! Too much at once, after the outages of Skype's network in 2007 and 2010: it ends with everybody
//! at home, nobody above their budgets, and without a human act. DESIGN 2.12.

use std::time::Duration;

use earshot_proto::entropy::{Entropy, Stream};
use earshot_proto::super_peer::Counters;
use earshot_proto::super_peer::budgets::Limits;
use earshot_tests::sim::{Nat, PASSWORD, SOON, World};

const SECOND: Duration = Duration::from_secs(1);
const SUPER_PEERS: usize = 12;
const PEOPLE: usize = 150;

/// Little enough that a crowd meets it: two thirds of the super-peers have room for everybody, but
/// not for everybody at once.
fn limits() -> Limits {
    Limits { links_each_stranger: 4, ..Limits::default().for_clients(20).for_questions(10) }
}

fn super_peers() -> impl Iterator<Item = String> {
    (1..=SUPER_PEERS).map(|number| format!("super-{number}"))
}

fn people() -> impl Iterator<Item = String> {
    (1..=PEOPLE).map(|number| format!("person-{number}"))
}

fn crowd(seed: u64) -> (World, Stream) {
    let mut world = World::new(seed).limits(limits()).network(SUPER_PEERS);
    for name in people() {
        world.device(&name, Nat::Cone);
        world.join(&name);
        world.begin_register(&name, &name, PASSWORD);
        world.run_for(SECOND / 10);
    }
    everybody_is_home_within(&mut world, SOON);
    (world, Entropy::new([seed as u8; 32]).jitter)
}

/// Runs until all are at home, and looks at every budget four times a second.
fn everybody_is_home_within(world: &mut World, most: Duration) {
    let end = world.now() + most;
    loop {
        budgets_hold(world);
        let homeless = people().filter(|name| !is_home(world, name)).count();
        if homeless == 0 {
            return;
        }
        assert!(world.now() < end, "{homeless} have no home after {most:?}");
        world.run_for(SECOND / 4);
    }
}

fn is_home(world: &World, name: &str) -> bool {
    world.is_up(name) && world.is_settled(name) && world.is_up(&world.home(name))
}

fn budgets_hold(world: &World) {
    let limits = limits();
    for name in super_peers().filter(|name| world.is_up(name)) {
        let (clients, load) = (world.status(&name).clients, world.super_peer_load(&name));
        assert!(clients <= limits.clients, "{name} has {clients} clients");
        assert!(load.accepted <= limits.links, "{name} has {} links", load.accepted);
    }
}

/// The story met the limits, or it would say nothing.
fn some_were_refused(world: &World) {
    let living = super_peers().filter(|name| world.is_up(name));
    let all: Vec<Counters> = living.map(|name| world.status(&name).counters).collect();
    let sum = |of: fn(&Counters) -> u64| all.iter().map(of).sum::<u64>();
    let (refused, handed_over) = (sum(|c| c.refused), sum(|c| c.handed_over));
    println!("{refused} refused, {handed_over} handed over");
    assert!(refused > 0 && handed_over > 0);
}

#[test]
fn a_third_of_the_super_peers_is_lost_at_once_and_everybody_is_home_within_a_minute() {
    let (mut world, _) = crowd(400);
    for number in 1..=SUPER_PEERS / 3 {
        world.crash(&format!("super-{number}"));
    }
    let lost = world.now();
    everybody_is_home_within(&mut world, Duration::from_secs(60));
    println!("all at home after {:?}", world.now() - lost);
    some_were_refused(&world);
}

#[test]
fn every_process_restarts_within_a_minute_and_everybody_is_home_within_three() {
    let (mut world, mut lot) = crowd(410);
    let mut restarts: Vec<(Duration, String)> = people()
        .chain(super_peers())
        .map(|name| (Duration::from_millis(lot.below(60_000)), name))
        .collect();
    restarts.sort();
    let began = world.now();
    for (at, name) in restarts {
        world.run_for((began + at).saturating_sub(world.now()));
        budgets_hold(&world);
        world.crash(&name);
        world.start(&name);
        if name.starts_with("person") {
            world.begin_log_in(&name);
        }
    }
    everybody_is_home_within(&mut world, Duration::from_secs(120));
    println!("all at home after {:?}", world.now() - began);
    some_were_refused(&world);
}
