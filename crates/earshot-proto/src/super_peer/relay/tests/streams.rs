//! Stories of clients that come by TCP.

use std::time::Duration;

use proptest::prelude::*;
use stun_rs::attributes::turn::{ChannelNumber, LifeTime};

use super::super::Refusal;
use super::super::streams::{PATIENCE, STRANGERS_MAX, STRANGERS_NEAR_MAX};
use super::*;
use crate::port::{LinkDown, LinkEvent, Service};

const LINK: LinkId = LinkId::Accepted(7);
const PEER: &str = "127.0.0.1:5004";

fn free() -> Stage {
    Stage::with(|config| config.allow = vec!["127.0.0.0/8".parse().unwrap()])
}

impl Stage {
    fn link(&mut self, link: LinkId, event: LinkEvent<'_>) {
        self.relay.handle_link(self.now, self.wall(), link, &event);
        self.drain();
    }

    fn connects(&mut self, link: LinkId, from: &str) {
        self.link(link, LinkEvent::Accepted { from: addr(from), service: Service::Relay });
    }

    fn writes(&mut self, bytes: &[u8]) {
        self.link(LINK, LinkEvent::Bytes(bytes));
    }

    /// Asks over the link as a client does: once more with the nonce that a 401 brought.
    fn asks(
        &mut self,
        client: &mut Client,
        method: MessageMethod,
        attributes: &[StunAttribute],
    ) -> StunMessage {
        for _ in 0..2 {
            self.writes(&client.request(method, attributes));
            let Some((LINK, LinkOrder::Bytes(bytes))) = self.links.pop() else {
                panic!("no answer")
            };
            let answer = decode(&bytes);
            if code(&answer) != Some(401) {
                return answer;
            }
            let nonce = answer.get::<Nonce>().unwrap().as_nonce().unwrap();
            client.nonce = nonce.as_str().to_owned();
        }
        panic!("its credentials are not taken")
    }

    fn closed(&self, link: LinkId) -> bool {
        self.links.contains(&(link, LinkOrder::Close))
    }
}

/// Alice on [`LINK`] with channel 0x4001 to [`PEER`].
fn alice_bound(stage: &mut Stage) -> (Client, SocketAddr) {
    let mut alice = stage.client("alice", "203.0.113.5:4000");
    stage.connects(LINK, "203.0.113.5:4000");
    let relayed = relayed_address(&stage.asks(&mut alice, methods::ALLOCATE, &[udp()]));
    let attributes = [ChannelNumber::new(0x4001).into(), XorPeerAddress::from(addr(PEER)).into()];
    assert_eq!(code(&stage.asks(&mut alice, methods::CHANNEL_BIND, &attributes)), None);
    (alice, relayed)
}

#[test]
fn a_client_by_tcp_is_relayed_like_one_by_udp() {
    let mut stage = free();
    let (_, relayed) = alice_bound(&mut stage);
    // Padded, RFC 8656 section 12.5; and what comes behind it is the next message.
    let mut said = channel_data(0x4001, b"hello");
    said.resize(12, 0);
    said.extend(send_indication(PEER, b"there"));
    stage.writes(&said);
    let payloads: Vec<&[u8]> = stage.relayed.iter().map(|sent| sent.bytes.as_slice()).collect();
    assert_eq!(payloads, [b"hello", b"there"]);
    stage.peer_sends(PEER, relayed, b"hello");
    let Some((LINK, LinkOrder::Media(bytes))) = stage.links.pop() else { panic!("not relayed") };
    assert_eq!(bytes, [channel_data(0x4001, b"hello"), vec![0; 3]].concat());
    // An indication needs no padding of the stream: STUN has its own.
    stage.peer_sends("127.0.0.1:9", relayed, b"hello");
    let Some((LINK, LinkOrder::Media(bytes))) = stage.links.pop() else { panic!("not relayed") };
    assert_eq!(decode(&bytes).method(), methods::DATA);
    assert!(stage.sent.is_empty());
}

#[test]
fn a_client_by_tcp_and_one_by_udp_from_the_same_address_are_two() {
    let mut stage = free();
    let (alice, _) = alice_bound(&mut stage);
    let mut other = stage.client("alice", "203.0.113.5:4000");
    stage.allocate(&mut other);
    assert_eq!(stage.relay.counters().allocations, 2);
    stage.datagram(alice.address, &channel_data(0x4001, b"not bound here"));
    assert!(stage.relayed.is_empty());
}

#[test]
fn an_allocation_ends_with_its_connection_and_a_connection_with_its_allocation() {
    let mut stage = free();
    alice_bound(&mut stage);
    stage.link(LINK, LinkEvent::Down(LinkDown::Closed));
    assert_eq!((stage.relay.counters().allocations, stage.closed.len()), (0, 1));
    assert!(!stage.closed(LINK), "it is gone");

    let (mut alice, _) = alice_bound(&mut stage);
    stage.writes(&alice.request(methods::REFRESH, &[LifeTime::new(0).into()]));
    let [(_, LinkOrder::Bytes(answer)), (LINK, LinkOrder::Close)] = &stage.links[..] else {
        panic!("the answer, then the end: {:?}", stage.links)
    };
    assert_eq!(code(&decode(answer)), None);
    // What still comes is of nobody.
    stage.links.clear();
    stage.writes(&alice.request(methods::ALLOCATE, &[udp()]));
    assert!(stage.links.is_empty());

    alice_bound(&mut stage);
    stage.pass(Duration::from_secs(600));
    assert!(stage.closed(LINK));
    assert_eq!(stage.relay.counters().allocations, 0);
}

#[test]
fn a_connection_without_an_allocation_is_closed_in_time_and_one_with_it_stays() {
    let mut stage = free();
    stage.connects(LinkId::Accepted(1), "203.0.113.9:1");
    alice_bound(&mut stage);
    let asks = StunMessageBuilder::new(methods::BINDING, MessageClass::Request).build();
    stage.link(LinkId::Accepted(1), LinkEvent::Bytes(&encode(&asks)));
    let Some((_, LinkOrder::Bytes(bytes))) = stage.links.pop() else { panic!("no answer") };
    assert_eq!(decode(&bytes).method(), methods::BINDING);
    stage.pass(PATIENCE);
    assert!(stage.closed(LinkId::Accepted(1)));
    assert!(!stage.closed(LINK));
    assert_eq!(stage.relay.counters().refused(Refusal::Idle), 1);
}

#[test]
fn who_speaks_no_turn_is_hung_up_on() {
    for bytes in [b"GET / HTTP/1.1".as_slice(), &[0x40, 0, 0xff, 0xff], &[0x80; 4]] {
        let mut stage = free();
        let (_, _) = alice_bound(&mut stage);
        stage.writes(bytes);
        assert!(stage.closed(LINK));
        assert_eq!(stage.relay.counters().allocations, 0);
    }
}

#[test]
fn strangers_take_no_more_than_their_places() {
    let mut stage = free();
    for n in 0..STRANGERS_NEAR_MAX as u32 + 1 {
        stage.connects(LinkId::Accepted(n), "203.0.113.9:1");
    }
    assert!(stage.closed(LinkId::Accepted(STRANGERS_NEAR_MAX as u32)));
    assert_eq!(stage.links.len(), 1);
    for n in 100..1000 {
        let from = format!("203.0.{}.{}:1", n / 100, n % 100);
        stage.connects(LinkId::Accepted(n), &from);
    }
    let refused = stage.relay.counters().refused(Refusal::Connections);
    assert_eq!(refused, 901 - (STRANGERS_MAX - STRANGERS_NEAR_MAX) as u64);
    stage.pass(PATIENCE);
    stage.links.clear();
    alice_bound(&mut stage);
    assert!(stage.links.is_empty(), "there is room again");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_stream_may_be_cut_anywhere(cuts in prop::collection::vec(1usize..40, 1..40)) {
        let mut stage = free();
        alice_bound(&mut stage);
        let mut said = Vec::new();
        for n in 0..20 {
            said.extend(channel_data(0x4001, &vec![n; usize::from(n) + 1]));
            said.resize(said.len().next_multiple_of(4), 0);
        }
        let mut rest = said.as_slice();
        for cut in cuts {
            let (now, later) = rest.split_at(cut.min(rest.len()));
            stage.writes(now);
            rest = later;
        }
        stage.writes(rest);
        let payloads: Vec<Vec<u8>> = stage.relayed.drain(..).map(|sent| sent.bytes).collect();
        let expected: Vec<Vec<u8>> = (0..20).map(|n| vec![n; usize::from(n) + 1]).collect();
        prop_assert_eq!(payloads, expected);
    }

    #[test]
    fn no_bytes_on_a_stream_panic_or_are_held_without_end(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..20),
    ) {
        let mut stage = free();
        stage.connects(LINK, "203.0.113.9:1");
        stage.writes(&[0, 1]);
        for piece in pieces {
            stage.writes(&piece);
        }
        prop_assert_eq!(stage.relay.counters().allocations, 0);
        prop_assert!(stage.relayed.is_empty());
    }
}
