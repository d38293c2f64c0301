//! Calls through the whole stack. DESIGN 2.10; lecture, slide 32.

use std::time::Duration;

use earshot_proto::peer::call::reason::EndReason;
use earshot_proto::peer::call::view::CallState;
use earshot_proto::peer::command::{CallAction, Command, Failure};
use earshot_proto::port::PathKind;
use earshot_proto::super_peer::Counters;
use earshot_proto::wire::directory::Reachability::{self, Natted, Public, Restricted};
use earshot_proto::wire::sealed::call::SignalingCase;
use earshot_tests::sim::{Ice, Nat, PASSWORD, SOON, World, user};

fn buddies(seed: u64) -> World {
    let mut world = World::new(seed).network(2);
    world.person("alice");
    world.person("bob");
    world.befriend("alice", "bob");
    world
}

const fn nat(reachability: Reachability) -> Nat {
    match reachability {
        Public => Nat::Open,
        Natted => Nat::Cone,
        Restricted => Nat::Symmetric,
    }
}

/// Alice at home at the first super-peer, Bob at the second, reachable like this.
fn pair(seed: u64, alice: Reachability, bob: Reachability) -> World {
    let mut world = World::new(seed).network(2);
    for (name, home, reachability) in [("alice", "super-1", alice), ("bob", "super-2", bob)] {
        world.pretending(name, nat(reachability), Some(reachability));
        world.comes_in_at(name, home);
    }
    world.befriend("alice", "bob");
    world.run_for(Duration::from_secs(10));
    world
}

/// What the two super-peers carried during a call.
fn carried(world: &mut World) -> (Counters, Counters) {
    let before = (world.status("super-1").counters, world.status("super-2").counters);
    world.talk("alice", "bob");
    world.in_call("alice", CallAction::HangUp).expect("they talk");
    world.run_until(|w| w.end("bob").is_some(), SOON);
    world.run_for(Duration::from_secs(1));
    let after = (world.status("super-1").counters, world.status("super-2").counters);
    let minus = |a: Counters, b: Counters| Counters {
        through_us: a.through_us - b.through_us,
        from_visitors: a.from_visitors - b.from_visitors,
        to_visitors: a.to_visitors - b.to_visitors,
        from_super_peers: a.from_super_peers - b.from_super_peers,
        ..Counters::default()
    };
    (minus(after.0, before.0), minus(after.1, before.1))
}

fn case(world: &World) -> Option<SignalingCase> {
    world.owner("alice").calls.values().next().and_then(|call| call.signaling)
}

#[test]
fn a_public_callee_is_called_straight() {
    for caller in [Public, Natted] {
        let mut world = pair(140, caller, Public);
        let (one, two) = carried(&mut world);
        assert_eq!((one, two), (Counters::default(), Counters::default()), "nobody carries it");
        assert_eq!(case(&world), Some(SignalingCase::Direct));
    }
}

#[test]
fn a_natted_callee_is_called_through_its_super_peer() {
    for callee in [Natted, Restricted] {
        let mut world = pair(141, Natted, callee);
        let (one, two) = carried(&mut world);
        assert!(two.from_visitors > 0 && two.to_visitors > 0, "{two:?}");
        assert_eq!((one.through_us, two.through_us, two.from_super_peers), (0, 0, 0));
        assert_eq!(case(&world), Some(SignalingCase::CalleeSuperPeer));
    }
}

#[test]
fn a_restricted_caller_calls_through_both_super_peers() {
    for callee in [Public, Natted, Restricted] {
        let mut world = pair(142, Restricted, callee);
        let (one, two) = carried(&mut world);
        assert!(one.through_us > 0 && two.from_super_peers > 0, "{one:?} {two:?}");
        assert!(two.through_us > 0 && one.from_super_peers > 0, "{one:?} {two:?}");
        assert_eq!((two.from_visitors, two.to_visitors), (0, 0));
        assert_eq!(case(&world), Some(SignalingCase::BothSuperPeers));
    }
}

#[test]
fn when_the_straight_way_fails_the_next_case_is_taken() {
    let mut world = pair(143, Natted, Public);
    world.cut("alice", "bob");
    let (_, two) = carried(&mut world);
    assert!(two.from_visitors > 0, "{two:?}");
    assert_eq!(case(&world), Some(SignalingCase::CalleeSuperPeer));
}

#[test]
fn strangers_talk_through_super_peers_and_relays_only() {
    let mut world = World::new(144).network(2);
    world.person_behind("alice", Nat::Open);
    world.person_behind("bob", Nat::Open);
    let before = world.straight_dials();
    world.talk("alice", "bob");
    assert_eq!(world.straight_dials(), before);
    let path = world.current_call("alice").and_then(|call| call.path).expect("they talk");
    assert_eq!(path.kind, PathKind::RelayUdp);
}

#[test]
fn two_symmetric_nats_talk_through_a_relay() {
    let mut world = World::new(145).network(2);
    world.person_behind("alice", Nat::Symmetric);
    world.person_behind("bob", Nat::Symmetric);
    world.befriend("alice", "bob");
    world.talk("alice", "bob");
    let path = world.current_call("bob").and_then(|call| call.path).expect("they talk");
    assert_eq!(path.kind, PathKind::RelayUdp);
    assert!(path.relay.is_some());
}

#[test]
fn a_call_is_held_muted_and_taken_up_again() {
    let mut world = buddies(146);
    world.talk("alice", "bob");
    world.in_call("alice", CallAction::Hold).expect("they talk");
    world.run_until(|w| w.call_is("bob", CallState::Held), SOON);
    world.in_call("alice", CallAction::Resume).expect("it is held");
    world.run_until(|w| w.talking("alice", "bob"), SOON);
    world.in_call("bob", CallAction::Mute).expect("they talk");
    world.in_call("bob", CallAction::Unmute).expect("they talk");
    let orders: Vec<&str> = world.owner("bob").voice.iter().map(|(_, o)| o.as_str()).collect();
    assert_eq!(orders.iter().filter(|order| **order == "Mute").count(), 1, "{orders:?}");
    assert_eq!(orders.iter().filter(|order| **order == "Unmute").count(), 1, "{orders:?}");
    assert_eq!(orders.first(), Some(&"Prepare"), "{orders:?}");
    world.in_call("bob", CallAction::HangUp).expect("they talk");
    world.run_until(|w| w.end("alice") == Some(EndReason::HungUp), SOON);
    assert_eq!(world.end("bob"), Some(EndReason::HungUp));
    assert_eq!(world.owner("bob").voice.last().map(|(_, o)| o.as_str()), Some("Stop"));
}

#[test]
fn a_call_that_is_not_wanted_is_declined() {
    let mut world = buddies(147);
    world.call("alice", "bob");
    world.run_until(|w| w.call_is("bob", CallState::Ringing), SOON);
    world.in_call("bob", CallAction::Decline).expect("it rings");
    world.run_until(|w| w.end("alice") == Some(EndReason::Declined), SOON);
}

#[test]
fn a_caller_who_gives_up_is_told_to_the_callee() {
    let mut world = buddies(148);
    world.call("alice", "bob");
    world.run_until(|w| w.call_is("bob", CallState::Ringing), SOON);
    world.in_call("alice", CallAction::HangUp).expect("it rings");
    world.run_until(|w| w.end("bob") == Some(EndReason::Cancelled), SOON);
    assert_eq!(world.end("alice"), Some(EndReason::Cancelled));
}

#[test]
fn nobody_rings_for_ever() {
    let mut world = buddies(149);
    world.call("alice", "bob");
    world.run_until(|w| w.end("alice") == Some(EndReason::NoAnswer), Duration::from_secs(60));
    world.run_until(|w| w.end("bob") == Some(EndReason::NoAnswer), SOON);
}

#[test]
fn who_talks_already_is_busy() {
    let mut world = buddies(150);
    world.person("carol");
    world.befriend("carol", "bob");
    world.talk("alice", "bob");
    world.call("carol", "bob");
    world.run_until(|w| w.end("carol") == Some(EndReason::Busy), SOON);
    assert!(world.talking("alice", "bob"));
    let second = Command::Call { to: user("carol"), path: earshot_proto::port::PathPolicy::Any };
    assert!(matches!(world.ask("bob", second), Err(Failure::InCall(_))));
}

#[test]
fn a_name_that_nobody_has_is_not_found() {
    let mut world = buddies(151);
    world.call("alice", "nobody");
    world.run_until(|w| w.end("alice") == Some(EndReason::NotFound), SOON);
}

#[test]
fn who_is_away_is_offline() {
    let mut world = buddies(152);
    world.crash("bob");
    world.run_until(|w| !w.sees_online("alice", "bob"), SOON);
    world.call("alice", "bob");
    world.run_until(|w| w.end("alice") == Some(EndReason::Offline), SOON);
}

#[test]
fn whom_we_block_we_do_not_call() {
    let mut world = buddies(153);
    world.ask("alice", Command::Block(user("bob"))).expect("always possible");
    world.call("alice", "bob");
    world.run_until(|w| w.end("alice") == Some(EndReason::Blocked), SOON);
}

#[test]
fn a_block_ends_the_call_under_way_and_says_nothing_of_itself() {
    let mut world = buddies(154);
    world.talk("alice", "bob");
    world.ask("alice", Command::Block(user("bob"))).expect("always possible");
    world.run_until(|w| w.end("bob").is_some(), SOON);
    assert_eq!(world.end("alice"), Some(EndReason::Blocked));
    assert_eq!(world.end("bob"), Some(EndReason::HungUp));
}

#[test]
fn who_is_a_buddy_no_more_rings_as_a_stranger() {
    let mut world = buddies(155);
    world.ask("bob", Command::Block(user("alice"))).expect("always possible");
    world.ask("bob", Command::Unblock(user("alice"))).expect("alice is blocked");
    world.run_for(Duration::from_secs(2));
    world.call("alice", "bob");
    world.run_until(|w| w.call_is("bob", CallState::Ringing), SOON);
    let dials = world.straight_dials();
    world.in_call("bob", CallAction::Accept).expect("it rings");
    world.run_until(|w| w.talking("alice", "bob"), SOON);
    assert_eq!(world.straight_dials(), dials);
    let path = world.current_call("bob").and_then(|call| call.path).expect("they talk");
    assert_eq!(path.kind, PathKind::RelayUdp, "a stranger learns no address");
}

#[test]
fn a_call_without_a_path_ends_and_says_so() {
    for ice in [Ice::NoPair, Ice::Silent, Ice::Unavailable] {
        let mut world = buddies(156);
        world.set_ice(ice);
        world.call("alice", "bob");
        world.run_until(|w| w.call_is("bob", CallState::Ringing), SOON);
        world.in_call("bob", CallAction::Accept).expect("it rings");
        world.run_until(|w| w.end("alice").is_some() && w.end("bob").is_some(), SOON * 2);
        assert_eq!(world.end("alice"), Some(EndReason::NoPath), "{ice:?}");
        assert_eq!(world.end("bob"), Some(EndReason::NoPath), "{ice:?}");
    }
}

#[test]
fn a_path_that_goes_silent_is_replaced_and_the_call_goes_on() {
    let mut world = buddies(157);
    world.talk("alice", "bob");
    for _ in 0..3 {
        world.run_for(Duration::from_secs(5));
        world.cut_paths("alice");
    }
    world.run_for(Duration::from_secs(10));
    assert!(world.talking("alice", "bob"));
    assert!(!world.is_interrupted("alice") && !world.is_interrupted("bob"));
}

#[test]
fn a_relay_that_dies_does_not_take_the_call_with_it() {
    for die in [World::crash, World::vanish] {
        let mut world = World::new(162).network(3);
        world.person_behind("alice", Nat::Symmetric);
        world.person_behind("bob", Nat::Symmetric);
        world.befriend("alice", "bob");
        world.run_for(Duration::from_secs(10));
        world.talk("alice", "bob");
        world.run_for(Duration::from_secs(3));
        let relay = world.relay_of("alice").expect("two symmetric NATs need one");
        die(&mut world, &relay);
        world.run_for(Duration::from_secs(2));
        assert!(!world.is_interrupted("alice") && !world.is_interrupted("bob"));
        assert_ne!(world.relay_of("alice"), Some(relay));
        world.run_for(Duration::from_secs(60));
        assert!(world.talking("alice", "bob"));
    }
}

#[test]
fn a_call_goes_through_the_relay_that_is_near() {
    for nearest in ["super-3", "super-4"] {
        let mut world = World::new(164).network(4);
        for far in ["super-1", "super-2", "super-3", "super-4"] {
            let ms = if far == nearest { 2 } else { 80 };
            world.set_lag(far, Duration::from_millis(ms));
        }
        world.person_behind("alice", Nat::Symmetric);
        world.person_behind("bob", Nat::Symmetric);
        world.befriend("alice", "bob");
        world.run_for(Duration::from_secs(10));
        world.talk("alice", "bob");
        world.run_for(Duration::from_secs(5));
        assert_eq!(world.relay_of("alice").as_deref(), Some(nearest));
    }
}

#[test]
fn who_cannot_send_datagrams_talks_through_a_relay_over_tcp() {
    let mut world = World::new(163).network(2);
    world.person_behind("alice", Nat::UdpBlocked);
    world.person_behind("bob", Nat::Cone);
    world.befriend("alice", "bob");
    world.run_for(Duration::from_secs(10));
    world.talk("alice", "bob");
    world.run_for(Duration::from_secs(30));
    assert!(world.talking("alice", "bob"));
    let path = world.current_call("alice").and_then(|call| call.path).expect("they talk");
    assert_eq!(path.kind, PathKind::RelayTcp);
}

#[test]
fn a_path_that_is_lost_and_cannot_be_made_again_ends_the_call() {
    let mut world = buddies(157);
    world.talk("alice", "bob");
    world.set_ice(Ice::NoPair);
    world.cut_paths("alice");
    let over = |w: &World| w.end("alice").is_some() && w.end("bob").is_some();
    world.run_until(over, Duration::from_secs(60));
    assert_eq!(world.end("alice"), Some(EndReason::PathLost));
    assert_eq!(world.end("bob"), Some(EndReason::PathLost));
}

#[test]
fn whoever_dies_in_a_call_is_missed() {
    for die in [World::crash, World::vanish] {
        let mut world = buddies(158);
        world.talk("alice", "bob");
        die(&mut world, "bob");
        let vanished = |w: &World| w.end("alice") == Some(EndReason::PeerVanished);
        world.run_until(vanished, Duration::from_secs(60));
    }
}

#[test]
fn a_caller_who_loses_every_super_peer_loses_the_call_that_is_not_made_yet() {
    let mut world = buddies(159);
    world.crash("bob");
    world.crash("super-1");
    world.crash("super-2");
    world.run_for(Duration::from_secs(1));
    world.call("alice", "bob");
    world.run_until(|w| w.end("alice").is_some(), Duration::from_secs(60));
    assert_eq!(world.end("alice"), Some(EndReason::SignalingLost));
}

#[test]
fn a_call_under_way_survives_the_death_of_the_home() {
    let mut world = buddies(160);
    world.talk("alice", "bob");
    let home = world.home("alice");
    world.crash(&home);
    world.run_for(Duration::from_secs(60));
    assert!(world.talking("alice", "bob"));
    world.in_call("bob", CallAction::HangUp).expect("they talk");
    world.run_until(|w| w.end("alice") == Some(EndReason::HungUp), SOON);
}

#[test]
fn two_who_lose_their_home_and_every_path_at_once_find_each_other_at_other_homes() {
    for seed in 165..185 {
        let mut world = World::new(seed).network(3);
        for name in ["alice", "bob"] {
            world.pretending(name, Nat::Symmetric, None);
            world.comes_in_at(name, "super-1");
        }
        world.befriend("alice", "bob");
        world.run_for(Duration::from_secs(10));
        world.talk("alice", "bob");
        world.run_for(Duration::from_secs(3));
        world.cut("alice", "super-2");
        world.cut("bob", "super-3");
        world.crash("super-1");
        world.cut_paths("alice");
        let is_interrupted = |w: &World| w.is_interrupted("alice") || w.is_interrupted("bob");
        world.run_until(is_interrupted, Duration::from_secs(2));
        let took = world.run_until(|w| !is_interrupted(w), SOON);
        assert!(took < Duration::from_secs(2), "seed {seed}: {took:?}");
        world.run_for(Duration::from_secs(30));
        assert!(world.talking("alice", "bob"));
    }
}

#[test]
fn without_sound_there_is_no_call() {
    let mut world = buddies(161);
    world.talk("alice", "bob");
    world.voice_fails("bob");
    world.run_until(|w| w.end("alice") == Some(EndReason::AudioFailed), SOON);
    assert_eq!(world.end("bob"), Some(EndReason::AudioFailed));
}

#[test]
fn the_first_device_that_answers_has_the_call() {
    let mut world = buddies(162);
    world.device("tablet", Nat::Cone);
    world.join("tablet");
    world.log_in("tablet", "bob", PASSWORD).expect("name and password are enough");
    world.settles("tablet");
    world.run_until(|w| w.sees_online("tablet", "alice"), SOON);
    world.run_for(Duration::from_secs(2));
    world.call("alice", "bob");
    let both = |w: &World| ["bob", "tablet"].iter().all(|at| w.call_is(at, CallState::Ringing));
    world.run_until(both, SOON);
    world.in_call("tablet", CallAction::Accept).expect("it rings");
    world.run_until(|w| w.talking("alice", "tablet"), SOON);
    world.run_until(|w| w.end("bob") == Some(EndReason::AnsweredElsewhere), SOON);
}

#[test]
fn two_who_call_each_other_at_once_talk() {
    for seed in 163..168 {
        let mut world = buddies(seed);
        let call = |to| Command::Call { to: user(to), path: earshot_proto::port::PathPolicy::Any };
        world.command("alice", call("bob"));
        world.command("bob", call("alice"));
        world.run_until(|w| w.talking("alice", "bob"), SOON);
        let (alice, bob) = (world.current_call("alice"), world.current_call("bob"));
        assert_eq!(alice.map(|call| call.id), bob.map(|call| call.id));
    }
}

#[test]
fn another_identity_key_is_not_called() {
    let mut world = buddies(168);
    world.crash("bob");
    world.forget_account("bob");
    world.device("impostor", Nat::Cone);
    world.join("impostor");
    world.register("impostor", "bob", PASSWORD).expect("the authority betrays bob");
    world.settles("impostor");
    world.request("impostor", "alice", "It is me, bob!");
    world.run_until(|w| w.peer("alice").buddies().any(|buddy| buddy.key_changed), SOON);
    world.call("alice", "bob");
    world.run_until(|w| w.end("alice") == Some(EndReason::KeysRefused), SOON);
    assert_eq!(world.owner("impostor").calls.len(), 0);
}
