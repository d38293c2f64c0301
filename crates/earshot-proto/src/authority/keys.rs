//! The secrets of an authority: root, own keys, passwords' secret, salt secret. Kept in one file
//! outside the accounts.
//!
//! The root key signs the authority's certificate and the policy; it can be taken out and put back,
//! so that it lies offline in between. DESIGN 2.1, 2.5.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use minicbor::{CborLen, Decode, Encode};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use crate::entropy::Stream;
use crate::ids::NetworkId;
use crate::secure::identity::{Keys, LinkKey, SignKey, network};
use crate::secure::password::AuthorityPasswords;
use crate::time::UnixTime;
use crate::wire::bounded::List;
use crate::wire::certificate::{HolderKeys, Signed, Statement, Subject, VerifyKey};
use crate::wire::epoch::{EPOCHS_MAX, EpochSecret};
use crate::wire::policy::Policy;
use crate::wire::read_item;

use super::state::Row;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Life of an authority's certificate. DESIGN 2.1.
pub const AUTHORITY_LIFE: Duration = DAY.saturating_mul(365);
/// Life of a device's certificate. DESIGN 2.3.
pub const DEVICE_LIFE: Duration = DAY.saturating_mul(14);
/// Life of a node's certificate. DESIGN 2.5.
pub const NODE_LIFE: Duration = DAY.saturating_mul(7);

/// All secrets of an authority.
pub struct AuthorityKeys {
    root: VerifyKey,
    root_secret: Option<SignKey>,
    keys: Keys,
    passwords: AuthorityPasswords,
    salt: Zeroizing<[u8; 32]>,
}

/// The bytes are no authority's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the file of the authority's keys is damaged")]
pub struct BadKeys;

/// The root key is offline, or this one is another network's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the root key is not here")]
pub struct NoRoot;

#[derive(Encode, Decode, CborLen)]
#[cbor(map)]
struct File {
    #[n(0)]
    root: VerifyKey,
    #[cbor(n(1), with = "minicbor::bytes")]
    root_secret: Option<[u8; 32]>,
    #[cbor(n(2), with = "minicbor::bytes")]
    sign: [u8; 32],
    #[cbor(n(3), with = "minicbor::bytes")]
    link: [u8; 32],
    #[cbor(n(4), with = "minicbor::bytes")]
    passwords: Vec<u8>,
    #[cbor(n(5), with = "minicbor::bytes")]
    salt: [u8; 32],
}

impl Drop for File {
    fn drop(&mut self) {
        self.root_secret.zeroize();
        self.sign.zeroize();
        self.link.zeroize();
        self.salt.zeroize();
        self.passwords.zeroize();
    }
}

impl AuthorityKeys {
    /// Draws the keys of a new network.
    pub fn found(secrets: &mut Stream) -> Self {
        let root = SignKey::draw(secrets);
        let public = root.public();
        Self {
            root: public,
            root_secret: Some(root),
            keys: Keys::draw(secrets),
            passwords: AuthorityPasswords::draw(network(&public), secrets),
            salt: Zeroizing::new(secrets.bytes()),
        }
    }

    /// The rows with which the store of a new authority begins: its certificate and the policy.
    ///
    /// # Errors
    /// [`NoRoot`] when the root key is offline.
    pub fn first_rows(&self, policy: &Policy, wall: UnixTime) -> Result<Vec<Row>, NoRoot> {
        let policy_row = Row::Policy(self.sign_policy(policy)?);
        Ok(vec![policy_row, Row::Certificate(self.sign_certificate(1, policy.version, wall)?)])
    }

    /// Reads the keys back.
    ///
    /// # Errors
    /// [`BadKeys`] when these are not their bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadKeys> {
        let file: File = read_item("authority.keys", bytes).map_err(|_| BadKeys)?;
        let root_secret = file.root_secret.as_ref().map(SignKey::from_secret);
        if root_secret.as_ref().is_some_and(|secret| secret.public() != file.root) {
            return Err(BadKeys);
        }
        let passwords = AuthorityPasswords::from_bytes(network(&file.root), &file.passwords)
            .map_err(|_| BadKeys)?;
        let keys =
            Keys { sign: SignKey::from_secret(&file.sign), link: LinkKey::from_secret(&file.link) };
        let salt = Zeroizing::new(file.salt);
        Ok(Self { root: file.root, root_secret, keys, passwords, salt })
    }

    /// The bytes of all keys, for a file that only the owner reads.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let file = File {
            root: self.root,
            root_secret: self.root_secret.as_ref().map(|root| *root.secret()),
            sign: *self.keys.sign.secret(),
            link: *self.keys.link.secret(),
            passwords: self.passwords.to_bytes().to_vec(),
            salt: *self.salt,
        };
        // Room for all at once: a growing Vec would leave copies of the keys behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(2048));
        minicbor::encode(&file, &mut *bytes).expect("a Vec takes all");
        bytes
    }

    /// The root key's public half: the network.
    #[must_use]
    pub const fn root(&self) -> VerifyKey {
        self.root
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> NetworkId {
        network(&self.root)
    }

    /// The authority's own public keys.
    #[must_use]
    pub fn public(&self) -> HolderKeys {
        self.keys.public()
    }

    /// Takes the root key out, so that it can be kept offline.
    pub fn take_root(&mut self) -> Option<SignKey> {
        self.root_secret.take()
    }

    /// Puts the root key back.
    ///
    /// # Errors
    /// [`NoRoot`] when it is another network's.
    pub fn restore_root(&mut self, root: SignKey) -> Result<(), NoRoot> {
        if root.public() != self.root {
            return Err(NoRoot);
        }
        self.root_secret = Some(root);
        Ok(())
    }

    /// Signs a policy by the root.
    ///
    /// # Errors
    /// [`NoRoot`] when the root key is offline.
    pub fn sign_policy(&self, policy: &Policy) -> Result<Signed<Policy>, NoRoot> {
        self.root_secret.as_ref().map(|root| root.sign(policy)).ok_or(NoRoot)
    }

    /// Certifies the authority's own keys by the root.
    pub(super) fn sign_certificate(
        &self,
        serial: u64,
        policy_version: u64,
        wall: UnixTime,
    ) -> Result<Signed<Statement>, NoRoot> {
        let root = self.root_secret.as_ref().ok_or(NoRoot)?;
        let HolderKeys { verify, agree } = self.public();
        Ok(root.sign(&Statement {
            serial,
            subject: Subject::Authority { verify, agree },
            not_before: wall,
            not_after: wall.plus(AUTHORITY_LIFE),
            policy_version,
        }))
    }

    /// Certifies a device or a node.
    pub(super) fn certify(&self, statement: &Statement) -> Signed<Statement> {
        self.keys.sign.sign(statement)
    }

    pub(super) const fn link(&self) -> &LinkKey {
        &self.keys.link
    }

    pub(super) const fn passwords(&self) -> &AuthorityPasswords {
        &self.passwords
    }

    /// The salt of a node's id: HMAC-SHA-256(secret, address ‖ port), 16 bytes; of an IPv6 address
    /// the /48 counts, so that who holds a network cannot choose among its addresses. DESIGN
    /// 2.5.
    pub(super) fn salt_of(&self, address: SocketAddr) -> [u8; 16] {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.salt.as_slice())
            .expect("HMAC takes keys of any length");
        mac.update(&[0]);
        mac.update(&prefix_of(address.ip()));
        mac.update(&address.port().to_be_bytes());
        let tag: [u8; 32] = mac.finalize().into_bytes().into();
        *tag.first_chunk().expect("32 bytes hold 16")
    }

    /// The secrets of the epoch at that time and of the next: HMAC-SHA-256(secret, 01 ‖ number).
    pub(super) fn epochs_at(&self, wall: UnixTime) -> List<EpochSecret, EPOCHS_MAX> {
        let present = EpochSecret::number_at(wall);
        List::first_of([present, present + 1].map(|number| {
            let mut mac = Hmac::<Sha256>::new_from_slice(self.salt.as_slice())
                .expect("HMAC takes keys of any length");
            mac.update(&[1]);
            mac.update(&number.to_be_bytes());
            EpochSecret { number, secret: mac.finalize().into_bytes().into() }
        }))
    }
}

/// The part of an address that its holder cannot choose: all of IPv4, the first 48 bits of IPv6.
pub(super) fn prefix_of(ip: IpAddr) -> [u8; 16] {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => {
            let mut octets = ip.octets();
            octets[6..].fill(0);
            octets
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::Entropy;

    fn keys() -> AuthorityKeys {
        AuthorityKeys::found(&mut Entropy::new([1; 32]).secrets)
    }

    #[test]
    fn the_keys_survive_being_kept_and_the_root_can_go_offline() {
        let mut keys = keys();
        let root = keys.take_root().expect("a founder has it");
        let mut again = AuthorityKeys::from_bytes(&keys.to_bytes()).expect("its own bytes");
        assert_eq!((again.root(), again.public()), (keys.root(), keys.public()));
        assert!(again.take_root().is_none());
        assert_eq!(again.restore_root(root), Ok(()));
        assert!(AuthorityKeys::from_bytes(&again.to_bytes()).expect("reads").take_root().is_some());
        let stranger = SignKey::draw(&mut Entropy::new([2; 32]).secrets);
        assert_eq!(keys.restore_root(stranger), Err(NoRoot));
    }

    #[test]
    fn a_node_cannot_choose_its_salt_within_its_network() {
        let keys = keys();
        let salt = |address: &str| keys.salt_of(address.parse().expect("an address"));
        assert_eq!(salt("[2001:db8:1::1]:4433"), salt("[2001:db8:1:ffff::9]:4433"));
        assert_ne!(salt("[2001:db8:1::1]:4433"), salt("[2001:db8:2::1]:4433"));
        assert_ne!(salt("192.0.2.1:4433"), salt("192.0.2.2:4433"));
        assert_ne!(salt("192.0.2.1:4433"), salt("192.0.2.1:4434"));
        assert_eq!(salt("192.0.2.1:4433"), salt("[::ffff:192.0.2.1]:4433"));
    }
}
