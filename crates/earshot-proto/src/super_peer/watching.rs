//! Who watches whom, and telling the watchers who is gone. DESIGN 2.6.
//!
//! A watch goes from the watcher over its own home to the home of the watched device, which says
//! *Gone* when that device's link is down. When a home dies itself, its watchers' homes find out by
//! their links to it ([`carried`]); and its successors on the ring, which hold a copy of its list
//! of subscribers ([`copies`]), tell them: they then ask it themselves, so that a lie, or a way
//! that is broken between others, makes nobody look gone.
//!
//! Who is lost with a broken connection is *Lost*: the device is perhaps on its way to another
//! home, and its watcher looks for it before it believes anything. Of a home that was silent until
//! it counted as dead the lease has ended: its devices are *Gone*.
//!
//! Invariants: a watcher is told of a death once, by whoever notices it first, and not when it
//! watches the device at another home by then; a successor learns which super-peers have clients
//! that watch somebody at the home, and nothing of these; a watch ends at both homes when the
//! watcher leaves, moves or wants no more ([`ending`]), and no later than the link between them.

pub mod carried;
pub mod copies;
mod ending;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::ids::{NodeId, SubscriptionId};
use crate::port::LinkId;
use crate::secure::identity::{FromDevice, Use, open_by_device};
use crate::secure::links::{Closed, Who};
use crate::wire::certificate::Signed;
use crate::wire::directory::NodeEntry;
use crate::wire::forward::{Address, Forward, Subscriber, Undelivered, WatchGrant};

use super::{About, SuperPeer, Watches};
use carried::{Carried, Watch};
use copies::{Changes, Copies, Copying};

/// Subscribers of a dead home that are told in one go, and the pause until the next. Our choice:
/// each may cost a dial, and all that there can be have heard within a second.
const TOLD_AT_ONCE: usize = 256;
const TELL_EVERY: Duration = Duration::from_millis(50);
/// Subscribers that wait to be told, at most: of two homes that die at once.
const TELLING_MAX: usize = 2 * copies::SUBSCRIBERS_MAX;

/// What a super-peer knows of watches.
#[derive(Debug, Default)]
pub(super) struct Watching {
    carried: Carried,
    copying: Copying,
    copies: Copies,
    telling: VecDeque<(NodeEntry, Forward)>,
    next_telling: Option<Instant>,
}

/// The parts of a [`Forward::Watch`].
pub(super) struct Asked {
    pub(super) home: NodeEntry,
    pub(super) grant: Signed<WatchGrant>,
    pub(super) watcher: Address,
    pub(super) watcher_home: Option<NodeEntry>,
    pub(super) subscription: Option<SubscriptionId>,
}

impl Watching {
    /// Our subscribers, or our successors, may have changed.
    pub(super) fn changed(&mut self, now: Instant) {
        self.copying.changed(now);
    }

    /// A successor holds our list.
    pub(super) fn copied(&mut self, now: Instant, node: &NodeId) {
        self.copying.answered(now, node, true);
    }

    /// A successor does not hold it.
    pub(super) fn not_copied(&mut self, now: Instant, node: &NodeId) {
        self.copying.answered(now, node, false);
    }

    /// A home has left the ring politely: it hands its clients over itself.
    pub(super) fn home_left(&mut self, home: &NodeId) {
        self.copies.remove(home);
    }

    /// The question whether a home lives has ended without a word.
    pub(super) fn not_asked(&mut self, home: &NodeId) {
        self.carried.not_asked(home);
    }

    pub(super) fn holds_list_of(&self, home: &NodeId) -> bool {
        self.copies.holds(home)
    }

    /// Homes at which clients of ours watch devices.
    pub(super) fn homes(&self) -> impl Iterator<Item = NodeId> {
        self.carried.homes()
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.copying.next_due().into_iter().chain(self.next_telling).min()
    }
}

impl SuperPeer {
    /// How many watches it knows of.
    #[must_use]
    pub fn watches(&self) -> Watches {
        let (lists, listed) = self.watching.copies.len();
        let subscribers = self.clients.subscribers().count();
        let (carried, here) = (self.watching.carried.len(), self.clients.watches());
        Watches { carried, here, subscribers, lists, listed }
    }

    /// Whether it holds the list of subscribers of that home.
    #[must_use]
    pub fn holds_list_of(&self, home: &NodeId) -> bool {
        self.watching.holds_list_of(home)
    }

    pub(super) fn handle_watch(
        &mut self,
        now: Instant,
        link: LinkId,
        who: &Who,
        ask: u32,
        asked: Asked,
    ) {
        let Asked { home, grant, watcher, watcher_home, subscription } = asked;
        let me = *self.ring.me();
        let (watcher_home, subscription) = match (who, watcher_home) {
            (Who::Device { .. }, _) if who.is_device(&watcher) => (me, None),
            (Who::Node(node), Some(home)) if home.node == node.node => (home, subscription),
            (Who::Device { .. } | Who::Node(_) | Who::Guest(_) | Who::Authority, _) => {
                return self.not_allowed(now, link, ask);
            }
        };
        let Some(watched) = self.granted(now, &grant, &watcher) else {
            return self.not_allowed(now, link, ask);
        };
        let watch = Watch { watcher: watcher.clone(), watched };
        if home.node == me.node {
            if watcher_home.node == me.node {
                self.end_carried(now, &watch);
            } else {
                self.watching.changed(now);
            }
            let watched = &watch.watched;
            let answer = if self.clients.watch(watched, watcher, watcher_home, subscription) {
                Forward::Watching
            } else {
                Forward::Undelivered { reason: Undelivered::NotHere }
            };
            return self.answer(now, link, ask, answer);
        }
        if watcher_home.node != me.node {
            return self.not_allowed(now, link, ask);
        }
        if self.watching.carried.home_of(&watch).is_some_and(|at| at.node != home.node) {
            self.end_carried(now, &watch);
        }
        self.clients.unwatch(&watch.watched, &watch.watcher, &me.node);
        let about = About::Watch(link, ask, Box::new((watch.clone(), home.node)));
        let subscription = self.watching.carried.carry(watch, home, &mut self.entropy.secrets);
        let out = self.link_to(now, &home);
        let watcher_home = Some(me);
        let message = Forward::Watch { home, grant, watcher, watcher_home, subscription };
        self.ask(now, out, about, message);
    }

    /// Whom the grant lets `watcher` watch, if it holds.
    fn granted(
        &self,
        now: Instant,
        grant: &Signed<WatchGrant>,
        watcher: &Address,
    ) -> Option<Address> {
        let wall = self.wall(now);
        let FromDevice { address, said, .. } =
            open_by_device(grant, &self.config.root, wall, Use::Addressing).ok()?;
        let holds = said.watcher == watcher.user && wall < said.expires;
        holds.then_some(address)
    }

    /// A client's link is down: its watchers are told. One that we sent elsewhere is not gone, as
    /// far as we can tell.
    pub(super) fn client_gone(&mut self, now: Instant, link: LinkId) {
        let Some((client, watchers)) = self.clients.detach(link) else { return };
        let was_sent = self.moving.gone(link);
        let gone = client.registration.address.clone();
        self.electing.client_gone(&gone);
        self.put_away(now, &client);
        let me = self.ring.me().node;
        for (watcher, home) in watchers {
            let watch = Watch { watcher, watched: gone.clone() };
            if home.node == me && was_sent {
                self.tell_lost(now, &me, watch);
            } else if home.node == me {
                self.tell_gone(now, &me, watch);
            } else {
                let out = self.link_to(now, &home);
                let Watch { watcher, watched: who } = watch;
                let message = match was_sent {
                    true => Forward::Lost { who, watcher, home: me },
                    false => Forward::Gone { who, watcher, home: None },
                };
                self.links.send(now, out, 0, message);
            }
        }
        self.watcher_left(now, &gone);
        self.watching.changed(now);
        self.leaving_due(now);
    }

    /// Another home says that a device is gone from it.
    pub(super) fn gone_elsewhere(&mut self, now: Instant, home: &NodeEntry, watch: Watch) {
        if self.ends_elsewhere(home, &watch) {
            self.tell_gone(now, &home.node, watch);
        }
    }

    /// Another home says that it has sent a device elsewhere.
    pub(super) fn sent_elsewhere(&mut self, now: Instant, home: &NodeEntry, watch: Watch) {
        if self.ends_elsewhere(home, &watch) {
            self.tell_lost(now, &home.node, watch);
        }
    }

    /// Whether that ends what we know of the device: who has come to us meanwhile is not gone.
    fn ends_elsewhere(&mut self, home: &NodeEntry, watch: &Watch) -> bool {
        let is_here = self.clients.get(&watch.watched).is_some();
        self.watching.carried.gone_from(&home.node, watch) && !is_here
    }

    /// There is no link to a super-peer any more: of whoever was watched there nothing is known.
    pub(super) fn watches_lost(&mut self, now: Instant, home: &NodeId, why: &Closed) {
        self.watching.copying.link_lost(now, home);
        self.watchers_lost(now, home);
        if why.is_silence() {
            self.home_silent(now, home);
            self.home_dead(now, home);
        } else {
            self.home_lost(now, home);
        }
    }

    /// The connection to a home broke, or it is a new one that knows nothing of us.
    fn home_lost(&mut self, now: Instant, home: &NodeId) {
        for watch in self.watching.carried.home_lost(home) {
            self.tell_lost(now, home, watch);
        }
    }

    fn tell_lost(&mut self, now: Instant, home: &NodeId, watch: Watch) {
        let Watch { watcher, watched: who } = watch;
        self.lookups.forget(&who.user);
        if let Some(link) = self.clients.get(&watcher).map(|client| client.link) {
            self.links.send(now, link, 0, Forward::Lost { who, watcher, home: *home });
        }
    }

    /// Nothing is heard of a home any more: whoever is watched there is gone.
    pub(super) fn home_silent(&mut self, now: Instant, home: &NodeId) {
        for watch in self.watching.carried.home_lost(home) {
            self.tell_gone(now, home, watch);
        }
    }

    fn tell_gone(&mut self, now: Instant, home: &NodeId, watch: Watch) {
        let Watch { watcher, watched: who } = watch;
        self.lookups.forget(&who.user);
        if let Some(link) = self.clients.get(&watcher).map(|client| client.link) {
            self.links.send(now, link, 0, Forward::Gone { who, watcher, home: Some(*home) });
        }
    }

    /// A super-peer is dead, as far as we can tell. If we hold its list, we tell those on it.
    pub(super) fn home_dead(&mut self, now: Instant, home: &NodeId) {
        let me = self.ring.me().node;
        for Subscriber { home: to, subscription } in self.watching.copies.remove(home) {
            if to.node != me && self.watching.telling.len() < TELLING_MAX {
                let message = Forward::HomeDead { home: *home, subscription };
                self.watching.telling.push_back((to, message));
            }
        }
        self.tell_some(now);
    }

    fn tell_some(&mut self, now: Instant) {
        for _ in 0..TOLD_AT_ONCE {
            let Some((to, message)) = self.watching.telling.pop_front() else { break };
            let link = self.link_to(now, &to);
            self.links.send(now, link, 0, message);
        }
        let is_done = self.watching.telling.is_empty();
        self.watching.next_telling = (!is_done).then(|| now + TELL_EVERY);
    }

    /// Somebody who knows our subscription at a home says that the home is dead: it is asked.
    pub(super) fn doubt_home(
        &mut self,
        now: Instant,
        home: &NodeId,
        subscription: &SubscriptionId,
    ) {
        let Some(entry) = self.watching.carried.doubt(home, subscription) else { return };
        let link = self.link_to(now, &entry);
        let subscription = *subscription;
        self.ask(now, link, About::Lives(entry.node), Forward::Subscribed { subscription });
    }

    /// A home of which that was said has answered.
    pub(super) fn home_answered(&mut self, now: Instant, home: &NodeId, answer: &Forward) {
        if *answer == Forward::Watching {
            self.watching.not_asked(home);
        } else {
            // It has forgotten us: it was started anew.
            self.home_lost(now, home);
        }
    }

    /// Whether we have that subscription of the super-peer that asks.
    pub(super) fn handle_subscribed(
        &mut self,
        now: Instant,
        link: LinkId,
        who: &Who,
        ask: u32,
        subscription: &SubscriptionId,
    ) {
        let Who::Node(node) = who else { return self.not_allowed(now, link, ask) };
        let answer = if self.clients.has_subscriber(&node.node, subscription) {
            Forward::Watching
        } else {
            Forward::Undelivered { reason: Undelivered::NotHere }
        };
        self.answer(now, link, ask, answer);
    }

    /// A home whose successor we are tells of its subscribers.
    pub(super) fn handle_subscribers(
        &mut self,
        now: Instant,
        link: LinkId,
        who: &Who,
        ask: u32,
        changes: &Changes,
    ) {
        let Who::Node(home) = who else { return self.not_allowed(now, link, ask) };
        let me = self.ring.me().node;
        let answer = if self.watching.copies.handle(now, &me, home.node, changes) {
            Forward::Copied
        } else {
            Forward::Undelivered { reason: Undelivered::TooMuch }
        };
        self.answer(now, link, ask, answer);
    }

    /// What is due here.
    pub(super) fn watching_due(&mut self, now: Instant) {
        if self.watching.next_telling.is_some_and(|at| at <= now) {
            self.tell_some(now);
        }
        if self.watching.copying.next_due().is_none_or(|at| now < at) {
            return;
        }
        let successors = self.ring.successors();
        let subscribers: Vec<Subscriber> = self.clients.subscribers().collect();
        for (to, message) in self.watching.copying.due(now, &successors, &subscribers) {
            let link = self.link_to(now, &to);
            self.ask(now, link, About::Copy(to.node), message);
        }
    }
}

#[cfg(test)]
mod tests;
