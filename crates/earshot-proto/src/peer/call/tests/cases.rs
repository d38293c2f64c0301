//! Calls that succeed: each signaling case, answers, hold, mute, several devices, crossing calls.

use std::collections::BTreeSet;

use super::super::reason::{By, EndReason};
use super::super::signaling::SignalingCase::{BothSuperPeers, CalleeSuperPeer, Direct};
use super::super::view::{CallState, Direction, HeldBy};
use super::super::{Calls, Refused, Standing};
use super::world::{Ice, MS, SECOND, World, home};
use crate::port::{PathKind, PathPolicy};
use crate::wire::directory::Reachability::{Natted, Public, Restricted};
use crate::wire::forward::Undelivered;
use crate::wire::sealed::call::SignalBody;

/// Alice calls Bob, it rings, he answers, they talk.
fn talk(world: &mut World) -> crate::ids::CallId {
    let call = world.start("alice", "bob");
    world.run_until(10 * SECOND, |w| w.both(CallState::Ringing));
    world.order("bob", Calls::accept).expect("it rings");
    world.run_until(10 * SECOND, |w| w.both(CallState::Talking));
    call
}

fn hang_up(world: &mut World, who: &str, call: crate::ids::CallId) {
    world.order(who, Calls::hang_up).expect("in a call");
    world.run_for(5 * SECOND);
    let other = if who == "alice" { "bob" } else { "alice" };
    assert_eq!(world.ended(who, call), Some((EndReason::HungUp, By::Me)));
    assert_eq!(world.ended(other, call), Some((EndReason::HungUp, By::Them)));
    world.run_for(60 * SECOND);
    world.assert_quiet();
}

#[test]
fn each_pair_of_peers_is_connected_by_the_case_of_the_lecture() {
    for (alice, bob, case) in [
        (Public, Public, Direct),
        (Natted, Public, Direct),
        (Public, Natted, CalleeSuperPeer),
        (Natted, Restricted, CalleeSuperPeer),
        (Restricted, Public, BothSuperPeers),
        (Restricted, Restricted, BothSuperPeers),
    ] {
        let mut world = World::pair(alice, bob);
        let call = talk(&mut world);
        for name in ["alice", "bob"] {
            assert_eq!(world.current(name).and_then(|v| v.signaling), Some(case));
        }
        assert!(world.carried.iter().all(|(_, carried)| *carried == case), "{alice:?} {bob:?}");
        hang_up(&mut world, "bob", call);
        assert!(world.carried.iter().all(|(_, carried)| *carried == case), "{alice:?} {bob:?}");
    }
}

#[test]
fn when_the_direct_connection_fails_the_next_case_carries_the_call() {
    let mut world = World::pair(Public, Public);
    world.direct_works = false;
    let call = talk(&mut world);
    for name in ["alice", "bob"] {
        assert_eq!(world.current(name).and_then(|v| v.signaling), Some(CalleeSuperPeer));
    }
    assert!(world.carried.iter().all(|(_, case)| *case == CalleeSuperPeer));
    hang_up(&mut world, "alice", call);
}

#[test]
fn a_direct_connection_that_swallows_everything_is_given_up_like_one_that_fails() {
    let mut world = World::pair(Public, Public);
    world.loss_pct = 100;
    let call = world.start("alice", "bob");
    world.run_for(SECOND);
    assert_eq!(world.current("alice").and_then(|v| v.signaling), Some(Direct));
    world.run_for(SECOND);
    world.loss_pct = 0;
    world.run_until(10 * SECOND, |w| w.both(CallState::Ringing));
    assert_ne!(world.current("bob").and_then(|v| v.signaling), Some(Direct));
    world.order("bob", Calls::accept).expect("it rings");
    world.run_until(10 * SECOND, |w| w.both(CallState::Talking));
    hang_up(&mut world, "alice", call);
}

#[test]
fn it_rings_after_one_way_and_the_answer_is_heard_after_another() {
    let mut world = World::pair(Natted, Natted);
    world.start("alice", "bob");
    world.run_until(SECOND, |w| w.state("bob") == Some(CallState::Ringing));
    world.run_for(5 * SECOND);
    let before = world.now;
    world.order("bob", Calls::accept).expect("it rings");
    assert_eq!(world.state("bob"), Some(CallState::Talking), "the path was there already");
    world.run_until(SECOND, |w| w.state("alice") == Some(CallState::Talking));
    assert_eq!(world.now - before, 20 * MS);
}

#[test]
fn an_answer_before_the_path_is_there_connects_when_it_comes() {
    let mut world = World::pair(Natted, Natted);
    world.ice = Ice::After(3 * SECOND);
    world.start("alice", "bob");
    world.run_until(SECOND, |w| w.both(CallState::Ringing));
    world.order("bob", Calls::accept).expect("it rings");
    world.run_until(SECOND, |w| w.both(CallState::Connecting));
    world.run_until(5 * SECOND, |w| w.both(CallState::Talking));
}

#[test]
fn candidates_found_together_travel_together() {
    let mut world = World::pair(Natted, Natted);
    talk(&mut world);
    let sent = |body: &&&SignalBody| matches!(body, SignalBody::Candidates { .. });
    let said = world.speech("alice");
    assert!(said.iter().filter(sent).count() <= 3, "{said:?}");
}

#[test]
fn strangers_ring_through_super_peers_and_are_relayed() {
    let mut world = World::pair(Public, Public);
    world.standing.insert(("alice", "bob"), Standing::Stranger);
    world.standing.insert(("bob", "alice"), Standing::Stranger);
    let call = talk(&mut world);
    let path = world.current("bob").and_then(|view| view.path);
    assert_eq!(path.map(|path| path.kind), Some(PathKind::RelayUdp));
    hang_up(&mut world, "alice", call);
    assert!(world.carried.iter().all(|(_, case)| *case == CalleeSuperPeer));
    assert_no_own_address(&world);
}

#[test]
fn a_buddy_who_is_none_to_the_callee_learns_no_address_of_the_callee() {
    let mut world = World::pair(Natted, Natted);
    world.standing.insert(("bob", "alice"), Standing::FormerBuddy);
    talk(&mut world);
    let own = world.speech("bob").into_iter().filter(|body| shows_host(body)).count();
    assert_eq!(own, 0);
}

#[test]
fn whoever_hides_its_address_is_only_relayed() {
    let mut world = World::pair(Public, Public);
    world.try_start("alice", "bob", PathPolicy::RelayOnly).expect("not in a call");
    world.run_until(10 * SECOND, |w| w.both(CallState::Ringing));
    world.order("bob", Calls::accept).expect("it rings");
    world.run_until(10 * SECOND, |w| w.both(CallState::Talking));
    assert_no_own_address(&world);

    let mut world = World::pair(Public, Natted);
    world.around("bob", |around| around.addresses = PathPolicy::RelayOnly);
    talk(&mut world);
    assert!(!world.speech("bob").into_iter().any(shows_host));
}

fn shows_host(body: &SignalBody) -> bool {
    match body {
        SignalBody::Candidates { candidates, .. } => {
            candidates.iter().any(|c| c.as_str().contains("typ host"))
        }
        SignalBody::Offer { .. }
        | SignalBody::Ringing { .. }
        | SignalBody::Ice { .. }
        | SignalBody::Accept
        | SignalBody::Heard
        | SignalBody::End { .. }
        | SignalBody::Hold
        | SignalBody::Resume
        | SignalBody::Moved { .. }
        | SignalBody::Probe => false,
    }
}

fn assert_no_own_address(world: &World) {
    assert!(world.carried.iter().all(|(_, case)| *case != Direct));
    for name in ["alice", "bob"] {
        assert!(!world.speech(name).into_iter().any(shows_host), "{name} shows an address");
    }
}

#[test]
fn either_or_both_hold_a_call_and_it_goes_on_when_neither_does() {
    let mut world = World::pair(Natted, Natted);
    let call = talk(&mut world);
    let held = |w: &World, name, me, them| {
        w.current(name).map(|v| v.held_by) == Some(HeldBy { me, them })
            && w.device(name).voices[&call].held == (me || them)
    };
    world.order("alice", Calls::hold).expect("talking");
    world.run_until(SECOND, |w| held(w, "alice", true, false) && held(w, "bob", false, true));
    assert!(world.both(CallState::Held));
    world.order("bob", Calls::hold).expect("held by her, not by him");
    world.run_until(SECOND, |w| held(w, "alice", true, true) && held(w, "bob", true, true));
    world.order("alice", Calls::resume).expect("held");
    world.run_until(SECOND, |w| held(w, "alice", false, true) && held(w, "bob", true, false));
    assert!(world.both(CallState::Held));
    world.order("bob", Calls::resume).expect("held");
    world.run_until(SECOND, |w| held(w, "alice", false, false) && held(w, "bob", false, false));
    assert!(world.both(CallState::Talking));
    hang_up(&mut world, "bob", call);
}

#[test]
fn a_nervous_finger_on_hold_ends_where_it_stops_and_floods_nobody() {
    let mut world = World::pair(Natted, Natted);
    talk(&mut world);
    world.run_for(2 * SECOND);
    let before = world.said.len();
    for n in 0..101 {
        let order = if n % 2 == 0 { Calls::hold } else { Calls::resume };
        world.order("alice", order).expect("talking or held");
    }
    world.run_for(5 * SECOND);
    assert!(world.both(CallState::Held));
    assert!(world.said.len() - before <= 4, "one signal about it is under way at a time");
}

#[test]
fn muting_is_nobody_elses_business_and_may_come_before_the_voice() {
    let mut world = World::pair(Natted, Natted);
    let call = world.start("alice", "bob");
    world.order("alice", Calls::mute).expect("in a call");
    world.run_until(SECOND, |w| w.both(CallState::Ringing));
    world.order("bob", Calls::accept).expect("it rings");
    world.run_until(SECOND, |w| w.both(CallState::Talking));
    assert!(world.device("alice").voices[&call].muted);
    assert!(!world.current("bob").expect("in a call").muted_here);
    let said = world.said.len();
    world.order("alice", Calls::unmute).expect("in a call");
    world.order("alice", Calls::mute).expect("in a call");
    assert_eq!(world.said.len(), said);
    assert!(world.current("alice").expect("in a call").muted_here);
}

#[test]
fn orders_that_mean_nothing_now_are_refused_and_change_nothing() {
    let mut world = World::pair(Natted, Natted);
    assert_eq!(world.order("alice", Calls::accept), Err(Refused::NoSuchCall));
    assert_eq!(world.try_start("alice", "alice", PathPolicy::Any).err(), Some(Refused::Yourself));
    let call = world.start("alice", "bob");
    let again = world.try_start("alice", "carol", PathPolicy::Any);
    assert_eq!(again, Err(Refused::InCall { call }));
    world.run_until(SECOND, |w| w.both(CallState::Ringing));
    let not_now = Err(Refused::NotNow { state: CallState::Ringing });
    assert_eq!(world.order("alice", Calls::accept), not_now);
    assert_eq!(world.order("alice", Calls::decline), not_now);
    assert_eq!(world.order("bob", Calls::hold), not_now);
    assert!(world.both(CallState::Ringing));
}

fn with_phone() -> World {
    World::pair(Natted, Natted).with("bob/phone", Public, 3)
}

#[test]
fn all_devices_ring_and_the_one_that_answers_wins() {
    let mut world = with_phone();
    let call = world.start("alice", "bob");
    world.run_until(SECOND, |w| {
        w.both(CallState::Ringing) && w.state("bob/phone") == Some(CallState::Ringing)
    });
    world.order("bob/phone", Calls::accept).expect("it rings");
    world.run_until(SECOND, |w| w.state("bob").is_none());
    assert_eq!(world.ended("bob", call), Some((EndReason::AnsweredElsewhere, By::Me)));
    assert_eq!(world.device("bob").log[0].end.reason, EndReason::AnsweredElsewhere);
    let phone = world.device("bob/phone").address.device;
    world.run_until(SECOND, |w| w.state("alice") == Some(CallState::Talking));
    assert_eq!(world.current("alice").and_then(|view| view.device), Some(phone));
    assert_eq!(world.state("bob/phone"), Some(CallState::Talking));
    world.order("alice", Calls::hang_up).expect("in a call");
    world.run_for(60 * SECOND);
    world.assert_quiet();
}

#[test]
fn of_two_devices_answering_at_once_one_talks_and_the_other_is_told() {
    let mut world = with_phone();
    let call = world.start("alice", "bob");
    world.run_for(5 * SECOND);
    world.order("bob/phone", Calls::accept).expect("it rings");
    world.order("bob", Calls::accept).expect("it rings");
    world.run_for(5 * SECOND);
    let talking: Vec<_> = ["bob", "bob/phone"]
        .into_iter()
        .filter(|name| world.state(name) == Some(CallState::Talking))
        .collect();
    assert_eq!(talking.len(), 1);
    assert_eq!(world.state("alice"), Some(CallState::Talking));
    let other = if talking == ["bob"] { "bob/phone" } else { "bob" };
    assert_eq!(world.ended(other, call), Some((EndReason::AnsweredElsewhere, By::Me)));
}

#[test]
fn declining_on_one_device_silences_the_others() {
    let mut world = with_phone();
    let call = world.start("alice", "bob");
    world.run_for(2 * SECOND);
    world.order("bob", Calls::decline).expect("it rings");
    world.run_for(60 * SECOND);
    assert_eq!(world.ended("alice", call), Some((EndReason::Declined, By::Them)));
    assert_eq!(world.ended("bob/phone", call), Some((EndReason::Declined, By::Me)));
    world.assert_quiet();
}

#[test]
fn a_device_that_is_away_does_not_keep_the_other_from_ringing() {
    let mut world = with_phone();
    world.crash("bob");
    let call = world.start("alice", "bob");
    world.run_until(SECOND, |w| w.state("bob/phone") == Some(CallState::Ringing));
    world.order("bob/phone", Calls::accept).expect("it rings");
    world.run_until(SECOND, |w| w.state("alice") == Some(CallState::Talking));
    world.order("alice", Calls::hang_up).expect("in a call");
    world.run_for(60 * SECOND);
    assert_eq!(world.ended("bob/phone", call), Some((EndReason::HungUp, By::Them)));
}

#[test]
fn two_who_call_each_other_at_once_talk_without_a_ring() {
    for lag in [0, 5, 10, 19, 39, 41, 59] {
        let mut world = World::pair(Natted, Natted);
        let hers = world.start("alice", "bob");
        world.run_for(lag * MS);
        let his = world.start("bob", "alice");
        world.run_until(5 * SECOND, |w| w.both(CallState::Talking));
        let kept = hers.max(his);
        for name in ["alice", "bob"] {
            assert_eq!(world.current(name).map(|view| view.id), Some(kept), "lag {lag}");
            let rang =
                world.device(name).ever.iter().any(|view| {
                    view.direction == Direction::In && view.state == CallState::Ringing
                });
            assert!(!rang, "{name} rang at lag {lag}");
        }
        let (loser, lost) = if hers < his { ("alice", hers) } else { ("bob", his) };
        assert_eq!(world.ended(loser, lost), Some((EndReason::AnsweredElsewhere, By::Me)));
        let facts = world.seen(loser, lost).and_then(|view| view.end.as_ref()).map(|e| &e.facts);
        assert_eq!(facts.and_then(|facts| facts.continued_as), Some(kept));
        world.order("alice", Calls::hang_up).expect("in a call");
        world.run_for(60 * SECOND);
        world.assert_quiet();
    }
}

#[test]
fn a_home_that_crashes_while_it_rings_does_not_cost_the_call() {
    let mut world = World::pair(Natted, Natted);
    let call = world.start("alice", "bob");
    world.run_until(SECOND, |w| w.both(CallState::Ringing));
    world.kill_home(2);
    world.run_for(SECOND);
    world.order("bob", Calls::accept).expect("it rings");
    world.run_for(2 * SECOND);
    world.around("bob", |around| around.home = Some(home(4)));
    world.run_until(10 * SECOND, |w| w.both(CallState::Talking));
    world.order("alice", Calls::hang_up).expect("in a call");
    world.run_for(60 * SECOND);
    assert_eq!(world.ended("bob", call), Some((EndReason::HungUp, By::Them)));
    world.assert_quiet();
}

#[test]
fn two_who_change_their_homes_at_the_same_moment_find_each_other_again() {
    let mut world = World::pair(Natted, Natted);
    let call = talk(&mut world);
    world.around("alice", |around| around.home = Some(home(3)));
    world.around("bob", |around| around.home = Some(home(4)));
    world.order("alice", Calls::hold).expect("talking");
    world.run_until(10 * SECOND, |w| w.both(CallState::Held));
    hang_up(&mut world, "alice", call);
}

#[test]
fn a_call_talks_on_while_all_signaling_is_gone() {
    let mut world = World::pair(Natted, Natted);
    talk(&mut world);
    world.kill_home(1);
    world.kill_home(2);
    world.order("alice", Calls::hold).expect("talking");
    world.run_for(120 * SECOND);
    assert_eq!(world.state("alice"), Some(CallState::Held));
    assert_eq!(world.state("bob"), Some(CallState::Talking));
    world.heal_homes();
    world.run_until(10 * SECOND, |w| w.both(CallState::Held));
}

#[test]
fn a_budget_that_is_spent_only_makes_it_slower() {
    let mut world = World::pair(Natted, Natted);
    world.refusal = Some(Undelivered::TooMuch);
    world.start("alice", "bob");
    world.run_for(SECOND);
    world.refusal = None;
    world.run_until(10 * SECOND, |w| w.both(CallState::Ringing));
}

#[test]
fn loss_doubling_and_reordering_slow_a_call_and_change_nothing_else() {
    for seed in 0..30 {
        let mut world = World::new([seed; 32]).with("alice", Natted, 1).with("bob", Natted, 2);
        world.latency = (5 * MS, 300 * MS);
        world.loss_pct = 25;
        world.doubled_pct = 25;
        let call = world.start("alice", "bob");
        world.run_until(40 * SECOND, |w| w.both(CallState::Ringing));
        world.order("bob", Calls::accept).expect("it rings");
        world.run_until(15 * SECOND, |w| w.both(CallState::Talking));
        world.order("bob", Calls::hold).expect("talking");
        world.run_until(30 * SECOND, |w| w.both(CallState::Held));
        world.order("alice", Calls::hang_up).expect("in a call");
        world.run_for(60 * SECOND);
        assert_eq!(world.ended("bob", call), Some((EndReason::HungUp, By::Them)));
        world.assert_quiet();
        let ids: BTreeSet<_> = world.device("bob").ever.iter().map(|view| view.id).collect();
        assert_eq!(ids.len(), 1);
    }
}
