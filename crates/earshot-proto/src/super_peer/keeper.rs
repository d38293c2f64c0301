//! Keeping registrations: the part of a super-peer that others look names up in. Lecture, slides
//! 36–38; DESIGN 2.5.
//!
//! Invariant: an entry is held only if its device signed it, its certificate chains to the root,
//! and its counter is the highest seen; so whoever sends it, a keeper can hold nothing false.

use std::collections::BTreeMap;

use crate::ids::UserName;
use crate::secure::registration::{Checked, REGISTRATION_LIFE};
use crate::time::UnixTime;
use crate::wire::bounded::{Bytes, List};
use crate::wire::certificate::DEVICES_MAX;
use crate::wire::directory::{
    Directory, DirectoryRefusal, Entry, LOCATION_MAX, NodeEntry, Offered,
};
use crate::wire::forward::Address;

/// Users held by one keeper at most: about 100 MB of entries. Beyond it the one that expires first
/// makes room.
pub const USERS_MAX: usize = 65_536;

/// The registrations that this super-peer keeps.
#[derive(Debug, Default)]
pub struct Keeper {
    users: BTreeMap<UserName, Vec<Held>>,
    /// The counters of what is held, by the names of records.
    counters: BTreeMap<u64, u64>,
}

#[derive(Debug)]
struct Held {
    counter: u64,
    expires: UnixTime,
    entry: Entry,
}

/// The name under which a device's registration is offered.
#[must_use]
pub fn record_of(address: &Address) -> u64 {
    address.device.record_at(&address.user.ring_key())
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
        let signed = checked.signed().clone();
        let Checked { address, registration, .. } = checked;
        let expires = registration.expires.min(now.plus(REGISTRATION_LIFE));
        if !self.users.contains_key(&address.user) && self.users.len() >= USERS_MAX {
            self.make_room();
        }
        let record = record_of(&address);
        let devices = self.users.entry(address.user.clone()).or_default();
        let gone = devices.extract_if(.., |held| held.expires <= now);
        for held in gone {
            self.counters.remove(&record_of(&held.address(&address.user)));
        }
        let entry = Entry { device: address.device, registration: signed, location, home };
        let held = Held { counter: registration.counter, expires, entry };
        match devices.iter().position(|old| old.entry.device == address.device) {
            Some(at) if devices[at].counter > held.counter => {
                return Err(DirectoryRefusal::Stale);
            }
            Some(at) => devices[at] = held,
            None if devices.len() >= DEVICES_MAX => return Err(DirectoryRefusal::Busy),
            None => devices.push(held),
        }
        self.counters.insert(record, registration.counter);
        Ok(())
    }

    /// All devices of which something is held.
    pub fn addresses(&self) -> impl Iterator<Item = Address> {
        self.users.iter().flat_map(|(user, devices)| devices.iter().map(|held| held.address(user)))
    }

    /// The counter of a device's registration, if it is held.
    #[must_use]
    pub fn counter(&self, address: &Address) -> Option<u64> {
        self.counters.get(&record_of(address)).copied()
    }

    /// The highest counter of a user's registrations, if any is held.
    #[must_use]
    pub fn newest(&self, user: &UserName) -> Option<u64> {
        self.users.get(user)?.iter().map(|held| held.counter).max()
    }

    /// Whether that record is not held here, or only an older one.
    #[must_use]
    pub fn lacks(&self, offered: &Offered) -> bool {
        self.counters.get(&offered.record).is_none_or(|counter| *counter < offered.counter)
    }

    /// What another keeper is told to hold, if we hold it.
    #[must_use]
    pub fn put_of(&self, address: &Address) -> Option<Directory> {
        let held = self.users.get(&address.user)?;
        let held = held.iter().find(|held| held.entry.device == address.device)?;
        let Entry { registration, location, home, .. } = held.entry.clone();
        Some(Directory::Put { registration, location, home })
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
        self.users.retain(|user, devices| {
            for held in devices.extract_if(.., |held| held.expires <= now) {
                self.counters.remove(&record_of(&held.address(user)));
            }
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
        let Some(user) = victim.map(|(user, _)| user.clone()) else { return };
        for held in self.users.remove(&user).unwrap_or_default() {
            self.counters.remove(&record_of(&held.address(&user)));
        }
    }
}

impl Held {
    fn address(&self, user: &UserName) -> Address {
        Address { user: user.clone(), device: self.entry.device }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secure::testing::{Device, NOW, Network};
    use crate::wire::directory::Registration;

    fn checked(network: &Network, device: &Device, counter: u64, expires: UnixTime) -> Checked {
        let chain = device.chain.clone();
        let registration = Registration { chain, devices_version: 1, counter, expires };
        let signed = device.keys.sign.sign(&registration);
        Checked::new(signed, &network.root(), NOW).expect("it is right")
    }

    fn put(keeper: &mut Keeper, checked: Checked, now: UnixTime) -> Result<(), DirectoryRefusal> {
        keeper.put(checked, Bytes::new(Vec::new()).expect("empty"), None, now)
    }

    #[test]
    fn an_older_registration_is_refused_while_a_newer_one_is_held() {
        let mut network = Network::new(1);
        let alice = network.device("alice");
        let later = NOW.plus(REGISTRATION_LIFE);
        let mut keeper = Keeper::default();
        let (old, new) = (checked(&network, &alice, 1, later), checked(&network, &alice, 2, later));
        assert_eq!(put(&mut keeper, old.clone(), NOW), Ok(()));
        assert_eq!(put(&mut keeper, new.clone(), NOW), Ok(()));
        assert_eq!(put(&mut keeper, old, NOW), Err(DirectoryRefusal::Stale), "replayed");
        assert_eq!(put(&mut keeper, new, NOW), Ok(()), "the same again changes its home");
        let address = Address { user: alice.user.clone(), device: alice.id };
        assert_eq!(keeper.counter(&address), Some(2));
        let record = record_of(&address);
        assert!(!keeper.lacks(&Offered { record, counter: 2 }));
        assert!(keeper.lacks(&Offered { record, counter: 3 }));
    }

    #[test]
    fn what_has_expired_is_neither_found_nor_offered() {
        let mut network = Network::new(1);
        let alice = network.device("alice");
        let later = NOW.plus(REGISTRATION_LIFE);
        let mut keeper = Keeper::default();
        put(&mut keeper, checked(&network, &alice, 1, later), NOW).expect("room");
        assert!(keeper.find(&alice.user, NOW).is_some());
        assert!(keeper.find(&alice.user, later).is_none());
        keeper.sweep(later);
        assert_eq!((keeper.len(), keeper.addresses().count()), (0, 0));
        let record = record_of(&Address { user: alice.user.clone(), device: alice.id });
        assert!(keeper.lacks(&Offered { record, counter: 1 }));
    }
}
