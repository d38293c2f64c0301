//! Telling super-peers of a changed policy: a few by lot, who tell the others. DESIGN 1.
//!
//! Begun at every start and with each change, so that a restart between the two costs nothing.
//! Invariant: at most [`TOLD_AT_ONCE`] are dialled every [`AGAIN_AFTER`], until [`ENOUGH`] of them,
//! or all there are, have said that they follow it, or [`ROUNDS_MAX`] rounds are over: who renews
//! its certificate is told in any case.

use std::time::{Duration, Instant};

use super::links::Authority;

/// Super-peers that are dialled at once. Our choice: when half of them are gone, four are told.
const TOLD_AT_ONCE: usize = 8;
/// So many that follow it tell the others. Our choice: half of those that are dialled.
const ENOUGH: usize = 4;
/// How long one round is waited for. Our choice: a minute of the few that it may take to everybody.
const AGAIN_AFTER: Duration = Duration::from_secs(20);
/// Rounds at most: an hour. Our choice: who is off longer asks for a certificate anew.
const ROUNDS_MAX: u32 = 180;
/// The version with which a network is founded: everybody has it.
const FOUNDED: u64 = 1;

/// How far it is told.
#[derive(Debug, Default)]
pub(super) struct Announcing {
    /// Those who have said that they follow the version in force.
    heard: usize,
    rounds: u32,
    next: Option<Instant>,
}

impl Announcing {
    pub(super) const fn next_due(&self) -> Option<Instant> {
        self.next
    }
}

impl Authority {
    /// The policy in force is to be told, if it has changed since the network was founded.
    pub(super) fn announce_from(&mut self, now: Instant) {
        let has_changed = self.registrar.state.policy.version > FOUNDED;
        let next = has_changed.then_some(now);
        self.announcing = Announcing { next, ..Announcing::default() };
    }

    /// Dials the next few.
    pub(super) fn announce_due(&mut self, now: Instant) {
        if self.announcing.next.is_none_or(|at| at > now) {
            return;
        }
        self.verifying.stop_telling();
        let at = self.moment(now);
        let drawn = self.registrar.draw_some(at, TOLD_AT_ONCE);
        self.announcing.rounds += 1;
        let is_over = drawn.is_empty() || self.announcing.rounds > ROUNDS_MAX;
        self.announcing.next = (!is_over).then_some(now + AGAIN_AFTER);
        self.show_certificate();
        for node in &drawn {
            let policy = self.registrar.state.signed_policy.clone();
            self.verifying.tell(now, node, policy);
        }
    }

    /// Some have said which version they follow.
    pub(super) fn policy_known(&mut self) {
        let version = self.registrar.state.policy.version;
        let known = self.verifying.poll_known().into_iter().filter(|known| *known >= version);
        self.announcing.heard += known.count();
        if self.announcing.heard >= ENOUGH.min(self.registrar.state.nodes.len()) {
            self.announcing.next = None;
        }
    }
}
