//! Names of things: networks, users, devices, nodes and their places on the ring.
//!
//! Invariant: a [`UserName`] exists only prepared (RFC 8265 UsernameCaseMapped, 3 to 32
//! characters), so two spellings of one name are one value, everywhere.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use minicbor::{CborLen, Decode, Encode};
use precis_core::profile::Profile;
use precis_profiles::UsernameCaseMapped;
use sha1::{Digest, Sha1};

/// Shortest user name, in characters after preparation. DESIGN 2.3.
pub const USER_NAME_CHARS_MIN: usize = 3;
/// Longest user name, in characters after preparation. DESIGN 2.3.
pub const USER_NAME_CHARS_MAX: usize = 32;
/// Longest user name in bytes of UTF-8: 32 characters of at most four bytes.
pub const USER_NAME_BYTES_MAX: usize = USER_NAME_CHARS_MAX * 4;

macro_rules! fixed_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, CborLen)]
        #[cbor(transparent)]
        pub struct $name(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), hex_prefix(&self.0))
            }
        }

        impl fmt::Display for $name {
            /// Base64url without padding: the form of ids in RPC and URIs.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&data_encoding::BASE64URL_NOPAD.encode(&self.0))
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                data_encoding::BASE64URL_NOPAD
                    .decode(text.as_bytes())
                    .ok()
                    .and_then(|bytes| bytes.try_into().ok())
                    .map(Self)
                    .ok_or(BadId)
            }
        }
    };
}

fixed_id!(
    /// A network: SHA-256 of its root key. All who trust one root key are one network.
    NetworkId, 32
);
fixed_id!(
    /// A device of a user, drawn at random by the device when it first signs in.
    DeviceId, 16
);
fixed_id!(
    /// A super-peer's place on the ring: SHA-1(16-byte address ‖ port ‖ salt). Lecture, slide 18.
    NodeId, 20
);
fixed_id!(
    /// A key on the ring: SHA-1 of a prepared user name. Lecture, slides 19 and 37.
    RingKey, 20
);
fixed_id!(
    /// What a device calls itself on a local network: see `secure/nearby_tag.rs`.
    NearbyTag, 16
);
fixed_id!(
    /// A call, drawn by the caller's device.
    CallId, 16
);
fixed_id!(
    /// A message, drawn by the sending device.
    MessageId, 16
);
fixed_id!(
    /// That a super-peer's clients watch devices at another: a pseudonym of the two, drawn at
    /// random by the watchers' home.
    SubscriptionId, 16
);

/// The text is not an id: wrong alphabet or length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id")]
pub struct BadId;

fn hex_prefix(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&bytes[..4])
}

impl DeviceId {
    /// Names this device's registration among those of all keys: the first eight bytes of
    /// SHA-1(device ‖ key).
    #[must_use]
    pub fn record_at(&self, key: &RingKey) -> u64 {
        let hash: [u8; 20] = Sha1::new().chain_update(self.0).chain_update(key.0).finalize().into();
        u64::from_be_bytes(*hash.first_chunk().expect("SHA-1 has 20 bytes"))
    }
}

impl NodeId {
    /// The id of the super-peer at `address` under `salt`: SHA-1(16-byte address ‖ big-endian port
    /// ‖ salt). IPv4 addresses are taken in their IPv4-mapped form. DESIGN 2.5.
    #[must_use]
    pub fn of(address: SocketAddr, salt: &[u8; 16]) -> Self {
        let ip = match address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let hash = Sha1::new()
            .chain_update(ip.octets())
            .chain_update(address.port().to_be_bytes())
            .chain_update(salt);
        Self(hash.finalize().into())
    }

    /// The place as a key: its first keeper is the node itself.
    #[must_use]
    pub const fn as_key(&self) -> RingKey {
        RingKey(self.0)
    }
}

impl RingKey {
    /// The way clockwise from this key to `node`: (node − key) mod 2^160, as 20 big-endian bytes.
    /// The keepers of a key are the nodes for which this is smallest (its successors; lecture,
    /// slide 20).
    #[must_use]
    pub fn distance_to(&self, node: &NodeId) -> [u8; 20] {
        let (high, low) = halves(&self.0);
        let (node_high, node_low) = halves(&node.0);
        let (low, borrow) = node_low.overflowing_sub(low);
        let high = node_high.wrapping_sub(high).wrapping_sub(u128::from(borrow));
        let mut distance = [0; 20];
        distance[..16].copy_from_slice(&high.to_be_bytes());
        distance[16..].copy_from_slice(&low.to_be_bytes());
        distance
    }
}

/// The first 128 and the last 32 bits of a place.
fn halves(place: &[u8; 20]) -> (u128, u32) {
    let (Some((high, _)), Some((_, low))) = (place.split_first_chunk(), place.split_last_chunk())
    else {
        unreachable!("twenty bytes are sixteen and four")
    };
    (u128::from_be_bytes(*high), u32::from_be_bytes(*low))
}

/// A prepared user name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(String);

/// Why a text is no user name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Fewer than [`USER_NAME_CHARS_MIN`] characters.
    #[error("{got} characters are too few for a name: {USER_NAME_CHARS_MIN} are needed")]
    TooShort {
        /// Characters after preparation.
        got: usize,
    },
    /// More than [`USER_NAME_CHARS_MAX`] characters.
    #[error("{got} characters are too many for a name: {USER_NAME_CHARS_MAX} are allowed")]
    TooLong {
        /// Characters after preparation, or bytes before it when already those are too many.
        got: usize,
    },
    /// A character that RFC 8265 does not allow in user names (a space, a symbol, a control
    /// character …).
    #[error("a character that user names may not hold")]
    Forbidden,
}

impl UserName {
    /// Prepares and checks a name as typed.
    ///
    /// # Errors
    /// [`BadName`] says which rule the text breaks.
    pub fn new(typed: &str) -> Result<Self, BadName> {
        if typed.len() > 4 * USER_NAME_BYTES_MAX {
            return Err(BadName::TooLong { got: typed.len() });
        }
        let prepared = UsernameCaseMapped::new().enforce(typed).map_err(|_| BadName::Forbidden)?;
        let got = prepared.chars().count();
        if got < USER_NAME_CHARS_MIN {
            return Err(BadName::TooShort { got });
        }
        if got > USER_NAME_CHARS_MAX {
            return Err(BadName::TooLong { got });
        }
        Ok(Self(prepared.into_owned()))
    }

    /// The prepared text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key under which the user is registered: SHA-1 of the prepared name.
    #[must_use]
    pub fn ring_key(&self) -> RingKey {
        RingKey(Sha1::digest(self.0.as_bytes()).into())
    }

    /// The confusable skeleton (UTS #39): names with one skeleton look alike, and only one of them
    /// may exist.
    #[must_use]
    pub fn skeleton(&self) -> String {
        unicode_security::skeleton(&self.0).collect()
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserName({})", self.0)
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<C> Encode<C> for UserName {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for UserName {
    /// Takes only a name that is already prepared: a sender that skips preparation is refused, so
    /// equal names are equal bytes.
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let at = d.position();
        let text = d.str()?;
        match UserName::new(text) {
            Ok(name) if name.0 == text => Ok(name),
            Ok(_) => Err(minicbor::decode::Error::message("name is not prepared").at(at)),
            Err(_) => Err(minicbor::decode::Error::message("no user name").at(at)),
        }
    }
}

impl<C> CborLen<C> for UserName {
    fn cbor_len(&self, ctx: &mut C) -> usize {
        self.0.cbor_len(ctx)
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    #[test]
    fn two_spellings_of_one_name_are_one_name() {
        assert_eq!(UserName::new("Alice"), UserName::new("alice"));
        assert_eq!(UserName::new("Ａlice").map(|n| n.to_string()), Ok("alice".into()));
        assert_eq!(UserName::new("ÄIJÄ").map(|n| n.to_string()), Ok("äijä".into()));
    }

    #[test]
    fn a_name_that_breaks_a_rule_is_told_which() {
        assert_eq!(UserName::new("al"), Err(BadName::TooShort { got: 2 }));
        assert_eq!(UserName::new(&"a".repeat(33)), Err(BadName::TooLong { got: 33 }));
        assert_eq!(UserName::new(&"a".repeat(5_000)), Err(BadName::TooLong { got: 5_000 }));
        assert_eq!(UserName::new("two words"), Err(BadName::Forbidden));
        assert_eq!(UserName::new("bell\u{7}"), Err(BadName::Forbidden));
    }

    #[test]
    fn look_alikes_share_a_skeleton() {
        let latin = UserName::new("paypal").map(|n| n.skeleton());
        let cyrillic = UserName::new("раураl").map(|n| n.skeleton());
        assert_eq!(latin, cyrillic);
    }

    /// The expected ids were made by Python's `hashlib`.
    #[test]
    fn a_user_lies_at_the_sha_1_of_the_prepared_name() {
        let key = |typed| UserName::new(typed).map(|n| HEXLOWER.encode(&n.ring_key().0));
        assert_eq!(key("Alice"), Ok("522b276a356bdf39013dfabea2cd43e141ecc9e8".into()));
        assert_eq!(key("ÄIJÄ"), Ok("5e99beda97e482fac3e7668e16cc9f9c25cd1267".into()));
    }

    #[test]
    fn a_super_peer_lies_at_the_sha_1_of_address_port_and_salt() {
        let id = |address: &str| {
            let address = address.parse().expect("an address");
            HEXLOWER.encode(&NodeId::of(address, &[7; 16]).0)
        };
        assert_eq!(id("192.0.2.7:37373"), "b07549b293d235da282704b4488dc17fd9e20828");
        assert_eq!(id("[::ffff:192.0.2.7]:37373"), "b07549b293d235da282704b4488dc17fd9e20828");
        assert_eq!(id("[2001:db8::7]:443"), "e8b5a39a2a01a12c0a8c11788c50512ab5dc1788");
    }

    #[test]
    fn the_distance_runs_clockwise_and_wraps() {
        let key = |last| {
            RingKey({
                let mut b = [0; 20];
                b[19] = last;
                b
            })
        };
        let node = |last| {
            NodeId({
                let mut b = [0; 20];
                b[19] = last;
                b
            })
        };
        assert_eq!(key(5).distance_to(&node(5)), [0; 20]);
        assert_eq!(key(5).distance_to(&node(7))[19], 2);
        assert!(key(5).distance_to(&node(4)) > key(5).distance_to(&node(200)));
        assert_eq!(key(5).distance_to(&node(4)), [0xff; 20]);
    }

    #[test]
    fn a_foreign_name_must_come_prepared() {
        let shouted = minicbor::to_vec("ALICE").expect("a string encodes");
        assert!(minicbor::decode::<UserName>(&shouted).is_err());
        let plain = minicbor::to_vec("alice").expect("a string encodes");
        assert_eq!(minicbor::decode::<UserName>(&plain).ok(), UserName::new("alice").ok());
    }
}
