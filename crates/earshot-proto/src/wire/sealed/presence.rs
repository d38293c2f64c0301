//! Presence, pushed from device to device. DESIGN 2.6.

use minicbor::{CborLen, Decode, Encode};

use super::buddy::ContactKey;
use crate::time::UnixTime;
use crate::wire::Wire;
use crate::wire::bounded::Text;
use crate::wire::certificate::Signed;
use crate::wire::directory::Location;
use crate::wire::forward::WatchGrant;

/// Longest mood line, in bytes.
pub const MOOD_MAX: usize = 256;

/// What a device tells its buddies about itself.
#[derive(Clone, Debug, PartialEq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Presence {
    /// Its state.
    #[n(0)]
    pub state: PresenceState,
    /// The mood line.
    #[n(1)]
    pub mood: Text<MOOD_MAX>,
    /// When it was said; an older word never replaces a newer one.
    #[n(2)]
    pub at: UnixTime,
    /// Where the device is.
    #[n(3)]
    pub location: Option<Location>,
    /// Leave to watch it.
    #[n(4)]
    pub grant: Option<Signed<WatchGrant>>,
    /// The receiver is asked to tell its own presence in return.
    #[n(5)]
    pub ask_back: bool,
    /// The key under which the sender's registrations are sealed now.
    #[n(6)]
    pub contact_key: ContactKey,
}

/// The state a user shows. *Invisible* is not here: to others it is `Offline`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, CborLen)]
#[cbor(index_only)]
pub enum PresenceState {
    /// There.
    #[n(0)]
    Online,
    /// There, but not at the desk.
    #[n(1)]
    Away,
    /// There, not to be disturbed.
    #[n(2)]
    DoNotDisturb,
    /// Not there.
    #[n(3)]
    Offline,
}

impl Wire for Presence {
    const NAME: &'static str = "sealed.presence";
    const MAX: usize = 4608;
}
