//! The session keys of one direction of a call: of its voice, and of its reports.
//!
//! Source: RFC 3711, section 4.3; RFC 6188; RFC 7714, sections 8.1, 9.1 and 11. Both come from one
//! master key by AES_256_CM_PRF with a key derivation rate of 0 and labels of their own, as in any
//! SRTP implementation. Invariant: who owns a [`Session`] counts its indices; no caller of theirs
//! can.

use zeroize::Zeroizing;

use super::aes::{Blocks, Gcm, NONCE};
use super::voice_seal::StreamKeys;

/// Bytes of a master and of a session salt.
pub(super) const SALT: usize = 12;

/// What the keys are for, by the labels of RFC 3711, section 4.3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// SRTP: labels 0 and 2.
    Voice,
    /// SRTCP: labels 3 and 5.
    Reports,
}

impl Purpose {
    const fn labels(self) -> (u8, u8) {
        match self {
            Self::Voice => (0, 2),
            Self::Reports => (3, 5),
        }
    }
}

/// The session keys of one direction. AES and GHASH wipe themselves.
pub(super) struct Session {
    pub(super) cipher: Gcm,
    salt: Zeroizing<[u8; SALT]>,
    pub(super) ssrc: u32,
}

impl Session {
    pub(super) fn new(keys: &StreamKeys, purpose: Purpose) -> Self {
        let mut master_salt = Zeroizing::new([0; 14]);
        master_salt[..SALT].copy_from_slice(&keys.salt);
        let (key_label, salt_label) = purpose.labels();
        let mut key = Zeroizing::new([0; 32]);
        derive(&keys.key, &master_salt, key_label, &mut *key);
        let mut salt = Zeroizing::new([0; SALT]);
        derive(&keys.key, &master_salt, salt_label, &mut *salt);
        Self { cipher: Gcm::new(&key), salt, ssrc: keys.ssrc }
    }

    /// Salt XOR `0000 ‖ SSRC ‖ index (48 bits)`: rollover counter and sequence number of voice, the
    /// 31 bits of a report's index.
    pub(super) fn nonce(&self, index: u64) -> [u8; NONCE] {
        let mut nonce = *self.salt;
        let index = index.to_be_bytes();
        let mask = self.ssrc.to_be_bytes().into_iter().chain(index.into_iter().skip(2));
        for (byte, mask) in nonce.iter_mut().skip(2).zip(mask) {
            *byte ^= mask;
        }
        nonce
    }

    /// Session key and salt as a standard's example gives them, without the master ones.
    #[cfg(test)]
    pub(super) fn given(key: &[u8; 32], salt: [u8; SALT], ssrc: u32) -> Self {
        Self { cipher: Gcm::new(key), salt: Zeroizing::new(salt), ssrc }
    }
}

/// AES_256_CM_PRF: counter mode of AES-256 from `(salt XOR label · 2^48) · 2^16` (RFC 3711,
/// sections 4.3.1 and 4.3.3; RFC 6188). A salt of 96 bits is filled up with zeros (RFC 7714,
/// section 11).
fn derive(key: &[u8; 32], salt: &[u8; 14], label: u8, out: &mut [u8]) {
    let aes = Blocks::new(key);
    let mut input = Zeroizing::new([0; 16]);
    input[..14].copy_from_slice(salt);
    input[7] ^= label;
    for (counter, chunk) in (0u16..).zip(out.chunks_mut(16)) {
        input[14..].copy_from_slice(&counter.to_be_bytes());
        aes.encrypt(&input, chunk);
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    #[test]
    fn keys_are_derived_as_rfc_6188_shows() {
        let hex = |text: &str| HEXLOWER.decode(text.as_bytes()).expect("hexadecimal");
        let key = hex("f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6");
        let salt = hex("3b04803de51ee7c96423ab5b78d2");
        let (key, salt) = (key.try_into().expect("32 bytes"), salt.try_into().expect("14 bytes"));
        let (mut session_key, mut session_salt) = ([0; 32], [0; 14]);
        let (key_label, salt_label) = Purpose::Voice.labels();
        derive(&key, &salt, key_label, &mut session_key);
        derive(&key, &salt, salt_label, &mut session_salt);
        let expected = "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4";
        assert_eq!(HEXLOWER.encode(&session_key), expected);
        assert_eq!(HEXLOWER.encode(&session_salt), "fa31791685ca444a9e07c6c64e93");
    }

    #[test]
    fn voice_and_reports_have_keys_of_their_own() {
        let keys = StreamKeys { key: [7; 32], salt: [8; SALT], ssrc: 9 };
        let (voice, reports) =
            (Session::new(&keys, Purpose::Voice), Session::new(&keys, Purpose::Reports));
        assert_ne!(voice.nonce(1), reports.nonce(1));
        let sealed = |session: &Session| {
            let mut body = [0; 16];
            session.cipher.seal([0; NONCE], &[], &mut body);
            body
        };
        assert_ne!(sealed(&voice), sealed(&reports));
    }
}
