//! Carrying sealed envelopes, and telling watchers who is gone. Lecture, slide 32; DESIGN 2.6.
//!
//! An envelope reaches a device over the device's own link to its home. Who brings it there decides
//! the lecture's case: a visitor (second case), or another super-peer for its client (third case).

use std::time::Instant;

use crate::port::LinkId;
use crate::secure::identity::{FromDevice, Use, open_by_device};
use crate::secure::links::Who;
use crate::wire::bounded::Bytes;
use crate::wire::certificate::Signed;
use crate::wire::directory::NodeEntry;
use crate::wire::forward::{Address, ENVELOPE_MAX, Forward, Undelivered, WatchGrant};

use super::{About, SuperPeer};

/// A watch that we carried to another super-peer for a client of ours: if that one dies, we tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CarriedWatch {
    watcher: Address,
    watched: Address,
}

/// Watches carried to one super-peer at most.
const CARRIED_MAX: usize = 65_536;

impl SuperPeer {
    pub(super) fn handle_forward(
        &mut self,
        now: Instant,
        link: LinkId,
        who: &Who,
        ask: u32,
        message: Forward,
    ) {
        match message {
            Forward::Deliver { to, sealed } => {
                match who {
                    Who::Node(_) => self.counters.from_super_peers += 1,
                    Who::Device { .. } if self.clients.get(&to).is_some() => {
                        self.counters.from_visitors += 1;
                    }
                    Who::Device { .. } => self.counters.to_visitors += 1,
                    Who::Guest(_) | Who::Authority => return self.not_allowed(now, link, ask),
                }
                self.deliver(now, link, ask, to, sealed);
            }
            Forward::ThroughYou { home, to, sealed } => {
                if !self.clients.has_link(link) {
                    return self.not_allowed(now, link, ask);
                }
                self.counters.through_us += 1;
                if home.node == self.ring.me().node {
                    return self.deliver(now, link, ask, to, sealed);
                }
                let out = self.link_to(now, &home);
                self.ask(now, out, About::Carry(link, ask), Forward::Deliver { to, sealed });
            }
            Forward::Watch { home, grant, watcher, watcher_home } => {
                self.handle_watch(
                    now,
                    link,
                    who,
                    ask,
                    Watch { home, grant, watcher, watcher_home },
                );
            }
            Forward::Gone { who: gone, watcher } => {
                if let Who::Node(entry) = who {
                    self.forget_carried(entry, &watcher, &gone);
                    self.tell_gone(now, &watcher, gone);
                }
            }
            Forward::Delivered | Forward::Undelivered { .. } | Forward::Watching => {
                self.link_answered(now, link, ask, message);
            }
        }
    }

    fn deliver(
        &mut self,
        now: Instant,
        from: LinkId,
        ask: u32,
        to: Address,
        sealed: Bytes<ENVELOPE_MAX>,
    ) {
        let client = self.clients.get(&to).map(|client| client.link);
        let answer = match client.or_else(|| self.visitors.get(&to).copied()) {
            Some(link) => {
                let message = Forward::Deliver { to, sealed };
                self.links.send(now, link, 0, message);
                Forward::Delivered
            }
            None => Forward::Undelivered { reason: Undelivered::NotHere },
        };
        self.answer(now, from, ask, answer);
    }

    pub(super) fn carry_failed(&mut self, now: Instant, link: LinkId, ask: u32) {
        let reason = Undelivered::HomeUnreachable;
        self.answer(now, link, ask, Forward::Undelivered { reason });
    }

    fn not_allowed(&mut self, now: Instant, link: LinkId, ask: u32) {
        let reason = Undelivered::NotAllowed;
        self.answer(now, link, ask, Forward::Undelivered { reason });
    }

    fn handle_watch(&mut self, now: Instant, link: LinkId, who: &Who, ask: u32, watch: Watch) {
        let Watch { home, grant, watcher, watcher_home } = watch;
        let me = *self.ring.me();
        let watcher_home = match (who, watcher_home) {
            (Who::Device { .. }, _) if who.is_device(&watcher) => me,
            (Who::Node(node), Some(home)) if home.node == node.node => home,
            (Who::Device { .. } | Who::Node(_) | Who::Guest(_) | Who::Authority, _) => {
                return self.not_allowed(now, link, ask);
            }
        };
        let Some(watched) = self.granted(now, &grant, &watcher) else {
            return self.not_allowed(now, link, ask);
        };
        if home.node == me.node {
            let answer = if self.clients.watch(&watched, watcher, watcher_home) {
                Forward::Watching
            } else {
                Forward::Undelivered { reason: Undelivered::NotHere }
            };
            return self.answer(now, link, ask, answer);
        }
        if watcher_home.node != me.node {
            return self.not_allowed(now, link, ask);
        }
        let carried = self.carried_watches.entry(home.node).or_default();
        let entry = CarriedWatch { watcher: watcher.clone(), watched };
        if carried.len() < CARRIED_MAX && !carried.contains(&entry) {
            carried.push(entry);
        }
        let out = self.link_to(now, &home);
        let watcher_home = Some(me);
        let message = Forward::Watch { home, grant, watcher, watcher_home };
        self.ask(now, out, About::Carry(link, ask), message);
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

    /// A client's link is down: its watchers are told.
    pub(super) fn client_gone(&mut self, now: Instant, link: LinkId) {
        let Some((client, watchers)) = self.clients.detach(link) else { return };
        let gone = client.registration.address.clone();
        self.electing.client_gone(&gone);
        self.put_away(now, &client);
        let me = self.ring.me().node;
        for (watcher, home) in watchers {
            if home.node == me {
                self.tell_gone(now, &watcher, gone.clone());
            } else {
                let out = self.link_to(now, &home);
                let message = Forward::Gone { who: gone.clone(), watcher };
                self.links.send(now, out, 0, message);
            }
        }
        for carried in self.carried_watches.values_mut() {
            carried.retain(|watch| watch.watcher != gone);
        }
    }

    /// Another super-peer is down: whoever was watched there is gone, as far as we can tell.
    pub(super) fn watches_lost(&mut self, now: Instant, node: &crate::ids::NodeId) {
        for watch in self.carried_watches.remove(node).unwrap_or_default() {
            self.tell_gone(now, &watch.watcher, watch.watched);
        }
    }

    fn forget_carried(&mut self, home: &NodeEntry, watcher: &Address, watched: &Address) {
        if let Some(carried) = self.carried_watches.get_mut(&home.node) {
            carried.retain(|watch| watch.watcher != *watcher || watch.watched != *watched);
        }
    }

    fn tell_gone(&mut self, now: Instant, watcher: &Address, who: Address) {
        if let Some(link) = self.clients.get(watcher).map(|client| client.link) {
            let message = Forward::Gone { who, watcher: watcher.clone() };
            self.links.send(now, link, 0, message);
        }
    }
}

/// The parts of a [`Forward::Watch`].
struct Watch {
    home: NodeEntry,
    grant: Signed<WatchGrant>,
    watcher: Address,
    watcher_home: Option<NodeEntry>,
}
