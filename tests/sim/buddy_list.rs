//! The buddy list on disk: signed, sealed, and never an older one. Lecture, slide 29; DESIGN 2.7.

use std::time::Duration;

use earshot_proto::peer::command::{Command, ListFound, Standing};
use earshot_tests::sim::{SOON, World, user};

/// Alice, whose buddy is Bob and who has blocked Eve since; and her files from before that.
fn who_has_blocked_eve(seed: u64) -> (World, Vec<Vec<u8>>) {
    let mut world = World::new(seed).network(1);
    ["alice", "bob", "eve"].iter().for_each(|name| world.person(name));
    world.befriend("alice", "bob");
    world.befriend("alice", "eve");
    let before = world.lists_on_disk("alice");
    world.ask("alice", Command::Block(user("eve"))).expect("she may");
    // Two changes later no copy of before is left.
    world.ask("alice", Command::Unblock(user("eve"))).expect("she may");
    world.ask("alice", Command::Block(user("eve"))).expect("she may");
    world.run_until(|w| stands(w, "eve") == Some(Standing::Blocked), SOON);
    crash_when_saved(&mut world);
    (world, before)
}

/// Alice crashes once her disk has taken everything; what it has not taken a crash keeps by lot.
fn crash_when_saved(world: &mut World) {
    world.run_for(Duration::from_secs(1));
    world.crash("alice");
}

/// How Alice stands with somebody, by her own list.
fn stands(world: &World, other: &str) -> Option<Standing> {
    let mut list = world.peer("alice").buddies();
    list.find(|view| view.user == user(other)).map(|view| view.standing)
}

fn found(world: &World) -> ListFound {
    world.peer("alice").signed_in().expect("logged in").buddy_list
}

#[test]
fn the_list_comes_back_as_it_was_left() {
    let (mut world, _) = who_has_blocked_eve(130);
    world.comes_back("alice", "alice");
    assert_eq!(found(&world), ListFound::Whole);
    assert_eq!(stands(&world, "eve"), Some(Standing::Blocked));
    assert_eq!(stands(&world, "bob"), Some(Standing::Buddy));
}

#[test]
fn a_changed_byte_is_noticed_and_the_last_good_copy_used() {
    let (mut world, _) = who_has_blocked_eve(131);
    let mut files = world.lists_on_disk("alice");
    let middle = files[0].len() / 2;
    files[0][middle] ^= 1;
    world.replace_lists("alice", files);
    world.comes_back("alice", "alice");
    assert_eq!(found(&world), ListFound::LastGood);
    assert_eq!(stands(&world, "bob"), Some(Standing::Buddy));
    // What is changed now is newer than all before, also than the damaged one.
    world.ask("alice", Command::Block(user("eve"))).expect("she may");
    world.run_until(|w| stands(w, "eve") == Some(Standing::Blocked), SOON);
    crash_when_saved(&mut world);
    world.comes_back("alice", "alice");
    assert_eq!(found(&world), ListFound::Whole);
    assert_eq!(stands(&world, "eve"), Some(Standing::Blocked));
}

#[test]
fn an_older_list_put_back_is_refused_and_told() {
    let (mut world, before) = who_has_blocked_eve(132);
    world.replace_lists("alice", before);
    world.comes_back("alice", "alice");
    assert_eq!(found(&world), ListFound::Refused);
    assert_ne!(stands(&world, "eve"), Some(Standing::Buddy), "nobody is unblocked");
}

#[test]
fn a_list_that_is_gone_is_told() {
    let (mut world, _) = who_has_blocked_eve(133);
    world.replace_lists("alice", Vec::new());
    world.comes_back("alice", "alice");
    assert_eq!(found(&world), ListFound::Refused);
}

#[test]
fn wherever_the_power_goes_the_list_is_no_older_than_what_was_answered() {
    let mut world = World::new(134).network(1);
    ["alice", "bob"].iter().for_each(|name| world.person(name));
    world.befriend("alice", "bob");
    for ms in 0..8 {
        let block = if ms % 2 == 0 { Command::Block } else { Command::Unblock };
        world.command("alice", block(user("bob")));
        world.run_for(Duration::from_millis(ms));
        world.crash("alice");
        world.comes_back("alice", "alice");
        assert_eq!(found(&world), ListFound::Whole, "after {ms} ms");
    }
}
