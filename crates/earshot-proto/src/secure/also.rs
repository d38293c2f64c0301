//! The IPv6 addresses of those whose doors have IPv4 ones, by their link keys.
//!
//! Hints, which nobody vouches for: a wrong one costs a dial, since whoever answers there must hold
//! the key. Super-peers show theirs in their certificates; of others one is told, in invites and in
//! lists of super-peers. Invariant: at most [`KNOWN_MAX`] are known.

use std::collections::BTreeMap;
use std::net::{SocketAddr, SocketAddrV6};

use crate::wire::certificate::AgreeKey;
use crate::wire::directory::{ALSO_MAX, NodeEntry};
use crate::wire::invite::AlsoAt;
use crate::wire::nat::is_dialled;

/// Those that are known at most. Our choice: of a list of super-peers and the authority, and as
/// many again that were met since.
const KNOWN_MAX: usize = 2 * ALSO_MAX;

/// What is known.
#[derive(Debug, Default)]
pub(super) struct Also(BTreeMap<AgreeKey, SocketAddrV6>);

impl Also {
    pub(super) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Takes a hint, where there is room for it and it may be dialled at all.
    pub(super) fn learn(&mut self, hint: AlsoAt) {
        let AlsoAt { key, address } = hint;
        let ip = address.ip();
        let is_of_use = is_dialled(address.port()) && !ip.is_unspecified() && !ip.is_multicast();
        if is_of_use && (self.0.len() < KNOWN_MAX || self.0.contains_key(&key)) {
            self.0.insert(key, address);
        }
    }

    /// Forgets those of nobody who is wanted.
    pub(super) fn keep(&mut self, wanted: impl Fn(&AgreeKey) -> bool) {
        self.0.retain(|key, _| wanted(key));
    }

    /// Where the holder of the key listens too, if the address that is known is of IPv4.
    pub(super) fn of(&self, key: &AgreeKey, known: SocketAddr) -> Option<SocketAddrV6> {
        self.0.get(key).copied().filter(|_| known.is_ipv4())
    }

    /// Those of these nodes, and of one more.
    pub(super) fn among(&self, nodes: &[NodeEntry], other: Option<&AgreeKey>) -> Vec<AlsoAt> {
        let keys = nodes.iter().map(|node| &node.key).chain(other);
        let known = keys.filter_map(|key| Some((*key, *self.0.get(key)?)));
        known.map(|(key, address)| AlsoAt { key, address }).collect()
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = AlsoAt> {
        self.0.iter().map(|(key, address)| AlsoAt { key: *key, address: *address })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(number: u16, text: &str) -> AlsoAt {
        let mut key = [0; 32];
        key[..2].copy_from_slice(&number.to_be_bytes());
        AlsoAt { key: AgreeKey(key), address: text.parse().expect("an address") }
    }

    #[test]
    fn what_nobody_may_dial_is_not_learnt() {
        let mut also = Also::default();
        for text in ["[::]:4433", "[ff02::1]:4433", "[2a00::1]:22", "[2a00::1]:0"] {
            also.learn(hint(1, text));
        }
        assert_eq!(also.all().count(), 0);
        also.learn(hint(1, "[2a00::1]:443"));
        assert_eq!(also.all().count(), 1);
    }

    #[test]
    fn a_flood_of_hints_is_bounded_and_makes_nobody_forgotten() {
        let mut also = Also::default();
        let first = hint(0, "[2a00::1]:4433");
        also.learn(first);
        (1..2000).for_each(|number| also.learn(hint(number, "[2a00::2]:4433")));
        assert_eq!(also.all().count(), KNOWN_MAX);
        let known: SocketAddr = ([192, 0, 2, 1], 4433).into();
        assert_eq!(also.of(&first.key, known), Some(first.address));
        also.learn(AlsoAt { address: "[2a00::3]:4433".parse().expect("an address"), ..first });
        assert_ne!(also.of(&first.key, known), Some(first.address), "the newest counts");
        assert_eq!(also.of(&first.key, first.address.into()), None, "one of IPv6 is enough");
        also.keep(|key| *key == first.key);
        assert_eq!(also.all().count(), 1);
    }
}
