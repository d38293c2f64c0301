//! The home's half of an election: whom of its clients it invites to serve, and when. DESIGN 2.12:
//! an overloaded home invites its best candidate.
//!
//! All overloaded homes see the same need. So that they do not all answer it, only those that have
//! their share of clients invite, and each only by lot: together as many as are missing. What
//! clients say of their scores is not proved: who exaggerates is invited, and then enrols and is
//! dialled back like anybody. Invariant: at most [`CANDIDATES_MAX`] candidates; the weakest makes
//! room.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Band, JITTER, Need, SETTLE};
use crate::entropy::Stream;
use crate::wire::forward::Address;

/// Candidates remembered at most: as many as a home may have clients.
pub const CANDIDATES_MAX: usize = 1024;
/// How often a home decides whether to invite: when those who were invited last serve.
pub const INVITE_EVERY: Duration = SETTLE.saturating_add(JITTER);
/// How long who was invited is not invited again: it will have had its reasons.
const INVITED_REST: Duration = Duration::from_secs(3600);

/// The candidates among a home's clients.
#[derive(Debug, Default)]
pub struct Inviting {
    candidates: BTreeMap<Address, Candidate>,
    next: Option<Instant>,
}

#[derive(Debug)]
struct Candidate {
    score: u16,
    invited: Option<Instant>,
}

impl Inviting {
    /// A client has told that it would serve, and its score.
    pub fn handle_candidate(&mut self, who: &Address, score: u16) {
        if let Some(candidate) = self.candidates.get_mut(who) {
            candidate.score = score;
            return;
        }
        if self.candidates.len() >= CANDIDATES_MAX {
            let weakest = self.candidates.iter().min_by_key(|(_, candidate)| candidate.score);
            match weakest.map(|(who, candidate)| (who.clone(), candidate.score)) {
                Some((weakest, its)) if its < score => self.candidates.remove(&weakest),
                Some(_) | None => return,
            };
        }
        self.candidates.insert(who.clone(), Candidate { score, invited: None });
    }

    /// A client has gone, or would not serve any more.
    pub fn handle_gone(&mut self, who: &Address) {
        self.candidates.remove(who);
    }

    /// Whom to invite now, if anybody. `clients` are at home here.
    pub fn poll_invitation(
        &mut self,
        now: Instant,
        band: &Band,
        need: &Need,
        clients: u32,
        jitter: &mut Stream,
    ) -> Option<Address> {
        let has_its_share = clients.saturating_mul(need.super_peers) >= need.clients;
        if !band.lacks(need) || !has_its_share || self.next.is_some_and(|next| now < next) {
            return None;
        }
        self.next = Some(now + INVITE_EVERY);
        if jitter.below(u64::from(need.super_peers.max(1))) >= u64::from(band.missing(need)) {
            return None;
        }
        let rested = |c: &Candidate| c.invited.is_none_or(|at| at + INVITED_REST <= now);
        let best = self.candidates.iter_mut().filter(|(_, candidate)| rested(candidate));
        let (who, candidate) = best.max_by_key(|(_, candidate)| candidate.score)?;
        candidate.invited = Some(now);
        Some(who.clone())
    }

    /// How many candidates there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.candidates.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }
}
