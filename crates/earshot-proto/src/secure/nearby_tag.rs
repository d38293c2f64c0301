//! What a device calls itself on a local network: known again by buddies, by nobody else. DESIGN
//! 2.14.
//!
//! `nonce (8 bytes) ‖ HKDF-SHA-256 (RFC 5869) of the user's contact key, salted by the nonce (8
//! bytes)`. Whoever holds the contact key, thus buddies and the user's own devices, tells whose it
//! is; to others it is noise, another on each network and after each change of the contact key.

use hkdf::Hkdf;
use sha2::Sha256;

use crate::entropy::Stream;
use crate::ids::NearbyTag;
use crate::wire::sealed::buddy::ContactKey;

const HALF: usize = 8;
const PURPOSE: &[u8] = b"earshot-nearby-v1";

impl NearbyTag {
    /// A new one of the user with that contact key.
    pub(crate) fn draw(key: &ContactKey, secrets: &mut Stream) -> Self {
        Self::of(key, secrets.bytes())
    }

    /// Whether it is one of the user with that contact key.
    pub(crate) fn is_of(&self, key: &ContactKey) -> bool {
        let [nonce @ .., _, _, _, _, _, _, _, _] = self.0;
        *self == Self::of(key, nonce)
    }

    fn of(key: &ContactKey, nonce: [u8; HALF]) -> Self {
        let mut tag = [0; 2 * HALF];
        let (salt, proof) = tag.split_at_mut(HALF);
        salt.copy_from_slice(&nonce);
        Hkdf::<Sha256>::new(Some(&nonce), &key.0)
            .expand(PURPOSE, proof)
            .expect("HKDF-SHA-256 gives up to 8160 bytes");
        Self(tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::Entropy;

    #[test]
    fn a_tag_is_known_by_the_contact_key_and_is_never_the_same() {
        let mut secrets = Entropy::new([1; 32]).secrets;
        let (key, other) = (ContactKey([1; 32]), ContactKey([2; 32]));
        let [one, two] = [0; 2].map(|_| NearbyTag::draw(&key, &mut secrets));
        assert!(one.is_of(&key) && two.is_of(&key));
        assert!(!one.is_of(&other));
        assert_ne!(one, two);
        assert_ne!(one.0[..HALF], two.0[..HALF]);
        assert_ne!(one.0[HALF..], two.0[HALF..]);
    }
}
