//! What the devices of one user tell each other.

use minicbor::{CborLen, Decode, Encode};

use crate::time::UnixTime;
use crate::wire::Wire;
use crate::wire::bounded::{Bytes, Text};
use crate::wire::posting::{LISTED_NAME_MAX, OwnWords};

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
    /// Whether others may find us by name; the later word wins.
    #[n(1)]
    Listed {
        /// Whether.
        #[n(0)]
        is_listed: bool,
        /// When the user said so.
        #[n(1)]
        said: UnixTime,
        /// Under this name; empty: the account's.
        #[n(2)]
        name: Option<Text<LISTED_NAME_MAX>>,
        /// And by these words.
        #[n(3)]
        about: Option<OwnWords>,
    },
}

impl Wire for Own {
    const NAME: &'static str = "sealed.own";
    const MAX: usize = BUDDIES_MAX + 64;
}
