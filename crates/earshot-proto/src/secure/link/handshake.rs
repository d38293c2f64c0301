//! The three messages before a link is open, and whom they make us believe.

use std::time::Instant;

use super::{
    Expect, LENGTH, LinkError, LinkNews, LocalIdentity, MAJOR, Opened, Remote, SecureLink, State,
    Terms, Welcome,
};
use crate::entropy::Stream;
use crate::port::Service;
use crate::secure::aes::TAG;
use crate::secure::identity::{CLOCK_SLACK, Disbelief, Use, Verified, network, verify_chain};
use crate::secure::noise::{self, HandshakeState, KEY, Start};
use crate::secure::records::RECORD_MAX;
use crate::time::UnixTime;
use crate::wire::Wire;
use crate::wire::certificate::{AgreeKey, Chain, Hello, Subject, VerifyKey};

const PATTERN: &str = "Noise_XX_25519_AESGCM_SHA256";
/// What XX adds to a payload at most: an ephemeral and a sealed static key, and the payload's tag.
const OVERHEAD: usize = KEY + KEY + TAG + TAG;

pub(super) fn dialler(
    local: &LocalIdentity<'_>,
    service: Service,
    secrets: &mut Stream,
) -> HandshakeState {
    start(local, &prologue(&local.root, service)).initiator(secrets)
}

pub(super) fn accepter(
    local: &LocalIdentity<'_>,
    service: Service,
    secrets: &mut Stream,
) -> HandshakeState {
    start(local, &prologue(&local.root, service)).responder(secrets)
}

fn start<'a>(local: &LocalIdentity<'a>, prologue: &'a [u8]) -> Start<'a> {
    Start { pattern: PATTERN, key: Some(local.key), remote: None, shared: None, prologue }
}

fn prologue(root: &VerifyKey, service: Service) -> Vec<u8> {
    [b"earshot".as_slice(), &[MAJOR], &network(root).0, &[service as u8]].concat()
}

impl SecureLink {
    /// Takes one handshake message and answers it.
    pub(super) fn handle_greeting(
        &mut self,
        now: Instant,
        wall: UnixTime,
        message: &[u8],
    ) -> Result<Option<LinkNews>, LinkError> {
        let State::Greeting(handshake) = &mut self.state else {
            return Err(LinkError::Closed);
        };
        let mut payload = [0; RECORD_MAX];
        let len =
            handshake.read_message(message, &mut payload).map_err(|_| LinkError::Handshake)?;
        let Some(key) = noise::remote_static(handshake) else {
            let hello = self.hello(wall);
            return self.write_greeting(&hello).map(|()| None);
        };
        let hello = Hello::from_bytes(&payload[..len]).map_err(LinkError::Hello)?;
        let remote = match self.terms {
            Terms::Dialled(expect) => {
                let remote = expected(expect, &self.root, wall, key, &hello)?;
                let hello = self.hello(wall);
                self.write_greeting(&hello)?;
                remote
            }
            Terms::Accepted(welcome) => {
                welcomed(welcome, &self.root, wall, key, hello.chain.as_ref())?
            }
        };
        let binding = self.open(now)?;
        let Hello { features, chain, clock } = hello;
        let opened = Opened { remote, chain, features, clock, binding };
        Ok(Some(LinkNews::Open(opened)))
    }

    /// Writes our next handshake message.
    pub(super) fn write_greeting(&mut self, payload: &[u8]) -> Result<(), LinkError> {
        let State::Greeting(handshake) = &mut self.state else {
            return Err(LinkError::Closed);
        };
        let mut message = vec![0; OVERHEAD + payload.len()];
        let len =
            handshake.write_message(payload, &mut message).map_err(|_| LinkError::Handshake)?;
        let length = u16::try_from(len).expect("a hello is bounded by Hello::MAX");
        self.ready.reserve(LENGTH + len);
        self.ready.extend_from_slice(&length.to_be_bytes());
        self.ready.extend_from_slice(&message[..len]);
        Ok(())
    }

    /// Goes over to records and tells the handshake's hash.
    fn open(&mut self, now: Instant) -> Result<[u8; 32], LinkError> {
        let State::Greeting(handshake) = std::mem::replace(&mut self.state, State::Closed) else {
            return Err(LinkError::Closed);
        };
        let binding = *handshake.get_handshake_hash().first_chunk().expect("SHA-256 has 32 bytes");
        let transport = handshake.into_transport_mode().map_err(|_| LinkError::Handshake)?;
        self.state = State::Open(Box::new(transport));
        (self.spoke, self.heard) = (now, now);
        Ok(binding)
    }

    fn hello(&self, wall: UnixTime) -> Vec<u8> {
        Hello { features: self.features, chain: self.chain.clone(), clock: wall }.to_bytes()
    }
}

fn expected(
    expect: Expect,
    root: &VerifyKey,
    wall: UnixTime,
    key: AgreeKey,
    hello: &Hello,
) -> Result<Remote, LinkError> {
    let purpose = match expect {
        Expect::Key(wanted) | Expect::Uncertified(wanted) if wanted != key => {
            return Err(LinkError::WrongKey { got: key });
        }
        Expect::Uncertified(_) => return Ok(Remote::Guest(key)),
        Expect::Key(_) | Expect::Anyone => Use::Present,
        Expect::DeviceOf(_) => Use::Nearby,
    };
    let chain = hello.chain.as_ref().ok_or(LinkError::NoCertificate)?;
    let verified = certified(chain, root, wall, key, purpose)
        .map_err(|error| disputed(error, wall, hello.clock))?;
    match (expect, &verified.statement.subject) {
        (Expect::DeviceOf(wanted), Subject::Device { identity, .. }) if wanted == *identity => {}
        (Expect::DeviceOf(_), _) => return Err(LinkError::WrongKey { got: key }),
        (Expect::Anyone | Expect::Key(_) | Expect::Uncertified(_), _) => {}
    }
    Ok(Remote::Certified(verified))
}

/// A certificate out of its time, seen by clocks that are far apart, tells of a wrong clock.
fn disputed(error: LinkError, ours: UnixTime, theirs: UnixTime) -> LinkError {
    let apart = ours.since(theirs).max(theirs.since(ours));
    if apart > CLOCK_SLACK
        && let LinkError::Refused(why @ (Disbelief::NotYet { .. } | Disbelief::Expired { .. })) =
            &error
    {
        return LinkError::ClocksDisagree(why.clone(), theirs);
    }
    error
}

fn welcomed(
    welcome: Welcome,
    root: &VerifyKey,
    wall: UnixTime,
    key: AgreeKey,
    chain: Option<&Chain>,
) -> Result<Remote, LinkError> {
    match (chain, welcome) {
        (None, Welcome::Certified | Welcome::Neighbours) => Err(LinkError::NoCertificate),
        (None, Welcome::Guests | Welcome::Renewals) => Ok(Remote::Guest(key)),
        (Some(chain), Welcome::Certified | Welcome::Guests) => {
            certified(chain, root, wall, key, Use::Present).map(Remote::Certified)
        }
        (Some(chain), Welcome::Renewals | Welcome::Neighbours) => {
            certified(chain, root, wall, key, Use::Nearby).map(Remote::Certified)
        }
    }
}

fn certified(
    chain: &Chain,
    root: &VerifyKey,
    wall: UnixTime,
    key: AgreeKey,
    purpose: Use,
) -> Result<Verified, LinkError> {
    let verified = verify_chain(chain, root, wall, purpose)?;
    if verified.keys().agree != key {
        return Err(LinkError::Refused(Disbelief::NotTheHolder));
    }
    Ok(verified)
}
