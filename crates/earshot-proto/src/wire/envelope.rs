//! What lies inside an envelope that goes from device to device; see
//! [`secure::envelope`](crate::secure::envelope).

use minicbor::{CborLen, Decode, Encode};

use super::Wire;
use super::bounded::Bytes;
use super::certificate::Chain;
use super::directory::NodeEntry;
use crate::time::UnixTime;

/// Longest content in bytes: the longest family (a message of 64 kB with its fields) and its tag.
pub const CONTENT_MAX: usize = 64 * 1024 + 1024;

/// A content and who sends it.
#[derive(Clone, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Letter {
    /// The sender's certificate.
    #[n(0)]
    pub sender: Chain,
    /// When the sender sealed it, by its clock.
    #[n(1)]
    pub sealed_at: UnixTime,
    /// The bytes of a [`Content`](super::sealed::Content).
    #[n(2)]
    pub content: Bytes<CONTENT_MAX>,
    /// The super-peer that serves the sender: answers go there.
    #[n(3)]
    pub home: Option<NodeEntry>,
}

impl Wire for Letter {
    const NAME: &'static str = "envelope.letter";
    const MAX: usize = CONTENT_MAX + Chain::MAX + 192;
}
