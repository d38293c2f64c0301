//! What a machine keeps of a user who has logged in on it: so that login works while the authority
//! is down. DESIGN 2.3.
//!
//! The file is `CBOR{0: head, 1: sealed} ‖ SHA-256 of all before`; the head (who, salt, cost,
//! generation) is in the clear and bound to the sealed part, which opens by Argon2id(password,
//! salt, cost) only. The checksum tells a damaged file from a wrong password; it protects nothing,
//! the seal does. Invariant: every sealing has a higher generation than the one before, so an older
//! file put back is noticed by whoever remembers the generation elsewhere (the history database
//! does).

use minicbor::{CborLen, Decode, Encode};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use super::identity::{Keys, LinkKey, SignKey};
use super::password::{Password, SALT_LEN, StretchCost, StretchWork, StretchedKey, Work};
use super::seal::SealKey;
use crate::entropy::Stream;
use crate::ids::{DeviceId, UserName};
use crate::time::UnixTime;
use crate::wire::bounded::{Bytes, List, Text};
use crate::wire::certificate::{Chain, DeviceList, Signed, VerifyKey};
use crate::wire::login::SealedVault;
use crate::wire::posting::{LISTED_NAME_MAX, OwnWords, WORD_MAX, WORDS_MAX};
use crate::wire::read_item;
use crate::wire::sealed::buddy::ContactKey;

/// Longest file that is read, in bytes: the longest chain, device list and vault, with room to
/// grow.
pub const LOCAL_VAULT_MAX: usize = 32 * 1024;
const FORMAT: u8 = 1;
const CHECKSUM_LEN: usize = 32;
const HEAD_MAX: usize = 512;

/// A user on this machine.
pub struct LocalVault {
    /// The network: its root key.
    pub root: VerifyKey,
    /// The user.
    pub user: UserName,
    /// This device.
    pub device: DeviceId,
    /// This device's keys.
    pub keys: Keys,
    /// This device's certificate.
    pub chain: Chain,
    /// The user's devices, as last known.
    pub devices: Signed<DeviceList>,
    /// The roaming vault as the authority keeps it; holds the public K_u.
    pub vault: SealedVault,
    /// Seals locations and presence for buddies.
    pub contact_key: ContactKey,
    /// From it come the keys of the files on this machine.
    pub files: FilesKey,
    /// Counters that must never run backwards.
    pub counters: Counters,
    /// Whether others may find the user by name.
    pub listing: Listing,
    /// Under which name and words.
    pub listed_as: ListedAs,
}

/// Counters that must never run backwards, or others take new things for old ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Counters {
    /// Of the last registration at the keepers.
    #[n(0)]
    pub registration: u64,
    /// Of the last buddy list that is safe on disk.
    #[n(1)]
    pub buddy_list: u64,
    /// Of the last posting.
    #[cbor(n(2), default)]
    pub posting: u64,
}

/// Whether others may find the user by name, and what is posted of that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Listing {
    /// Whether.
    #[n(0)]
    pub is_listed: bool,
    /// When the user said so, on whichever device; 0: never.
    #[n(1)]
    pub said: UnixTime,
    /// Until when a posting may be held somewhere; 0: none was made.
    #[n(2)]
    pub posted_until: UnixTime,
    /// When it is posted again; 0: what the user said last was not posted yet.
    #[n(3)]
    pub next: UnixTime,
}

/// The name and the words under which others may find the user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct ListedAs {
    /// The name; none: that of the account.
    #[n(0)]
    pub name: Option<Text<LISTED_NAME_MAX>>,
    /// Words of the user's own choice.
    #[n(1)]
    pub about: OwnWords,
    /// Folded words under which an older posting may be held, and the next is not.
    #[n(2)]
    pub gone: List<Text<WORD_MAX>, WORDS_MAX>,
}

/// The secret from which the keys of this machine's files are derived.
pub struct FilesKey(Zeroizing<[u8; 32]>);

impl FilesKey {
    /// Draws a new one.
    pub fn draw(secrets: &mut Stream) -> Self {
        Self(Zeroizing::new(secrets.bytes()))
    }

    /// The key of the history database.
    #[must_use]
    pub fn history(&self) -> SealKey {
        SealKey::derive(self.0.as_slice(), "earshot-history-v1")
    }

    /// The key of the buddy list file.
    #[must_use]
    pub fn buddy_list(&self) -> SealKey {
        SealKey::derive(self.0.as_slice(), "earshot-buddy-file-v1")
    }
}

/// Why a local vault stays closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LocalVaultClosed {
    /// The file is whole, the password is another one.
    #[error("wrong password")]
    WrongPassword,
    /// Bytes of the file are missing or changed.
    #[error("the vault file is damaged")]
    Damaged,
    /// Made by a newer version of this program.
    #[error("the vault file has format {got}, this program reads {FORMAT}")]
    NewerFormat {
        /// The format found.
        got: u8,
    },
    /// An older file was put back.
    #[error("the vault file is of generation {got}, {expected} was seen")]
    RolledBack {
        /// The generation found.
        got: u64,
        /// The least that was expected.
        expected: u64,
    },
}

#[derive(Encode, Decode, CborLen)]
#[cbor(map)]
struct Head {
    #[n(0)]
    format: u8,
    #[n(1)]
    user: UserName,
    #[cbor(n(2), with = "minicbor::bytes")]
    salt: [u8; SALT_LEN],
    #[n(3)]
    cost: StretchCost,
    #[n(4)]
    generation: u64,
}

#[derive(Encode, Decode, CborLen)]
#[cbor(map)]
struct File {
    #[n(0)]
    head: Bytes<HEAD_MAX>,
    #[n(1)]
    sealed: Bytes<LOCAL_VAULT_MAX>,
}

#[derive(Encode, Decode, CborLen)]
#[cbor(map)]
struct Content {
    #[n(0)]
    root: VerifyKey,
    #[n(1)]
    device: DeviceId,
    #[cbor(n(2), with = "minicbor::bytes")]
    sign: [u8; 32],
    #[cbor(n(3), with = "minicbor::bytes")]
    link: [u8; 32],
    #[n(4)]
    chain: Chain,
    #[n(5)]
    devices: Signed<DeviceList>,
    #[n(6)]
    vault: SealedVault,
    #[n(7)]
    contact_key: ContactKey,
    #[cbor(n(8), with = "minicbor::bytes")]
    files: [u8; 32],
    #[n(9)]
    counters: Counters,
    #[cbor(n(10), default)]
    listing: Listing,
    #[cbor(n(11), default)]
    listed_as: ListedAs,
}

impl Drop for Content {
    fn drop(&mut self) {
        self.sign.zeroize();
        self.link.zeroize();
        self.files.zeroize();
    }
}

/// A vault file that was read and not yet opened.
pub struct LockedVault {
    head: Head,
    head_bytes: Bytes<HEAD_MAX>,
    sealed: Bytes<LOCAL_VAULT_MAX>,
}

impl LockedVault {
    /// Reads a file.
    ///
    /// # Errors
    /// [`LocalVaultClosed::Damaged`] or [`LocalVaultClosed::NewerFormat`].
    pub fn read(bytes: &[u8]) -> Result<Self, LocalVaultClosed> {
        let damaged = LocalVaultClosed::Damaged;
        if bytes.len() > LOCAL_VAULT_MAX {
            return Err(damaged);
        }
        let (body, sum) = bytes.split_last_chunk::<CHECKSUM_LEN>().ok_or(damaged)?;
        if checksum(body) != *sum {
            return Err(damaged);
        }
        let File { head: head_bytes, sealed } =
            read_item("local_vault", body).map_err(|_| damaged)?;
        let head: Head = read_item("local_vault.head", &head_bytes).map_err(|_| damaged)?;
        if head.format != FORMAT {
            return Err(LocalVaultClosed::NewerFormat { got: head.format });
        }
        if !head.cost.is_usable() {
            return Err(damaged);
        }
        Ok(Self { head, head_bytes, sealed })
    }

    /// Whose it is.
    #[must_use]
    pub const fn user(&self) -> &UserName {
        &self.head.user
    }

    /// Its generation.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.head.generation
    }

    /// The stretching that [`Self::open`] needs.
    #[must_use]
    pub fn stretch(&self, password: &Password) -> Work {
        Work::Stretch(StretchWork::new(password, self.head.salt, self.head.cost))
    }

    /// Opens it; `generation_min` is the highest generation remembered elsewhere (0: none is).
    ///
    /// # Errors
    /// [`LocalVaultClosed`] tells a wrong password from damage and from an old file.
    pub fn open(
        &self,
        stretched: &StretchedKey,
        generation_min: u64,
    ) -> Result<(LocalVault, VaultLock), LocalVaultClosed> {
        let key = stretched.seal_key();
        let plain = key
            .open(&self.head_bytes, &self.sealed)
            .map_err(|_| LocalVaultClosed::WrongPassword)?;
        let mut content: Content =
            read_item("local_vault.content", &plain).map_err(|_| LocalVaultClosed::Damaged)?;
        let Head { generation, salt, cost, .. } = self.head;
        if generation < generation_min {
            return Err(LocalVaultClosed::RolledBack { got: generation, expected: generation_min });
        }
        let vault = LocalVault {
            root: content.root,
            user: self.head.user.clone(),
            device: content.device,
            keys: Keys {
                sign: SignKey::from_secret(&content.sign),
                link: LinkKey::from_secret(&content.link),
            },
            chain: content.chain.clone(),
            devices: content.devices.clone(),
            vault: content.vault.clone(),
            contact_key: std::mem::replace(&mut content.contact_key, ContactKey([0; 32])),
            files: FilesKey(Zeroizing::new(content.files)),
            counters: content.counters,
            listing: content.listing,
            listed_as: std::mem::take(&mut content.listed_as),
        };
        Ok((vault, VaultLock { key, salt, cost, generation }))
    }
}

/// A lock that waits for its password to be stretched.
pub struct NewLock {
    salt: [u8; SALT_LEN],
    cost: StretchCost,
}

/// What seals a local vault again and again without asking for the password.
pub struct VaultLock {
    key: SealKey,
    salt: [u8; SALT_LEN],
    cost: StretchCost,
    generation: u64,
}

impl NewLock {
    /// Draws the salt of a new lock.
    pub fn draw(cost: StretchCost, secrets: &mut Stream) -> Self {
        Self { salt: secrets.bytes(), cost }
    }

    /// The stretching that [`Self::finish`] needs.
    #[must_use]
    pub fn stretch(&self, password: &Password) -> Work {
        Work::Stretch(StretchWork::new(password, self.salt, self.cost))
    }

    /// The lock; `generation` is that of the file that it replaces (0: there is none).
    #[must_use]
    pub fn finish(self, stretched: &StretchedKey, generation: u64) -> VaultLock {
        let Self { salt, cost } = self;
        VaultLock { key: stretched.seal_key(), salt, cost, generation }
    }
}

impl VaultLock {
    /// Generation of the last sealing.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The bytes of a file with the next generation.
    #[must_use]
    pub fn seal(&mut self, vault: &LocalVault, secrets: &mut Stream) -> Vec<u8> {
        self.generation += 1;
        let head = Head {
            format: FORMAT,
            user: vault.user.clone(),
            salt: self.salt,
            cost: self.cost,
            generation: self.generation,
        };
        let content = Content {
            root: vault.root,
            device: vault.device,
            sign: *vault.keys.sign.secret(),
            link: *vault.keys.link.secret(),
            chain: vault.chain.clone(),
            devices: vault.devices.clone(),
            vault: vault.vault.clone(),
            contact_key: vault.contact_key.clone(),
            files: *vault.files.0,
            counters: vault.counters,
            listing: vault.listing,
            listed_as: vault.listed_as.clone(),
        };
        // Room for all at once: a growing Vec would leave copies of the keys behind.
        let mut plain = Zeroizing::new(Vec::with_capacity(LOCAL_VAULT_MAX));
        minicbor::encode(&content, &mut *plain).expect("a Vec takes all");
        let head = minicbor::to_vec(&head).expect("a Vec takes all");
        let sealed = self.key.seal(&head, &plain, secrets);
        let file = File {
            head: Bytes::new(head).expect("a name of 128 bytes and five numbers fit"),
            sealed: Bytes::new(sealed).expect("every part is bounded, together below 16 KiB"),
        };
        let mut bytes = minicbor::to_vec(&file).expect("a Vec takes all");
        let sum = checksum(&bytes);
        bytes.extend_from_slice(&sum);
        bytes
    }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_LEN] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::Entropy;
    use crate::secure::password::{Worked, test_export_key};
    use crate::secure::recovery_key::RecoveryKey;
    use crate::secure::vault::Vault;
    use crate::wire::bounded::{List, Text};

    fn stretched(work: Work) -> StretchedKey {
        let Worked::Stretched(key) = work.run() else { panic!("not a stretching") };
        key
    }

    fn password(typed: &str) -> Password {
        Password::new(typed).expect("a password")
    }

    fn vault(secrets: &mut Stream) -> LocalVault {
        let user = UserName::new("alice").expect("a name");
        let roaming = Vault::draw(secrets);
        let list = DeviceList { user: user.clone(), version: 1, devices: List::default() };
        let devices = roaming.identity.sign(&list);
        let (export, recovery) = (test_export_key(1), RecoveryKey::draw(secrets));
        let name = Text::new("Alice").expect("short");
        let (sealed, _) = roaming.seal(&user, name, &export, &recovery, secrets);
        LocalVault {
            root: roaming.identity.public(),
            user,
            device: DeviceId([2; 16]),
            keys: Keys::draw(secrets),
            chain: Chain {
                authority: Signed::new(devices.body.clone(), devices.signature),
                holder: None,
            },
            devices,
            vault: sealed,
            contact_key: ContactKey([3; 32]),
            files: FilesKey::draw(secrets),
            counters: Counters { registration: 5, buddy_list: 6, posting: 7 },
            listing: Listing::default(),
            listed_as: ListedAs::default(),
        }
    }

    fn sealed(typed: &str) -> (LocalVault, VaultLock, Vec<u8>, Stream) {
        let mut secrets = Entropy::new([6; 32]).secrets;
        let vault = vault(&mut secrets);
        let lock = NewLock::draw(StretchCost::LEAST, &mut secrets);
        let key = stretched(lock.stretch(&password(typed)));
        let mut lock = lock.finish(&key, 0);
        let bytes = lock.seal(&vault, &mut secrets);
        (vault, lock, bytes, secrets)
    }

    fn open(bytes: &[u8], typed: &str, min: u64) -> Result<LocalVault, LocalVaultClosed> {
        let locked = LockedVault::read(bytes)?;
        let key = stretched(locked.stretch(&password(typed)));
        locked.open(&key, min).map(|(vault, _)| vault)
    }

    #[test]
    fn the_password_opens_all_that_was_kept_without_any_authority() {
        let (vault, _, bytes, _) = sealed("correct horse");
        let opened = open(&bytes, "correct horse", 1).expect("opens");
        assert_eq!(opened.keys.public(), vault.keys.public());
        assert_eq!(opened.files.0, vault.files.0);
        assert_eq!((opened.user, opened.device), (vault.user, vault.device));
        assert_eq!((opened.chain, opened.vault), (vault.chain, vault.vault));
        assert!(opened.contact_key == vault.contact_key && opened.counters == vault.counters);
    }

    #[test]
    fn a_wrong_password_is_told_from_a_damaged_file() {
        let (_, _, bytes, _) = sealed("correct horse");
        assert_eq!(open(&bytes, "wrong", 0).err(), Some(LocalVaultClosed::WrongPassword));
        for i in (0..bytes.len()).step_by(7) {
            let mut damaged = bytes.clone();
            damaged[i] ^= 1;
            let read = LockedVault::read(&damaged).err();
            assert_eq!(read, Some(LocalVaultClosed::Damaged), "byte {i}");
        }
        for len in [0, 31, 32, bytes.len() - 1] {
            let read = LockedVault::read(&bytes[..len]).err();
            assert_eq!(read, Some(LocalVaultClosed::Damaged), "{len} bytes");
        }
    }

    #[test]
    fn an_older_file_put_back_is_noticed() {
        let (mut vault, mut lock, old, mut secrets) = sealed("correct horse");
        vault.counters.registration += 1;
        let new = lock.seal(&vault, &mut secrets);
        let seen = LockedVault::read(&new).expect("reads").generation();
        assert!(open(&new, "correct horse", seen).is_ok());
        let refused = open(&old, "correct horse", seen).err();
        assert_eq!(refused, Some(LocalVaultClosed::RolledBack { got: 1, expected: 2 }));
    }

    #[test]
    fn the_head_cannot_be_changed_even_with_a_fresh_checksum() {
        let (_, _, bytes, _) = sealed("correct horse");
        let body = &bytes[..bytes.len() - CHECKSUM_LEN];
        let mut file: File = minicbor::decode(body).expect("a file");
        let mut head: Head = minicbor::decode(&file.head).expect("a head");
        head.generation = 99;
        file.head = Bytes::new(minicbor::to_vec(&head).expect("encodes")).expect("short");
        let mut forged = minicbor::to_vec(&file).expect("encodes");
        forged.extend_from_slice(&checksum(&forged));
        let refused = open(&forged, "correct horse", 0).err();
        assert_eq!(refused, Some(LocalVaultClosed::WrongPassword));
    }
}
