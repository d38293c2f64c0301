//! What the devices of one user tell each other.

use minicbor::{CborLen, Decode, Encode};

use crate::wire::Wire;
use crate::wire::bounded::Bytes;

/// Longest buddy list, in bytes: a thousand buddies and their keys.
pub const BUDDIES_MAX: usize = 60 * 1024;

/// What one's own devices say to each other.
#[derive(Clone, Debug, PartialEq, Encode, Decode, CborLen)]
pub enum Own {
    /// My buddy list; the newer word about each buddy wins.
    #[n(0)]
    Buddies {
        /// Encoded as on disk, before sealing.
        #[n(0)]
        list: Bytes<BUDDIES_MAX>,
        /// The receiver is asked to tell its own in return.
        #[n(1)]
        ask_back: bool,
    },
}

impl Wire for Own {
    const NAME: &'static str = "sealed.own";
    const MAX: usize = BUDDIES_MAX + 64;
}
