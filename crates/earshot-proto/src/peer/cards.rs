//! What this peer knows of other people's devices: their keys, their home, how to reach them.
//!
//! A card is written from what was verified: a registration found at a keeper, or an envelope that
//! a device sealed. Cards are hints: a wrong home costs a look-up, never a secret. Bounded; the one
//! not used for longest goes first.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::ids::{NodeId, UserName};
use crate::time::UnixTime;
use crate::wire::certificate::{HolderKeys, VerifyKey};
use crate::wire::directory::{Location, NodeEntry, Reachability};
use crate::wire::forward::Address;

/// Cards held at most. Our choice: a thousand buddies with two devices each.
pub const CARDS_MAX: usize = 2000;

/// One device of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// The user's identity key K_u, as the certificate says it; pinning is the buddy list's
    /// business.
    pub identity: VerifyKey,
    /// The device's keys.
    pub keys: HolderKeys,
    /// Its home, while it has one.
    pub home: Option<NodeEntry>,
    /// Whether it is linked to us straight, on a local network.
    pub is_near: bool,
    /// Where it takes calls directly.
    pub direct: Option<SocketAddr>,
    /// How it can be reached, if it told us.
    pub reachability: Option<Reachability>,
    /// When this was last told.
    pub told: UnixTime,
    /// When the newest envelope of the device was sealed that has come.
    pub word: UnixTime,
    /// The counter of the newest registration that was seen; 0: none was.
    pub counter: u64,
}

/// All cards.
#[derive(Debug, Default)]
pub struct Cards {
    cards: BTreeMap<Address, Card>,
}

impl Cards {
    /// The card of a device.
    #[must_use]
    pub fn get(&self, address: &Address) -> Option<&Card> {
        self.cards.get(address)
    }

    /// The devices of a user that letters reach: at a home, or near by.
    pub fn reachable(&self, user: &UserName) -> impl Iterator<Item = (&Address, &Card)> {
        self.of(user).filter(|(_, card)| card.home.is_some() || card.is_near)
    }

    /// All known devices of a user.
    pub fn of(&self, user: &UserName) -> impl Iterator<Item = (&Address, &Card)> {
        let first = Address { user: user.clone(), device: crate::ids::DeviceId([0; 16]) };
        self.cards.range(first..).take_while(|(address, _)| address.user == *user)
    }

    /// Writes what a device is certified as.
    pub fn certified(
        &mut self,
        address: &Address,
        identity: VerifyKey,
        keys: HolderKeys,
        now: UnixTime,
    ) -> &mut Card {
        if !self.cards.contains_key(address) && self.cards.len() >= CARDS_MAX {
            let oldest = self.cards.iter().min_by_key(|(_, card)| card.told);
            if let Some(oldest) = oldest.map(|(address, _)| address.clone()) {
                self.cards.remove(&oldest);
            }
        }
        let card = self.cards.entry(address.clone()).or_insert(Card {
            identity,
            keys,
            home: None,
            is_near: false,
            direct: None,
            reachability: None,
            told: now,
            word: UnixTime(0),
            counter: 0,
        });
        card.identity = identity;
        card.keys = keys;
        card.told = now;
        card
    }

    /// An envelope of a device has come, sealed at its home of then; what was sealed before another
    /// that has come says nothing about its home of now.
    pub fn written_from(&mut self, address: &Address, home: Option<NodeEntry>, at: UnixTime) {
        if let Some(card) = self.cards.get_mut(address).filter(|card| card.word <= at) {
            card.word = at;
            card.home = home.or(card.home);
        }
    }

    /// Writes where a device says it is; an older word changes nothing.
    pub fn located(&mut self, address: &Address, location: Option<&Location>, at: UnixTime) {
        let Some(card) = self.cards.get_mut(address).filter(|card| card.told <= at) else { return };
        card.told = at;
        card.home = location.map(|l| l.home);
        card.direct = location.and_then(|l| l.direct);
        card.reachability = location.map(|l| l.reachability);
    }

    /// Writes the home that a keeper names, where the device itself has told us nothing.
    pub fn home_told(&mut self, address: &Address, home: Option<NodeEntry>) {
        if let Some(card) = self.cards.get_mut(address) {
            card.home = home;
        }
    }

    /// A device comes near, or goes.
    pub fn near(&mut self, address: &Address, is_near: bool) {
        if let Some(card) = self.cards.get_mut(address) {
            card.is_near = is_near;
        }
    }

    /// Whether a device is known to be at another home than this one.
    #[must_use]
    pub fn is_elsewhere(&self, address: &Address, home: &NodeId) -> bool {
        let known = self.cards.get(address).and_then(|card| card.home);
        known.is_some_and(|known| known.node != *home)
    }

    /// That device is not at that home any more.
    pub fn not_home(&mut self, address: &Address) {
        if let Some(card) = self.cards.get_mut(address) {
            card.home = None;
            card.direct = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secure::testing::Network;
    use crate::wire::certificate::AgreeKey;

    #[test]
    fn a_letter_that_was_overtaken_does_not_say_where_its_device_is_now() {
        let alice = Network::new(1).device("alice");
        let address = Address { user: alice.user.clone(), device: alice.id };
        let home = |last: u8| NodeEntry {
            node: NodeId([last; 20]),
            address: ([192, 0, 2, last], 4433).into(),
            key: AgreeKey([last; 32]),
        };
        let mut cards = Cards::default();
        for (at, from, shown) in [(20, 2, 2), (10, 1, 2), (30, 3, 3)] {
            cards.certified(&address, alice.identity, alice.keys.public(), UnixTime(at));
            cards.written_from(&address, Some(home(from)), UnixTime(at));
            let known = cards.get(&address).and_then(|card| card.home);
            assert_eq!(known, Some(home(shown)), "sealed at {at}");
        }
    }
}
