//! A call outlives the path that it was made on.

use super::super::Calls;
use super::super::patience;
use super::super::reason::{By, EndReason};
use super::super::view::CallState;
use super::world::{Ice, MS, SECOND, World, relay};
use crate::ids::CallId;
use crate::port::{PathKind, PathPolicy, RelayTransport};
use crate::wire::directory::Reachability::Natted;

const NAMES: [&str; 2] = ["alice", "bob"];

fn talk(world: &mut World) -> CallId {
    let call = world.start("alice", "bob");
    world.run_until(5 * SECOND, |w| w.both(CallState::Ringing));
    world.run_for(SECOND);
    world.order("bob", Calls::accept).expect("it rings");
    world.run_until(5 * SECOND, |w| w.both(CallState::Talking));
    world.run_for(2 * SECOND);
    call
}

fn pair() -> World {
    World::pair(Natted, Natted)
}

fn kind(world: &World, name: &str) -> Option<PathKind> {
    world.current(name).and_then(|view| view.path).map(|path| path.kind)
}

fn is_interrupted(world: &World, name: &str) -> bool {
    world.current(name).expect("in a call").interrupted.is_some()
}

#[test]
fn an_answered_call_keeps_a_second_path_warm_and_a_ringing_one_does_not() {
    let mut world = pair();
    world.start("alice", "bob");
    world.run_until(5 * SECOND, |w| w.both(CallState::Ringing));
    world.run_for(2 * SECOND);
    assert_eq!(world.open_policies("alice"), [PathPolicy::Any]);
    world.order("bob", Calls::accept).expect("it rings");
    world.run_for(2 * SECOND);
    assert_eq!(world.open_policies("alice"), [PathPolicy::Any, PathPolicy::RelayOnly]);
    assert_eq!(world.open_policies("bob"), [PathPolicy::Any, PathPolicy::DirectOnly]);
}

#[test]
fn a_call_whose_path_dies_goes_over_to_the_warm_one_at_once() {
    let mut world = pair();
    let call = talk(&mut world);
    let before = world.device("alice").voices[&call].route.clone();
    assert_eq!((before.send.len(), before.hear.len()), (1, 2));
    world.cut_path_in_use("alice");
    world.run_for(450 * MS);
    for name in NAMES {
        let route = &world.device(name).voices[&call].route;
        assert_eq!(route.send.len(), 2, "in doubt it goes over both: {route:?}");
        assert!(!is_interrupted(&world, name));
    }
    world.run_for(SECOND);
    let after = &world.device("alice").voices[&call].route;
    assert_eq!(after.send.len(), 1);
    assert_ne!(after.send, before.send);
    let view = world.current("alice").expect("in a call");
    assert_eq!((view.switches, view.path.map(|path| path.kind)), (1, Some(PathKind::RelayUdp)));
    world.run_for(3 * SECOND);
    assert_eq!(kind(&world, "alice"), Some(PathKind::Host), "and goes direct again");
    assert!(world.both(CallState::Talking));
}

#[test]
fn a_call_that_lost_every_path_is_made_anew_on_another() {
    let mut world = pair();
    let call = talk(&mut world);
    for round in 0..3 {
        world.cut_paths("alice");
        world.run_for(500 * MS);
        assert!(is_interrupted(&world, "alice") && is_interrupted(&world, "bob"), "{round}");
        world.run_for(1_500 * MS);
        for name in NAMES {
            assert!(!is_interrupted(&world, name), "{name}, {round}");
            assert_eq!(world.device(name).voices[&call].route.send.len(), 1);
        }
    }
    assert!(world.both(CallState::Talking));
}

#[test]
fn a_relayed_call_moves_to_a_direct_path_when_one_is_proved() {
    let mut world = pair();
    world.direct = Some(Ice::After(3 * SECOND));
    talk(&mut world);
    assert_eq!(kind(&world, "alice"), Some(PathKind::RelayUdp), "it did not wait");
    world.run_for(4 * SECOND);
    for name in NAMES {
        assert_eq!(kind(&world, name), Some(PathKind::Host), "{name}");
        assert_eq!(world.current(name).map(|view| view.switches), Some(1));
    }
}

#[test]
fn where_nothing_direct_works_a_call_stays_on_the_relay_and_is_not_disturbed() {
    let mut world = pair();
    world.direct = Some(Ice::Never(9 * SECOND));
    talk(&mut world);
    world.run_for(120 * SECOND);
    for name in NAMES {
        let view = world.current(name).expect("in a call");
        assert_eq!((view.switches, view.interrupted), (0, None));
        assert_eq!(view.path.map(|path| path.kind), Some(PathKind::RelayUdp));
    }
    let opened = world
        .said
        .iter()
        .filter(|(_, said)| matches!(said.body, crate::wire::sealed::call::SignalBody::Ice { .. }));
    assert!(opened.count() < 40, "it does not go on trying");
}

#[test]
fn a_relayed_call_goes_direct_when_the_router_of_either_side_forwards_a_port() {
    for name in NAMES {
        let mut world = pair();
        world.direct = Some(Ice::Never(9 * SECOND));
        talk(&mut world);
        world.run_for(20 * SECOND);
        world.direct = Some(Ice::After(SECOND));
        world.run_for(20 * SECOND);
        assert_eq!(kind(&world, name), Some(PathKind::RelayUdp), "{name}: nobody tries of itself");
        world.tell(name, Calls::handle_mapped);
        world.run_for(4 * SECOND);
        for name in NAMES {
            let view = world.current(name).expect("in a call");
            assert_eq!((view.switches, view.interrupted), (1, None), "{name}");
            assert_eq!(view.path.map(|path| path.kind), Some(PathKind::Host), "{name}");
        }
    }
}

#[test]
fn a_hidden_call_makes_no_path_but_over_relays_whatever_happens() {
    let mut world = pair();
    let call = world.try_start("alice", "bob", PathPolicy::RelayOnly).expect("not in a call");
    world.run_until(5 * SECOND, |w| w.both(CallState::Ringing));
    world.order("bob", Calls::accept).expect("it rings");
    world.run_for(3 * SECOND);
    for _ in 0..2 {
        world.cut_paths("bob");
        NAMES.into_iter().for_each(|name| world.tell(name, Calls::handle_mapped));
        world.run_for(5 * SECOND);
        for name in NAMES {
            let policies = world.open_policies(name);
            assert!(policies.len() >= 2, "{policies:?}");
            assert!(policies.iter().all(|policy| *policy == PathPolicy::RelayOnly));
        }
    }
    assert!(world.both(CallState::Talking), "{:?}", world.seen("alice", call));
}

#[test]
fn half_a_minute_without_any_network_is_survived() {
    let mut world = pair();
    talk(&mut world);
    world.loss_pct = 100;
    let ice = std::mem::replace(&mut world.ice, Ice::Silent);
    world.cut_paths("alice");
    world.run_for(30 * SECOND);
    assert!(is_interrupted(&world, "alice") && is_interrupted(&world, "bob"));
    world.loss_pct = 0;
    world.ice = ice;
    world.run_for(10 * SECOND);
    assert!(world.both(CallState::Talking));
    assert!(!is_interrupted(&world, "alice") && !is_interrupted(&world, "bob"));
}

#[test]
fn a_network_that_does_not_come_back_ends_the_call_after_patience() {
    let mut world = pair();
    let call = talk(&mut world);
    world.loss_pct = 100;
    world.ice = Ice::Silent;
    world.cut_paths("alice");
    world.run_for(patience::INTERRUPTED - SECOND);
    assert!(world.both(CallState::Talking));
    world.run_for(4 * SECOND);
    for name in NAMES {
        assert_eq!(world.ended(name, call), Some((EndReason::PeerVanished, By::Network)));
    }
    world.run_for(60 * SECOND);
    world.assert_quiet();
}

#[test]
fn when_our_addresses_change_a_new_path_is_made_before_the_old_one_is_missed() {
    for name in NAMES {
        let mut world = pair();
        let call = talk(&mut world);
        let before = world.device(name).voices[&call].route.send.clone();
        world.tell(name, Calls::handle_network);
        world.cut_paths(name);
        world.run_for(390 * MS);
        assert!(!is_interrupted(&world, "alice") && !is_interrupted(&world, "bob"), "{name}");
        world.run_for(2 * SECOND);
        assert_ne!(world.device(name).voices[&call].route.send, before, "{name}");
        assert!(world.both(CallState::Talking));
    }
}

#[test]
fn a_relay_that_dies_is_replaced_and_so_is_the_one_after_it() {
    let mut world = pair();
    world.direct = Some(Ice::Never(9 * SECOND));
    talk(&mut world);
    let relay_of = |world: &World| {
        let view = world.current("alice").expect("in a call");
        view.path.and_then(|path| path.relay)
    };
    assert_eq!(relay_of(&world), Some(relay(9).address));
    world.cut_path_in_use("alice");
    world.run_for(2 * SECOND);
    assert_eq!(relay_of(&world), Some(relay(8).address));
    world.run_for(20 * SECOND);
    world.cut_path_in_use("bob");
    world.run_for(2 * SECOND);
    assert_eq!(relay_of(&world), Some(relay(9).address));
    assert!(world.both(CallState::Talking));
}

fn relayed_where_the_second_refuses() -> World {
    let mut world = pair();
    world.direct = Some(Ice::Never(9 * SECOND));
    world.refusing = vec![relay(8).address];
    talk(&mut world);
    world
}

fn is_warm(world: &World) -> bool {
    world.open_policies("alice").contains(&PathPolicy::RelayOnly)
}

#[test]
fn where_the_second_relay_gives_no_address_a_third_keeps_the_call_warm_as_soon_as_it_is_known() {
    let mut world = relayed_where_the_second_refuses();
    assert_eq!(world.relays_failed, [relay(8).address]);
    assert!(!is_warm(&world), "there is no other");
    world.around("alice", |around| around.servers.push(relay(7)));
    assert!(is_warm(&world), "it does not wait for its time");
}

#[test]
fn a_relay_that_turns_down_whatever_it_has_granted_is_not_asked_all_the_time() {
    let mut world = relayed_where_the_second_refuses();
    for granted in 0..20 {
        world.around("alice", |around| {
            around.servers[1].username = format!("anew {granted}");
        });
        world.run_for(100 * MS);
    }
    assert!((2..=4).contains(&world.relays_failed.len()), "{:?}", world.relays_failed);
    world.refusing.clear();
    world.run_for(20 * SECOND);
    assert!(is_warm(&world));
}

#[test]
fn a_path_by_datagrams_is_not_waited_for_when_it_turns_out_that_none_get_through() {
    for name in NAMES {
        let mut world = pair();
        world.ice = Ice::Silent;
        world.start("alice", "bob");
        world.run_until(5 * SECOND, |w| w.both(CallState::Ringing));
        world.order("bob", Calls::accept).expect("it rings");
        world.run_for(SECOND);
        world.ice = Ice::After(100 * MS);
        world.around(name, |around| {
            around.servers.iter_mut().for_each(|server| server.transport = RelayTransport::Tcp);
        });
        world.run_until(SECOND, |w| w.both(CallState::Talking));
    }
}

#[test]
fn a_relay_that_gives_no_address_is_passed_by_for_another() {
    for policy in [PathPolicy::Any, PathPolicy::RelayOnly] {
        let mut world = pair();
        world.direct = Some(Ice::Never(9 * SECOND));
        world.refusing = vec![relay(9).address];
        world.try_start("alice", "bob", policy).expect("not in a call");
        world.run_until(5 * SECOND, |w| w.both(CallState::Ringing));
        world.order("bob", Calls::accept).expect("it rings");
        world.run_until(5 * SECOND, |w| w.both(CallState::Talking));
        for name in NAMES {
            let view = world.current(name).expect("in a call");
            let relay_used = view.path.and_then(|path| path.relay);
            assert_eq!(relay_used, Some(relay(8).address), "{name} {policy:?}");
        }
        assert!(world.relays_failed.iter().all(|failed| *failed == relay(9).address));
        assert_eq!(world.relays_failed.len(), 2, "each side says it once: {policy:?}");
    }
}
