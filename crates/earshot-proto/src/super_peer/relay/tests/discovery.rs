//! Stories of NAT behaviour discovery: two relays that are partners.

use stun_rs::attributes::discovery::{
    ChangeRequest, ChangeRequestFlags, OtherAddress, ResponseOrigin, ResponsePort,
};
use stun_rs::attributes::stun::XorMappedAddress;

use super::super::{Refusal, Side};
use super::*;

const ASKER: &str = "203.0.113.9:5000";
const MAIN: &str = "198.51.100.1:37373";
const ALTERNATE: &str = "198.51.100.1:37374";
const PARTNER: [&str; 2] = ["198.51.100.2:37373", "198.51.100.2:37374"];

fn alone() -> Stage {
    let mut stage = Stage::with(|config| config.main = Some(addr(MAIN)));
    stage.drain();
    assert_eq!(stage.relay.alternate(), Some(addr(ALTERNATE)));
    stage
}

fn paired() -> Stage {
    let mut stage = alone();
    stage.relay.set_partner(Some(PARTNER.map(addr)));
    stage
}

fn question(ip: bool, port: bool) -> Vec<u8> {
    let mut builder = StunMessageBuilder::new(methods::BINDING, MessageClass::Request)
        .with_transaction_id(transaction(3));
    let flags = match (ip, port) {
        (false, false) => None,
        (true, false) => Some(ChangeRequestFlags::ChangeIp.into()),
        (false, true) => Some(ChangeRequestFlags::ChangePort.into()),
        (true, true) => Some(ChangeRequestFlags::ChangeIp | ChangeRequestFlags::ChangePort),
    };
    if flags.is_some() {
        builder = builder.with_attribute(ChangeRequest::new(flags));
    }
    encode(&builder.build())
}

fn other(answer: &StunMessage) -> Option<SocketAddr> {
    answer.get::<OtherAddress>().map(|a| *a.as_other_address().unwrap().socket_address())
}

fn origin(answer: &StunMessage) -> Option<SocketAddr> {
    answer.get::<ResponseOrigin>().map(|a| *a.as_response_origin().unwrap().socket_address())
}

#[test]
fn with_a_partner_the_other_address_is_told_and_without_one_it_is_not() {
    let mut stage = alone();
    stage.datagram(addr(ASKER), &question(false, false));
    let answer = decode(&stage.sent.pop().unwrap().bytes);
    assert_eq!((other(&answer), origin(&answer)), (None, Some(addr(MAIN))));
    let mut stage = paired();
    stage.datagram(addr(ASKER), &question(false, false));
    let answer = decode(&stage.sent.pop().unwrap().bytes);
    assert_eq!((other(&answer), origin(&answer)), (Some(addr(PARTNER[1])), Some(addr(MAIN))));
    stage.peer_sends(ASKER, addr(ALTERNATE), &question(false, false));
    let answer = decode(&stage.relayed.pop().unwrap().bytes);
    assert_eq!((other(&answer), origin(&answer)), (Some(addr(PARTNER[0])), Some(addr(ALTERNATE))));
}

#[test]
fn another_port_is_our_own_and_another_address_the_partners() {
    let mut stage = paired();
    stage.datagram(addr(ASKER), &question(false, true));
    assert!(stage.sent.is_empty());
    let sent = stage.relayed.pop().unwrap();
    assert_eq!((sent.to, origin(&decode(&sent.bytes))), (addr(ASKER), Some(addr(ALTERNATE))));
    for (port, from) in [(false, Side::Main), (true, Side::Alternate)] {
        stage.datagram(addr(ASKER), &question(true, port));
        assert!(stage.sent.is_empty() && stage.relayed.is_empty());
        let turned = stage.relay.poll_turned().unwrap();
        assert_eq!((turned.to, turned.from), (addr(ASKER), from));
        // What the partner makes of it.
        let mut partner = alone();
        partner.relay.answer_turned(partner.now, turned);
        partner.drain();
        let (main, alternate) = (partner.sent.pop(), partner.relayed.pop());
        let (sent, nothing) = if port { (alternate, main) } else { (main, alternate) };
        assert_eq!(nothing, None);
        let sent = sent.unwrap();
        assert_eq!(sent.to, addr(ASKER));
        let answer = decode(&sent.bytes);
        assert_eq!(*answer.transaction_id(), transaction(3));
        // The partner here has our own numbers, and the address of this stage.
        assert_eq!(other(&answer), Some(addr(ALTERNATE)));
        let seen = answer.get::<XorMappedAddress>().unwrap().as_xor_mapped_address().unwrap();
        assert_eq!(*seen.socket_address(), addr(ASKER));
    }
}

#[test]
fn what_cannot_be_changed_is_unknown_and_no_other_port_is_answered() {
    let mut stage = alone();
    stage.datagram(addr(ASKER), &question(true, false));
    assert_eq!(code(&decode(&stage.sent.pop().unwrap().bytes)), Some(420));
    assert_eq!(stage.relay.poll_turned(), None);
    let elsewhere = StunMessageBuilder::new(methods::BINDING, MessageClass::Request)
        .with_attribute(ResponsePort::from(53))
        .build();
    stage.datagram(addr(ASKER), &encode(&elsewhere));
    let sent = stage.sent.pop().unwrap();
    assert_eq!((sent.to, code(&decode(&sent.bytes))), (addr(ASKER), Some(420)));
}

#[test]
fn neither_the_asked_nor_its_partner_answers_an_address_more_often_or_longer() {
    let (mut stage, mut partner) = (paired(), paired());
    let mut turned = Vec::new();
    for _ in 0..30 {
        stage.datagram(addr(ASKER), &question(true, true));
        turned.extend(stage.relay.poll_turned());
    }
    assert_eq!(turned.len(), 10);
    for asked in turned.iter().chain(&turned) {
        partner.relay.answer_turned(partner.now, *asked);
    }
    partner.drain();
    assert_eq!(partner.relayed.len(), 10);
    assert_eq!(partner.relay.counters().refused(Refusal::AnswerRate), 10);
    for sent in &partner.relayed {
        assert!(sent.bytes.len() <= 3 * question(true, true).len());
    }
    // A partner that lies of the length has no longer answer for it.
    let lie = super::super::Turned { question_len: 5, ..turned[0] };
    stage.relay.answer_turned(stage.now, lie);
    stage.pass(Duration::from_secs(2));
    stage.relay.answer_turned(stage.now, lie);
    stage.drain();
    assert!(stage.relayed.is_empty());
    // Nor to where a relay may not send.
    let inside = super::super::Turned { to: addr("192.168.1.1:9"), ..turned[0] };
    stage.relay.answer_turned(stage.now, inside);
    stage.drain();
    assert!(stage.relayed.is_empty() && stage.sent.is_empty());
}

#[test]
fn ipv6_answers_stay_within_three_times_their_question() {
    let mut stage = paired();
    let asker = addr("[2a00::9]:5000");
    for question in [question(false, false), question(false, true)] {
        stage.datagram(asker, &question);
        let sent = stage.sent.pop().or_else(|| stage.relayed.pop()).unwrap();
        assert!(sent.bytes.len() <= 3 * question.len(), "{}", sent.bytes.len());
    }
}
