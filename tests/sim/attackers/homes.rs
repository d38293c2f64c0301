//! Lying homes, and lying doors on the way to the authority: who meets them goes elsewhere.

use std::collections::BTreeMap;
use std::time::Duration;

use earshot_proto::peer::command::SearchEnd;
use earshot_tests::sim::adversary::Vice;
use earshot_tests::sim::{Nat, PASSWORD, World};

use super::{SECOND, THRESHOLD, person, super_peer};

const NODES: usize = 12;
const PEOPLE: usize = 6;

fn liars(vices: &[Vice]) -> BTreeMap<String, Vice> {
    (1..).map(super_peer).zip(vices.iter().copied()).collect()
}

#[test]
fn a_home_that_registers_nobody_is_left_by_all() {
    let liars = liars(&[Vice::Withholds, Vice::Withholds]);
    let mut world = World::new(530).with_liars(liars).ring(NODES, THRESHOLD);
    world.person("seeker");
    for name in (1..=PEOPLE).map(person) {
        world.device(&name, Nat::Cone);
        world.comes_in_at(&name, "super-1");
        let honest = (1..=NODES).map(super_peer).filter(|node| !world.is_hostile(node));
        let kept = honest.filter(|node| world.kept_counter(node, &name).is_some()).count();
        assert_eq!(kept, 0, "{name} is known elsewhere");
    }
    let is_honest = |w: &World, name: &str| w.is_settled(name) && !w.is_hostile(&w.home(name));
    let all = |w: &World| (1..=PEOPLE).all(|number| is_honest(w, &person(number)));
    world.comes_true(all, Duration::from_secs(60));
    world.run_for(SECOND * 6);
    for name in (1..=PEOPLE).map(person) {
        assert_eq!(world.find("seeker", &name).1, SearchEnd::Found, "{name}");
    }
}

#[test]
fn silent_and_false_doors_to_the_authority_are_passed_by() {
    let liars = liars(&[Vice::Misdirects, Vice::Drops, Vice::Misdirects]);
    let mut world = World::new(531).with_liars(liars).network(4);
    for name in (1..=PEOPLE).map(person) {
        world.device(&name, Nat::Cone);
        world.join(&name);
        world
            .register(&name, &name, PASSWORD)
            .expect("one of the four doors in the invite tells the truth");
    }
    assert!(world.misdeeds() > 0, "nobody asked a liar");
}
