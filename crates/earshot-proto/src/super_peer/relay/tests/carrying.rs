//! Stories of the data path: permissions, channels, consent, loops, quotas.

use std::time::Duration;

use proptest::prelude::*;
use stun_rs::attributes::turn::{ChannelNumber, Data};

use super::super::{CONSENT_LIFETIME, Refusal};
use super::*;

const PEER: &str = "203.0.113.77:5004";
const SECOND: Duration = Duration::from_secs(1);

/// Alice with an allocation and channel 0x4001 to [`PEER`].
fn alice_bound(stage: &mut Stage) -> (Client, SocketAddr) {
    let mut alice = stage.client("alice", "203.0.113.5:4000");
    let relayed = stage.allocate(&mut alice);
    bind(stage, &mut alice, 0x4001, addr(PEER));
    (alice, relayed)
}

fn bind(stage: &mut Stage, client: &mut Client, number: u16, peer: SocketAddr) {
    let attributes = [ChannelNumber::new(number).into(), XorPeerAddress::from(peer).into()];
    assert_eq!(code(&stage.ask(client, methods::CHANNEL_BIND, &attributes)), None);
}

fn ask_consent(stage: &mut Stage, client: &Client, number: u64) {
    let check = check(MessageClass::Request, Some("bob:alice"), number);
    stage.datagram(client.address, &channel_data(0x4001, &check));
}

fn consent(stage: &mut Stage, client: &Client, relayed: SocketAddr, number: u64) {
    ask_consent(stage, client, number);
    stage.peer_sends(PEER, relayed, &check(MessageClass::SuccessResponse, None, number));
    stage.sent.clear();
    stage.relayed.clear();
}

fn says(stage: &mut Stage, client: &Client, payload: &[u8]) -> Vec<Transmit> {
    stage.relayed.clear();
    stage.datagram(client.address, &channel_data(0x4001, payload));
    std::mem::take(&mut stage.relayed)
}

#[test]
fn consent_is_needed_then_given_then_runs_out_and_is_renewed() {
    let mut stage = Stage::new();
    let (alice, relayed) = alice_bound(&mut stage);
    assert!(says(&mut stage, &alice, b"voice").is_empty());
    assert_eq!(stage.relay.counters().refused(Refusal::NoConsent), 1);

    consent(&mut stage, &alice, relayed, 1);
    let sent = says(&mut stage, &alice, b"voice");
    assert_eq!(sent, [Transmit { to: addr(PEER), bytes: b"voice".to_vec() }]);

    stage.pass(CONSENT_LIFETIME - SECOND);
    consent(&mut stage, &alice, relayed, 2);
    stage.pass(CONSENT_LIFETIME - SECOND);
    assert_eq!(says(&mut stage, &alice, b"voice").len(), 1);
    stage.pass(SECOND);
    assert!(says(&mut stage, &alice, b"voice").is_empty());
    consent(&mut stage, &alice, relayed, 3);
    assert_eq!(says(&mut stage, &alice, b"voice").len(), 1);
}

#[test]
fn nothing_but_the_answer_to_our_own_check_is_consent() {
    let mut stage = Stage::new();
    let (alice, relayed) = alice_bound(&mut stage);
    stage.relayed.clear();
    ask_consent(&mut stage, &alice, 1);
    assert_eq!(stage.relayed.len(), 1);
    let unsealed = StunMessageBuilder::new(methods::BINDING, MessageClass::SuccessResponse)
        .with_transaction_id(transaction(1))
        .with_attribute(Fingerprint::default())
        .build();
    for (from, answer) in [
        // another transaction; none at all
        (PEER, check(MessageClass::SuccessResponse, None, 2)),
        (PEER, check(MessageClass::SuccessResponse, None, 0x5a5a)),
        // what a public STUN server says: no integrity
        (PEER, encode(&unsealed)),
        // an error; a check of the peer's own, whose source may be forged
        (PEER, check(MessageClass::ErrorResponse, None, 1)),
        (PEER, check(MessageClass::Request, Some("alice:bob"), 1)),
        // another port of the same host
        ("203.0.113.77:5005", check(MessageClass::SuccessResponse, None, 1)),
        (PEER, vec![0; 12]),
    ] {
        stage.peer_sends(from, relayed, &answer);
        assert!(says(&mut stage, &alice, b"voice").is_empty());
    }
    stage.peer_sends(PEER, relayed, &check(MessageClass::SuccessResponse, None, 1));
    assert_eq!(says(&mut stage, &alice, b"voice").len(), 1);
}

#[test]
fn a_check_without_the_calls_fragments_asks_for_no_consent() {
    let mut stage = Stage::new();
    let (alice, relayed) = alice_bound(&mut stage);
    for (number, username) in [(1, None), (2, Some("alice")), (3, Some("a:b:c"))] {
        let bare = check(MessageClass::Request, username, number);
        assert_eq!(says(&mut stage, &alice, &bare).len(), 1);
        stage.peer_sends(PEER, relayed, &check(MessageClass::SuccessResponse, None, number));
        assert!(says(&mut stage, &alice, b"voice").is_empty());
    }
}

#[test]
fn ten_checks_a_second_go_to_a_peer_that_has_not_consented_and_no_long_ones() {
    let mut stage = Stage::new();
    let (alice, _) = alice_bound(&mut stage);
    let mut bob = stage.client("bob", "203.0.113.6:4000");
    stage.allocate(&mut bob);
    bind(&mut stage, &mut bob, 0x4001, addr(PEER));
    for number in 0..20 {
        ask_consent(&mut stage, &alice, number);
        ask_consent(&mut stage, &bob, number + 100);
        stage.pass(Duration::from_millis(40));
    }
    assert_eq!(stage.relayed.len(), 10);
    assert_eq!(stage.relay.counters().refused(Refusal::CheckRate), 30);
    stage.pass(2 * SECOND);
    let long = StunMessageBuilder::new(methods::BINDING, MessageClass::Request)
        .with_attribute(Username::new("bob:alice").unwrap())
        .with_attribute(Data::new(vec![0; 600]))
        .build();
    assert!(says(&mut stage, &alice, &encode(&long)).is_empty());
}

#[test]
fn a_named_range_needs_consent_by_policy_and_none_by_the_owners_word() {
    let mut stage = Stage::with(|config| {
        config.policy = vec!["192.168.0.0/16".parse().unwrap()];
        config.allow = vec!["127.0.0.0/8".parse().unwrap()];
    });
    let mut alice = stage.client("alice", "203.0.113.5:4000");
    stage.allocate(&mut alice);
    assert_eq!(stage.permit(&mut alice, &["192.168.1.9:9", "127.0.0.1:9"]), None);
    assert_eq!(stage.permit(&mut alice, &["10.0.0.1:9"]), Some(403));
    stage.datagram(alice.address, &send_indication("192.168.1.9:9", b"data"));
    assert!(stage.relayed.is_empty());
    stage.datagram(alice.address, &send_indication("127.0.0.1:9", b"data"));
    assert_eq!(stage.relayed, [Transmit { to: addr("127.0.0.1:9"), bytes: b"data".to_vec() }]);
}

#[test]
fn a_permission_ends_after_five_minutes_for_both_directions() {
    let mut stage = Stage::with(|config| config.allow = vec!["127.0.0.0/8".parse().unwrap()]);
    let mut alice = stage.client("alice", "203.0.113.5:4000");
    let relayed = stage.allocate(&mut alice);
    stage.permit(&mut alice, &["127.0.0.1:9"]);
    stage.pass(Duration::from_secs(299));
    stage.peer_sends("127.0.0.1:10", relayed, b"hello");
    stage.datagram(alice.address, &send_indication("127.0.0.1:9", b"hello"));
    assert_eq!((stage.sent.len(), stage.relayed.len()), (1, 1));
    stage.pass(SECOND);
    stage.peer_sends("127.0.0.1:10", relayed, b"hello");
    stage.datagram(alice.address, &send_indication("127.0.0.1:9", b"hello"));
    assert_eq!((stage.sent.len(), stage.relayed.len()), (1, 1));
    assert_eq!(stage.relay.counters().refused(Refusal::NoPermission), 2);
}

#[test]
fn a_channel_ends_after_ten_minutes_and_what_comes_then_is_an_indication() {
    let mut stage = Stage::new();
    let (mut alice, relayed) = alice_bound(&mut stage);
    stage.peer_sends(PEER, relayed, b"hello");
    assert_eq!(stage.sent.pop().unwrap().bytes, channel_data(0x4001, b"hello"));
    stage.pass(Duration::from_secs(599));
    assert_eq!(code(&stage.ask(&mut alice, methods::REFRESH, &[])), None);
    stage.pass(SECOND);
    stage.permit(&mut alice, &[PEER]);
    stage.peer_sends(PEER, relayed, b"hello");
    let indication = decode(&stage.sent.pop().unwrap().bytes);
    assert_eq!(
        (indication.method(), indication.class()),
        (methods::DATA, MessageClass::Indication)
    );
    let peer = indication.get::<XorPeerAddress>().unwrap().as_xor_peer_address().unwrap();
    assert_eq!(*peer.socket_address(), addr(PEER));
    assert_eq!(indication.get::<Data>().unwrap().as_data().unwrap().as_bytes(), b"hello");
    stage.datagram(alice.address, &channel_data(0x4001, b"late"));
    assert!(stage.relayed.is_empty());
}

#[test]
fn a_stranger_reaches_nobody_through_a_relayed_address() {
    let mut stage = Stage::new();
    let (_, relayed) = alice_bound(&mut stage);
    stage.peer_sends("203.0.113.99:5004", relayed, b"buy now");
    assert!(stage.sent.is_empty());
    stage.datagram(addr("203.0.113.99:1"), &channel_data(0x4001, b"x"));
    stage.datagram(addr("203.0.113.99:1"), &send_indication(PEER, b"x"));
    assert!(stage.relayed.is_empty());
    assert_eq!(stage.relay.counters().refused(Refusal::NoPermission), 3);
}

#[test]
fn two_clients_of_one_relay_are_looped_inside_and_only_live_addresses_are() {
    let mut stage = Stage::new();
    let mut alice = stage.client("alice", "203.0.113.5:4000");
    let mut bob = stage.client("bob", "203.0.113.6:4000");
    let (at_alice, at_bob) = (stage.allocate(&mut alice), stage.allocate(&mut bob));
    bind(&mut stage, &mut alice, 0x4001, at_bob);
    bind(&mut stage, &mut bob, 0x4002, at_alice);

    ask_consent(&mut stage, &alice, 1);
    let bytes = stage.sent.pop().unwrap().bytes;
    assert_eq!(bytes, channel_data(0x4002, &check(MessageClass::Request, Some("bob:alice"), 1)));
    let answer = check(MessageClass::SuccessResponse, None, 1);
    stage.datagram(bob.address, &channel_data(0x4002, &answer));
    stage.sent.clear();
    stage.datagram(alice.address, &channel_data(0x4001, b"voice"));
    let sent = Transmit { to: bob.address, bytes: channel_data(0x4002, b"voice") };
    assert_eq!(stage.sent, [sent]);
    assert_eq!(stage.relay.counters().looped_packets, 3);

    // Another port of our own address is no relayed one.
    let check = check(MessageClass::Request, Some("bob:alice"), 2);
    stage.datagram(alice.address, &send_indication("198.51.100.1:22", &check));
    assert_eq!(stage.relay.counters().refused(Refusal::OwnAddress), 1);
    // Nor is one that has ended.
    let end = stun_rs::attributes::turn::LifeTime::new(0).into();
    stage.ask(&mut bob, methods::REFRESH, &[end]);
    stage.datagram(alice.address, &channel_data(0x4001, b"voice"));
    assert_eq!(stage.relay.counters().refused(Refusal::OwnAddress), 2);
    assert!(stage.relayed.is_empty());
}

#[test]
fn a_user_who_spends_its_bytes_waits_and_others_do_not() {
    let mut stage = Stage::with(|config| {
        config.allow = vec!["127.0.0.0/8".parse().unwrap()];
        config.limits.user_bytes_per_second = 1000;
    });
    let mut sent = Vec::new();
    for (host, name) in [(5, "alice"), (6, "alice"), (7, "bob")] {
        let mut client = stage.client(name, &format!("203.0.113.{host}:4000"));
        stage.allocate(&mut client);
        stage.permit(&mut client, &["127.0.0.1:9"]);
        for _ in 0..3 {
            stage.datagram(client.address, &send_indication("127.0.0.1:9", &[0; 400]));
        }
        sent.push(stage.relayed.len());
    }
    assert_eq!(sent, [2, 2, 4]);
    assert_eq!(stage.relay.counters().refused(Refusal::ByteRate), 5);
    stage.pass(SECOND);
    stage.datagram(addr("203.0.113.5:4000"), &send_indication("127.0.0.1:9", &[0; 400]));
    assert_eq!(stage.relayed.len(), 5);
}

proptest! {
    /// Whatever a member sends to an address that has not consented, what goes out is STUN Binding,
    /// short and rare.
    #[test]
    fn no_payload_gets_past_consent(payloads in prop::collection::vec(
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..700),
            (0u64..30).prop_map(|n| check(MessageClass::Request, Some("bob:alice"), n)),
            (0u64..30).prop_map(|n| check(MessageClass::SuccessResponse, None, n)),
        ], 1..60))
    {
        let mut stage = Stage::new();
        let (alice, _) = alice_bound(&mut stage);
        for payload in payloads {
            stage.datagram(alice.address, &channel_data(0x4001, &payload));
            stage.pass(Duration::from_millis(10));
        }
        prop_assert!(stage.relayed.len() <= 10);
        for sent in &stage.relayed {
            prop_assert_eq!(sent.to, addr(PEER));
            prop_assert!(sent.bytes.len() <= 548);
            prop_assert_eq!(decode(&sent.bytes).method(), methods::BINDING);
        }
    }
}
