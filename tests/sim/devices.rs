//! Several devices of one user. DESIGN 2.3, 2.8.

use earshot_proto::peer::command::Standing;
use earshot_tests::sim::{Nat, PASSWORD, SOON, World};

fn second_device(world: &mut World, name: &str, account: &str) {
    world.device(name, Nat::Cone);
    world.join(name);
    world.log_in(name, account, PASSWORD).expect("name and password are enough");
    world.settles(name);
}

#[test]
fn a_second_device_learns_the_buddies_and_both_receive() {
    let mut world = World::new(50).network(2);
    world.person("alice");
    world.person("bob");
    world.befriend("alice", "bob");
    second_device(&mut world, "tablet", "alice");
    world.run_until(|w| w.stands("tablet", "bob") == Some(Standing::Buddy), SOON);
    world.run_until(|w| w.sees_online("tablet", "bob"), SOON);
    world.say("bob", "alice", "To both of you, alice!");
    let both = |w: &World| {
        ["alice", "tablet"].iter().all(|at| w.times_shown(at, "To both of you, alice!") == 1)
    };
    world.run_until(both, SOON);
}

#[test]
fn what_one_device_writes_the_other_shows() {
    let mut world = World::new(51).network(2);
    world.person("alice");
    world.person("bob");
    world.befriend("alice", "bob");
    second_device(&mut world, "tablet", "alice");
    world.run_until(|w| w.sees_online("tablet", "bob"), SOON);
    world.say("tablet", "bob", "Written on the tablet.");
    let shown = |w: &World| {
        ["alice", "bob"].iter().all(|at| w.times_shown(at, "Written on the tablet.") == 1)
    };
    world.run_until(shown, SOON);
}

#[test]
fn a_user_is_there_as_long_as_one_device_is() {
    let mut world = World::new(52).network(2);
    world.person("alice");
    world.person("bob");
    world.befriend("alice", "bob");
    second_device(&mut world, "tablet", "alice");
    world.run_until(|w| w.sees_online("tablet", "bob"), SOON);
    world.crash("alice");
    world.run_for(SOON);
    assert!(world.sees_online("bob", "alice"));
    world.crash("tablet");
    world.run_until(|w| !w.sees_online("bob", "alice"), SOON);
}
