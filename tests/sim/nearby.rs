//! People on one local network, without the Internet. Issue 5; DESIGN 2.3, 2.14.

use std::time::Duration;

use earshot_proto::peer::call::reason::EndReason;
use earshot_proto::peer::command::{CallAction, Command, Failure, Shown};
use earshot_proto::port::PathKind;
use earshot_proto::wire::sealed::call::SignalingCase;
use earshot_proto::wire::sealed::presence::PresenceState;
use earshot_tests::sim::{Nat, PASSWORD, SOON, World, user};

const DAY: Duration = Duration::from_secs(86_400);
/// All who are not in the office.
const FAR: [&str; 4] = ["super-1", "super-2", "authority", "carol"];

/// Alice and Bob, buddies on one local network behind one NAT, and Carol, a buddy of both, outside.
fn office(seed: u64) -> World {
    let mut world = World::new(seed).network(2);
    for name in ["alice", "bob", "carol"] {
        world.person_behind(name, Nat::Cone);
    }
    for (one, other) in [("alice", "bob"), ("alice", "carol"), ("bob", "carol")] {
        world.befriend(one, other);
    }
    world.run_until(|w| all_see_each_other(w, &["alice", "bob", "carol"]), SOON);
    world.share_lan(&["alice", "bob"]);
    world.run_for(Duration::from_secs(5));
    world
}

fn all_see_each_other(world: &World, names: &[&str]) -> bool {
    let pairs = names.iter().flat_map(|one| names.iter().map(move |other| (one, other)));
    pairs.filter(|(one, other)| one != other).all(|(one, other)| world.sees_online(one, other))
}

fn near(world: &World, name: &str) -> Vec<String> {
    let view = world.peer(name).network_view().expect("in a network");
    view.near.iter().map(|near| near.device.user.as_str().to_owned()).collect()
}

/// The line of the office is dead, and they have met by themselves.
fn cut_off(world: &mut World) {
    world.cut_lan_off("alice");
    world.run_until(
        |w| near(w, "alice") == ["bob"] && near(w, "bob") == ["alice"],
        Duration::from_secs(30),
    );
}

#[test]
fn while_the_network_brings_them_together_nobody_is_dialled() {
    let world = office(700);
    assert!(near(&world, "alice").is_empty() && near(&world, "bob").is_empty());
}

#[test]
fn when_the_internet_goes_they_stay_on_line_for_each_other() {
    let mut world = office(701);
    world.cut_lan_off("alice");
    let both = |w: &World| w.sees_online("alice", "bob") && w.sees_online("bob", "alice");
    let met = |w: &World| near(w, "alice") == ["bob"] && near(w, "bob") == ["alice"];
    let gone = |w: &World| !w.sees_online("alice", "carol") && !w.sees_online("bob", "carol");
    for _ in 0..600 {
        world.run_for(Duration::from_millis(100));
        assert!(both(&world), "they see each other all the time");
        if met(&world) && gone(&world) {
            break;
        }
    }
    assert!(met(&world) && gone(&world));
    world.run_for(Duration::from_secs(120));
    assert!(both(&world) && met(&world));
}

#[test]
fn what_they_write_and_show_arrives() {
    let mut world = office(702);
    cut_off(&mut world);
    world.say("alice", "bob", "the line is dead");
    world.run_until(|w| w.times_shown("bob", "the line is dead") == 1, SOON);
    world.run_until(|w| w.has_arrived("alice", "the line is dead"), SOON);
    world.show("bob", Shown::Away);
    world.run_until(|w| w.presence("alice", "bob") == PresenceState::Away, SOON);
}

#[test]
fn they_talk_without_a_super_peer() {
    let mut world = office(703);
    cut_off(&mut world);
    for (caller, callee) in [("alice", "bob"), ("bob", "alice")] {
        world.talk(caller, callee);
        let call = world.current_call(caller).expect("they talk");
        assert_eq!(call.path.map(|path| path.kind), Some(PathKind::Host));
        assert_eq!(call.signaling, Some(SignalingCase::Direct));
        world.run_for(Duration::from_secs(90));
        assert!(world.talking(caller, callee), "a call lives as long as its path");
        world.in_call(caller, CallAction::HangUp).expect("they talk");
        world.run_until(|w| w.end(callee) == Some(EndReason::HungUp), SOON);
    }
}

#[test]
fn a_call_outlives_the_internet_and_its_return() {
    let mut world = office(704);
    world.talk("alice", "bob");
    cut_off(&mut world);
    world.run_for(Duration::from_secs(60));
    assert!(world.talking("alice", "bob"));
    world.in_call("alice", CallAction::Hold).expect("signals pass");
    world.in_call("alice", CallAction::Resume).expect("signals pass");
    world.heal();
    world.run_until(|w| w.is_settled("alice") && w.is_settled("bob"), Duration::from_secs(120));
    world.run_for(Duration::from_secs(30));
    assert!(world.talking("alice", "bob"));
    world.in_call("bob", CallAction::HangUp).expect("they talk");
    world.run_until(|w| w.end("alice") == Some(EndReason::HungUp), SOON);
}

#[test]
fn who_comes_back_with_the_internet_is_near_no_more() {
    let mut world = office(705);
    cut_off(&mut world);
    world.heal();
    let all = ["alice", "bob", "carol"];
    world.run_until(|w| all_see_each_other(w, &all), Duration::from_secs(180));
    world.run_until(|w| near(w, "alice").is_empty() && near(w, "bob").is_empty(), SOON);
    world.run_for(Duration::from_secs(60));
    assert!(all_see_each_other(&world, &all));
}

#[test]
fn who_starts_without_the_internet_logs_in_and_finds_the_others() {
    let mut world = office(706);
    world.cut_lan_off("alice");
    for name in ["alice", "bob"] {
        world.crash(name);
    }
    world.run_for(Duration::from_secs(3600));
    for name in ["alice", "bob"] {
        world.start(name);
        world.log_in(name, name, PASSWORD).expect("the vault opens");
    }
    world.run_until(|w| all_see_each_other(w, &["alice", "bob"]), SOON);
    world.talk("bob", "alice");
}

#[test]
fn one_that_has_the_internet_meets_one_that_has_not() {
    let mut world = office(707);
    FAR.iter().for_each(|far| world.cut("bob", far));
    let met = |w: &World| near(w, "alice") == ["bob"] && all_see_each_other(w, &["alice", "bob"]);
    world.run_until(met, Duration::from_secs(60));
    world.say("alice", "bob", "come over");
    world.run_until(|w| w.times_shown("bob", "come over") == 1, SOON);
    world.talk("alice", "bob");
    world.in_call("bob", CallAction::HangUp).expect("they talk");
    world.run_until(|w| w.end("alice").is_some(), SOON);
    world.talk("bob", "alice");
}

#[test]
fn one_seen_before_becoming_a_buddy_is_met_after() {
    let mut world = World::new(712).network(1);
    ["alice", "bob"].iter().for_each(|name| world.person_behind(name, Nat::Cone));
    world.share_lan(&["alice", "bob"]);
    world.run_for(Duration::from_secs(5));
    world.befriend("alice", "bob");
    world.run_for(Duration::from_secs(5));
    cut_off(&mut world);
}

/// Both start that many days later, and nobody else is there.
fn after(days: u32) -> World {
    let mut world = office(708);
    ["alice", "bob"].iter().for_each(|name| world.leave(name));
    FAR.iter().for_each(|name| world.crash(name));
    world.run_for(DAY * days);
    ["alice", "bob"].iter().for_each(|name| world.start(name));
    world
}

fn others_come_back(world: &mut World) {
    ["authority", "super-1", "super-2"].iter().for_each(|name| world.start(name));
}

#[test]
fn certificates_that_have_ended_serve_for_90_days_and_are_shown_as_such() {
    let mut world = after(100);
    for name in ["alice", "bob"] {
        world.log_in(name, name, PASSWORD).expect("the vault opens");
    }
    world.run_until(|w| all_see_each_other(w, &["alice", "bob"]), SOON);
    let view = world.peer("alice").network_view().expect("in a network");
    assert!(view.near.iter().all(|near| near.certified_until < world.wall()));
    world.say("alice", "bob", "still here");
    world.run_until(|w| w.times_shown("bob", "still here") == 1, SOON);
    world.talk("alice", "bob");
}

#[test]
fn when_the_network_is_back_only_renewed_certificates_count() {
    let mut world = World::new(711).network(1);
    let both = ["alice", "bob"];
    both.iter().for_each(|name| world.person_behind(name, Nat::Cone));
    world.befriend("alice", "bob");
    world.run_for(Duration::from_secs(5));
    both.iter().for_each(|name| world.leave(name));
    world.run_for(DAY * 15);
    world.share_lan(&both);
    world.cut_lan_off("alice");
    for name in both {
        world.start(name);
        world.log_in(name, name, PASSWORD).expect("the vault opens");
    }
    world.run_until(|w| near(w, "alice") == ["bob"], SOON);
    world.heal();
    ["super-1", "authority"].iter().for_each(|far| world.cut("bob", far));
    world.run_until(|w| w.is_settled("alice"), Duration::from_secs(180));
    world.run_for(Duration::from_secs(5));
    assert!(near(&world, "alice").is_empty(), "Bob's has ended, and Alice has a network");
    world.heal();
    world.run_until(|w| all_see_each_other(w, &both), Duration::from_secs(600));
    world.run_until(|w| near(w, "alice").is_empty(), SOON);
}

#[test]
fn after_90_days_the_authority_must_say_who_they_are() {
    let mut world = after(105);
    let refused = world.log_in("alice", "alice", PASSWORD);
    assert_eq!(refused.err(), Some(Failure::AuthorityUnreachable));
    let device = world.open_vault("alice").device;
    others_come_back(&mut world);
    world.run_for(Duration::from_secs(30));
    world.log_in("alice", "alice", PASSWORD).expect("the authority certifies it anew");
    assert_eq!(world.open_vault("alice").device, device, "it is the same device");
}

#[test]
fn strangers_and_who_hides_are_neither_dialled_nor_let_in() {
    let mut world = World::new(709).network(1);
    for name in ["alice", "bob", "mallory"] {
        world.person_behind(name, Nat::Cone);
    }
    world.befriend("alice", "bob");
    world.show("bob", Shown::Invisible);
    world.share_lan(&["alice", "bob", "mallory"]);
    world.run_for(Duration::from_secs(2));
    world.cut_lan_off("alice");
    let dialled = ["alice", "bob", "mallory"].map(|name| world.near_dials(name));
    assert!(!world.comes_true(|w| !near(w, "alice").is_empty(), Duration::from_secs(60)));
    assert_eq!(dialled, ["alice", "bob", "mallory"].map(|name| world.near_dials(name)));
    world.show("bob", Shown::Online);
    world.run_until(|w| near(w, "alice") == ["bob"], SOON);
    assert!(near(&world, "mallory").is_empty());
}

#[test]
fn one_who_is_blocked_is_met_no_more() {
    let mut world = office(710);
    cut_off(&mut world);
    world.ask("alice", Command::Block(user("bob"))).expect("blocked");
    world.run_until(|w| near(w, "alice").is_empty() && near(w, "bob").is_empty(), SOON);
    assert!(!world.comes_true(|w| !near(w, "bob").is_empty(), Duration::from_secs(120)));
}
