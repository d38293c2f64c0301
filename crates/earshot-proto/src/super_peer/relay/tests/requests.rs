//! Stories of asking: Binding, Allocate, Refresh, CreatePermission, ChannelBind, and who may.

use std::time::Duration;

use stun_rs::attributes::stun::{
    MessageIntegrity, MessageIntegritySha256, Nonce, Realm, UnknownAttributes,
    UserName as Username, XorMappedAddress,
};
use stun_rs::attributes::turn::{
    AdditionalAddressFamily, AddressErrorCode, ChannelNumber, DontFragment, EvenPort, LifeTime,
    RequestedAddressFamily, XorPeerAddress,
};
use stun_rs::attributes::{StunAttribute, discovery};
use stun_rs::{AddressFamily, MessageClass, StunMessageBuilder, get_input_text, methods};

use super::super::{Refusal, RelayLimits};
use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn lifetime(answer: &StunMessage) -> u32 {
    answer.get::<LifeTime>().unwrap().as_life_time().unwrap().as_u32()
}

fn bind(number: u16, peer: &str) -> [StunAttribute; 2] {
    [ChannelNumber::new(number).into(), XorPeerAddress::from(addr(peer)).into()]
}

#[test]
fn anybody_is_told_the_address_it_is_seen_at() {
    let mut stage = Stage::new();
    for (from, seen) in [
        ("203.0.113.5:4000", "203.0.113.5:4000"),
        ("[2a00::5]:4000", "[2a00::5]:4000"),
        ("[::ffff:203.0.113.6]:4000", "203.0.113.6:4000"),
    ] {
        let question = StunMessageBuilder::new(methods::BINDING, MessageClass::Request).build();
        stage.datagram(addr(from), &encode(&question));
        let answer = stage.sent.pop().unwrap();
        assert_eq!(answer.to, addr(from));
        let answer = decode(&answer.bytes);
        let mapped = answer.get::<XorMappedAddress>().unwrap().as_xor_mapped_address().unwrap();
        assert_eq!(*mapped.socket_address(), addr(seen));
        assert!(answer.get::<Fingerprint>().is_some());
        assert_eq!(answer.transaction_id(), question.transaction_id());
    }
}

#[test]
fn a_binding_that_asks_for_another_source_address_is_told_that_this_is_unknown() {
    let mut stage = Stage::new();
    let question = StunMessageBuilder::new(methods::BINDING, MessageClass::Request)
        .with_attribute(discovery::ChangeRequest::new(None))
        .build();
    stage.datagram(addr("203.0.113.5:4000"), &encode(&question));
    let answer = decode(&stage.sent.pop().unwrap().bytes);
    assert_eq!(code(&answer), Some(420));
    let unknown = answer.get::<UnknownAttributes>().unwrap().as_unknown_attributes().unwrap();
    assert_eq!(unknown.attributes(), [3]);
}

#[test]
fn an_allocation_is_made_answered_sealed_and_ended() {
    let mut stage = Stage::new();
    let mut alice = stage.client("alice", "203.0.113.5:4000");
    let first = stage.ask_once(&mut alice, methods::ALLOCATE, &[udp()]).unwrap();
    assert_eq!(code(&first), Some(401));
    alice.nonce = first.get::<Nonce>().unwrap().as_nonce().unwrap().as_str().to_owned();

    let request = alice.request(methods::ALLOCATE, &[udp()]);
    stage.datagram(alice.address, &request);
    let bytes = stage.sent.pop().unwrap().bytes;
    let answer = decode(&bytes);
    assert_eq!(relayed_address(&answer), addr("198.51.100.1:49152"));
    assert_eq!(lifetime(&answer), 600);
    let seal = answer.get::<MessageIntegrity>().unwrap().as_message_integrity().unwrap();
    assert!(seal.validate(&get_input_text::<MessageIntegrity>(&bytes).unwrap(), &alice.key()));
    assert_eq!(stage.relay.counters().allocations, 1);

    let refreshed = stage.ask(&mut alice, methods::REFRESH, &[LifeTime::new(0).into()]);
    assert_eq!((code(&refreshed), lifetime(&refreshed)), (None, 0));
    assert_eq!((stage.closed.len(), stage.relay.counters().allocations), (1, 0));
    let again = stage.ask(&mut alice, methods::REFRESH, &[LifeTime::new(0).into()]);
    assert_eq!(code(&again), Some(437));
}

#[test]
fn a_repeated_allocate_gets_the_same_answer_and_another_one_437() {
    let mut stage = Stage::new();
    let mut alice = stage.client("alice", "203.0.113.5:4000");
    let relayed = stage.allocate(&mut alice);
    let request = alice.request(methods::ALLOCATE, &[udp()]);
    stage.datagram(alice.address, &request);
    assert_eq!(code(&decode(&stage.sent.pop().unwrap().bytes)), Some(437));

    alice.transaction -= 2;
    let repeated = alice.request(methods::ALLOCATE, &[udp()]);
    stage.datagram(alice.address, &repeated);
    assert_eq!(relayed_address(&decode(&stage.sent.pop().unwrap().bytes)), relayed);
    assert_eq!(stage.relay.counters().allocated, 1);
}

#[test]
fn a_request_repeated_while_the_port_opens_is_answered_once() {
    let mut stage = Stage::new();
    stage.opens_by_itself = false;
    let mut alice = stage.client("alice", "203.0.113.5:4000");
    let first = stage.ask_once(&mut alice, methods::ALLOCATE, &[udp()]).unwrap();
    alice.nonce = first.get::<Nonce>().unwrap().as_nonce().unwrap().as_str().to_owned();
    let request = alice.request(methods::ALLOCATE, &[udp()]);
    stage.datagram(alice.address, &request);
    stage.datagram(alice.address, &request);
    assert_eq!((stage.sent.len(), stage.orders.len()), (0, 1));
    let port = stage.orders.pop().unwrap();
    stage.open(port, false);
    stage.drain();
    assert_eq!(stage.sent.len(), 1);
}

#[test]
fn a_port_that_cannot_be_opened_or_not_in_time_is_told_as_508() {
    let mut stage = Stage::new();
    stage.opens_by_itself = false;
    for (host, fails) in [(5, true), (6, false)] {
        let mut client = stage.client("alice", &format!("203.0.113.{host}:4000"));
        let first = stage.ask_once(&mut client, methods::ALLOCATE, &[udp()]).unwrap();
        client.nonce = first.get::<Nonce>().unwrap().as_nonce().unwrap().as_str().to_owned();
        assert!(stage.ask_once(&mut client, methods::ALLOCATE, &[udp()]).is_none());
        let port = stage.orders.pop().unwrap();
        if fails {
            stage.relay.handle_relay_port(stage.now, port, RelayPortEvent::Failed);
            stage.drain();
        } else {
            stage.pass(Duration::from_secs(5));
        }
        assert_eq!(code(&decode(&stage.sent.pop().unwrap().bytes)), Some(508));
        assert_eq!(stage.closed.pop(), Some(port));
        assert_eq!(stage.relay.counters().allocations, 0);
    }
}

/// REQUESTED-TRANSPORT with TCP, which stun-rs reads and does not write.
fn tcp() -> StunAttribute {
    let with_udp = StunMessageBuilder::new(methods::ALLOCATE, MessageClass::Request)
        .with_attribute(udp())
        .build();
    let mut bytes = encode(&with_udp);
    bytes[24] = 6;
    decode(&bytes).get::<RequestedTrasport>().unwrap().clone()
}

#[test]
fn what_cannot_be_had_is_refused_by_its_own_code() {
    let mut stage = Stage::with(|config| config.ipv6 = false);
    let mut alice = stage.client("alice", "203.0.113.5:4000");
    let ipv6: StunAttribute = RequestedAddressFamily::new(AddressFamily::IPv6).into();
    let tcp = tcp();
    let cases: [(&[StunAttribute], u16); 5] = [
        (&[], 400),
        (&[tcp], 442),
        (&[udp(), DontFragment::default().into()], 420),
        (&[udp(), EvenPort::new(true).into()], 508),
        (&[udp(), ipv6], 440),
    ];
    for (attributes, expected) in cases {
        let answer = stage.ask(&mut alice, methods::ALLOCATE, attributes);
        assert_eq!(code(&answer), Some(expected), "{attributes:?}");
    }
    assert_eq!(stage.relay.counters().allocations, 0);
}

#[test]
fn an_even_port_is_asked_for_and_an_odd_one_not_taken_for_it() {
    let mut stage = Stage::new();
    let even: StunAttribute = EvenPort::new(false).into();
    let mut alice = stage.client("alice", "203.0.113.5:4000");
    stage.next_port = 49_153;
    let answer = stage.ask(&mut alice, methods::ALLOCATE, &[udp(), even.clone()]);
    assert_eq!(relayed_address(&answer).port(), 49_154);

    stage.opens_by_itself = false;
    let mut bob = stage.client("bob", "203.0.113.6:4000");
    let first = stage.ask_once(&mut bob, methods::ALLOCATE, &[udp()]).unwrap();
    bob.nonce = first.get::<Nonce>().unwrap().as_nonce().unwrap().as_str().to_owned();
    assert!(stage.ask_once(&mut bob, methods::ALLOCATE, &[udp(), even]).is_none());
    let port = stage.orders.pop().unwrap();
    stage.next_port = 49_155;
    stage.open(port, false);
    stage.drain();
    assert_eq!(code(&decode(&stage.sent.pop().unwrap().bytes)), Some(508));
    assert_eq!((stage.closed.len(), stage.relay.counters().allocations), (1, 1));
}

#[test]
fn an_ipv6_relayed_address_can_be_had_and_both_at_once_cannot() {
    let mut stage = Stage::new();
    let mut alice = stage.client("alice", "203.0.113.5:4000");
    let ipv6 = RequestedAddressFamily::new(AddressFamily::IPv6).into();
    let answer = stage.ask(&mut alice, methods::ALLOCATE, &[udp(), ipv6]);
    assert!(relayed_address(&answer).is_ipv6());
    assert_eq!(stage.permit(&mut alice, &["203.0.113.77:9"]), Some(443));
    assert_eq!(stage.permit(&mut alice, &["[::ffff:203.0.113.77]:9"]), Some(443));
    assert_eq!(stage.permit(&mut alice, &["[2a00::77]:9"]), None);

    let mut bob = stage.client("bob", "203.0.113.6:4000");
    let both = AdditionalAddressFamily::new(AddressFamily::IPv6).into();
    let answer = stage.ask(&mut bob, methods::ALLOCATE, &[udp(), both]);
    assert!(relayed_address(&answer).is_ipv4());
    let refused = answer.get::<AddressErrorCode>().unwrap().as_address_error_code().unwrap();
    assert_eq!(refused.error_code().error_code(), 440);
}

#[test]
fn wrong_passwords_unknown_sessions_and_foreign_nonces_open_nothing() {
    let mut stage = Stage::new();
    let mut alice = stage.client("alice", "203.0.113.5:4000");
    alice.password.push('x');
    let answer = stage.ask(&mut alice, methods::ALLOCATE, &[udp()]);
    assert_eq!(code(&answer), Some(401));

    let mut nobody = stage.client("bob", "203.0.113.6:4000");
    nobody.username = "00112233445566778899aabbccddeeff".to_owned();
    assert_eq!(code(&stage.ask(&mut nobody, methods::ALLOCATE, &[udp()])), Some(401));

    let mut carol = stage.client("carol", "203.0.113.7:4000");
    carol.nonce = alice.nonce.clone();
    let answer = stage.ask_once(&mut carol, methods::ALLOCATE, &[udp()]).unwrap();
    assert_eq!(code(&answer), Some(438));
    assert_eq!(stage.relay.counters().allocations, 0);
    assert_eq!(stage.relay.counters().refused(Refusal::StaleNonce), 1);
}

#[test]
fn an_integrity_without_nonce_is_a_bad_request() {
    let mut stage = Stage::new();
    let alice = stage.client("alice", "203.0.113.5:4000");
    let message = StunMessageBuilder::new(methods::ALLOCATE, MessageClass::Request)
        .with_attribute(udp())
        .with_attribute(Username::new(&alice.username).unwrap())
        .with_attribute(MessageIntegrity::new(alice.key()))
        .build();
    stage.datagram(alice.address, &encode(&message));
    assert_eq!(code(&decode(&stage.sent.pop().unwrap().bytes)), Some(400));
}

#[test]
fn a_request_sealed_by_sha256_is_answered_so() {
    let mut stage = Stage::new();
    let mut alice = stage.client("alice", "203.0.113.5:4000");
    let first = stage.ask_once(&mut alice, methods::ALLOCATE, &[udp()]).unwrap();
    let nonce = first.get::<Nonce>().unwrap().as_nonce().unwrap();
    let message = StunMessageBuilder::new(methods::ALLOCATE, MessageClass::Request)
        .with_attribute(udp())
        .with_attribute(Username::new(&alice.username).unwrap())
        .with_attribute(Realm::new(REALM).unwrap())
        .with_attribute(nonce.clone())
        .with_attribute(MessageIntegritySha256::new(alice.key()))
        .build();
    stage.datagram(alice.address, &encode(&message));
    let bytes = stage.sent.pop().unwrap().bytes;
    let answer = decode(&bytes);
    assert_eq!(code(&answer), None);
    let seal = answer.get::<MessageIntegritySha256>().unwrap();
    let seal = seal.as_message_integrity_sha256().unwrap();
    let input = get_input_text::<MessageIntegritySha256>(&bytes).unwrap();
    assert!(seal.validate(&input, &alice.key()));
}

#[test]
fn a_stale_nonce_is_replaced_in_mid_allocation() {
    let mut stage = Stage::new();
    let mut alice = stage.client("alice", "203.0.113.5:4000");
    stage.allocate(&mut alice);
    for _ in 0..7 {
        stage.pass(9 * MINUTE);
        assert_eq!(code(&stage.ask(&mut alice, methods::REFRESH, &[])), None);
    }
    assert!(stage.relay.counters().refused(Refusal::StaleNonce) >= 1);
    assert_eq!(stage.relay.counters().allocations, 1);
}

#[test]
fn an_allocation_that_is_not_refreshed_ends_in_time() {
    let mut stage = Stage::new();
    let mut alice = stage.client("alice", "203.0.113.5:4000");
    let mut bob = stage.client("bob", "203.0.113.6:4000");
    stage.allocate(&mut alice);
    let long = LifeTime::new(86_400).into();
    let answer = stage.ask(&mut bob, methods::ALLOCATE, &[udp(), long]);
    assert_eq!(lifetime(&answer), 3600);
    stage.pass(10 * MINUTE);
    assert_eq!(stage.relay.counters().allocations, 1);
    stage.pass(50 * MINUTE);
    assert_eq!((stage.relay.counters().allocations, stage.closed.len()), (0, 2));
    assert_eq!(stage.relay.poll_timeout(), None);
}

#[test]
fn only_the_one_who_allocated_may_use_it() {
    let mut stage = Stage::new();
    let mut alice = stage.client("alice", "203.0.113.5:4000");
    stage.allocate(&mut alice);
    let mut mallory = stage.client("mallory", "203.0.113.5:4000");
    assert_eq!(code(&stage.ask(&mut mallory, methods::REFRESH, &[])), Some(441));
    assert_eq!(stage.permit(&mut mallory, &["203.0.113.77:9"]), Some(441));
}

#[test]
fn expired_credentials_refuse_a_new_allocation_and_keep_the_old_one() {
    let mut stage = Stage::new();
    let mut alice = stage.client("alice", "203.0.113.5:4000");
    let long: StunAttribute = LifeTime::new(3600).into();
    stage.ask(&mut alice, methods::ALLOCATE, &[udp(), long.clone()]);
    for _ in 0..25 {
        stage.pass(59 * MINUTE);
        assert_eq!(
            code(&stage.ask(&mut alice, methods::REFRESH, std::slice::from_ref(&long))),
            None
        );
    }
    alice.address = addr("203.0.113.5:4001");
    let answer = stage.ask(&mut alice, methods::ALLOCATE, &[udp()]);
    assert_eq!(code(&answer), Some(401));
    assert_eq!(stage.relay.counters().allocations, 1);
}

#[test]
fn a_user_has_its_quota_and_the_relay_its_own() {
    let mut stage = Stage::with(|config| {
        config.limits =
            RelayLimits { allocations_per_user_max: 2, allocations_max: 3, ..config.limits };
    });
    let mut codes = Vec::new();
    for (at, name) in ["alice", "alice", "alice", "bob", "bob"].into_iter().enumerate() {
        let mut client = stage.client(name, &format!("203.0.113.{at}:4000"));
        codes.push(code(&stage.ask(&mut client, methods::ALLOCATE, &[udp()])));
    }
    assert_eq!(codes, [None, None, Some(486), None, Some(508)]);
}

#[test]
fn a_revoked_user_loses_its_allocations_and_its_credentials() {
    let mut stage = Stage::new();
    let mut alice = stage.client("alice", "203.0.113.5:4000");
    let mut bob = stage.client("bob", "203.0.113.6:4000");
    stage.allocate(&mut alice);
    stage.allocate(&mut bob);
    stage.relay.revoke(&UserName::new("alice").unwrap());
    stage.drain();
    assert_eq!((stage.relay.counters().allocations, stage.closed.len()), (1, 1));
    assert_eq!(code(&stage.ask(&mut alice, methods::ALLOCATE, &[udp()])), Some(401));
    assert_eq!(code(&stage.ask(&mut bob, methods::REFRESH, &[])), None);
}

#[test]
fn permissions_are_given_for_all_the_peers_named_or_none() {
    let mut stage = Stage::new();
    let mut alice = stage.client("alice", "203.0.113.5:4000");
    stage.allocate(&mut alice);
    let refused = stage.permit(&mut alice, &["203.0.113.77:9", "10.0.0.1:9"]);
    assert_eq!(refused, Some(403));
    let check = check(MessageClass::Request, Some("bob:alice"), 1);
    stage.datagram(alice.address, &send_indication("203.0.113.77:9", &check));
    assert!(stage.relayed.is_empty());

    assert_eq!(stage.permit(&mut alice, &["203.0.113.77:9", "203.0.113.78:9"]), None);
    stage.datagram(alice.address, &send_indication("203.0.113.77:9", &check));
    stage.datagram(alice.address, &send_indication("203.0.113.78:9", &check));
    assert_eq!(stage.relayed.len(), 2);
    assert_eq!(stage.permit(&mut alice, &[]), Some(400));
}

#[test]
fn forbidden_peers_are_403_for_permissions_and_channels_alike() {
    let mut stage = Stage::new();
    let mut alice = stage.client("alice", "203.0.113.5:4000");
    stage.allocate(&mut alice);
    for peer in ["127.0.0.1:53", "[::ffff:127.0.0.1]:53", "[2002:7f00:1::]:53", "10.0.0.1:53"] {
        assert_eq!(stage.permit(&mut alice, &[peer]), Some(403), "{peer}");
        let answer = stage.ask(&mut alice, methods::CHANNEL_BIND, &bind(0x4000, peer));
        assert_eq!(code(&answer), Some(403), "{peer}");
    }
    assert_eq!(stage.relay.counters().refused(Refusal::ForbiddenPeer), 8);
}

#[test]
fn a_channel_has_one_peer_and_a_peer_one_channel() {
    let mut stage = Stage::new();
    let mut alice = stage.client("alice", "203.0.113.5:4000");
    stage.allocate(&mut alice);
    let mut bound =
        |number, peer| code(&stage.ask(&mut alice, methods::CHANNEL_BIND, &bind(number, peer)));
    assert_eq!(bound(0x4001, "203.0.113.77:9"), None);
    assert_eq!(bound(0x4001, "203.0.113.77:9"), None);
    assert_eq!(bound(0x4001, "203.0.113.78:9"), Some(400));
    assert_eq!(bound(0x4002, "203.0.113.77:9"), Some(400));
    assert_eq!(bound(0x3fff, "203.0.113.79:9"), Some(400));
    assert_eq!(bound(0x8000, "203.0.113.79:9"), Some(400));
}

#[test]
fn the_tables_of_an_allocation_have_an_end() {
    let mut stage = Stage::new();
    let mut alice = stage.client("alice", "203.0.113.5:4000");
    stage.allocate(&mut alice);
    let peers: Vec<String> = (1..=33).map(|n| format!("203.0.113.{n}:9")).collect();
    let peers: Vec<&str> = peers.iter().map(String::as_str).collect();
    assert_eq!(stage.permit(&mut alice, &peers[..32]), None);
    assert_eq!(stage.permit(&mut alice, &peers[..32]), None);
    assert_eq!(stage.permit(&mut alice, &peers[32..]), Some(508));
    stage.pass(5 * MINUTE);
    assert_eq!(stage.permit(&mut alice, &peers[32..]), None);
}
