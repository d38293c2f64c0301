//! Stories of abuse: arbitrary bytes, floods, and using the relay as an amplifier.

use std::time::Duration;

use proptest::prelude::*;

use super::super::{Refusal, STRANGERS_MAX};
use super::*;

/// Bytes that look more or less like what the relay serves.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let raw = prop::collection::vec(any::<u8>(), 0..300);
    let stun = (0u16..0x40, prop::collection::vec(attribute(), 0..8)).prop_map(|(kind, attrs)| {
        let body = attrs.concat();
        let mut bytes = Vec::from(kind.to_be_bytes());
        bytes.extend_from_slice(&(body.len() as u16).to_be_bytes());
        bytes.extend_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
        bytes.extend_from_slice(&[7; 12]);
        bytes.extend_from_slice(&body);
        bytes
    });
    let class = prop_oneof![Just(0u16), Just(0x10), Just(0x100)];
    let stun = (stun, 1u16..10, class).prop_map(|(mut bytes, method, class)| {
        bytes[..2].copy_from_slice(&(method | class).to_be_bytes());
        bytes
    });
    prop_oneof![raw, stun]
}

fn attribute() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        0x0006u16, 0x0008, 0x0009, 0x000c, 0x000d, 0x0012, 0x0013, 0x0014, 0x0015, 0x0017, 0x0018,
        0x0019, 0x001a, 0x001c, 0x001d, 0x0020, 0x0022, 0x8000, 0x8028,
    ]);
    let kind = prop_oneof![4 => known, 1 => any::<u16>()];
    (kind, prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(kind, mut value)| {
        let mut bytes = Vec::from(kind.to_be_bytes());
        bytes.extend_from_slice(&(value.len() as u16).to_be_bytes());
        value.resize(value.len().next_multiple_of(4), 0);
        bytes.extend(value);
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_bytes_of_a_stranger_panic_or_are_amplified_or_make_an_allocation(
        datagrams in prop::collection::vec((0u8..3, bytes()), 1..40),
    ) {
        let mut stage = Stage::new();
        let mut members = stage.client("alice", "203.0.113.0:4000");
        let relayed = stage.allocate(&mut members);
        stage.sent.clear();
        for (host, bytes) in datagrams {
            let from = addr(&format!("203.0.113.{host}:4000"));
            stage.datagram(from, &bytes);
            for answer in stage.sent.drain(..) {
                prop_assert_eq!(answer.to, from);
                prop_assert!(answer.bytes.len() <= 3 * bytes.len());
            }
            stage.peer_sends("203.0.113.77:1", relayed, &bytes);
            prop_assert!(stage.sent.is_empty() && stage.relayed.is_empty());
            prop_assert_eq!(stage.relay.counters().allocations, 1);
            stage.pass(Duration::from_millis(50));
        }
    }
}

#[test]
fn even_the_shortest_question_is_answered_within_three_times_its_length() {
    let mut stage = Stage::new();
    for method in [methods::BINDING, methods::ALLOCATE, methods::REFRESH] {
        for from in ["203.0.113.5:4000", "[2a00::5]:4000"] {
            let question = StunMessageBuilder::new(method, MessageClass::Request).build();
            let question = encode(&question);
            assert_eq!(question.len(), 20);
            stage.datagram(addr(from), &question);
            let answer = stage.sent.pop().unwrap();
            assert!(answer.bytes.len() <= 60, "{method:?}: {}", answer.bytes.len());
        }
    }
    assert_eq!(stage.relay.counters().refused(Refusal::AnswerSize), 0);
}

#[test]
fn a_stranger_is_answered_ten_times_a_second_whatever_its_port() {
    let mut stage = Stage::new();
    let question =
        encode(&StunMessageBuilder::new(methods::BINDING, MessageClass::Request).build());
    for port in 1..=30 {
        stage.datagram(addr(&format!("203.0.113.5:{port}")), &question);
        stage.datagram(addr(&format!("[2a00::{port}]:1")), &question);
    }
    assert_eq!(stage.sent.len(), 20);
    assert_eq!(stage.relay.counters().refused(Refusal::AnswerRate), 40);
    stage.pass(Duration::from_millis(1001));
    stage.datagram(addr("203.0.113.5:1"), &question);
    assert_eq!(stage.sent.len(), 21);
}

#[test]
fn a_member_is_not_limited_like_a_stranger() {
    let mut stage = Stage::new();
    let mut alice = stage.client("alice", "203.0.113.5:4000");
    stage.allocate(&mut alice);
    for _ in 0..50 {
        assert_eq!(code(&stage.ask_once(&mut alice, methods::REFRESH, &[]).unwrap()), None);
    }
}

#[test]
fn a_flood_of_strangers_costs_one_bounded_table() {
    let mut stage = Stage::new();
    let question = encode(
        &StunMessageBuilder::new(methods::ALLOCATE, MessageClass::Request)
            .with_attribute(udp())
            .build(),
    );
    for n in 0..20_000u32 {
        let ip = std::net::Ipv4Addr::from_bits(0x0b00_0000 + n);
        stage.datagram(SocketAddr::new(ip.into(), 4000), &question);
        stage.sent.clear();
    }
    assert_eq!(stage.relay.answers.len(), STRANGERS_MAX);
    assert_eq!(stage.relay.counters().allocations, 0);
    assert_eq!(stage.relay.poll_timeout(), None);
}
