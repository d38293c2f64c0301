//! The invite: what a newcomer needs to find and trust a network. DESIGN 1, INTERFACES 2.
//!
//! As a URI: `earshot:` followed by base64url(CBOR ‖ first 4 bytes of SHA-256 of it). A slip of the
//! pen is thus told from a network that does not answer. Vectors: `tests/vectors/invite.json`.

use std::net::{SocketAddr, SocketAddrV6};

use data_encoding::BASE64URL_NOPAD;
use minicbor::{CborLen, Decode, Encode};
use sha2::{Digest, Sha256};

use super::Wire;
use super::bounded::{Bytes, List, Text};
use super::certificate::{AgreeKey, VerifyKey};
use super::policy::NETWORK_NAME_MAX;
use crate::ids::NetworkId;

/// Super-peers named by one invite at most: it must fit a QR code that a phone camera reads from a
/// screen.
pub const INVITE_SUPER_PEERS_MAX: usize = 4;
/// The scheme of invites.
pub const SCHEME: &str = "earshot:";
const CHECKSUM_LEN: usize = 4;

/// An invite.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Invite {
    /// The network's name, for people; proves nothing.
    #[n(0)]
    pub name: Text<NETWORK_NAME_MAX>,
    /// The root key: the network itself.
    #[n(1)]
    pub root: VerifyKey,
    /// Where to knock.
    #[n(2)]
    pub super_peers: List<Door, INVITE_SUPER_PEERS_MAX>,
    /// Admission token, where the policy asks for one.
    #[n(3)]
    pub token: Option<Bytes<32>>,
    /// Version of the policy when it was made.
    #[n(4)]
    pub policy_version: u64,
    /// IPv6 addresses of those where to knock.
    #[n(5)]
    pub also: Option<List<AlsoAt, INVITE_SUPER_PEERS_MAX>>,
}

/// A super-peer's address and link key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Door {
    /// Where it listens.
    #[n(0)]
    pub address: SocketAddr,
    /// Its link key: whoever answers there must hold it.
    #[n(1)]
    pub key: AgreeKey,
}

/// An IPv6 address of somebody whose door has an IPv4 one: who has no IPv4 knocks there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct AlsoAt {
    /// The link key of the door: whoever answers there must hold it.
    #[n(0)]
    pub key: AgreeKey,
    /// Where it listens too.
    #[n(1)]
    pub address: SocketAddrV6,
}

/// Why a text is no invite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadInvite {
    /// It does not begin with `earshot:`.
    #[error("an invite begins with {SCHEME}")]
    NotAnInvite,
    /// Letters are missing or wrong.
    #[error("the invite is damaged: copy it again, whole")]
    Damaged,
    /// Whole, but of a shape that this version does not read.
    #[error("the invite was made by a program that this one does not understand")]
    Unreadable,
}

impl Invite {
    /// The network it leads to.
    #[must_use]
    pub fn network(&self) -> NetworkId {
        network_of(&self.root)
    }

    /// The invite as a link.
    #[must_use]
    pub fn to_uri(&self) -> String {
        write_uri(SCHEME, self)
    }

    /// Reads a link. White space around it is forgiven.
    ///
    /// # Errors
    /// [`BadInvite`] says whether to copy it again or to update the program.
    pub fn from_uri(text: &str) -> Result<Self, BadInvite> {
        read_uri(SCHEME, text)
    }
}

/// Where a network's authority is: what a super-peer needs to enrol, besides a token. INTERFACES 2.
///
/// As a URI: `earshot-authority:` and the rest as of an invite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct AuthorityPlace {
    /// The root key: the network itself.
    #[n(0)]
    pub root: VerifyKey,
    /// Where the authority listens, and its link key.
    #[n(1)]
    pub door: Door,
    /// Its IPv6 address, where that of the door is of IPv4.
    #[n(2)]
    pub v6: Option<SocketAddrV6>,
}

/// The scheme of [`AuthorityPlace`].
pub const AUTHORITY_SCHEME: &str = "earshot-authority:";

impl AuthorityPlace {
    /// The place as a URI.
    #[must_use]
    pub fn to_uri(&self) -> String {
        write_uri(AUTHORITY_SCHEME, self)
    }

    /// Reads a URI.
    ///
    /// # Errors
    /// [`BadInvite`] as of an invite.
    pub fn from_uri(text: &str) -> Result<Self, BadInvite> {
        read_uri(AUTHORITY_SCHEME, text)
    }
}

fn write_uri(scheme: &str, what: &impl Wire) -> String {
    let mut bytes = what.to_bytes();
    let sum = checksum(&bytes);
    bytes.extend_from_slice(&sum);
    format!("{scheme}{}", BASE64URL_NOPAD.encode(&bytes))
}

fn read_uri<T: Wire>(scheme: &str, text: &str) -> Result<T, BadInvite> {
    let body = text.trim().strip_prefix(scheme).ok_or(BadInvite::NotAnInvite)?;
    let bytes = BASE64URL_NOPAD.decode(body.as_bytes()).map_err(|_| BadInvite::Damaged)?;
    let Some((cbor, sum)) = bytes.split_last_chunk::<CHECKSUM_LEN>() else {
        return Err(BadInvite::Damaged);
    };
    if checksum(cbor) != *sum {
        return Err(BadInvite::Damaged);
    }
    T::from_bytes(cbor).map_err(|_| BadInvite::Unreadable)
}

/// The network of a root key: SHA-256 of its 32 bytes.
#[must_use]
pub fn network_of(root: &VerifyKey) -> NetworkId {
    NetworkId(Sha256::digest(root.0).into())
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_LEN] {
    let hash: [u8; 32] = Sha256::digest(bytes).into();
    *hash.first_chunk().expect("32 bytes hold 4")
}

impl Wire for AuthorityPlace {
    const NAME: &'static str = "authority_place";
    const MAX: usize = 256;
}

impl Wire for Invite {
    const NAME: &'static str = "invite";
    const MAX: usize = 700;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite() -> Invite {
        Invite {
            name: Text::new("home").expect("short"),
            root: VerifyKey([3; 32]),
            super_peers: List::first_of([Door {
                address: "192.0.2.7:4433".parse().expect("an address"),
                key: AgreeKey([9; 32]),
            }]),
            token: None,
            policy_version: 1,
            also: None,
        }
    }

    #[test]
    fn an_invite_survives_being_a_link() {
        let uri = format!("  {}\n", invite().to_uri());
        assert_eq!(Invite::from_uri(&uri), Ok(invite()));
    }

    #[test]
    fn a_slip_of_the_pen_is_told() {
        let uri = invite().to_uri();
        let cut = &uri[..uri.len() - 1];
        assert_eq!(Invite::from_uri(cut), Err(BadInvite::Damaged));
        let swapped = uri.replacen('A', "B", 1);
        assert_eq!(Invite::from_uri(&swapped), Err(BadInvite::Damaged));
        assert_eq!(Invite::from_uri("https://example.org"), Err(BadInvite::NotAnInvite));
    }
}
