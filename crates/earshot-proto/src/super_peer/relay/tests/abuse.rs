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

/// Addresses that lead to this machine, its owner's networks or nowhere, in every spelling.
const FORBIDDEN: [&str; 20] = [
    "127.0.0.1:9",
    "0.0.0.0:9",
    "10.0.0.1:9",
    "192.168.1.1:9",
    "169.254.169.254:80",
    "224.0.0.1:9",
    "255.255.255.255:9",
    "100.64.0.1:9",
    "[::1]:9",
    "[::]:9",
    "[fe80::1]:9",
    "[fd00::1]:9",
    "[ff02::1]:9",
    "[::ffff:127.0.0.1]:9",
    "[::127.0.0.1]:9",
    "[2002:7f00:1::1]:9",
    "[64:ff9b::127.0.0.1]:9",
    "[64:ff9b:1::127.0.0.1]:9",
    "[2001:0:7f00:1::]:9",
    "[2a00:77::5]:9",
];

#[test]
fn no_byte_goes_to_a_forbidden_address_however_it_is_asked_for() {
    use stun_rs::attributes::turn::{ChannelNumber, RequestedAddressFamily};
    let mut stage = Stage::with(|config| config.own.push("2a00:77::/64".parse().unwrap()));
    let mut four = stage.client("alice", "203.0.113.5:4000");
    stage.allocate(&mut four);
    let mut six = stage.client("alice", "203.0.113.5:4001");
    let ipv6 = RequestedAddressFamily::new(stun_rs::AddressFamily::IPv6).into();
    let made = stage.ask(&mut six, methods::ALLOCATE, &[udp(), ipv6]);
    assert_eq!(code(&made), None);
    for peer in FORBIDDEN {
        for client in [&mut four, &mut six] {
            assert!(matches!(stage.permit(client, &[peer]), Some(403 | 443)), "{peer}");
            let wanted = XorPeerAddress::from(addr(peer));
            let attributes = [ChannelNumber::new(0x4001).into(), wanted.into()];
            let bound = stage.ask(client, methods::CHANNEL_BIND, &attributes);
            assert!(matches!(code(&bound), Some(403 | 443)), "{peer}");
            let check = check(MessageClass::Request, Some("bob:alice"), 1);
            let from = client.address;
            for bytes in [
                send_indication(peer, b"data"),
                send_indication(peer, &check),
                channel_data(0x4001, &check),
            ] {
                stage.datagram(from, &bytes);
            }
        }
    }
    assert!(stage.relayed.is_empty(), "{:?}", stage.relayed);
}

#[test]
fn a_relay_carries_what_its_owner_allows_and_five_percent_more_at_no_time() {
    const CAP: u64 = 100_000;
    const BYTES: usize = 500;
    const SECONDS: u64 = 60;
    let mut stage = Stage::with(|config| {
        config.allow = vec!["127.0.0.0/8".parse().unwrap()];
        config.limits.total_bytes_per_second = CAP;
    });
    let mut senders = Vec::new();
    for host in 1..=4 {
        let mut client = stage.client(&format!("user{host}"), &format!("203.0.113.{host}:4000"));
        let relayed = stage.allocate(&mut client);
        stage.permit(&mut client, &["127.0.0.1:9"]);
        senders.push((client, relayed));
    }
    // Twice as much as may be carried, both ways, in steps that fit nothing evenly.
    let mut carried = Vec::new();
    for _ in 0..SECONDS * 1000 / 7 {
        for (client, relayed) in &senders {
            let bytes = [0x80; BYTES];
            stage.datagram(client.address, &send_indication("127.0.0.1:9", &bytes));
            stage.peer_sends("127.0.0.1:9", *relayed, &bytes);
        }
        carried.push(BYTES * (stage.relayed.len() + stage.sent.len()));
        stage.relayed.clear();
        stage.sent.clear();
        stage.pass(Duration::from_millis(7));
    }
    // What a second holds at once is spent in the first; from then on it is the rate alone.
    let settled: usize = carried[carried.len() / 6..].iter().sum();
    let time = 7.0 * (carried.len() - carried.len() / 6) as f64 / 1000.0;
    let share = settled as f64 / time / CAP as f64;
    assert!((0.95..=1.05).contains(&share), "{share}");
}
