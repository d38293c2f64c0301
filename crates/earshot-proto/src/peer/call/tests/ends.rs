//! Every reason for which a call ends, as both sides see it.

use super::super::farewell::REMEMBERED_MAX;
use super::super::patience;
use super::super::reason::{By, EndReason, NotLocated};
use super::super::signaling::SignalingCase;
use super::super::view::{CallState, Direction};
use super::super::{Callers, Calls, Standing};
use super::world::{Ice, MS, SECOND, World, home, user};
use crate::ids::CallId;
use crate::port::PathDown;
use crate::wire::directory::Reachability::{Natted, Public};
use crate::wire::forward::Undelivered;

type Ends = (Option<(EndReason, By)>, Option<(EndReason, By)>);

fn ends(world: &World, call: CallId) -> Ends {
    (world.ended("alice", call), world.ended("bob", call))
}

fn both(here: (EndReason, By), there: (EndReason, By)) -> Ends {
    (Some(here), Some(there))
}

fn pair() -> World {
    World::pair(Natted, Natted)
}

fn ring(world: &mut World) -> CallId {
    let call = world.start("alice", "bob");
    world.run_until(5 * SECOND, |w| w.both(CallState::Ringing));
    world.run_for(SECOND);
    call
}

fn talk(world: &mut World) -> CallId {
    let call = ring(world);
    world.order("bob", Calls::accept).expect("it rings");
    world.run_until(5 * SECOND, |w| w.both(CallState::Talking));
    call
}

fn quiet(world: &mut World) {
    world.run_for(90 * SECOND);
    world.assert_quiet();
}

#[test]
fn hung_up() {
    let mut world = pair();
    let call = talk(&mut world);
    world.run_for(61 * SECOND);
    world.order("alice", Calls::hang_up).expect("in a call");
    quiet(&mut world);
    assert_eq!(
        ends(&world, call),
        both((EndReason::HungUp, By::Me), (EndReason::HungUp, By::Them))
    );
    let facts = &world.device("alice").log[0].end.facts;
    assert!(facts.talked.is_some_and(|talked| talked >= 61 * SECOND));
    assert!(facts.rang.is_some_and(|rang| rang >= SECOND));
}

#[test]
fn hung_up_by_both_at_once() {
    let mut world = pair();
    let call = talk(&mut world);
    world.order("alice", Calls::hang_up).expect("in a call");
    world.order("bob", Calls::hang_up).expect("in a call");
    quiet(&mut world);
    assert_eq!(ends(&world, call), both((EndReason::HungUp, By::Me), (EndReason::HungUp, By::Me)));
}

#[test]
fn declined() {
    let mut world = pair();
    let call = ring(&mut world);
    world.order("bob", Calls::decline).expect("it rings");
    quiet(&mut world);
    assert_eq!(
        ends(&world, call),
        both((EndReason::Declined, By::Them), (EndReason::Declined, By::Me))
    );
}

#[test]
fn hanging_up_what_rings_declines_it() {
    let mut world = pair();
    let call = ring(&mut world);
    world.order("bob", Calls::hang_up).expect("it rings");
    quiet(&mut world);
    assert_eq!(world.ended("alice", call), Some((EndReason::Declined, By::Them)));
}

#[test]
fn busy() {
    let mut world = pair().with("carol", Natted, 3);
    let first = talk(&mut world);
    let second = world.start("carol", "bob");
    world.run_for(2 * SECOND);
    assert_eq!(world.ended("carol", second), Some((EndReason::Busy, By::Them)));
    assert_eq!(world.ended("bob", second), Some((EndReason::Busy, By::Me)));
    let missed = world.device("bob").log.iter().find(|entry| entry.call == second);
    assert_eq!(missed.map(|entry| entry.direction), Some(Direction::In));
    assert!(world.both(CallState::Talking), "the first call does not notice");
    world.order("alice", Calls::hang_up).expect("in a call");
    quiet(&mut world);
    assert_eq!(world.ended("bob", first), Some((EndReason::HungUp, By::Them)));
}

#[test]
fn a_busy_device_does_not_silence_a_free_one() {
    let mut world = pair().with("bob/phone", Natted, 3).with("carol", Natted, 4);
    let first = world.start("alice", "bob");
    world.run_for(2 * SECOND);
    world.order("bob", Calls::accept).expect("it rings");
    world.run_for(2 * SECOND);
    let second = world.start("carol", "bob");
    world.run_for(2 * SECOND);
    assert_eq!(world.state("carol"), Some(CallState::Ringing));
    assert_eq!(world.ended("bob", second), Some((EndReason::Busy, By::Me)));
    world.run_for(60 * SECOND);
    assert_eq!(world.ended("carol", second), Some((EndReason::NoAnswer, By::Them)));
    assert_eq!(world.ended("alice", first), None);
}

#[test]
fn no_answer() {
    let mut world = pair();
    let call = world.start("alice", "bob");
    world.run_until(SECOND, |w| w.both(CallState::Ringing));
    world.run_for(patience::RING - SECOND);
    assert!(world.both(CallState::Ringing));
    world.run_for(2 * SECOND);
    assert_eq!(
        ends(&world, call),
        both((EndReason::NoAnswer, By::Them), (EndReason::NoAnswer, By::Me))
    );
    let facts = &world.device("alice").log[0].end.facts;
    assert_eq!((facts.rang, facts.devices), (Some(patience::RING), Some(1)));
    quiet(&mut world);
}

#[test]
fn cancelled() {
    for after in [0, 30, 45, 90, 3_000] {
        let mut world = pair();
        let call = world.start("alice", "bob");
        world.run_for(after * MS);
        world.order("alice", Calls::hang_up).expect("in a call");
        quiet(&mut world);
        assert_eq!(world.ended("alice", call), Some((EndReason::Cancelled, By::Me)));
        let bob = world.ended("bob", call);
        assert!(bob.is_none_or(|end| end == (EndReason::Cancelled, By::Them)), "{after} ms");
    }
}

#[test]
fn cancelled_while_the_answer_was_on_its_way() {
    let mut world = pair();
    let call = ring(&mut world);
    world.order("bob", Calls::accept).expect("it rings");
    world.order("alice", Calls::hang_up).expect("in a call");
    quiet(&mut world);
    assert_eq!(
        ends(&world, call),
        both((EndReason::Cancelled, By::Me), (EndReason::Cancelled, By::Them))
    );
}

#[test]
fn not_found() {
    let mut world = pair();
    let call = world.start("alice", "nobody");
    quiet(&mut world);
    assert_eq!(world.ended("alice", call), Some((EndReason::NotFound, By::Network)));
    let facts = &world.device("alice").log[0].end.facts;
    assert_eq!(facts.locating, Some(NotLocated::NotFound));
}

#[test]
fn offline_by_the_directory() {
    let mut world = pair();
    world.unlist("bob");
    let call = world.start("alice", "bob");
    quiet(&mut world);
    assert_eq!(world.ended("alice", call), Some((EndReason::Offline, By::Network)));
}

#[test]
fn offline_when_every_way_ends_nowhere() {
    let mut world = World::pair(Natted, Public);
    world.crash("bob");
    let call = world.start("alice", "bob");
    world.run_for(SECOND);
    assert_eq!(world.ended("alice", call), Some((EndReason::Offline, By::Network)));
    assert!(world.device("alice").log[0].end.facts.signaling.is_some());
    quiet(&mut world);
}

#[test]
fn offline_when_nothing_is_heard_from_any_device() {
    let mut world = pair();
    world.loss_pct = 100;
    let call = world.start("alice", "bob");
    world.run_for(20 * SECOND);
    assert_eq!(world.ended("alice", call), Some((EndReason::Offline, By::Network)));
    quiet(&mut world);
}

#[test]
fn blocked_by_me() {
    let mut world = pair();
    world.standing.insert(("alice", "bob"), Standing::Blocked);
    let call = world.start("alice", "bob");
    quiet(&mut world);
    assert_eq!(world.ended("alice", call), Some((EndReason::Blocked, By::Me)));
}

#[test]
fn blocked_by_them_reads_like_being_away() {
    let mut world = pair();
    world.standing.insert(("bob", "alice"), Standing::Blocked);
    let call = world.start("alice", "bob");
    quiet(&mut world);
    assert_eq!(ends(&world, call), (Some((EndReason::Offline, By::Network)), None));
    assert!(world.said.iter().all(|(name, _)| *name == "alice"), "not a word comes back");
}

#[test]
fn blocked_in_the_middle_of_a_call_reads_like_a_hang_up() {
    let mut world = pair();
    let call = talk(&mut world);
    let alice = user("alice");
    world.tell("bob", |calls, now| calls.handle_blocked(now, &alice));
    quiet(&mut world);
    assert_eq!(
        ends(&world, call),
        both((EndReason::HungUp, By::Them), (EndReason::Blocked, By::Me))
    );
}

#[test]
fn not_buddy_is_told_to_former_buddies_and_strangers_hear_nothing() {
    for (standing, end) in [
        (Standing::FormerBuddy, (EndReason::NotBuddy, By::Them)),
        (Standing::Stranger, (EndReason::Offline, By::Network)),
    ] {
        let mut world = pair();
        world.around("bob", |around| around.callers = Callers::Buddies);
        world.standing.insert(("bob", "alice"), standing);
        let call = world.start("alice", "bob");
        quiet(&mut world);
        assert_eq!(world.ended("alice", call), Some(end));
        assert!(world.device("bob").ever.iter().all(|v| v.state != CallState::Ringing));
    }
}

#[test]
fn no_path() {
    let mut world = pair();
    world.ice = Ice::Never(5 * SECOND);
    let call = ring(&mut world);
    world.order("bob", Calls::accept).expect("it rings");
    quiet(&mut world);
    assert_eq!(
        ends(&world, call),
        both((EndReason::NoPath, By::Network), (EndReason::NoPath, By::Network))
    );
    for name in ["alice", "bob"] {
        let facts = &world.device(name).log[0].end.facts;
        assert!(facts.path.is_none_or(|down| down == PathDown::NoPair));
        let found = (facts.candidates_here, facts.candidates_there);
        assert_eq!(found, (Some(5), Some(5)), "{name} knows what was tried");
    }
}

#[test]
fn no_path_when_ice_never_says_anything() {
    let mut world = pair();
    world.ice = Ice::Silent;
    let call = ring(&mut world);
    world.order("bob", Calls::accept).expect("it rings");
    world.run_for(patience::CONNECT + SECOND);
    let no_path = (EndReason::NoPath, By::Network);
    assert_eq!(ends(&world, call), both(no_path, no_path));
    quiet(&mut world);
}

#[test]
fn no_path_because_nothing_can_be_opened_here() {
    let mut world = pair();
    world.ice = Ice::Unavailable;
    let call = world.start("alice", "bob");
    quiet(&mut world);
    assert_eq!(
        ends(&world, call),
        both((EndReason::NoPath, By::Network), (EndReason::NoPath, By::Me))
    );
}

#[test]
fn path_lost() {
    let mut world = pair();
    let call = talk(&mut world);
    world.ice = Ice::Never(5 * SECOND);
    world.cut_paths("alice");
    quiet(&mut world);
    let lost = (EndReason::PathLost, By::Network);
    assert_eq!(ends(&world, call), both(lost, lost));
    let facts = &world.device("alice").log[0].end.facts;
    assert!(facts.talked.is_some());
}

#[test]
fn peer_vanished_while_talking() {
    let mut world = pair();
    let call = talk(&mut world);
    world.crash("bob");
    world.run_for(2 * SECOND);
    assert_eq!(world.state("alice"), Some(CallState::Talking), "it may come back");
    let bob = world.device("bob").address.clone();
    world.tell("alice", |calls, now| calls.handle_gone(now, &bob));
    world.run_for(6 * SECOND);
    assert_eq!(world.ended("alice", call), Some((EndReason::PeerVanished, By::Network)));
    quiet(&mut world);
}

#[test]
fn peer_vanished_while_it_rang() {
    let mut world = pair();
    let call = ring(&mut world);
    world.crash("alice");
    world.run_for(10 * SECOND);
    assert_eq!(world.ended("bob", call), Some((EndReason::PeerVanished, By::Network)));
    quiet(&mut world);
}

#[test]
fn peer_vanished_before_any_path_and_its_home_says_so() {
    let mut world = pair();
    world.ice = Ice::Silent;
    let call = ring(&mut world);
    world.crash("alice");
    let alice = world.device("alice").address.clone();
    world.tell("bob", |calls, now| calls.handle_gone(now, &alice));
    world.run_for(6 * SECOND);
    assert_eq!(world.ended("bob", call), Some((EndReason::PeerVanished, By::Network)));
    quiet(&mut world);
}

#[test]
fn peer_vanished_and_nobody_says_so() {
    let mut world = pair();
    world.ice = Ice::Silent;
    let call = ring(&mut world);
    world.crash("alice");
    quiet(&mut world);
    assert_eq!(world.ended("bob", call), Some((EndReason::PeerVanished, By::Network)));
}

#[test]
fn a_false_alarm_about_the_other_device_costs_nothing() {
    let mut world = pair();
    talk(&mut world);
    let bob = world.device("bob").address.clone();
    world.tell("alice", |calls, now| calls.handle_gone(now, &bob));
    world.run_for(60 * SECOND);
    assert!(world.both(CallState::Talking));
}

#[test]
fn whoever_crashed_and_calls_again_rings_after_the_lost_call_ended() {
    for reachability in [Natted, Public] {
        let mut world = World::pair(reachability, reachability);
        let lost = talk(&mut world);
        world.crash("bob");
        world.restart("bob");
        let again = world.start("bob", "alice");
        world.run_until(8 * SECOND, |w| w.both(CallState::Ringing));
        assert_eq!(world.ended("alice", lost), Some((EndReason::PeerVanished, By::Network)));
        world.order("alice", Calls::accept).expect("it rings");
        world.run_until(5 * SECOND, |w| w.both(CallState::Talking));
        world.order("bob", Calls::hang_up).expect("in a call");
        quiet(&mut world);
        assert_eq!(world.ended("alice", again), Some((EndReason::HungUp, By::Them)));
    }
}

#[test]
fn signaling_lost_when_no_super_peer_answers() {
    let mut world = pair();
    world.directory_works = false;
    let call = world.start("alice", "bob");
    quiet(&mut world);
    assert_eq!(world.ended("alice", call), Some((EndReason::SignalingLost, By::Network)));
}

#[test]
fn signaling_lost_when_our_home_is_gone_and_none_takes_its_place() {
    let mut world = pair();
    world.around("bob", |around| around.home = None);
    let call = world.start("alice", "bob");
    world.run_for(SECOND);
    assert_eq!(world.ended("alice", call), Some((EndReason::Offline, By::Network)));

    let mut world = World::pair(crate::wire::directory::Reachability::Restricted, Natted);
    let call = world.start("alice", "bob");
    world.run_for(30 * MS);
    world.kill_home(1);
    quiet(&mut world);
    assert_eq!(world.ended("alice", call), Some((EndReason::SignalingLost, By::Network)));
}

#[test]
fn a_hang_up_reaches_whoever_is_at_home_elsewhere_since() {
    let mut world = pair();
    let call = talk(&mut world);
    world.loss_pct = 100;
    world.kill_home(2);
    world.around("bob", |around| around.home = Some(home(3)));
    world.run_for(50 * MS);
    world.order("alice", Calls::hang_up).expect("they talk");
    world.loss_pct = 0;
    world.run_for(2 * SECOND);
    assert_eq!(world.ended("bob", call), Some((EndReason::HungUp, By::Them)));
}

#[test]
fn what_the_directory_says_late_does_not_lead_a_hang_up_astray() {
    let mut world = pair();
    let call = talk(&mut world);
    let mut found = world.locate(world.at("alice"), &user("bob")).expect("he is there");
    found[0].home = Some(home(9));
    world.tell("alice", |calls, now| calls.handle_located(now, call, Ok(found)));
    world.carried.clear();
    world.order("alice", Calls::hang_up).expect("they talk");
    assert_eq!(world.carried, [("alice", SignalingCase::CalleeSuperPeer)]);
}

#[test]
fn keys_refused_because_the_contribution_is_no_key() {
    let mut world = pair();
    world.spoil_keys_of = Some("alice");
    let call = world.start("alice", "bob");
    quiet(&mut world);
    assert_eq!(
        ends(&world, call),
        both((EndReason::KeysRefused, By::Them), (EndReason::KeysRefused, By::Me))
    );
    assert!(world.device("bob").ever.iter().all(|view| view.state != CallState::Ringing));

    let mut world = pair();
    world.spoil_keys_of = Some("bob");
    let call = world.start("alice", "bob");
    quiet(&mut world);
    assert_eq!(
        ends(&world, call),
        both((EndReason::KeysRefused, By::Me), (EndReason::KeysRefused, By::Them))
    );
}

#[test]
fn keys_refused_because_the_identity_changed() {
    let mut world = pair();
    world.directory_works = false;
    let call = world.start("alice", "bob");
    let changed = NotLocated::KeyChanged;
    world.tell("alice", |calls, now| calls.handle_located(now, call, Err(changed)));
    assert_eq!(world.ended("alice", call), Some((EndReason::KeysRefused, By::Me)));
    quiet(&mut world);
}

#[test]
fn audio_failed_in_any_state() {
    let failed = both((EndReason::AudioFailed, By::Them), (EndReason::AudioFailed, By::Me));
    for begin in [ring, talk] {
        let mut world = pair();
        let call = begin(&mut world);
        world.audio_fails("bob");
        quiet(&mut world);
        assert_eq!(ends(&world, call), failed);
    }
}

#[test]
fn internal_when_our_own_link_may_not_send() {
    let mut world = pair();
    world.refusal = Some(Undelivered::NotAllowed);
    let call = world.start("alice", "bob");
    quiet(&mut world);
    assert_eq!(world.ended("alice", call), Some((EndReason::Internal, By::Me)));
}

#[test]
fn ended_calls_are_remembered_only_so_many() {
    let mut world = pair();
    for _ in 0..2 * REMEMBERED_MAX {
        world.start("alice", "bob");
        world.run_for(100 * MS);
        world.order("alice", Calls::hang_up).expect("in a call");
        world.run_for(100 * MS);
    }
    for name in ["alice", "bob"] {
        assert_eq!(world.device(name).calls.farewells.len(), REMEMBERED_MAX);
        assert_eq!(world.device(name).forgotten, 2 * REMEMBERED_MAX);
    }
    quiet(&mut world);
}
