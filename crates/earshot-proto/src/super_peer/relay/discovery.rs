//! NAT behaviour discovery: what a NAT maps and what it lets through, asked of two addresses with
//! two ports each.
//!
//! Source: RFC 5780, sections 4.1, 6 and 7; DESIGN 2.12. One of the addresses is ours, the other is
//! a partner's: another super-peer with the same numbers, which answers in our stead where the
//! answer shall come from another address. Invariants: an answer goes to the source address of its
//! question only; by whom ever it is sent, both ends count it against the ten a second of that
//! address, and it is at most three times as long as its question. RESPONSE-PORT and PADDING, by
//! which others could be made to answer elsewhere or more, are unknown here (420).

use std::net::SocketAddr;
use std::time::Instant;

use super::answer::{AMPLIFICATION_MAX, Answer, Problem, mapped};
use super::counters::Refusal;
use super::glance::Transaction;
use super::peer_rules::Access;
use super::streams::Client;
use super::stun::{
    BINDING, ChangeRequest, ChangeRequestFlags, MappedAddress, MessageClass, OtherAddress,
    ResponseOrigin, StunAttribute, StunAttributeType, StunMessage, StunMessageBuilder,
    TransactionId,
};
use super::{Relay, RelayOutput, integrity, stranger, stun};
use crate::port::{RelayPortEvent, RelayPortId, RelayPortOrder, Transmit, canonical};

/// The alternate port's name: no allocation has it, since there are never so many.
pub(super) const ALTERNATE: RelayPortId = RelayPortId(u32::MAX);

/// One of the two ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The main port.
    Main,
    /// The one after it.
    Alternate,
}

impl Side {
    const fn other(self) -> Self {
        match self {
            Self::Main => Self::Alternate,
            Self::Alternate => Self::Main,
        }
    }
}

/// A Binding question that the partner is to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turned {
    /// Who asked, as it was seen.
    pub to: SocketAddr,
    /// The question's transaction.
    pub transaction: [u8; 12],
    /// Its length.
    pub question_len: u16,
    /// Which of the ports of the one who was asked it came to.
    pub asked: Side,
    /// From where the answer is to come.
    pub from: Side,
}

/// What is known of the four addresses.
pub(super) struct Discovery {
    main: Option<SocketAddr>,
    alternate: Option<SocketAddr>,
    /// The partner's main and alternate port.
    partner: Option<[SocketAddr; 2]>,
}

impl Discovery {
    pub(super) const fn new(main: Option<SocketAddr>) -> Self {
        Self { main, alternate: None, partner: None }
    }

    /// Ours.
    const fn own(&self, side: Side) -> Option<SocketAddr> {
        match side {
            Side::Main => self.main,
            Side::Alternate => self.alternate,
        }
    }

    fn partners(&self, side: Side) -> Option<SocketAddr> {
        let [main, alternate] = self.partner?;
        Some(match side {
            Side::Main => main,
            Side::Alternate => alternate,
        })
    }

    /// Where the answer to a question comes from, and where it would come from with both changed;
    /// with that also what old clients know, so that they see whether somebody changes addresses
    /// on the way.
    fn described(&self, asked: Side, from: Side, to: SocketAddr) -> Vec<StunAttribute> {
        let other = self.partners(asked.other());
        let plain = canonical(to);
        let plain = other.map(|_| StunAttribute::from(MappedAddress::from(plain)));
        let other = other.map(|other| StunAttribute::from(OtherAddress::from(other)));
        let origin = self.own(from).map(|origin| StunAttribute::from(ResponseOrigin::from(origin)));
        other.into_iter().chain(origin).chain(plain).collect()
    }
}

impl Relay {
    /// The alternate port as others see it, once it is open.
    #[must_use]
    pub const fn alternate(&self) -> Option<SocketAddr> {
        self.discovery.alternate
    }

    /// Has that super-peer answer where another address is asked for: its main and its alternate
    /// port.
    pub const fn set_partner(&mut self, partner: Option<[SocketAddr; 2]>) {
        self.discovery.partner = partner;
    }

    /// Gives a question that the partner is to answer, as long as there is one.
    pub fn poll_turned(&mut self) -> Option<Turned> {
        self.turned.pop_front()
    }

    /// Answers in the stead of another super-peer, which vouches for the question.
    pub fn answer_turned(&mut self, now: Instant, turned: Turned) {
        let is_denied = self.rules.access(turned.to.ip()) == Access::Denied;
        if is_denied || !self.answers.admit(now, stranger(turned.to.ip())) {
            return self.counters.refuse(Refusal::AnswerRate);
        }
        let question = StunMessageBuilder::new(BINDING, MessageClass::Request)
            .with_transaction_id(TransactionId::from(turned.transaction))
            .build();
        let mut attributes = vec![mapped(turned.to)];
        // With both changed it would be we, and the port that was not asked.
        let other = self.discovery.own(turned.asked.other());
        attributes.extend(other.map(|other| StunAttribute::from(OtherAddress::from(other))));
        let origin = self.discovery.own(turned.from);
        attributes.extend(origin.map(|origin| StunAttribute::from(ResponseOrigin::from(origin))));
        let spare = attributes.len() - 1;
        let answer = Answer::new(&question, Ok(attributes)).sparing(spare);
        match answer.encode_within(AMPLIFICATION_MAX * usize::from(turned.question_len)) {
            Some(bytes) => self.send_from(turned.from, turned.to, bytes),
            None => self.counters.refuse(Refusal::AnswerSize),
        }
    }

    /// Takes what happened at the alternate port.
    pub(super) fn at_alternate(&mut self, now: Instant, event: RelayPortEvent<'_>) {
        match event {
            RelayPortEvent::Opened(address) => {
                let address = canonical(address);
                self.discovery.alternate = Some(address);
            }
            RelayPortEvent::Failed => {
                tracing::info!("There is no alternate port: NAT behaviour is not told");
            }
            RelayPortEvent::Datagram { from, bytes } => {
                let from = canonical(from);
                match self.decoded(bytes).filter(|message| message.method() == BINDING) {
                    Some(message) if message.class() == MessageClass::Request => {
                        self.binding(now, Client::Udp(from), Side::Alternate, &message, bytes);
                    }
                    Some(_) | None => self.counters.refuse(Refusal::Malformed),
                }
            }
        }
    }

    /// Binding, RFC 8489 section 6.3: anybody may ask what address it is seen at.
    pub(super) fn binding(
        &mut self,
        now: Instant,
        from: Client,
        at: Side,
        message: &StunMessage,
        bytes: &[u8],
    ) {
        let (turned_away, side) = match self.asked_change(from, at, message) {
            Ok(asked) => asked,
            Err(problem) => {
                let answer = Answer::new(message, Err(problem));
                return self.answer_stranger(now, (from, at), bytes.len(), &answer);
            }
        };
        if turned_away {
            return self.turn(now, from.address(), (at, side), message, bytes.len());
        }
        let mut attributes = vec![mapped(from.address())];
        if let Client::Udp(_) = from {
            attributes.extend(self.discovery.described(at, side, from.address()));
        }
        let spare = attributes.len() - 1;
        let answer = Answer::new(message, Ok(attributes)).sparing(spare);
        self.answer_stranger(now, (from, side), bytes.len(), &answer);
    }

    /// Whether the partner is to answer, and from which port.
    fn asked_change(
        &self,
        from: Client,
        at: Side,
        message: &StunMessage,
    ) -> Result<(bool, Side), Problem> {
        let mut unknown = integrity::not_understood(message);
        let asked = message.get::<ChangeRequest>().and_then(|a| a.as_change_request().ok());
        let flags = asked.map(ChangeRequest::flags).unwrap_or_default();
        let change_ip = flags.contains(ChangeRequestFlags::ChangeIp);
        let change_port = flags.contains(ChangeRequestFlags::ChangePort);
        let side = if change_port { at.other() } else { at };
        let can = matches!(from, Client::Udp(_))
            && self.discovery.own(side).is_some()
            && (!change_ip || self.discovery.partner.is_some());
        if can {
            unknown.retain(|kind| *kind != ChangeRequest::get_type().as_u16());
        }
        if unknown.is_empty() { Ok((change_ip, side)) } else { Err(Problem::Unknown(unknown)) }
    }

    fn turn(
        &mut self,
        now: Instant,
        to: SocketAddr,
        (asked, from): (Side, Side),
        message: &StunMessage,
        question_len: usize,
    ) {
        if !self.answers.admit(now, stranger(to.ip())) || self.turned.len() >= TURNED_MAX {
            return self.counters.refuse(Refusal::AnswerRate);
        }
        let transaction: Transaction = *message.transaction_id().as_bytes();
        let question_len = u16::try_from(question_len).unwrap_or(u16::MAX);
        self.turned.push_back(Turned { to, transaction, question_len, asked, from });
    }

    pub(super) fn send_from(&mut self, from: Side, to: SocketAddr, bytes: Vec<u8>) {
        self.counters.answers += 1;
        let transmit = Transmit { to, bytes };
        self.out.push_back(match from {
            Side::Main => RelayOutput::Send(transmit),
            Side::Alternate => RelayOutput::RelayPort(ALTERNATE, RelayPortOrder::Send(transmit)),
        });
    }

    /// The message that these bytes are, if they are one that we would answer.
    pub(super) fn decoded(&self, bytes: &[u8]) -> Option<StunMessage> {
        let decoded = Some(bytes).filter(|bytes| bytes.len() <= super::REQUEST_MAX);
        let decoded = decoded.and_then(stun::decode);
        decoded.filter(|known| integrity::is_fingerprint_right(known, bytes))
    }
}

/// Questions that wait to be turned to the partner: they are fetched after each input.
const TURNED_MAX: usize = 64;
