//! The secrets of epochs, by which members ask each other in datagrams. DESIGN 2.4.
//!
//! The authority makes one for each week and tells super-peers the present and the next with their
//! certificates; a super-peer tells the devices at home there.

use std::time::Duration;

use minicbor::{CborLen, Decode, Encode};
use zeroize::Zeroize;

use crate::time::UnixTime;

/// How long an epoch lasts. Our choice: as long as a node certificate, which is renewed at half its
/// life, so that everybody always knows the next.
pub const EPOCH_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Epochs told at once at most.
pub const EPOCHS_MAX: usize = 2;
/// By how much answerers go over to the next epoch before its time, and askers after it, since
/// clocks differ.
pub const EPOCH_MARGIN: Duration = Duration::from_secs(3600);

/// The secret of one epoch.
#[derive(Clone, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct EpochSecret {
    /// Whole [`EPOCH_LIFE`]s since the Unix epoch; in datagrams, its lowest byte.
    #[n(0)]
    pub number: u64,
    /// Known to members only.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub secret: [u8; 32],
}

impl EpochSecret {
    /// The number of the epoch at that time.
    #[must_use]
    pub const fn number_at(wall: UnixTime) -> u64 {
        wall.0 / EPOCH_LIFE.as_millis() as u64
    }
}

impl Drop for EpochSecret {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl std::fmt::Debug for EpochSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EpochSecret({})", self.number)
    }
}
