//! Who is gone, and who only seems to be. DESIGN 2.6.
//!
//! A device is gone when its home says so, or when nothing was heard of its home or ours for as
//! long as the lease lasts. When a home dies or leaves, its devices move to others and greet their
//! buddies from there: so a device of which only the home was lost, its own or ours, is *held*,
//! that is, shown as it was for a while and looked for. Who went without a goodbye is looked for
//! even then, in case only the way to them broke.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::ids::{NodeId, UserName};
use crate::secure::link::SILENCE_MAX;
use crate::secure::links::Closed;
use crate::wire::forward::{Address, Forward, Undelivered};

use super::Peer;

/// How long buddies are still shown as they were when our home is lost. DESIGN 2.6: the lease of 15
/// s.
const LEASE: Duration = Duration::from_secs(15);
/// What is left of it when the home had been silent until it counted as dead. A tenth of a second
/// of the last is for the news on its way.
const LEASE_LEFT: Duration = LEASE.saturating_sub(SILENCE_MAX).saturating_sub(NEWS);
const NEWS: Duration = Duration::from_millis(100);
/// How long a device is held whose home was lost, once we have one. Our choice: a peer that lost
/// its home has another in two seconds, and has tried four of them in seven; a death is seen in
/// less than 15 s (DESIGN 2.6) even if it took five to find out that no home can be reached.
const HELD: Duration = Duration::from_secs(8);
/// How often, on average, a held device is looked for. Our choice: mostly it greets us before.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// First pause before somebody who went without a goodbye is looked for; it doubles. Our choice: a
/// home that crashed is replaced and forgotten by its neighbours within it.
const LOST_FIRST: Duration = Duration::from_secs(3);
/// How often they are looked for: for about an hour, all told. Whoever comes back later tells us.
const LOST_TRIES: u32 = 10;

/// How long after we came home those who are not seen are looked for once more: between this and
/// twice as much. Our choice: longer than a super-peer remembers that there was nobody.
const ONCE_MORE: Duration = Duration::from_secs(6);

/// Those who are gone, and those who seem to be.
#[derive(Debug, Default)]
pub(super) struct Absences {
    /// We lost our home: since when, and until when buddies of whom nothing is heard since are
    /// still shown as they were.
    lease: Option<(Instant, Instant)>,
    /// Buddies that went without a goodbye: they are looked for, in case only the way to them
    /// broke.
    lost: BTreeMap<UserName, Lost>,
    /// Devices that are shown as they were although their home or ours was lost.
    held: BTreeMap<Address, Held>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    look: Instant,
    ends: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Lost {
    due: Instant,
    tries: u32,
}

impl Absences {
    /// Something was heard of a device.
    pub(super) fn heard_of(&mut self, address: &Address) {
        self.lost.remove(&address.user);
        self.held.remove(address);
    }

    /// How many devices are held.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// Nobody looks for that user any more.
    pub(super) fn forget(&mut self, user: &UserName) {
        self.lost.remove(user);
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        let lease = self.lease.map(|(_, ends)| ends);
        let held = self.held.values().map(|held| held.look.min(held.ends));
        self.lost.values().map(|lost| lost.due).chain(lease).chain(held).min()
    }
}

impl Peer {
    /// We have lost our home: buddies are shown as they were until the lease ends.
    pub(super) fn homeless(&mut self, now: Instant, why: &Closed) {
        let left = if why.is_silence() { LEASE_LEFT } else { LEASE };
        self.presences.absences.lease.get_or_insert((now, now + left));
        self.meet(now);
    }

    /// We have a home again: those of whom nothing is heard since are held.
    pub(super) fn hold_silent(&mut self, now: Instant) {
        if let Some((since, ends)) = self.presences.absences.lease.take() {
            let silent = self.presences.silent(since);
            silent.iter().for_each(|address| self.hold(now, address, ends));
        }
    }

    pub(super) fn lease_due(&mut self, now: Instant) {
        let Some((since, ends)) = self.presences.absences.lease else { return };
        if now < ends {
            return;
        }
        self.presences.absences.lease = None;
        let silent = self.presences.silent(since);
        silent.iter().for_each(|address| self.device_gone(now, address));
    }

    /// The home where we watched a device was lost to our home.
    pub(super) fn watch_lost(&mut self, now: Instant, address: &Address, home: &NodeId) {
        if !self.is_elsewhere(address, home) {
            self.hold(now, address, now + HELD);
        }
    }

    /// Nothing reaches the home of a device.
    pub(super) fn home_unreachable(&mut self, now: Instant, address: &Address) {
        self.hold(now, address, now + HELD);
    }

    /// The home of a device was asked to say when it is gone. What it says of one that has another
    /// home by now is of no use.
    pub(super) fn watch_answered(
        &mut self,
        now: Instant,
        watched: &Address,
        home: &NodeId,
        answer: &Forward,
    ) {
        if self.is_elsewhere(watched, home) {
            return;
        }
        if let Forward::Undelivered { reason: Undelivered::HomeUnreachable } = answer {
            self.home_unreachable(now, watched);
        } else if let Forward::Undelivered { reason: Undelivered::TooMuch } = answer {
            // It says nothing of them; their answer lets us watch again.
            self.tell_presence(now, watched, true);
        } else if *answer != Forward::Watching {
            self.device_gone(now, watched);
        }
    }

    /// A home says that a device is gone from it.
    pub(super) fn gone_from(&mut self, now: Instant, address: &Address, home: Option<&NodeId>) {
        if !home.is_some_and(|home| self.is_elsewhere(address, home)) {
            self.device_gone(now, address);
        }
    }

    /// Whether the device has told us of another home by now.
    fn is_elsewhere(&self, address: &Address, home: &NodeId) -> bool {
        self.presences.home_of(address).is_some_and(|known| known != *home)
    }

    /// Goes on showing a device as it was, until `ends` at most, and looks for it.
    fn hold(&mut self, now: Instant, address: &Address, ends: Instant) {
        if self.presences.is_shown(address) {
            let look = now + self.look_pause();
            let ends = ends.min(now + HELD);
            self.presences.absences.held.entry(address.clone()).or_insert(Held { look, ends });
        }
    }

    fn look_pause(&mut self) -> Duration {
        let jitter = self.entropy.jitter.below(LOOK_EVERY.as_millis() as u64);
        LOOK_EVERY / 2 + Duration::from_millis(jitter)
    }

    /// Looks for those that are held, and lets them go when nothing came of it.
    pub(super) fn held_due(&mut self, now: Instant) {
        let over = self.presences.absences.held.extract_if(.., |_, held| held.ends <= now);
        let over: Vec<Address> = over.map(|(address, _)| address).collect();
        over.iter().for_each(|address| self.device_gone(now, address));
        let due = self.presences.absences.held.iter().filter(|(_, held)| held.look <= now);
        let due: Vec<Address> = due.map(|(address, _)| address.clone()).collect();
        for address in due {
            let pause = self.look_pause();
            if let Some(held) = self.presences.absences.held.get_mut(&address) {
                held.look = now + pause;
            }
            self.look_up(now, &address.user);
        }
    }

    /// Looks again for buddies that went without a goodbye.
    pub(super) fn lost_due(&mut self, now: Instant) {
        let mut due = Vec::new();
        self.presences.absences.lost.retain(|user, lost| {
            if lost.due <= now {
                due.push(user.clone());
                lost.tries += 1;
                lost.due = now + LOST_FIRST * (1 << lost.tries.min(16));
            }
            lost.tries < LOST_TRIES
        });
        due.iter().for_each(|user| self.look_up(now, user));
    }

    /// Our registration is kept. Who came home while we did may have looked for us before, as we
    /// for them, and found nothing, or where we were: those who are not seen are looked for once
    /// more.
    pub(super) fn look_once_more(&mut self, now: Instant) {
        let all = self.buddies.buddies();
        let unseen: Vec<UserName> =
            all.filter(|user| !self.presences.is_online(user)).cloned().collect();
        for user in unseen {
            let jitter = self.entropy.jitter.below(ONCE_MORE.as_millis() as u64 + 1);
            let due = now + ONCE_MORE + Duration::from_millis(jitter);
            let once = Lost { due, tries: LOST_TRIES - 1 };
            self.presences.absences.lost.entry(user).or_insert(once);
        }
    }

    /// A letter did not find a user at home where a registration says: perhaps they are elsewhere
    /// by now.
    pub(super) fn not_met(&mut self, now: Instant, user: &UserName) {
        if self.buddies.is_buddy(user) && !self.presences.is_online(user) {
            let due = self.lost_first(now);
            let lost = Lost { due, tries: 0 };
            self.presences.absences.lost.entry(user.clone()).or_insert(lost);
        }
    }

    fn lost_first(&mut self, now: Instant) -> Instant {
        let jitter = self.entropy.jitter.below(LOST_FIRST.as_millis() as u64);
        now + LOST_FIRST + Duration::from_millis(jitter)
    }

    /// A look-up of a user has ended: devices that are at home nowhere are gone.
    pub(super) fn homeless_devices_gone(&mut self, now: Instant, user: &UserName) {
        let homeless = self
            .presences
            .shown_of(user)
            .filter(|address| self.cards.get(address).is_none_or(|card| card.home.is_none()));
        let homeless: Vec<Address> = homeless.cloned().collect();
        homeless.iter().for_each(|address| self.device_gone(now, address));
    }

    /// A device is gone: its home says so, or it cannot be reached; unless it is near by.
    pub(super) fn device_gone(&mut self, now: Instant, address: &Address) {
        self.cards.not_home(address);
        self.presences.absences.held.remove(address);
        if self.nearby.link_to(address).is_some() || !self.presences.knows(address) {
            return;
        }
        if self.show_gone(address) {
            let lost = Lost { due: self.lost_first(now), tries: 0 };
            self.presences.absences.lost.insert(address.user.clone(), lost);
        }
        self.call_partner_gone(now, address);
        self.meet(now);
    }
}
