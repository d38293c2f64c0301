//! Certificates: who holds which keys, root → authority → device or node. DESIGN 2.1 and 2.3.
//!
//! A certificate is a [`Signed`] [`Statement`]; whoever proves itself shows its [`Chain`]. What is
//! *valid* is decided by [`secure::identity`](crate::secure::identity); here is only the shape.

use std::marker::PhantomData;
use std::net::{SocketAddr, SocketAddrV6};

use minicbor::{CborLen, Decode, Encode};

use super::Wire;
use super::bounded::{Bytes, List};
use crate::ids::{DeviceId, NodeId, UserName};
use crate::time::UnixTime;

/// An Ed25519 public key (RFC 8032), 32 bytes as received; checked when used.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode, CborLen)]
#[cbor(transparent)]
pub struct VerifyKey(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 32]);

/// An X25519 public key (RFC 7748), 32 bytes as received.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode, CborLen)]
#[cbor(transparent)]
pub struct AgreeKey(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 32]);

/// An Ed25519 signature, 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, CborLen)]
#[cbor(transparent)]
pub struct Signature(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 64]);

/// Longest body under one signature, in bytes.
pub const SIGNED_BODY_MAX: usize = 4096;

/// Bytes under a signature, kept as they came: they are verified and decoded, never encoded again.
pub struct Signed<T> {
    /// The encoded `T`.
    pub body: Bytes<SIGNED_BODY_MAX>,
    /// Over `domain(T) ‖ body`; see [`secure::identity`](crate::secure::identity).
    pub signature: Signature,
    what: PhantomData<fn() -> T>,
}

impl<T> Signed<T> {
    /// Puts a body and its signature together.
    #[must_use]
    pub const fn new(body: Bytes<SIGNED_BODY_MAX>, signature: Signature) -> Self {
        Self { body, signature, what: PhantomData }
    }
}

impl<T> Clone for Signed<T> {
    fn clone(&self) -> Self {
        Self::new(self.body.clone(), self.signature)
    }
}

impl<T> PartialEq for Signed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.body == other.body && self.signature == other.signature
    }
}

impl<T> Eq for Signed<T> {}

impl<T> std::fmt::Debug for Signed<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signed({} bytes)", self.body.len())
    }
}

impl<C, T> Encode<C> for Signed<T> {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.array(2)?;
        self.body.encode(e, ctx)?;
        self.signature.encode(e, ctx)
    }
}

impl<'b, C, T> Decode<'b, C> for Signed<T> {
    fn decode(d: &mut minicbor::Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        let at = d.position();
        if d.array()? != Some(2) {
            return Err(minicbor::decode::Error::message("not a signed body").at(at));
        }
        Ok(Self::new(d.decode_with(ctx)?, d.decode_with(ctx)?))
    }
}

impl<C, T> CborLen<C> for Signed<T> {
    fn cbor_len(&self, ctx: &mut C) -> usize {
        1 + self.body.cbor_len(ctx) + self.signature.cbor_len(ctx)
    }
}

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Statement {
    /// Number of the certificate, unique under its issuer; revocations name it.
    #[n(0)]
    pub serial: u64,
    /// Who is certified.
    #[n(1)]
    pub subject: Subject,
    /// Not valid before.
    #[n(2)]
    pub not_before: UnixTime,
    /// Opens no link and signs nothing new from here on.
    #[n(3)]
    pub not_after: UnixTime,
    /// Version of the network policy at issue.
    #[n(4)]
    pub policy_version: u64,
}

/// Who a certificate is about.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
pub enum Subject {
    /// A login authority; signed by the root.
    #[n(0)]
    Authority {
        /// Its signing key.
        #[n(0)]
        verify: VerifyKey,
        /// Its link key.
        #[n(1)]
        agree: AgreeKey,
    },
    /// A device of a user; signed by an authority.
    #[n(1)]
    Device {
        /// The user's prepared name.
        #[n(0)]
        user: UserName,
        /// The user's identity key K_u, which buddies pin.
        #[n(1)]
        identity: VerifyKey,
        /// The device.
        #[n(2)]
        device: DeviceId,
        /// Its own keys.
        #[n(3)]
        keys: HolderKeys,
    },
    /// A super-peer; signed by an authority.
    #[n(2)]
    Node {
        /// Its place on the ring.
        #[n(0)]
        node: NodeId,
        /// Where it listens (TCP and UDP).
        #[n(1)]
        address: SocketAddr,
        /// Its own keys.
        #[n(2)]
        keys: HolderKeys,
        /// The user who owns it, if it is not headless.
        #[n(3)]
        owner: Option<UserName>,
        /// Where it says that it listens too. Its place comes of `address` alone, and nobody has
        /// verified this one.
        #[n(4)]
        v6: Option<SocketAddrV6>,
    },
}

/// The public keys of a device or a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct HolderKeys {
    /// Signs (Ed25519).
    #[n(0)]
    pub verify: VerifyKey,
    /// Opens links and receives sealed envelopes (X25519).
    #[n(1)]
    pub agree: AgreeKey,
}

/// A certificate with its issuer's: what a holder shows. Both are verified from the root down.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Chain {
    /// The authority's certificate, signed by the root.
    #[n(0)]
    pub authority: Signed<Statement>,
    /// The holder's certificate, signed by that authority; absent when the holder is the authority
    /// itself.
    #[n(1)]
    pub holder: Option<Signed<Statement>>,
}

/// The payload of the second and third handshake messages: who I am.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Hello {
    /// Feature bits; unknown ones are ignored.
    #[n(0)]
    pub features: u64,
    /// My certificate; a device that is signing in has none yet.
    #[n(1)]
    pub chain: Option<Chain>,
    /// My wall clock: peers take the median of what super-peers say.
    #[n(2)]
    pub clock: UnixTime,
}

/// The devices of a user, signed by K_u. DESIGN 2.3: K_u signs nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct DeviceList {
    /// The user.
    #[n(0)]
    pub user: UserName,
    /// Grows by one with each change.
    #[n(1)]
    pub version: u64,
    /// The devices.
    #[n(2)]
    pub devices: List<ListedDevice, DEVICES_MAX>,
}

/// Devices of one user at most. Our choice: more than anybody has, few enough to write to each.
pub const DEVICES_MAX: usize = 16;

/// One device in a [`DeviceList`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct ListedDevice {
    /// Its id.
    #[n(0)]
    pub device: DeviceId,
    /// Its keys.
    #[n(1)]
    pub keys: HolderKeys,
    /// When it was added.
    #[n(2)]
    pub added: UnixTime,
}

impl Wire for Statement {
    const NAME: &'static str = "certificate.statement";
    const MAX: usize = 1024;
}

impl Wire for Chain {
    const NAME: &'static str = "certificate.chain";
    const MAX: usize = 2048;
}

impl Wire for Hello {
    const NAME: &'static str = "certificate.hello";
    const MAX: usize = 2304;
}

impl Wire for DeviceList {
    const NAME: &'static str = "certificate.device_list";
    const MAX: usize = SIGNED_BODY_MAX;
}
