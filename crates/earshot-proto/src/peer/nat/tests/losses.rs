//! Whatever is lost, no verdict is wrong.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use proptest::prelude::*;

use super::super::verdict::{Filtering, Mapping};
use super::model::{Nat, World, held, nat, start};
use crate::stun_server::Packet;

fn any_nat() -> impl Strategy<Value = Nat> {
    (0usize..4, 0usize..3).prop_map(|(mapping, filtering)| match mapping {
        3 => Nat { mapping: None, ..nat(0, filtering) },
        mapping => nat(mapping, filtering),
    })
}

fn world_of(nat: Nat) -> World {
    let inner = if nat.mapping.is_some() { "192.168.1.2:37373" } else { "203.0.113.7:37373" };
    World::at(nat, [inner, "203.0.113.7"], ["198.51.100.1", "198.51.100.2"])
}

/// A number below a thousand, from these.
fn draw(seed: u64, of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, of).hash(&mut hasher);
    hasher.finish() % 1000
}

/// Datagrams are lost by chance, `permille` of them; but of each question one of the first three
/// tries, and what answers it, gets through.
fn sparing(seed: u64, permille: u64) -> impl FnMut(&Packet) -> bool {
    let mut tries: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    move |packet| {
        let transaction = packet.bytes[8..20].to_vec();
        let number = tries.len() as u64;
        let is_question = packet.bytes[0] == 0;
        let times = tries.entry(transaction).or_insert(0);
        *times += u64::from(is_question);
        let is_spared = *times == 1 + draw(seed, &packet.bytes[8..20]) % 3;
        !is_spared && draw(seed, (number, *times, is_question, packet.from)) < permille
    }
}

/// The lower lets in more.
const fn strictness(filtering: Filtering) -> u8 {
    match filtering {
        Filtering::EndpointIndependent => 0,
        Filtering::AddressDependent => 1,
        Filtering::AddressAndPortDependent => 2,
    }
}

proptest! {
    #[test]
    fn as_long_as_of_each_question_one_try_gets_through_no_verdict_is_wrong(
        nat in any_nat(),
        seed: u64,
        permille in 0u64..1000,
    ) {
        let mut world = world_of(nat).losing(sparing(seed, permille));
        let (found, truth) = (held(&world.arrive()), world.truth());
        prop_assert_eq!(found.translation, truth.translation);
        prop_assert_eq!(found.mapping, truth.mapping);
        prop_assert!(found.filtering.is_none() || found.filtering == truth.filtering);
    }

    #[test]
    fn whatever_is_lost_mapping_is_right_and_nothing_seems_more_open_than_it_is(
        nat in any_nat(),
        seed: u64,
        permille in 0u64..1000,
    ) {
        let mut number = 0u64;
        let mut world = world_of(nat).losing(move |_| {
            number += 1;
            draw(seed, number) < permille
        });
        for _ in 0..3 {
            let (found, truth) = (held(&world.arrive()), world.truth());
            prop_assert!(found.translation.is_none() || found.translation == truth.translation);
            prop_assert!(found.mapping.is_none() || found.mapping == truth.mapping);
            if let (Some(found), Some(truth)) = (found.filtering, truth.filtering) {
                prop_assert!(strictness(found) >= strictness(truth));
            }
        }
    }

    #[test]
    fn no_outage_is_taken_for_a_filter(
        nat in any_nat(),
        outages in prop::collection::vec(
            (prop_oneof![20u64..100, 0u64..30_000], 0u64..20_000),
            0..4,
        ),
        only_inwards: bool,
    ) {
        let mut world = world_of(nat).losing(move |packet| {
            let at = packet.at.duration_since(start()).as_millis() as u64;
            let is_inwards = packet.bytes[0] != 0;
            (is_inwards || !only_inwards)
                && outages.iter().any(|(from, long)| (*from..from + long).contains(&at))
        });
        let (found, truth) = (held(&world.arrive()), world.truth());
        prop_assert!(found.mapping.is_none() || found.mapping == truth.mapping);
        prop_assert!(found.filtering.is_none() || found.filtering == truth.filtering);
    }
}

#[test]
fn most_of_what_ordinary_loss_leaves_is_found_out() {
    // One datagram in twenty is lost.
    let (mut known, mut wrong) = (0, 0);
    for seed in 0..200u64 {
        let mut number = 0u64;
        let kind = nat(seed as usize % 3, (seed as usize / 3) % 3);
        let mut world = world_of(kind).losing(move |_| {
            number += 1;
            draw(seed, number) < 50
        });
        let (found, truth) = (held(&world.arrive()), world.truth());
        known += u32::from(found.filtering.is_some() && found.mapping.is_some());
        wrong += u32::from(found.filtering.is_some() && found.filtering != truth.filtering);
        let is_wrong = |found: Option<Mapping>| found.is_some() && found != truth.mapping;
        wrong += u32::from(is_wrong(found.mapping));
    }
    assert_eq!(wrong, 0);
    assert!(known >= 190, "{known}");
}
