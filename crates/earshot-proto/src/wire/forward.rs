//! Carrying sealed envelopes between peers, and telling watchers that a peer is gone. Lecture,
//! slide 32; DESIGN 2.6.
//!
//! A super-peer sees to whom an envelope goes and how long it is; never what it says nor, from the
//! envelope, from whom.

use minicbor::{CborLen, Decode, Encode};

use super::Wire;
use super::bounded::{Bytes, List};
use super::certificate::{Chain, Signed};
use super::directory::NodeEntry;
use crate::ids::{DeviceId, NodeId, SubscriptionId, UserName};
use crate::time::UnixTime;

/// Longest sealed envelope: a message of 64 kB with its certificate and tags. DESIGN 2.8.
pub const ENVELOPE_MAX: usize = 70 * 1024;
/// Changes of one kind in one [`Forward::Subscribers`]. Our choice: some 25 kB.
pub const CHANGES_MAX: usize = 256;

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
        /// Its subscription at the buddy's home, likewise.
        #[n(4)]
        subscription: Option<SubscriptionId>,
    },
    /// The watched device's link is down, or nothing was heard of its home for too long.
    #[n(5)]
    Gone {
        /// Who is gone.
        #[n(0)]
        who: Address,
        /// To whom it is told.
        #[n(1)]
        watcher: Address,
        /// From which home, filled in by the watcher's home.
        #[n(2)]
        home: Option<NodeId>,
    },
    /// Watched; or: yes, that subscription stands.
    #[n(6)]
    Watching,
    /// Home → its client: the connection to the home of that device broke, or that home has sent it
    /// elsewhere (home → home). Perhaps the device is on its way to another.
    #[n(7)]
    Lost {
        /// Whom nobody can say anything of now.
        #[n(0)]
        who: Address,
        /// To whom it is told.
        #[n(1)]
        watcher: Address,
        /// The home that was lost.
        #[n(2)]
        home: NodeId,
    },
    /// A home → its first two successors on the ring: whose clients watch devices here, as changes
    /// to what was said before.
    #[n(8)]
    Subscribers {
        /// Whether what was said before is void.
        #[n(0)]
        anew: bool,
        /// Those who have come, or whose subscription is another now.
        #[n(1)]
        come: List<Subscriber, CHANGES_MAX>,
        /// Those who watch nobody here any more.
        #[n(2)]
        gone: List<NodeId, CHANGES_MAX>,
    },
    /// The list is held.
    #[n(9)]
    Copied,
    /// A successor of a home → those on its list: that home is dead, as far as we can tell.
    #[n(10)]
    HomeDead {
        /// The home.
        #[n(0)]
        home: NodeId,
        /// The subscription of whom it is told to: only the two, and the home's successors, know
        /// it.
        #[n(1)]
        subscription: SubscriptionId,
    },
    /// To a home: do we still have this subscription with you?
    #[n(11)]
    Subscribed {
        /// The subscription.
        #[n(0)]
        subscription: SubscriptionId,
    },
    /// Peer → its home, and that → the home of the watched: nothing more is to be told of that
    /// device.
    #[n(12)]
    Unwatch {
        /// The device that was watched.
        #[n(0)]
        who: Address,
        /// Who watched it.
        #[n(1)]
        watcher: Address,
    },
}

/// A super-peer whose clients watch devices at home elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Subscriber {
    /// The super-peer.
    #[n(0)]
    pub home: NodeEntry,
    /// Its subscription.
    #[n(1)]
    pub subscription: SubscriptionId,
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
