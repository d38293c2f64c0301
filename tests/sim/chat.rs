//! Messages: exactly once on the screen, whoever crashes. DESIGN 2.8.

use std::collections::BTreeSet;
use std::time::Duration;

use earshot_proto::peer::chat::OUTBOX_MAX;
use earshot_proto::peer::command::{Answer, Command, Delivery, Failure, Standing};
use earshot_proto::port::SaveFailure;
use earshot_tests::sim::{SOON, World, user};

const TEXT: &str = "It will rain tomorrow.";
/// Events after which nothing more comes of one message: chosen well beyond.
const POINTS: u64 = 36;

fn buddies(seed: u64) -> World {
    let mut world = World::new(seed).network(2);
    world.person("alice");
    world.person("bob");
    world.befriend("alice", "bob");
    world
}

fn ends_well(world: &mut World, point: u64) {
    let limit = Duration::from_secs(120);
    let arrived = world.comes_true(|w| w.has_arrived("alice", TEXT), limit);
    assert!(arrived, "crash at {point}: not acknowledged\n{}", world.tail());
    world.run_for(Duration::from_secs(30));
    assert_eq!(world.times_shown("bob", TEXT), 1, "crash at {point}\n{}", world.tail());
    assert_eq!(world.times_shown("alice", TEXT), 1, "crash at {point}");
}

#[test]
fn a_message_comes_exactly_once_wherever_the_receiver_crashes() {
    for point in 0..POINTS {
        let mut world = buddies(110);
        world.say("alice", "bob", TEXT);
        world.run_events(point);
        world.crash("bob");
        world.run_for(Duration::from_secs(1));
        world.comes_back("bob", "bob");
        ends_well(&mut world, point);
    }
}

#[test]
fn a_message_comes_exactly_once_wherever_its_home_crashes() {
    for point in 0..POINTS {
        let mut world = buddies(111);
        world.say("alice", "bob", TEXT);
        world.run_events(point);
        let home = world.home("bob");
        world.crash(&home);
        world.start_later(&home, Duration::from_secs(3));
        ends_well(&mut world, point);
    }
}

#[test]
fn a_message_that_was_accepted_comes_exactly_once_wherever_the_sender_crashes() {
    for point in 0..POINTS {
        let mut world = buddies(112);
        let ask = world.command("alice", World::send("bob", TEXT));
        world.run_events(point);
        let accepted = world.owner("alice").answers.contains_key(&ask);
        world.crash("alice");
        world.run_for(Duration::from_secs(1));
        world.comes_back("alice", "alice");
        if !accepted && world.times_shown("alice", TEXT) == 0 {
            // Nothing was promised, and nothing was kept: the owner writes again.
            world.say("alice", "bob", TEXT);
        }
        ends_well(&mut world, point);
    }
}

#[test]
fn what_was_written_to_somebody_away_waits_on_disk_until_they_are_back() {
    let mut world = buddies(113);
    world.crash("bob");
    world.run_until(|w| !w.sees_online("alice", "bob"), SOON);
    for number in 0..5 {
        world.say("alice", "bob", &format!("line number {number}"));
    }
    world.crash("alice");
    world.run_for(Duration::from_secs(60));
    world.comes_back("alice", "alice");
    world.run_for(Duration::from_secs(60));
    world.comes_back("bob", "bob");
    world.run_until(|w| w.has_arrived("alice", "line number 4"), SOON);
    let lines: Vec<_> = world.owner("bob").screen.iter().map(|m| m.text.clone()).collect();
    assert_eq!(lines, (0..5).map(|n| format!("line number {n}")).collect::<Vec<_>>());
}

#[test]
fn a_full_outbox_reaches_who_comes_back_and_overruns_no_link() {
    let mut world = buddies(114);
    world.crash("bob");
    world.run_until(|w| !w.sees_online("alice", "bob"), SOON);
    // Now and then somebody writes a long one.
    let length = |number: usize| if number % 100 == 7 { 60_000 } else { 50 };
    let text = |number: usize| format!("{number} {}", "x".repeat(length(number)));
    for number in 0..OUTBOX_MAX {
        world.say("alice", "bob", &text(number));
    }
    let full = Failure::TooMany { max: OUTBOX_MAX };
    assert_eq!(world.ask("alice", World::send("bob", "one too many")), Err(full));
    let dials = world.dials("alice");
    world.comes_back("bob", "bob");
    let all = |w: &World| w.owner("bob").screen.len() == OUTBOX_MAX;
    world.run_until(all, Duration::from_secs(120));
    world.run_until(|w| w.peer("alice").load().outbox == 0, SOON);
    assert_eq!(world.dials("alice"), dials, "a link ran over");
    let screen = &world.owner("bob").screen;
    let came: BTreeSet<&str> = screen.iter().map(|m| m.text.as_str()).collect();
    let written: Vec<_> = (0..OUTBOX_MAX).map(text).collect();
    assert!(came == written.iter().map(String::as_str).collect());
}

#[test]
fn a_message_that_was_read_is_shown_as_read() {
    let mut world = buddies(114);
    world.say("alice", "bob", TEXT);
    world.run_until(|w| w.times_shown("bob", TEXT) == 1, SOON);
    let id = world.owner("bob").screen[0].id;
    let read = Command::MarkRead { with: user("alice"), ids: vec![id] };
    world.ask("bob", read).expect("it is there");
    world.run_until(|w| w.owner("alice").delivered.get(&id) == Some(&Delivery::Read), SOON);
}

#[test]
fn who_is_no_buddy_is_not_written_to() {
    let mut world = World::new(115).network(1);
    world.person("alice");
    world.person("bob");
    assert_eq!(world.ask("alice", World::send("bob", TEXT)), Err(Failure::NotABuddy));
}

#[test]
fn a_message_that_the_disk_does_not_take_is_not_sent() {
    let mut world = buddies(116);
    world.fill_disk("alice");
    let answer = world.ask("alice", World::send("bob", TEXT));
    assert_eq!(answer, Err(Failure::NotKept(SaveFailure::DiskFull)));
    world.run_for(SOON);
    assert_eq!(world.times_shown("bob", TEXT), 0);
}

#[test]
fn a_message_that_the_receivers_disk_does_not_take_is_not_acknowledged() {
    let mut world = buddies(117);
    world.fill_disk("bob");
    world.say("alice", "bob", TEXT);
    world.run_for(SOON);
    assert!(!world.has_arrived("alice", TEXT));
    assert_eq!(world.times_shown("bob", TEXT), 0);
}

#[test]
fn writing_the_same_twice_is_writing_it_once() {
    let mut world = buddies(118);
    let first = world.command("alice", World::send("bob", TEXT));
    let second = world.command("alice", World::send("bob", TEXT));
    world.run_until(|w| w.has_arrived("alice", TEXT), SOON);
    let answers = &world.owner("alice").answers;
    assert_eq!(answers[&first], answers[&second], "the second is answered as the first");
    assert_eq!(world.times_shown("bob", TEXT), 1);
}

#[test]
fn writing_again_what_arrived_before_a_crash_is_writing_it_once() {
    let mut world = buddies(115);
    world.say("alice", "bob", TEXT);
    world.run_until(|w| w.has_arrived("alice", TEXT), SOON);
    world.crash("alice");
    world.comes_back("alice", "alice");
    // Whoever asked for it had no answer, and asks again.
    let again = world.ask("alice", World::send("bob", TEXT));
    assert!(matches!(again, Ok(Answer::Sent(_, Delivery::Arrived))), "{again:?}");
    world.run_for(Duration::from_secs(30));
    assert_eq!(world.times_shown("bob", TEXT), 1);
    assert_eq!(world.times_shown("alice", TEXT), 1);
}

#[test]
fn nothing_gets_through_a_block_and_the_contact_key_is_another_one() {
    let mut world = buddies(119);
    let before = world.open_vault("alice").contact_key;
    world.ask("alice", Command::Block(user("bob"))).expect("always possible");
    world.run_until(|w| !w.sees_online("bob", "alice"), Duration::from_secs(1));
    world.say("bob", "alice", TEXT);
    world.call("bob", "alice");
    world.run_for(SOON);
    assert_eq!(world.times_shown("alice", TEXT), 0);
    assert!(!world.has_arrived("bob", TEXT));
    assert!(world.owner("alice").calls.is_empty(), "it does not ring");
    assert!(!world.sees_online("alice", "bob"));
    assert!(world.open_vault("alice").contact_key != before);
    world.ask("alice", Command::Unblock(user("bob"))).expect("bob is blocked");
    world.run_for(SOON);
    assert_ne!(world.stands("alice", "bob"), Some(Standing::Buddy), "a stranger from now on");
}
