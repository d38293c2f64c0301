//! Signals that no honest peer sends, or that come at the wrong time, change nothing and leave
//! nothing behind.

use super::super::reason::{By, EndReason};
use super::super::signaling::SignalingCase::BothSuperPeers;
use super::super::view::CallState;
use super::super::{Calls, Sender, Standing};
use super::world::{SECOND, World};
use crate::ids::{CallId, DeviceId};
use crate::wire::bounded::{List, Text};
use crate::wire::certificate::{AgreeKey, VerifyKey};
use crate::wire::directory::Reachability::Natted;
use crate::wire::forward::Address;
use crate::wire::sealed::call::{IceCredentials, PathPurpose, Signal, SignalBody, SignalledEnd};

fn mallory(world: &World) -> Sender {
    Sender {
        // Mallory certifies as herself; here she even has Alice's device id.
        address: Address {
            user: super::world::user("mallory"),
            device: world.device("alice").address.device,
        },
        identity: VerifyKey([66; 32]),
        agree: AgreeKey([66; 32]),
        standing: Standing::Stranger,
    }
}

fn every_body() -> Vec<SignalBody> {
    let contribution = AgreeKey([9; 32]);
    let credentials = IceCredentials { ufrag: Text::default(), password: Text::default() };
    vec![
        SignalBody::Ringing { contribution },
        SignalBody::Ice { credentials, path: 0, purpose: PathPurpose::Main },
        SignalBody::Candidates { candidates: List::default(), path: 0 },
        SignalBody::Accept,
        SignalBody::Heard,
        SignalBody::End { reason: SignalledEnd::HungUp },
        SignalBody::Hold,
        SignalBody::Resume,
        SignalBody::Moved { home: super::world::home(9) },
        SignalBody::Probe,
    ]
}

#[test]
fn nobody_but_the_two_parties_can_touch_a_call() {
    let mut world = World::pair(Natted, Natted);
    let call = world.start("alice", "bob");
    world.run_for(2 * SECOND);
    world.order("bob", Calls::accept).expect("it rings");
    world.run_for(2 * SECOND);
    let from = mallory(&world);
    let mut impostor = from.clone();
    impostor.address = world.device("alice").address.clone();
    let before = world.device("bob").ever.len();
    for from in [from, impostor] {
        for (number, body) in every_body().into_iter().enumerate() {
            let number = number as u32 + 1;
            let heard = u32::MAX;
            let signal = Signal { call, number, heard, case: BothSuperPeers, body };
            let now = world.now;
            let at = world.at("bob");
            world.devices[at].calls.handle_signal(now, &from, &signal);
        }
    }
    assert_eq!(world.device("bob").ever.len(), before);
    assert_eq!(world.state("bob"), Some(CallState::Talking));
    world.run_for(60 * SECOND);
    assert!(world.both(CallState::Talking));
}

#[test]
fn signals_of_no_call_leave_nothing_behind() {
    let mut world = World::pair(Natted, Natted);
    let from = mallory(&world);
    let at = world.at("bob");
    for n in 0..1_000u32 {
        let call = CallId([(n % 251) as u8; 16]);
        for body in every_body() {
            let signal = Signal { call, number: n % 3 + 1, heard: n, case: BothSuperPeers, body };
            let now = world.now;
            world.devices[at].calls.handle_signal(now, &from, &signal);
        }
    }
    let calls = &mut world.devices[at].calls;
    assert!(calls.poll_output().is_none(), "through both super-peers there is no way back");
    assert_eq!(calls.poll_timeout(), None);
    assert_eq!(calls.farewells.len(), 0);
}

#[test]
fn an_answer_without_a_ring_connects_nothing() {
    let mut world = World::pair(Natted, Natted);
    world.loss_pct = 100;
    let call = world.start("alice", "bob");
    world.run_for(SECOND / 4);
    let bob = world.sender("bob");
    for (number, body) in [(1, SignalBody::Accept), (2, SignalBody::Hold)] {
        let signal = Signal { call, number, heard: 1, case: BothSuperPeers, body };
        world.tell("alice", |calls, now| calls.handle_signal(now, &bob, &signal));
    }
    assert_eq!(world.state("alice"), Some(CallState::Locating));
    world.run_for(60 * SECOND);
    assert_eq!(world.ended("alice", call), Some((EndReason::Offline, By::Network)));
    assert!(world.device("alice").voices.is_empty());
}

#[test]
fn offers_with_the_numbers_of_thousand_devices_are_refused_one_by_one() {
    let mut world = World::pair(Natted, Natted);
    let busy = world.start("alice", "bob");
    world.run_for(2 * SECOND);
    let at = world.at("bob");
    for n in 0..1_000u32 {
        let mut from = mallory(&world);
        from.address.device = DeviceId([(n % 251) as u8; 16]);
        let body = SignalBody::Offer {
            contribution: AgreeKey([9; 32]),
            home: Some(super::world::home(9)),
            relay_only: false,
        };
        let mut call = [7; 16];
        call[..4].copy_from_slice(&n.to_be_bytes());
        let (call, case) = (CallId(call), BothSuperPeers);
        let signal = Signal { call, number: 1, heard: 0, case, body };
        let now = world.now;
        let calls = &mut world.devices[at].calls;
        calls.handle_signal(now, &from, &signal);
        while calls.poll_output().is_some() {}
    }
    let calls = &world.devices[at].calls;
    assert_eq!(calls.farewells.len(), super::super::farewell::REMEMBERED_MAX);
    assert_eq!(calls.current().map(|view| view.id), Some(busy));
}
