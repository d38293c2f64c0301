//! The Noise Protocol Framework as links, envelopes and questions use it: by `snow`, with our
//! randomness and our cipher.
//!
//! Source: Noise revision 34 (`25519`, `AESGCM`, `SHA256`). `snow` runs the patterns; here are the
//! primitives that it is given, so that no randomness comes from the operating system, keys are
//! zeroised, the AES key is expanded once a key, and a public key that would force a known secret
//! is refused (RFC 7748, section 6.1). `snow` keeps its chaining key on its own heap memory and
//! does not wipe it: a finished handshake is dropped at once.

use snow::Builder;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::aes::{Gcm, NONCE, TAG};
use super::identity::LinkKey;
use crate::entropy::{Entropy, Stream};
use crate::wire::certificate::AgreeKey;

pub(super) use snow::{HandshakeState, TransportState};

/// Bytes of an X25519 public key.
pub(super) const KEY: usize = 32;

/// What a handshake begins with.
pub(super) struct Start<'a> {
    /// The Noise protocol name.
    pub(super) pattern: &'static str,
    /// Our static key, where the pattern gives us one.
    pub(super) key: Option<&'a LinkKey>,
    /// The other's static key, where the pattern wants it known.
    pub(super) remote: Option<&'a AgreeKey>,
    /// The secret that both sides hold before, where the pattern begins with one (`psk0`).
    pub(super) shared: Option<&'a [u8; 32]>,
    /// What both sides must agree on.
    pub(super) prologue: &'a [u8],
}

impl Start<'_> {
    /// Speaks first.
    pub(super) fn initiator(self, secrets: &mut Stream) -> HandshakeState {
        self.build(secrets.bytes(), |builder| builder.build_initiator())
    }

    /// Answers.
    pub(super) fn responder(self, secrets: &mut Stream) -> HandshakeState {
        self.build(secrets.bytes(), |builder| builder.build_responder())
    }

    /// Reads a one-way pattern: it never writes, so it draws nothing.
    pub(super) fn reader(self) -> HandshakeState {
        self.build([0; 32], |builder| builder.build_responder())
    }

    fn build(
        self,
        seed: [u8; 32],
        build: impl FnOnce(Builder<'_>) -> Result<HandshakeState, snow::Error>,
    ) -> HandshakeState {
        let params = self.pattern.parse().expect("our own pattern names are Noise names");
        let resolver = Primitives { seed: Zeroizing::new(seed) };
        let secret = self.key.map(LinkKey::secret);
        Builder::with_resolver(params, Box::new(resolver))
            .prologue(self.prologue)
            .and_then(|b| match &secret {
                Some(secret) => b.local_private_key(secret.as_slice()),
                None => Ok(b),
            })
            .and_then(|b| match self.remote {
                Some(remote) => b.remote_public_key(&remote.0),
                None => Ok(b),
            })
            .and_then(|b| match self.shared {
                Some(shared) => b.psk(0, shared),
                None => Ok(b),
            })
            .and_then(build)
            .expect("each part is given once and every primitive is there")
    }
}

/// The other side's static key, once the handshake has told it.
pub(super) fn remote_static(handshake: &HandshakeState) -> Option<AgreeKey> {
    handshake.get_remote_static().and_then(|key| key.try_into().ok()).map(AgreeKey)
}

/// What a finished handshake leaves, where not `snow` but we count what is sealed: the keys of both
/// directions and the hash that names the handshake (Noise, sections 5.2 and 11.2).
pub(super) struct Split {
    pub(super) hash: [u8; 32],
    pub(super) from_initiator: Zeroizing<[u8; 32]>,
    pub(super) from_responder: Zeroizing<[u8; 32]>,
}

/// Ends a handshake in which every message was written or read.
pub(super) fn split(mut handshake: HandshakeState) -> Split {
    let hash = *handshake.get_handshake_hash().first_chunk().expect("SHA-256 has 32 bytes");
    let (from_initiator, from_responder) = handshake.dangerously_get_raw_split();
    Split {
        hash,
        from_initiator: Zeroizing::new(from_initiator),
        from_responder: Zeroizing::new(from_responder),
    }
}

/// Noise's nonce: four zero bytes, then the counter, big-endian (Noise, section 12.4).
pub(super) fn nonce(counter: u64) -> [u8; NONCE] {
    let mut nonce = [0; NONCE];
    nonce[4..].copy_from_slice(&counter.to_be_bytes());
    nonce
}

struct Primitives {
    seed: Zeroizing<[u8; 32]>,
}

impl CryptoResolver for Primitives {
    /// Asked once for each handshake, and a seed serves one handshake.
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(OurRandom(Entropy::new(*self.seed).secrets)))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        (*choice == DHChoice::Curve25519).then(|| Box::<X25519>::default() as Box<dyn Dh>)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        (*choice == CipherChoice::AESGCM).then(|| Box::<AesGcm>::default() as Box<dyn Cipher>)
    }
}

struct OurRandom(Stream);

impl Random for OurRandom {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        self.0.fill(dest);
        Ok(())
    }
}

/// X25519 (RFC 7748) that refuses non-contributory keys.
#[derive(Default)]
struct X25519(Option<(StaticSecret, [u8; KEY])>);

impl X25519 {
    fn become_secret(&mut self, secret: &Zeroizing<[u8; KEY]>) {
        let secret = StaticSecret::from(**secret);
        let public = PublicKey::from(&secret).to_bytes();
        self.0 = Some((secret, public));
    }
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        KEY
    }

    fn priv_len(&self) -> usize {
        KEY
    }

    fn set(&mut self, privkey: &[u8]) {
        let secret: [u8; KEY] = privkey.try_into().expect("a LinkKey has 32 bytes");
        self.become_secret(&Zeroizing::new(secret));
    }

    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), snow::Error> {
        let mut secret = Zeroizing::new([0; KEY]);
        rng.try_fill_bytes(&mut *secret)?;
        self.become_secret(&secret);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        self.0.as_ref().map_or(&[0; KEY], |(_, public)| public)
    }

    fn privkey(&self) -> &[u8] {
        self.0.as_ref().map_or(&[0; KEY], |(secret, _)| secret.as_bytes())
    }

    fn dh(&self, pubkey: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        let (Some((secret, _)), Some(public)) = (&self.0, pubkey.first_chunk::<KEY>()) else {
            return Err(snow::Error::Dh);
        };
        let shared = secret.diffie_hellman(&PublicKey::from(*public));
        if !shared.was_contributory() {
            return Err(snow::Error::Dh);
        }
        out.get_mut(..KEY).ok_or(snow::Error::Dh)?.copy_from_slice(shared.as_bytes());
        Ok(())
    }
}

/// AES-256-GCM under [`nonce`]s.
#[derive(Default)]
struct AesGcm(Option<Gcm>);

impl Cipher for AesGcm {
    fn name(&self) -> &'static str {
        "AESGCM"
    }

    fn set(&mut self, key: &[u8; 32]) {
        self.0 = Some(Gcm::new(key));
    }

    fn encrypt(&self, counter: u64, authtext: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
        let cipher = self.0.as_ref().expect("snow seals only once a key is set");
        let (body, rest) = out.split_at_mut(plaintext.len());
        body.copy_from_slice(plaintext);
        let tag = cipher.seal(nonce(counter), authtext, body);
        rest[..TAG].copy_from_slice(&tag);
        plaintext.len() + TAG
    }

    fn decrypt(
        &self,
        counter: u64,
        authtext: &[u8],
        ciphertext: &[u8],
        out: &mut [u8],
    ) -> Result<usize, snow::Error> {
        let cipher = self.0.as_ref().ok_or(snow::Error::Decrypt)?;
        let (body, tag) = ciphertext.split_last_chunk::<TAG>().ok_or(snow::Error::Decrypt)?;
        let out = out.get_mut(..body.len()).ok_or(snow::Error::Decrypt)?;
        out.copy_from_slice(body);
        cipher.open(nonce(counter), authtext, out, tag).map_err(|_| snow::Error::Decrypt)?;
        Ok(body.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const XX: &str = "Noise_XX_25519_AESGCM_SHA256";

    #[test]
    fn our_primitives_speak_with_those_of_snow() {
        let mut secrets = Entropy::new([1; 32]).secrets;
        let key = LinkKey::draw(&mut secrets);
        let start =
            Start { pattern: XX, key: Some(&key), remote: None, shared: None, prologue: b"both" };
        let mut ours = start.initiator(&mut secrets);
        let other = LinkKey::draw(&mut secrets);
        let mut theirs = Builder::new(XX.parse().unwrap())
            .local_private_key(&*other.secret())
            .and_then(|b| b.prologue(b"both"))
            .and_then(Builder::build_responder)
            .unwrap();
        let (mut message, mut payload) = ([0; 512], [0; 512]);
        for turn in 0..3 {
            let (from, to) =
                if turn % 2 == 0 { (&mut ours, &mut theirs) } else { (&mut theirs, &mut ours) };
            let len = from.write_message(b"hello", &mut message).unwrap();
            let len = to.read_message(&message[..len], &mut payload).unwrap();
            assert_eq!(&payload[..len], b"hello");
        }
        assert_eq!(remote_static(&ours), Some(other.public()));
        assert_eq!(remote_static(&theirs), Some(key.public()));
        let (mut ours, mut theirs) =
            (ours.into_transport_mode().unwrap(), theirs.into_transport_mode().unwrap());
        ours.rekey_outgoing();
        theirs.rekey_incoming();
        let len = ours.write_message(b"after", &mut message).unwrap();
        let len = theirs.read_message(&message[..len], &mut payload).unwrap();
        assert_eq!(&payload[..len], b"after");
    }

    #[test]
    fn a_key_that_forces_the_secret_is_refused() {
        let mut secrets = Entropy::new([1; 32]).secrets;
        let key = LinkKey::draw(&mut secrets);
        let low_order = AgreeKey([0; 32]);
        let start = Start {
            pattern: "Noise_X_25519_AESGCM_SHA256",
            key: Some(&key),
            remote: Some(&low_order),
            shared: None,
            prologue: b"",
        };
        let refused = start.initiator(&mut secrets).write_message(b"", &mut [0; 512]);
        assert_eq!(refused, Err(snow::Error::Dh));
    }
}
