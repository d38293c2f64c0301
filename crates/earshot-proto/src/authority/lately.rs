//! Which super-peers the authority missed lately, and what it does when those that are left can
//! verify nobody. DESIGN 2.5.
//!
//! A certificate lives for days, the machine it names perhaps for hours. Of a super-peer the
//! authority knows that it lives when it links here (to enrol or to renew), and when it opens a
//! link that we dial; that it does not is known only of those that we dialled. So what is noted is
//! who was *missed*, for [`MISSED_LIFE`]; all others count as being there. Being missed takes from
//! nobody what they have: they are asked after the others.
//!
//! Where all but one were missed, nobody can be verified, and a network would take no new
//! super-peer before the certificates of the dead end. Then the newcomer's word does, within
//! bounds: as many at a time as the policy exempts, each at an address from which it asked. They
//! verify nobody while others hold certificates, and are verified themselves when they renew. So
//! whoever silences all honest super-peers gains no more than these.
//!
//! Invariant: at most [`MISSED_MAX`] are noted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::nodes::Claim;
use super::registrar::{Asker, Moment, Registrar};
use super::state::Node;
use super::verifying::{MAJORITY, SEATS, Sighting};
use crate::ids::NodeId;
use crate::wire::certificate::Subject;

/// How long a super-peer counts as gone after it was missed. Our choice: a machine that restarts is
/// back sooner, and whoever comes again within the hour finds the same ones gone.
pub(super) const MISSED_LIFE: Duration = Duration::from_secs(30 * 60);
/// Super-peers noted at most: those that were missed first are forgotten. Our choice: an hour of
/// newcomers that are verified in vain, nine dials each, in a network of the dead.
const MISSED_MAX: usize = 4096;

/// Super-peers that were missed, and when.
#[derive(Debug, Default)]
pub(super) struct Lately(BTreeMap<NodeId, Instant>);

impl Lately {
    /// Whether it was missed lately, and not seen since.
    pub(super) fn was_missed(&self, now: Instant, node: &NodeId) -> bool {
        self.0.get(node).is_some_and(|at| now < *at + MISSED_LIFE)
    }

    fn note(&mut self, now: Instant, sighting: Sighting) {
        match sighting {
            Sighting::Seen(node) => {
                self.0.remove(&node);
            }
            Sighting::Missed(node) => {
                if self.0.len() >= MISSED_MAX && !self.0.contains_key(&node) {
                    let first = self.0.iter().min_by_key(|(_, at)| **at).map(|(node, _)| *node);
                    first.and_then(|first| self.0.remove(&first));
                }
                self.0.insert(node, now);
            }
        }
    }
}

impl Registrar {
    /// A super-peer was dialled.
    pub(super) fn note(&mut self, now: Instant, sighting: Sighting) {
        self.lately.note(now, sighting);
    }

    /// Somebody has linked to us: if it is a super-peer, it lives.
    pub(super) fn note_asker(&mut self, asker: &Asker) {
        if let Some(Subject::Node { node, .. }) = asker.certificate().map(|s| &s.subject) {
            self.lately.0.remove(node);
        }
    }

    /// Whether a newcomer that nobody could verify is enrolled on its word: all that might have
    /// were missed lately, but for fewer than decide, and not as many were enrolled so as the
    /// policy exempts.
    pub(super) fn takes_its_word(&self, at: Moment, claim: &Claim) -> bool {
        let place = self.place_of(claim);
        let is_there =
            |node: &&Node| node.node != place && !self.lately.was_missed(at.now, &node.node);
        let known = self.live_nodes(at).chain(self.nodes_under_way());
        let taken = known.filter(|node| node.on_its_word && node.node != place);
        let taken: BTreeSet<NodeId> = taken.map(|node| node.node).collect();
        let most = self.state.policy.exempt().max(SEATS);
        self.verifiers(at).filter(is_there).count() < MAJORITY && taken.len() < most
    }

    /// Super-peers that may verify: those that were verified themselves or came before all others,
    /// as long as enough of them hold certificates; else all.
    pub(super) fn verifiers(&self, at: Moment) -> impl Iterator<Item = &Node> {
        let is_proper = |node: &&Node| !node.on_its_word;
        let are_enough = self.live_nodes(at).filter(is_proper).take(MAJORITY).count() == MAJORITY;
        self.live_nodes(at).filter(move |node| !are_enough || !node.on_its_word)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test begins at some moment")]
mod tests {
    use super::*;

    #[test]
    fn who_was_missed_counts_as_gone_for_a_while_or_until_it_is_seen() {
        let (now, mut lately) = (Instant::now(), Lately::default());
        let node = |number: u32| {
            let mut id = [0; 20];
            id[..4].copy_from_slice(&number.to_be_bytes());
            NodeId(id)
        };
        lately.note(now, Sighting::Missed(node(1)));
        lately.note(now, Sighting::Missed(node(2)));
        assert!(lately.was_missed(now, &node(1)) && !lately.was_missed(now, &node(3)));
        lately.note(now, Sighting::Seen(node(1)));
        assert!(!lately.was_missed(now, &node(1)));
        assert!(!lately.was_missed(now + MISSED_LIFE, &node(2)));
        for number in 0..2 * MISSED_MAX as u32 {
            let at = now + Duration::from_millis(number.into());
            lately.note(at, Sighting::Missed(node(number)));
        }
        assert_eq!(lately.0.len(), MISSED_MAX);
    }
}
