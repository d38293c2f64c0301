//! Who serves, and why. DESIGN 2.12; issue 4.

use std::collections::BTreeMap;
use std::time::Duration;

use earshot_proto::peer::command::{Answer, Command, Failure, SearchEnd};
use earshot_proto::peer::reach::{DialResult, Verdict};
use earshot_proto::super_peer::election::{Band, Choice, Obstacle, Transport};
use earshot_tests::sim::{Candidates, Nat, World, node_of};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Longer than the ten seconds between two dial-backs for one device.
const A_WHILE: Duration = Duration::from_secs(15);

fn tested(world: &mut World, name: &str) -> Vec<Verdict> {
    match world.ask(name, Command::TestReach) {
        Ok(Answer::Reach(verdicts)) => verdicts,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_home_and_three_others_dial_back_by_both_transports() {
    let mut world = World::new(400).network(6);
    world.person_behind("alice", Nat::Open);
    world.run_for(A_WHILE);
    let links = world.links("alice");
    let verdicts = tested(&mut world, "alice");
    assert_eq!(verdicts.len(), 4);
    for verdict in &verdicts {
        assert_eq!((verdict.tcp, verdict.udp), (DialResult::Reached, DialResult::Reached));
        assert!(verdict.tried.is_some() && verdict.node.is_some());
    }
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.links("alice"), links, "what was opened is closed");
}

#[test]
fn nobody_connects_to_who_is_behind_a_router() {
    let mut world = World::new(401).network(3);
    world.person_behind("hidden", Nat::Cone);
    world.run_for(A_WHILE);
    let verdicts = tested(&mut world, "hidden");
    assert_eq!(verdicts.len(), 3);
    assert!(verdicts.iter().all(|verdict| verdict.tcp == DialResult::Silent), "{verdicts:?}");
}

fn tested_again(world: &mut World, name: &str) -> Vec<Verdict> {
    world.run_for(A_WHILE);
    tested(world, name)
}

#[test]
fn who_asks_twice_within_ten_seconds_is_told_so() {
    let mut world = World::new(402).network(2);
    world.person_behind("alice", Nat::Open);
    world.run_for(A_WHILE);
    tested(&mut world, "alice");
    let again = tested(&mut world, "alice");
    let too_soon = |verdict: &Verdict| verdict.tcp == DialResult::TooSoon;
    assert!(again.len() == 2 && again.iter().all(too_soon), "{again:?}");
    assert_eq!(tested_again(&mut world, "alice")[0].tcp, DialResult::Reached);
}

#[test]
fn a_super_peer_that_is_gone_gives_no_verdict_and_without_a_home_nobody_is_asked() {
    let mut world = World::new(403).network(3);
    world.person_behind("alice", Nat::Open);
    world.run_for(A_WHILE);
    let home = world.home("alice");
    let gone = (1..=3).map(|n| format!("super-{n}")).find(|name| *name != home);
    world.vanish(&gone.expect("there are three"));
    let mut results: Vec<DialResult> = tested(&mut world, "alice").iter().map(|v| v.tcp).collect();
    results.sort_by_key(|result| *result != DialResult::Reached);
    let two = [DialResult::Reached, DialResult::Reached, DialResult::NotAsked];
    assert_eq!(results, two);
    assert_eq!(world.ask("alice", Command::Logout), Ok(Answer::Done));
    assert_eq!(world.ask("alice", Command::TestReach), Err(Failure::NotLoggedIn));
}

#[test]
fn a_lost_knock_is_told_of_udp_alone() {
    let mut world = World::new(404).network(2);
    world.person_behind("alice", Nat::Open);
    world.run_for(A_WHILE);
    world.set_datagram_loss(100);
    for verdict in tested(&mut world, "alice") {
        assert_eq!((verdict.tcp, verdict.udp), (DialResult::Reached, DialResult::Silent));
    }
}

#[test]
fn always_serves_where_the_only_super_peer_gets_through_and_never_hands_its_clients_over() {
    let mut world = World::new(405).network(1);
    let mut candidates = Candidates::default();
    world.person_behind("alice", Nat::Open);
    world.person_behind("hidden", Nat::Cone);
    for name in ["alice", "hidden"] {
        world.would_serve(&mut candidates, name, Choice::Always, Duration::ZERO);
    }
    world.pass(&mut candidates, MINUTE, |_| {});
    assert_eq!(candidates.serving(), ["alice"]);
    let obstacles = world.decision(&candidates, "hidden").obstacles;
    assert!(
        matches!(obstacles[..], [Obstacle::NotReached(Transport::Tcp, _), ..]),
        "{obstacles:?}"
    );
    assert_eq!(world.status("super-1").members, 2);

    // Whoever comes now is at home at either; both go on finding everybody.
    let names: Vec<String> = (0..12).map(|n| format!("person{n}")).collect();
    names.iter().for_each(|name| world.person(name));
    let at_alice = world.status(&node_of("alice")).clients;
    assert!(at_alice > 0, "nobody is at home there");
    world.chooses(&mut candidates, "alice", Choice::Never);
    let moved = |w: &World| w.status("super-1").clients == names.len() + 2;
    let everybody_home = |w: &World| moved(w) && names.iter().all(|name| w.is_settled(name));
    let took = world.run_until(everybody_home, Duration::from_secs(10));
    assert!(took < Duration::from_secs(3), "{took:?}");
    for name in &names[1..] {
        assert_eq!(world.search(&names[0], name), SearchEnd::Found, "{name}");
    }
    world.pass(&mut candidates, MINUTE, |_| {});
    assert_eq!((candidates.serving().len(), candidates.changes()), (0, (1, 1)));

    // Who left is not counted among those to ask.
    world.chooses(&mut candidates, "alice", Choice::Always);
    world.pass(&mut candidates, MINUTE / 2, |_| {});
    assert_eq!(candidates.serving(), ["alice"]);
}

/// Seconds in a row that somebody was without a home, at most.
#[derive(Default)]
struct Homeless {
    now: BTreeMap<String, u32>,
    most: u32,
}

impl Homeless {
    fn look(&mut self, world: &World, names: &[String]) {
        for name in names.iter().filter(|name| world.owner(name).session.is_some()) {
            let count = self.now.entry(name.clone()).or_default();
            *count = if world.is_settled(name) { 0 } else { *count + 1 };
            self.most = self.most.max(*count);
        }
    }
}

#[test]
fn a_network_that_grows_and_shrinks_elects_within_its_band_and_nobody_flaps() {
    const BAND: Band = Band { low: 3, high: 12, least: 2 };
    for seed in [410, 411] {
        let mut world = World::new(seed).with_band(BAND).network(1);
        let (mut candidates, mut names) = (Candidates::default(), Vec::new());
        let mut homeless = Homeless::default();
        for batch in 0..3 {
            for number in 0..8 {
                let name = format!("person{}", batch * 8 + number);
                let nat = if number % 2 == 0 { Nat::Open } else { Nat::Cone };
                world.person_behind(&name, nat);
                world.would_serve(&mut candidates, &name, Choice::Auto, DAY);
                names.push(name);
            }
            world.pass(&mut candidates, MINUTE * 30, |w| homeless.look(w, &names));
        }
        let (begun, ended) = candidates.changes();
        let serving = 1 + candidates.serving().len();
        let each = names.len() / serving;
        assert!((BAND.low as usize..=BAND.high as usize).contains(&each), "{serving} serve");
        assert_eq!((begun, ended), (serving - 1, 0), "{:?}", candidates.log);
        assert_eq!(homeless.most, 0, "nobody had to move");

        // Two thirds go: one after the other the weakest stop, and their clients move.
        let stay: Vec<String> = names.iter().filter(|n| n.len() == 7).take(8).cloned().collect();
        for name in names.iter().filter(|name| !stay.contains(name)) {
            assert_eq!(world.ask(name, Command::Logout), Ok(Answer::Done));
        }
        let mut homeless = Homeless::default();
        world.pass(&mut candidates, HOUR + MINUTE * 30, |w| homeless.look(w, &stay));
        let left = 1 + candidates.serving().len();
        assert!((BAND.least as usize..serving).contains(&left), "{left} are left of {serving}");
        assert!(homeless.most <= 3, "somebody was without a home for {} s", homeless.most);
        let (again, _) = candidates.changes();
        assert!(again <= begun + 1, "{:?}", candidates.log);
        for name in &stay[1..] {
            assert_eq!(world.search(&stay[0], name), SearchEnd::Found, "{name}");
        }
    }
}
