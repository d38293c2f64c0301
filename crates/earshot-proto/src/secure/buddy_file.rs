//! The buddy list on the machine: signed, encrypted, local (lecture, slides 28 and 29; DESIGN 2.7).
//!
//! The file is `"ESBL" ‖ format (1) ‖ counter (8, big-endian) ‖ sealed{signature (64) ‖ list}`. The
//! device key signs user, counter and list; AES-256-GCM seals both, bound to the head. A changed
//! byte is noticed (the store then takes its last good copy), and so is an older file, by its
//! counter.

use zeroize::Zeroizing;

use super::identity::SignKey;
use super::seal::SealKey;
use crate::entropy::Stream;
use crate::ids::UserName;
use crate::wire::certificate::{Signature, VerifyKey};

/// Longest buddy list file that is read, in bytes. Our choice: thousands of buddies.
pub const BUDDY_FILE_MAX: usize = 4 * 1024 * 1024;
const MAGIC: &[u8; 4] = b"ESBL";
const FORMAT: u8 = 1;
const HEAD_LEN: usize = 4 + 1 + 8;
const DOMAIN: &str = "buddy-file";

/// Why a buddy list file is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BuddyFileRefused {
    /// A byte is missing or changed, or the key is another one.
    #[error("the buddy list file is damaged")]
    Damaged,
    /// Whole, but this device did not sign it.
    #[error("the buddy list file is not signed by this device")]
    Forged,
    /// Older than what was last sealed.
    #[error("the buddy list file has counter {got}, {expected} was sealed")]
    RolledBack {
        /// The counter found.
        got: u64,
        /// The least that was expected.
        expected: u64,
    },
}

/// Who seals and signs the buddy list of whom.
pub struct BuddyFile {
    user: UserName,
    key: SealKey,
}

/// A buddy list file that was opened.
pub struct OpenedBuddyFile {
    /// The encoded list.
    pub list: Zeroizing<Vec<u8>>,
    /// Its counter.
    pub counter: u64,
}

impl BuddyFile {
    /// Of `user`, under the key of
    /// [`FilesKey::buddy_list`](super::local_vault::FilesKey::buddy_list).
    #[must_use]
    pub const fn new(user: UserName, key: SealKey) -> Self {
        Self { user, key }
    }

    /// The file's bytes. `counter` must be higher than at every sealing before.
    #[must_use]
    pub fn seal(&self, list: &[u8], counter: u64, by: &SignKey, secrets: &mut Stream) -> Vec<u8> {
        let signature = by.sign_bytes(DOMAIN, &self.signed(counter, list));
        let plain = Zeroizing::new([signature.0.as_slice(), list].concat());
        let head = head(counter);
        let sealed = self.key.seal(&head, &plain, secrets);
        [head.as_slice(), &sealed].concat()
    }

    /// Opens a file, which must be signed by `by` and not be older than `counter_min`.
    ///
    /// # Errors
    /// [`BuddyFileRefused`] says what is wrong with it.
    pub fn open(
        &self,
        bytes: &[u8],
        counter_min: u64,
        by: &VerifyKey,
    ) -> Result<OpenedBuddyFile, BuddyFileRefused> {
        let damaged = BuddyFileRefused::Damaged;
        if bytes.len() > BUDDY_FILE_MAX {
            return Err(damaged);
        }
        let (head_bytes, sealed) = bytes.split_first_chunk::<HEAD_LEN>().ok_or(damaged)?;
        let (_, counter) = head_bytes.split_last_chunk::<8>().ok_or(damaged)?;
        let counter = u64::from_be_bytes(*counter);
        if *head_bytes != head(counter) {
            return Err(damaged);
        }
        let plain = self.key.open(head_bytes, sealed).map_err(|_| damaged)?;
        let (signature, list) = plain.split_first_chunk::<64>().ok_or(damaged)?;
        by.verify_bytes(DOMAIN, &self.signed(counter, list), &Signature(*signature))
            .map_err(|_| BuddyFileRefused::Forged)?;
        if counter < counter_min {
            return Err(BuddyFileRefused::RolledBack { got: counter, expected: counter_min });
        }
        Ok(OpenedBuddyFile { list: Zeroizing::new(list.to_vec()), counter })
    }

    fn signed(&self, counter: u64, list: &[u8]) -> Zeroizing<Vec<u8>> {
        let user = self.user.as_str().as_bytes();
        let user_len = [user.len() as u8];
        Zeroizing::new([user_len.as_slice(), user, &counter.to_be_bytes(), list].concat())
    }
}

fn head(counter: u64) -> [u8; HEAD_LEN] {
    let mut head = [0; HEAD_LEN];
    head[..4].copy_from_slice(MAGIC);
    head[4] = FORMAT;
    head[5..].copy_from_slice(&counter.to_be_bytes());
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::Entropy;

    const LIST: &[u8] = b"bob, carol, dave and the choir";

    struct World {
        file: BuddyFile,
        device: SignKey,
        secrets: Stream,
    }

    impl World {
        fn new() -> Self {
            let mut secrets = Entropy::new([8; 32]).secrets;
            let key = SealKey::draw(&mut secrets);
            let file = BuddyFile::new(UserName::new("alice").expect("a name"), key);
            Self { file, device: SignKey::draw(&mut secrets), secrets }
        }

        fn seal(&mut self, counter: u64) -> Vec<u8> {
            self.file.seal(LIST, counter, &self.device, &mut self.secrets)
        }

        fn open(&self, bytes: &[u8], min: u64) -> Result<(Vec<u8>, u64), BuddyFileRefused> {
            let opened = self.file.open(bytes, min, &self.device.public())?;
            Ok((opened.list.to_vec(), opened.counter))
        }
    }

    #[test]
    fn a_list_comes_back_as_it_was_sealed_and_is_nowhere_in_the_file() {
        let mut world = World::new();
        let bytes = world.seal(7);
        assert_eq!(world.open(&bytes, 7), Ok((LIST.to_vec(), 7)));
        assert!(!bytes.windows(5).any(|window| window == b"carol"));
    }

    #[test]
    fn every_changed_byte_and_every_missing_end_is_noticed() {
        let mut world = World::new();
        let bytes = world.seal(7);
        for i in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[i] ^= 1;
            assert_eq!(world.open(&changed, 0), Err(BuddyFileRefused::Damaged), "byte {i}");
            assert_eq!(world.open(&bytes[..i], 0), Err(BuddyFileRefused::Damaged), "{i} bytes");
        }
    }

    #[test]
    fn an_older_list_put_back_is_noticed() {
        let mut world = World::new();
        let (old, new) = (world.seal(7), world.seal(8));
        assert!(world.open(&new, 8).is_ok());
        let refused = BuddyFileRefused::RolledBack { got: 7, expected: 8 };
        assert_eq!(world.open(&old, 8), Err(refused));
    }

    #[test]
    fn a_list_sealed_by_the_key_but_signed_by_another_device_is_forged() {
        let mut world = World::new();
        let mut thief = SignKey::draw(&mut world.secrets);
        std::mem::swap(&mut thief, &mut world.device);
        let bytes = world.seal(9);
        world.device = thief;
        assert_eq!(world.open(&bytes, 0), Err(BuddyFileRefused::Forged));
    }
}
