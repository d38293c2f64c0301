//! Stories of the relay in virtual time: a stage with clients, peers and a clock that only the
//! story moves.

mod abuse;
mod carrying;
mod discovery;
mod requests;
mod streams;

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use stun_rs::attributes::StunAttribute;
use stun_rs::attributes::stun::{
    ErrorCode, Fingerprint, MessageIntegrity, Nonce, Realm, UserName as Username,
};
use stun_rs::attributes::turn::{RequestedTrasport, XorPeerAddress, XorRelayedAddress};
use stun_rs::{
    Algorithm, AlgorithmId, HMACKey, MessageClass, MessageDecoderBuilder, MessageEncoderBuilder,
    MessageMethod, StunMessage, StunMessageBuilder, TransactionId, methods, protocols,
};

use super::{Grant, REALM, Relay, RelayConfig, RelayOutput};
use crate::entropy::Entropy;
use crate::ids::UserName;
use crate::port::{LinkId, LinkOrder, RelayPortEvent, RelayPortId, RelayPortOrder, Transmit};
use crate::time::UnixTime;

/// One moment that all stories of a run start at.
pub(super) fn start() -> Instant {
    static START: LazyLock<Instant> = LazyLock::new(|| {
        #[expect(clippy::disallowed_methods, reason = "an Instant can be had from nowhere else")]
        Instant::now()
    });
    *START
}

pub(super) const NOON: UnixTime = UnixTime(1_800_000_000_000);

pub(super) fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(super) struct Stage {
    pub(super) relay: Relay,
    pub(super) now: Instant,
    /// What left the main port and was not read yet.
    pub(super) sent: Vec<Transmit>,
    /// What left relay ports and was not read yet.
    pub(super) relayed: Vec<Transmit>,
    pub(super) closed: Vec<RelayPortId>,
    /// Orders to open a port, where the story answers them itself.
    pub(super) orders: Vec<RelayPortId>,
    pub(super) opens_by_itself: bool,
    /// What was ordered of links and was not read yet.
    pub(super) links: Vec<(LinkId, LinkOrder)>,
    ports: Vec<(SocketAddr, RelayPortId)>,
    next_port: u16,
}

pub(super) struct Client {
    pub(super) address: SocketAddr,
    pub(super) username: String,
    pub(super) password: String,
    pub(super) nonce: String,
    transaction: u64,
}

impl Stage {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut RelayConfig)) -> Self {
        let mut config = RelayConfig { ipv6: true, ..RelayConfig::default() };
        config.own = vec!["198.51.100.1".parse().unwrap()];
        change(&mut config);
        Self {
            relay: Relay::new(start(), &config, Entropy::new([9; 32]).secrets),
            now: start(),
            sent: Vec::new(),
            relayed: Vec::new(),
            closed: Vec::new(),
            orders: Vec::new(),
            opens_by_itself: true,
            links: Vec::new(),
            ports: Vec::new(),
            next_port: 49_152,
        }
    }

    pub(super) fn wall(&self) -> UnixTime {
        NOON.plus(self.now - start())
    }

    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.relay.poll_timeout().filter(|at| *at <= end) {
            self.now = at;
            self.relay.handle_timeout(at);
            self.drain();
        }
        self.now = end;
    }

    pub(super) fn client(&mut self, name: &str, address: &str) -> Client {
        let name = UserName::new(name).unwrap();
        let Grant { username, password, .. } =
            self.relay.grant(self.now, self.wall(), &name).unwrap();
        let password = password.to_string();
        Client { address: addr(address), username, password, nonce: String::new(), transaction: 0 }
    }

    pub(super) fn datagram(&mut self, from: SocketAddr, bytes: &[u8]) {
        self.relay.handle_datagram(self.now, self.wall(), from, bytes);
        self.drain();
    }

    /// A datagram from a peer to a relayed address.
    pub(super) fn peer_sends(&mut self, peer: &str, relayed: SocketAddr, bytes: &[u8]) {
        let (_, port) = *self.ports.iter().find(|(known, _)| *known == relayed).unwrap();
        let event = RelayPortEvent::Datagram { from: addr(peer), bytes };
        self.relay.handle_relay_port(self.now, port, event);
        self.drain();
    }

    pub(super) fn drain(&mut self) {
        while let Some(output) = self.relay.poll_output() {
            match output {
                RelayOutput::Send(transmit) => self.sent.push(transmit),
                RelayOutput::Link(link, order) => self.links.push((link, order)),
                RelayOutput::RelayPort(_, RelayPortOrder::Send(transmit)) => {
                    self.relayed.push(transmit);
                }
                RelayOutput::RelayPort(port, RelayPortOrder::Close) => self.closed.push(port),
                RelayOutput::RelayPort(port, RelayPortOrder::OpenAlternate) => {
                    let alternate = addr("198.51.100.1:37374");
                    self.ports.push((alternate, port));
                    let opened = RelayPortEvent::Opened(alternate);
                    self.relay.handle_relay_port(self.now, port, opened);
                }
                RelayOutput::RelayPort(port, RelayPortOrder::Open { ipv6, even }) => {
                    if self.opens_by_itself {
                        self.next_port += u16::from(even) * (self.next_port % 2);
                        self.open(port, ipv6);
                    } else {
                        self.orders.push(port);
                    }
                }
            }
        }
    }

    fn open(&mut self, port: RelayPortId, ipv6: bool) {
        let host = if ipv6 { "[2a00:51::1]" } else { "198.51.100.1" };
        let address = addr(&format!("{host}:{}", self.next_port));
        self.next_port += 1;
        self.ports.push((address, port));
        self.relay.handle_relay_port(self.now, port, RelayPortEvent::Opened(address));
    }

    /// Sends the request with the nonce that the client has, and reads the answer.
    pub(super) fn ask_once(
        &mut self,
        client: &mut Client,
        method: MessageMethod,
        attributes: &[StunAttribute],
    ) -> Option<StunMessage> {
        let request = client.request(method, attributes);
        self.datagram(client.address, &request);
        self.sent.pop().map(|answer| decode(&answer.bytes))
    }

    /// Asks as a client does: once more with the nonce that a 401 or 438 brought.
    pub(super) fn ask(
        &mut self,
        client: &mut Client,
        method: MessageMethod,
        attributes: &[StunAttribute],
    ) -> StunMessage {
        let answer = self.ask_once(client, method, attributes).unwrap();
        if !matches!(code(&answer), Some(401 | 438)) {
            return answer;
        }
        let nonce = answer.get::<Nonce>().unwrap().as_nonce().unwrap();
        client.nonce = nonce.as_str().to_owned();
        self.ask_once(client, method, attributes).unwrap()
    }

    pub(super) fn allocate(&mut self, client: &mut Client) -> SocketAddr {
        let answer = self.ask(client, methods::ALLOCATE, &[udp()]);
        assert_eq!(code(&answer), None, "{answer:?}");
        relayed_address(&answer)
    }

    pub(super) fn permit(&mut self, client: &mut Client, peers: &[&str]) -> Option<u16> {
        let peers: Vec<_> = peers.iter().map(|p| XorPeerAddress::from(addr(p)).into()).collect();
        code(&self.ask(client, methods::CREATE_PERMMISSION, &peers))
    }
}

impl Client {
    pub(super) fn request(
        &mut self,
        method: MessageMethod,
        attributes: &[StunAttribute],
    ) -> Vec<u8> {
        self.transaction += 1;
        let mut builder = StunMessageBuilder::new(method, MessageClass::Request)
            .with_transaction_id(transaction(self.transaction));
        for attribute in attributes {
            builder = builder.with_attribute(attribute.clone());
        }
        if !self.nonce.is_empty() {
            builder = builder
                .with_attribute(Username::new(&self.username).unwrap())
                .with_attribute(Realm::new(REALM).unwrap())
                .with_attribute(Nonce::new(&self.nonce).unwrap())
                .with_attribute(MessageIntegrity::new(self.key()));
        }
        encode(&builder.with_attribute(Fingerprint::default()).build())
    }

    pub(super) fn key(&self) -> HMACKey {
        let algorithm = Algorithm::from(AlgorithmId::MD5);
        HMACKey::new_long_term(&self.username, REALM, &self.password, algorithm).unwrap()
    }
}

pub(super) fn transaction(number: u64) -> TransactionId {
    let mut bytes = [0x5a; 12];
    bytes[4..].copy_from_slice(&number.to_be_bytes());
    TransactionId::from(bytes)
}

pub(super) fn encode(message: &StunMessage) -> Vec<u8> {
    let mut buffer = [0; 1400];
    let len = MessageEncoderBuilder::default().build().encode(&mut buffer, message).unwrap();
    buffer[..len].to_vec()
}

pub(super) fn decode(bytes: &[u8]) -> StunMessage {
    MessageDecoderBuilder::default().build().decode(bytes).unwrap().0
}

pub(super) fn udp() -> StunAttribute {
    RequestedTrasport::new(protocols::UDP).into()
}

pub(super) fn code(answer: &StunMessage) -> Option<u16> {
    answer.get::<ErrorCode>().map(|a| a.as_error_code().unwrap().error_code().error_code())
}

pub(super) fn relayed_address(answer: &StunMessage) -> SocketAddr {
    let attribute = answer.get::<XorRelayedAddress>().unwrap();
    *attribute.as_xor_relayed_address().unwrap().socket_address()
}

/// A check as ICE sends it, or its answer: RFC 8445, section 7.
pub(super) fn check(class: MessageClass, username: Option<&str>, number: u64) -> Vec<u8> {
    let mut builder =
        StunMessageBuilder::new(methods::BINDING, class).with_transaction_id(transaction(number));
    if let Some(username) = username {
        builder = builder.with_attribute(Username::new(username).unwrap());
    }
    let key = HMACKey::new_short_term("the password of the call").unwrap();
    let sealed = builder.with_attribute(MessageIntegrity::new(key));
    encode(&sealed.with_attribute(Fingerprint::default()).build())
}

pub(super) fn channel_data(number: u16, payload: &[u8]) -> Vec<u8> {
    super::framing::channel_data(number, payload).unwrap()
}

pub(super) fn send_indication(peer: &str, payload: &[u8]) -> Vec<u8> {
    let message = StunMessageBuilder::new(methods::SEND, MessageClass::Indication)
        .with_transaction_id(transaction(7))
        .with_attribute(XorPeerAddress::from(addr(peer)))
        .with_attribute(stun_rs::attributes::turn::Data::new(payload))
        .build();
    encode(&message)
}
