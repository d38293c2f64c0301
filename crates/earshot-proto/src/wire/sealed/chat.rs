//! Messages and their receipts. DESIGN 2.8.

use minicbor::{CborLen, Decode, Encode};

use crate::ids::{MessageId, UserName};
use crate::time::UnixTime;
use crate::wire::Wire;
use crate::wire::bounded::{List, Text};

/// Longest message text, in bytes of UTF-8. DESIGN 2.8.
pub const TEXT_MAX: usize = 64 * 1024;
/// Messages named by one receipt at most.
pub const RECEIPT_MAX: usize = 64;

/// What is said in a conversation.
#[derive(Clone, Debug, PartialEq, Encode, Decode, CborLen)]
pub enum Chat {
    /// A message.
    #[n(0)]
    Message {
        /// Drawn by the sender; the same id is shown once, however often it comes.
        #[n(0)]
        id: MessageId,
        /// Grows by one with each message of the sending device to this user: the order on screen.
        #[n(1)]
        number: u64,
        /// When it was written, by the sender's clock.
        #[n(2)]
        written: UnixTime,
        /// The text.
        #[n(3)]
        text: Text<TEXT_MAX>,
        /// Set on the copy for the sender's own other devices: whom it was written to.
        #[n(4)]
        copy_of_message_to: Option<UserName>,
    },
    /// These messages of yours are safe on this device.
    #[n(1)]
    Arrived {
        /// Which.
        #[n(0)]
        ids: List<MessageId, RECEIPT_MAX>,
    },
    /// These messages of yours were read.
    #[n(2)]
    Read {
        /// Which.
        #[n(0)]
        ids: List<MessageId, RECEIPT_MAX>,
    },
}

impl Wire for Chat {
    const NAME: &'static str = "sealed.chat";
    const MAX: usize = TEXT_MAX + 512;
}
