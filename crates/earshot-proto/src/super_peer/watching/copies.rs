//! Copies of subscriber lists: ours at our successors, and those of the homes before us here.
//! DESIGN 2.6.
//!
//! A home tells its first two successors which super-peers have clients that watch devices at it:
//! the super-peer and its subscription, and nothing of who watches whom. It gathers changes for
//! [`SETTLE`] and says only those. Whoever ceases to be a successor is told to drop the copy; one
//! that is not renewed is dropped anyway.
//!
//! Invariants: to one successor one message is under way; a copy is changed only by the home
//! itself; at most [`HOMES_MAX`] copies of at most [`SUBSCRIBERS_MAX`] are held, those of the homes
//! that precede us most closely.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::ids::{NodeId, SubscriptionId};
use crate::wire::bounded::List;
use crate::wire::directory::NodeEntry;
use crate::wire::forward::{CHANGES_MAX, Forward, Subscriber};

/// Successors that hold a copy. DESIGN 2.6.
pub const HOLDERS: usize = 2;
/// How long changes are gathered. Our choice: who comes home watches within it, and a home that
/// dies sooner is missed by its watchers' homes themselves.
pub const SETTLE: Duration = Duration::from_secs(1);
/// How often a copy is renewed, and how long it is held. Our choice: two renewals may be lost.
pub const RENEW: Duration = Duration::from_secs(5 * 60);
const EXPIRY: Duration = Duration::from_secs(15 * 60);
/// Pause after a copy was not taken.
const RETRY: Duration = Duration::from_secs(10);
/// Copies held. Our choice: two predecessors, and those who take their places one after the other.
pub const HOMES_MAX: usize = 8;
/// Subscribers in one copy. Our choice: as many as know each other under full membership.
pub const SUBSCRIBERS_MAX: usize = 4096;

/// Our list at our successors.
#[derive(Debug, Default)]
pub struct Copying {
    due: Option<Instant>,
    holders: BTreeMap<NodeId, Holder>,
}

#[derive(Debug)]
struct Holder {
    entry: NodeEntry,
    /// What it holds; none while it must be told all.
    held: Option<BTreeMap<NodeId, SubscriptionId>>,
    /// What is on its way to it: who comes, and who goes.
    under_way: Option<Vec<(NodeId, Option<SubscriptionId>)>>,
    renew: Instant,
}

impl Copying {
    /// The list may have changed, or our successors.
    pub fn changed(&mut self, now: Instant) {
        self.due.get_or_insert(now + SETTLE);
    }

    /// What is to be said now, and to whom; what is said to a holder is to be answered.
    pub fn due(
        &mut self,
        now: Instant,
        successors: &[NodeEntry],
        subscribers: &[Subscriber],
    ) -> Vec<(NodeEntry, Forward)> {
        if self.next_due().is_none_or(|at| now < at) {
            return Vec::new();
        }
        self.due = None;
        let successors = &successors[..successors.len().min(HOLDERS)];
        let mut said = Vec::new();
        let is_past = |node: &NodeId, _: &mut Holder| successors.iter().all(|s| s.node != *node);
        for (_, past) in self.holders.extract_if(.., is_past) {
            let is_told = past.held.is_some_and(|held| !held.is_empty());
            if is_told || past.under_way.is_some() {
                said.push((past.entry, changes(true, Vec::new(), Vec::new())));
            }
        }
        for entry in successors {
            let new = Holder { entry: *entry, held: None, under_way: None, renew: now + RENEW };
            let holder = self.holders.entry(entry.node).or_insert(new);
            said.extend(holder.next(now, subscribers).map(|message| (*entry, message)));
        }
        said
    }

    /// A holder has answered, or was silent.
    pub fn answered(&mut self, now: Instant, node: &NodeId, is_held: bool) {
        let Some(holder) = self.holders.get_mut(node) else { return };
        let Some(under_way) = holder.under_way.take() else { return };
        if !is_held {
            holder.held = None;
            self.due.get_or_insert(now + RETRY);
            return;
        }
        let is_full = under_way.len() >= CHANGES_MAX;
        let held = holder.held.get_or_insert_default();
        for (home, subscription) in under_way {
            match subscription {
                Some(subscription) => held.insert(home, subscription),
                None => held.remove(&home),
            };
        }
        if is_full {
            self.due = Some(now);
        }
    }

    /// The link to a super-peer is gone: if it holds a copy, it may have lost it.
    pub fn link_lost(&mut self, now: Instant, node: &NodeId) {
        if let Some(holder) = self.holders.get_mut(node) {
            (holder.held, holder.under_way) = (None, None);
            self.due.get_or_insert(now + RETRY);
        }
    }

    /// When [`Copying::due`] has something to say next.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        let holds = |h: &&Holder| h.held.as_ref().is_some_and(|held| !held.is_empty());
        let renewals = self.holders.values().filter(holds).map(|holder| holder.renew);
        renewals.chain(self.due).min()
    }
}

impl Holder {
    /// The next changes for it, if there are any, or it is to be told that all is as it was.
    fn next(&mut self, now: Instant, subscribers: &[Subscriber]) -> Option<Forward> {
        if self.under_way.is_some() {
            return None;
        }
        // It knows its own links.
        let wanted: BTreeMap<NodeId, Subscriber> = subscribers
            .iter()
            .filter(|subscriber| subscriber.home.node != self.entry.node)
            .map(|subscriber| (subscriber.home.node, *subscriber))
            .collect();
        let is_new = self.held.is_none();
        let none = BTreeMap::new();
        let held = self.held.as_ref().unwrap_or(&none);
        let comes = |s: &&Subscriber| held.get(&s.home.node) != Some(&s.subscription);
        let come: Vec<Subscriber> = wanted.values().filter(comes).copied().collect();
        let gone = held.keys().filter(|home| !wanted.contains_key(home)).copied();
        let mut gone: Vec<NodeId> = gone.take(CHANGES_MAX).collect();
        let come: Vec<Subscriber> = come.into_iter().take(CHANGES_MAX).collect();
        gone.truncate(CHANGES_MAX - come.len());
        let is_nothing = come.is_empty() && gone.is_empty();
        let renews = self.renew <= now && !held.is_empty();
        if is_nothing && !renews {
            return None;
        }
        self.renew = now + RENEW;
        let came = come.iter().map(|s| (s.home.node, Some(s.subscription)));
        self.under_way = Some(came.chain(gone.iter().map(|home| (*home, None))).collect());
        Some(changes(is_new, come, gone))
    }
}

fn changes(anew: bool, come: Vec<Subscriber>, gone: Vec<NodeId>) -> Forward {
    Forward::Subscribers { anew, come: List::first_of(come), gone: List::first_of(gone) }
}

/// What a home tells of its subscribers: the parts of a [`Forward::Subscribers`].
#[derive(Clone, Debug)]
pub struct Changes {
    /// Whether what was told before is void.
    pub anew: bool,
    /// Who has come.
    pub come: List<Subscriber, CHANGES_MAX>,
    /// Who has gone.
    pub gone: List<NodeId, CHANGES_MAX>,
}

/// The lists of other homes, held here.
#[derive(Debug, Default)]
pub struct Copies {
    homes: BTreeMap<NodeId, Copy>,
}

#[derive(Debug)]
struct Copy {
    subscribers: BTreeMap<NodeId, Subscriber>,
    until: Instant,
}

impl Copies {
    /// A home tells what has changed; we are `me`. False when there is no room for its list.
    pub fn handle(&mut self, now: Instant, me: &NodeId, home: NodeId, told: &Changes) -> bool {
        let Changes { anew, come, gone } = told;
        self.homes.retain(|_, copy| now < copy.until);
        if *anew {
            self.homes.remove(&home);
            if come.is_empty() {
                return true;
            }
        } else if !self.homes.contains_key(&home) {
            return false;
        }
        if !self.homes.contains_key(&home) && !self.makes_room(me, &home) {
            return false;
        }
        let until = now + EXPIRY;
        let copy = self.homes.entry(home).or_insert(Copy { subscribers: BTreeMap::new(), until });
        copy.until = until;
        for home in gone.iter() {
            copy.subscribers.remove(home);
        }
        for subscriber in come.iter() {
            let is_known = copy.subscribers.contains_key(&subscriber.home.node);
            if is_known || copy.subscribers.len() < SUBSCRIBERS_MAX {
                copy.subscribers.insert(subscriber.home.node, *subscriber);
            }
        }
        if copy.subscribers.is_empty() {
            self.homes.remove(&home);
        }
        true
    }

    /// Whether there is room for another home; the one that precedes us least closely makes it.
    fn makes_room(&mut self, me: &NodeId, home: &NodeId) -> bool {
        if self.homes.len() < HOMES_MAX {
            return true;
        }
        let away = |home: &NodeId| home.as_key().distance_to(me);
        let farthest = self.homes.keys().max_by_key(|home| away(home)).copied();
        match farthest.filter(|farthest| away(home) < away(farthest)) {
            Some(farthest) => self.homes.remove(&farthest).is_some(),
            None => false,
        }
    }

    /// Whether that home's list is held.
    #[must_use]
    pub fn holds(&self, home: &NodeId) -> bool {
        self.homes.contains_key(home)
    }

    /// A home has died or left: its list.
    pub fn remove(&mut self, home: &NodeId) -> Vec<Subscriber> {
        let copy = self.homes.remove(home);
        copy.map_or_else(Vec::new, |copy| copy.subscribers.into_values().collect())
    }

    /// What is held of that home's list.
    #[must_use]
    pub fn list(&self, home: &NodeId) -> Vec<Subscriber> {
        let copy = self.homes.get(home);
        copy.map_or_else(Vec::new, |copy| copy.subscribers.values().copied().collect())
    }

    /// How many lists are held, and how many subscribers stand in them.
    #[must_use]
    pub fn len(&self) -> (usize, usize) {
        (self.homes.len(), self.homes.values().map(|copy| copy.subscribers.len()).sum())
    }
}
