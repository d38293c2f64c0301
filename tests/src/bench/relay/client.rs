//! A TURN client that only measures: it allocates, binds channels, and lends its socket.
//!
//! Source: RFC 8656; coded by stun-rs, as the relay is, but with nothing else in common.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use stun_rs::attributes::StunAttribute;
use stun_rs::attributes::stun::{ErrorCode, MessageIntegrity, Nonce, Realm, UserName};
use stun_rs::attributes::turn::{
    ChannelNumber, LifeTime, RequestedTrasport, XorPeerAddress, XorRelayedAddress,
};
use stun_rs::{
    Algorithm, AlgorithmId, HMACKey, MessageClass, MessageDecoderBuilder, MessageEncoderBuilder,
    MessageMethod, StunMessage, StunMessageBuilder, TransactionId, methods, protocols,
};

use super::super::Stop;

/// How long an answer is waited for before the question is repeated, and how often it is put.
const PATIENCE: Duration = Duration::from_millis(500);
const TRIES: usize = 10;
/// Longer than any answer, and than what is measured with.
pub(super) const ROOM: usize = 2048;

/// Who may allocate at a server.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) username: String,
    pub(super) password: String,
}

/// One allocation.
pub(super) struct Client {
    pub(super) socket: UdpSocket,
    pub(super) relayed: SocketAddr,
    account: Account,
    realm: String,
    nonce: String,
    next: u64,
}

impl Client {
    /// Allocates from a fresh port of loopback.
    pub(super) fn allocate(server: SocketAddr, account: &Account) -> Result<Self, Stop> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Stop::failed)?;
        socket.connect(server).map_err(Stop::failed)?;
        socket.set_read_timeout(Some(PATIENCE)).map_err(Stop::failed)?;
        let (realm, nonce) = (String::new(), String::new());
        let relayed = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        let account = account.clone();
        let mut client = Self { socket, relayed, account, realm, nonce, next: 0 };
        let udp = RequestedTrasport::new(protocols::UDP).into();
        let answer = client.ask(methods::ALLOCATE, &[udp])?;
        let relayed = answer.get::<XorRelayedAddress>();
        let relayed = relayed.and_then(|a| a.as_xor_relayed_address().ok());
        let relayed = relayed.ok_or_else(|| Stop::failed("an allocation without an address"))?;
        client.relayed = *relayed.socket_address();
        Ok(client)
    }

    /// Binds a channel to a peer.
    pub(super) fn bind(&mut self, channel: u16, peer: SocketAddr) -> Result<(), Stop> {
        let attributes = [ChannelNumber::new(channel).into(), XorPeerAddress::from(peer).into()];
        self.ask(methods::CHANNEL_BIND, &attributes).map(|_| ())
    }

    /// Ends the allocation.
    pub(super) fn release(mut self) -> Result<(), Stop> {
        self.ask(methods::REFRESH, &[LifeTime::new(0).into()]).map(|_| ())
    }

    /// Asks, and once more with the nonce that a refusal brought.
    fn ask(
        &mut self,
        method: MessageMethod,
        attributes: &[StunAttribute],
    ) -> Result<StunMessage, Stop> {
        for _ in 0..3 {
            let answer = self.ask_once(method, attributes)?;
            let code = answer.get::<ErrorCode>().and_then(|a| a.as_error_code().ok());
            match code.map(|code| code.error_code().error_code()) {
                None => return Ok(answer),
                Some(401 | 438) => {
                    let nonce = answer.get::<Nonce>().and_then(|a| a.as_nonce().ok());
                    let realm = answer.get::<Realm>().and_then(|a| a.as_realm().ok());
                    self.nonce = nonce.map(|n| n.as_str().to_owned()).unwrap_or_default();
                    self.realm = realm.map(|r| r.as_str().to_owned()).unwrap_or_default();
                }
                Some(other) => return Err(Stop::failed(format!("{method:?} is refused: {other}"))),
            }
        }
        Err(Stop::failed(format!("{method:?}: the credentials are not taken")))
    }

    fn ask_once(
        &mut self,
        method: MessageMethod,
        attributes: &[StunAttribute],
    ) -> Result<StunMessage, Stop> {
        self.next += 1;
        let mut id = [0x5a; 12];
        id[4..].copy_from_slice(&self.next.to_be_bytes());
        let mut builder = StunMessageBuilder::new(method, MessageClass::Request)
            .with_transaction_id(TransactionId::from(id));
        for attribute in attributes {
            builder = builder.with_attribute(attribute.clone());
        }
        if !self.nonce.is_empty() {
            let Account { username, password } = &self.account;
            let md5 = Algorithm::from(AlgorithmId::MD5);
            let key = HMACKey::new_long_term(username, &self.realm, password, md5);
            builder = builder
                .with_attribute(UserName::new(username).map_err(Stop::failed)?)
                .with_attribute(Realm::new(&self.realm).map_err(Stop::failed)?)
                .with_attribute(Nonce::new(&self.nonce).map_err(Stop::failed)?)
                .with_attribute(MessageIntegrity::new(key.map_err(Stop::failed)?));
        }
        let question = encode(&builder.build());
        let mut buffer = [0; ROOM];
        for _ in 0..TRIES {
            self.socket.send(&question).map_err(Stop::failed)?;
            // Whatever else comes meanwhile is passed over; silence has the question repeated.
            while let Ok(length) = self.socket.recv(&mut buffer) {
                let decoded = MessageDecoderBuilder::default().build().decode(&buffer[..length]);
                if let Ok((answer, _)) = decoded
                    && answer.transaction_id().as_bytes() == &id
                {
                    return Ok(answer);
                }
            }
        }
        Err(Stop::failed(format!("{method:?}: no answer")))
    }
}

/// A question without credentials, and without attributes but the transport of an Allocate.
pub(super) fn unproven(method: MessageMethod, number: u64, with_transport: bool) -> Vec<u8> {
    let mut id = [0xa5; 12];
    id[4..].copy_from_slice(&number.to_be_bytes());
    let mut builder = StunMessageBuilder::new(method, MessageClass::Request)
        .with_transaction_id(TransactionId::from(id));
    if with_transport {
        builder = builder.with_attribute(RequestedTrasport::new(protocols::UDP));
    }
    encode(&builder.build())
}

fn encode(message: &StunMessage) -> Vec<u8> {
    let mut buffer = [0; ROOM];
    let encoder = MessageEncoderBuilder::default().build();
    let length = encoder.encode(&mut buffer, message).expect("there is room for all we say");
    buffer[..length].to_vec()
}
