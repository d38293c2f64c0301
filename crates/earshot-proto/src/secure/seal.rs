//! Sealing what lies in files: AES-256-GCM (NIST SP 800-38D) under a key that never leaves its
//! owner.
//!
//! A sealed text is `nonce (12 bytes) ‖ ciphertext ‖ tag (16 bytes)`. Invariant: the nonce is drawn
//! here, at random, so no caller can repeat one; a key seals files, thus far fewer than the 2^32
//! texts that random nonces allow.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::entropy::Stream;

const NONCE_LEN: usize = 12;

/// A key that seals files.
pub struct SealKey(Zeroizing<[u8; 32]>);

/// The text was sealed under another key or for another place, or is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not sealed by this key")]
pub struct NotOpened;

impl SealKey {
    /// Draws a new one.
    pub fn draw(secrets: &mut Stream) -> Self {
        Self(Zeroizing::new(secrets.bytes()))
    }

    /// The key of these bytes.
    #[must_use]
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*secret))
    }

    /// The key that HKDF-SHA-256 (RFC 5869) makes of `secret` for `purpose`.
    #[must_use]
    pub fn derive(secret: &[u8], purpose: &str) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, secret)
            .expand(purpose.as_bytes(), key.as_mut_slice())
            .expect("HKDF-SHA-256 gives up to 8160 bytes");
        Self(key)
    }

    /// Its bytes, for sealing it under another key.
    #[must_use]
    pub fn secret(&self) -> &[u8; 32] {
        &self.0
    }

    /// Seals `plain` for the place that `about` names; only the same `about` opens it.
    pub(crate) fn seal(&self, about: &[u8], plain: &[u8], secrets: &mut Stream) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = secrets.bytes();
        let sealed = self
            .cipher()
            .encrypt(&Nonce::from(nonce), Payload { msg: plain, aad: about })
            .expect("AES-GCM seals up to 64 GiB");
        [nonce.as_slice(), &sealed].concat()
    }

    /// Opens what [`Self::seal`] made.
    pub(crate) fn open(
        &self,
        about: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(NotOpened)?;
        self.cipher()
            .decrypt(&Nonce::from(*nonce), Payload { msg: sealed, aad: about })
            .map(Zeroizing::new)
            .map_err(|_| NotOpened)
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(&Key::<Aes256Gcm>::from(*self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::Entropy;

    #[test]
    fn only_the_key_and_the_place_open_a_sealed_text() {
        let mut secrets = Entropy::new([1; 32]).secrets;
        let (key, other) = (SealKey::draw(&mut secrets), SealKey::draw(&mut secrets));
        let sealed = key.seal(b"here", b"text", &mut secrets);
        assert_eq!(sealed.len(), b"text".len() + NONCE_LEN + 16);
        assert_eq!(key.open(b"here", &sealed).map(|p| p.to_vec()), Ok(b"text".to_vec()));
        assert_eq!(key.open(b"there", &sealed), Err(NotOpened));
        assert_eq!(other.open(b"here", &sealed), Err(NotOpened));
        assert_eq!(key.open(b"here", &sealed[..11]), Err(NotOpened));
    }

    #[test]
    fn the_same_text_is_sealed_differently_each_time() {
        let mut secrets = Entropy::new([1; 32]).secrets;
        let key = SealKey::draw(&mut secrets);
        assert_ne!(key.seal(b"", b"text", &mut secrets), key.seal(b"", b"text", &mut secrets));
    }
}
