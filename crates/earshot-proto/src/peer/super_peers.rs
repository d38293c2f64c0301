//! The super-peer list: up to 200 to knock at. Lecture, slide 15; DESIGN 2.2.
//!
//! Filled from the invite and from the super-peers we talk to; those that we ourselves have met
//! stay in when it is full, so that a list of lies cannot cut us off.

use crate::entropy::Stream;
use crate::time::UnixTime;
use crate::wire::directory::{NodeEntry, SUPER_PEERS_MAX};
use crate::wire::invite::Door;
use minicbor::{Decode, Encode};

/// A super-peer that we know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Known {
    /// Where and with which key.
    #[n(0)]
    pub door: Door,
    /// When we ourselves were last linked to it.
    #[n(1)]
    pub met: Option<UnixTime>,
    /// Dials that failed since then.
    #[n(2)]
    pub failures: u32,
}

/// The list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct SuperPeers(#[n(0)] Vec<Known>);

impl SuperPeers {
    /// Takes the doors of an invite.
    pub fn invited(&mut self, doors: &[Door]) {
        for door in doors {
            self.hear(*door);
        }
    }

    /// Takes what a super-peer says about others.
    pub fn heard(&mut self, nodes: &[NodeEntry]) {
        for node in nodes {
            self.hear(Door { address: node.address, key: node.key });
        }
    }

    fn hear(&mut self, door: Door) {
        if self.0.iter().any(|known| known.door.address == door.address) {
            return;
        }
        if self.0.len() >= SUPER_PEERS_MAX {
            let worst = self.0.iter().enumerate().filter(|(_, known)| known.met.is_none());
            let Some((place, _)) = worst.max_by_key(|(_, known)| known.failures) else { return };
            self.0.swap_remove(place);
        }
        self.0.push(Known { door, met: None, failures: 0 });
    }

    /// We were linked to it just now. It is where we met it that its key is true.
    pub fn met(&mut self, door: Door, now: UnixTime) {
        self.hear(door);
        if let Some(known) = self.0.iter_mut().find(|k| k.door.address == door.address) {
            *known = Known { door, met: Some(now), failures: 0 };
        }
    }

    /// It could not be reached.
    pub fn missed(&mut self, door: &Door) {
        if let Some(known) = self.0.iter_mut().find(|k| k.door == *door) {
            known.failures = known.failures.saturating_add(1);
        }
    }

    /// The order in which to knock: those met last first, those that failed often last, the rest by
    /// lot.
    #[must_use]
    pub fn by_hope(&self, jitter: &mut Stream) -> Vec<Door> {
        let mut order: Vec<_> = self
            .0
            .iter()
            .map(|k| (k.failures, k.met.is_none(), jitter.next_u64(), k.door))
            .collect();
        order.sort_by_key(|(failures, unmet, lot, _)| (*failures, *unmet, *lot));
        order.into_iter().map(|(.., door)| door).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::Entropy;
    use crate::wire::certificate::AgreeKey;

    fn door(number: u16) -> Door {
        let [high, low] = number.to_be_bytes();
        let address = std::net::SocketAddr::from(([10, 0, high, low], 4433));
        Door { address, key: AgreeKey([low; 32]) }
    }

    #[test]
    fn a_list_full_of_lies_cannot_push_out_whom_we_met() {
        let mut list = SuperPeers::default();
        list.met(door(1), UnixTime(5));
        for lie in 2..1000 {
            list.hear(door(lie));
        }
        assert_eq!(list.len(), SUPER_PEERS_MAX);
        let order = list.by_hope(&mut Entropy::new([1; 32]).jitter);
        assert_eq!(order[0], door(1));
    }

    #[test]
    fn whoever_does_not_answer_is_tried_last() {
        let mut list = SuperPeers::default();
        list.invited(&[door(1), door(2)]);
        list.missed(&door(1));
        let order = list.by_hope(&mut Entropy::new([1; 32]).jitter);
        assert_eq!(order, [door(2), door(1)]);
    }
}
