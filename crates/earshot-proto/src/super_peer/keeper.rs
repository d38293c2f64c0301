//! Keeping registrations: the part of a super-peer that others look names up in. Lecture, slides
//! 36–38; DESIGN 2.5.
//!
//! Invariant: an entry is held only if its device signed it, its certificate chains to the root,
//! and its counter is the highest seen; so whoever sends it, a keeper can hold nothing false.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ids::UserName;
use crate::secure::identity::{Use, open_signed, verify_chain};
use crate::time::UnixTime;
use crate::wire::Wire;
use crate::wire::bounded::{Bytes, List};
use crate::wire::certificate::{DEVICES_MAX, Signed, Subject, VerifyKey};
use crate::wire::directory::{DirectoryRefusal, Entry, LOCATION_MAX, NodeEntry, Registration};
use crate::wire::forward::Address;

/// Longest life of a registration. DESIGN 2.5: 30 minutes, refreshed every 12.
pub const REGISTRATION_LIFE: Duration = Duration::from_secs(30 * 60);
/// Users held by one keeper at most: about 100 MB of entries. Beyond it the one that expires first
/// makes room.
pub const USERS_MAX: usize = 65_536;

/// The registrations that this super-peer keeps.
#[derive(Debug, Default)]
pub struct Keeper {
    users: BTreeMap<UserName, Vec<Held>>,
}

#[derive(Debug)]
struct Held {
    counter: u64,
    expires: UnixTime,
    entry: Entry,
}

/// A registration whose signatures were checked.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Whose it is.
    pub address: Address,
    /// What it says.
    pub registration: Registration,
    signed: Signed<Registration>,
}

/// Checks a registration from the root down.
///
/// # Errors
/// [`DirectoryRefusal::RegistrationRefused`] when a signature, the certificate or the time does not
/// hold.
pub fn check(
    signed: Signed<Registration>,
    root: &VerifyKey,
    now: UnixTime,
) -> Result<Checked, DirectoryRefusal> {
    let refused = DirectoryRefusal::RegistrationRefused;
    let claimed = Registration::from_bytes(&signed.body).map_err(|_| refused)?;
    let verified = verify_chain(&claimed.chain, root, now, Use::Present).map_err(|_| refused)?;
    let registration = open_signed(&signed, &verified.keys().verify).map_err(|_| refused)?;
    let Subject::Device { user, device, .. } = verified.statement.subject else {
        return Err(refused);
    };
    if registration.expires <= now || registration.expires > now.plus(REGISTRATION_LIFE * 2) {
        return Err(refused);
    }
    Ok(Checked { address: Address { user, device }, registration, signed })
}

impl Checked {
    /// The registration as its device signed it.
    #[must_use]
    pub const fn signed(&self) -> &Signed<Registration> {
        &self.signed
    }

    /// The counter that a registration claims; 0 when it cannot be read. For choosing among
    /// several, not for belief.
    #[must_use]
    pub fn counter_of(signed: &Signed<Registration>) -> u64 {
        Registration::from_bytes(&signed.body).map_or(0, |registration| registration.counter)
    }
}

impl Keeper {
    /// Holds a registration.
    ///
    /// # Errors
    /// [`DirectoryRefusal::Stale`] when a higher counter is held, [`DirectoryRefusal::Busy`] when
    /// the user has too many devices here.
    pub fn put(
        &mut self,
        checked: Checked,
        location: Bytes<LOCATION_MAX>,
        home: Option<NodeEntry>,
        now: UnixTime,
    ) -> Result<(), DirectoryRefusal> {
        let Checked { address, registration, signed } = checked;
        let expires = registration.expires.min(now.plus(REGISTRATION_LIFE));
        if !self.users.contains_key(&address.user) && self.users.len() >= USERS_MAX {
            self.make_room();
        }
        let devices = self.users.entry(address.user).or_default();
        devices.retain(|held| held.expires > now);
        let entry = Entry { device: address.device, registration: signed, location, home };
        let held = Held { counter: registration.counter, expires, entry };
        match devices.iter_mut().find(|h| h.entry.device == address.device) {
            Some(old) if old.counter > held.counter => return Err(DirectoryRefusal::Stale),
            Some(old) => {
                *old = held;
                return Ok(());
            }
            None => {}
        }
        if devices.len() >= DEVICES_MAX {
            return Err(DirectoryRefusal::Busy);
        }
        devices.push(held);
        Ok(())
    }

    /// The live entries of a user, if any.
    #[must_use]
    pub fn find(&self, user: &UserName, now: UnixTime) -> Option<List<Entry, DEVICES_MAX>> {
        let live = self.users.get(user)?.iter().filter(|held| held.expires > now);
        let entries = List::first_of(live.map(|held| held.entry.clone()));
        (!entries.is_empty()).then_some(entries)
    }

    /// Whether anything of a user is held that was not swept yet.
    #[must_use]
    pub fn holds(&self, user: &UserName) -> bool {
        self.users.contains_key(user)
    }

    /// Drops what has expired. To be called now and then; finding never shows expired entries
    /// anyway.
    pub fn sweep(&mut self, now: UnixTime) {
        self.users.retain(|_, devices| {
            devices.retain(|held| held.expires > now);
            !devices.is_empty()
        });
    }

    /// Users held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    fn make_room(&mut self) {
        let soonest = |devices: &Vec<Held>| devices.iter().map(|h| h.expires).max();
        let victim = self.users.iter().min_by_key(|(_, devices)| soonest(devices));
        if let Some(user) = victim.map(|(user, _)| user.clone()) {
            self.users.remove(&user);
        }
    }
}
