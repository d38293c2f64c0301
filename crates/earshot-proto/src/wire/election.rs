//! How many super-peers a network has and needs: client ↔ home, super-peer ↔ super-peer. DESIGN
//! 2.12.
//!
//! What is said here is not proved. It decides who offers to serve; who serves is decided by the
//! authority and by those who dial back.

use minicbor::{CborLen, Decode, Encode};

use super::Wire;

/// What is said about need and service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
pub enum Election {
    /// Client → home: how many are around you?
    #[n(0)]
    Ask {
        /// Our own score, if we would serve were we invited; it replaces the one before.
        #[n(0)]
        score: Option<u16>,
    },
    /// Home → client: so many.
    #[n(1)]
    Around {
        /// Super-peers, the home among them: all, or its neighbours on the ring.
        #[n(0)]
        super_peers: u32,
        /// Clients of all of them.
        #[n(1)]
        clients: u32,
    },
    /// Home → client: serve, please.
    #[n(2)]
    Invited,
    /// Super-peer → super-peer that is linked, each minute: how it is here.
    #[n(3)]
    Load {
        /// Clients at home here.
        #[n(0)]
        clients: u32,
        /// Our score, if we were elected; absent of whoever serves because the owner wants it.
        #[n(1)]
        score: Option<u16>,
    },
}

impl Wire for Election {
    const NAME: &'static str = "election";
    const MAX: usize = 32;
}
