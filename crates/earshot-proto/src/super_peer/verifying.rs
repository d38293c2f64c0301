//! Verifying addresses for the authority: is a candidate where it says? DESIGN 2.5.
//!
//! The authority dials us and names an address, the key that has to answer there, and a nonce. We
//! dial the candidate, which signs the nonce on that connection, and give the authority what it
//! says; so nobody but the candidate can say *reached*. On the other side of the same conversation
//! we are the candidate, and sign as long as we want to be enrolled: the signature says no more
//! than that we are at our address, so anybody may have it.
//!
//! Only the authority makes us dial, only ports ≥ 1024, 80 and 443, and at most [`RUNNING_MAX`] at
//! once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::port::{LinkId, Service};
use crate::secure::link::Expect;
use crate::secure::links::Who;
use crate::wire::certificate::{AgreeKey, Signed};
use crate::wire::enrolment::{AddressProof, Enrolment};
use crate::wire::nat::is_dialled;

use super::SuperPeer;

/// How long a candidate may take to answer. Our choice: four flights of a bad satellite path, and
/// less than the authority waits.
const PATIENCE: Duration = Duration::from_secs(2);
/// Candidates at once at most. Our choice: as many as one authority verifies at once.
const RUNNING_MAX: usize = 64;

/// Candidates that are being dialled.
#[derive(Debug, Default)]
pub(super) struct Verifications {
    running: BTreeMap<LinkId, Verification>,
}

#[derive(Debug)]
struct Verification {
    /// The authority's link and question.
    asker: (LinkId, u32),
    until: Instant,
}

impl Verifications {
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.running.values().map(|verification| verification.until).min()
    }

    pub(super) fn len(&self) -> usize {
        self.running.len()
    }
}

impl SuperPeer {
    /// What is said about enrolment by others than the authority that we ask.
    pub(super) fn handle_verifying(
        &mut self,
        now: Instant,
        link: LinkId,
        who: &Who,
        ask: u32,
        message: Enrolment,
    ) {
        match (message, who) {
            (Enrolment::Verify { address, key, nonce }, Who::Authority) => {
                if !is_dialled(address.port()) || self.verifications.len() >= RUNNING_MAX {
                    return self.hang_up(now, link);
                }
                let to = self.dial_candidate(now, address, key, nonce);
                let (asker, until) = ((link, ask), now + PATIENCE);
                self.verifications.running.insert(to, Verification { asker, until });
            }
            // Two of three decide: the third may ask when we serve already.
            (Enrolment::Prove { nonce }, _)
                if self.standing.is_enrolling() || self.standing.is_serving() =>
            {
                let said = AddressProof { nonce, address: self.config.address };
                let proof = self.config.keys.sign.sign(&said);
                self.answer(now, link, ask, Enrolment::Proof { proof });
            }
            (Enrolment::CertificatesOf { nodes }, Who::Node(_)) => {
                let answer = self.certificates_of(&nodes, nodes.len());
                self.answer(now, link, ask, answer);
            }
            (answer @ Enrolment::Certificates { .. }, _) => {
                self.link_answered(now, link, ask, answer);
            }
            (Enrolment::Policy { policy }, Who::Authority | Who::Node(_)) => {
                self.policy_told(now, (link, ask), who, policy);
            }
            (Enrolment::Proof { proof }, _) => self.verification_ended(now, link, Some(proof)),
            (
                Enrolment::Enrol { .. }
                | Enrolment::Renew { .. }
                | Enrolment::Enrolled { .. }
                | Enrolment::Refused { .. }
                | Enrolment::Verify { .. }
                | Enrolment::Verified { .. }
                | Enrolment::Prove { .. }
                | Enrolment::CertificatesOf { .. }
                | Enrolment::Policy { .. }
                | Enrolment::PolicyKnown { .. },
                _,
            ) => self.hang_up(now, link),
        }
    }

    fn dial_candidate(
        &mut self,
        now: Instant,
        address: std::net::SocketAddr,
        key: AgreeKey,
        nonce: [u8; 32],
    ) -> LinkId {
        let expect = Expect::Uncertified(key);
        let link = self.links.dial(now, address, Service::SuperPeer, expect);
        self.links.send(now, link, 1, Enrolment::Prove { nonce });
        link
    }

    /// The candidate has answered, or the link to it is gone.
    pub(super) fn verification_ended(
        &mut self,
        now: Instant,
        link: LinkId,
        proof: Option<Signed<AddressProof>>,
    ) {
        let Some(Verification { asker, .. }) = self.verifications.running.remove(&link) else {
            return;
        };
        // A candidate that serves meanwhile is known by this link.
        self.hang_up(now, link);
        self.answer(now, asker.0, asker.1, Enrolment::Verified { proof });
    }

    /// Candidates that took too long were not reached.
    pub(super) fn verifications_due(&mut self, now: Instant) {
        let running = &self.verifications.running;
        let slow: Vec<LinkId> =
            running.iter().filter(|(_, v)| v.until <= now).map(|(link, _)| *link).collect();
        for link in slow {
            self.verification_ended(now, link, None);
        }
    }
}
