//! Who carries the signaling of a call: the lecture's three cases as one pure function.
//!
//! Source: lecture, slide 32; DESIGN 2.10. Invariant: addresses are shown to nobody who should not
//! see them, so a [`Privacy::Hidden`] call is never [`SignalingCase::Direct`].

use std::net::SocketAddr;

use SignalingCase::{BothSuperPeers, CalleeSuperPeer, Direct};

use crate::wire::directory::{NodeEntry, Reachability};
pub use crate::wire::sealed::call::SignalingCase;

/// The case for these two peers.
#[must_use]
pub const fn signaling(caller: Reachability, callee: Reachability) -> SignalingCase {
    use Reachability::{Natted, Public, Restricted};
    match (caller, callee) {
        (Public | Natted, Public) => Direct,
        (Public | Natted, Natted | Restricted) => CalleeSuperPeer,
        (Restricted, Public | Natted | Restricted) => BothSuperPeers,
    }
}

/// The case to take when this one failed, if any is left.
#[must_use]
pub const fn next(case: SignalingCase) -> Option<SignalingCase> {
    match case {
        Direct => Some(CalleeSuperPeer),
        CalleeSuperPeer => Some(BothSuperPeers),
        BothSuperPeers => None,
    }
}

/// Whether the two may learn each other's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// Buddies who hide nothing.
    Open,
    /// No buddies, or one of them hides its address: relays and super-peers only.
    Hidden,
}

/// The case to begin with. Whoever is no buddy does not say how it can be reached: it is met at its
/// super-peer.
#[must_use]
pub const fn first(
    caller: Reachability,
    callee: Option<Reachability>,
    privacy: Privacy,
) -> SignalingCase {
    let callee = match callee {
        Some(known) => known,
        None => Reachability::Natted,
    };
    match (signaling(caller, callee), privacy) {
        (Direct, Privacy::Hidden) => CalleeSuperPeer,
        (case @ (Direct | CalleeSuperPeer | BothSuperPeers), _) => case,
    }
}

/// Which end of the call this device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It called; it controls ICE.
    Caller,
    /// It was called.
    Callee,
}

/// The way of one signal out of this device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Over a TCP connection to the device itself: dialled where an address is given and none is
    /// open, else the one that the device opened.
    Straight {
        /// Where it takes calls.
        at: Option<SocketAddr>,
    },
    /// Over a link to the super-peer that serves the device, which delivers.
    TheirSuperPeer {
        /// That super-peer.
        home: NodeEntry,
    },
    /// Over our own home, on the link that the device opened to it for this call.
    MySuperPeer,
    /// Over our own home to theirs.
    BothSuperPeers {
        /// Theirs.
        home: NodeEntry,
    },
}

impl Route {
    /// The case that this route belongs to.
    #[must_use]
    pub const fn case(&self) -> SignalingCase {
        match self {
            Self::Straight { .. } => Direct,
            Self::TheirSuperPeer { .. } | Self::MySuperPeer => CalleeSuperPeer,
            Self::BothSuperPeers { .. } => BothSuperPeers,
        }
    }
}

/// The route of `case` on this `side`, if what it needs is known.
#[must_use]
pub fn route(
    case: SignalingCase,
    side: Side,
    direct: Option<SocketAddr>,
    home: Option<NodeEntry>,
) -> Option<Route> {
    match (case, side) {
        (Direct, Side::Caller) => direct.map(|at| Route::Straight { at: Some(at) }),
        (Direct, Side::Callee) => Some(Route::Straight { at: None }),
        (CalleeSuperPeer, Side::Caller) => home.map(|home| Route::TheirSuperPeer { home }),
        (CalleeSuperPeer, Side::Callee) => Some(Route::MySuperPeer),
        (BothSuperPeers, Side::Caller | Side::Callee) => {
            home.map(|home| Route::BothSuperPeers { home })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Reachability::{Natted, Public, Restricted};

    #[test]
    fn the_case_is_the_one_of_the_lecture_for_every_pair() {
        let table = [
            (Public, Public, Direct),
            (Public, Natted, CalleeSuperPeer),
            (Public, Restricted, CalleeSuperPeer),
            (Natted, Public, Direct),
            (Natted, Natted, CalleeSuperPeer),
            (Natted, Restricted, CalleeSuperPeer),
            (Restricted, Public, BothSuperPeers),
            (Restricted, Natted, BothSuperPeers),
            (Restricted, Restricted, BothSuperPeers),
        ];
        for (caller, callee, case) in table {
            assert_eq!(signaling(caller, callee), case, "{caller:?} calls {callee:?}");
        }
    }

    #[test]
    fn a_hidden_call_is_never_direct() {
        for caller in [Public, Natted, Restricted] {
            for callee in [None, Some(Public), Some(Natted), Some(Restricted)] {
                assert_ne!(first(caller, callee, Privacy::Hidden), Direct);
            }
        }
    }

    #[test]
    fn a_callee_that_does_not_say_how_it_is_reached_is_met_at_its_super_peer() {
        assert_eq!(first(Public, None, Privacy::Open), CalleeSuperPeer);
        assert_eq!(first(Restricted, None, Privacy::Open), BothSuperPeers);
    }

    #[test]
    fn each_case_that_fails_is_followed_by_the_next_until_none_is_left() {
        assert_eq!(next(Direct), Some(CalleeSuperPeer));
        assert_eq!(next(CalleeSuperPeer), Some(BothSuperPeers));
        assert_eq!(next(BothSuperPeers), None);
    }
}
