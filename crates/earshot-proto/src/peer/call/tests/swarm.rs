//! Random days: whatever people, networks and machines do, calls end, both sides agree, and nothing
//! is left.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::super::Calls;
use super::super::reason::{By, End, EndReason};
use super::super::view::CallState;
use super::world::{Ice, MS, SECOND, World, home};
use crate::ids::CallId;
use crate::port::PathPolicy;
use crate::wire::directory::Reachability::{self, Natted, Public, Restricted};

const DEVICES: [&str; 4] = ["alice", "bob", "bob/phone", "carol"];
const USERS: [&str; 3] = ["alice", "bob", "carol"];

/// One thing that somebody or something does.
#[derive(Clone, Debug)]
enum Deed {
    Start { who: usize, whom: usize, relayed: bool },
    Accept(usize),
    Decline(usize),
    HangUp(usize),
    Hold(usize),
    Resume(usize),
    Mute(usize),
    AudioFails(usize),
    CutPaths(usize),
    Crash(usize),
    Restart(usize),
    KillHome(u8),
    Rehome(usize, u8),
    FalseAlarm(usize, usize),
    Wait(u64),
}

fn deed() -> impl Strategy<Value = Deed> {
    let who = 0..DEVICES.len();
    prop_oneof![
        6 => (who.clone(), 0..USERS.len(), any::<bool>())
            .prop_map(|(who, whom, relayed)| Deed::Start { who, whom, relayed }),
        6 => who.clone().prop_map(Deed::Accept),
        2 => who.clone().prop_map(Deed::Decline),
        3 => who.clone().prop_map(Deed::HangUp),
        2 => who.clone().prop_map(Deed::Hold),
        2 => who.clone().prop_map(Deed::Resume),
        1 => who.clone().prop_map(Deed::Mute),
        1 => who.clone().prop_map(Deed::AudioFails),
        1 => who.clone().prop_map(Deed::CutPaths),
        1 => (1u8..5).prop_map(Deed::KillHome),
        1 => (who.clone(), 1u8..9).prop_map(|(who, at)| Deed::Rehome(who, at)),
        1 => (who.clone(), who).prop_map(|(who, whom)| Deed::FalseAlarm(who, whom)),
        12 => prop_oneof![0u64..200, 0u64..5_000, 0u64..30_000].prop_map(Deed::Wait),
    ]
}

fn deed_or_crash() -> impl Strategy<Value = Deed> {
    let who = 0..DEVICES.len();
    prop_oneof![
        18 => deed(),
        1 => who.clone().prop_map(Deed::Crash),
        1 => who.prop_map(Deed::Restart),
    ]
}

fn reachability() -> impl Strategy<Value = Reachability> {
    prop_oneof![Just(Public), Just(Natted), Just(Restricted)]
}

fn ice() -> impl Strategy<Value = Ice> {
    prop_oneof![
        4 => (0u32..4_000).prop_map(|ms| Ice::After(ms * MS)),
        1 => (0u32..9_000).prop_map(|ms| Ice::Never(ms * MS)),
        1 => Just(Ice::Silent),
    ]
}

fn act(world: &mut World, deed: &Deed) {
    let order = |world: &mut World, who: usize, order| {
        // What means nothing now is refused, and that is as good.
        let _refused_or_not = world.order(DEVICES[who], order);
    };
    match deed {
        Deed::Start { who, whom, relayed } => {
            let path = if *relayed { PathPolicy::RelayOnly } else { PathPolicy::Any };
            let _refused_or_not = world.try_start(DEVICES[*who], USERS[*whom], path);
        }
        Deed::Accept(who) => order(world, *who, Calls::accept),
        Deed::Decline(who) => order(world, *who, Calls::decline),
        Deed::HangUp(who) => order(world, *who, Calls::hang_up),
        Deed::Hold(who) => order(world, *who, Calls::hold),
        Deed::Resume(who) => order(world, *who, Calls::resume),
        Deed::Mute(who) => order(world, *who, Calls::mute),
        Deed::AudioFails(who) => {
            if world.current(DEVICES[*who]).is_some() {
                world.audio_fails(DEVICES[*who]);
            }
        }
        Deed::CutPaths(who) => world.cut_paths(DEVICES[*who]),
        Deed::Crash(who) => world.crash(DEVICES[*who]),
        Deed::Restart(who) => {
            if !world.is_alive(DEVICES[*who]) {
                world.restart(DEVICES[*who]);
            }
        }
        Deed::KillHome(number) => world.kill_home(*number),
        Deed::Rehome(who, at) => {
            world.around(DEVICES[*who], |around| around.home = Some(home(*at)));
        }
        Deed::FalseAlarm(who, whom) => {
            let whom = world.device(DEVICES[*whom]).address.clone();
            world.tell(DEVICES[*who], |calls, now| calls.handle_gone(now, &whom));
        }
        Deed::Wait(ms) => world.run_for(Duration::from_millis(*ms)),
    }
}

/// Every end that any device saw of each call.
fn ends(world: &World) -> BTreeMap<CallId, Vec<(&'static str, End)>> {
    let mut ends: BTreeMap<CallId, Vec<_>> = BTreeMap::new();
    for device in &world.devices {
        for entry in &device.log {
            ends.entry(entry.call).or_default().push((device.name, entry.end.clone()));
        }
    }
    ends
}

/// What "they did it" at one side must be "I did it" at another device.
fn assert_agreement(world: &World) {
    for (call, seen) in ends(world) {
        for (name, end) in &seen {
            let by_a_person = match end.reason {
                EndReason::HungUp
                | EndReason::Declined
                | EndReason::Busy
                | EndReason::AudioFailed
                | EndReason::KeysRefused => end.by == By::Them,
                EndReason::NoAnswer
                | EndReason::Cancelled
                | EndReason::NotFound
                | EndReason::Offline
                | EndReason::Blocked
                | EndReason::NotBuddy
                | EndReason::NoPath
                | EndReason::PathLost
                | EndReason::PeerVanished
                | EndReason::SignalingLost
                | EndReason::AnsweredElsewhere
                | EndReason::Internal => false,
            };
            let done = seen.iter().any(|(other, theirs)| {
                other != name && theirs.by == By::Me && theirs.reason == end.reason
            });
            assert!(!by_a_person || done, "{call:?} at {name}: {end:?}, but {seen:?}");
        }
    }
}

/// Nobody is in a call alone: who talks, talks with somebody who talks with them.
fn assert_no_zombies(world: &World) {
    for device in world.devices.iter().filter(|d| world.is_alive(d.name)) {
        let Some(view) = device.calls.current() else { continue };
        let talks = |state| matches!(state, CallState::Talking | CallState::Held);
        assert!(talks(view.state), "{} is still in {view:?}", device.name);
        let partner = world.devices.iter().find(|d| Some(d.address.device) == view.device);
        let theirs = partner.and_then(|d| d.calls.current()).expect("the partner is in a call");
        assert_eq!(theirs.id, view.id);
        assert!(talks(theirs.state));
        assert_eq!(view.held_by.me, theirs.held_by.them);
        assert_eq!(view.held_by.them, theirs.held_by.me);
    }
}

fn day(
    seed: [u8; 32],
    places: [Reachability; 4],
    weather: (u64, u64, u32),
    ice: Ice,
    deeds: &[Deed],
) -> World {
    let mut world = World::new(seed);
    for (n, name) in DEVICES.into_iter().enumerate() {
        world = world.with(name, places[n], n as u8 + 1);
    }
    let (loss, doubled, slow) = weather;
    world.loss_pct = loss;
    world.doubled_pct = doubled;
    world.latency = (MS, (1 + slow) * MS);
    world.ice = ice;
    deeds.iter().for_each(|deed| act(&mut world, deed));
    world.heal_homes();
    world.loss_pct = 0;
    world.run_for(180 * SECOND);
    assert_no_zombies(&world);
    for name in DEVICES {
        if world.current(name).is_some() {
            world.order(name, Calls::hang_up).expect("in a call");
        }
    }
    world.run_for(60 * SECOND);
    world.assert_quiet();
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_random_day_without_crashes_ends_in_silence_and_agreement(
        seed in any::<[u8; 32]>(),
        places in prop::array::uniform4(reachability()),
        weather in (0u64..30, 0u64..30, 0u32..400),
        ice in ice(),
        deeds in prop::collection::vec(deed(), 1..60),
    ) {
        assert_agreement(&day(seed, places, weather, ice, &deeds));
    }

    #[test]
    fn a_random_day_with_crashes_ends_in_silence(
        seed in any::<[u8; 32]>(),
        places in prop::array::uniform4(reachability()),
        weather in (0u64..30, 0u64..30, 0u32..400),
        ice in ice(),
        deeds in prop::collection::vec(deed_or_crash(), 1..60),
    ) {
        day(seed, places, weather, ice, &deeds);
    }
}

#[test]
fn the_same_seed_tells_the_same_day() {
    let deeds: Vec<Deed> = (0..40)
        .map(|n| match n % 4 {
            0 => Deed::Start { who: n % 3, whom: (n + 1) % 3, relayed: n % 5 == 0 },
            1 => Deed::Accept((n + 1) % 4),
            2 => Deed::Wait(300 * n as u64),
            _ => Deed::HangUp(n % 4),
        })
        .collect();
    let tell = || {
        let world = day([7; 32], [Natted; 4], (10, 10, 200), Ice::After(50 * MS), &deeds);
        let said: Vec<_> =
            world.said.iter().map(|(name, signal)| (*name, signal.clone())).collect();
        (said, ends(&world))
    };
    assert_eq!(tell(), tell());
}
