//! Every byte that travels: CBOR maps with integer keys (RFC 8949), one file a family.
//!
//! Unknown keys are skipped, so a family grows by optional fields; items of unknown length are
//! refused; signatures are over bytes as received, so nothing is ever re-encoded to be checked.
//! Decoding foreign bytes never panics and never allocates more than four times the input plus
//! 4 KiB. `docs/protocol.md` is the normative text.

pub mod bounded;
pub mod certificate;
pub mod directory;
pub mod election;
pub mod enrolment;
pub mod envelope;
pub mod epoch;
pub mod forward;
pub mod frame;
pub mod invite;
pub mod knock;
pub mod login;
pub mod nat;
pub mod policy;
pub mod posting;
pub mod question;
pub mod report;
pub mod ring;
pub mod sealed;
mod shape;
pub mod voice;

use minicbor::{Decode, Encode};

/// A message that can be written to and read from bytes.
pub trait Wire: Encode<()> + for<'b> Decode<'b, ()> {
    /// Its name in tests, logs and `docs/protocol.md`.
    const NAME: &'static str;
    /// The longest encoding that is read, in bytes.
    const MAX: usize;

    /// Its bytes.
    fn to_bytes(&self) -> Vec<u8> {
        minicbor::to_vec(self).expect("writing to a Vec cannot fail")
    }

    /// Reads one message that fills `bytes` exactly.
    ///
    /// # Errors
    /// [`DecodeError`] says what is wrong with the bytes.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > Self::MAX {
            return Err(DecodeError::TooLong { got: bytes.len(), max: Self::MAX });
        }
        read_item(Self::NAME, bytes)
    }
}

/// Reads the one CBOR item that fills `bytes` exactly; also the door for what lies on disk.
pub(crate) fn read_item<T>(family: &'static str, bytes: &[u8]) -> Result<T, DecodeError>
where
    T: for<'b> Decode<'b, ()>,
{
    let end =
        shape::end_of_item(bytes).map_err(|at| DecodeError::Malformed { family, at: Some(at) })?;
    if end != bytes.len() {
        return Err(DecodeError::TrailingBytes { family, at: end });
    }
    minicbor::decode(bytes).map_err(|e| DecodeError::Malformed { family, at: e.position() })
}

/// Why foreign bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Longer than the family allows.
    #[error("{got} bytes, at most {max} are read")]
    TooLong {
        /// Bytes that came.
        got: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Fewer bytes than the fixed header needs.
    #[error("only {got} bytes")]
    TooShort {
        /// Bytes that came.
        got: usize,
    },
    /// The family byte is not one of ours.
    #[error("no family has the number {0}")]
    UnknownFamily(u8),
    /// Not CBOR of this shape.
    #[error("malformed {family} at byte {at:?}")]
    Malformed {
        /// The family that was expected.
        family: &'static str,
        /// Where, if known.
        at: Option<usize>,
    },
    /// Bytes are left behind the message.
    #[error("{family} ends at byte {at}, more follow")]
    TrailingBytes {
        /// The family.
        family: &'static str,
        /// Where it ended.
        at: usize,
    },
}

/// A row of [`ALL`]: how foreign bytes of one family are read.
pub struct Family {
    /// [`Wire::NAME`].
    pub name: &'static str,
    /// [`Wire::MAX`].
    pub max: usize,
    /// Reads the bytes and forgets the message: what the property table weighs.
    pub read: fn(&[u8]) -> Result<(), DecodeError>,
    /// Reads the bytes and writes the message again: what the property table compares.
    pub rewrite: fn(&[u8]) -> Result<Vec<u8>, DecodeError>,
}

/// The row of one type.
pub(crate) const fn family<T: Wire>() -> Family {
    Family {
        name: T::NAME,
        max: T::MAX,
        read: |bytes| T::from_bytes(bytes).map(drop),
        rewrite: |bytes| T::from_bytes(bytes).map(|m| m.to_bytes()),
    }
}

/// Every decoder of foreign bytes. The dispatchers of [`frame`] and [`sealed`] are made from the
/// same rows, so nothing that is read from the network can be missing here.
pub const ALL: &[&[Family]] = &[frame::FAMILIES, sealed::FAMILIES, STANDING];

/// What is read on its own: signed objects, the hello inside a handshake, the invite.
const STANDING: &[Family] = &[
    family::<certificate::Chain>(),
    family::<certificate::Statement>(),
    family::<certificate::Hello>(),
    family::<certificate::DeviceList>(),
    family::<enrolment::AddressProof>(),
    family::<policy::Policy>(),
    family::<invite::Invite>(),
    family::<invite::AuthorityPlace>(),
    family::<directory::Registration>(),
    family::<directory::Location>(),
    family::<forward::WatchGrant>(),
    family::<envelope::Letter>(),
    family::<posting::Posting>(),
    voice::FAMILY,
    report::FAMILY,
    question::FAMILY,
    knock::FAMILY,
];

/// Makes a dispatcher: an enum of families, its byte tags, and their rows for [`ALL`].
macro_rules! families {
    ($(#[$doc:meta])* $enum:ident {
        $($(#[$vdoc:meta])* $tag:literal => $variant:ident($type:ty),)+
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $enum { $($(#[$vdoc])* $variant($type),)+ }

        /// The rows of this dispatcher in [`ALL`](crate::wire::ALL).
        pub const FAMILIES: &[$crate::wire::Family] = &[$($crate::wire::family::<$type>(),)+];

        impl $enum {
            /// The family's number on the wire.
            #[must_use]
            pub const fn tag(&self) -> u8 {
                match self { $(Self::$variant(_) => $tag,)+ }
            }

            /// The family's name, for logs.
            #[must_use]
            pub const fn family(&self) -> &'static str {
                match self { $(Self::$variant(_) => <$type as $crate::wire::Wire>::NAME,)+ }
            }

            fn body(&self) -> Vec<u8> {
                match self { $(Self::$variant(m) => $crate::wire::Wire::to_bytes(m),)+ }
            }

            fn read(tag: u8, body: &[u8]) -> Result<Self, $crate::wire::DecodeError> {
                match tag {
                    $($tag => <$type as $crate::wire::Wire>::from_bytes(body).map(Self::$variant),)+
                    other => Err($crate::wire::DecodeError::UnknownFamily(other)),
                }
            }
        }

        $(impl From<$type> for $enum {
            fn from(message: $type) -> Self { Self::$variant(message) }
        })+
    };
}
pub(crate) use families;
