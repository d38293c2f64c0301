//! Carrying sealed envelopes between peers, and telling watchers that a peer is gone. Lecture,
//! slide 32; DESIGN 2.6.
//!
//! A super-peer sees to whom an envelope goes and how long it is; never what it says nor, from the
//! envelope, from whom.

use minicbor::{CborLen, Decode, Encode};

use super::Wire;
use super::bounded::Bytes;
use super::certificate::{Chain, Signed};
use super::directory::NodeEntry;
use crate::ids::{DeviceId, UserName};
use crate::time::UnixTime;

/// Longest sealed envelope: a message of 64 kB with its certificate and tags. DESIGN 2.8.
pub const ENVELOPE_MAX: usize = 70 * 1024;

/// What is carried.
#[derive(Clone, Debug, PartialEq, Encode, Decode, CborLen)]
pub enum Forward {
    /// To the super-peer that serves the recipient, or straight to the recipient: this is for that
    /// device.
    #[n(0)]
    Deliver {
        /// The recipient.
        #[n(0)]
        to: Address,
        /// Sealed to the device.
        #[n(1)]
        sealed: Bytes<ENVELOPE_MAX>,
    },
    /// Peer → its own home: have it delivered by that super-peer (lecture, slide 32, third case).
    #[n(1)]
    ThroughYou {
        /// The recipient's home.
        #[n(0)]
        home: NodeEntry,
        /// The recipient.
        #[n(1)]
        to: Address,
        /// Sealed to the device.
        #[n(2)]
        sealed: Bytes<ENVELOPE_MAX>,
    },
    /// It reached the device's link.
    #[n(2)]
    Delivered,
    /// It did not.
    #[n(3)]
    Undelivered {
        /// Why.
        #[n(0)]
        reason: Undelivered,
    },
    /// To the home of a buddy (through one's own): tell me when that device is gone.
    #[n(4)]
    Watch {
        /// The buddy's home.
        #[n(0)]
        home: NodeEntry,
        /// The buddy's leave to watch, signed by the watched device.
        #[n(1)]
        grant: Signed<WatchGrant>,
        /// Who watches.
        #[n(2)]
        watcher: Address,
        /// The watcher's home, filled in by it when it passes the question on.
        #[n(3)]
        watcher_home: Option<NodeEntry>,
    },
    /// The watched device's link is down.
    #[n(5)]
    Gone {
        /// Who is gone.
        #[n(0)]
        who: Address,
        /// To whom it is told.
        #[n(1)]
        watcher: Address,
    },
    /// Watched.
    #[n(6)]
    Watching,
}

/// A device of a user.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Address {
    /// The user.
    #[n(0)]
    pub user: UserName,
    /// The device.
    #[n(1)]
    pub device: DeviceId,
}

/// Why an envelope was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(index_only)]
pub enum Undelivered {
    /// That super-peer does not serve that device (any more).
    #[n(0)]
    NotHere,
    /// That super-peer cannot be reached.
    #[n(1)]
    HomeUnreachable,
    /// The sender is over its budget.
    #[n(2)]
    TooMuch,
    /// This link may not ask that.
    #[n(3)]
    NotAllowed,
}

/// Leave to watch a device, signed by the device that is watched.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct WatchGrant {
    /// The watched device's chain, so that its home can check the signature.
    #[n(0)]
    pub chain: Chain,
    /// Who may watch.
    #[n(1)]
    pub watcher: UserName,
    /// Until when.
    #[n(2)]
    pub expires: UnixTime,
}

impl Wire for Forward {
    const NAME: &'static str = "forward";
    const MAX: usize = 80 * 1024;
}

impl Wire for WatchGrant {
    const NAME: &'static str = "forward.watch_grant";
    const MAX: usize = 3072;
}
