//! The vault that the authority keeps for a user and cannot open: K_u's secret half and the backup
//! key. DESIGN 2.3.
//!
//! A random *vault key* seals the vault; only the vault key is sealed under the OPAQUE export key
//! and, a second copy, under the printed recovery key: so a new password re-seals 32 bytes and
//! nothing else. Every seal names the user and the public K_u, so a copy put under another name, or
//! beside another key, does not open. Invariant: a [`Vault`] that was opened holds the secret half
//! of the public K_u it was opened beside.

use minicbor::{CborLen, Decode, Encode};
use zeroize::{Zeroize, Zeroizing};

use super::identity::SignKey;
use super::password::ExportKey;
use super::recovery_key::RecoveryKey;
use super::seal::{NotOpened, SealKey};
use crate::entropy::Stream;
use crate::ids::UserName;
use crate::wire::bounded::{Bytes, Text};
use crate::wire::certificate::VerifyKey;
use crate::wire::login::{DISPLAY_NAME_MAX, SealedVault};
use crate::wire::read_item;

/// What only its owner opens.
pub struct Vault {
    /// K_u: signs the device list, and nothing else.
    pub identity: SignKey,
    /// Seals the backup that the keepers hold.
    pub backup: SealKey,
}

/// The key of a vault: with it the vault can be sealed for a new password without the old one.
pub struct VaultKey(SealKey);

#[derive(Encode, Decode, CborLen)]
#[cbor(map)]
struct Content {
    #[cbor(n(0), with = "minicbor::bytes")]
    identity: [u8; 32],
    #[cbor(n(1), with = "minicbor::bytes")]
    backup: [u8; 32],
}

impl Drop for Content {
    fn drop(&mut self) {
        self.identity.zeroize();
        self.backup.zeroize();
    }
}

/// Why a vault stays closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VaultClosed {
    /// The key does not fit this vault (or its sealed copy was changed).
    #[error("the key does not fit this vault")]
    WrongKey,
    /// The key fits, but the vault is damaged or holds another K_u than it says.
    #[error("the vault is damaged")]
    Damaged,
}

impl Vault {
    /// Draws a new one.
    pub fn draw(secrets: &mut Stream) -> Self {
        Self { identity: SignKey::draw(secrets), backup: SealKey::draw(secrets) }
    }

    /// Seals it under a new vault key, and that under both ways to it.
    #[must_use]
    pub fn seal(
        &self,
        user: &UserName,
        display_name: Text<DISPLAY_NAME_MAX>,
        export: &ExportKey,
        recovery: &RecoveryKey,
        secrets: &mut Stream,
    ) -> (SealedVault, VaultKey) {
        let identity = self.identity.public();
        let key = VaultKey(SealKey::draw(secrets));
        let content = Content { identity: *self.identity.secret(), backup: *self.backup.secret() };
        let plain = Zeroizing::new(minicbor::to_vec(&content).expect("a Vec takes all"));
        let vault = key.0.seal(&about(Part::Vault, user, &identity), &plain, secrets);
        let by_recovery = recovery.seal_key().seal(
            &about(Part::ByRecovery, user, &identity),
            key.0.secret(),
            secrets,
        );
        let sealed = SealedVault {
            identity,
            vault: Bytes::new(vault).expect("two keys and their seal are below 1024 bytes"),
            by_password: key.by_password(user, &identity, export, secrets),
            by_recovery: Bytes::new(by_recovery).expect("a sealed key has 60 bytes"),
            display_name,
        };
        (sealed, key)
    }

    /// Opens it by the export key of a login.
    ///
    /// # Errors
    /// [`VaultClosed`]: the key does not fit, or the vault is damaged.
    pub fn open_by_password(
        sealed: &SealedVault,
        user: &UserName,
        export: &ExportKey,
    ) -> Result<(Self, VaultKey), VaultClosed> {
        let about = about(Part::ByPassword, user, &sealed.identity);
        Self::open(sealed, user, export.seal_key().open(&about, &sealed.by_password))
    }

    /// Opens it by the recovery key.
    ///
    /// # Errors
    /// [`VaultClosed`]: the key does not fit, or the vault is damaged.
    pub fn open_by_recovery(
        sealed: &SealedVault,
        user: &UserName,
        recovery: &RecoveryKey,
    ) -> Result<(Self, VaultKey), VaultClosed> {
        let about = about(Part::ByRecovery, user, &sealed.identity);
        Self::open(sealed, user, recovery.seal_key().open(&about, &sealed.by_recovery))
    }

    fn open(
        sealed: &SealedVault,
        user: &UserName,
        key: Result<Zeroizing<Vec<u8>>, NotOpened>,
    ) -> Result<(Self, VaultKey), VaultClosed> {
        let key = key.map_err(|_| VaultClosed::WrongKey)?;
        let key = key.as_slice().try_into().map_err(|_| VaultClosed::Damaged)?;
        let key = VaultKey(SealKey::from_secret(key));
        let plain = key
            .0
            .open(&about(Part::Vault, user, &sealed.identity), &sealed.vault)
            .map_err(|_| VaultClosed::Damaged)?;
        let content: Content = read_item("vault", &plain).map_err(|_| VaultClosed::Damaged)?;
        let identity = SignKey::from_secret(&content.identity);
        if identity.public() != sealed.identity {
            return Err(VaultClosed::Damaged);
        }
        Ok((Self { identity, backup: SealKey::from_secret(&content.backup) }, key))
    }
}

impl VaultKey {
    /// The vault key sealed for a (new) password.
    #[must_use]
    pub fn by_password(
        &self,
        user: &UserName,
        identity: &VerifyKey,
        export: &ExportKey,
        secrets: &mut Stream,
    ) -> Bytes<128> {
        let about = about(Part::ByPassword, user, identity);
        let sealed = export.seal_key().seal(&about, self.0.secret(), secrets);
        Bytes::new(sealed).expect("a sealed key has 60 bytes")
    }
}

#[derive(Clone, Copy)]
enum Part {
    Vault = 0,
    ByPassword = 1,
    ByRecovery = 2,
}

fn about(part: Part, user: &UserName, identity: &VerifyKey) -> Vec<u8> {
    [b"earshot-vault-v1\0".as_slice(), &[part as u8], &identity.0, user.as_str().as_bytes()]
        .concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::Entropy;
    use crate::secure::password::test_export_key;

    struct World {
        vault: Vault,
        sealed: SealedVault,
        export: ExportKey,
        recovery: RecoveryKey,
        secrets: Stream,
    }

    fn alice() -> UserName {
        UserName::new("alice").expect("a name")
    }

    fn world() -> World {
        let mut secrets = Entropy::new([5; 32]).secrets;
        let vault = Vault::draw(&mut secrets);
        let (export, recovery) = (test_export_key(1), RecoveryKey::draw(&mut secrets));
        let name = Text::new("Alice").expect("short");
        let (sealed, _) = vault.seal(&alice(), name, &export, &recovery, &mut secrets);
        World { vault, sealed, export, recovery, secrets }
    }

    #[test]
    fn password_and_recovery_key_both_open_the_vault() {
        let world = world();
        let by_password = Vault::open_by_password(&world.sealed, &alice(), &world.export);
        let by_recovery = Vault::open_by_recovery(&world.sealed, &alice(), &world.recovery);
        for (vault, _) in [by_password.expect("opens"), by_recovery.expect("opens")] {
            assert_eq!(vault.identity.secret(), world.vault.identity.secret());
            assert_eq!(vault.backup.secret(), world.vault.backup.secret());
        }
    }

    #[test]
    fn another_password_or_another_name_opens_nothing() {
        let world = world();
        let other = Vault::open_by_password(&world.sealed, &alice(), &test_export_key(2));
        assert_eq!(other.err(), Some(VaultClosed::WrongKey));
        let mallory = UserName::new("mallory").expect("a name");
        let moved = Vault::open_by_password(&world.sealed, &mallory, &world.export);
        assert_eq!(moved.err(), Some(VaultClosed::WrongKey));
    }

    #[test]
    fn a_public_key_swapped_by_the_authority_is_noticed() {
        let mut world = world();
        world.sealed.identity = Vault::draw(&mut world.secrets).identity.public();
        let opened = Vault::open_by_password(&world.sealed, &alice(), &world.export);
        assert_eq!(opened.err(), Some(VaultClosed::WrongKey));
    }

    #[test]
    fn a_changed_byte_of_the_vault_is_damage_not_a_wrong_password() {
        let mut world = world();
        let mut bytes = world.sealed.vault.clone().into_vec();
        *bytes.last_mut().expect("not empty") ^= 1;
        world.sealed.vault = Bytes::new(bytes).expect("as long as before");
        let opened = Vault::open_by_password(&world.sealed, &alice(), &world.export);
        assert_eq!(opened.err(), Some(VaultClosed::Damaged));
    }

    #[test]
    fn a_new_password_opens_and_the_old_one_does_not() {
        let mut world = world();
        let opened = Vault::open_by_password(&world.sealed, &alice(), &world.export);
        let (_, key) = opened.expect("opens");
        let new = test_export_key(9);
        world.sealed.by_password =
            key.by_password(&alice(), &world.sealed.identity, &new, &mut world.secrets);
        assert!(Vault::open_by_password(&world.sealed, &alice(), &new).is_ok());
        let old = Vault::open_by_password(&world.sealed, &alice(), &world.export);
        assert_eq!(old.err(), Some(VaultClosed::WrongKey));
        assert!(Vault::open_by_recovery(&world.sealed, &alice(), &world.recovery).is_ok());
    }
}
