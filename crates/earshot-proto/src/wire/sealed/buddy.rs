//! Becoming buddies. DESIGN 2.7.

use minicbor::{CborLen, Decode, Encode};

use crate::wire::Wire;
use crate::wire::bounded::Text;
use crate::wire::login::DISPLAY_NAME_MAX;

/// Longest greeting of a request, in bytes.
pub const GREETING_MAX: usize = 512;

/// A 32-byte key under which a user's locations and presence are sealed; buddies hold it. Rotated
/// on block.
#[derive(
    Clone, PartialEq, Eq, Encode, Decode, CborLen, zeroize::Zeroize, zeroize::ZeroizeOnDrop,
)]
#[cbor(transparent)]
pub struct ContactKey(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 32]);

impl std::fmt::Debug for ContactKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ContactKey(..)")
    }
}

/// What people who are or become buddies say to each other.
#[derive(Clone, Debug, PartialEq, Encode, Decode, CborLen)]
pub enum Buddy {
    /// Will you be my buddy? Carries the asker's contact key: to ask is to be seen.
    #[n(0)]
    Request {
        /// Words of greeting.
        #[n(0)]
        greeting: Text<GREETING_MAX>,
        /// The asker's name for people.
        #[n(1)]
        display_name: Text<DISPLAY_NAME_MAX>,
        /// The asker's contact key.
        #[n(2)]
        contact_key: ContactKey,
    },
    /// Yes.
    #[n(1)]
    Accept {
        /// The accepter's name for people.
        #[n(0)]
        display_name: Text<DISPLAY_NAME_MAX>,
        /// The accepter's contact key.
        #[n(1)]
        contact_key: ContactKey,
    },
    /// No.
    #[n(2)]
    Decline,
}

impl Wire for Buddy {
    const NAME: &'static str = "sealed.buddy";
    const MAX: usize = 1024;
}
