//! Secrets of epochs, and what is proved with them.
//!
//! All members of a network hold the secret of the present epoch, and of the one before while it
//! passes; strangers hold none. The secret itself is the `psk` of NKpsk0; from it and the
//! answerer's link key comes the key of short proofs (HMAC-SHA-256 cut to 128 bits, RFC 2104): that
//! a question comes from a member, before any costly arithmetic, and that a reply without state
//! comes from one. Invariant: each proof covers the datagram's own first bytes, so that none serves
//! for another kind.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::wire::certificate::AgreeKey;
use crate::wire::question::{Mac, SessionId, TryName};

/// An epoch: its number on the wire, and its secret.
pub struct Epoch {
    number: u8,
    secret: Zeroizing<[u8; 32]>,
}

impl Epoch {
    /// The epoch of this number, which follows the one before and wraps, and this secret.
    #[must_use]
    pub fn new(number: u8, secret: [u8; 32]) -> Self {
        Self { number, secret: Zeroizing::new(secret) }
    }

    pub(super) const fn number(&self) -> u8 {
        self.number
    }

    pub(super) fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// The key of proofs towards and from this answerer.
    pub(super) fn proofs(&self, answerer: &AgreeKey) -> ProofKey {
        let info = [b"earshot-question-proof-v1".as_slice(), &answerer.0].concat();
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, self.secret.as_slice())
            .expand(&info, key.as_mut_slice())
            .expect("HKDF-SHA-256 gives up to 8160 bytes");
        ProofKey(key)
    }
}

impl std::fmt::Debug for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Epoch({})", self.number)
    }
}

/// The present epoch and the one before.
#[derive(Debug)]
pub(super) struct Epochs {
    present: Epoch,
    previous: Option<Epoch>,
}

impl Epochs {
    pub(super) const fn new(present: Epoch) -> Self {
        Self { present, previous: None }
    }

    /// Goes over to `next`; the present one becomes the previous. An epoch of the present number
    /// only replaces it.
    pub(super) fn turn(&mut self, next: Epoch) {
        let old = std::mem::replace(&mut self.present, next);
        if old.number != self.present.number {
            self.previous = Some(old);
        }
    }

    pub(super) const fn present(&self) -> &Epoch {
        &self.present
    }

    /// The present epoch, then the previous.
    pub(super) fn both(&self) -> impl Iterator<Item = &Epoch> {
        std::iter::once(&self.present).chain(&self.previous)
    }

    /// The epoch of this number, if it is one of the two.
    pub(super) fn named(&self, number: u8) -> Option<&Epoch> {
        self.both().find(|epoch| epoch.number == number)
    }
}

/// Makes and checks proofs of one epoch and answerer.
pub(super) struct ProofKey(Zeroizing<[u8; 32]>);

impl ProofKey {
    /// That the maker of this question knows the secret. `noise` begins with its ephemeral key,
    /// which the proof covers; the rest is authenticated by Noise.
    pub(super) fn of_question(&self, epoch: u8, name: TryName, noise: &[u8]) -> Mac {
        let ephemeral = noise.first_chunk::<32>().map_or([].as_slice(), <[u8; 32]>::as_slice);
        mac(&*self.0, &[[0xE0, epoch].as_slice(), &name.0.to_be_bytes(), ephemeral])
    }

    /// That the answerer gave this cookie in reply to the question `name`.
    pub(super) fn of_cookie(&self, name: TryName, cookie: &Mac) -> Mac {
        mac(&*self.0, &[[0xE3].as_slice(), &name.0.to_be_bytes(), cookie])
    }

    /// That the answerer has no such session.
    pub(super) fn of_unknown(&self, session: SessionId, counter: u64) -> Mac {
        mac(&*self.0, &[[0xE2, 2].as_slice(), &session.0.to_be_bytes(), &counter.to_be_bytes()])
    }
}

/// HMAC-SHA-256 over the parts one behind the other, cut to 128 bits.
pub(super) fn mac(key: &[u8], parts: &[&[u8]]) -> Mac {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    *mac.finalize().into_bytes().first_chunk().expect("SHA-256 has 32 bytes")
}

/// Whether two proofs are the same, in a time that does not tell where they differ.
pub(super) fn is_same(one: &Mac, other: &Mac) -> bool {
    one.ct_eq(other).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWERER: AgreeKey = AgreeKey([5; 32]);

    #[test]
    fn the_epoch_before_is_held_until_the_next_but_one() {
        let mut epochs = Epochs::new(Epoch::new(255, [1; 32]));
        epochs.turn(Epoch::new(0, [2; 32]));
        assert_eq!(epochs.present().number(), 0);
        assert!(epochs.named(255).is_some());
        epochs.turn(Epoch::new(0, [3; 32]));
        assert!(epochs.named(255).is_some(), "the same number is no new epoch");
        assert_eq!(epochs.named(0).map(|epoch| *epoch.secret()), Some([3; 32]));
        epochs.turn(Epoch::new(1, [4; 32]));
        assert!(epochs.named(255).is_none());
    }

    #[test]
    fn a_proof_is_of_one_epoch_one_answerer_and_one_kind() {
        let epoch = Epoch::new(1, [1; 32]);
        let proofs = epoch.proofs(&ANSWERER);
        let noise = [9; 80];
        let proof = proofs.of_question(1, TryName(7), &noise);
        assert_eq!(proof, epoch.proofs(&ANSWERER).of_question(1, TryName(7), &noise));
        let others = [
            Epoch::new(1, [2; 32]).proofs(&ANSWERER).of_question(1, TryName(7), &noise),
            epoch.proofs(&AgreeKey([6; 32])).of_question(1, TryName(7), &noise),
            proofs.of_question(2, TryName(7), &noise),
            proofs.of_question(1, TryName(8), &noise),
            proofs.of_question(1, TryName(7), &[8; 80]),
            proofs.of_cookie(TryName(7), &[9; 16]),
            proofs.of_unknown(SessionId(7), 9),
        ];
        assert!(others.iter().all(|other| !is_same(&proof, other)));
    }

    #[test]
    fn an_epoch_tells_only_its_number() {
        assert_eq!(format!("{:?}", Epoch::new(3, [0xAB; 32])), "Epoch(3)");
    }
}
