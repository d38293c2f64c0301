//! Envelopes: content sealed from one device to another, carried by super-peers who learn neither.
//! DESIGN 2.8, 2.10.
//!
//! Source: `Noise_X_25519_AESGCM_SHA256` (Noise revision 34, section 7.4). An envelope is
//! `ephemeral key (32) ‖ sealed static key (48) ‖ tag of an empty payload (16)`, then one-way
//! transport messages of at most 65,535 bytes that together hold `length (4 bytes, big-endian) ‖
//! Letter ‖ zeros`, padded to one of few lengths, so that the envelope's length tells little.
//! Prologue: `"earshot-envelope" ‖ network id`. The sender is proved by a key agreement and not by
//! a signature: the recipient knows who wrote, and can prove it to nobody. What this pattern does
//! not give: secrecy after the recipient's link key is stolen, and proof of the sender against who
//! stole it; calls add fresh keys of both sides ([`call_keys`](super::call_keys)). Invariants: an
//! [`Opened`] exists only if the certified device sealed it; equal envelopes have equal ids and
//! changed ones do not open, so whoever remembers ids drops repeats.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::aes::TAG;
use super::identity::{Disbelief, Keys, LinkKey, Use, Verified, network, verify_chain};
use super::noise::{KEY, Start, remote_static};
use crate::entropy::Stream;
use crate::ids::NetworkId;
use crate::time::UnixTime;
use crate::wire::bounded::{Bytes, TooMany};
use crate::wire::certificate::{AgreeKey, Chain, HolderKeys, Subject, VerifyKey};
use crate::wire::directory::NodeEntry;
use crate::wire::envelope::Letter;
use crate::wire::forward::{Address, ENVELOPE_MAX};
use crate::wire::sealed::Content;
use crate::wire::{DecodeError, Wire};

const PATTERN: &str = "Noise_X_25519_AESGCM_SHA256";
/// The Noise message before the body, in bytes.
const HEAD: usize = KEY + KEY + TAG + TAG;
/// Longest Noise transport message (Noise, section 3).
const MESSAGE_MAX: usize = 65_535;
/// Bytes of the letter's length.
const LENGTH: usize = 4;
/// Lengths that a body is padded to; longer ones to multiples of the last. Our choice: a receipt or
/// a candidate, an offer, a message; the certificate alone takes half of the first.
const PADDED: [usize; 3] = [1024, 2048, 4096];

/// Names an envelope: SHA-256 of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EnvelopeId(pub [u8; 32]);

/// The certified device that sealed an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Its user and itself.
    pub address: Address,
    /// The user's identity key K_u, to be compared with the pinned one.
    pub identity: VerifyKey,
    /// Its own keys: answers are sealed to `keys.agree`.
    pub keys: HolderKeys,
    /// The end of its certificate; an envelope is believed somewhat longer.
    pub certified_until: UnixTime,
}

/// What was in an envelope.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    /// Its name, the same whenever the same envelope comes again.
    pub id: EnvelopeId,
    /// Who sealed it.
    pub sender: Sender,
    /// When, by the sender's clock.
    pub sealed_at: UnixTime,
    /// The super-peer that served the sender then.
    pub home: Option<NodeEntry>,
    /// What is said.
    pub content: Content,
}

/// Why an envelope cannot be sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The recipient's key is no key: everybody would know the secret.
    #[error("the recipient's key is unusable")]
    UnusableKey,
    /// The content or the certificate is longer than an envelope holds.
    #[error(transparent)]
    TooLong(#[from] TooMany),
}

/// Why an envelope is not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not sealed to us in this network, or changed on the way.
    #[error("not sealed to this device, or changed")]
    NotForUs,
    /// The sender's certificate is not believed.
    #[error("sender refused: {0}")]
    Refused(#[from] Disbelief),
    /// The inside cannot be read.
    #[error("unreadable content: {0}")]
    Unreadable(#[from] DecodeError),
}

/// A device that seals.
#[derive(Clone, Copy, Debug)]
pub struct From<'a> {
    /// Its keys.
    pub keys: &'a Keys,
    /// Its certificate.
    pub chain: &'a Chain,
    /// The super-peer that serves it.
    pub home: Option<NodeEntry>,
}

/// Seals `content` from one device to the device whose certified key is `to`.
///
/// # Errors
/// [`SealError`].
pub fn seal(
    from: From<'_>,
    to: &AgreeKey,
    network: &NetworkId,
    wall: UnixTime,
    content: &Content,
    secrets: &mut Stream,
) -> Result<Bytes<ENVELOPE_MAX>, SealError> {
    let content = Bytes::new(content.to_bytes())?;
    let (sender, home) = (from.chain.clone(), from.home);
    let letter = Letter { sender, sealed_at: wall, content, home };
    let letter = Zeroizing::new(letter.to_bytes());
    if letter.len() > Letter::MAX {
        return Err(TooMany { got: letter.len(), max: Letter::MAX }.into());
    }
    let body = padded(&letter);
    let prologue = prologue(network);
    let start = Start {
        pattern: PATTERN,
        key: Some(&from.keys.link),
        remote: Some(to),
        shared: None,
        prologue: &prologue,
    };
    let mut handshake = start.initiator(secrets);
    let mut envelope = vec![0; HEAD];
    handshake.write_message(&[], &mut envelope).map_err(|_| SealError::UnusableKey)?;
    let mut transport = handshake.into_transport_mode().expect("X is one message");
    for part in body.chunks(MESSAGE_MAX - TAG) {
        let at = envelope.len();
        envelope.resize(at + part.len() + TAG, 0);
        transport.write_message(part, &mut envelope[at..]).expect("the buffer fits");
    }
    Ok(Bytes::new(envelope)?)
}

/// Opens an envelope that came to the device of `own`; `purpose` says how an ended certificate of
/// its sender is taken.
///
/// # Errors
/// [`EnvelopeError`].
pub fn open(
    own: &LinkKey,
    root: &VerifyKey,
    wall: UnixTime,
    purpose: Use,
    envelope: &[u8],
) -> Result<Opened, EnvelopeError> {
    let (key, body) = unseal(own, &network(root), envelope).ok_or(EnvelopeError::NotForUs)?;
    let letter = Letter::from_bytes(unpadded(&body)?)?;
    let verified = verify_chain(&letter.sender, root, wall, purpose)?;
    if verified.keys().agree != key {
        return Err(Disbelief::NotTheHolder.into());
    }
    let sender = device(verified)?;
    let content = Content::from_bytes(&letter.content)?;
    let id = EnvelopeId(Sha256::digest(envelope).into());
    Ok(Opened { id, sender, sealed_at: letter.sealed_at, home: letter.home, content })
}

/// The sender's proved key and the padded body.
fn unseal(
    own: &LinkKey,
    network: &NetworkId,
    envelope: &[u8],
) -> Option<(AgreeKey, Zeroizing<Vec<u8>>)> {
    if envelope.len() > ENVELOPE_MAX {
        return None;
    }
    let (head, sealed) = envelope.split_at_checked(HEAD)?;
    let prologue = prologue(network);
    let start =
        Start { pattern: PATTERN, key: Some(own), remote: None, shared: None, prologue: &prologue };
    let mut handshake = start.reader();
    handshake.read_message(head, &mut []).ok()?;
    let key = remote_static(&handshake)?;
    let mut transport = handshake.into_transport_mode().ok()?;
    let mut body = Zeroizing::new(vec![0; sealed.len()]);
    let mut len = 0;
    for message in sealed.chunks(MESSAGE_MAX) {
        len += transport.read_message(message, &mut body[len..]).ok()?;
    }
    body.truncate(len);
    Some((key, body))
}

fn device(verified: Verified) -> Result<Sender, Disbelief> {
    let keys = verified.keys();
    match verified.statement.subject {
        Subject::Device { user, identity, device, keys: _ } => Ok(Sender {
            address: Address { user, device },
            identity,
            keys,
            certified_until: verified.statement.not_after,
        }),
        Subject::Authority { .. } | Subject::Node { .. } => Err(Disbelief::WrongKind),
    }
}

fn prologue(network: &NetworkId) -> Vec<u8> {
    [b"earshot-envelope".as_slice(), &network.0].concat()
}

fn padded(letter: &[u8]) -> Zeroizing<Vec<u8>> {
    let len = LENGTH + letter.len();
    let [.., step] = PADDED;
    let target =
        PADDED.into_iter().find(|p| len <= *p).unwrap_or_else(|| len.next_multiple_of(step));
    let mut body = Vec::with_capacity(target);
    body.extend_from_slice(&(letter.len() as u32).to_be_bytes());
    body.extend_from_slice(letter);
    body.resize(target, 0);
    Zeroizing::new(body)
}

fn unpadded(body: &[u8]) -> Result<&[u8], DecodeError> {
    let short = DecodeError::TooShort { got: body.len() };
    let (length, rest) = body.split_first_chunk::<LENGTH>().ok_or(short.clone())?;
    usize::try_from(u32::from_be_bytes(*length)).ok().and_then(|len| rest.get(..len)).ok_or(short)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{DAY, Device, NOW, Network};
    use super::*;
    use crate::ids::MessageId;
    use crate::wire::bounded::Text;
    use crate::wire::sealed::chat::{Chat, TEXT_MAX};

    fn text(len: usize) -> Content {
        let text = Text::new("x".repeat(len)).expect("short enough");
        let (id, copy_of_message_to) = (MessageId([1; 16]), None);
        Content::Chat(Chat::Message { id, number: 1, written: NOW, text, copy_of_message_to })
    }

    const fn by<'a>(keys: &'a Keys, chain: &'a Chain) -> From<'a> {
        From { keys, chain, home: None }
    }

    fn alice_and_bob() -> (Network, Device, Device) {
        let mut network = Network::new(1);
        let (alice, bob) = (network.device("alice"), network.device("bob"));
        (network, alice, bob)
    }

    fn sealed(
        network: &mut Network,
        from: &Device,
        chain: &Chain,
        to: &Device,
        c: &Content,
    ) -> Vec<u8> {
        let id = super::network(&network.root());
        let to = to.keys.public().agree;
        seal(by(&from.keys, chain), &to, &id, NOW, c, &mut network.secrets)
            .expect("sealed")
            .into_vec()
    }

    #[test]
    fn the_recipient_reads_it_and_knows_who_wrote() {
        let (mut network, alice, bob) = alice_and_bob();
        for len in [0, 1000, 3000, TEXT_MAX] {
            let envelope = sealed(&mut network, &alice, &alice.chain, &bob, &text(len));
            let opened = open(&bob.keys.link, &network.root(), NOW, Use::Addressing, &envelope)
                .expect("for Bob");
            assert_eq!(opened.content, text(len));
            assert_eq!(opened.sealed_at, NOW);
            assert_eq!(opened.sender.address.user, alice.user);
            assert_eq!(opened.sender.address.device, alice.id);
            assert_eq!(opened.sender.identity, alice.identity);
            assert_eq!(opened.sender.keys, alice.keys.public());
        }
    }

    #[test]
    fn nobody_else_reads_it() {
        let (mut network, alice, bob) = alice_and_bob();
        let carol = network.device("carol");
        let envelope = sealed(&mut network, &alice, &alice.chain, &bob, &text(5));
        for key in [&carol.keys.link, &alice.keys.link] {
            let opened = open(key, &network.root(), NOW, Use::Addressing, &envelope);
            assert_eq!(opened, Err(EnvelopeError::NotForUs));
        }
        let elsewhere =
            open(&bob.keys.link, &Network::new(2).root(), NOW, Use::Addressing, &envelope);
        assert_eq!(elsewhere, Err(EnvelopeError::NotForUs));
    }

    #[test]
    fn a_changed_cut_or_longer_envelope_does_not_open() {
        let (mut network, alice, bob) = alice_and_bob();
        let root = network.root();
        let envelope = sealed(&mut network, &alice, &alice.chain, &bob, &text(5));
        let refused =
            |bytes: &[u8]| open(&bob.keys.link, &root, NOW, Use::Addressing, bytes).is_err();
        for at in 0..envelope.len() {
            let mut changed = envelope.clone();
            changed[at] ^= 0x80;
            assert!(refused(&changed), "byte {at}");
        }
        assert!((0..envelope.len()).step_by(7).all(|len| refused(&envelope[..len])));
        assert!(refused(&[envelope.as_slice(), &[0]].concat()));
        let long = sealed(&mut network, &alice, &alice.chain, &bob, &text(TEXT_MAX));
        assert!(refused(&long[..HEAD + MESSAGE_MAX]), "its second part is missing");
        assert!(refused(&vec![0; ENVELOPE_MAX + 1]));
    }

    #[test]
    fn who_shows_the_certificate_of_somebody_else_is_refused() {
        let (mut network, alice, bob) = alice_and_bob();
        let mallory = network.device("mallory");
        let envelope = sealed(&mut network, &mallory, &alice.chain, &bob, &text(5));
        let opened = open(&bob.keys.link, &network.root(), NOW, Use::Addressing, &envelope);
        assert_eq!(opened, Err(Disbelief::NotTheHolder.into()));
    }

    #[test]
    fn only_devices_write_envelopes() {
        let (mut network, alice, bob) = alice_and_bob();
        let chain = network.authority_chain();
        let id = super::network(&network.root());
        let to = bob.keys.public().agree;
        let authority = &network.authority;
        let mut secrets = crate::entropy::Entropy::new([2; 32]).secrets;
        let envelope = seal(by(authority, &chain), &to, &id, NOW, &text(1), &mut secrets);
        let envelope = envelope.expect("sealed");
        let opened = open(&bob.keys.link, &network.root(), NOW, Use::Addressing, &envelope);
        assert_eq!(opened, Err(Disbelief::WrongKind.into()));
        let again = sealed(&mut network, &alice, &alice.chain, &bob, &text(1));
        assert!(open(&bob.keys.link, &network.root(), NOW, Use::Addressing, &again).is_ok());
    }

    #[test]
    fn an_expired_certificate_stands_for_what_it_sealed_for_45_days() {
        let (mut network, alice, bob) = alice_and_bob();
        let envelope = sealed(&mut network, &alice, &alice.chain, &bob, &text(5));
        let at = |days| {
            open(&bob.keys.link, &network.root(), NOW.plus(DAY * days), Use::Addressing, &envelope)
        };
        assert!(at(14 + 44).is_ok());
        let expired = Disbelief::Expired { at: NOW.plus(DAY * 14) };
        assert_eq!(at(14 + 46), Err(expired.into()));
    }

    #[test]
    fn the_same_envelope_has_the_same_id_and_each_sealing_another() {
        let (mut network, alice, bob) = alice_and_bob();
        let id = |network: &Network, bytes: &[u8]| {
            open(&bob.keys.link, &network.root(), NOW, Use::Addressing, bytes).expect("for Bob").id
        };
        let one = sealed(&mut network, &alice, &alice.chain, &bob, &text(5));
        let two = sealed(&mut network, &alice, &alice.chain, &bob, &text(5));
        assert_eq!(id(&network, &one), id(&network, &one));
        assert_ne!(id(&network, &one), id(&network, &two));
    }

    #[test]
    fn lengths_fall_into_few_classes_and_the_longest_fits() {
        let (mut network, alice, bob) = alice_and_bob();
        let mut lengths = std::collections::BTreeSet::new();
        for len in (0..TEXT_MAX).step_by(997).chain([TEXT_MAX]) {
            lengths.insert(sealed(&mut network, &alice, &alice.chain, &bob, &text(len)).len());
        }
        assert!(lengths.len() <= PADDED.len() + TEXT_MAX / PADDED[2], "{lengths:?}");
        assert!(lengths.last().is_some_and(|longest| *longest <= ENVELOPE_MAX));
        let long_letter = padded(&vec![0; Letter::MAX]).len();
        assert!(long_letter + HEAD + 2 * TAG <= ENVELOPE_MAX, "any letter fits");
    }

    #[test]
    fn a_useless_recipient_key_seals_nothing() {
        let (mut network, alice, _) = alice_and_bob();
        let id = super::network(&network.root());
        let to = AgreeKey([0; 32]);
        let refused =
            seal(by(&alice.keys, &alice.chain), &to, &id, NOW, &text(1), &mut network.secrets);
        assert_eq!(refused.err(), Some(SealError::UnusableKey));
    }
}
