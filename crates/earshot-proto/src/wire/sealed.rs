//! What travels inside an envelope, from device to device; nobody between can read it. DESIGN 2.6
//! to 2.10.
//!
//! The content is `family (1 byte) ‖ CBOR`, sealed by
//! [`secure::envelope`](crate::secure::envelope).

pub mod buddy;
pub mod call;
pub mod chat;
pub mod own;
pub mod presence;

use super::{DecodeError, families};

families! {
    /// What one device says to another.
    Content {
        /// Requests, acceptance, contact keys.
        33 => Buddy(buddy::Buddy),
        /// Presence.
        34 => Presence(presence::Presence),
        /// Messages and receipts.
        35 => Chat(chat::Chat),
        /// Call signaling.
        36 => Call(call::Signal),
        /// Between the devices of one user.
        37 => Own(own::Own),
    }
}

impl Content {
    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.tag()];
        bytes.extend_from_slice(&self.body());
        bytes
    }

    /// Reads one content that fills `bytes` exactly.
    ///
    /// # Errors
    /// [`DecodeError`] says what is wrong with the bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let Some((tag, body)) = bytes.split_first() else {
            return Err(DecodeError::TooShort { got: 0 });
        };
        Self::read(*tag, body)
    }
}
