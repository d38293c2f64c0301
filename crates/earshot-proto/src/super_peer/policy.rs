//! Following the network's policy: how a change of it comes here, and goes on. DESIGN 1, 2.5.
//!
//! The authority tells a few super-peers, they tell those that they are linked to, and so on; who
//! is linked later is told then. What is believed is the root's signature, so it does not matter
//! who tells. Invariants: the version in force never falls; each version is passed on once.

use std::time::Instant;

use crate::port::LinkId;
use crate::secure::identity::open_signed;
use crate::secure::links::Who;
use crate::wire::certificate::Signed;
use crate::wire::enrolment::Enrolment;
use crate::wire::policy::Policy;

use super::SuperPeer;
use super::enrolment::Standing;
use super::ring;

/// The version with which a network is founded: it need not be told.
const FOUNDED: u64 = 1;

impl SuperPeer {
    /// The version of the policy in force; none before we serve.
    #[must_use]
    pub const fn policy_version(&self) -> Option<u64> {
        match &self.standing {
            Standing::Serving { policy, .. } => Some(policy.version),
            Standing::Outside | Standing::Asking { .. } | Standing::Enrolling { .. } => None,
        }
    }

    /// Somebody tells of a policy.
    pub(super) fn policy_told(
        &mut self,
        now: Instant,
        (link, ask): (LinkId, u32),
        who: &Who,
        signed: Signed<Policy>,
    ) {
        let Some(ours) = self.policy_version() else { return };
        let Ok(policy) = open_signed(&signed, &self.config.root) else {
            return self.hang_up(now, link);
        };
        let told = policy.version;
        if told > ours {
            self.follow(now, policy, signed);
            let others = self.contacts.open_links().into_iter().filter(|other| *other != link);
            others.for_each(|other| self.tell_policy(now, other));
        } else if told < ours && matches!(who, Who::Node(_)) {
            self.tell_policy(now, link);
        }
        let version = told.max(ours);
        self.answer(now, link, ask, Enrolment::PolicyKnown { version });
    }

    /// Tells a super-peer of the policy, if it has changed since the network was founded.
    pub(super) fn tell_policy(&mut self, now: Instant, link: LinkId) {
        if self.policy_version().is_some_and(|version| version > FOUNDED)
            && let Some(enrolled) = &self.config.enrolled
        {
            let policy = enrolled.policy.clone();
            self.links.send(now, link, 0, Enrolment::Policy { policy });
        }
    }

    /// Puts it in force, and keeps it.
    fn follow(&mut self, now: Instant, policy: Policy, signed: Signed<Policy>) {
        tracing::info!(version = policy.version, "Another policy is in force");
        self.ring.set_config(now, ring::Config::of_policy(&policy));
        if let Some(relay) = &mut self.relay {
            relay.set_policy(policy.ranges.to_vec());
        }
        if let Standing::Serving { policy: before, .. } = &mut self.standing {
            *before = policy;
        }
        if let Some(enrolled) = &mut self.config.enrolled {
            enrolled.policy = signed;
            let record = enrolled.clone();
            self.save_enrolment(record);
        }
        // What the ring has to change is done by its own periods.
        self.turn_ring(now);
    }
}
