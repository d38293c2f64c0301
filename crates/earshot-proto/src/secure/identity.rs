//! Who is who: signing keys, certificates and how they are believed.
//!
//! Source: DESIGN 2.1 and 2.3; Ed25519 (RFC 8032), always `verify_strict`. A signature is over
//! `"earshot-" ‖ domain ‖ "-v1" ‖ 0x00 ‖ body`, so bytes signed for one purpose mean nothing for
//! another. Invariant: a [`Verified`] exists only when every signature up to the root held at the
//! time it was made.

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use std::time::Duration;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::entropy::Stream;
use crate::ids::NetworkId;
use crate::time::UnixTime;
use crate::wire::bounded::Bytes;
use crate::wire::certificate::{
    AgreeKey, Chain, DeviceList, HolderKeys, Signature, Signed, Statement, Subject, VerifyKey,
};
use crate::wire::directory::Registration;
use crate::wire::enrolment::AddressProof;
use crate::wire::forward::{Address, WatchGrant};
use crate::wire::invite::network_of;
use crate::wire::policy::Policy;
use crate::wire::{DecodeError, Wire};

/// How far clocks may differ before a certificate's start is taken for wrong. Our choice: a badly
/// set clock is minutes off, and the certificate's own life is days.
pub const CLOCK_SLACK: Duration = Duration::from_secs(10 * 60);
/// How long after its end a certificate still addresses people and stands for what it signed.
/// DESIGN 2.3.
pub const ADDRESSING_GRACE: Duration = Duration::from_secs(45 * 24 * 3600);

/// How long after its end a certificate still serves between people who know each other, on a local
/// network without the Internet, and to have it renewed. DESIGN 2.3, 2.14.
pub const NEARBY_GRACE: Duration = Duration::from_secs(90 * 24 * 3600);

/// A type that is signed, and for what purpose.
pub trait Signable: Wire {
    /// The purpose; no two types share one.
    const DOMAIN: &'static str;
}

impl Signable for Statement {
    const DOMAIN: &'static str = "certificate";
}
impl Signable for Policy {
    const DOMAIN: &'static str = "policy";
}
impl Signable for DeviceList {
    const DOMAIN: &'static str = "device-list";
}
impl Signable for Registration {
    const DOMAIN: &'static str = "registration";
}
impl Signable for AddressProof {
    const DOMAIN: &'static str = "address-proof";
}
impl Signable for WatchGrant {
    const DOMAIN: &'static str = "watch-grant";
}

/// An Ed25519 key pair.
pub struct SignKey(SigningKey);

impl SignKey {
    /// Draws a new one.
    pub fn draw(secrets: &mut Stream) -> Self {
        Self::from_secret(&Zeroizing::new(secrets.bytes()))
    }

    /// The pair of a 32-byte secret (RFC 8032 seed).
    #[must_use]
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }

    /// The secret, for sealing into a vault.
    #[must_use]
    pub fn secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> VerifyKey {
        VerifyKey(self.0.verifying_key().to_bytes())
    }

    /// Signs `what`. Its encoding must fit under one signature, which the bounds of every signed
    /// type see to.
    #[must_use]
    pub fn sign<T: Signable>(&self, what: &T) -> Signed<T> {
        let body = Bytes::new(what.to_bytes()).expect("signed types are bounded below 4096 bytes");
        let signature = self.sign_bytes(T::DOMAIN, &body);
        Signed::new(body, signature)
    }

    /// Signs bytes that are no message of [`wire`](crate::wire) (a file of ours). `domain` must be
    /// no other's.
    pub(super) fn sign_bytes(&self, domain: &str, bytes: &[u8]) -> Signature {
        Signature(self.0.sign(&domain_bytes(domain, bytes)).to_bytes())
    }
}

impl std::fmt::Debug for SignKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SignKey({:?})", self.public())
    }
}

/// An X25519 key pair that opens links and envelopes.
pub struct LinkKey(StaticSecret);

impl LinkKey {
    /// Draws a new one.
    pub fn draw(secrets: &mut Stream) -> Self {
        Self::from_secret(&Zeroizing::new(secrets.bytes()))
    }

    /// The pair of a 32-byte secret (RFC 7748).
    #[must_use]
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self(StaticSecret::from(*secret))
    }

    /// The secret, for the vault and the handshake.
    #[must_use]
    pub fn secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> AgreeKey {
        AgreeKey(PublicKey::from(&self.0).to_bytes())
    }
}

impl std::fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LinkKey({:?})", self.public())
    }
}

/// The secret keys of a device or a node.
#[derive(Debug)]
pub struct Keys {
    /// Signs.
    pub sign: SignKey,
    /// Opens links and envelopes.
    pub link: LinkKey,
}

impl Keys {
    /// Draws both.
    pub fn draw(secrets: &mut Stream) -> Self {
        Self { sign: SignKey::draw(secrets), link: LinkKey::draw(secrets) }
    }

    /// Both public halves.
    #[must_use]
    pub fn public(&self) -> HolderKeys {
        HolderKeys { verify: self.sign.public(), agree: self.link.public() }
    }
}

/// Why something signed is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Disbelief {
    /// The signature does not belong to the bytes and the key.
    #[error("forged signature")]
    Forged,
    /// Issued by an authority of another network.
    #[error("certificate of another network")]
    OtherNetwork,
    /// Not valid yet, clocks considered.
    #[error("valid only from {from:?}")]
    NotYet {
        /// Its start.
        from: UnixTime,
    },
    /// No longer valid.
    #[error("expired at {at:?}")]
    Expired {
        /// Its end.
        at: UnixTime,
    },
    /// A certificate of the wrong kind stands in the chain.
    #[error("certificate of the wrong kind")]
    WrongKind,
    /// The holder on the link does not have the certified key.
    #[error("certificate of somebody else")]
    NotTheHolder,
    /// The signed bytes cannot be read.
    #[error(transparent)]
    Unreadable(#[from] DecodeError),
}

/// Checks a signature and reads what was signed.
///
/// # Errors
/// [`Disbelief::Forged`] or [`Disbelief::Unreadable`].
pub fn open_signed<T: Signable>(signed: &Signed<T>, by: &VerifyKey) -> Result<T, Disbelief> {
    by.verify_bytes(T::DOMAIN, &signed.body, &signed.signature)?;
    Ok(T::from_bytes(&signed.body)?)
}

impl VerifyKey {
    /// Checks what [`SignKey::sign_bytes`] signed.
    pub(super) fn verify_bytes(
        &self,
        domain: &str,
        bytes: &[u8],
        signature: &Signature,
    ) -> Result<(), Disbelief> {
        let key = VerifyingKey::from_bytes(&self.0).map_err(|_| Disbelief::Forged)?;
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        key.verify_strict(&domain_bytes(domain, bytes), &signature).map_err(|_| Disbelief::Forged)
    }
}

fn domain_bytes(domain: &str, body: &[u8]) -> Vec<u8> {
    [b"earshot-", domain.as_bytes(), b"-v1\0", body].concat()
}

/// What a certificate is to be used for; decides how its end is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// To open a link or sign something new: strictly within its life.
    Present,
    /// To address its holder, or to believe what it signed before: [`ADDRESSING_GRACE`] longer.
    Addressing,
    /// To meet its holder, who is known, where no authority can be reached; or to be renewed by it:
    /// [`NEARBY_GRACE`] longer.
    Nearby,
}

/// A certificate that was verified from the root down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// What it says.
    pub statement: Statement,
}

impl Verified {
    /// The holder's keys.
    #[must_use]
    pub fn keys(&self) -> HolderKeys {
        match &self.statement.subject {
            Subject::Authority { verify, agree } => HolderKeys { verify: *verify, agree: *agree },
            Subject::Device { keys, .. } | Subject::Node { keys, .. } => *keys,
        }
    }
}

/// Believes a chain, or says why not.
///
/// # Errors
/// [`Disbelief`]: forged, of another network, out of its time, or of the wrong kind.
pub fn verify_chain(
    chain: &Chain,
    root: &VerifyKey,
    now: UnixTime,
    purpose: Use,
) -> Result<Verified, Disbelief> {
    let authority = open_signed(&chain.authority, root).map_err(|e| match e {
        Disbelief::Forged => Disbelief::OtherNetwork,
        Disbelief::OtherNetwork
        | Disbelief::NotYet { .. }
        | Disbelief::Expired { .. }
        | Disbelief::WrongKind
        | Disbelief::NotTheHolder
        | Disbelief::Unreadable(_) => e,
    })?;
    check_time(&authority, now, purpose)?;
    let Subject::Authority { verify, .. } = &authority.subject else {
        return Err(Disbelief::WrongKind);
    };
    let Some(holder) = &chain.holder else {
        return Ok(Verified { statement: authority });
    };
    let statement = open_signed(holder, verify)?;
    check_holder(&statement, now, purpose)?;
    Ok(Verified { statement })
}

/// Believes what an authority has signed for a holder, without its chain; `authority` is the
/// statement by which the root certified it.
///
/// # Errors
/// [`Disbelief`], as [`verify_chain`].
pub fn verify_statement(
    holder: &Signed<Statement>,
    authority: &Statement,
    now: UnixTime,
    purpose: Use,
) -> Result<Statement, Disbelief> {
    let Subject::Authority { verify, .. } = &authority.subject else {
        return Err(Disbelief::WrongKind);
    };
    let statement = open_signed(holder, verify)?;
    check_holder(&statement, now, purpose)?;
    Ok(statement)
}

fn check_holder(statement: &Statement, now: UnixTime, purpose: Use) -> Result<(), Disbelief> {
    if matches!(statement.subject, Subject::Authority { .. }) {
        return Err(Disbelief::WrongKind);
    }
    check_time(statement, now, purpose)
}

/// Something that a device signs and sends its own chain along with.
pub trait SignedByDevice: Signable {
    /// The device's chain.
    fn chain(&self) -> &Chain;
}

impl SignedByDevice for Registration {
    fn chain(&self) -> &Chain {
        &self.chain
    }
}

impl SignedByDevice for WatchGrant {
    fn chain(&self) -> &Chain {
        &self.chain
    }
}

/// What a device has signed, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FromDevice<T> {
    /// The device and its user.
    pub address: Address,
    /// The user's identity key K_u, as certified.
    pub identity: VerifyKey,
    /// The device's keys.
    pub keys: HolderKeys,
    /// What it says.
    pub said: T,
}

/// Believes what a device signed, by the chain that it carries, from the root down.
///
/// # Errors
/// [`Disbelief`]: as of [`verify_chain`] and [`open_signed`], or the chain is no device's.
pub fn open_by_device<T: SignedByDevice>(
    signed: &Signed<T>,
    root: &VerifyKey,
    now: UnixTime,
    purpose: Use,
) -> Result<FromDevice<T>, Disbelief> {
    let claimed = T::from_bytes(&signed.body)?;
    let verified = verify_chain(claimed.chain(), root, now, purpose)?;
    let keys = verified.keys();
    let said = open_signed(signed, &keys.verify)?;
    let Subject::Device { user, device, identity, .. } = verified.statement.subject else {
        return Err(Disbelief::WrongKind);
    };
    Ok(FromDevice { address: Address { user, device }, identity, keys, said })
}

fn check_time(statement: &Statement, now: UnixTime, purpose: Use) -> Result<(), Disbelief> {
    if now.plus(CLOCK_SLACK) < statement.not_before {
        return Err(Disbelief::NotYet { from: statement.not_before });
    }
    let end = match purpose {
        Use::Present => statement.not_after,
        Use::Addressing => statement.not_after.plus(ADDRESSING_GRACE),
        Use::Nearby => statement.not_after.plus(NEARBY_GRACE),
    };
    if end <= now {
        return Err(Disbelief::Expired { at: statement.not_after });
    }
    Ok(())
}

/// The network of a root key; here so that callers need not know how it is made.
#[must_use]
pub fn network(root: &VerifyKey) -> NetworkId {
    network_of(root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::Entropy;
    use crate::ids::{DeviceId, UserName};

    const DAY: Duration = Duration::from_secs(24 * 3600);
    const NOW: UnixTime = UnixTime(1_700_000_000_000);

    struct World {
        root: SignKey,
        device: Keys,
        chain: Chain,
    }

    fn world(seed: u8) -> World {
        let mut entropy = Entropy::new([seed; 32]);
        let root = SignKey::draw(&mut entropy.secrets);
        let authority = Keys::draw(&mut entropy.secrets);
        let device = Keys::draw(&mut entropy.secrets);
        let life = |subject, days| Statement {
            serial: 1,
            subject,
            not_before: NOW,
            not_after: NOW.plus(DAY * days),
            policy_version: 1,
        };
        let keys = authority.public();
        let subject = Subject::Authority { verify: keys.verify, agree: keys.agree };
        let holder = Subject::Device {
            user: UserName::new("alice").expect("a name"),
            identity: root.public(),
            device: DeviceId([1; 16]),
            keys: device.public(),
        };
        let chain = Chain {
            authority: root.sign(&life(subject, 365)),
            holder: Some(authority.sign.sign(&life(holder, 14))),
        };
        World { root, device, chain }
    }

    #[test]
    fn a_chain_is_believed_from_the_root_down() {
        let world = world(1);
        let verified = verify_chain(&world.chain, &world.root.public(), NOW, Use::Present);
        assert_eq!(verified.map(|v| v.keys()), Ok(world.device.public()));
    }

    #[test]
    fn a_chain_of_another_network_is_refused() {
        let (world, other) = (world(1), world(2));
        let refused = verify_chain(&world.chain, &other.root.public(), NOW, Use::Present);
        assert_eq!(refused, Err(Disbelief::OtherNetwork));
    }

    #[test]
    fn a_changed_byte_is_a_forgery() {
        let mut world = world(1);
        let holder = world.chain.holder.take().expect("a holder");
        let mut body = holder.body.to_vec();
        *body.last_mut().expect("not empty") ^= 1;
        let body = Bytes::new(body).expect("short");
        world.chain.holder = Some(Signed::new(body, holder.signature));
        let refused = verify_chain(&world.chain, &world.root.public(), NOW, Use::Present);
        assert_eq!(refused, Err(Disbelief::Forged));
    }

    #[test]
    fn an_expired_certificate_opens_nothing_but_addresses_for_45_days_and_serves_nearby_for_90() {
        let world = world(1);
        let root = world.root.public();
        let at =
            |days: u32, purpose| verify_chain(&world.chain, &root, NOW.plus(DAY * days), purpose);
        assert_eq!(at(15, Use::Present), Err(Disbelief::Expired { at: NOW.plus(DAY * 14) }));
        assert!(at(15, Use::Addressing).is_ok());
        assert!(at(60, Use::Addressing).is_err());
        assert!(at(103, Use::Nearby).is_ok());
        assert!(at(104, Use::Nearby).is_err());
    }

    #[test]
    fn a_certificate_from_the_future_is_refused_beyond_the_clock_slack() {
        let world = world(1);
        let root = world.root.public();
        let early = NOW.minus(Duration::from_secs(300));
        assert!(verify_chain(&world.chain, &root, early, Use::Present).is_ok());
        let refused = verify_chain(&world.chain, &root, NOW.minus(DAY), Use::Present);
        assert_eq!(refused, Err(Disbelief::NotYet { from: NOW }));
    }

    #[test]
    fn a_signature_for_one_purpose_means_nothing_for_another() {
        let world = world(1);
        let list = DeviceList {
            user: UserName::new("alice").expect("a name"),
            version: 1,
            devices: crate::wire::bounded::List::default(),
        };
        let signed = world.root.sign(&list);
        let as_policy: Signed<Policy> = Signed::new(signed.body, signed.signature);
        assert_eq!(open_signed(&as_policy, &world.root.public()), Err(Disbelief::Forged));
    }
}
