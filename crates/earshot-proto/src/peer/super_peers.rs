//! The super-peer list: up to 200 to knock at. Lecture, slide 15; DESIGN 2.2.
//!
//! Filled from the invite and from the super-peers that we talk to. Most of it is hearsay, and may
//! be lies; a list full of them must not cut us off. Invariants:
//!
//! - Who is only heard of takes no place of the [`RESERVED`] that we met last.
//! - Of those heard of, at most [`PREFIX_MAX`] lie in one prefix (IPv4 /16, IPv6 /32; in the
//!   network's own private ranges each address is a prefix), and at most [`TELLER_MAX`] were told
//!   by one super-peer: one that lies cannot fill the list.
//! - Among the doors to knock at, every second is one we met, as long as there are such.
//!
//! Who failed, then who was heard of longest ago, makes room first; who was met and then missed for
//! a month counts as heard of.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use minicbor::{Decode, Encode};

use crate::entropy::Stream;
use crate::ids::NodeId;
use crate::time::UnixTime;
use crate::wire::certificate::AgreeKey;
use crate::wire::directory::{NodeEntry, SUPER_PEERS_MAX};
use crate::wire::invite::Door;
use crate::wire::policy::{Prefix, Range};

/// Places that those we met last keep against those heard of: half of the list.
pub const RESERVED: usize = SUPER_PEERS_MAX / 2;
/// Of those heard of, so many of one prefix at most. Our choice: a tenth of the list; a provider
/// with more super-peers is not needed whole.
pub const PREFIX_MAX: usize = SUPER_PEERS_MAX / 10;
/// Of those heard of, so many told by one super-peer at most: a quarter of the list.
pub const TELLER_MAX: usize = SUPER_PEERS_MAX / 4;
/// Who was heard of and not again for so long makes room for anybody. DESIGN 2.2: the list is
/// refreshed daily.
pub const STALE_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);
/// Who was met so long ago, and failed since, counts as heard of.
pub const MET_COUNTS_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

/// Ranges that no address of the Internet lies in: private use, loopback and link-local (RFC 6890).
/// Hearsay from before a policy is known counts each address there as a prefix.
pub(super) const ANY_PRIVATE: [Range; 8] = [
    range(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    range(IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
    range(IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
    range(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
    range(IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16),
    range(IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
    range(IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
    range(IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
];

const fn range(address: IpAddr, prefix: u8) -> Range {
    Range { address, prefix }
}

/// A super-peer that we know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Known {
    /// Where and with which key.
    #[n(0)]
    pub door: Door,
    /// When we ourselves were last linked to it, or had an answer of it.
    #[n(1)]
    pub met: Option<UnixTime>,
    /// Dials that failed since then.
    #[n(2)]
    pub failures: u32,
    /// When it was last told of, as far as it is known.
    #[n(3)]
    pub heard: Option<UnixTime>,
    /// Who told of it last: the first eight bytes of the teller's key.
    #[n(4)]
    pub teller: Option<u64>,
    /// Its place on the ring, as it showed it or as it was told of first.
    #[n(5)]
    pub node: Option<NodeId>,
}

impl Known {
    /// Whether it is one that we met, and did not lose since.
    fn is_met(&self, now: UnixTime) -> bool {
        self.met.is_some_and(|met| self.failures == 0 || now.since(met) < MET_COUNTS_FOR)
    }

    /// When anything was last known of it.
    fn latest(&self) -> Option<UnixTime> {
        self.met.max(self.heard)
    }

    /// Orders those heard of: who failed most is worth least, then who was heard of longest ago.
    fn worth(&self) -> (Reverse<u32>, Option<UnixTime>) {
        (Reverse(self.failures), self.latest())
    }
}

/// The list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct SuperPeers(#[n(0)] Vec<Known>);

impl SuperPeers {
    /// Takes the doors of an invite.
    pub fn invited(&mut self, doors: &[Door]) {
        for door in doors {
            self.hear(*door, None, None, &ANY_PRIVATE);
        }
    }

    /// Takes what somebody says about others, at a time that is not known: it is the stalest of
    /// all.
    pub fn heard(&mut self, nodes: &[NodeEntry]) {
        for node in nodes {
            self.hear(door_of(node), None, None, &ANY_PRIVATE);
            self.placed(node);
        }
    }

    /// Takes what the super-peer `teller` says about others just now. `apart` are the private
    /// ranges that the policy names.
    pub fn told(&mut self, teller: &Door, nodes: &[NodeEntry], now: UnixTime, apart: &[Range]) {
        let name = teller.key.0.first_chunk().expect("a key has 32 bytes");
        let teller = u64::from_be_bytes(*name);
        for node in nodes {
            self.hear(door_of(node), Some(now), Some(teller), apart);
            self.placed(node);
        }
    }

    /// Somebody has said where on the ring it is: the first word counts, until it is met.
    fn placed(&mut self, node: &NodeEntry) {
        if let Some(known) = self.find(&door_of(node)).filter(|k| k.door == door_of(node)) {
            known.node.get_or_insert(node.node);
        }
    }

    /// We were linked to it just now, and it has shown its place.
    pub fn met_at(&mut self, node: &NodeEntry, now: UnixTime) {
        self.met(door_of(node), now);
        if let Some(known) = self.find(&door_of(node)) {
            known.node = Some(node.node);
        }
    }

    /// It answered a question, as only the holder of its key can: as good as a link.
    pub fn answered(&mut self, node: &NodeId, now: UnixTime) {
        if let Some(known) = self.0.iter_mut().find(|known| known.node == Some(*node)) {
            (known.met, known.failures) = (Some(now), 0);
        }
    }

    /// It left a question unanswered.
    pub fn was_silent(&mut self, node: &NodeId) {
        if let Some(known) = self.0.iter_mut().find(|known| known.node == Some(*node)) {
            known.failures = known.failures.saturating_add(1);
        }
    }

    /// Some to begin a search at, besides the home: one of those we met and one of those that each
    /// other has told of in turn, so that nobody who makes up nodes leads us alone; those that
    /// failed least first, the rest by lot.
    #[must_use]
    pub fn starts(&self, home: &Door, most: usize, jitter: &mut Stream) -> Vec<NodeEntry> {
        let placed = self.0.iter().filter(|known| known.door.key != home.key);
        let mut order: Vec<_> = placed
            .filter_map(|known| {
                let Door { address, key } = known.door;
                let entry = NodeEntry { node: known.node?, address, key };
                let source = (known.met.is_none(), known.teller.filter(|_| known.met.is_none()));
                Some((known.failures, jitter.next_u64(), source, entry))
            })
            .collect();
        order.sort_by_key(|(failures, lot, ..)| (*failures, *lot));
        let mut turns = BTreeMap::new();
        let mut in_turn: Vec<(usize, NodeEntry)> = order
            .into_iter()
            .map(|(_, _, source, entry)| {
                let turn: &mut usize = turns.entry(source).or_default();
                *turn += 1;
                (*turn, entry)
            })
            .collect();
        in_turn.sort_by_key(|(turn, _)| *turn);
        in_turn.into_iter().take(most).map(|(_, entry)| entry).collect()
    }

    fn hear(&mut self, door: Door, now: Option<UnixTime>, teller: Option<u64>, apart: &[Range]) {
        let heard = Known { door, met: None, failures: 0, heard: now, teller, node: None };
        let told_by_it =
            |known: &&Known| known.met.is_none() && teller.is_some() && known.teller == teller;
        let told_enough = self.0.iter().filter(told_by_it).count() >= TELLER_MAX;
        let prefix = Prefix::of(door.address.ip(), apart);
        let is_near = |known: &Known| Prefix::of(known.door.address.ip(), apart) == prefix;
        let unmet = self.0.iter().filter(|known| known.met.is_none());
        let near_enough = unmet.filter(|known| is_near(known)).count() >= PREFIX_MAX;
        if let Some(known) = self.find(&door) {
            let is_lost = known.failures > 0 && !known.is_met(now.unwrap_or_default());
            if known.door == door {
                known.heard = known.heard.max(now);
            } else if is_lost && !told_enough && (known.met.is_none() || !near_enough) {
                // Whoever is not found there under its key may have another by now.
                *known = heard;
            }
            return;
        }
        let place = if told_enough || near_enough {
            let makes_room = |known: &Known| {
                (!told_enough || known.teller == teller) && (!near_enough || is_near(known))
            };
            self.stalest(makes_room, now)
        } else if self.0.len() >= SUPER_PEERS_MAX {
            self.room(now)
        } else {
            return self.0.push(heard);
        };
        if let Some(place) = place {
            self.0[place] = heard;
        }
    }

    /// The place of one heard of, stale, or failed before, that makes room for another of its kind.
    fn stalest(&self, kind: impl Fn(&Known) -> bool, now: Option<UnixTime>) -> Option<usize> {
        let is_stale = |known: &Known| {
            let since = known.latest().zip(now).map(|(latest, now)| now.since(latest));
            known.failures > 0 || since.is_some_and(|since| since >= STALE_AFTER)
        };
        let unmet = self.0.iter().enumerate().filter(|(_, known)| known.met.is_none());
        let stale = unmet.filter(|(_, known)| kind(known) && is_stale(known));
        stale.min_by_key(|(_, known)| known.worth()).map(|(place, _)| place)
    }

    /// The place in a full list that goes to somebody just heard of: the one heard of longest ago,
    /// after whoever failed most. One that was met goes only when it does not count any more, or
    /// when more than [`RESERVED`] were.
    fn room(&self, now: Option<UnixTime>) -> Option<usize> {
        let now = now.unwrap_or_default();
        let unmet = self.0.iter().enumerate().filter(|(_, known)| !known.is_met(now));
        let worst = unmet.min_by_key(|(_, known)| known.worth());
        let met = self.0.iter().filter(|known| known.is_met(now)).count();
        match worst {
            Some((place, _)) => Some(place),
            None if met > RESERVED => self.met_longest_ago(),
            None => None,
        }
    }

    fn met_longest_ago(&self) -> Option<usize> {
        self.0.iter().enumerate().min_by_key(|(_, known)| known.met).map(|(place, _)| place)
    }

    /// We were linked to it just now. It is where we met it that its key is true.
    pub fn met(&mut self, door: Door, now: UnixTime) {
        let (met, heard, teller, node) = (Some(now), None, None, None);
        let known = Known { door, met, failures: 0, heard, teller, node };
        if let Some(before) = self.find(&door) {
            let node = before.node.filter(|_| before.door == door);
            *before = Known { node, ..known };
        } else if self.0.len() < SUPER_PEERS_MAX {
            self.0.push(known);
        } else if let Some(place) = self.room(Some(now)).or_else(|| self.met_longest_ago()) {
            self.0[place] = known;
        }
    }

    /// It could not be reached.
    pub fn missed(&mut self, door: &Door) {
        if let Some(known) = self.0.iter_mut().find(|k| k.door == *door) {
            known.failures = known.failures.saturating_add(1);
        }
    }

    /// The order in which to knock: one that we met and one heard of in turn, of each kind those
    /// that failed least first, the rest by lot.
    #[must_use]
    pub fn by_hope(&self, jitter: &mut Stream) -> Vec<Door> {
        let mut order: Vec<_> = self
            .0
            .iter()
            .map(|k| (k.failures, jitter.next_u64(), k.met.is_none(), k.door))
            .collect();
        order.sort_by_key(|(failures, lot, ..)| (*failures, *lot));
        let (unmet, met): (Vec<_>, Vec<_>) = order.into_iter().partition(|(_, _, unmet, _)| *unmet);
        let (mut unmet, mut met) = (unmet.into_iter(), met.into_iter());
        let mut doors = Vec::with_capacity(self.0.len());
        while doors.len() < self.0.len() {
            doors.extend(met.next().into_iter().chain(unmet.next()).map(|(.., door)| door));
        }
        doors
    }

    /// Some to be dialled back by besides the home, in the order to ask them: first those of
    /// prefixes that no other of them lies in. None has one of the keys `but`.
    #[must_use]
    pub fn verifiers(
        &self,
        home: &Door,
        but: &[AgreeKey],
        most: usize,
        jitter: &mut Stream,
    ) -> Vec<Door> {
        let prefix = |door: &Door| Prefix::of(door.address.ip(), &ANY_PRIVATE);
        let (mut seen, mut near) = (BTreeSet::from([prefix(home)]), Vec::new());
        let mut doors = self.by_hope(jitter);
        doors.retain(|door| door.key != home.key && !but.contains(&door.key));
        doors.retain(|door| {
            let is_apart = seen.insert(prefix(door));
            if !is_apart {
                near.push(*door);
            }
            is_apart
        });
        doors.into_iter().chain(near).take(most).collect()
    }

    /// Some to tell others of, by lot: only those that we met within the week and that did not fail
    /// since, for whom we can vouch.
    #[must_use]
    pub fn sample(&self, most: usize, now: UnixTime, jitter: &mut Stream) -> Vec<Door> {
        let is_sound = |known: &&Known| {
            known.failures == 0 && known.met.is_some_and(|met| now.since(met) < STALE_AFTER)
        };
        let mut lots: Vec<_> =
            self.0.iter().filter(is_sound).map(|known| (jitter.next_u64(), known.door)).collect();
        lots.sort_by_key(|(lot, _)| *lot);
        lots.into_iter().take(most).map(|(_, door)| door).collect()
    }

    /// How many prefixes those heard of lie in, and how many the fullest holds: for tests and
    /// status.
    #[must_use]
    pub fn diversity(&self, apart: &[Range]) -> (usize, usize) {
        let mut prefixes: BTreeMap<Prefix, usize> = BTreeMap::new();
        for known in self.0.iter().filter(|known| known.met.is_none()) {
            *prefixes.entry(Prefix::of(known.door.address.ip(), apart)).or_default() += 1;
        }
        (prefixes.len(), prefixes.into_values().max().unwrap_or(0))
    }

    /// How many we were linked to ourselves.
    #[must_use]
    pub fn met_count(&self) -> usize {
        self.0.iter().filter(|known| known.met.is_some()).count()
    }

    fn find(&mut self, door: &Door) -> Option<&mut Known> {
        self.0.iter_mut().find(|known| known.door.address == door.address)
    }

    /// Whether one has that key.
    pub(super) fn knows(&self, key: &AgreeKey) -> bool {
        self.0.iter().any(|known| known.door.key == *key)
    }

    /// How many are known.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

const fn door_of(node: &NodeEntry) -> Door {
    Door { address: node.address, key: node.key }
}

#[cfg(test)]
mod tests;
