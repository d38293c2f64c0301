//! AES-256: in GCM for links, envelopes and voice, and alone for the key derivation of SRTP.
//!
//! Source: NIST SP 800-38D (96-bit nonces, 128-bit tags) and FIPS 197. Keys wipe themselves. Who
//! owns a [`Gcm`] counts its nonces; nothing outside this module can.

use aes_gcm::aes::Aes256;
use aes_gcm::aes::cipher::BlockCipherEncrypt;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use zeroize::Zeroize;

/// Bytes of a tag.
pub(super) const TAG: usize = 16;
/// Bytes of a nonce.
pub(super) const NONCE: usize = 12;

/// AES-256-GCM under one key, working in place.
pub(super) struct Gcm(Aes256Gcm);

/// Sealed under another key, nonce or associated text, or changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotAuthentic;

impl Gcm {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(Aes256Gcm::new(key.into()))
    }

    /// Encrypts `body` and returns its tag, which covers `about` too.
    pub(super) fn seal(&self, nonce: [u8; NONCE], about: &[u8], body: &mut [u8]) -> [u8; TAG] {
        self.0
            .encrypt_inout_detached(&nonce.into(), about, body.into())
            .expect("what we seal is far below the limit of GCM")
            .into()
    }

    /// Decrypts `body` if `tag` belongs to it and to `about`; else leaves it alone.
    pub(super) fn open(
        &self,
        nonce: [u8; NONCE],
        about: &[u8],
        body: &mut [u8],
        tag: &[u8; TAG],
    ) -> Result<(), NotAuthentic> {
        self.0
            .decrypt_inout_detached(&nonce.into(), about, body.into(), tag.into())
            .map_err(|_| NotAuthentic)
    }
}

/// AES-256 on single blocks.
pub(super) struct Blocks(Aes256);

impl Blocks {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(Aes256::new(key.into()))
    }

    /// Encrypts `block` into the beginning of `out`.
    pub(super) fn encrypt(&self, block: &[u8; 16], out: &mut [u8]) {
        let mut block = (*block).into();
        self.0.encrypt_block(&mut block);
        let len = out.len().min(block.len());
        out[..len].copy_from_slice(&block[..len]);
        block.as_mut_slice().zeroize();
    }
}
