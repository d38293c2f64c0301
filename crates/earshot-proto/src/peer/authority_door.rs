//! Finding the login authority: super-peers tell where it is. Lecture, slide 30.
//!
//! A device that signs in has no certificate yet, so it asks as a guest. What it is told is tried,
//! also a door that was known before; and since doors may be old, and tellers slow or liars, others
//! are asked beside them before long. The first door behind which the authority is, by its
//! certificate, counts.
//!
//! Invariants: each door is dialled once; after a door was told at most [`TELLERS_MAX`] are asked;
//! no link outlives the search.

use std::time::{Duration, Instant};

use crate::port::{LinkDown, LinkId, Service};
use crate::secure::link::Expect;
use crate::secure::links::Closed;
use crate::time::UnixTime;
use crate::wire::directory::Directory;
use crate::wire::invite::{AlsoAt, Door};

use super::command::Failure;
use super::signing::SigningIn;
use super::super_peers::ANY_PRIVATE;
use super::{OnSaved, Peer, Record};

/// How long what was tried last is waited for before another way is tried beside it. Our choice: a
/// slow handshake and an answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Super-peers asked at most once a door was told. Our choice: if half of all lie, one of eight is
/// honest in 255 of 256 logins.
const TELLERS_MAX: usize = 8;

/// Longest pause before super-peers that let us go are asked again.
const PAUSE: Duration = Duration::from_secs(4);

/// The ways to the authority that a login tries.
#[derive(Debug, Default)]
pub(super) struct Ways {
    /// Super-peers that are asked where it is.
    asked: Vec<(LinkId, Door)>,
    /// Doors that are dialled.
    dialled: Vec<(LinkId, Door)>,
    /// Doors that were said to be its.
    told: Vec<Door>,
    /// Super-peers asked so far.
    tried: usize,
    /// When another is asked beside these.
    next: Option<Instant>,
    /// Whether somebody of this round let us go or refused, perhaps because of too much to do.
    was_busy: bool,
    /// Whether all have been asked once.
    is_again: bool,
}

impl Ways {
    pub(super) const fn next_due(&self) -> Option<Instant> {
        self.next
    }

    /// What a login lacks that has come no further.
    pub(super) const fn failure(&self) -> Failure {
        match self.told.is_empty() {
            true => Failure::NoSuperPeer { tried: self.tried },
            false => Failure::AuthorityUnreachable,
        }
    }

    fn links(&self) -> impl Iterator<Item = LinkId> {
        self.asked.iter().chain(&self.dialled).map(|(link, _)| *link)
    }
}

impl Peer {
    /// Looks for the authority, for the login that waits for it.
    pub(super) fn seek_authority(&mut self, now: Instant) {
        self.guest_doors = self.super_peers.by_hope(&mut self.entropy.jitter);
        self.guest_doors.reverse();
        match self.authority_door {
            Some(door) => self.try_door(now, door),
            None => self.ask_another(now),
        }
    }

    /// Dials a door that is said to be the authority's; asks another super-peer if it was dialled
    /// before.
    fn try_door(&mut self, now: Instant, door: Door) {
        let Some(ways) = self.signing_in.as_mut().map(|signing| &mut signing.ways) else { return };
        if ways.told.contains(&door) {
            return self.ask_another(now);
        }
        ways.told.push(door);
        let link = self.links.dial(now, door.address, Service::Authority, Expect::Key(door.key));
        ways.dialled.push((link, door));
        ways.next = Some(now + PATIENCE);
    }

    /// Asks the next super-peer where the authority is; gives up when nobody is left to be asked or
    /// waited for.
    fn ask_another(&mut self, now: Instant) {
        let Some(ways) = self.signing_in.as_mut().map(|signing| &mut signing.ways) else { return };
        let may_ask = ways.told.is_empty() || ways.tried < TELLERS_MAX;
        let Some(door) = self.guest_doors.pop().filter(|_| may_ask) else {
            ways.next = None;
            if ways.links().next().is_none() {
                self.ask_again(now);
            }
            return;
        };
        ways.tried += usize::from(!ways.is_again);
        let link = self.links.dial(now, door.address, Service::SuperPeer, Expect::Key(door.key));
        ways.asked.push((link, door));
        ways.next = Some(now + PATIENCE);
        self.links.send(now, link, 1, Directory::ListSuperPeers);
    }

    /// All have been asked in vain: they are asked again if any of them was there, after a pause of
    /// full jitter; otherwise it is given up.
    fn ask_again(&mut self, now: Instant) {
        let jitter = self.entropy.jitter.below(PAUSE.as_millis() as u64 + 1);
        let Some(ways) = self.signing_in.as_mut().map(|signing| &mut signing.ways) else { return };
        if !std::mem::take(&mut ways.was_busy) {
            let failure = ways.failure();
            return self.unreachable(now, failure);
        }
        ways.is_again = true;
        ways.next = Some(now + Duration::from_millis(jitter));
        self.guest_doors = self.super_peers.by_hope(&mut self.entropy.jitter);
        self.guest_doors.reverse();
    }

    /// Asks another when what was tried last takes long.
    pub(super) fn ways_due(&mut self, now: Instant) {
        let ways = self.signing_in.as_mut().map(|signing| &mut signing.ways);
        if ways.is_some_and(|ways| ways.next.take_if(|next| *next <= now).is_some()) {
            self.ask_another(now);
        }
    }

    /// A link is gone that may have been a way to the authority. Answers whether it was.
    pub(super) fn way_closed(&mut self, now: Instant, link: LinkId, why: &Closed) -> bool {
        let Some(ways) = self.signing_in.as_mut().map(|signing| &mut signing.ways) else {
            return false;
        };
        let is_way = ways.links().any(|way| way == link);
        if is_way {
            ways.was_busy |= ways.told.is_empty()
                && matches!(why, Closed::Down(LinkDown::Closed | LinkDown::Broken));
            ways.asked.retain(|(asked, _)| *asked != link);
            ways.dialled.retain(|(dialled, _)| *dialled != link);
            self.ask_another(now);
        }
        is_way
    }

    /// A super-peer answers a guest.
    pub(super) fn guest_answered(
        &mut self,
        now: Instant,
        link: LinkId,
        answer: &Directory,
    ) -> bool {
        let Some(ways) = self.signing_in.as_mut().map(|signing| &mut signing.ways) else {
            return false;
        };
        let place = ways.asked.iter().position(|(asked, _)| *asked == link);
        let Some(place) = place else { return false };
        let (_, teller) = ways.asked.swap_remove(place);
        ways.was_busy |= matches!(answer, Directory::Refused { .. });
        self.links.close(link);
        if let Directory::SuperPeers { nodes, authority, also } = answer {
            self.links.also_told(also);
            let wall = self.wall(now);
            self.super_peers.told(&teller, nodes, wall, &ANY_PRIVATE);
            if let Some(door) = authority {
                self.try_door(now, *door);
                return true;
            }
        }
        self.ask_another(now);
        true
    }

    /// The authority has opened a door that we dialled. Answers whether a login waits for it; the
    /// other ways end.
    pub(super) fn authority_found(&mut self, link: LinkId) -> bool {
        let Some(signing) = &mut self.signing_in else { return false };
        let found = signing.ways.dialled.iter().find(|(dialled, _)| *dialled == link);
        let Some((_, door)) = found.copied() else { return false };
        let ways = std::mem::take(&mut signing.ways);
        ways.links().filter(|way| *way != link).for_each(|way| self.links.close(way));
        // It is needed again when the certificate is renewed, perhaps after a restart.
        self.authority_door = Some(door);
        if let Some(record) = self.network_record() {
            self.save(Record::Network(record), OnSaved::Nothing);
        }
        true
    }

    /// The login that waits is over: so is the search.
    pub(super) fn end_ways(&mut self, signing: &SigningIn) {
        signing.ways.links().for_each(|way| self.links.close(way));
    }

    /// A super-peer says where the authority is. One that we have reached stays as long as it can
    /// be reached.
    pub(super) fn authority_told(&mut self, door: Option<Door>) {
        if self.authority.is_none_or(|(is_reachable, _)| !is_reachable) {
            self.authority_door = door.or(self.authority_door);
        }
    }

    /// A super-peer says where others listen too. It is kept for those whom we know.
    pub(super) fn also_told(&mut self, also: &[AlsoAt]) {
        self.links.also_told(also);
        let (known, authority) = (&self.super_peers, self.authority_door.map(|door| door.key));
        self.links.keep_also(|key| authority == Some(*key) || known.knows(key));
    }

    /// Nobody was there; or somebody was, and a wrong clock kept us from believing them.
    pub(super) fn unreachable(&mut self, now: Instant, failure: Failure) {
        if failure == Failure::AuthorityUnreachable {
            self.authority_seen(now, false);
        }
        let clock = self.signing_in.as_ref().and_then(|signing| signing.clock_off_ms);
        let clock = clock.map(|off_by_ms| Failure::ClockWrong { off_by_ms });
        self.sign_in_failed(clock.unwrap_or(failure));
    }

    /// The clock of whoever a login waits for says another time than ours.
    pub(super) fn clocks_disagree(&mut self, now: Instant, link: LinkId, theirs: UnixTime) {
        let ours = self.wall(now);
        let waits = |s: &SigningIn| s.link() == Some(link) || s.ways.links().any(|way| way == link);
        if let Some(signing) = self.signing_in.as_mut().filter(|signing| waits(signing)) {
            let off = i128::from(ours.0) - i128::from(theirs.0);
            signing.clock_off_ms = i64::try_from(off).ok();
        }
    }
}
